#include "data/resample.h"

#include "core/mem.h"
#include "ops/resize.h"

const char *const mu_interpolation_names[] = {"nearest", "bilinear", "area", NULL};

/* Where an output column or row reads from. */
typedef struct {
    int32_t low, high; /* bilinear: blended; area: first and one past the last; nearest: low */
    float weight;      /* bilinear: of high */
} tap;

static tap tap_of(int64_t o, int64_t in, int64_t out, mu_interpolation interpolation)
{
    if (interpolation == MU_NEAREST)
        return (tap){.low = (int32_t)mu_resize_nearest(o, in, out)};
    if (interpolation == MU_AREA)
        return (tap){.low = (int32_t)(o * in / out), .high = (int32_t)(((o + 1) * in - 1) / out + 1)};
    mu_resize_tap t = mu_resize_linear(o, in, out, false);
    return (tap){.low = (int32_t)t.low, .high = (int32_t)t.high, .weight = (float)t.weight};
}

static void nearest_row(void *to, const void *from, mu_dtype dtype, const tap *x, int64_t width)
{
    for (int64_t i = 0; i < width; i++)
        if (dtype == MU_U8)
            ((uint8_t *)to)[i] = ((const uint8_t *)from)[x[i].low];
        else
            ((float *)to)[i] = ((const float *)from)[x[i].low];
}

static void linear_row(float *restrict line, const void *from, mu_dtype dtype, const tap *restrict x, int64_t width)
{
    const uint8_t *restrict u8 = from;
    const float *restrict f32 = from;
    if (dtype == MU_U8)
        for (int64_t i = 0; i < width; i++)
            line[i] = (float)u8[x[i].low] * (1 - x[i].weight) + (float)u8[x[i].high] * x[i].weight;
    else
        for (int64_t i = 0; i < width; i++)
            line[i] = f32[x[i].low] * (1 - x[i].weight) + f32[x[i].high] * x[i].weight;
}

/* to = (1 - w) * a + w * b */
static void blend(void *restrict to, mu_dtype dtype, const float *restrict a, const float *restrict b, float w,
                  int64_t n)
{
    uint8_t *restrict u8 = to;
    float *restrict f32 = to, v = 1 - w;
    if (dtype == MU_U8)
        for (int64_t i = 0; i < n; i++)
            u8[i] = (uint8_t)(int)(a[i] * v + b[i] * w + 0.5f);
    else
        for (int64_t i = 0; i < n; i++)
            f32[i] = a[i] * v + b[i] * w;
}

/* line[n] += a row */
static void add_row(float *restrict line, const void *from, mu_dtype dtype, int64_t n)
{
    const uint8_t *restrict u8 = from;
    const float *restrict f32 = from;
    if (dtype == MU_U8)
        for (int64_t i = 0; i < n; i++)
            line[i] += (float)u8[i];
    else
        for (int64_t i = 0; i < n; i++)
            line[i] += f32[i];
}

static void mean_row(void *to, mu_dtype dtype, const float *line, const tap *x, int64_t width, int64_t rows)
{
    for (int64_t i = 0; i < width; i++) {
        float sum = 0;
        for (int32_t j = x[i].low; j < x[i].high; j++)
            sum += line[j];
        sum /= (float)(rows * (x[i].high - x[i].low));
        if (dtype == MU_U8)
            ((uint8_t *)to)[i] = (uint8_t)(int)(sum + 0.5f);
        else
            ((float *)to)[i] = sum;
    }
}

typedef struct {
    const mu_pixels *in;
    mu_interpolation interpolation;
    int64_t height, width; /* of the result */
    tap *x;                /* [width] */
    float *line[2];        /* bilinear: two rows of the result's width; area: the first, of the input's */
} job;

/* Two neighbouring rows, stretched, serve several rows of the result when the image grows. */
static void linear_plane(const job *j, int64_t channel, char *to, size_t row_bytes)
{
    const mu_pixels *in = j->in;
    int64_t held[2] = {-1, -1};
    float *line[2] = {j->line[0], j->line[1]};
    for (int64_t y = 0; y < j->height; y++, to += row_bytes) {
        tap t = tap_of(y, in->height, j->height, MU_BILINEAR);
        if (held[1] == t.low && held[0] != t.low) {
            float *other = line[0];
            line[0] = line[1];
            line[1] = other;
            held[1] = held[0];
            held[0] = t.low;
        }
        if (held[0] != t.low)
            linear_row(line[0], mu_pixels_row(in, channel, t.low), in->dtype, j->x, j->width);
        held[0] = t.low;
        if (t.high != t.low && held[1] != t.high) {
            linear_row(line[1], mu_pixels_row(in, channel, t.high), in->dtype, j->x, j->width);
            held[1] = t.high;
        }
        blend(to, in->dtype, line[0], t.high == t.low ? line[0] : line[1], t.weight, j->width);
    }
}

static void area_plane(const job *j, int64_t channel, char *to, size_t row_bytes)
{
    const mu_pixels *in = j->in;
    for (int64_t y = 0; y < j->height; y++, to += row_bytes) {
        tap t = tap_of(y, in->height, j->height, MU_AREA);
        memset(j->line[0], 0, (size_t)in->width * sizeof(float));
        for (int64_t i = t.low; i < t.high; i++)
            add_row(j->line[0], mu_pixels_row(in, channel, i), in->dtype, in->width);
        mean_row(to, in->dtype, j->line[0], j->x, j->width, t.high - t.low);
    }
}

static void nearest_plane(const job *j, int64_t channel, char *to, size_t row_bytes)
{
    const mu_pixels *in = j->in;
    for (int64_t y = 0; y < j->height; y++, to += row_bytes) {
        tap t = tap_of(y, in->height, j->height, MU_NEAREST);
        nearest_row(to, mu_pixels_row(in, channel, t.low), in->dtype, j->x, j->width);
    }
}

static mu_err make_taps(mu_sample *sample, job *j)
{
    size_t bytes, columns = (size_t)(j->interpolation == MU_AREA ? j->in->width : j->width);
    MU_TRY(mu_mul_size((size_t)j->width, sizeof *j->x, &bytes));
    MU_TRY(mu_sample_scratch(sample, bytes, &j->x));
    for (int i = 0; i < 2 && j->interpolation != MU_NEAREST; i++)
        MU_TRY(mu_sample_scratch(sample, columns * sizeof(float), &j->line[i]));
    for (int64_t i = 0; i < j->width; i++)
        j->x[i] = tap_of(i, j->in->width, j->width, j->interpolation);
    return MU_OK;
}

mu_err mu_pixels_resize(mu_sample *sample, const mu_pixels *p, int64_t height, int64_t width,
                        mu_interpolation interpolation)
{
    job j = {.in = p, .interpolation = interpolation, .height = height, .width = width};
    void *data;
    if (height < 1 || width < 1 || height > INT32_MAX || width > INT32_MAX || p->height > INT32_MAX ||
        p->width > INT32_MAX)
        return MU_FAIL(MU_ERR_CONFIG,
                       "an image of %lld x %lld pixels (height x width) cannot become one of %lld x %lld",
                       (long long)p->height, (long long)p->width, (long long)height, (long long)width);
    if (height == p->height && width == p->width)
        return mu_pixels_keep(sample, p);
    MU_TRY(mu_pixels_put(sample, p->dtype, p->channels, height, width, &data));
    MU_TRY(make_taps(sample, &j));
    size_t row_bytes = (size_t)width * mu_pixels_size(p);
    for (int64_t c = 0; c < p->channels; c++) {
        char *to = (char *)data + (size_t)(c * height) * row_bytes;
        if (interpolation == MU_NEAREST)
            nearest_plane(&j, c, to, row_bytes);
        else if (interpolation == MU_BILINEAR)
            linear_plane(&j, c, to, row_bytes);
        else
            area_plane(&j, c, to, row_bytes);
    }
    return MU_OK;
}
