#include "data/transform.h"
#include "data/transforms/size.h"

typedef struct {
    mu_ints crop_size, padding;
    bool pad_if_needed;
    mu_floats pad_val;
    int padding_mode;
} random_crop;

static mu_err random_crop_create(void *object, const mu_cfg *cfg)
{
    const random_crop *t = object;
    (void)cfg;
    if (t->padding.n == 3)
        return MU_FAIL(MU_ERR_CONFIG,
                       "padding has 3 numbers; expected 1 (all sides), 2 (left and right, top and bottom) "
                       "or 4 (left, top, right, bottom)");
    return MU_OK;
}

static mu_margins margins_of(const mu_ints *padding)
{
    const int64_t *v = padding->v;
    switch (padding->n) {
    case 0: return (mu_margins){0};
    case 1: return (mu_margins){v[0], v[0], v[0], v[0]};
    case 2: return (mu_margins){v[0], v[1], v[0], v[1]};
    default: return (mu_margins){v[0], v[1], v[2], v[3]};
    }
}

static mu_err pad(const random_crop *t, mu_sample *sample, mu_pixels *p, mu_margins m)
{
    if (!m.left && !m.top && !m.right && !m.bottom)
        return MU_OK;
    MU_TRY(mu_pixels_pad(sample, p, m, t->padding_mode, t->pad_val.v, t->pad_val.n));
    MU_TRY(mu_pixels_get(sample, p));
    return MU_OK;
}

static mu_err random_crop_apply(const void *transform, mu_sample *sample)
{
    const random_crop *t = transform;
    mu_image_size size = mu_size_hw(&t->crop_size);
    mu_pixels p;
    MU_TRY(mu_pixels_get(sample, &p));
    MU_TRY(pad(t, sample, &p, margins_of(&t->padding)));
    if (t->pad_if_needed) {
        int64_t x = size.width > p.width ? size.width - p.width : 0;
        int64_t y = size.height > p.height ? size.height - p.height : 0;
        MU_TRY(pad(t, sample, &p, (mu_margins){x, y, x, y}));
    }
    MU_TRY(mu_check_crop(&p, size, "set pad_if_needed: true or a padding, or put Resize before it"));
    int64_t top = mu_sample_below(sample, p.height - size.height + 1);
    int64_t left = mu_sample_below(sample, p.width - size.width + 1);
    mu_pixels part = mu_pixels_cut(&p, top, left, size.height, size.width);
    MU_TRY(mu_pixels_keep(sample, &part));
    return MU_OK;
}

static const mu_option random_crop_options[] = {
    MU_SIZE_OPTION(random_crop, crop_size, .required = true,
                   .help = "what is kept: (height, width), or one number for both"),
    MU_OPTION(random_crop, padding, MU_OPT_INTS, .bare_item = true, .nullable = true, .text_default = "null",
              .max_items = 4, .bounded_below = true, .min = 0, .bounded_above = true, .max = INT32_MAX,
              .unit = "pixels",
              .help = "added first: on all sides, (left and right, top and bottom), or (left, top, right, bottom)"),
    MU_OPTION(random_crop, pad_if_needed, MU_OPT_BOOL, .help = "pad both sides of what is smaller than the crop"),
    MU_OPTION(random_crop, pad_val, MU_OPT_FLOATS, .bare_item = true, .text_default = "0",
              .help = "value of constant padding: one, or one for each channel"),
    MU_OPTION(random_crop, padding_mode, MU_OPT_CHOICE, .choices = mu_border_names,
              .help = "a constant, the nearest pixel, or a mirror image without or with the pixels of the edge"),
    MU_OPTION_END,
};

const mu_component mu_component_random_crop = {
    .kind = "transform",
    .name = "RandomCrop",
    .doc = "Keeps a part of the image at a random place, all places being equally likely.",
    .size = sizeof(random_crop),
    .options = random_crop_options,
    .create = random_crop_create,
    .ops = &(const mu_transform_ops){.apply = random_crop_apply},
};
