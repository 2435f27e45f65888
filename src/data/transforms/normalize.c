#include "data/pixels.h"
#include "data/transform.h"

#include <math.h>

typedef struct {
    mu_floats mean, std;
    bool to_rgb;
} normalize;

static mu_err normalize_create(void *object, const mu_cfg *cfg)
{
    const normalize *t = object;
    (void)cfg;
    if (t->mean.n != t->std.n)
        return MU_FAIL(MU_ERR_CONFIG, "mean has %zu numbers, std has %zu; expected as many", t->mean.n, t->std.n);
    for (size_t i = 0; i < t->mean.n; i++) {
        if (!isfinite(t->mean.v[i]))
            return MU_FAIL(MU_ERR_CONFIG, "mean %zu is %g; expected a finite number", i, t->mean.v[i]);
        if (!isfinite(t->std.v[i]) || !isfinite((float)(1 / t->std.v[i])))
            return MU_FAIL(MU_ERR_CONFIG, "std %zu is %g; expected a finite number that pixels can be divided by", i,
                           t->std.v[i]);
    }
    if (t->to_rgb && t->mean.n != 1 && t->mean.n != 3)
        return MU_FAIL(MU_ERR_CONFIG, "to_rgb is for images of 3 channels, mean has %zu", t->mean.n);
    return MU_OK;
}

/* to = (from - mean) / std */
static void normalize_row(float *restrict to, const void *restrict from, mu_dtype dtype, int64_t n, float mean,
                          float scale)
{
    const uint8_t *u8 = from;
    const float *f32 = from;
    if (dtype == MU_U8)
        for (int64_t i = 0; i < n; i++)
            to[i] = ((float)u8[i] - mean) * scale;
    else
        for (int64_t i = 0; i < n; i++)
            to[i] = (f32[i] - mean) * scale;
}

static mu_err normalize_apply(const void *transform, mu_sample *sample)
{
    const normalize *t = transform;
    mu_pixels p;
    void *data;
    MU_TRY(mu_pixels_get(sample, &p));
    if (t->mean.n > 1 && t->mean.n != (size_t)p.channels) {
        MU_FAIL(MU_ERR_CONFIG, "mean has %zu numbers, but the image has %lld channels", t->mean.n,
                (long long)p.channels);
        return mu_error_hint("give one for all channels, or one for each");
    }
    if (t->to_rgb && p.channels != 3)
        return MU_FAIL(MU_ERR_CONFIG, "to_rgb is for images of 3 channels, this one has %lld", (long long)p.channels);
    MU_TRY(mu_pixels_put(sample, MU_F32, p.channels, p.height, p.width, &data));
    int64_t n = p.height * p.width;
    for (int64_t c = 0; c < p.channels; c++) {
        size_t i = t->mean.n > 1 ? (size_t)c : 0;
        const void *plane = mu_pixels_row(&p, t->to_rgb ? 2 - c : c, 0);
        normalize_row((float *)data + c * n, plane, p.dtype, n, (float)t->mean.v[i], (float)(1 / t->std.v[i]));
    }
    return MU_OK;
}

static const mu_option normalize_options[] = {
    MU_OPTION(normalize, mean, MU_OPT_FLOATS, .required = true, .bare_item = true, .min_items = 1,
              .help = "what is subtracted: one number, or one for each channel of the result"),
    MU_OPTION(normalize, std, MU_OPT_FLOATS, .required = true, .bare_item = true, .min_items = 1, .bounded_below = true,
              .above_min = true, .min = 0, .help = "what is divided by then"),
    MU_OPTION(normalize, to_rgb, MU_OPT_BOOL,
              .help = "the image is BGR: swap its first and last channel (what Muster decodes is RGB)"),
    MU_OPTION_END,
};

const mu_component mu_component_normalize = {
    .kind = "transform",
    .name = "Normalize",
    .doc = "Turns the image into f32 with a mean and a deviation for each channel.",
    .size = sizeof(normalize),
    .options = normalize_options,
    .create = normalize_create,
    .ops = &(const mu_transform_ops){.apply = normalize_apply},
};
