/* Weights from a checkpoint into a model. */
#include "core/log.h"
#include "core/mem.h"
#include "core/text.h"
#include "runner/checkpoint_impl.h"

#include <string.h>

typedef struct {
    const mu_tensor_file *file;
    mu_params *params;
    const ckpt_revisions *revisions;
    const char *folder;
    const char *prefix, *into;
    bool *loaded; /* [mu_params_count] */
    mu_load_report report;
    mu_text text;
    char *host; /* room for one tensor, used again */
    size_t capacity;
} job;

/* Reads dataset i of `file` as `dtype`. *out has room for it. */
static mu_err read_as(const mu_tensor_file *file, int i, mu_dtype dtype, void *out)
{
    const mu_tensor_entry *e = mu_tensor_file_at(file, i);
    size_t bytes = mu_type_bytes(&e->type);
    if (e->type.dtype == dtype)
        return mu_tensor_file_read(file, i, out, bytes);
    void *raw;
    MU_TRY(mu_alloc(&raw, bytes));
    mu_err err = mu_tensor_file_read(file, i, raw, bytes);
    if (!err)
        mu_convert(out, dtype, raw, e->type.dtype, mu_type_count(&e->type));
    mu_free(raw);
    return err;
}

static mu_err load_one(job *j, int i, int p)
{
    const mu_param_info *info = mu_params_at(j->params, p);
    MU_TRY(mu_grow(&j->host, &j->capacity, mu_type_bytes(&info->type), 1));
    MU_TRY(read_as(j->file, i, info->type.dtype, j->host));
    return mu_params_write(j->params, info->name, j->host);
}

/* "backbone" and "backbone." are the same prefix. NULL: the name does not begin with it. */
static const char *without_prefix(const char *name, const char *prefix)
{
    size_t n = prefix ? strlen(prefix) : 0;
    if (n == 0)
        return name;
    if (strncmp(name, prefix, n) != 0)
        return NULL;
    if (prefix[n - 1] == '.')
        return name + n;
    return name[n] == '.' ? name + n + 1 : NULL;
}

/* The parameter that a name of the file means; *out -1: none. Counters of batches, which PyTorch keeps, are nobody's. */
static mu_err find_param(job *j, const char *name, int *out)
{
    bool dotted = j->into && *j->into && j->into[strlen(j->into) - 1] != '.';
    char *full;
    MU_TRY(mu_asprintf(&full, "%s%s%s", j->into ? j->into : "", dotted ? "." : "", name));
    *out = mu_params_find(j->params, full);
    mu_free(full);
    return MU_OK;
}

static bool is_counter(const char *name)
{
    static const char counter[] = "num_batches_tracked";
    size_t n = strlen(name), m = sizeof counter - 1;
    return n >= m && strcmp(name + n - m, counter) == 0;
}

static mu_err visit(job *j, int i, const char *name)
{
    char wanted[MU_TYPE_TEXT], found[MU_TYPE_TEXT];
    const mu_tensor_entry *e = mu_tensor_file_at(j->file, i);
    int p = -1;
    MU_TRY(find_param(j, name, &p));
    if (p < 0) {
        if (is_counter(name))
            return MU_OK;
        j->report.n_unexpected++;
        mu_text_printf(&j->text, "unexpected: %s %s\n", name, mu_type_format(&e->type, found));
        return MU_OK;
    }
    const mu_param_info *info = mu_params_at(j->params, p);
    j->loaded[p] = true;
    if (!e->text && mu_type_same_shape(&e->type, &info->type)) {
        j->report.n_loaded++;
        return load_one(j, i, p);
    }
    j->report.n_misshaped++;
    mu_text_printf(&j->text, "misshaped: %s is %s in the file, %s in the model\n", info->name, mu_type_format(&e->type, found),
                   mu_type_format(&info->type, wanted));
    return MU_OK;
}

static mu_err load_all(job *j)
{
    size_t head = strlen(j->folder);
    MU_TRY(mu_calloc(&j->loaded, (size_t)mu_params_count(j->params), sizeof *j->loaded));
    for (int i = 0; i < mu_tensor_file_count(j->file); i++) {
        const char *path = mu_tensor_file_at(j->file, i)->path;
        char *name;
        if (strncmp(path, j->folder, head) != 0)
            continue;
        MU_TRY(ckpt_revise(j->revisions, path + head, &name));
        const char *rest = without_prefix(name, j->prefix);
        mu_err err = rest ? visit(j, i, rest) : MU_OK;
        mu_free(name);
        MU_TRY(err);
    }
    return MU_OK;
}

/* What the model has, below `into`, and the file has not. */
static void note_missing(job *j)
{
    char type[MU_TYPE_TEXT];
    for (int p = 0; p < mu_params_count(j->params); p++) {
        const mu_param_info *info = mu_params_at(j->params, p);
        if (j->loaded[p] || !mu_param_is_weight(info->name) || !without_prefix(info->name, j->into))
            continue;
        j->report.n_missing++;
        mu_text_printf(&j->text, "missing: %s %s\n", info->name, mu_type_format(&info->type, type));
    }
}

static mu_err report(job *j, bool strict)
{
    mu_load_report *r = &j->report;
    note_missing(j);
    MU_TRY(mu_text_status(&j->text));
    if (r->n_missing + r->n_unexpected + r->n_misshaped == 0)
        return MU_OK;
    if (!strict)
        return mu_text_take(&j->text, &r->text);
    MU_FAIL(MU_ERR_CONFIG, "the weights of '%s' do not fit the model: %d missing, %d unexpected, %d misshaped\n%s",
            mu_tensor_file_path(j->file), r->n_missing, r->n_unexpected, r->n_misshaped, j->text.data);
    return mu_error_hint("is it a checkpoint of this config's model?");
}

static mu_err load_weights(job *j, mu_model *model, bool strict, const mu_key_revision *revisions, size_t n, mu_load_report *out)
{
    ckpt_revisions *compiled;
    MU_TRY(ckpt_revisions_new(revisions, n, &compiled));
    j->revisions = compiled;
    j->params = mu_model_params(model);
    mu_err err = load_all(j);
    err = err ? err : report(j, strict);
    ckpt_revisions_release(compiled);
    mu_text_release(&j->text);
    mu_free(j->host);
    mu_free(j->loaded);
    mu_model_changed(model);
    if (err)
        return err;
    *out = j->report;
    return MU_OK;
}

mu_err mu_checkpoint_load_weights(const mu_tensor_file *file, mu_model *model, bool strict, const char *prefix,
                                  const char *into, const mu_key_revision *revisions, size_t n, mu_load_report *out)
{
    job j = {.file = file, .folder = CKPT_WEIGHTS, .prefix = prefix, .into = into};
    return load_weights(&j, model, strict, revisions, n, out);
}

/* What of the own weights does not fit is as it is in the average. */
static mu_err load_own(const mu_tensor_file *file, mu_runner *runner)
{
    job j = {.file = file, .folder = CKPT_EMA_WEIGHTS};
    mu_load_report r = {0};
    MU_TRY(load_weights(&j, runner->model, runner->strict_average, NULL, 0, &r));
    if (r.text && mu_runner_is_main(runner))
        MU_WARN("runner", "the ema_state_dict of '%s' does not fit the model in all: %d missing, %d unexpected, %d misshaped\n%s",
                mu_tensor_file_path(file), r.n_missing, r.n_unexpected, r.n_misshaped, r.text);
    mu_free(r.text);
    return MU_OK;
}

mu_err ckpt_load_average(const mu_tensor_file *file, mu_runner *runner)
{
    int64_t steps;
    if (!runner->average || mu_tensor_file_find(file, CKPT_EMA_STEPS) < 0)
        return MU_OK;
    MU_TRY(mu_tensor_file_i64(file, CKPT_EMA_STEPS, &steps));
    MU_TRY(mu_averaged_model_copy(runner->average));
    mu_averaged_model_set_steps(runner->average, steps);
    return load_own(file, runner);
}

static mu_err load_from(mu_runner *runner, const char *path, bool whole)
{
    mu_tensor_file *file;
    mu_load_report r = {0};
    MU_TRY(mu_tensor_file_open(path, MU_CHECKPOINT_FORMAT, MU_CHECKPOINT_VERSION, &file));
    mu_err err = mu_checkpoint_load_weights(file, runner->model, false, NULL, NULL, NULL, 0, &r);
    err = err || !whole ? err : ckpt_load_average(file, runner);
    mu_tensor_file_release(file);
    if (err)
        mu_free(r.text);
    MU_TRY(err);
    if (r.n_loaded == 0) {
        MU_FAIL(MU_ERR_CONFIG, "'%s' holds no weight that fits the model\n%s", path, r.text ? r.text : "");
        err = mu_error_hint("is it a checkpoint of such a model?");
    } else if (whole && r.n_missing + r.n_misshaped > 0) {
        MU_FAIL(MU_ERR_CONFIG, "the weights of '%s' do not fit the model: %d missing, %d misshaped\n%s", path, r.n_missing,
                r.n_misshaped, r.text);
        err = mu_error_hint("name a checkpoint of this config's model, or the config that it was trained with");
    } else if (r.text && mu_runner_is_main(runner)) {
        MU_WARN("runner", "the weights of '%s' do not fit the model in all: %d missing, %d unexpected, %d misshaped\n%s", path,
                r.n_missing, r.n_unexpected, r.n_misshaped, r.text);
    }
    mu_free(r.text);
    return err;
}

mu_err mu_checkpoint_load_from(mu_runner *runner, const char *path, bool whole)
{
    return mu_runner_agreed(runner, mu_comm_agree(runner->comm, load_from(runner, path, whole)));
}
