#include "data/resample.h"
#include "data/transform.h"
#include "data/transforms/size.h"

#include <math.h>

typedef struct {
    mu_ints scale;
    mu_floats crop_ratio_range, aspect_ratio_range;
    int64_t max_attempts;
    int interpolation;

    double ratio[2], aspect[2]; /* smallest and largest */
} random_resized_crop;

static mu_err range_of(const mu_floats *option, const char *key, double low, double high, double out[2])
{
    out[0] = option->n ? option->v[0] : low;
    out[1] = option->n ? option->v[1] : high;
    if (!(isfinite(out[0]) && isfinite(out[1]) && out[0] <= out[1]))
        return MU_FAIL(MU_ERR_CONFIG, "%s is (%g, %g); expected the smaller number first", key, out[0], out[1]);
    return MU_OK;
}

static mu_err random_resized_crop_create(void *object, const mu_cfg *cfg)
{
    random_resized_crop *t = object;
    (void)cfg;
    MU_TRY(range_of(&t->crop_ratio_range, "crop_ratio_range", 0.08, 1, t->ratio));
    MU_TRY(range_of(&t->aspect_ratio_range, "aspect_ratio_range", 3.0 / 4, 4.0 / 3, t->aspect));
    return MU_OK;
}

static double uniform(mu_sample *sample, double low, double high)
{
    return low + (high - low) * mu_sample_uniform(sample);
}

/* The middle, with a shape in the range, when no random rectangle fitted. */
static mu_pixels middle(const random_resized_crop *t, const mu_pixels *p)
{
    int64_t height = p->height, width = p->width;
    double aspect = (double)width / (double)height;
    if (aspect < t->aspect[0])
        height = (int64_t)rint((double)width / t->aspect[0]);
    else if (aspect > t->aspect[1])
        width = (int64_t)rint((double)height * t->aspect[1]);
    height = height < 1 ? 1 : height;
    width = width < 1 ? 1 : width;
    return mu_pixels_cut(p, (p->height - height) / 2, (p->width - width) / 2, height, width);
}

/* Inception's crop (Szegedy et al., CVPR 2015): area uniform, aspect ratio uniform in its logarithm. */
static mu_pixels choose(const random_resized_crop *t, mu_sample *sample, const mu_pixels *p)
{
    double area = (double)p->height * (double)p->width;
    for (int64_t i = 0; i < t->max_attempts; i++) {
        double target = area * uniform(sample, t->ratio[0], t->ratio[1]);
        double aspect = exp(uniform(sample, log(t->aspect[0]), log(t->aspect[1])));
        double width = rint(sqrt(target * aspect)), height = rint(sqrt(target / aspect));
        if (width < 1 || height < 1 || width > (double)p->width || height > (double)p->height)
            continue;
        int64_t top = mu_sample_below(sample, p->height - (int64_t)height + 1);
        int64_t left = mu_sample_below(sample, p->width - (int64_t)width + 1);
        return mu_pixels_cut(p, top, left, (int64_t)height, (int64_t)width);
    }
    return middle(t, p);
}

static mu_err random_resized_crop_apply(const void *transform, mu_sample *sample)
{
    const random_resized_crop *t = transform;
    mu_image_size size = mu_size_hw(&t->scale);
    mu_pixels p, part;
    MU_TRY(mu_pixels_get(sample, &p));
    part = choose(t, sample, &p);
    MU_TRY(mu_pixels_resize(sample, &part, size.height, size.width, t->interpolation));
    return MU_OK;
}

static const mu_option random_resized_crop_options[] = {
    MU_SIZE_OPTION(random_resized_crop, scale, .required = true,
                   .help = "the new size: (height, width), or one number for both"),
    MU_OPTION(random_resized_crop, crop_ratio_range, MU_OPT_FLOATS, .text_default = "[0.08, 1.0]", .min_items = 2,
              .max_items = 2, .bounded_below = true, .above_min = true, .min = 0, .bounded_above = true, .max = 1,
              .help = "smallest and largest share of the image's area"),
    MU_OPTION(random_resized_crop, aspect_ratio_range, MU_OPT_FLOATS, .text_default = "[0.75, 1.3333333333333333]",
              .min_items = 2, .max_items = 2, .bounded_below = true, .above_min = true, .min = 0,
              .help = "smallest and largest width / height"),
    MU_OPTION(random_resized_crop, max_attempts, MU_OPT_INT, .int_default = 10, .bounded_below = true, .min = 0,
              .bounded_above = true, .max = 1000, .help = "draws before the middle of the image is taken"),
    MU_OPTION(random_resized_crop, interpolation, MU_OPT_CHOICE, .choices = mu_interpolation_names,
              .int_default = MU_BILINEAR, .help = "how pixels are computed"),
    MU_OPTION_END,
};

const mu_component mu_component_random_resized_crop = {
    .kind = "transform",
    .name = "RandomResizedCrop",
    .doc = "Scales a part of the image, of random place, area and shape, to a size.",
    .size = sizeof(random_resized_crop),
    .options = random_resized_crop_options,
    .create = random_resized_crop_create,
    .ops = &(const mu_transform_ops){.apply = random_resized_crop_apply},
};
