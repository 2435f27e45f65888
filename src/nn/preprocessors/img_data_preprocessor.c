#include "config.h"

#include "core/mem.h"
#include "nn/preprocessor.h"

typedef struct {
    mu_floats mean, std;
    int64_t pad_size_divisor;
    double pad_value;
    bool bgr_to_rgb, rgb_to_bgr;
} img;

static const mu_option options[] = {
    MU_OPTION(img, mean, MU_OPT_FLOATS, .nullable = true, .min_items = 1, .bare_item = true,
              .help = "subtracted, by channel (after bgr_to_rgb) or one for all"),
    MU_OPTION(img, std, MU_OPT_FLOATS, .nullable = true, .min_items = 1, .bare_item = true, .bounded_below = true,
              .above_min = true, .help = "divided by then, likewise"),
    MU_OPTION(img, pad_size_divisor, MU_OPT_INT, .int_default = 1, .bounded_below = true, .min = 1, .unit = "pixels",
              .help = "height and width are padded, below and on the right, to a multiple of it"),
    MU_OPTION(img, pad_value, MU_OPT_FLOAT, .help = "of padding, not normalised"),
    MU_OPTION(img, bgr_to_rgb, MU_OPT_BOOL, .help = "turn BGR images into RGB"),
    MU_OPTION(img, rgb_to_bgr, MU_OPT_BOOL, .help = "turn RGB images into BGR"),
    MU_OPTION_END};

static mu_err create(void *object, const mu_cfg *cfg)
{
    const img *self = object;
    (void)cfg;
    if ((self->mean.n == 0) != (self->std.n == 0))
        return MU_FAIL(MU_ERR_CONFIG, "mean and std are given together or not at all");
    if (self->mean.n > 1 && self->std.n > 1 && self->mean.n != self->std.n)
        return MU_FAIL(MU_ERR_CONFIG, "mean has %zu channels, std %zu", self->mean.n, self->std.n);
    if (self->bgr_to_rgb && self->rgb_to_bgr)
        return MU_FAIL(MU_ERR_CONFIG, "bgr_to_rgb and rgb_to_bgr undo each other");
    return MU_OK;
}

static mu_err check_channels(const img *self, int64_t channels)
{
    const mu_floats *lists[] = {&self->mean, &self->std};
    for (int i = 0; i < 2; i++)
        if (lists[i]->n > 1 && (int64_t)lists[i]->n != channels) {
            (void)MU_FAIL(MU_ERR_CONFIG, "ImgDataPreprocessor: %s is for %zu channels, 'img' has %lld", i ? "std" : "mean",
                          lists[i]->n, (long long)channels);
            return mu_error_hint("data_preprocessor.mean and .std have one number for all channels or one for each");
        }
    if ((self->bgr_to_rgb || self->rgb_to_bgr) && channels != 3)
        return MU_FAIL(MU_ERR_CONFIG, "ImgDataPreprocessor: %s wants 3 channels, 'img' has %lld",
                       self->bgr_to_rgb ? "bgr_to_rgb" : "rgb_to_bgr", (long long)channels);
    return MU_OK;
}

static mu_err padded(int64_t size, int64_t divisor, int64_t *out)
{
    MU_TRY(mu_mul_i64(size / divisor + (size % divisor != 0), divisor, out));
    return MU_OK;
}

static mu_err check_image(const img *self, const mu_type *type)
{
    char text[MU_TYPE_TEXT];
    if ((type->ndim != 3 && type->ndim != 4) || (type->dtype != MU_U8 && type->dtype != MU_F32)) {
        (void)MU_FAIL(MU_ERR_SHAPE, "ImgDataPreprocessor: 'img' is %s", mu_type_format(type, text));
        return mu_error_hint("batches of images are u8 or f32 [N,C,H,W] or [N,H,W]");
    }
    MU_TRY(check_channels(self, type->ndim == 4 ? type->dim[1] : 1));
    return MU_OK;
}

static mu_err set_attrs(const img *self, const mu_type *type, mu_normalize_attrs *out)
{
    mu_normalize_attrs a = {.dtype = MU_F32, .reverse = self->bgr_to_rgb || self->rgb_to_bgr, .value = self->pad_value};
    MU_TRY(check_image(self, type));
    for (int d = 0; d < 2; d++) {
        int64_t size = type->dim[type->ndim - 2 + d];
        MU_TRY(padded(size, self->pad_size_divisor, &a.padding[d]));
        a.padding[d] -= size;
    }
    *out = a;
    return MU_OK;
}

/* f32 [n], or none. */
static mu_value statistic(mu_trace *t, const mu_floats *list)
{
    mu_value value = MU_NO_VALUE;
    float *narrow;
    if (list->n == 0)
        return MU_NO_VALUE;
    mu_err err = mu_calloc(&narrow, list->n, sizeof *narrow);
    if (err) {
        mu_trace_fail(t, err);
        return MU_NO_VALUE;
    }
    for (size_t i = 0; i < list->n; i++)
        narrow[i] = (float)list->v[i];
    value = mu_graph_const(t->graph, MU_TYPE(MU_F32, (int64_t)list->n), narrow);
    mu_free(narrow);
    return value;
}

static mu_value record(const void *preprocessor, mu_trace *t, const char *name, mu_value raw)
{
    const img *self = preprocessor;
    mu_normalize_attrs attrs;
    if (mu_trace_status(t) != MU_OK || strcmp(name, "img") != 0)
        return raw;
    mu_err err = set_attrs(self, mu_graph_type(t->graph, raw), &attrs);
    if (err) {
        mu_trace_fail(t, err);
        return MU_NO_VALUE;
    }
    mu_graph_push(t->graph, "data_preprocessor");
    mu_value image = mu_normalize(t->graph, raw, statistic(t, &self->mean), statistic(t, &self->std), &attrs);
    mu_graph_pop(t->graph);
    return image;
}

const mu_component mu_component_img_data_preprocessor = {
    .kind = "data_preprocessor",
    .name = "ImgDataPreprocessor",
    .doc = "Images, \"img\" u8 or f32 [N,C,H,W] or [N,H,W], become floats [N,C,H,W]: (x - mean) / std, channels reversed"
           ", padded. Other fields stay as they are.",
    .size = sizeof(img),
    .options = options,
    .create = create,
    .ops = &(const mu_preprocessor_ops){.record = record},
};
