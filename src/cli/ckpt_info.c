#include "cli/ckpt.h"

#include "config/config.h"
#include "core/mem.h"
#include "core/text.h"

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

/* ---- the optimizer: type, steps, learning rates ---- */
typedef struct {
    char *type; /* NULL: the file has none */
    int64_t steps;
    double *lr;
    int64_t n_groups;
} optimizer;

static void optimizer_release(optimizer *o)
{
    mu_free(o->type);
    mu_free(o->lr);
}

static mu_err read_optimizer(const mu_tensor_file *f, optimizer *out)
{
    optimizer o = {0};
    void *lr = NULL;
    int i = mu_tensor_file_find(f, "/optimizer/groups/lr");
    if (i < 0 || mu_tensor_file_at(f, i)->type.dtype != MU_F64) {
        *out = o;
        return MU_OK;
    }
    MU_TRY(mu_tensor_file_i64(f, "/optimizer/steps", &o.steps));
    MU_TRY(cli_ckpt_read(f, i, &lr));
    o.lr = lr;
    o.n_groups = mu_type_count(&mu_tensor_file_at(f, i)->type);
    mu_err err = mu_tensor_file_text(f, "/optimizer/type", &o.type);
    if (err) {
        optimizer_release(&o);
        return err;
    }
    *out = o;
    return MU_OK;
}

static void optimizer_json(mu_text *t, const optimizer *o)
{
    if (!o->type) {
        mu_text_append(t, "null");
        return;
    }
    mu_text_append(t, "{");
    json_text(t, "type", o->type);
    mu_text_printf(t, ", \"steps\": %lld, \"lr\": [", (long long)o->steps);
    for (int64_t g = 0; g < o->n_groups; g++)
        mu_text_printf(t, "%s%.17g", g ? ", " : "", o->lr[g]);
    mu_text_append(t, "]}");
}

static void optimizer_line(mu_text *t, const optimizer *o)
{
    if (!o->type) {
        mu_text_append(t, "  optimizer    none\n");
        return;
    }
    mu_text_printf(t, "  optimizer    %s, %lld steps, lr", o->type, (long long)o->steps);
    for (int64_t g = 0; g < o->n_groups && g < 8; g++)
        mu_text_printf(t, "%s %.6g", g ? "," : "", o->lr[g]);
    mu_text_append(t, o->n_groups > 8 ? ", ...\n" : "\n");
}

/* ---- as JSON ---- */
static mu_err write_json(job *j, const optimizer *o)
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
    optimizer_json(&j->out, o);
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

static void write_text(job *j, const optimizer *o)
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
    optimizer_line(&j->out, o);
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
    optimizer o;
    MU_TRY(read_optimizer(j->file, &o));
    mu_err err = MU_OK;
    if (json)
        err = write_json(j, &o);
    else
        write_text(j, &o);
    optimizer_release(&o);
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
