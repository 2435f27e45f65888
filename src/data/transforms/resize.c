#include "data/resample.h"
#include "data/transform.h"
#include "data/transforms/size.h"

typedef struct {
    mu_ints scale;
    bool keep_ratio;
    int interpolation;
} resize;

static int64_t at_least_one(double pixels)
{
    return pixels < 1 ? 1 : (int64_t)pixels;
}

/* The largest size of the image's shape whose longer and shorter edges fit in the longer and shorter of `scale`. */
static mu_image_size fit(const mu_pixels *p, mu_image_size scale)
{
    double long_in = (double)(p->height > p->width ? p->height : p->width);
    double short_in = (double)(p->height > p->width ? p->width : p->height);
    double long_out = (double)(scale.height > scale.width ? scale.height : scale.width);
    double short_out = (double)(scale.height > scale.width ? scale.width : scale.height);
    double factor = long_out / long_in < short_out / short_in ? long_out / long_in : short_out / short_in;
    return (mu_image_size){at_least_one((double)p->height * factor + 0.5),
                           at_least_one((double)p->width * factor + 0.5)};
}

static mu_err resize_apply(const void *transform, mu_sample *sample)
{
    const resize *t = transform;
    mu_pixels p;
    MU_TRY(mu_pixels_get(sample, &p));
    mu_image_size size = mu_size_wh(&t->scale);
    if (t->keep_ratio)
        size = fit(&p, size);
    MU_TRY(mu_pixels_resize(sample, &p, size.height, size.width, t->interpolation));
    return MU_OK;
}

static const mu_option resize_options[] = {
    MU_SIZE_OPTION(resize, scale, .required = true, .help = "the new size: (width, height), or one number for both"),
    MU_OPTION(resize, keep_ratio, MU_OPT_BOOL,
              .help = "keep the shape: the largest size whose longer and shorter edges fit in those of scale"),
    MU_OPTION(resize, interpolation, MU_OPT_CHOICE, .choices = mu_interpolation_names, .int_default = MU_BILINEAR,
              .help = "how pixels are computed"),
    MU_OPTION_END,
};

const mu_component mu_component_resize = {
    .kind = "transform",
    .name = "Resize",
    .doc = "Scales the image to a size, or as far as fits in it.",
    .size = sizeof(resize),
    .options = resize_options,
    .ops = &(const mu_transform_ops){.apply = resize_apply},
};
