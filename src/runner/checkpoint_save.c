/* Writing the state of a run. */
#include "config.h"

#include "config/config.h"
#include "core/clock.h"
#include "core/mem.h"
#include "core/text.h"
#include "runner/checkpoint_impl.h"

#include <stdio.h>
#include <string.h>

typedef ckpt_origin origin;

typedef struct {
    mu_runner *runner;
    mu_tensor_writer *writer;
    mu_params *params;
    ckpt_copy *copy; /* NULL: everything is waited for */
    origin *origin;
    size_t n_origins;
    char path[1024];
    double *values; /* of groups, schedulers: kept until the end */
    size_t used_values;
} job;

/* ---- the copy: every tensor of the store passes here ---- */

/* Collective. Parameter i's part of an arena into host[i] of rank owner[i]; owner -1: not wanted. */
static mu_err collect_arena(mu_params *params, void *arena, mu_comm *comm, const int *owner, void *const *host)
{
    mu_err err = MU_OK;
    for (int i = 0; i < mu_params_count(params) && !err; i++) {
        const mu_param_info *info = mu_params_at(params, i);
        if (owner[i] != comm->rank || info->trainable)
            continue;
        err = arena ? mu_params_arena_read(params, arena, info->name, host[i]) : mu_params_read(params, info->name, host[i]);
    }
    MU_TRY(mu_comm_agree(comm, err));
    MU_TRY(mu_params_collect(params, arena, comm, owner, host));
    return MU_OK;
}

/* Slots from `first` on that are of one arena, each parameter once; sets owner and host [mu_params_count]. */
static int next_group(const mu_tensor_slot *slot, int first, int n, int n_params, int *owner, void **host)
{
    const origin *begin = slot[first].tag;
    for (int i = 0; i < n_params; i++) {
        owner[i] = -1;
        host[i] = NULL;
    }
    for (int k = first; k < n; k++) {
        const origin *o = slot[k].tag;
        if (o->arena != begin->arena || owner[o->param] >= 0)
            return k;
        owner[o->param] = slot[k].owner;
        host[o->param] = slot[k].host;
    }
    return n;
}

static mu_err collect(void *user, mu_comm *comm, const mu_tensor_slot *slot, int n)
{
    mu_params *params = user;
    int n_params = mu_params_count(params), *owner;
    void **host = NULL;
    mu_err err = mu_calloc(&owner, (size_t)n_params, sizeof *owner);
    err = mu_comm_agree(comm, err ? err : mu_calloc(&host, (size_t)n_params, sizeof *host));
    for (int k = 0; !err && k < n;) {
        void *arena = ((const origin *)slot[k].tag)->arena;
        k = next_group(slot, k, n, n_params, owner, host);
        err = collect_arena(params, arena, comm, owner, host);
    }
    mu_free(host);
    mu_free(owner);
    return err;
}

/* ---- what there is ---- */
static mu_err set_path(job *j, const char *prefix, const char *name)
{
    if ((size_t)snprintf(j->path, sizeof j->path, "%s%s", prefix, name) >= sizeof j->path)
        return MU_FAIL(MU_ERR_UNSUPPORTED, "the name '%.80s...' is too long for a checkpoint", name);
    return MU_OK;
}

/* rank < 0: alike on all. */
static mu_err add_tensor(job *j, const char *prefix, int param, void *arena, int rank)
{
    const mu_param_info *info = mu_params_at(j->params, param);
    origin *o = &j->origin[j->n_origins++];
    *o = (origin){.arena = arena, .param = param};
    MU_TRY(set_path(j, prefix, info->name));
    return mu_tensor_writer_add_collected(j->writer, j->path, info->type, rank, o);
}

/* Every rank has running statistics of its own; rank 0's count. */
static mu_err add_weights(job *j)
{
    const mu_averaged_model *average = j->runner->average;
    for (int i = 0; i < mu_params_count(j->params); i++)
        if (mu_param_is_weight(mu_params_at(j->params, i)->name))
            MU_TRY(add_tensor(j, CKPT_WEIGHTS, i, average ? mu_averaged_model_arena(average, i) : NULL, mu_params_at(j->params, i)->trainable ? -1 : 0));
    return MU_OK;
}

static mu_err add_own_weights(job *j)
{
    const mu_averaged_model *average = j->runner->average;
    if (!average)
        return MU_OK;
    MU_TRY(mu_tensor_writer_i64(j->writer, CKPT_EMA_STEPS, mu_averaged_model_steps(average)));
    for (int i = 0; i < mu_params_count(j->params); i++)
        if (mu_param_is_weight(mu_params_at(j->params, i)->name))
            MU_TRY(add_tensor(j, CKPT_EMA_WEIGHTS, i, mu_averaged_model_own_arena(average, i), mu_params_at(j->params, i)->trainable ? -1 : 0));
    return MU_OK;
}

static mu_err add_trained(job *j, const char *prefix, const char *part, void *arena, int rank)
{
    for (int i = 0; i < mu_params_count(j->params); i++)
        if (ckpt_is_trained(mu_params_at(j->params, i), part))
            MU_TRY(add_tensor(j, prefix, i, arena, rank));
    return MU_OK;
}

static mu_err add_groups(job *j, const ckpt_optim *o)
{
    char folder[CKPT_FOLDER + 16];
    int n = mu_optim_n_groups(o->optim);
    snprintf(folder, sizeof folder, "%sgroups/", o->folder);
    for (int f = 0; f < CKPT_N_FIELDS; f++) {
        double *value = j->values + j->used_values;
        j->used_values += (size_t)n;
        for (int g = 0; g < n; g++)
            memcpy(&value[g], (const char *)mu_optim_group_at(o->optim, g) + ckpt_fields[f].offset, sizeof *value);
        MU_TRY(set_path(j, folder, ckpt_fields[f].name));
        MU_TRY(mu_tensor_writer_add(j->writer, j->path, MU_TYPE(MU_F64, n), NULL, value));
    }
    return MU_OK;
}

static mu_err add_states(job *j, const ckpt_optim *o)
{
    for (int i = 0; i < mu_optim_n_states(o->optim); i++) {
        char prefix[CKPT_FOLDER + 128];
        snprintf(prefix, sizeof prefix, "%sstate/%s/", o->folder, mu_optim_state_name(o->optim, i));
        MU_TRY(add_trained(j, prefix, o->part, mu_optim_state(o->optim, i), -1));
    }
    return MU_OK;
}

/* Each rank's own sums; where they are pieces of their mean, that. */
static mu_err add_accumulated(job *j)
{
    int64_t count = 0;
    void *arena = mu_parallel_accumulated(j->runner->parallel, &count);
    if (!arena || count == 0)
        return MU_OK;
    MU_TRY(mu_tensor_writer_i64(j->writer, CKPT_OPTIMIZER "accumulated_batches", count));
    if (mu_params_sharing_of(j->params)->stage >= MU_SHARD_GRADIENTS)
        return add_trained(j, CKPT_ACCUMULATED_MEAN, NULL, arena, -1);
    for (int r = 0; r < j->runner->comm->size; r++) {
        char prefix[64];
        snprintf(prefix, sizeof prefix, CKPT_OPTIMIZER "accumulated/rank_%d/", r);
        MU_TRY(add_trained(j, prefix, NULL, arena, r));
    }
    return MU_OK;
}

/* Steps, and how the loss scale stands, where there is one. */
static mu_err add_control(job *j, const ckpt_optim *o)
{
    double control[MU_CONTROL_N];
    MU_TRY(mu_optim_read_control(o->optim, control));
    MU_TRY(set_path(j, o->folder, "steps"));
    MU_TRY(mu_tensor_writer_i64(j->writer, j->path, (int64_t)control[MU_CONTROL_STEPS]));
    if (control[MU_CONTROL_LOSS_SCALE] == 1 && control[MU_CONTROL_SKIPPED] == 0)
        return MU_OK;
    MU_TRY(set_path(j, o->folder, "loss_scale"));
    MU_TRY(mu_tensor_writer_f64(j->writer, j->path, control[MU_CONTROL_LOSS_SCALE]));
    MU_TRY(set_path(j, o->folder, "loss_scale_growth"));
    MU_TRY(mu_tensor_writer_i64(j->writer, j->path, (int64_t)control[MU_CONTROL_GROWTH]));
    MU_TRY(set_path(j, o->folder, "skipped_steps"));
    return mu_tensor_writer_i64(j->writer, j->path, (int64_t)control[MU_CONTROL_SKIPPED]);
}

static mu_err add_optimizer(job *j, const ckpt_optim *o)
{
    MU_TRY(set_path(j, o->folder, "type"));
    MU_TRY(mu_tensor_writer_text(j->writer, j->path, mu_component_of(o->optim)->name));
    MU_TRY(add_control(j, o));
    MU_TRY(add_groups(j, o));
    return add_states(j, o);
}

static mu_err add_optimizers(job *j)
{
    for (int i = 0; i < ckpt_n_optims(j->runner); i++) {
        ckpt_optim o;
        ckpt_optim_at(j->runner, i, &o);
        MU_TRY(add_optimizer(j, &o));
    }
    return add_accumulated(j);
}

static mu_err add_schedulers(job *j)
{
    for (int i = 0; i < j->runner->n_schedulers; i++) {
        const mu_scheduler *s = j->runner->scheduler[i];
        int n_groups = mu_optim_n_groups(s->optim);
        double *base = j->values + j->used_values;
        j->used_values += (size_t)n_groups;
        memcpy(base, s->base, (size_t)n_groups * sizeof *base);
        snprintf(j->path, sizeof j->path, CKPT_SCHEDULERS "%d/type", i);
        MU_TRY(mu_tensor_writer_text(j->writer, j->path, mu_component_of(s)->name));
        snprintf(j->path, sizeof j->path, CKPT_SCHEDULERS "%d/step", i);
        MU_TRY(mu_tensor_writer_i64(j->writer, j->path, s->step));
        snprintf(j->path, sizeof j->path, CKPT_SCHEDULERS "%d/base", i);
        MU_TRY(mu_tensor_writer_add(j->writer, j->path, MU_TYPE(MU_F64, n_groups), NULL, base));
    }
    return MU_OK;
}

static mu_err add_hub(job *j)
{
    char *json;
    MU_TRY(mu_message_hub_dump(j->runner->hub, CKPT_HISTORY, &json));
    mu_err err = mu_tensor_writer_text(j->writer, CKPT_HUB, json);
    mu_free(json);
    return err;
}

/* Where the run is. An epoch that is done is told as the beginning of the next. */
typedef struct {
    int64_t epoch, epoch_iter;
    mu_cursor cursor;
} place;

static place place_of(const mu_runner *r)
{
    place at = {.epoch = r->epoch, .epoch_iter = r->epoch_iter};
    if (!r->train_loader)
        return at;
    if (!r->by_epoch) {
        at.cursor = mu_loader_cursor(r->train_loader);
        return at;
    }
    if (r->epoch_iter > 0 && r->epoch_iter < mu_loader_length(r->train_loader)) {
        at.cursor = mu_loader_cursor(r->train_loader);
        return at;
    }
    at.epoch += r->epoch_iter > 0;
    at.epoch_iter = 0;
    at.cursor = (mu_cursor){.epoch = at.epoch};
    return at;
}

static mu_err add_loader(job *j, const place *at)
{
    MU_TRY(mu_tensor_writer_i64(j->writer, CKPT_LOADER "epoch", at->cursor.epoch));
    return mu_tensor_writer_i64(j->writer, CKPT_LOADER "position", at->cursor.position);
}

static void meta_text(mu_text *text, const char *key, const char *value)
{
    mu_text_printf(text, "\"%s\": ", key);
    mu_text_append_json(text, value, strlen(value));
    mu_text_append(text, ",\n ");
}

static void meta_i64(mu_text *text, const char *key, int64_t value)
{
    mu_text_printf(text, "\"%s\": %lld,\n ", key, (long long)value);
}

/* Copied into the text; freed here. */
static mu_err meta_config(mu_text *text, const mu_runner *r)
{
    char *config, *schedule;
    MU_TRY(mu_config_dump(r->config, "yaml", &config));
    meta_text(text, "config", config);
    mu_free(config);
    MU_TRY(ckpt_schedule_text(r->cfg, &schedule));
    meta_text(text, "schedule", schedule);
    mu_free(schedule);
    return MU_OK;
}

static mu_err make_meta(const mu_runner *r, const place *at, mu_text *text)
{
    char time[64];
    mu_text_append(text, "{");
    meta_i64(text, "epoch", at->epoch);
    meta_i64(text, "iter", r->iters_done);
    meta_i64(text, "epoch_iter", at->epoch_iter);
    meta_i64(text, "seed", (int64_t)r->seed);
    meta_i64(text, "world_size", r->comm->size);
    meta_text(text, "experiment_name", r->experiment_name ? r->experiment_name : "");
    meta_text(text, "time", mu_wall_format(mu_wall_time(), "%Y-%m-%dT%H:%M:%S%z", time, sizeof time));
    meta_text(text, "version", PACKAGE_VERSION);
    mu_text_printf(text, "\"by_epoch\": %s,\n ", r->by_epoch ? "true" : "false");
    if (r->train_loader) {
        const mu_dataset *dataset = mu_loader_dataset(r->train_loader);
        meta_i64(text, "batch_size", mu_loader_batch_size(r->train_loader));
        meta_i64(text, "epoch_length", mu_loader_length(r->train_loader));
        meta_i64(text, "dataset_length", mu_dataset_length(dataset));
        mu_text_printf(text, "\"dataset_meta\": %s,\n ", mu_dataset_meta(dataset));
    }
    MU_TRY(meta_config(text, r));
    mu_text_append(text, "\"format\": \"" MU_CHECKPOINT_FORMAT "\"}\n");
    return MU_OK;
}

static mu_err add_meta(job *j, const place *at)
{
    mu_text text = {0};
    mu_err err = make_meta(j->runner, at, &text);
    err = err ? err : mu_text_status(&text);
    err = err ? err : mu_tensor_writer_text(j->writer, CKPT_META, text.data);
    mu_text_release(&text);
    return err;
}

static mu_err declare(job *j, mu_checkpoint_parts parts)
{
    mu_runner *r = j->runner;
    place at = place_of(r);
    size_t n_params = (size_t)mu_params_count(j->params), n_groups = 0;
    size_t kinds = 1 + (r->average != NULL) + (r->optim ? (size_t)r->comm->size : 0);
    for (int i = 0; i < ckpt_n_optims(r); i++) {
        ckpt_optim o;
        ckpt_optim_at(r, i, &o);
        kinds += (size_t)mu_optim_n_states(o.optim);
        n_groups += (size_t)mu_optim_n_groups(o.optim);
    }
    MU_TRY(mu_tensor_writer_new(MU_CHECKPOINT_FORMAT, MU_CHECKPOINT_VERSION, &j->writer));
    mu_tensor_writer_set_collect(j->writer, collect, j->params);
    if (j->copy)
        mu_tensor_writer_set_late(j->writer, ckpt_copy_begin, ckpt_copy_wait, j->copy);
    MU_TRY(mu_calloc(&j->origin, n_params * kinds, sizeof *j->origin));
    MU_TRY(mu_calloc(&j->values, n_groups * (CKPT_N_FIELDS + (size_t)r->n_schedulers), sizeof *j->values));
    MU_TRY(add_meta(j, &at));
    MU_TRY(add_weights(j));
    MU_TRY(add_own_weights(j));
    if (parts.optimizer && r->optim)
        MU_TRY(add_optimizers(j));
    if (parts.schedulers && r->optim)
        MU_TRY(add_schedulers(j));
    MU_TRY(add_hub(j));
    return r->train_loader ? add_loader(j, &at) : MU_OK;
}

/* Collective. */
static mu_err prepare(job *j, mu_checkpoint_parts parts)
{
    int n = parts.shards == MU_SHARDS_PER_RANK ? j->runner->comm->size : parts.shards;
    if (j->runner->late)
        MU_TRY(mu_runner_agree(j->runner, mu_runner_values(j->runner)));
    mu_err err = declare(j, parts);
    return mu_comm_agree(j->runner->comm, err ? err : mu_tensor_writer_set_shards(j->writer, n));
}

static void job_release(job *j)
{
    mu_tensor_writer_release(j->writer);
    mu_free(j->values);
    mu_free(j->origin);
}

mu_err ckpt_snapshot(mu_runner *runner, const char *path, mu_checkpoint_parts parts, mu_tensor_room *room, ckpt_copy *copy,
                     mu_tensor_snapshot **out)
{
    job j = {.runner = runner, .params = mu_model_params(runner->model), .copy = copy};
    mu_err err = prepare(&j, parts);
    err = err ? err : mu_tensor_writer_snapshot(j.writer, runner->comm, path, room, out);
    job_release(&j);
    return err;
}

mu_err mu_checkpoint_save(mu_runner *runner, const char *path, mu_checkpoint_parts parts, int64_t *bytes)
{
    job j = {.runner = runner, .params = mu_model_params(runner->model)};
    MU_TRY(mu_checkpoint_wait(runner));
    mu_err err = prepare(&j, parts);
    err = err ? err : mu_tensor_writer_write(j.writer, runner->comm, path, bytes);
    job_release(&j);
    return mu_runner_agreed(runner, err);
}
