/* Puts predictions and fields of every sample into a file (doc/formats.md): a metric without results. */
#include "eval/dump.h"

#include "core/mem.h"
#include "io/hdf5.h"
#include "io/tensor_file.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_COLUMNS = 2 * MU_MAX_TENSORS };

/* A record is the rows of all columns, one after the other. */
typedef struct {
    char *path;   /* "/predictions/pred_score" */
    size_t name;  /* where the tensor's name begins in it */
    mu_type type; /* of all samples; the first dimension is set when they are counted */
    size_t offset, bytes; /* of a row in the record */
} column;

typedef struct {
    mu_metric base;
    char *out_file_path;

    char *meta;
    char *row; /* [row_bytes] */
    size_t row_bytes;
    int n_columns;
    column columns[MAX_COLUMNS];
} dump_results;

static const mu_option options[] = {
    MU_OPTION(dump_results, out_file_path, MU_OPT_STRING, .required = true, .help = "the file (HDF5) that is made"),
    MU_OPTION_END,
};

static mu_err holds_results(const char *path, bool *out)
{
    hid_t file;
    char *format = NULL;
    mu_err err = mu_h5_open(path, false, &file);
    if (!err) {
        err = mu_h5_get_text(file, "muster_format", &format);
        mu_h5_close(file);
    }
    if (err == MU_ERR_MEMORY)
        return err;
    *out = !err && strcmp(format, "results") == 0;
    if (!err)
        mu_free(format);
    mu_error_clear();
    return MU_OK;
}

/* A typing mistake must not cost a dataset or a checkpoint. */
static mu_err check_replaceable(const char *path)
{
    struct stat info;
    bool results = false;
    if (stat(path, &info) != 0)
        return MU_OK;
    if (!S_ISREG(info.st_mode))
        return MU_FAIL(MU_ERR_CONFIG, "out_file_path: '%s' is not a regular file and is not replaced", path);
    if (info.st_size == 0)
        return MU_OK;
    MU_TRY(holds_results(path, &results));
    if (results)
        return MU_OK;
    MU_FAIL(MU_ERR_CONFIG, "out_file_path: '%s' is there, holds no results, and is not replaced", path);
    return mu_error_hint("choose another name, or remove it");
}

/* Better now than after the test. */
static mu_err create(void *object, const mu_cfg *cfg)
{
    (void)cfg;
    const dump_results *self = object;
    const char *slash = strrchr(self->out_file_path, '/');
    char *folder;
    if (!(slash ? slash + 1 : self->out_file_path)[0])
        return MU_FAIL(MU_ERR_CONFIG, "out_file_path: '%s' names no file", self->out_file_path);
    MU_TRY(check_replaceable(self->out_file_path));
    MU_TRY(mu_strndup(&folder, slash ? self->out_file_path : ".", slash ? (size_t)(slash - self->out_file_path) + 1 : 1));
    mu_err err = access(folder, W_OK) == 0 ? MU_OK : MU_FAIL(MU_ERR_CONFIG, "out_file_path: the folder '%s' cannot be written to", folder);
    mu_free(folder);
    return err;
}

static void destroy(void *object)
{
    dump_results *self = object;
    for (int i = 0; i < self->n_columns; i++)
        mu_free(self->columns[i].path);
    mu_free(self->meta);
    mu_free(self->row);
    mu_metric_destroy(object);
}

static mu_err add_columns(dump_results *self, const char *group, const mu_tensors *tensors, int64_t size)
{
    char type[MU_TYPE_TEXT];
    for (int i = 0; i < tensors->n; i++) {
        const mu_tensor *t = &tensors->item[i];
        column *c = &self->columns[self->n_columns];
        if (t->type.ndim < 1 || t->type.dim[0] != size)
            return MU_FAIL(MU_ERR_CONFIG, "DumpResults: '%s' is %s: expected a row for each of the %lld samples", t->name,
                           mu_type_format(&t->type, type), (long long)size);
        *c = (column){.type = t->type, .offset = self->row_bytes};
        c->type.dim[0] = 1;
        c->bytes = mu_type_bytes(&c->type);
        MU_TRY(mu_asprintf(&c->path, "/%s/%s", group, t->name));
        c->name = strlen(c->path) - strlen(t->name);
        self->n_columns++;
        self->row_bytes += c->bytes;
    }
    return MU_OK;
}

static mu_err begin(dump_results *self, const mu_eval_batch *batch)
{
    mu_free(self->meta);
    self->meta = NULL;
    for (int i = 0; i < self->n_columns; i++)
        mu_free(self->columns[i].path);
    self->n_columns = 0;
    self->row_bytes = 0;
    MU_TRY(mu_strdup(&self->meta, batch->meta));
    MU_TRY(add_columns(self, "predictions", batch->predictions, batch->size));
    MU_TRY(add_columns(self, "fields", batch->fields, batch->size));
    mu_free(self->row);
    self->row = NULL;
    return mu_alloc(&self->row, self->row_bytes);
}

/* The k-th tensor of a batch, as the columns are ordered. */
static const mu_tensor *tensor_at(const mu_eval_batch *batch, int k)
{
    int n = batch->predictions->n;
    return k < n ? &batch->predictions->item[k] : &batch->fields->item[k - n];
}

static mu_err check_same(const dump_results *self, const mu_eval_batch *batch)
{
    char type[MU_TYPE_TEXT];
    if (batch->predictions->n + batch->fields->n != self->n_columns)
        return MU_FAIL(MU_ERR_CONFIG, "DumpResults: a batch has %d predictions and fields, those before had %d",
                       batch->predictions->n + batch->fields->n, self->n_columns);
    for (int k = 0; k < self->n_columns; k++) {
        const mu_tensor *t = tensor_at(batch, k);
        mu_type row = t->type;
        row.dim[0] = 1;
        if (!mu_type_equal(&row, &self->columns[k].type) || t->type.dim[0] != batch->size ||
            strcmp(t->name, self->columns[k].path + self->columns[k].name) != 0) {
            MU_FAIL(MU_ERR_CONFIG, "DumpResults: '%s' is %s, other than in the batches before", t->name,
                    mu_type_format(&t->type, type));
            return mu_error_hint("what is dumped must have one shape for all samples");
        }
    }
    return MU_OK;
}

static mu_err process(mu_metric *metric, const mu_eval_batch *batch)
{
    dump_results *self = (dump_results *)metric;
    if (metric->n_records == 0)
        MU_TRY(begin(self, batch));
    MU_TRY(check_same(self, batch));
    for (int64_t i = 0; i < batch->size; i++) {
        for (int k = 0; k < self->n_columns; k++) {
            const column *c = &self->columns[k];
            memcpy(self->row + c->offset, (const char *)tensor_at(batch, k)->data + (size_t)i * c->bytes, c->bytes);
        }
        MU_TRY(mu_metric_add(metric, batch->id[i], self->row, self->row_bytes));
    }
    return MU_OK;
}

typedef struct {
    const mu_records *records;
    const column *column; /* NULL: the ids */
} column_source;

static mu_err copy_column(void *user, const char *path, const mu_type *type, void *host)
{
    const column_source *s = user;
    (void)path;
    for (int64_t i = 0; i < type->dim[0]; i++) {
        const mu_record *r = mu_records_at(s->records, (size_t)i);
        if (s->column)
            memcpy((char *)host + (size_t)i * s->column->bytes, (const char *)r->data + s->column->offset, s->column->bytes);
        else
            ((int64_t *)host)[i] = r->id;
    }
    return MU_OK;
}

static mu_err declare(const dump_results *self, int64_t n, column_source *source, mu_tensor_writer *writer)
{
    MU_TRY(mu_tensor_writer_text(writer, "/meta", self->meta));
    MU_TRY(mu_tensor_writer_add(writer, "/id", MU_TYPE(MU_I64, n), copy_column, &source[0]));
    for (int k = 0; k < self->n_columns; k++) {
        const column *c = &self->columns[k];
        mu_type type = c->type;
        type.dim[0] = n;
        MU_TRY(mu_type_init(&type, type.dtype, type.ndim, type.dim));
        MU_TRY(mu_tensor_writer_add(writer, c->path, type, copy_column, &source[k + 1]));
    }
    return MU_OK;
}

/* Rank 0 writes alone. */
static mu_err write_file(const dump_results *self, int64_t n, column_source *source)
{
    mu_tensor_writer *writer = NULL;
    mu_comm *alone = NULL;
    mu_err err;
    MU_TRY_GOTO(err, mu_tensor_writer_new("results", MU_DUMP_VERSION, &writer), done);
    MU_TRY_GOTO(err, declare(self, n, source, writer), done);
    MU_TRY_GOTO(err, mu_comm_self_new(&alone), done);
    MU_TRY_GOTO(err, mu_tensor_writer_write(writer, alone, self->out_file_path, NULL), done);
done:
    mu_comm_release(alone);
    mu_tensor_writer_release(writer);
    return err;
}

static mu_err compute(mu_metric *metric, const mu_records *records, mu_results *out)
{
    const dump_results *self = (dump_results *)metric;
    column_source source[1 + MAX_COLUMNS];
    (void)out;
    for (size_t i = 0; i < mu_records_count(records); i++)
        if (mu_records_at(records, i)->size != self->row_bytes || !self->meta)
            return MU_FAIL(MU_ERR_CONFIG, "DumpResults: sample %lld has predictions of another shape than those of rank 0",
                           (long long)mu_records_at(records, i)->id);
    source[0] = (column_source){records, NULL};
    for (int k = 0; k < self->n_columns; k++)
        source[k + 1] = (column_source){records, &self->columns[k]};
    return write_file(self, (int64_t)mu_records_count(records), source);
}

static const mu_metric_ops ops = {.process = process, .compute = compute};

const mu_component mu_component_dump_results = {
    .kind = "metric",
    .name = "DumpResults",
    .doc = "Puts the predictions and fields of all samples into a file, for muster eval.",
    .size = sizeof(dump_results),
    .options = options,
    .create = create,
    .destroy = destroy,
    .ops = &ops,
};
