#include "data/batch.h"

#define IMAGE "img"
#define IMAGE_SHAPE "img_shape"

static mu_err no_fit(mu_batch_buffer *buffer, const mu_sample *sample, const char *name, const char *found,
                     const char *wanted)
{
    const mu_batch *batch = mu_batch_buffer_batch(buffer);
    MU_FAIL(MU_ERR_SHAPE, "samples %lld and %lld do not fit into one batch: '%s' is %s in the first, %s in the second",
            (long long)batch->index[0], (long long)sample->index, name, wanted, found);
    return mu_error_hint("bring them to one size in the pipeline (Resize, CenterCrop, RandomCrop), or pad images by "
                         "collate_fn: {type: pseudo_collate}");
}

static mu_type row_type(const mu_tensor *field)
{
    mu_type type = {.dtype = field->type.dtype, .ndim = field->type.ndim - 1};
    memcpy(type.dim, field->type.dim + 1, (MU_MAX_NDIM - 1) * sizeof *type.dim);
    return type;
}

static void put_row(const mu_tensor *field, int64_t row, const mu_tensor *from)
{
    size_t bytes = mu_type_bytes(&from->type);
    if (bytes)
        memcpy((char *)field->data + (size_t)row * bytes, from->data, bytes);
}

/* Opens the batch with the fields of its first sample. */
static mu_err begin(mu_batch_buffer *buffer, int64_t size, const mu_sample *sample)
{
    void *data;
    MU_TRY(mu_batch_buffer_begin(buffer, size));
    for (int i = 0; i < sample->fields.n; i++)
        MU_TRY(mu_batch_buffer_field(buffer, sample->fields.item[i].name, &sample->fields.item[i].type, &data));
    return MU_OK;
}

/* A field of the sample, with its place in the batch; types are equal unless `any_type`. */
static mu_err match(mu_batch_buffer *buffer, const mu_sample *sample, const mu_tensor *from, bool any_type,
                    const mu_tensor **out)
{
    char found[MU_TYPE_TEXT], wanted[MU_TYPE_TEXT];
    const mu_batch *batch = mu_batch_buffer_batch(buffer);
    *out = mu_tensors_find(&batch->fields, from->name);
    if (!*out)
        return no_fit(buffer, sample, from->name, mu_type_format(&from->type, found), "missing");
    mu_type type = row_type(*out);
    if (any_type || mu_type_equal(&type, &from->type))
        return MU_OK;
    return no_fit(buffer, sample, from->name, mu_type_format(&from->type, found), mu_type_format(&type, wanted));
}

/* Whether the sample has all fields of the batch but `extra`. */
static mu_err check_fields(mu_batch_buffer *buffer, const mu_sample *sample, const char *extra)
{
    const mu_tensors *fields = &mu_batch_buffer_batch(buffer)->fields;
    char wanted[MU_TYPE_TEXT];
    for (int i = 0; i < fields->n; i++)
        if (!mu_tensors_find(&sample->fields, fields->item[i].name) && strcmp(fields->item[i].name, extra) != 0) {
            mu_type type = row_type(&fields->item[i]);
            return no_fit(buffer, sample, fields->item[i].name, "missing", mu_type_format(&type, wanted));
        }
    return MU_OK;
}

static mu_err default_add(const void *collate, mu_batch_buffer *buffer, int64_t row, int64_t size, const mu_sample *sample)
{
    (void)collate;
    if (row == 0)
        MU_TRY(begin(buffer, size, sample));
    MU_TRY(check_fields(buffer, sample, ""));
    for (int i = 0; i < sample->fields.n; i++) {
        const mu_tensor *field;
        MU_TRY(match(buffer, sample, &sample->fields.item[i], false, &field));
        put_row(field, row, &sample->fields.item[i]);
    }
    mu_batch_buffer_index(buffer)[row] = sample->index;
    return MU_OK;
}

/* Blocks of `height` lines of `width` bytes become blocks of new_height lines of new_width, with zeros below and to the right; from the
 * last line on, as all move up in the same memory. */
static void spread(char *data, int64_t blocks, size_t height, size_t width, size_t new_height, size_t new_width)
{
    for (int64_t b = blocks - 1; b >= 0; b--) {
        char *to = data + (size_t)b * new_height * new_width, *from = data + (size_t)b * height * width;
        memset(to + height * new_width, 0, (new_height - height) * new_width);
        for (size_t y = height; y-- > 0;) {
            memmove(to + y * new_width, from + y * width, width);
            memset(to + y * new_width + width, 0, new_width - width);
        }
    }
}

/* Makes the images of a batch at least as large as `image`; `rows` of them are there. */
static mu_err grow_images(mu_batch_buffer *buffer, int64_t rows, const mu_tensor *image)
{
    const mu_tensor *field = mu_tensors_find(&mu_batch_buffer_batch(buffer)->fields, IMAGE);
    mu_type now = row_type(field), wanted = now;
    size_t element = mu_dtype_size(now.dtype);
    void *data;
    wanted.dim[1] = image->type.dim[1] > now.dim[1] ? image->type.dim[1] : now.dim[1];
    wanted.dim[2] = image->type.dim[2] > now.dim[2] ? image->type.dim[2] : now.dim[2];
    if (mu_type_equal(&wanted, &now))
        return MU_OK;
    MU_TRY(mu_batch_buffer_field(buffer, IMAGE, &wanted, &data));
    spread(data, rows * now.dim[0], (size_t)now.dim[1], (size_t)now.dim[2] * element, (size_t)wanted.dim[1],
           (size_t)wanted.dim[2] * element);
    return MU_OK;
}

static void put_image(const mu_tensor *field, int64_t row, const mu_tensor *image)
{
    mu_type type = row_type(field);
    size_t element = mu_dtype_size(type.dtype), bytes = mu_type_bytes(&type), image_bytes = mu_type_bytes(&image->type);
    char *to = (char *)field->data + (size_t)row * bytes;
    if (image_bytes)
        memcpy(to, image->data, image_bytes);
    spread(to, type.dim[0], (size_t)image->type.dim[1], (size_t)image->type.dim[2] * element, (size_t)type.dim[1],
           (size_t)type.dim[2] * element);
}

static mu_err add_image(mu_batch_buffer *buffer, int64_t row, const mu_sample *sample, const mu_tensor *image)
{
    char found[MU_TYPE_TEXT], wanted[MU_TYPE_TEXT];
    const mu_tensor *field;
    MU_TRY(match(buffer, sample, image, true, &field));
    mu_type type = row_type(field);
    if (image->type.ndim != 3)
        return MU_FAIL(MU_ERR_SHAPE, "pseudo_collate: 'img' of sample %lld is %s instead of [channels, height, width]",
                       (long long)sample->index, mu_type_format(&image->type, found));
    if (type.ndim != 3 || type.dtype != image->type.dtype || type.dim[0] != image->type.dim[0])
        return no_fit(buffer, sample, IMAGE, mu_type_format(&image->type, found), mu_type_format(&type, wanted));
    MU_TRY(grow_images(buffer, row, image));
    put_image(field, row, image);
    return MU_OK;
}

static mu_err pseudo_add(const void *collate, mu_batch_buffer *buffer, int64_t row, int64_t size, const mu_sample *sample)
{
    (void)collate;
    static const mu_type pair = {.dtype = MU_I64, .ndim = 1, .dim = {2}};
    const mu_tensor *image = mu_tensors_find(&sample->fields, IMAGE), *field;
    void *data;
    if (row == 0)
        MU_TRY(begin(buffer, size, sample));
    if (row == 0 && image)
        MU_TRY(mu_batch_buffer_field(buffer, IMAGE_SHAPE, &pair, &data));
    MU_TRY(check_fields(buffer, sample, IMAGE_SHAPE));
    for (int i = 0; i < sample->fields.n; i++) {
        const mu_tensor *from = &sample->fields.item[i];
        if (from == image) {
            MU_TRY(add_image(buffer, row, sample, image));
            continue;
        }
        MU_TRY(match(buffer, sample, from, false, &field));
        put_row(field, row, from);
    }
    mu_batch_buffer_index(buffer)[row] = sample->index;
    field = image ? mu_tensors_find(&mu_batch_buffer_batch(buffer)->fields, IMAGE_SHAPE) : NULL;
    if (field)
        memcpy((int64_t *)field->data + 2 * row, image->type.dim + 1, 2 * sizeof(int64_t));
    return MU_OK;
}

static const mu_option no_options[] = {MU_OPTION_END};

const mu_component mu_component_default_collate = {
    .kind = "collate",
    .name = "default_collate",
    .doc = "Stacks samples of equal shapes.",
    .size = 1,
    .options = no_options,
    .ops = &(const mu_collate_ops){.add = default_add, .stacks = true},
};

const mu_component mu_component_pseudo_collate = {
    .kind = "collate",
    .name = "pseudo_collate",
    .doc = "Pads images at the bottom and the right to the largest of the batch, and keeps their sizes as img_shape.",
    .size = 1,
    .options = no_options,
    .ops = &(const mu_collate_ops){.add = pseudo_add},
};
