#include "data/batch.h"

#include "core/mem.h"

/* Of field i: its name, and memory for it when it is not in the room. */
typedef struct {
    char *name;
    void *data;
    size_t capacity; /* bytes */
} batch_block;

struct mu_batch_buffer {
    mu_batch batch;
    int64_t *index;
    size_t index_capacity;
    char *room; /* borrowed */
    size_t room_bytes, room_used;
    batch_block block[MU_MAX_TENSORS];
};

mu_err mu_batch_buffer_new(mu_batch_buffer **out)
{
    return mu_calloc(out, 1, sizeof **out);
}

void mu_batch_buffer_release(mu_batch_buffer *buffer)
{
    if (!buffer)
        return;
    for (int i = 0; i < MU_MAX_TENSORS; i++) {
        mu_free(buffer->block[i].name);
        mu_free(buffer->block[i].data);
    }
    mu_free(buffer->index);
    mu_free(buffer);
}

mu_batch *mu_batch_buffer_batch(mu_batch_buffer *buffer)
{
    return &buffer->batch;
}

void mu_batch_buffer_lend(mu_batch_buffer *buffer, void *room, size_t bytes)
{
    buffer->room = room;
    buffer->room_bytes = room ? bytes : 0;
}

size_t mu_batch_room(const mu_batch *batch)
{
    size_t bytes = 0;
    for (int i = 0; i < batch->fields.n; i++)
        bytes += mu_align_up(mu_type_bytes(&batch->fields.item[i].type));
    return bytes;
}

mu_err mu_batch_buffer_begin(mu_batch_buffer *buffer, int64_t size)
{
    MU_TRY(mu_grow(&buffer->index, &buffer->index_capacity, (size_t)size, sizeof *buffer->index));
    buffer->batch = (mu_batch){.size = size, .index = buffer->index, .stride = 1, .lent = buffer->room != NULL};
    buffer->room_used = 0;
    return MU_OK;
}

int64_t *mu_batch_buffer_index(mu_batch_buffer *buffer)
{
    return buffer->index;
}

static mu_err set_name(batch_block *block, const char *name)
{
    char *copy;
    if (block->name && strcmp(block->name, name) == 0)
        return MU_OK;
    MU_TRY(mu_strdup(&copy, name));
    mu_free(block->name);
    block->name = copy;
    return MU_OK;
}

static bool in_room(const mu_batch_buffer *buffer, const void *place)
{
    const char *at = place;
    return buffer->room && at >= buffer->room && at < buffer->room + buffer->room_bytes;
}

/* The place of a new field, or of one that is there already and does not grow; NULL: not in the room. */
static void *room_for(mu_batch_buffer *buffer, const mu_tensor *known, size_t bytes)
{
    if (known)
        return in_room(buffer, known->data) && bytes <= mu_type_bytes(&known->type) ? known->data : NULL;
    size_t left = buffer->room_bytes - buffer->room_used, wanted = mu_align_up(bytes);
    if (!buffer->room || wanted < bytes || wanted > left)
        return NULL;
    void *place = buffer->room + buffer->room_used;
    buffer->room_used += wanted;
    return place;
}

static mu_err make_block(const mu_batch_buffer *buffer, batch_block *block, const mu_tensor *known, size_t bytes)
{
    if (!block->data || bytes > block->capacity) {
        MU_TRY(mu_realloc(&block->data, bytes));
        block->capacity = bytes;
    }
    if (known && in_room(buffer, known->data))
        memcpy(block->data, known->data, mu_type_bytes(&known->type));
    return MU_OK;
}

mu_err mu_batch_buffer_field(mu_batch_buffer *buffer, const char *name, const mu_type *sample, void **data)
{
    mu_batch *batch = &buffer->batch;
    const mu_tensor *known = mu_tensors_find(&batch->fields, name);
    int i = known ? (int)(known - batch->fields.item) : batch->fields.n;
    int64_t dim[MU_MAX_NDIM + 1] = {batch->size};
    mu_type type;
    if (i == MU_MAX_TENSORS)
        return MU_FAIL(MU_ERR_OVERFLOW, "'%s' would be field number %d of a batch; %d is the limit", name, i + 1, MU_MAX_TENSORS);
    memcpy(dim + 1, sample->dim, sizeof sample->dim);
    MU_TRY(mu_type_init(&type, sample->dtype, sample->ndim + 1, dim));
    batch_block *block = &buffer->block[i];
    MU_TRY(set_name(block, name));
    void *place = room_for(buffer, known, mu_type_bytes(&type));
    if (!place) {
        MU_TRY(make_block(buffer, block, known, mu_type_bytes(&type)));
        place = block->data;
        batch->lent = false;
    }
    MU_TRY(mu_tensors_put(&batch->fields, block->name, type, place));
    *data = place;
    return MU_OK;
}

mu_err mu_collate(const void *collate, mu_batch_buffer *buffer, const mu_sample *const *samples, int64_t n)
{
    const mu_collate_ops *ops = mu_component_of(collate)->ops;
    if (n < 1)
        return MU_FAIL(MU_ERR_USAGE, "a batch has at least one sample, not %lld", (long long)n);
    for (int64_t i = 0; i < n; i++)
        MU_TRY(ops->add(collate, buffer, i, n, samples[i]));
    return MU_OK;
}
