/* Putting a run where a checkpoint was taken. */
#include "config/config.h"
#include "core/log.h"
#include "core/mem.h"
#include "runner/checkpoint_impl.h"
#include "runner/own.h"

#include <stdio.h>
#include <string.h>
#include <xxhash.h>

typedef struct {
    mu_runner *runner;
    const mu_tensor_file *file;
    const mu_cfg *meta;
    bool allow_changed, new_schedule, new_dataset;
    char path[1024];
    char *host; /* room for one tensor, used again */
    size_t capacity;
} job;

static mu_err meta_i64(const job *j, const char *key, int64_t *out)
{
    const mu_cfg *value = mu_cfg_get(j->meta, key);
    if (!value || mu_cfg_kind_of(value) != MU_CFG_INT || mu_cfg_int(value) < 0)
        return MU_FAIL(MU_ERR_FORMAT, "'%s', dataset " CKPT_META ": it has no number '%s'", mu_tensor_file_path(j->file), key);
    *out = mu_cfg_int(value);
    return MU_OK;
}

/* ---- is it this run? ---- */

static mu_err refuse_change(void)
{
    return mu_error_hint("keep the config as it was, allow the change with --changed-schedule, or begin anew with its weights: "
                         "--load-from");
}

static mu_err check_schedule(job *j)
{
    const mu_cfg *saved = mu_cfg_get(j->meta, "schedule");
    const char *then = saved && mu_cfg_kind_of(saved) == MU_CFG_STRING ? mu_cfg_string(saved) : "";
    char *now;
    MU_TRY(ckpt_schedule_text(j->runner->cfg, &now));
    j->new_schedule = strcmp(then, now) != 0;
    if (j->new_schedule && !j->allow_changed)
        MU_FAIL(MU_ERR_CONFIG, "'%s' was trained with another schedule:\n  then: %.500s\n  now:  %.500s",
                mu_tensor_file_path(j->file), then, now);
    mu_free(now);
    return j->new_schedule && !j->allow_changed ? refuse_change() : MU_OK;
}

/* Another number of ranks is fine, with the same batch on each or with the same batch in all. */
static mu_err check_batch(job *j)
{
    int64_t batch, ranks, now = mu_loader_batch_size(j->runner->train_loader), world = j->runner->comm->size;
    MU_TRY(meta_i64(j, "batch_size", &batch));
    MU_TRY(meta_i64(j, "world_size", &ranks));
    if (batch * ranks == now * world)
        return MU_OK;
    if (batch != now && !j->allow_changed) {
        MU_FAIL(MU_ERR_CONFIG, "'%s' was trained with batches of %lld on %lld ranks, this run has %lld on %lld",
                mu_tensor_file_path(j->file), (long long)batch, (long long)ranks, (long long)now, (long long)world);
        return refuse_change();
    }
    if (mu_runner_is_main(j->runner))
        MU_WARN("runner", "a step now takes %lld samples, in the checkpoint it took %lld: learning rates stay as they are",
                (long long)(now * world), (long long)(batch * ranks));
    return MU_OK;
}

static mu_err check_dataset(job *j)
{
    mu_cfg *meta = NULL;
    const mu_dataset *dataset = mu_loader_dataset(j->runner->train_loader);
    const mu_cfg *saved = mu_cfg_get(j->meta, "dataset_meta");
    int64_t then, now = mu_dataset_length(dataset);
    MU_TRY(meta_i64(j, "dataset_length", &then));
    j->new_dataset = then != now;
    if (j->new_dataset && !j->allow_changed) {
        MU_FAIL(MU_ERR_CONFIG, "'%s' was trained with a dataset of %lld samples, this one has %lld",
                mu_tensor_file_path(j->file), (long long)then, (long long)now);
        return refuse_change();
    }
    const char *text = mu_dataset_meta(dataset);
    MU_TRY(mu_cfg_parse_json(text, strlen(text), "<dataset>", &meta));
    if ((!saved || !mu_cfg_equal(saved, meta)) && mu_runner_is_main(j->runner))
        MU_WARN("runner", "the dataset's metainfo (its classes) is not that of '%s'", mu_tensor_file_path(j->file));
    mu_cfg_release(meta);
    return MU_OK;
}

/* ---- reading ---- */

static int find(const job *j)
{
    return mu_tensor_file_find(j->file, j->path);
}

static mu_err read_values(job *j, double *out, int n)
{
    int i = find(j);
    mu_type wanted = MU_TYPE(MU_F64, n);
    if (i < 0 || !mu_type_equal(&mu_tensor_file_at(j->file, i)->type, &wanted)) {
        MU_FAIL(MU_ERR_CONFIG, "'%s' has no f64[%d] at %s: its parameters were in other groups", mu_tensor_file_path(j->file),
                n, j->path);
        return mu_error_hint("is it a checkpoint of this config?");
    }
    return mu_tensor_file_read(j->file, i, out, (size_t)n * sizeof *out);
}

static mu_err read_tensor(job *j, const mu_type *type, void *host)
{
    int i = find(j);
    if (i < 0 || !mu_type_equal(&mu_tensor_file_at(j->file, i)->type, type)) {
        MU_FAIL(MU_ERR_CONFIG, "'%s' has no dataset %s that fits", mu_tensor_file_path(j->file), j->path);
        return mu_error_hint("is it a checkpoint of this config's model and optimizer?");
    }
    return mu_tensor_file_read(j->file, i, host, mu_type_bytes(type));
}

typedef mu_err param_reader(job *j, const mu_param_info *info, const char *prefix, void *host);

/* Every trained parameter's part of an arena. */
static mu_err read_arena(job *j, param_reader *read, const char *prefix, const char *part, void *arena)
{
    mu_params *params = mu_model_params(j->runner->model);
    for (int p = 0; p < mu_params_count(params); p++) {
        const mu_param_info *info = mu_params_at(params, p);
        if (!ckpt_is_trained(info, part))
            continue;
        MU_TRY(mu_grow(&j->host, &j->capacity, mu_type_bytes(&info->type), 1));
        MU_TRY(read(j, info, prefix, j->host));
        MU_TRY(mu_params_arena_write(params, arena, info->name, j->host));
    }
    return MU_OK;
}

static mu_err read_state(job *j, const mu_param_info *info, const char *prefix, void *host)
{
    snprintf(j->path, sizeof j->path, "%s%s", prefix, info->name);
    return read_tensor(j, &info->type, host);
}

/* Adds what rank r had accumulated to sum [count]. `host` is overwritten. */
static mu_err add_rank(job *j, const mu_param_info *info, int64_t r, void *host, double *part, double *sum)
{
    int64_t count = mu_type_count(&info->type);
    snprintf(j->path, sizeof j->path, CKPT_OPTIMIZER "accumulated/rank_%lld/%s", (long long)r, info->name);
    MU_TRY(read_tensor(j, &info->type, host));
    mu_convert(part, MU_F64, host, info->type.dtype, count);
    for (int64_t k = 0; k < count; k++)
        sum[k] += part[k];
    return MU_OK;
}

/* The mean over the ranks that there were: the next update, a mean over the ranks, comes to the same. */
static mu_err read_mean(job *j, const mu_param_info *info, const char *prefix, void *host)
{
    int64_t count = mu_type_count(&info->type), ranks = 0;
    double *sum = NULL, *part = NULL;
    mu_err err;
    (void)prefix;
    MU_TRY(meta_i64(j, "world_size", &ranks));
    MU_TRY_GOTO(err, mu_calloc(&sum, (size_t)count, sizeof *sum), done);
    MU_TRY_GOTO(err, mu_calloc(&part, (size_t)count, sizeof *part), done);
    for (int64_t r = 0; !err && r < ranks; r++)
        err = add_rank(j, info, r, host, part, sum);
    for (int64_t k = 0; k < count; k++)
        sum[k] /= (double)ranks;
    mu_convert(host, info->type.dtype, sum, MU_F64, count);
done:
    mu_free(part);
    mu_free(sum);
    return err;
}

static mu_err read_groups(job *j, const ckpt_optim *o)
{
    int n = mu_optim_n_groups(o->optim);
    double *value;
    mu_err err = MU_OK;
    MU_TRY(mu_calloc(&value, (size_t)n, sizeof *value));
    for (int f = 0; !err && f < CKPT_N_FIELDS; f++) {
        snprintf(j->path, sizeof j->path, "%sgroups/%s", o->folder, ckpt_fields[f].name);
        err = read_values(j, value, n);
        for (int g = 0; !err && g < n; g++)
            memcpy((char *)mu_optim_group_at(o->optim, g) + ckpt_fields[f].offset, &value[g], sizeof *value);
    }
    mu_free(value);
    return err;
}

static mu_err check_type(job *j, const char *path, const void *object)
{
    char *type;
    MU_TRY(mu_tensor_file_text(j->file, path, &type));
    const char *now = mu_component_of(object)->name;
    mu_err err = MU_OK;
    if (strcmp(type, now) != 0)
        err = MU_FAIL(MU_ERR_CONFIG, "'%s' was trained with %.60s, the config has %s", mu_tensor_file_path(j->file), type, now);
    mu_free(type);
    return err;
}

static mu_err read_states(job *j, const ckpt_optim *o)
{
    for (int i = 0; i < mu_optim_n_states(o->optim); i++) {
        char prefix[CKPT_FOLDER + 128];
        snprintf(prefix, sizeof prefix, "%sstate/%s/", o->folder, mu_optim_state_name(o->optim, i));
        MU_TRY(read_arena(j, read_state, prefix, o->part, mu_optim_state(o->optim, i)));
    }
    return MU_OK;
}

/* Is a path of this prefix in the file? */
static bool has_any(const job *j, const char *prefix)
{
    size_t n = strlen(prefix);
    for (int i = 0; i < mu_tensor_file_count(j->file); i++)
        if (strncmp(mu_tensor_file_at(j->file, i)->path, prefix, n) == 0)
            return true;
    return false;
}

/* Each rank goes on with its own sums, or all with their mean when there were others, or each has a piece. */
static mu_err read_accumulated(job *j)
{
    int64_t count = 0, ranks = 0, found;
    char prefix[64];
    if (mu_tensor_file_find(j->file, CKPT_OPTIMIZER "accumulated_batches") < 0)
        return MU_OK;
    MU_TRY(mu_tensor_file_i64(j->file, CKPT_OPTIMIZER "accumulated_batches", &count));
    MU_TRY(meta_i64(j, "world_size", &ranks));
    MU_TRY(mu_parallel_set_accumulated(j->runner->parallel, count));
    void *arena = mu_parallel_accumulated(j->runner->parallel, &found);
    if (has_any(j, CKPT_ACCUMULATED_MEAN))
        return read_arena(j, read_state, CKPT_ACCUMULATED_MEAN, NULL, arena);
    bool own = ranks == j->runner->comm->size && mu_params_sharing_of(mu_model_params(j->runner->model))->stage < MU_SHARD_GRADIENTS;
    snprintf(prefix, sizeof prefix, CKPT_OPTIMIZER "accumulated/rank_%d/", j->runner->comm->rank);
    return read_arena(j, own ? read_state : read_mean, prefix, NULL, arena);
}

/* The steps are in `control`. A checkpoint without a loss scale leaves it as it begins. */
static mu_err read_control(job *j, const ckpt_optim *o, double control[MU_CONTROL_N])
{
    int64_t growth, skipped;
    snprintf(j->path, sizeof j->path, "%sloss_scale", o->folder);
    if (find(j) >= 0) {
        MU_TRY(mu_tensor_file_f64(j->file, j->path, &control[MU_CONTROL_LOSS_SCALE]));
        snprintf(j->path, sizeof j->path, "%sloss_scale_growth", o->folder);
        MU_TRY(mu_tensor_file_i64(j->file, j->path, &growth));
        snprintf(j->path, sizeof j->path, "%sskipped_steps", o->folder);
        MU_TRY(mu_tensor_file_i64(j->file, j->path, &skipped));
        control[MU_CONTROL_GROWTH] = (double)growth;
        control[MU_CONTROL_SKIPPED] = (double)skipped;
    }
    return mu_optim_write_control(o->optim, control);
}

static mu_err read_optimizer(job *j, const ckpt_optim *o)
{
    int64_t steps;
    double control[MU_CONTROL_N];
    char path[CKPT_FOLDER + 16];
    snprintf(path, sizeof path, "%ssteps", o->folder);
    if (mu_tensor_file_find(j->file, path) < 0) {
        MU_FAIL(MU_ERR_CONFIG, "'%s' holds no optimizer%s%s: training cannot go on from it", mu_tensor_file_path(j->file),
                o->part ? " of part " : "", o->part ? o->part : "");
        return mu_error_hint("it may be given as --load-from");
    }
    MU_TRY(mu_tensor_file_i64(j->file, path, &steps));
    snprintf(path, sizeof path, "%stype", o->folder);
    MU_TRY(check_type(j, path, o->optim));
    MU_TRY(mu_optim_read_control(o->optim, control));
    control[MU_CONTROL_STEPS] = (double)steps;
    MU_TRY(read_control(j, o, control));
    MU_TRY(read_states(j, o));
    return j->new_schedule ? MU_OK : read_groups(j, o);
}

static mu_err read_optimizers(job *j)
{
    for (int i = 0; i < ckpt_n_optims(j->runner); i++) {
        ckpt_optim o;
        ckpt_optim_at(j->runner, i, &o);
        MU_TRY(read_optimizer(j, &o));
    }
    return read_accumulated(j);
}

static mu_err read_scheduler(job *j, int i)
{
    int64_t step;
    double *base;
    mu_scheduler *scheduler = j->runner->scheduler[i];
    int n_groups = mu_optim_n_groups(scheduler->optim);
    snprintf(j->path, sizeof j->path, CKPT_SCHEDULERS "%d/type", i);
    MU_TRY(check_type(j, j->path, scheduler));
    snprintf(j->path, sizeof j->path, CKPT_SCHEDULERS "%d/step", i);
    MU_TRY(mu_tensor_file_i64(j->file, j->path, &step));
    snprintf(j->path, sizeof j->path, CKPT_SCHEDULERS "%d/base", i);
    MU_TRY(mu_calloc(&base, (size_t)n_groups, sizeof *base));
    mu_err err = read_values(j, base, n_groups);
    if (!err)
        mu_scheduler_restore(scheduler, step, base);
    mu_free(base);
    MU_TRY(err);
    return MU_OK;
}

static mu_err read_schedulers(job *j)
{
    for (int i = 0; i < j->runner->n_schedulers; i++)
        MU_TRY(read_scheduler(j, i));
    return MU_OK;
}

/* A new schedule runs through what has been done. */
static void replay_schedule(mu_runner *r)
{
    int64_t length = r->by_epoch ? mu_loader_length(r->train_loader) : 0;
    for (int64_t iter = 1; iter <= r->iter; iter++) {
        for (int i = 0; i < r->n_schedulers; i++)
            mu_scheduler_step(r->scheduler[i], false);
        for (int i = 0; length > 0 && iter % length == 0 && i < r->n_schedulers; i++)
            mu_scheduler_step(r->scheduler[i], true);
    }
}

/* A checkpoint that was taken after an epoch's last batch, and before what an epoch's end brings. */
static void catch_up(mu_runner *r)
{
    for (int i = 0; i < r->n_schedulers; i++)
        if (mu_scheduler_by_epoch(r->scheduler[i]) && r->scheduler[i]->step < r->epoch)
            mu_scheduler_step(r->scheduler[i], true);
}

static mu_err read_hub(job *j)
{
    char *json;
    MU_TRY(mu_tensor_file_text(j->file, CKPT_HUB, &json));
    mu_err err = mu_message_hub_restore(j->runner->hub, json);
    mu_free(json);
    return err;
}

/* Weights that were averaged are trained further on their own. */
static mu_err read_weights(job *j)
{
    mu_load_report report;
    const mu_runner *r = j->runner;
    bool kept = mu_tensor_file_find(j->file, CKPT_EMA_STEPS) >= 0;
    if (r->average && !kept && mu_runner_is_main(r))
        MU_WARN("runner", "there is no ema_state_dict in '%s': the average begins as a copy of its weights", mu_tensor_file_path(j->file));
    if (!r->average && kept && mu_runner_is_main(r))
        MU_WARN("runner", "the weights of '%s' are an average: without an EMAHook training goes on from that, not from the model's own",
                mu_tensor_file_path(j->file));
    MU_TRY(mu_checkpoint_load_weights(j->file, r->model, true, NULL, NULL, NULL, 0, &report));
    return ckpt_load_average(j->file, j->runner);
}

/* ---- where the run is ---- */

/* The stream's order and the randomness of transforms follow from the seed: that of the checkpoint counts. */
static mu_err adopt_seed(job *j)
{
    mu_runner *r = j->runner;
    int64_t seed;
    MU_TRY(meta_i64(j, "seed", &seed));
    if ((uint64_t)seed == r->seed)
        return MU_OK;
    if (mu_cfg_find(r->cfg, "randomness.seed") && mu_runner_is_main(r))
        MU_WARN("runner", "the seed is %lld, as in the checkpoint, not %llu", (long long)seed, (unsigned long long)r->seed);
    r->seed = (uint64_t)seed;
    mu_loader *other = r->train_loader;
    MU_TRY(mu_runner_build_loader(r, MU_PHASE_TRAIN));
    mu_loader_release(other);
    return MU_OK;
}

static bool is_endless(const mu_runner *r)
{
    return ((const mu_sampler_ops *)mu_component_of(mu_loader_sampler(r->train_loader))->ops)->endless;
}

/* Batches done of the epoch follow from those left: at another world size they are others than they were. */
static int64_t epoch_iter_of(const mu_runner *r, mu_cursor cursor)
{
    int64_t length = mu_loader_length(r->train_loader);
    int64_t global = mu_loader_batch_size(r->train_loader) * r->comm->size;
    return is_endless(r) ? cursor.position / global % length : length - mu_loader_remaining(r->train_loader);
}

/* The iterations that are done may have been of epochs with another number of them, those that are left are of this run's. */
static mu_err find_end(mu_runner *r)
{
    int64_t left = 0;
    if (r->epoch < r->max_epochs)
        MU_TRY(mu_mul_i64(r->max_epochs - r->epoch, mu_loader_length(r->train_loader), &left));
    if (__builtin_add_overflow(r->iter, left - r->epoch_iter, &r->max_iters))
        return MU_FAIL(MU_ERR_OVERFLOW, "%lld iterations and %lld more are too many", (long long)r->iter, (long long)left);
    return MU_OK;
}

static mu_err read_place(job *j)
{
    mu_runner *r = j->runner;
    mu_cursor cursor;
    MU_TRY(meta_i64(j, "epoch", &r->epoch));
    MU_TRY(meta_i64(j, "iter", &r->iter));
    MU_TRY(meta_i64(j, "epoch_iter", &r->epoch_iter));
    r->iters_done = r->last_saved_iter = r->iter;
    MU_TRY(mu_tensor_file_i64(j->file, CKPT_LOADER "epoch", &cursor.epoch));
    MU_TRY(mu_tensor_file_i64(j->file, CKPT_LOADER "position", &cursor.position));
    if (j->new_dataset) {
        cursor.position = 0;
        r->epoch_iter = 0;
    }
    MU_TRY(mu_loader_seek(r->train_loader, cursor));
    if (!r->by_epoch)
        return MU_OK;
    if (r->epoch_iter > 0)
        r->epoch_iter = epoch_iter_of(r, cursor);
    return find_end(r);
}

static mu_err check_loop(const job *j)
{
    const mu_cfg *by_epoch = mu_cfg_get(j->meta, "by_epoch");
    bool then = by_epoch && mu_cfg_kind_of(by_epoch) == MU_CFG_BOOL && mu_cfg_bool(by_epoch);
    if (then == j->runner->by_epoch)
        return MU_OK;
    return MU_FAIL(MU_ERR_CONFIG, "'%s' was trained by %s, train_cfg now counts %s", mu_tensor_file_path(j->file),
                   then ? "epochs" : "iterations", j->runner->by_epoch ? "epochs" : "iterations");
}

static mu_err restore(job *j)
{
    MU_TRY(check_loop(j));
    MU_TRY(check_schedule(j));
    MU_TRY(check_batch(j));
    MU_TRY(check_dataset(j));
    MU_TRY(adopt_seed(j));
    MU_TRY(read_weights(j));
    MU_TRY(read_optimizers(j));
    MU_TRY(read_place(j));
    if (j->new_schedule)
        replay_schedule(j->runner);
    else
        MU_TRY(read_schedulers(j));
    if (j->runner->by_epoch)
        catch_up(j->runner);
    return read_hub(j);
}

static mu_err resume(mu_runner *runner, const char *path, bool allow_changed_schedule, uint64_t *fingerprint)
{
    mu_tensor_file *file;
    mu_cfg *meta = NULL;
    MU_TRY(mu_tensor_file_open(path, MU_CHECKPOINT_FORMAT, MU_CHECKPOINT_VERSION, &file));
    mu_err err = mu_checkpoint_meta(file, &meta);
    if (!err) {
        job j = {.runner = runner, .file = file, .meta = meta, .allow_changed = allow_changed_schedule};
        err = restore(&j);
        mu_free(j.host);
    }
    *fingerprint = XXH3_64bits(mu_tensor_file_uuid(file), strlen(mu_tensor_file_uuid(file)));
    mu_cfg_release(meta);
    mu_tensor_file_release(file);
    return err;
}

/* Ranks may see other files under the same name, where a folder is not shared. */
mu_err mu_checkpoint_resume(mu_runner *runner, const char *path, bool allow_changed_schedule)
{
    uint64_t fingerprint = 0;
    mu_err err = mu_comm_agree(runner->comm, resume(runner, path, allow_changed_schedule, &fingerprint));
    err = err ? err : mu_comm_check_same(runner->comm, path, fingerprint);
    return mu_runner_agreed(runner, err);
}
