#include "config/diagnostic.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/text.h"
#include "runner/checkpoint.h"
#include "runner/hooks/hooks.h"
#include "runner/hooks/monitor.h"
#include "runner/work_dir.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A metric whose best checkpoint is kept. */
typedef struct {
    char *metric;     /* NULL: auto, until the first validation */
    const char *rule; /* borrowed; NULL: by the name */
    char *score_fact, *path_fact;
} indicator;

typedef struct {
    mu_hook base;
    int64_t interval, max_keep_ckpts, save_begin;
    bool by_epoch, save_optimizer, save_param_scheduler, save_last, async_save;
    char *out_dir, *filename_tmpl;
    const mu_cfg *save_best, *rule, *shards;
    mu_strings greater_keys, less_keys;

    indicator *best;
    size_t n_best;
    char *folder, *kept_fact; /* set before training; the latter: names of the regular checkpoints, oldest first, a line each */
    bool told;    /* that saves are left out */
    int n_shards; /* as in mu_checkpoint_parts */
} checkpoint_hook;

extern const mu_component mu_component_checkpoint_hook;

enum { MAX_SHARDS = 99999 };

/* ---- options ---- */

/* A string, or string i of a list; NULL and *n = 0 for null. */
static mu_err strings_of(const mu_cfg *cfg, const char *key, size_t *n)
{
    *n = 0;
    if (!cfg || mu_cfg_kind_of(cfg) == MU_CFG_NULL)
        return MU_OK;
    bool list = mu_cfg_kind_of(cfg) == MU_CFG_LIST;
    size_t count = list ? mu_cfg_size(cfg) : 1;
    for (size_t i = 0; i < count; i++) {
        const mu_cfg *item = list ? mu_cfg_at(cfg, i) : cfg;
        if (mu_cfg_kind_of(item) != MU_CFG_STRING)
            return MU_FAIL_AT(mu_cfg_pos(item), "%s: expected a string or a list of strings", key);
    }
    *n = count;
    return MU_OK;
}

static const char *string_at(const mu_cfg *cfg, size_t i)
{
    return mu_cfg_string(mu_cfg_kind_of(cfg) == MU_CFG_LIST ? mu_cfg_at(cfg, i) : cfg);
}

static mu_err read_indicator(checkpoint_hook *self, size_t i, size_t n_rules)
{
    indicator *best = &self->best[i];
    const char *metric = string_at(self->save_best, i);
    bool more;
    if (n_rules > 0)
        best->rule = string_at(self->rule, n_rules == 1 ? 0 : i);
    if (best->rule && strcmp(best->rule, "greater") != 0 && strcmp(best->rule, "less") != 0)
        return MU_FAIL_AT(mu_cfg_pos(self->rule), "rule: expected greater or less, found '%s'", best->rule);
    if (strcmp(metric, "auto") == 0) {
        if (self->n_best > 1)
            return MU_FAIL_AT(mu_cfg_pos(self->save_best), "save_best: auto stands alone");
        return MU_OK;
    }
    for (size_t k = 0; k < i; k++)
        if (strcmp(self->best[k].metric, metric) == 0)
            return MU_FAIL_AT(mu_cfg_pos(self->save_best), "save_best: '%s' is there twice", metric);
    MU_TRY(mu_strdup(&best->metric, metric));
    MU_TRY(mu_monitor_rule(metric, best->rule, &self->greater_keys, &self->less_keys, &more));
    return MU_OK;
}

static mu_err read_best(checkpoint_hook *self)
{
    size_t n, n_rules;
    MU_TRY(strings_of(self->save_best, "save_best", &n));
    MU_TRY(strings_of(self->rule, "rule", &n_rules));
    if (n_rules > 1 && n_rules != n)
        return MU_FAIL_AT(mu_cfg_pos(self->rule), "rule: expected one for all of save_best or %zu, found %zu", n, n_rules);
    MU_TRY(mu_calloc(&self->best, n, sizeof *self->best));
    self->n_best = n;
    for (size_t i = 0; i < n; i++)
        MU_TRY(read_indicator(self, i, n_rules));
    return MU_OK;
}

/* "epoch_{}.h5": one pair of braces, and no folder. */
static mu_err check_template(const char *name, const mu_cfg *cfg)
{
    const char *braces = strstr(name, "{}");
    if (braces && !strstr(braces + 2, "{}") && !strchr(name, '/'))
        return MU_OK;
    const mu_cfg *value = mu_cfg_get(cfg, "filename_tmpl");
    return MU_FAIL_AT(mu_cfg_pos(value ? value : cfg), "filename_tmpl: expected a file name with {} once, found '%s'", name);
}

/* null, a number, or per_rank. */
static mu_err read_shards(checkpoint_hook *self)
{
    const mu_cfg *cfg = self->shards;
    char found[128];
    if (!cfg || mu_cfg_kind_of(cfg) == MU_CFG_NULL)
        return MU_OK;
    if (mu_cfg_kind_of(cfg) == MU_CFG_STRING && strcmp(mu_cfg_string(cfg), "per_rank") == 0) {
        self->n_shards = MU_SHARDS_PER_RANK;
    } else if (mu_cfg_kind_of(cfg) == MU_CFG_INT && mu_cfg_int(cfg) >= 1 && mu_cfg_int(cfg) <= MAX_SHARDS) {
        self->n_shards = (int)mu_cfg_int(cfg);
    } else {
        mu_cfg_describe(cfg, found, sizeof found);
        return MU_FAIL_AT(mu_cfg_pos(cfg), "shards: expected null, per_rank or a number from 1 to %d, found %s", MAX_SHARDS, found);
    }
    return MU_OK;
}

static void release(checkpoint_hook *self)
{
    for (size_t i = 0; i < self->n_best; i++) {
        mu_free(self->best[i].metric);
        mu_free(self->best[i].score_fact);
        mu_free(self->best[i].path_fact);
    }
    mu_free(self->best);
    mu_free(self->kept_fact);
    mu_free(self->folder);
}

static mu_err create(void *object, const mu_cfg *cfg)
{
    checkpoint_hook *self = object;
    if (self->filename_tmpl)
        MU_TRY(check_template(self->filename_tmpl, cfg));
    MU_TRY(read_shards(self));
    mu_err err = read_best(self);
    if (err)
        release(self);
    MU_TRY(err);
    return MU_OK;
}

static void destroy(void *object)
{
    release(object);
}

/* ---- names ---- */

/* The template with `number` in its braces: "epoch_3.h5". */
static mu_err file_name(const checkpoint_hook *self, bool by_epoch, const char *number, char **out)
{
    const char *pattern = self->filename_tmpl ? self->filename_tmpl : by_epoch ? "epoch_{}.h5" : "iter_{}.h5";
    const char *braces = strstr(pattern, "{}");
    MU_TRY(mu_asprintf(out, "%.*s%s%s", (int)(braces - pattern), pattern, number, braces + 2));
    return MU_OK;
}

/* "best_accuracy_top1_epoch_3.h5" */
static mu_err best_name(const char *metric, const char *name, char **out)
{
    MU_TRY(mu_asprintf(out, "best_%s_%s", metric, name));
    for (char *slash = *out; (slash = strchr(slash, '/'));)
        *slash = '_';
    return MU_OK;
}

/* ---- writing ---- */

static mu_err path_of(const checkpoint_hook *self, const char *name, char **out)
{
    MU_TRY(mu_asprintf(out, "%s/%s", self->folder, name));
    return MU_OK;
}

/* The paths of names [length], a line each. Freed by mu_free. */
static mu_err paths_of(const checkpoint_hook *self, const char *names, size_t length, char **out)
{
    mu_text all = {0};
    for (const char *name = names; name < names + length;) {
        size_t n = strcspn(name, "\n");
        mu_text_printf(&all, "%s/%.*s\n", self->folder, (int)n, name);
        name += n + 1;
    }
    mu_err err = mu_text_take(&all, out);
    if (err)
        mu_text_release(&all);
    MU_TRY(err);
    return MU_OK;
}

/* `name` becomes the newest of those that are kept; *dropped: paths of those that are too many, a line each, or NULL. Freed by mu_free. */
static mu_err keep(const checkpoint_hook *self, mu_runner *runner, const char *name, char **dropped)
{
    mu_text all = {0};
    *dropped = NULL;
    if (self->max_keep_ckpts <= 0)
        return MU_OK;
    const mu_cfg *fact = mu_message_hub_get(runner->hub, self->kept_fact);
    int64_t n = 0;
    for (const char *line = fact ? mu_cfg_string(fact) : ""; *line;) {
        size_t length = strcspn(line, "\n");
        if (length != strlen(name) || strncmp(line, name, length) != 0) {
            mu_text_append_n(&all, line, length);
            mu_text_append(&all, "\n");
            n++;
        }
        line += length + (line[length] == '\n');
    }
    mu_text_append(&all, name);
    mu_err err = mu_text_status(&all);
    const char *rest = all.data;
    for (; !err && n >= self->max_keep_ckpts; n--)
        rest = strchr(rest, '\n') + 1;
    if (!err && rest > all.data)
        err = paths_of(self, all.data, (size_t)(rest - all.data), dropped);
    if (!err)
        err = mu_message_hub_set_text(runner->hub, self->kept_fact, rest, true);
    mu_text_release(&all);
    if (err) {
        mu_free(*dropped);
        *dropped = NULL;
    }
    MU_TRY(err);
    return MU_OK;
}

/* What each rank does alone before it writes. The facts are set first: they belong into the checkpoint. */
static mu_err prepare(const checkpoint_hook *self, mu_runner *runner, bool by_epoch, const char *number, char **path, char **dropped)
{
    char *name;
    MU_TRY(file_name(self, by_epoch, number, &name));
    mu_err err = path_of(self, name, path);
    if (!err)
        err = keep(self, runner, name, dropped);
    mu_free(name);
    MU_TRY(err);
    MU_TRY(mu_message_hub_set_text(runner->hub, "last_ckpt", *path, true));
    MU_TRY(mu_runner_call(runner, MU_BEFORE_SAVE_CHECKPOINT, NULL));
    return MU_OK;
}

static mu_err write_regular(const checkpoint_hook *self, mu_runner *runner, const char *path, const char *dropped, int64_t iter)
{
    mu_checkpoint_parts parts = {.optimizer = self->save_optimizer, .schedulers = self->save_param_scheduler, .shards = self->n_shards};
    mu_checkpoint_sequel sequel = {.last = true, .obsolete = dropped};
    MU_TRY(mu_checkpoint_begin(runner, path, parts, &sequel, self->async_save));
    runner->last_saved_iter = iter;
    return MU_OK;
}

/* Collective. iter: iterations that the checkpoint holds. */
static mu_err save_regular(const checkpoint_hook *self, mu_runner *runner, bool by_epoch, const char *number, int64_t iter)
{
    char *path = NULL, *dropped = NULL;
    mu_watch_phase before = mu_watch_enter(runner->watch, MU_WATCH_CHECKPOINT);
    mu_err err = mu_runner_agree(runner, prepare(self, runner, by_epoch, number, &path, &dropped));
    if (!err)
        err = write_regular(self, runner, path, dropped, iter);
    mu_watch_enter(runner->watch, before);
    mu_free(path);
    mu_free(dropped);
    MU_TRY(err);
    return MU_OK;
}

/* ---- the best ---- */

static mu_err resolve_auto(const checkpoint_hook *self, indicator *best, const mu_results *metrics)
{
    bool more;
    for (size_t i = 0; i < metrics->n && !best->metric; i++)
        if (metrics->item[i].ndim == 0)
            MU_TRY(mu_strdup(&best->metric, metrics->item[i].name));
    if (!best->metric)
        return MU_FAIL(MU_ERR_CONFIG, "save_best: auto: the validation gave no number");
    MU_TRY(mu_monitor_rule(best->metric, best->rule, &self->greater_keys, &self->less_keys, &more));
    return MU_OK;
}

static mu_err no_such_metric(const char *metric, const mu_results *metrics)
{
    char names[512] = "";
    for (size_t i = 0, n = 0; metrics && i < metrics->n && n < sizeof names; i++)
        if (metrics->item[i].ndim == 0)
            n += (size_t)snprintf(names + n, sizeof names - n, "%s%s", n ? ", " : "", metrics->item[i].name);
    MU_FAIL(MU_ERR_CONFIG, "save_best: the validation gave no metric '%s'", metric);
    return mu_error_hint("it gave: %s", names);
}

typedef struct {
    char *name, *path, *old; /* owned; path NULL: nothing better came */
    double score;
} record;

static void record_release(record *r)
{
    mu_free(r->name);
    mu_free(r->path);
    mu_free(r->old);
}

static mu_err take_record(const checkpoint_hook *self, mu_runner *runner, const indicator *best, record *r)
{
    char number[24], *name;
    const mu_cfg *old = mu_message_hub_get(runner->hub, best->path_fact);
    snprintf(number, sizeof number, "%" PRId64, self->by_epoch ? runner->epoch : runner->iter);
    if (old) { /* here: the best of a run that this one was resumed from elsewhere is that run's */
        const char *slash = strrchr(mu_cfg_string(old), '/');
        MU_TRY(path_of(self, slash ? slash + 1 : mu_cfg_string(old), &r->old));
    }
    MU_TRY(file_name(self, self->by_epoch, number, &name));
    mu_err err = best_name(best->metric, name, &r->name);
    mu_free(name);
    MU_TRY(err);
    MU_TRY(path_of(self, r->name, &r->path));
    MU_TRY(mu_message_hub_set_f64(runner->hub, best->score_fact, r->score, true));
    MU_TRY(mu_message_hub_set_text(runner->hub, best->path_fact, r->path, true));
    MU_TRY(mu_runner_call(runner, MU_BEFORE_SAVE_CHECKPOINT, NULL));
    return MU_OK;
}

/* r->path stays NULL unless the score is better than all before. */
static mu_err judge(const checkpoint_hook *self, mu_runner *runner, indicator *best, const mu_results *metrics, record *r)
{
    bool more;
    if (!best->metric)
        MU_TRY(resolve_auto(self, best, metrics));
    const double *score = mu_monitor_find(metrics, best->metric);
    if (!score)
        return no_such_metric(best->metric, metrics);
    MU_TRY(mu_monitor_rule(best->metric, best->rule, &self->greater_keys, &self->less_keys, &more));
    const mu_cfg *before = mu_message_hub_get(runner->hub, best->score_fact);
    if (isnan(*score) || (before && !(more ? *score > mu_cfg_float(before) : *score < mu_cfg_float(before))))
        return MU_OK;
    r->score = *score;
    MU_TRY(take_record(self, runner, best, r));
    return MU_OK;
}

/* Weights only. The old one goes, and the log is told, when the new one is whole. */
static mu_err write_best(const checkpoint_hook *self, mu_runner *runner, const indicator *best, const record *r)
{
    char said[512];
    snprintf(said, sizeof said, "The best checkpoint with %.4f %s at %" PRId64 " %s is saved to %s.", r->score, best->metric,
             self->by_epoch ? runner->epoch : runner->iter, self->by_epoch ? "epoch" : "iter", r->name);
    mu_checkpoint_sequel sequel = {.said = said, .obsolete_is = "The previous best checkpoint",
                                   .obsolete = r->old && strcmp(r->old, r->path) != 0 ? r->old : NULL};
    MU_TRY(mu_checkpoint_begin(runner, r->path, (mu_checkpoint_parts){.shards = self->n_shards}, &sequel, self->async_save));
    return MU_OK;
}

static mu_err after_val_epoch(mu_hook *hook, mu_runner *runner, const mu_hook_event *event)
{
    checkpoint_hook *self = (checkpoint_hook *)hook;
    if (!runner->train_loop) /* only a validation */
        return MU_OK;
    for (size_t i = 0; i < self->n_best; i++) {
        record r = {0};
        mu_err err = mu_runner_agree(runner, judge(self, runner, &self->best[i], event->metrics, &r));
        if (!err && r.path)
            err = write_best(self, runner, &self->best[i], &r);
        record_release(&r);
        MU_TRY(err);
    }
    return MU_OK;
}

/* ---- when ---- */

static mu_err choose_folder(checkpoint_hook *self, const mu_runner *runner)
{
    mu_free(self->folder);
    self->folder = NULL;
    if (!self->out_dir)
        return mu_strdup(&self->folder, runner->work_dir);
    size_t n = strlen(runner->work_dir);
    while (n > 1 && runner->work_dir[n - 1] == '/')
        n--;
    size_t first = n;
    while (first > 0 && runner->work_dir[first - 1] != '/')
        first--;
    MU_TRY(mu_asprintf(&self->folder, "%s/%.*s", self->out_dir, (int)(n - first), runner->work_dir + first));
    return mu_runner_is_main(runner) ? mu_make_dirs(self->folder) : MU_OK;
}

/* Under which number the message hub knows this hook: "" for the first CheckpointHook of the run, then "#2". */
static void number_of(const checkpoint_hook *self, const mu_runner *runner, char number[16])
{
    int before = 0;
    for (int i = 0; i < runner->n_hooks && runner->hook[i] != &self->base; i++)
        before += mu_component_of(runner->hook[i]) == &mu_component_checkpoint_hook;
    number[0] = '\0';
    if (before > 0)
        snprintf(number, 16, "#%d", before + 1);
}

static mu_err name_facts(checkpoint_hook *self, const mu_runner *runner)
{
    char number[16];
    number_of(self, runner, number);
    if (self->kept_fact) /* from an earlier training */
        return MU_OK;
    for (size_t i = 0; i < self->n_best; i++) {
        indicator *best = &self->best[i];
        bool several = self->n_best > 1;
        MU_TRY(mu_asprintf(&best->score_fact, "best_score%s%s%s", several ? "_" : "", several ? best->metric : "", number));
        MU_TRY(mu_asprintf(&best->path_fact, "best_ckpt%s%s%s", several ? "_" : "", several ? best->metric : "", number));
    }
    return mu_asprintf(&self->kept_fact, "keep_ckpts%s", number);
}

static mu_err check(const mu_hook *hook, const mu_runner *runner)
{
    const checkpoint_hook *self = (const checkpoint_hook *)hook;
    mu_err err = MU_OK;
    for (size_t i = 0; i < self->n_best && !err; i++)
        if (self->best[i].metric)
            err = mu_monitor_check(runner->val_evaluator, "save_best", self->best[i].metric);
    if (err == MU_ERR_CONFIG) {
        mu_pos pos = mu_cfg_pos(self->save_best);
        mu_error_context("%s:%d:%d", pos.file, pos.line, pos.column);
    }
    return err;
}

static mu_err before_train(mu_hook *hook, mu_runner *runner, const mu_hook_event *event)
{
    checkpoint_hook *self = (checkpoint_hook *)hook;
    (void)event;
    mu_err err = choose_folder(self, runner);
    err = err ? err : name_facts(self, runner);
    MU_TRY(mu_runner_agree(runner, err ? err : check(hook, runner)));
    MU_INFO("run", "Checkpoints will be saved to %s.", self->folder);
    return MU_OK;
}

enum { NO_INTERVAL = INT32_MIN };

/* Is one due after `done` epochs or iterations, of `total`? */
static bool due(const checkpoint_hook *self, int64_t done, int64_t total)
{
    int64_t interval = self->interval == NO_INTERVAL ? (self->by_epoch ? 1 : -1) : self->interval;
    int64_t since = done - self->save_begin;
    return (interval > 0 && since >= 0 && since % interval == 0) || (self->save_last && done == total);
}

static void tell_skipped(checkpoint_hook *self, const mu_runner *runner, const char *number)
{
    if (!self->told && mu_runner_is_main(runner))
        MU_WARN("run", "the checkpoint at %s %s is not begun: it would take until after the stop, which writes one", number,
                self->by_epoch ? "epochs" : "iterations");
    self->told = true;
}

/* Collective. What a stop would have to wait for is left to it; the last one is not. */
static mu_err save_counted(checkpoint_hook *self, mu_runner *runner, int64_t done, int64_t total, int64_t iter)
{
    char number[24];
    MU_TRY(mu_runner_agree(runner, MU_OK));
    snprintf(number, sizeof number, "%" PRId64, done);
    if (runner->stop_comes_first && !runner->stop_reason && done != total) {
        tell_skipped(self, runner, number);
        return MU_OK;
    }
    MU_INFO("run", "Saving checkpoint at %s %s", number, self->by_epoch ? "epochs" : "iterations");
    MU_TRY(save_regular(self, runner, self->by_epoch, number, iter));
    return MU_OK;
}

static mu_err after_train_epoch(mu_hook *hook, mu_runner *runner, const mu_hook_event *event)
{
    checkpoint_hook *self = (checkpoint_hook *)hook;
    (void)event;
    if (self->by_epoch && due(self, runner->epoch + 1, runner->max_epochs))
        MU_TRY(save_counted(self, runner, runner->epoch + 1, runner->max_epochs, runner->iter));
    return MU_OK;
}

static mu_err after_train_iter(mu_hook *hook, mu_runner *runner, const mu_hook_event *event)
{
    checkpoint_hook *self = (checkpoint_hook *)hook;
    (void)event;
    if (!self->by_epoch && due(self, runner->iter + 1, runner->max_iters))
        MU_TRY(save_counted(self, runner, runner->iter + 1, runner->max_iters, runner->iter + 1));
    return MU_OK;
}

static mu_err save_now(const checkpoint_hook *self, mu_runner *runner)
{
    char number[64];
    bool inside = runner->epoch_iter > 0 && runner->epoch_iter < runner->epoch_length, by_epoch = runner->by_epoch && self->by_epoch;
    if (runner->last_saved_iter == runner->iter)
        return MU_OK;
    if (!by_epoch)
        snprintf(number, sizeof number, "%" PRId64, runner->iter);
    else if (inside)
        snprintf(number, sizeof number, "%" PRId64 "_iter_%" PRId64, runner->epoch + 1, runner->iter);
    else
        snprintf(number, sizeof number, "%" PRId64, runner->epoch);
    MU_INFO("run", "Saving checkpoint at %" PRId64 " iterations", runner->iter);
    MU_TRY(save_regular(self, runner, by_epoch, number, runner->iter));
    return MU_OK;
}

/* The last one also when training ended early. */
static mu_err after_train(mu_hook *hook, mu_runner *runner, const mu_hook_event *event)
{
    const checkpoint_hook *self = (const checkpoint_hook *)hook;
    (void)event;
    if (self->save_last && (runner->stopping || (runner->stop_requested && runner->comm->size == 1)))
        MU_TRY(save_now(self, runner));
    return MU_OK;
}

mu_err mu_checkpoint_hook_save_now(mu_runner *runner)
{
    for (int i = 0; i < runner->n_hooks; i++)
        if (mu_component_of(runner->hook[i]) == &mu_component_checkpoint_hook)
            return save_now((const checkpoint_hook *)runner->hook[i], runner);
    if (mu_runner_is_main(runner))
        MU_WARN("run", "without a CheckpointHook nothing is saved");
    return MU_OK;
}

static const mu_option options[] = {
    MU_HOOK_OPTIONS(checkpoint_hook),
    MU_OPTION(checkpoint_hook, interval, MU_OPT_INT, .nullable = true, .int_default = NO_INTERVAL, .bounded_below = true, .min = -1,
              .text_default = "1 by epoch, else -1", .help = "epochs or iterations between checkpoints; -1: never"),
    MU_OPTION(checkpoint_hook, by_epoch, MU_OPT_BOOL, .boolean_default = true, .help = "count epochs; else iterations"),
    MU_OPTION(checkpoint_hook, save_optimizer, MU_OPT_BOOL, .boolean_default = true,
              .help = "keep the optimizer's state: needed to go on"),
    MU_OPTION(checkpoint_hook, save_param_scheduler, MU_OPT_BOOL, .boolean_default = true,
              .help = "keep the schedulers' state: needed to go on"),
    MU_OPTION(checkpoint_hook, out_dir, MU_OPT_STRING, .nullable = true,
              .help = "folder for a folder with the name of work_dir; null: work_dir itself"),
    MU_OPTION(checkpoint_hook, max_keep_ckpts, MU_OPT_INT, .int_default = -1, .bounded_below = true, .min = -1,
              .help = "regular checkpoints that are kept; -1: all"),
    MU_OPTION(checkpoint_hook, save_last, MU_OPT_BOOL, .boolean_default = true, .help = "save at the end, too"),
    MU_OPTION(checkpoint_hook, save_best, MU_OPT_ANY, .nullable = true,
              .help = "metric, or list of metrics, whose best checkpoint is kept; auto: the first"),
    MU_OPTION(checkpoint_hook, rule, MU_OPT_ANY, .nullable = true,
              .help = "greater or less, for all of save_best or a list; null: by the metric's name"),
    MU_OPTION(checkpoint_hook, greater_keys, MU_OPT_STRINGS, .nullable = true,
              .text_default = "[acc, top, AR@, auc, precision, mAP, mDice, mIoU, mAcc, aAcc]",
              .help = "names, or parts of names, of metrics of which more is better"),
    MU_OPTION(checkpoint_hook, less_keys, MU_OPT_STRINGS, .nullable = true, .text_default = "[loss]",
              .help = "the same of which less is better"),
    MU_OPTION(checkpoint_hook, filename_tmpl, MU_OPT_STRING, .nullable = true,
              .help = "name of a checkpoint, with {} for the number; null: epoch_{}.h5 or iter_{}.h5"),
    MU_OPTION(checkpoint_hook, async_save, MU_OPT_BOOL, .boolean_default = true,
              .help = "write in the background: training waits for a copy in memory only"),
    MU_OPTION(checkpoint_hook, shards, MU_OPT_ANY, .nullable = true,
              .help = "files beside an index, or per_rank: as many as ranks; null: one file"),
    MU_OPTION(checkpoint_hook, save_begin, MU_OPT_INT, .bounded_below = true, .min = 0,
              .help = "epoch or iteration at which the first interval begins"),
    MU_OPTION_END,
};

const mu_component mu_component_checkpoint_hook = {
    .kind = "hook",
    .name = "CheckpointHook",
    .doc = "Saves checkpoints at intervals, at the end, and the best by a metric of the validation.",
    .size = sizeof(checkpoint_hook),
    .options = options,
    .create = create,
    .destroy = destroy,
    .ops = &(const mu_hook_ops){.priority = MU_PRIORITY_VERY_LOW,
                                .check = check,
                                .at = {[MU_BEFORE_TRAIN] = before_train,
                                       [MU_AFTER_TRAIN_ITER] = after_train_iter,
                                       [MU_AFTER_TRAIN_EPOCH] = after_train_epoch,
                                       [MU_AFTER_VAL_EPOCH] = after_val_epoch,
                                       [MU_AFTER_TRAIN] = after_train}},
};
