#include "data/dataset.h"

#include "core/mem.h"
#include "data/h5_dataset.h"
#include "data/transforms/decode_image.h"

#define IMAGE "img"
#define LABEL "gt_label"

/* A field of the file as a sample has it. */
typedef struct {
    const char *name; /* in the sample */
    int field;        /* in the file */
    bool encoded;     /* an image to be decoded here */
    mu_type type;     /* of one sample, unless it varies */
    void *cache;      /* all samples, or NULL */
} column;

typedef struct {
    mu_dataset base;
    char *path;
    const mu_cfg *fields;
    int color_type;
    int64_t cache;
    mu_h5_dataset *file;
    int n_columns;
    column column[MU_MAX_TENSORS];
} hdf5_dataset;

static int64_t length(const mu_dataset *dataset)
{
    return mu_h5_dataset_count(((const hdf5_dataset *)dataset)->file);
}

static const char *meta(const mu_dataset *dataset)
{
    return mu_h5_dataset_meta(((const hdf5_dataset *)dataset)->file);
}

static const char *name(const mu_dataset *dataset)
{
    return ((const hdf5_dataset *)dataset)->path;
}

static const char *const renamed[][2] = {{"images", IMAGE}, {"labels", LABEL}};

/* What a field is called in a sample; NULL: it is left out. */
static const char *name_of(const hdf5_dataset *self, const char *field)
{
    const mu_cfg *given = self->fields ? mu_cfg_get(self->fields, field) : NULL;
    if (given)
        return mu_cfg_kind_of(given) == MU_CFG_STRING ? mu_cfg_string(given) : NULL;
    for (size_t i = 0; i < sizeof renamed / sizeof renamed[0]; i++)
        if (strcmp(field, renamed[i][0]) == 0)
            return renamed[i][1];
    return field;
}

static mu_err check_fields_option(const hdf5_dataset *self)
{
    int found;
    if (!self->fields)
        return MU_OK;
    if (mu_cfg_kind_of(self->fields) != MU_CFG_DICT)
        return MU_FAIL(MU_ERR_CONFIG, "fields must be a dictionary such as {images: img, labels: gt_label}");
    for (size_t i = 0; i < mu_cfg_size(self->fields); i++) {
        mu_cfg_kind kind = mu_cfg_kind_of(mu_cfg_at(self->fields, i));
        if (kind != MU_CFG_STRING && kind != MU_CFG_NULL)
            return MU_FAIL(MU_ERR_CONFIG, "fields.%s must be the name in a sample, or null", mu_cfg_key_at(self->fields, i));
        if (mu_h5_dataset_find(self->file, mu_cfg_key_at(self->fields, i), &found) != MU_OK) {
            mu_error_context("fields.%s", mu_cfg_key_at(self->fields, i));
            return MU_ERR_CONFIG;
        }
    }
    return MU_OK;
}

/* Class indices of any integer type become i64. */
static bool widens(const column *c, const mu_type *own)
{
    return strcmp(c->name, LABEL) == 0 && own->ndim == 0 && (own->dtype == MU_U8 || own->dtype == MU_I32);
}

static mu_err widen(column *c, mu_dtype from, int64_t n)
{
    void *wide;
    MU_TRY(mu_calloc(&wide, (size_t)n, sizeof(int64_t)));
    mu_convert(wide, MU_I64, c->cache, from, n);
    mu_free(c->cache);
    c->cache = wide;
    return MU_OK;
}

static mu_err load(hdf5_dataset *self, column *c)
{
    enum { SMALL = 64 };
    const mu_h5_field *f = mu_h5_dataset_field(self->file, c->field);
    if ((int64_t)mu_type_bytes(&f->sample) > SMALL && f->bytes >> 20 >= self->cache)
        return MU_OK;
    MU_TRY(mu_alloc(&c->cache, (size_t)f->bytes));
    MU_TRY(mu_h5_dataset_read_all(self->file, c->field, c->cache));
    if (widens(c, &f->sample))
        MU_TRY(widen(c, f->sample.dtype, mu_h5_dataset_count(self->file)));
    return MU_OK;
}

/* Whether the pipeline decodes images itself. */
static bool decodes(const mu_cfg *pipeline)
{
    const mu_cfg *first = pipeline;
    if (pipeline && mu_cfg_kind_of(pipeline) == MU_CFG_LIST)
        first = mu_cfg_size(pipeline) ? mu_cfg_at(pipeline, 0) : NULL;
    const mu_cfg *type = first ? mu_cfg_get(first, "type") : NULL;
    return type && mu_cfg_kind_of(type) == MU_CFG_STRING && strcmp(mu_cfg_string(type), "DecodeImage") == 0;
}

static mu_err open_column(hdf5_dataset *self, int field)
{
    const mu_h5_field *f = mu_h5_dataset_field(self->file, field);
    const char *called = name_of(self, f->name);
    if (!called)
        return MU_OK;
    if (self->n_columns == MU_MAX_TENSORS)
        return MU_FAIL(MU_ERR_CONFIG, "the file has more than %d fields; leave some out by fields: {NAME: null}", MU_MAX_TENSORS);
    for (int i = 0; i < self->n_columns; i++)
        if (strcmp(self->column[i].name, called) == 0)
            return MU_FAIL(MU_ERR_CONFIG, "two fields are called '%s'", called);
    column *c = &self->column[self->n_columns++];
    bool image = strcmp(called, IMAGE) == 0;
    *c = (column){.name = called, .field = field, .encoded = image && f->variable && !decodes(self->base.pipeline_cfg), .type = f->sample};
    if (f->variable)
        return MU_OK;
    if (widens(c, &f->sample))
        c->type.dtype = MU_I64;
    if (image && c->type.ndim == 2)
        MU_TRY(mu_type_init(&c->type, f->sample.dtype, 3, (int64_t[]){1, f->sample.dim[0], f->sample.dim[1]}));
    return load(self, c);
}

static void close_file(hdf5_dataset *self)
{
    for (int i = 0; i < self->n_columns; i++)
        mu_free(self->column[i].cache);
    mu_h5_dataset_release(self->file);
}

static mu_err open_columns(hdf5_dataset *self)
{
    MU_TRY(check_fields_option(self));
    for (int i = 0; i < mu_h5_dataset_n_fields(self->file); i++)
        MU_TRY(open_column(self, i));
    if (self->n_columns == 0)
        return MU_FAIL(MU_ERR_CONFIG, "fields leaves nothing of '%s'", self->path);
    return MU_OK;
}

static mu_err create(void *object, const mu_cfg *cfg)
{
    (void)cfg;
    hdf5_dataset *self = object;
    MU_TRY(mu_h5_dataset_open(self->path, &self->file));
    mu_err err = open_columns(self);
    err = err ? err : mu_dataset_create(&self->base);
    if (err)
        close_file(self);
    return err;
}

static void destroy(void *object)
{
    hdf5_dataset *self = object;
    mu_dataset_destroy(&self->base);
    close_file(self);
}

static mu_err read_variable(const hdf5_dataset *self, const column *c, int64_t index, mu_sample *sample)
{
    size_t size;
    mu_type type;
    void *data;
    MU_TRY(mu_h5_dataset_sample_bytes(self->file, c->field, index, &size));
    MU_TRY(mu_type_init(&type, MU_U8, 1, (int64_t[]){(int64_t)size}));
    MU_TRY(mu_sample_put(sample, c->name, type, &data));
    MU_TRY(mu_h5_dataset_read(self->file, c->field, index, data, size));
    return c->encoded ? mu_decode_into(sample, data, size, "image", self->color_type) : MU_OK;
}

static mu_err read_column(const hdf5_dataset *self, const column *c, int64_t index, mu_sample *sample)
{
    void *data;
    size_t size = mu_type_bytes(&c->type);
    if (mu_h5_dataset_field(self->file, c->field)->variable)
        return read_variable(self, c, index, sample);
    MU_TRY(mu_sample_put(sample, c->name, c->type, &data));
    if (!c->cache)
        return mu_h5_dataset_read(self->file, c->field, index, data, size);
    memcpy(data, (const char *)c->cache + (size_t)index * size, size);
    return MU_OK;
}

static mu_err read_sample(const mu_dataset *dataset, int64_t index, mu_sample *sample)
{
    const hdf5_dataset *self = (const hdf5_dataset *)dataset;
    for (int i = 0; i < self->n_columns; i++)
        MU_TRY(read_column(self, &self->column[i], index, sample));
    return MU_OK;
}

static bool types(const mu_dataset *dataset, mu_tensors *out)
{
    const hdf5_dataset *self = (const hdf5_dataset *)dataset;
    out->n = 0;
    for (int i = 0; i < self->n_columns; i++) {
        const column *c = &self->column[i];
        if (mu_h5_dataset_field(self->file, c->field)->variable)
            return false;
        out->item[out->n++] = (mu_tensor){.name = c->name, .type = c->type};
    }
    return true;
}

static mu_err read_rows(const mu_dataset *dataset, const int64_t *index, int64_t n, const mu_tensors *rows)
{
    const hdf5_dataset *self = (const hdf5_dataset *)dataset;
    for (int k = 0; k < self->n_columns; k++) {
        const column *c = &self->column[k];
        size_t size = mu_type_bytes(&c->type);
        char *to = rows->item[k].data;
        if (!c->cache)
            MU_TRY(mu_h5_dataset_read_many(self->file, c->field, index, n, to));
        for (int64_t i = 0; i < n && c->cache; i++)
            memcpy(to + (size_t)i * size, (const char *)c->cache + (size_t)index[i] * size, size);
    }
    return MU_OK;
}

static const mu_option options[] = {
    MU_OPTION(hdf5_dataset, path, MU_OPT_STRING, .required = true, .help = "the file (muster data pack makes it)"),
    MU_OPTION(hdf5_dataset, fields, MU_OPT_ANY, .nullable = true, .text_default = "{images: img, labels: gt_label}",
              .help = "field of the file: what a sample calls it; null leaves it out; others keep their names"),
    MU_COLOR_TYPE_OPTION(hdf5_dataset),
    MU_OPTION(hdf5_dataset, cache, MU_OPT_INT, .int_default = 64, .bounded_below = true, .min = 0, .bounded_above = true,
              .max = 1 << 30, .unit = "MiB", .help = "a field below this size is kept in memory, by each rank"),
    MU_DATASET_OPTIONS(hdf5_dataset),
    MU_OPTION_END,
};

const mu_component mu_component_hdf5_dataset = {
    .kind = "dataset",
    .name = "HDF5Dataset",
    .doc = "Samples of a dataset file. Encoded images, JPEG and PNG, are decoded, unless the pipeline begins with DecodeImage.",
    .size = sizeof(hdf5_dataset),
    .options = options,
    .create = create,
    .destroy = destroy,
    .ops = &(const mu_dataset_ops){.length = length,
                                   .read = read_sample,
                                   .meta = meta,
                                   .name = name,
                                   .types = types,
                                   .read_rows = read_rows},
};
