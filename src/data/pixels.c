#include "data/pixels.h"

#include "core/mem.h"

const char *const mu_border_names[] = {"constant", "edge", "reflect", "symmetric", NULL};

mu_err mu_pixels_get(const mu_sample *sample, mu_pixels *out)
{
    const mu_tensor *img;
    MU_TRY(mu_sample_image(sample, NULL, &img));
    const int64_t *dim = img->type.dim;
    *out = (mu_pixels){.dtype = img->type.dtype,
                       .channels = dim[0],
                       .height = dim[1],
                       .width = dim[2],
                       .row = dim[2],
                       .plane = dim[1] * dim[2],
                       .data = img->data};
    return MU_OK;
}

mu_pixels mu_pixels_cut(const mu_pixels *p, int64_t top, int64_t left, int64_t height, int64_t width)
{
    mu_pixels part = *p;
    part.data = (const char *)mu_pixels_row(p, 0, top) + (size_t)left * mu_pixels_size(p);
    part.height = height;
    part.width = width;
    return part;
}

mu_err mu_pixels_put(mu_sample *sample, mu_dtype dtype, int64_t channels, int64_t height, int64_t width, void **data)
{
    mu_type type = {.dtype = dtype, .ndim = 3, .dim = {channels, height, width}};
    MU_TRY(mu_sample_put(sample, "img", type, data));
    return MU_OK;
}

mu_err mu_pixels_keep(mu_sample *sample, const mu_pixels *p)
{
    size_t bytes = (size_t)p->width * mu_pixels_size(p);
    void *data;
    MU_TRY(mu_pixels_put(sample, p->dtype, p->channels, p->height, p->width, &data));
    char *to = data;
    for (int64_t c = 0; c < p->channels; c++)
        for (int64_t y = 0; y < p->height; y++, to += bytes)
            memcpy(to, mu_pixels_row(p, c, y), bytes);
    return MU_OK;
}

/* The pixel of 0..n-1 that position i, anywhere, shows; -1: the constant. */
static int64_t mirror(int64_t i, int64_t n, mu_border border)
{
    if (i >= 0 && i < n)
        return i;
    if (border == MU_BORDER_CONSTANT)
        return -1;
    if (border == MU_BORDER_EDGE)
        return i < 0 ? 0 : n - 1;
    int64_t period = border == MU_BORDER_REFLECT ? 2 * (n - 1) : 2 * n;
    if (period == 0)
        return 0;
    i %= period;
    if (i < 0)
        i += period;
    if (i < n)
        return i;
    return border == MU_BORDER_REFLECT ? period - i : period - 1 - i;
}

static void fill(void *row, mu_dtype dtype, int64_t n, double value)
{
    if (dtype == MU_U8) {
        memset(row, (int)(value + 0.5), (size_t)n);
        return;
    }
    float *to = row;
    for (int64_t i = 0; i < n; i++)
        to[i] = (float)value;
}

/* `n` pixels of a row from position `at` on; all of them are outside. */
static void border_pixels(void *to, const void *row, mu_dtype dtype, int64_t at, int64_t n, int64_t width,
                          mu_border border, double value)
{
    if (border == MU_BORDER_CONSTANT) {
        fill(to, dtype, n, value);
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        int64_t from = mirror(at + i, width, border);
        if (dtype == MU_U8)
            ((uint8_t *)to)[i] = ((const uint8_t *)row)[from];
        else
            ((float *)to)[i] = ((const float *)row)[from];
    }
}

static mu_err check_values(const mu_pixels *p, const double *value, size_t n)
{
    if (n > 1 && n != (size_t)p->channels) {
        MU_FAIL(MU_ERR_CONFIG, "pad_val has %zu values, but the image has %lld channels", n, (long long)p->channels);
        return mu_error_hint("give one for all channels, or one for each");
    }
    for (size_t i = 0; i < n && p->dtype == MU_U8; i++)
        if (!(value[i] >= 0 && value[i] <= 255)) {
            MU_FAIL(MU_ERR_CONFIG, "pad_val %g does not fit in the image's u8 pixels", value[i]);
            return mu_error_hint("give a value from 0 to 255, or put Normalize before this transform");
        }
    return MU_OK;
}

static mu_err padded_size(const mu_pixels *p, mu_margins m, int64_t *height, int64_t *width)
{
    if (__builtin_add_overflow(p->height, m.top, height) || __builtin_add_overflow(*height, m.bottom, height) ||
        __builtin_add_overflow(p->width, m.left, width) || __builtin_add_overflow(*width, m.right, width))
        return MU_FAIL(MU_ERR_OVERFLOW, "the padded image would be larger than 2^63 pixels");
    return MU_OK;
}

mu_err mu_pixels_pad(mu_sample *sample, const mu_pixels *p, mu_margins m, mu_border border, const double *value,
                     size_t n)
{
    int64_t height, width;
    void *data;
    MU_TRY(check_values(p, value, n));
    MU_TRY(padded_size(p, m, &height, &width));
    MU_TRY(mu_pixels_put(sample, p->dtype, p->channels, height, width, &data));
    size_t size = mu_pixels_size(p);
    char *to = data;
    for (int64_t c = 0; c < p->channels; c++) {
        double v = n == 0 ? 0 : value[n > 1 ? c : 0];
        for (int64_t y = 0; y < height; y++, to += (size_t)width * size) {
            int64_t from = mirror(y - m.top, p->height, border);
            if (from < 0) {
                fill(to, p->dtype, width, v);
                continue;
            }
            const void *row = mu_pixels_row(p, c, from);
            border_pixels(to, row, p->dtype, -m.left, m.left, p->width, border, v);
            memcpy(to + (size_t)m.left * size, row, (size_t)p->width * size);
            border_pixels(to + (size_t)(m.left + p->width) * size, row, p->dtype, p->width, m.right, p->width, border,
                          v);
        }
    }
    return MU_OK;
}
