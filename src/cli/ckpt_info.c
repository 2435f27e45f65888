#include "cli/ckpt.h"

#include "config/config.h"
#include "core/mem.h"
#include "core/text.h"
#include "nn/model.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define WEIGHTS "/state_dict/"

typedef struct {
    const mu_tensor_file *file;
    const mu_cfg *meta;
    mu_text out;
} job;

static bool is_weight(const mu_tensor_entry *e)
{
    return strncmp(e->path, WEIGHTS, strlen(WEIGHTS)) == 0;
}

static void totals(const mu_tensor_file *f, int *n, int64_t *values, int64_t *bytes)
{
    *n = 0, *values = 0, *bytes = 0;
    for (int i = 0; i < mu_tensor_file_count(f); i++) {
        const mu_tensor_entry *e = mu_tensor_file_at(f, i);
        if (!is_weight(e))
            continue;
        ++*n;
        *values += mu_type_count(&e->type);
        *bytes += (int64_t)mu_type_bytes(&e->type);
    }
}

static void json_text(mu_text *t, const char *key, const char *value)
{
    mu_text_printf(t, "\"%s\": ", key);
    mu_text_append_json(t, value, strlen(value));
}

/* ---- the optimizers: type, steps, learning rates, loss scale ---- */
typedef struct {
    const char *part; /* of the model; "": all of it. Not ended: part_length */
    int part_length;
    char *type;
    int64_t steps;
    double *lr;
    int64_t n_groups;
    double loss_scale; /* 0: none */
    int64_t skipped;
} optimizer;

typedef struct {
    optimizer item[MU_MAX_PARTS];
    int n;
} optimizers;

static void optimizers_release(optimizers *list)
{
    for (int i = 0; i < list->n; i++) {
        mu_free(list->item[i].type);
        mu_free(list->item[i].lr);
    }
}

/* Of the learning rates at entry i; the rest lies beside them. */
static mu_err read_optimizer(const mu_tensor_file *f, int i, int folder, optimizer *o)
{
    const mu_tensor_entry *e = mu_tensor_file_at(f, i);
    char path[256];
    void *lr = NULL;
    snprintf(path, sizeof path, "%.*ssteps", folder, e->path);
    MU_TRY(mu_tensor_file_i64(f, path, &o->steps));
    snprintf(path, sizeof path, "%.*sloss_scale", folder, e->path);
    if (mu_tensor_file_find(f, path) >= 0) {
        MU_TRY(mu_tensor_file_f64(f, path, &o->loss_scale));
        snprintf(path, sizeof path, "%.*sskipped_steps", folder, e->path);
        MU_TRY(mu_tensor_file_i64(f, path, &o->skipped));
    }
    snprintf(path, sizeof path, "%.*stype", folder, e->path);
    MU_TRY(mu_tensor_file_text(f, path, &o->type));
    MU_TRY(cli_ckpt_read(f, i, &lr));
    o->lr = lr;
    o->n_groups = mu_type_count(&e->type);
    return MU_OK;
}

/* /optimizer/groups/lr, or /optimizer/<part>/groups/lr for each part. */
static mu_err read_optimizers(const mu_tensor_file *f, optimizers *list)
{
    static const char root[] = "/optimizer/", leaf[] = "groups/lr";
    const int start = sizeof root - 1, end = sizeof leaf - 1;
    for (int i = 0; i < mu_tensor_file_count(f) && list->n < MU_MAX_PARTS; i++) {
        const mu_tensor_entry *e = mu_tensor_file_at(f, i);
        int length = (int)strlen(e->path), folder = length - end;
        if (folder < start || strncmp(e->path, root, (size_t)start) != 0 || strcmp(e->path + folder, leaf) != 0 ||
            e->path[folder - 1] != '/' || e->type.dtype != MU_F64)
            continue;
        optimizer *o = &list->item[list->n++];
        o->part = e->path + start;
        o->part_length = folder > start ? folder - 1 - start : 0;
        MU_TRY(read_optimizer(f, i, folder, o));
    }
    return MU_OK;
}

static void optimizer_json(mu_text *t, const optimizer *o)
{
    mu_text_append(t, "{");
    json_text(t, "type", o->type);
    mu_text_printf(t, ", \"steps\": %lld, \"lr\": [", (long long)o->steps);
    for (int64_t g = 0; g < o->n_groups; g++)
        mu_text_printf(t, "%s%.17g", g ? ", " : "", o->lr[g]);
    mu_text_append(t, "]");
    if (o->loss_scale != 0)
        mu_text_printf(t, ", \"loss_scale\": %.9g, \"skipped_steps\": %lld", o->loss_scale, (long long)o->skipped);
    mu_text_append(t, "}");
}

/* null, the optimizer, or those of the parts by name. */
static void optimizers_json(mu_text *t, const optimizers *list)
{
    bool parts = list->n && list->item[0].part_length;
    mu_text_append(t, !list->n ? "null" : parts ? "{" : "");
    for (int i = 0; i < list->n; i++) {
        if (parts) {
            mu_text_append(t, i ? ", " : "");
            mu_text_append_json(t, list->item[i].part, (size_t)list->item[i].part_length);
            mu_text_append(t, ": ");
        }
        optimizer_json(t, &list->item[i]);
    }
    mu_text_append(t, parts ? "}" : "");
}

static void optimizer_lines(mu_text *t, const optimizers *list)
{
    if (!list->n)
        mu_text_append(t, "  optimizer    none\n");
    for (int i = 0; i < list->n; i++) {
        const optimizer *o = &list->item[i];
        mu_text_printf(t, "  optimizer    %.*s%s%s, %lld steps, lr", o->part_length, o->part, o->part_length ? ": " : "", o->type,
                       (long long)o->steps);
        for (int64_t g = 0; g < o->n_groups && g < 8; g++)
            mu_text_printf(t, "%s %.6g", g ? "," : "", o->lr[g]);
        mu_text_append(t, o->n_groups > 8 ? ", ..." : "");
        if (o->loss_scale != 0)
            mu_text_printf(t, ", loss scale %.6g, %lld skipped", o->loss_scale, (long long)o->skipped);
        mu_text_append(t, "\n");
    }
}

/* ---- as JSON ---- */
static mu_err write_json(job *j, const optimizers *o)
{
    int n;
    int64_t values, bytes;
    char *meta;
    totals(j->file, &n, &values, &bytes);
    MU_TRY(mu_cfg_dump(j->meta, "json", &meta));
    mu_text_append(&j->out, "{");
    json_text(&j->out, "path", mu_tensor_file_path(j->file));
    mu_text_append(&j->out, ", ");
    json_text(&j->out, "uuid", mu_tensor_file_uuid(j->file));
    mu_text_printf(&j->out, ", \"bytes\": %lld, \"shards\": %d, \"meta\": %s, \"optimizer\": ",
                   (long long)mu_tensor_file_bytes(j->file), mu_tensor_file_shards(j->file), meta);
    mu_free(meta);
    optimizers_json(&j->out, o);
    mu_text_printf(&j->out, ", \"values\": %lld, \"parameters\": [", (long long)values);
    for (int i = 0, k = 0; i < mu_tensor_file_count(j->file); i++) {
        const mu_tensor_entry *e = mu_tensor_file_at(j->file, i);
        if (!is_weight(e))
            continue;
        mu_text_append(&j->out, k++ ? ", {" : "{");
        json_text(&j->out, "name", e->path + strlen(WEIGHTS));
        mu_text_printf(&j->out, ", \"dtype\": \"%s\", \"shape\": [", mu_dtype_name(e->type.dtype));
        for (int d = 0; d < e->type.ndim; d++)
            mu_text_printf(&j->out, "%s%lld", d ? ", " : "", (long long)e->type.dim[d]);
        mu_text_append(&j->out, "]}");
    }
    mu_text_append(&j->out, "]}\n");
    return MU_OK;
}

/* ---- as text ---- */
static int64_t number(const job *j, const char *key)
{
    const mu_cfg *value = mu_cfg_get(j->meta, key);
    return value && mu_cfg_kind_of(value) == MU_CFG_INT ? mu_cfg_int(value) : 0;
}

static const char *string(const job *j, const char *key)
{
    const mu_cfg *value = mu_cfg_get(j->meta, key);
    return value && mu_cfg_kind_of(value) == MU_CFG_STRING ? mu_cfg_string(value) : "?";
}

static void place_line(job *j)
{
    mu_text_printf(&j->out, "  epoch        %lld, iteration %lld", (long long)number(j, "epoch"), (long long)number(j, "iter"));
    if (number(j, "epoch_iter") > 0 && number(j, "epoch_length") > 0)
        mu_text_printf(&j->out, ", %lld of %lld batches of the next epoch", (long long)number(j, "epoch_iter"),
                       (long long)number(j, "epoch_length"));
    mu_text_append(&j->out, "\n");
}

static void write_text(job *j, const optimizers *o)
{
    int n;
    int64_t values, bytes;
    totals(j->file, &n, &values, &bytes);
    mu_text_printf(&j->out, "%s\n  uuid         %s\n  size         %lld bytes in %d datasets", mu_tensor_file_path(j->file),
                   mu_tensor_file_uuid(j->file), (long long)mu_tensor_file_bytes(j->file), mu_tensor_file_count(j->file));
    if (mu_tensor_file_shards(j->file) > 0)
        mu_text_printf(&j->out, ", %d %s", mu_tensor_file_shards(j->file), mu_tensor_file_shards(j->file) == 1 ? "shard" : "shards");
    mu_text_append(&j->out, "\n");
    mu_text_printf(&j->out, "  written      %s by Muster %s\n  experiment   %s\n", string(j, "time"), string(j, "version"),
                   string(j, "experiment_name"));
    place_line(j);
    mu_text_printf(&j->out, "  ranks        %lld, batches of %lld, seed %lld\n", (long long)number(j, "world_size"),
                   (long long)number(j, "batch_size"), (long long)number(j, "seed"));
    optimizer_lines(&j->out, o);
    mu_text_printf(&j->out, "  parameters   %d with %lld values, %lld bytes\n", n, (long long)values, (long long)bytes);
    for (int i = 0; i < mu_tensor_file_count(j->file); i++) {
        char type[MU_TYPE_TEXT];
        const mu_tensor_entry *e = mu_tensor_file_at(j->file, i);
        if (is_weight(e))
            mu_text_printf(&j->out, "    %-48s %s\n", e->path + strlen(WEIGHTS), mu_type_format(&e->type, type));
    }
}

static mu_err describe(job *j, bool json)
{
    optimizers list = {0};
    mu_err err = read_optimizers(j->file, &list);
    if (!err && json)
        err = write_json(j, &list);
    else if (!err)
        write_text(j, &list);
    optimizers_release(&list);
    return err ? err : mu_text_status(&j->out);
}

static mu_err show(const char *path, bool json)
{
    mu_tensor_file *file;
    mu_cfg *meta = NULL;
    MU_TRY(cli_ckpt_open(path, &file));
    job j = {.file = file};
    mu_err err = mu_checkpoint_meta(file, &meta);
    j.meta = meta;
    err = err ? err : describe(&j, json);
    if (!err)
        fputs(j.out.data, stdout);
    mu_text_release(&j.out);
    mu_cfg_release(meta);
    mu_tensor_file_release(file);
    return err;
}

/* A folder means the checkpoint that training would go on with. */
static mu_err show_any(const char *path, bool json)
{
    struct stat info;
    char *found = NULL;
    if (stat(path, &info) != 0 || !S_ISDIR(info.st_mode))
        return show(path, json);
    MU_TRY(mu_checkpoint_find(path, &found));
    if (!found)
        return MU_FAIL(MU_ERR_NOT_FOUND, "there is no checkpoint in '%s'", path);
    mu_err err = show(found, json);
    mu_free(found);
    return err;
}

static int run(const cli_command *command, int argc, char **argv)
{
    bool json = false;
    const cli_option options[] = {
        {.name = "json", .flag = &json, .help = "print a JSON object, with the config of the run"},
        {.name = NULL},
    };
    const char *path;
    int n, status = cli_parse(command, options, argc, argv, 1, 1, &path, &n);
    if (status != CLI_GO)
        return status;
    mu_err err = show_any(path, json);
    return err ? cli_fail(err) : 0;
}

const cli_command cli_ckpt_info = {
    .name = "ckpt info",
    .operands = "FILE|WORK_DIR",
    .summary = "Show what a checkpoint holds: where the run was, parameters, optimizer",
    .details = "Of a WORK_DIR the checkpoint is shown with which --resume goes on.",
    .run = run,
};
