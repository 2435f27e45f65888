#include "eval/dump.h"

#include "core/mem.h"
#include "io/tensor_file.h"

#include <string.h>

enum { BATCH = 1024 }; /* samples */
#define PREDICTIONS "/predictions/"
#define FIELDS "/fields/"

struct mu_dump {
    mu_tensor_file *file; /* owns the names */
    char *meta;
    int64_t count;
    int64_t *id;
    mu_tensors fields, predictions; /* data is owned */
};

static void release_data(mu_tensors *list)
{
    for (int i = 0; i < list->n; i++)
        mu_free(list->item[i].data);
}

void mu_dump_release(mu_dump *dump)
{
    if (!dump)
        return;
    release_data(&dump->fields);
    release_data(&dump->predictions);
    mu_free(dump->id);
    mu_free(dump->meta);
    mu_tensor_file_release(dump->file);
    mu_free(dump);
}

static mu_err read_tensor(const mu_tensor_file *file, int i, void **out)
{
    const mu_tensor_entry *e = mu_tensor_file_at(file, i);
    size_t bytes = mu_type_bytes(&e->type);
    void *data;
    MU_TRY(mu_alloc(&data, bytes));
    mu_err err = mu_tensor_file_read(file, i, data, bytes);
    if (err) {
        mu_free(data);
        return err;
    }
    *out = data;
    return MU_OK;
}

static mu_err read_ids(mu_dump *dump)
{
    int i = mu_tensor_file_find(dump->file, "/id");
    const mu_tensor_entry *e = i < 0 ? NULL : mu_tensor_file_at(dump->file, i);
    void *data;
    if (!e || e->type.dtype != MU_I64 || e->type.ndim != 1)
        return MU_FAIL(MU_ERR_FORMAT, "'%s' has no '/id' of type i64[samples]", mu_tensor_file_path(dump->file));
    MU_TRY(read_tensor(dump->file, i, &data));
    dump->id = data;
    dump->count = e->type.dim[0];
    return MU_OK;
}

static mu_err read_list(mu_dump *dump, const char *group, mu_tensors *list)
{
    char type[MU_TYPE_TEXT];
    for (int i = 0; i < mu_tensor_file_count(dump->file); i++) {
        const mu_tensor_entry *e = mu_tensor_file_at(dump->file, i);
        void *data;
        if (strncmp(e->path, group, strlen(group)) != 0 || e->text)
            continue;
        if (e->type.ndim < 1 || e->type.dim[0] != dump->count)
            return MU_FAIL(MU_ERR_FORMAT, "'%s': '%s' is %s: expected %lld rows, as '/id' has", mu_tensor_file_path(dump->file),
                           e->path, mu_type_format(&e->type, type), (long long)dump->count);
        MU_TRY(read_tensor(dump->file, i, &data));
        mu_err err = mu_tensors_put(list, e->path + strlen(group), e->type, data);
        if (err) {
            mu_free(data);
            return err;
        }
    }
    return MU_OK;
}

mu_err mu_dump_open(const char *path, mu_dump **out)
{
    mu_dump *dump;
    MU_TRY(mu_calloc(&dump, 1, sizeof *dump));
    mu_err err;
    MU_TRY_GOTO(err, mu_tensor_file_open(path, "results", MU_DUMP_VERSION, &dump->file), fail);
    MU_TRY_GOTO(err, mu_tensor_file_text(dump->file, "/meta", &dump->meta), fail);
    MU_TRY_GOTO(err, read_ids(dump), fail);
    MU_TRY_GOTO(err, read_list(dump, FIELDS, &dump->fields), fail);
    MU_TRY_GOTO(err, read_list(dump, PREDICTIONS, &dump->predictions), fail);
    *out = dump;
    return MU_OK;
fail:
    mu_dump_release(dump);
    return err;
}

int64_t mu_dump_count(const mu_dump *dump)
{
    return dump->count;
}

const char *mu_dump_meta(const mu_dump *dump)
{
    return dump->meta;
}

const int64_t *mu_dump_ids(const mu_dump *dump)
{
    return dump->id;
}

const mu_tensors *mu_dump_fields(const mu_dump *dump)
{
    return &dump->fields;
}

const mu_tensors *mu_dump_predictions(const mu_dump *dump)
{
    return &dump->predictions;
}

/* Rows [first, first + n). */
static mu_tensors rows(const mu_tensors *all, int64_t first, int64_t n)
{
    mu_tensors part = *all;
    for (int i = 0; i < part.n; i++) {
        mu_tensor *t = &part.item[i];
        t->type.dim[0] = 1;
        t->data = (char *)t->data + (size_t)first * mu_type_bytes(&t->type);
        t->type.dim[0] = n;
    }
    return part;
}

static mu_err process(const mu_dump *dump, mu_evaluator *evaluator, const mu_comm *comm)
{
    int64_t share = (dump->count + comm->size - 1) / comm->size, first = share * comm->rank;
    int64_t end = first + share < dump->count ? first + share : dump->count;
    MU_TRY(mu_evaluator_set_meta(evaluator, dump->meta));
    for (int64_t at = first; at < end; at += BATCH) {
        int64_t n = end - at < BATCH ? end - at : BATCH;
        mu_tensors fields = rows(&dump->fields, at, n), predictions = rows(&dump->predictions, at, n);
        MU_TRY(mu_evaluator_process(evaluator, n, dump->id + at, &fields, &predictions));
    }
    return MU_OK;
}

mu_err mu_dump_evaluate(const mu_dump *dump, mu_evaluator *evaluator, mu_comm *comm, mu_results *out)
{
    mu_evaluator_reset(evaluator);
    MU_TRY(mu_comm_agree(comm, process(dump, evaluator, comm)));
    return mu_evaluator_evaluate(evaluator, comm, dump->count, out);
}

static mu_err make_cfg(const char *path, mu_cfg **out)
{
    static const mu_pos nowhere = {"<code>", 1, 1};
    mu_cfg *dict, *value;
    MU_TRY(mu_cfg_new_dict(nowhere, &dict));
    mu_err err;
    MU_TRY_GOTO(err, mu_cfg_new_string("DumpResults", strlen("DumpResults"), nowhere, &value), fail);
    MU_TRY_GOTO(err, mu_cfg_set(dict, "type", nowhere, value), fail);
    MU_TRY_GOTO(err, mu_cfg_new_string(path, strlen(path), nowhere, &value), fail);
    MU_TRY_GOTO(err, mu_cfg_set(dict, "out_file_path", nowhere, value), fail);
    *out = dict;
    return MU_OK;
fail:
    mu_cfg_release(dict);
    return err;
}

mu_err mu_dump_results_new(const char *path, mu_metric **out)
{
    mu_cfg *cfg;
    void *metric;
    MU_TRY(make_cfg(path, &cfg));
    mu_err err = mu_build("metric", cfg, NULL, "", &metric); /* it keeps nothing of cfg */
    mu_cfg_release(cfg);
    MU_TRY(err);
    *out = metric;
    return MU_OK;
}
