#include "data/pixels.h"
#include "data/transform.h"

#include <math.h>

typedef enum { BRIGHTNESS, CONTRAST, SATURATION, HUE, N_CHANGES } change;

typedef struct {
    mu_floats brightness, contrast, saturation, hue;

    double low[N_CHANGES], high[N_CHANGES]; /* factors; hue: turns */
} color_jitter;

/* Where a change leaves everything as it is. */
static double neutral(change c)
{
    return c == HUE ? 0 : 1;
}

static mu_err set_range(color_jitter *t, change c, const mu_floats *option, const char *key)
{
    double least = c == HUE ? -0.5 : 0, most = c == HUE ? 0.5 : INFINITY, width = option->n == 1 ? option->v[0] : 0;
    t->low[c] = option->n == 2 ? option->v[0] : fmax(least, neutral(c) - width);
    t->high[c] = option->n == 2 ? option->v[1] : neutral(c) + width;
    if (!(width >= 0 && t->low[c] >= least && t->low[c] <= t->high[c] && t->high[c] <= most && isfinite(t->high[c])))
        return MU_FAIL(MU_ERR_CONFIG,
                       "%s gives the range %g to %g; expected one inside %g to %g, the smaller number first", key,
                       t->low[c], t->high[c], least, most);
    return MU_OK;
}

static mu_err color_jitter_create(void *object, const mu_cfg *cfg)
{
    color_jitter *t = object;
    (void)cfg;
    MU_TRY(set_range(t, BRIGHTNESS, &t->brightness, "brightness"));
    MU_TRY(set_range(t, CONTRAST, &t->contrast, "contrast"));
    MU_TRY(set_range(t, SATURATION, &t->saturation, "saturation"));
    MU_TRY(set_range(t, HUE, &t->hue, "hue"));
    return MU_OK;
}

/* The pixels as f32 from 0 to 255; with one channel all three are the same. */
typedef struct {
    int64_t channels, n;
    float *v; /* [channels, n] */
} canvas;

static inline float clamp(float x)
{
    return fminf(fmaxf(x, 0), 255);
}

static inline float grey(const canvas *c, int64_t i)
{
    return c->channels == 1 ? c->v[i] : 0.299f * c->v[i] + 0.587f * c->v[c->n + i] + 0.114f * c->v[2 * c->n + i];
}

/* v = factor * v + (1 - factor) * base */
static void blend(const canvas *c, float factor, float base)
{
    base *= 1 - factor;
    for (int64_t i = 0; i < c->channels * c->n; i++)
        c->v[i] = clamp(c->v[i] * factor + base);
}

static void contrast(const canvas *c, float factor)
{
    double sum = 0;
    for (int64_t i = 0; i < c->n; i++)
        sum += grey(c, i);
    blend(c, factor, (float)(sum / (double)c->n));
}

static void saturate(const canvas *c, float factor)
{
    float *r = c->v, *g = r + c->n, *b = g + c->n;
    for (int64_t i = 0; i < c->n; i++) {
        float base = grey(c, i) * (1 - factor);
        r[i] = clamp(r[i] * factor + base);
        g[i] = clamp(g[i] * factor + base);
        b[i] = clamp(b[i] * factor + base);
    }
}

/* A channel of a colour of this hue (in sixths of a turn): value - chroma * how far the hue is from the channel. */
static inline float channel_at(float hue, float value, float chroma, float channel)
{
    float k = hue + channel;
    k -= k >= 6 ? 6 : 0;
    return value - chroma * fmaxf(0, fminf(fminf(k, 4 - k), 1));
}

/* Turns the hue of hue, saturation and value. */
static void turn(const canvas *c, float turns)
{
    float *r = c->v, *g = r + c->n, *b = g + c->n;
    for (int64_t i = 0; i < c->n; i++) {
        float value = fmaxf(fmaxf(r[i], g[i]), b[i]), chroma = value - fminf(fminf(r[i], g[i]), b[i]);
        float over = chroma > 0 ? 1 / chroma : 0;
        float hue = value == r[i]   ? (g[i] - b[i]) * over
                    : value == g[i] ? 2 + (b[i] - r[i]) * over
                                    : 4 + (r[i] - g[i]) * over;
        hue += 6 * turns;
        hue += hue < 0 ? 6 : 0;
        hue -= hue >= 6 ? 6 : 0;
        r[i] = channel_at(hue, value, chroma, 5);
        g[i] = channel_at(hue, value, chroma, 3);
        b[i] = channel_at(hue, value, chroma, 1);
    }
}

static void apply(const canvas *c, change what, float factor)
{
    if (what == BRIGHTNESS)
        blend(c, factor, 0);
    else if (what == CONTRAST)
        contrast(c, factor);
    else if (what == SATURATION && c->channels == 3)
        saturate(c, factor);
    else if (what == HUE && c->channels == 3)
        turn(c, factor);
}

/* In random order; changes that do nothing are left out. False: none is left. */
static int draw(const color_jitter *t, mu_sample *sample, change order[N_CHANGES], double factor[N_CHANGES])
{
    int n = 0;
    for (change i = 0; i < N_CHANGES; i++) {
        if (t->low[i] == neutral(i) && t->high[i] == neutral(i))
            continue;
        factor[i] = t->low[i] + (t->high[i] - t->low[i]) * mu_sample_uniform(sample);
        order[n++] = i;
    }
    for (int i = n - 1; i > 0; i--) {
        int64_t j = mu_sample_below(sample, i + 1);
        change other = order[i];
        order[i] = order[j];
        order[j] = other;
    }
    return n;
}

static mu_err color_jitter_apply(const void *transform, mu_sample *sample)
{
    change order[N_CHANGES];
    double factor[N_CHANGES];
    mu_pixels p;
    void *data;
    MU_TRY(mu_pixels_get(sample, &p));
    if (p.dtype != MU_U8 || (p.channels != 1 && p.channels != 3)) {
        MU_FAIL(MU_ERR_CONFIG, "the image is %s with %lld channels; expected u8 with 1 or 3", mu_dtype_name(p.dtype),
                (long long)p.channels);
        return mu_error_hint("put it before Normalize");
    }
    int changes = draw(transform, sample, order, factor);
    canvas c = {.channels = p.channels, .n = p.height * p.width};
    if (changes == 0)
        return MU_OK;
    MU_TRY(mu_sample_scratch(sample, (size_t)(c.channels * c.n) * sizeof(float), &c.v));
    MU_TRY(mu_pixels_put(sample, MU_U8, p.channels, p.height, p.width, &data));
    mu_convert(c.v, MU_F32, p.data, MU_U8, c.channels * c.n);
    for (int i = 0; i < changes; i++)
        apply(&c, order[i], (float)factor[order[i]]);
    uint8_t *restrict to = data;
    for (int64_t i = 0; i < c.channels * c.n; i++)
        to[i] = (uint8_t)(int)(c.v[i] + 0.5f);
    return MU_OK;
}

#define FACTOR(key_, help_)                                                                                            \
    MU_OPTION(color_jitter, key_, MU_OPT_FLOATS, .bare_item = true, .text_default = "0", .max_items = 2, .help = help_)

static const mu_option color_jitter_options[] = {
    FACTOR(brightness, "x: a factor from max(0, 1 - x) to 1 + x; or the smallest and the largest factor"),
    FACTOR(contrast, "the same for the distance from the image's mean grey"),
    FACTOR(saturation, "the same for the distance from the pixel's grey"),
    FACTOR(hue, "x: turned by -x to x of a circle, x at most 0.5; or from and to"),
    MU_OPTION_END,
};

const mu_component mu_component_color_jitter = {
    .kind = "transform",
    .name = "ColorJitter",
    .doc = "Changes brightness, contrast, saturation and hue by random amounts, in random order.",
    .size = sizeof(color_jitter),
    .options = color_jitter_options,
    .create = color_jitter_create,
    .ops = &(const mu_transform_ops){.apply = color_jitter_apply},
};
