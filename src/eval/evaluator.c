#include "eval/evaluator.h"

#include "config/config.h"
#include "core/mem.h"

#include <stdio.h>
#include <string.h>

enum { MAX_NAME = 256 };

struct mu_evaluator {
    mu_metric **metric; /* owned */
    size_t n, capacity;
    char *meta;   /* JSON */
    mu_cfg *tree; /* the same */
    const char **classes;
    int64_t n_classes;
};

static const mu_metric_ops *ops_of(const mu_metric *metric)
{
    return mu_component_of(metric)->ops;
}

/* "prefix/name"; names are short: they come from components. */
static const char *full_name(const mu_metric *metric, const char *name, char buf[MAX_NAME])
{
    const char *prefix = mu_metric_prefix(metric);
    snprintf(buf, MAX_NAME, "%s%s%s", prefix ? prefix : "", prefix ? "/" : "", name);
    return buf;
}

static mu_err twice(const char *name, const mu_metric *metric)
{
    MU_FAIL(MU_ERR_CONFIG, "two metrics give '%s', the second is %s", name, mu_metric_name(metric));
    return mu_error_hint("set a prefix of its own in one of them: {type: %s, prefix: other}", mu_metric_name(metric));
}

typedef const char *const *names_of(const mu_metric *metric);

/* Has one of the metrics such a result? */
static bool is_known(const mu_evaluator *e, const char *name)
{
    char other[MAX_NAME];
    for (size_t i = 0; i < e->n; i++) {
        names_of *const kind[] = {ops_of(e->metric[i])->names, ops_of(e->metric[i])->tables};
        for (int k = 0; k < 2; k++)
            for (const char *const *n = kind[k] ? kind[k](e->metric[i]) : NULL; n && *n; n++)
                if (strcmp(full_name(e->metric[i], *n, other), name) == 0)
                    return true;
    }
    return false;
}

static mu_err check_new(const mu_evaluator *e, const mu_metric *metric, names_of *names)
{
    char name[MAX_NAME];
    for (const char *const *n = names ? names(metric) : NULL; n && *n; n++)
        if (is_known(e, full_name(metric, *n, name)))
            return twice(name, metric);
    return MU_OK;
}

mu_err mu_evaluator_add(mu_evaluator *e, mu_metric *metric)
{
    const mu_metric_ops *ops = ops_of(metric);
    mu_err err = mu_grow(&e->metric, &e->capacity, e->n + 1, sizeof *e->metric);
    err = err ? err : check_new(e, metric, ops->names);
    err = err ? err : check_new(e, metric, ops->tables);
    if (err) {
        mu_destroy(metric);
        return err;
    }
    e->metric[e->n++] = metric;
    return MU_OK;
}

static mu_err build(mu_evaluator *e, const mu_cfg *cfg, const char *path)
{
    void *metric;
    MU_TRY(mu_build("metric", cfg, NULL, path, &metric));
    return mu_evaluator_add(e, metric);
}

static mu_err build_all(mu_evaluator *e, const mu_cfg *cfg, const char *path)
{
    if (mu_cfg_kind_of(cfg) != MU_CFG_LIST)
        return build(e, cfg, path);
    for (size_t i = 0; i < mu_cfg_size(cfg); i++) {
        char *where;
        MU_TRY(mu_asprintf(&where, "%s.%zu", path, i));
        mu_err err = build(e, mu_cfg_at(cfg, i), where);
        mu_free(where);
        MU_TRY(err);
    }
    return MU_OK;
}

mu_err mu_evaluator_new(const mu_cfg *cfg, const char *path, mu_evaluator **out)
{
    mu_evaluator *e;
    MU_TRY(mu_calloc(&e, 1, sizeof *e));
    mu_err err;
    MU_TRY_GOTO(err, mu_strdup(&e->meta, "{}"), fail);
    if (cfg)
        MU_TRY_GOTO(err, build_all(e, cfg, path), fail);
    *out = e;
    return MU_OK;
fail:
    mu_evaluator_release(e);
    return err;
}

void mu_evaluator_release(mu_evaluator *e)
{
    if (!e)
        return;
    for (size_t i = 0; i < e->n; i++)
        mu_destroy(e->metric[i]);
    mu_free(e->metric);
    mu_free(e->classes);
    mu_cfg_release(e->tree);
    mu_free(e->meta);
    mu_free(e);
}

static mu_err read_classes(const mu_cfg *tree, const char ***out, int64_t *n)
{
    const mu_cfg *classes = mu_cfg_get(tree, "classes");
    const char **names = NULL;
    if (mu_cfg_kind_of(tree) != MU_CFG_DICT || (classes && mu_cfg_kind_of(classes) != MU_CFG_LIST))
        return MU_FAIL(MU_ERR_FORMAT, "the metainfo must be a JSON object, its \"classes\" a list of names");
    size_t count = classes ? mu_cfg_size(classes) : 0;
    for (size_t i = 0; i < count; i++)
        if (mu_cfg_kind_of(mu_cfg_at(classes, i)) != MU_CFG_STRING)
            return MU_FAIL(MU_ERR_FORMAT, "class %zu in the metainfo is not a name", i);
    if (count)
        MU_TRY(mu_calloc(&names, count, sizeof *names));
    for (size_t i = 0; i < count; i++)
        names[i] = mu_cfg_string(mu_cfg_at(classes, i));
    *out = names;
    *n = (int64_t)count;
    return MU_OK;
}

mu_err mu_evaluator_set_meta(mu_evaluator *e, const char *json)
{
    char *meta;
    mu_cfg *tree = NULL;
    const char **classes;
    int64_t n;
    MU_TRY(mu_strdup(&meta, json));
    mu_err err;
    MU_TRY_GOTO(err, mu_cfg_parse_json(json, strlen(json), "metainfo", &tree), fail);
    MU_TRY_GOTO(err, read_classes(tree, &classes, &n), fail);
    mu_free(e->meta);
    mu_free(e->classes);
    mu_cfg_release(e->tree);
    e->meta = meta;
    e->tree = tree;
    e->classes = classes;
    e->n_classes = n;
    return MU_OK;
fail:
    mu_cfg_release(tree);
    mu_free(meta);
    return err;
}

mu_err mu_evaluator_check(const mu_evaluator *e, int64_t n_classes)
{
    for (size_t i = 0; i < e->n; i++) {
        const mu_metric_ops *ops = ops_of(e->metric[i]);
        if (ops->check)
            MU_TRY(ops->check(e->metric[i], n_classes));
    }
    return MU_OK;
}

void mu_evaluator_reset(mu_evaluator *e)
{
    for (size_t i = 0; i < e->n; i++)
        mu_metric_reset(e->metric[i]);
}

static mu_tensors without_images(const mu_tensors *fields)
{
    mu_tensors others = {0};
    for (int i = 0; i < fields->n; i++)
        if (strcmp(fields->item[i].name, "img") != 0)
            others.item[others.n++] = fields->item[i];
    return others;
}

mu_err mu_evaluator_process(mu_evaluator *e, int64_t size, const int64_t *id, const mu_tensors *fields,
                            const mu_tensors *predictions)
{
    const mu_tensors others = without_images(fields);
    const mu_eval_batch batch = {.size = size, .id = id, .fields = &others, .predictions = predictions, .classes = e->classes,
                                 .n_classes = e->n_classes, .meta = e->meta};
    for (size_t i = 0; i < e->n; i++)
        MU_TRY(ops_of(e->metric[i])->process(e->metric[i], &batch));
    return MU_OK;
}

/* Puts a metric's results under their full names. */
static mu_err add_results(const mu_metric *metric, const mu_results *own, mu_results *all)
{
    char name[MAX_NAME];
    for (size_t i = 0; i < own->n; i++) {
        const mu_result *r = &own->item[i];
        if (mu_results_find(all, full_name(metric, r->name, name)))
            return twice(name, metric);
        if (r->ndim == 0)
            MU_TRY(mu_results_add(all, name, r->value[0]));
        else
            MU_TRY(mu_results_add_table(all, name, r->dim[0], r->dim[1], r->value));
    }
    return MU_OK;
}

static mu_err compute(mu_metric *metric, mu_records *records, mu_results *all)
{
    mu_results own = {0};
    if (mu_records_count(records) == 0) {
        MU_FAIL(MU_ERR_CONFIG, "%s: there is nothing to measure: not one sample was evaluated", mu_metric_name(metric));
        return mu_error_hint("the data set is empty, or drop_last leaves nothing of it: look at the dataloader");
    }
    mu_records_sort(records);
    mu_err err = ops_of(metric)->compute(metric, records, &own);
    if (!err)
        err = add_results(metric, &own, all);
    mu_results_release(&own);
    return err;
}

/* Every rank takes part in every metric's collection, whatever rank 0 has met before. */
static mu_err collect_and_compute(mu_evaluator *e, mu_comm *comm, int64_t size, mu_results *all)
{
    mu_err first = MU_OK;
    mu_error record = {0};
    for (size_t i = 0; i < e->n; i++) {
        mu_metric *metric = e->metric[i];
        mu_records *records = NULL;
        MU_TRY(mu_comm_collect(comm, metric->records, metric->n_records, size, 0, &records));
        mu_err err = mu_comm_is_main(comm) && !first ? compute(metric, records, all) : MU_OK;
        mu_records_release(records);
        if (err) {
            first = err;
            record = *mu_error_last();
        }
    }
    if (first)
        mu_error_restore(&record);
    return mu_comm_agree(comm, first);
}

mu_err mu_evaluator_evaluate(mu_evaluator *e, mu_comm *comm, int64_t size, mu_results *out)
{
    mu_results all = {0};
    mu_err err = collect_and_compute(e, comm, size, &all);
    mu_evaluator_reset(e);
    if (!err)
        err = mu_results_broadcast(&all, comm);
    if (err) {
        mu_results_release(&all);
        return err;
    }
    *out = all;
    return MU_OK;
}

void mu_evaluator_names(const mu_evaluator *e, void (*visit)(void *user, const char *name), void *user)
{
    char name[MAX_NAME];
    for (size_t i = 0; i < e->n; i++) {
        const mu_metric_ops *ops = ops_of(e->metric[i]);
        for (const char *const *n = ops->names ? ops->names(e->metric[i]) : NULL; n && *n; n++)
            visit(user, full_name(e->metric[i], *n, name));
    }
}
