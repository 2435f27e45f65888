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

static mu_err types(const void *preprocessor, const mu_batch *batch, mu_tensors *out)
{
    const img *self = preprocessor;
    char text[256];
    if (!mu_tensors_find(&batch->fields, "img"))
        return MU_FAIL(MU_ERR_CONFIG, "ImgDataPreprocessor: the batch has no 'img' (it has %s)",
                       mu_tensors_format(&batch->fields, text, sizeof text));
    for (int i = 0; i < batch->fields.n; i++) {
        const mu_tensor *field = &batch->fields.item[i];
        mu_type type = field->type;
        if (strcmp(field->name, "img") == 0) {
            bool planar = type.ndim == 4;
            if ((type.ndim != 3 && !planar) || (type.dtype != MU_U8 && type.dtype != MU_F32)) {
                (void)MU_FAIL(MU_ERR_SHAPE, "ImgDataPreprocessor: 'img' is %s", mu_type_format(&type, text));
                return mu_error_hint("batches of images are u8 or f32 [N,C,H,W] or [N,H,W]");
            }
            int64_t channels = planar ? type.dim[1] : 1, height = type.dim[type.ndim - 2], width = type.dim[type.ndim - 1];
            MU_TRY(check_channels(self, channels));
            MU_TRY(padded(height, self->pad_size_divisor, &height));
            MU_TRY(padded(width, self->pad_size_divisor, &width));
            MU_TRY(mu_type_init(&type, MU_F32, 4, (int64_t[]){type.dim[0], channels, height, width}));
        }
        MU_TRY(mu_tensors_put(out, field->name, type, NULL));
    }
    return MU_OK;
}

/* What a channel's values become: (x - mean) / std in f32. */
typedef struct {
    float mean, std;
    bool is_u8;
} channel;

static channel channel_of(const img *self, int64_t c, bool is_u8)
{
    return (channel){.mean = self->mean.n ? (float)self->mean.v[self->mean.n > 1 ? c : 0] : 0,
                     .std = self->std.n ? (float)self->std.v[self->std.n > 1 ? c : 0] : 1,
                     .is_u8 = is_u8};
}

#ifdef HAVE_X86_LEVELS
#define VECTORISED __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define VECTORISED
#endif

enum { PIECE = 64 }; /* a fixed length, of which the compiler makes vectors */

VECTORISED
static void normalise_u8(const uint8_t *restrict x, float *restrict y, int64_t n, float mean, float std)
{
    int64_t i = 0;
    for (; i + PIECE <= n; i += PIECE)
        for (int k = 0; k < PIECE; k++)
            y[i + k] = ((float)x[i + k] - mean) / std;
    for (; i < n; i++)
        y[i] = ((float)x[i] - mean) / std;
}

VECTORISED
static void normalise_f32(const float *restrict x, float *restrict y, int64_t n, float mean, float std)
{
    int64_t i = 0;
    for (; i + PIECE <= n; i += PIECE)
        for (int k = 0; k < PIECE; k++)
            y[i + k] = (x[i + k] - mean) / std;
    for (; i < n; i++)
        y[i] = (x[i] - mean) / std;
}

static void normalise(const channel *ch, const void *src, float *dst, int64_t n)
{
    if (ch->is_u8)
        normalise_u8(src, dst, n, ch->mean, ch->std);
    else
        normalise_f32(src, dst, n, ch->mean, ch->std);
}

static void fill(float *dst, int64_t n, float value)
{
    for (int64_t i = 0; i < n; i++)
        dst[i] = value;
}

static void normalise_plane(const img *self, const channel *ch, const char *src, const int64_t from[2], float *dst,
                            const int64_t to[2])
{
    if (from[1] == to[1]) {
        normalise(ch, src, dst, from[0] * from[1]);
    } else {
        for (int64_t y = 0; y < from[0]; y++) {
            normalise(ch, src + (size_t)(y * from[1]) * (ch->is_u8 ? 1 : sizeof(float)), dst + y * to[1], from[1]);
            fill(dst + y * to[1] + from[1], to[1] - from[1], (float)self->pad_value);
        }
    }
    fill(dst + from[0] * to[1], (to[0] - from[0]) * to[1], (float)self->pad_value);
}

static void run_image(const img *self, const mu_tensor *src, const mu_tensor *dst)
{
    bool is_u8 = src->type.dtype == MU_U8, swap = self->bgr_to_rgb || self->rgb_to_bgr;
    const int64_t *from = src->type.dim + src->type.ndim - 2, *to = dst->type.dim + 2;
    int64_t n = dst->type.dim[0], channels = dst->type.dim[1];
    size_t plane = (size_t)(from[0] * from[1]) * (is_u8 ? 1 : sizeof(float));
    for (int64_t c = 0; c < channels; c++) {
        channel ch = channel_of(self, c, is_u8);
        for (int64_t i = 0; i < n; i++)
            normalise_plane(self, &ch, (const char *)src->data + (size_t)(i * channels + (swap ? 2 - c : c)) * plane, from,
                            (float *)dst->data + (i * channels + c) * to[0] * to[1], to);
    }
}

static mu_err run(const void *preprocessor, const mu_batch *batch, bool training, mu_tensors *out)
{
    (void)training;
    for (int i = 0; i < out->n; i++) {
        const mu_tensor *from = mu_tensors_find(&batch->fields, out->item[i].name);
        if (!from || !out->item[i].data)
            continue;
        if (strcmp(from->name, "img") == 0)
            run_image(preprocessor, from, &out->item[i]);
        else
            memcpy(out->item[i].data, from->data, mu_type_bytes(&from->type));
    }
    return MU_OK;
}

const mu_component mu_component_img_data_preprocessor = {
    .kind = "data_preprocessor",
    .name = "ImgDataPreprocessor",
    .doc = "Images, \"img\" u8 or f32 [N,C,H,W] or [N,H,W], become f32 [N,C,H,W]: (x - mean) / std, channels reversed"
           ", padded. Other fields stay as they are.",
    .size = sizeof(img),
    .options = options,
    .create = create,
    .ops = &(const mu_preprocessor_ops){.types = types, .run = run},
};
