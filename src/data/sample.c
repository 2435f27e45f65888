#include "data/sample.h"

#include "core/mem.h"

/* Fields are cut from blocks one after the other; the first block is the largest. The bytes start MU_ALIGN behind it.
 */
struct mu_sample_block {
    mu_sample_block *next;
    size_t capacity, used; /* bytes */
};

enum { SMALLEST_BLOCK = 1 << 12 };

void mu_sample_begin(mu_sample *sample, int64_t index, uint64_t seed, int64_t pass)
{
    mu_sample_begin_again(sample);
    sample->index = index;
    sample->random = mu_philox_key(seed, MU_RNG_AUGMENT, (uint64_t)pass, (uint64_t)index);
}

void mu_sample_begin_again(mu_sample *sample)
{
    for (mu_sample_block *b = sample->blocks; b; b = b->next)
        b->used = 0;
    sample->fields.n = 0;
    sample->drawn = 0;
}

void mu_sample_release(mu_sample *sample)
{
    for (mu_sample_block *b = sample->blocks, *next; b; b = next) {
        next = b->next;
        mu_free(b);
    }
    *sample = (mu_sample){0};
}

mu_err mu_sample_scratch(mu_sample *sample, size_t bytes, void *out)
{
    mu_sample_block *b = sample->blocks;
    if (bytes > PTRDIFF_MAX)
        return MU_FAIL(MU_ERR_OVERFLOW, "%zu bytes are more than memory can hold", bytes);
    bytes = mu_align_up(bytes);
    while (b && b->capacity - b->used < bytes)
        b = b->next;
    if (!b) {
        size_t capacity = sample->blocks ? 2 * sample->blocks->capacity : SMALLEST_BLOCK, size;
        if (capacity < bytes)
            capacity = bytes;
        MU_TRY(mu_add_size(capacity, MU_ALIGN, &size));
        MU_TRY(mu_alloc(&b, size));
        *b = (mu_sample_block){.next = sample->blocks, .capacity = capacity};
        sample->blocks = b;
    }
    void *bytes_at = (char *)b + MU_ALIGN + b->used;
    b->used += bytes;
    memcpy(out, &bytes_at, sizeof bytes_at);
    return MU_OK;
}

mu_err mu_sample_put(mu_sample *sample, const char *name, mu_type type, void **data)
{
    mu_type checked;
    void *bytes;
    MU_TRY(mu_type_init(&checked, type.dtype, type.ndim, type.dim));
    MU_TRY(mu_sample_scratch(sample, mu_type_bytes(&checked), &bytes));
    MU_TRY(mu_tensors_put(&sample->fields, name, checked, bytes));
    *data = bytes;
    return MU_OK;
}

void mu_sample_drop(mu_sample *sample, const char *name)
{
    const mu_tensor *field = mu_tensors_find(&sample->fields, name);
    if (!field)
        return;
    int at = (int)(field - sample->fields.item);
    sample->fields.n--;
    memmove(&sample->fields.item[at], &sample->fields.item[at + 1],
            (size_t)(sample->fields.n - at) * sizeof sample->fields.item[0]);
}

/* "RandomFlip: ", or nothing. */
static void say_who(const char *who)
{
    if (who)
        mu_error_context("%s", who);
}

mu_err mu_sample_get(const mu_sample *sample, const char *name, const char *who, const mu_tensor **out)
{
    const mu_tensor *field = mu_tensors_find(&sample->fields, name);
    if (!field) {
        char has[512];
        MU_FAIL(MU_ERR_CONFIG, "the sample has no field '%s' (it has %s)", name,
                mu_tensors_format(&sample->fields, has, sizeof has));
        say_who(who);
        return MU_ERR_CONFIG;
    }
    *out = field;
    return MU_OK;
}

static mu_err wrong_image(const mu_tensor *img, const char *who)
{
    char type[MU_TYPE_TEXT];
    MU_FAIL(MU_ERR_CONFIG, "'%s' is %s, expected an image: u8 or f32 [channels, height, width], none of them 0",
            img->name, mu_type_format(&img->type, type));
    say_who(who);
    if (img->type.dtype == MU_U8 && img->type.ndim == 1)
        return mu_error_hint("it holds encoded bytes: put DecodeImage before this transform");
    return mu_error_hint("look at the dataset with: muster data info FILE");
}

mu_err mu_sample_image(const mu_sample *sample, const char *who, const mu_tensor **out)
{
    const mu_tensor *img;
    MU_TRY(mu_sample_get(sample, "img", who, &img));
    bool pixels = img->type.dtype == MU_U8 || img->type.dtype == MU_F32;
    if (!pixels || img->type.ndim != 3 || mu_type_count(&img->type) == 0)
        return wrong_image(img, who);
    *out = img;
    return MU_OK;
}

/* Every draw takes a block of the stream, so that no two share bits. */
double mu_sample_uniform(mu_sample *sample)
{
    return mu_philox_uniform_f64(&sample->random, 2 * sample->drawn++);
}

int64_t mu_sample_below(mu_sample *sample, int64_t n)
{
    return (int64_t)mu_philox_below(&sample->random, sample->drawn++, (uint64_t)n);
}
