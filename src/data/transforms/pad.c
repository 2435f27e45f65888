#include "data/transform.h"
#include "data/transforms/size.h"

typedef struct {
    mu_ints size;
    int64_t size_divisor;
    bool pad_to_square;
    mu_floats pad_val;
    int padding_mode;
} pad;

static mu_err pad_create(void *object, const mu_cfg *cfg)
{
    const pad *t = object;
    (void)cfg;
    if (t->size.n && (t->size_divisor || t->pad_to_square)) {
        MU_FAIL(MU_ERR_CONFIG, "size is set together with %s", t->size_divisor ? "size_divisor" : "pad_to_square");
        return mu_error_hint("take one of them out");
    }
    if (!t->size.n && !t->size_divisor && !t->pad_to_square) {
        MU_FAIL(MU_ERR_CONFIG, "nothing says what to pad to");
        return mu_error_hint("set size, size_divisor or pad_to_square");
    }
    return MU_OK;
}

static int64_t round_up(int64_t pixels, int64_t divisor)
{
    return divisor ? (pixels + divisor - 1) / divisor * divisor : pixels;
}

static mu_image_size target(const pad *t, const mu_pixels *p)
{
    mu_image_size size = {p->height, p->width};
    if (t->size.n)
        return mu_size_wh(&t->size);
    if (t->pad_to_square)
        size.height = size.width = p->height > p->width ? p->height : p->width;
    return (mu_image_size){round_up(size.height, t->size_divisor), round_up(size.width, t->size_divisor)};
}

static mu_err pad_apply(const void *transform, mu_sample *sample)
{
    const pad *t = transform;
    mu_pixels p;
    MU_TRY(mu_pixels_get(sample, &p));
    mu_image_size size = target(t, &p);
    mu_margins m = {.right = size.width - p.width, .bottom = size.height - p.height};
    if (m.right < 0 || m.bottom < 0) {
        MU_FAIL(MU_ERR_CONFIG,
                "an image of %lld x %lld (height x width) is larger than the size to pad to, %lld x %lld",
                (long long)p.height, (long long)p.width, (long long)size.height, (long long)size.width);
        return mu_error_hint("put Resize with keep_ratio before it, or set a larger size");
    }
    if (m.right || m.bottom)
        MU_TRY(mu_pixels_pad(sample, &p, m, t->padding_mode, t->pad_val.v, t->pad_val.n));
    return MU_OK;
}

static const mu_option pad_options[] = {
    MU_SIZE_OPTION(pad, size, .nullable = true, .text_default = "null",
                   .help = "the new size: (width, height), or one number for both"),
    MU_OPTION(pad, size_divisor, MU_OPT_INT, .nullable = true, .text_default = "null", .bounded_below = true, .min = 1,
              .bounded_above = true, .max = INT32_MAX, .unit = "pixels", .help = "pad to multiples of it"),
    MU_OPTION(pad, pad_to_square, MU_OPT_BOOL, .help = "pad to the longer edge"),
    MU_OPTION(pad, pad_val, MU_OPT_FLOATS, .bare_item = true, .text_default = "0",
              .help = "value of constant padding: one, or one for each channel"),
    MU_OPTION(pad, padding_mode, MU_OPT_CHOICE, .choices = mu_border_names,
              .help = "a constant, the nearest pixel, or a mirror image without or with the pixels of the edge"),
    MU_OPTION_END,
};

const mu_component mu_component_pad = {
    .kind = "transform",
    .name = "Pad",
    .doc = "Adds pixels on the right and at the bottom.",
    .size = sizeof(pad),
    .options = pad_options,
    .create = pad_create,
    .ops = &(const mu_transform_ops){.apply = pad_apply},
};
