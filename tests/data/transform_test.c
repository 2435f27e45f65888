#include "data/transform.h"

#include "config/config.h"

#include "test.h"

#include <math.h>

static mu_config *config;
static mu_pipeline *pipeline;
static mu_sample sample;

static mu_err make_pipeline(const char *yaml)
{
    MU_TRY(mu_config_parse(yaml, strlen(yaml), "yaml", &config));
    mu_err err = mu_pipeline_new(mu_cfg_get(mu_config_root(config), "pipeline"), "pipeline", &pipeline);
    if (err)
        mu_config_release(config);
    return err;
}

static void drop_pipeline(void)
{
    mu_pipeline_release(pipeline);
    mu_config_release(config);
}

/* "pipeline: [...]" from the text of the list. */
static void use(const char *format, ...)
{
    char text[1024];
    size_t n = (size_t)snprintf(text, sizeof text, "pipeline: ");
    va_list args;
    va_start(args, format);
    vsnprintf(text + n, sizeof text - n, format, args);
    va_end(args);
    ck_ok(make_pipeline(text));
}

static void finish(void)
{
    drop_pipeline();
    mu_sample_release(&sample);
    mu_registry_reset();
}

/* ---- test images: a formula that tests/golden/transform.py knows too ---- */

static uint8_t pixel(int64_t c, int64_t y, int64_t x)
{
    return (uint8_t)((uint32_t)((131 * c + 17 * y + 29 * x + 1) * 2654435761) >> 24);
}

static void put_u8(int64_t channels, int64_t h, int64_t w)
{
    void *data;
    ck_ok(mu_sample_put(&sample, "img", MU_TYPE(MU_U8, channels, h, w), &data));
    for (int64_t c = 0; c < channels; c++)
        for (int64_t i = 0; i < h * w; i++)
            ((uint8_t *)data)[c * h * w + i] = pixel(c, i / w, i % w);
}

/* The same pixels / 8 - 10: exact. */
static void put_f32(int64_t channels, int64_t h, int64_t w)
{
    void *data;
    ck_ok(mu_sample_put(&sample, "img", MU_TYPE(MU_F32, channels, h, w), &data));
    for (int64_t c = 0; c < channels; c++)
        for (int64_t i = 0; i < h * w; i++)
            ((float *)data)[c * h * w + i] = (float)pixel(c, i / w, i % w) / 8 - 10;
}

static void begin(int64_t index)
{
    mu_sample_begin(&sample, index, 1, 0);
}

static const mu_tensor *image(void)
{
    const mu_tensor *img;
    ck_ok(mu_sample_image(&sample, "test", &img));
    return img;
}

static double at(const mu_tensor *img, int64_t c, int64_t y, int64_t x)
{
    int64_t i = (c * img->type.dim[1] + y) * img->type.dim[2] + x;
    return img->type.dtype == MU_U8 ? ((const uint8_t *)img->data)[i] : (double)((const float *)img->data)[i];
}

static void check_size(int64_t channels, int64_t h, int64_t w)
{
    const mu_tensor *img = image();
    ck_assert_int_eq(img->type.dim[0], channels);
    ck_assert_int_eq(img->type.dim[1], h);
    ck_assert_int_eq(img->type.dim[2], w);
}

/* ---- resizing ---- */

typedef struct {
    const char *interpolation;
    int64_t h, w, oh, ow;
    double value[2 * 100];
} resize_golden;

static const resize_golden resize_cases[] = {
#define RESIZE(interpolation_, h_, w_, oh_, ow_, ...) {#interpolation_, h_, w_, oh_, ow_, {__VA_ARGS__}},
#include "golden/transform.inc"
#undef RESIZE
};
enum { N_RESIZE = sizeof resize_cases / sizeof resize_cases[0] };

START_TEST(resize_as_pytorch)
{
    const resize_golden *g = &resize_cases[_i];
    use("[{type: Resize, scale: [%d, %d], interpolation: %s}]", (int)g->ow, (int)g->oh, g->interpolation);
    for (int f32 = 0; f32 < 2; f32++) {
        begin(0);
        if (f32)
            put_f32(2, g->h, g->w);
        else
            put_u8(2, g->h, g->w);
        ck_ok(mu_pipeline_apply(pipeline, &sample));
        check_size(2, g->oh, g->ow);
        const mu_tensor *img = image();
        ck_assert_int_eq(img->type.dtype, f32 ? MU_F32 : MU_U8);
        for (int64_t i = 0; i < 2 * g->oh * g->ow; i++) {
            double got = at(img, 0, 0, i), want = f32 ? g->value[i] / 8 - 10 : g->value[i];
            /* Four roundings of numbers below 32; half a step and those of numbers below 256. */
            double bound = f32 ? 4 * 32 * 0x1p-24 : 0.5 + 4 * 256 * 0x1p-24;
            ck_assert_msg(fabs(got - want) <= bound, "%s %dx%d to %dx%d, %s value %d: %.9g instead of %.9g",
                          g->interpolation, (int)g->h, (int)g->w, (int)g->oh, (int)g->ow, f32 ? "f32" : "u8", (int)i,
                          got, want);
        }
    }
    finish();
}
END_TEST

static const struct {
    const char *options;
    int h, w, oh, ow;
} size_cases[] = {
    {"type: Resize, scale: [1333, 800], keep_ratio: true", 480, 640, 800, 1067},
    {"type: Resize, scale: [1333, 800], keep_ratio: true", 640, 480, 1067, 800},
    {"type: Resize, scale: [800, 1333], keep_ratio: true", 200, 1000, 267, 1333},
    {"type: Resize, scale: 32, keep_ratio: true", 10, 1000, 1, 32},
    {"type: Resize, scale: 32, keep_ratio: true", 1, 1000, 1, 32},
    {"type: Resize, scale: 32", 10, 20, 32, 32},
    {"type: Resize, scale: [20, 10]", 10, 20, 10, 20},
    {"type: ResizeEdge, scale: 256", 375, 500, 256, 341},
    {"type: ResizeEdge, scale: 256", 500, 375, 341, 256},
    {"type: ResizeEdge, scale: 256, edge: long", 500, 375, 256, 192},
    {"type: ResizeEdge, scale: 100, edge: width", 30, 40, 75, 100},
    {"type: ResizeEdge, scale: 100, edge: height", 30, 40, 100, 133},
    {"type: ResizeEdge, scale: 2, edge: long", 1, 100, 1, 2},
    {"type: Pad, size: [40, 30]", 20, 25, 30, 40},
    {"type: Pad, size_divisor: 32", 33, 32, 64, 32},
    {"type: Pad, pad_to_square: true", 7, 9, 9, 9},
    {"type: Pad, pad_to_square: true, size_divisor: 4", 7, 9, 12, 12},
};

START_TEST(sizes)
{
    use("[{%s}]", size_cases[_i].options);
    begin(0);
    put_u8(1, size_cases[_i].h, size_cases[_i].w);
    ck_ok(mu_pipeline_apply(pipeline, &sample));
    check_size(1, size_cases[_i].oh, size_cases[_i].ow);
    finish();
}
END_TEST

/* ---- crops and borders ---- */

START_TEST(center_crop)
{
    static const struct {
        int h, w, ch, cw, top, left;
    } cases[] = {{9, 7, 3, 3, 3, 2}, {4, 5, 4, 5, 0, 0}, {5, 6, 2, 3, 2, 2}, {8, 9, 3, 4, 2, 2}};
    for (size_t n = 0; n < sizeof cases / sizeof cases[0]; n++) {
        use("[{type: CenterCrop, crop_size: [%d, %d]}]", cases[n].cw, cases[n].ch);
        begin(0);
        put_u8(3, cases[n].h, cases[n].w);
        ck_ok(mu_pipeline_apply(pipeline, &sample));
        check_size(3, cases[n].ch, cases[n].cw);
        for (int c = 0; c < 3; c++)
            for (int y = 0; y < cases[n].ch; y++)
                for (int x = 0; x < cases[n].cw; x++)
                    ck_assert_int_eq((int)at(image(), c, y, x), pixel(c, y + cases[n].top, x + cases[n].left));
        finish();
    }
    use("[{type: CenterCrop, crop_size: [6, 2], auto_pad: true, pad_val: [7, 8]}]");
    begin(0);
    put_f32(2, 4, 3);
    ck_ok(mu_pipeline_apply(pipeline, &sample));
    check_size(2, 2, 6);
    for (int c = 0; c < 2; c++)
        for (int x = 0; x < 6; x++)
            ck_assert_double_eq(at(image(), c, 0, x), x < 3 ? (float)pixel(c, 1, x) / 8 - 10 : 7 + c);
    finish();
}
END_TEST

/* Where a border takes its pixel from, walked step by step; -1: the constant. */
static int walk(int i, int n, const char *mode)
{
    if (i >= 0 && i < n)
        return i;
    if (strcmp(mode, "constant") == 0)
        return -1;
    bool edge = strcmp(mode, "edge") == 0, reflect = strcmp(mode, "reflect") == 0;
    int at_pixel = 0, step = 1, target = i < 0 ? -i : i - (n - 1);
    /* Mirrored coordinates: begin at the nearer border and walk inwards. */
    if (edge || n == 1)
        return i < 0 ? 0 : n - 1;
    if (!reflect)
        target--;
    for (int k = 0; k < target; k++) {
        if (at_pixel + step < 0 || at_pixel + step >= n) {
            step = -step;
            if (!reflect)
                continue; /* the pixel at the turn counts twice */
        }
        at_pixel += step;
    }
    return i < 0 ? at_pixel : n - 1 - at_pixel;
}

static const char *const modes[] = {"constant", "edge", "reflect", "symmetric"};

START_TEST(pad_fills_borders)
{
    for (int h = 1; h < 5; h++) {
        use("[{type: Pad, size: [17, 12], padding_mode: %s, pad_val: 9}]", modes[_i]);
        for (int f32 = 0; f32 < 2; f32++) {
            begin(0);
            if (f32)
                put_f32(2, h, h + 1);
            else
                put_u8(2, h, h + 1);
            ck_ok(mu_pipeline_apply(pipeline, &sample));
            check_size(2, 12, 17);
            for (int c = 0; c < 2; c++)
                for (int y = 0; y < 12; y++)
                    for (int x = 0; x < 17; x++) {
                        int fy = walk(y, h, modes[_i]), fx = walk(x, h + 1, modes[_i]);
                        double want = fy < 0 || fx < 0 ? 9 : f32 ? (float)pixel(c, fy, fx) / 8 - 10 : pixel(c, fy, fx);
                        ck_assert_double_eq(at(image(), c, y, x), want);
                    }
        }
        finish();
    }
}
END_TEST

/* The crop is a window of the padded image; every place comes up, and about equally often. */
START_TEST(random_crop)
{
    enum { H = 6, W = 5, CH = 4, CW = 3, TOP = 2, LEFT = 1, ROWS = H + 2 * TOP - CH + 1, COLS = W + 2 * LEFT - CW + 1 };
    int seen[ROWS][COLS] = {{0}}, n = 60 * ROWS * COLS;
    use("[{type: RandomCrop, crop_size: [4, 3], padding: [1, 2], padding_mode: %s, pad_val: 200}]", modes[_i]);
    for (int i = 0; i < n; i++) {
        int found = 0, fy = 0, fx = 0;
        begin(i);
        put_u8(2, H, W);
        ck_ok(mu_pipeline_apply(pipeline, &sample));
        check_size(2, CH, CW);
        for (int top = 0; top < ROWS; top++)
            for (int left = 0; left < COLS; left++) {
                bool same = true;
                for (int k = 0; k < 2 * CH * CW && same; k++) {
                    int c = k / (CH * CW), y = k / CW % CH, x = k % CW;
                    int sy = walk(top + y - TOP, H, modes[_i]), sx = walk(left + x - LEFT, W, modes[_i]);
                    same = (int)at(image(), c, y, x) == (sy < 0 || sx < 0 ? 200 : pixel(c, sy, sx));
                }
                if (same && !found++)
                    fy = top, fx = left;
            }
        ck_assert_int_eq(found, 1);
        seen[fy][fx]++;
    }
    double chi = 0;
    for (int i = 0; i < ROWS * COLS; i++) {
        double d = seen[i / COLS][i % COLS] - 60;
        chi += d * d / 60;
    }
    ck_assert_double_lt(chi, 75); /* 34 degrees of freedom: beyond with probability 1e-4 */
    finish();
}
END_TEST

START_TEST(random_crop_pads_if_needed)
{
    bool seen[5] = {false};
    use("[{type: RandomCrop, crop_size: [3, 6], pad_if_needed: true}]");
    for (int i = 0; i < 100; i++) {
        begin(i);
        put_u8(1, 3, 2);
        ck_ok(mu_pipeline_apply(pipeline, &sample));
        check_size(1, 3, 6);
        int left = 0;
        while (left < 6 && at(image(), 0, 0, left) == 0)
            left++;
        ck_assert_int_le(left, 4);
        ck_assert_int_eq((int)at(image(), 0, 2, left + 1), pixel(0, 2, 1));
        seen[left] = true;
    }
    for (int i = 0; i < 5; i++)
        ck_assert(seen[i]);
    finish();
}
END_TEST

/* Pixels that tell their place. */
static void put_coordinates(int64_t h, int64_t w)
{
    void *data;
    ck_ok(mu_sample_put(&sample, "img", MU_TYPE(MU_F32, 2, h, w), &data));
    for (int64_t i = 0; i < h * w; i++) {
        ((float *)data)[i] = (float)(i / w);
        ((float *)data)[h * w + i] = (float)(i % w);
    }
}

START_TEST(random_resized_crop)
{
    enum { H = 300, W = 400, N = 600 };
    double share_sum = 0, log_sum = 0;
    use("[{type: RandomResizedCrop, scale: [50, 100], interpolation: nearest, crop_ratio_range: [0.1, 0.5], "
        "aspect_ratio_range: [0.5, 2]}]");
    for (int i = 0; i < N; i++) {
        begin(i);
        put_coordinates(H, W);
        ck_ok(mu_pipeline_apply(pipeline, &sample));
        check_size(2, 50, 100);
        const mu_tensor *img = image();
        double top = at(img, 0, 0, 0), left = at(img, 1, 0, 0);
        double height = (at(img, 0, 49, 0) - top) * 50 / 49, width = (at(img, 1, 0, 99) - left) * 100 / 99;
        ck_assert(top >= 0 && left >= 0 && top + height <= H + 1 && left + width <= W + 1);
        double share = height * width / (H * W), aspect = width / height;
        ck_assert(share > 0.095 && share < 0.505 && aspect > 0.48 && aspect < 2.08);
        share_sum += share;
        log_sum += log(aspect);
    }
    /* Means of uniform numbers, with five deviations of room: 0.4 / sqrt(12 N), 2 log(2) / sqrt(12 N). Large shares of
     * extreme shape do not fit and are drawn again: a little less. */
    ck_assert_double_lt(fabs(share_sum / N - 0.3), 0.0236);
    ck_assert_double_lt(fabs(log_sum / N), 0.0817);
    finish();
}
END_TEST

START_TEST(random_resized_crop_falls_back_to_the_middle)
{
    static const struct {
        const char *aspect;
        int h, w, ch, cw, top, left;
    } cases[] = {
        {"[1, 1]", 40, 100, 40, 40, 0, 30}, {"[0.5, 2]", 100, 10, 20, 10, 40, 0}, {"[0.5, 2]", 60, 60, 60, 60, 0, 0}};
    for (size_t n = 0; n < sizeof cases / sizeof cases[0]; n++) {
        use("[{type: RandomResizedCrop, scale: [%d, %d], max_attempts: 0, aspect_ratio_range: %s}]", cases[n].ch,
            cases[n].cw, cases[n].aspect);
        begin(0);
        put_coordinates(cases[n].h, cases[n].w);
        ck_ok(mu_pipeline_apply(pipeline, &sample));
        ck_assert_double_eq(at(image(), 0, 0, 0), cases[n].top);
        ck_assert_double_eq(at(image(), 1, 0, 0), cases[n].left);
        ck_assert_double_eq(at(image(), 0, cases[n].ch - 1, 0), cases[n].top + cases[n].ch - 1);
        ck_assert_double_eq(at(image(), 1, 0, cases[n].cw - 1), cases[n].left + cases[n].cw - 1);
        finish();
    }
}
END_TEST

/* ---- flips ---- */

/* 0: as it was; 1, 2, 3: horizontal, vertical, both. */
static int flip_of(int64_t channels, int64_t h, int64_t w, bool f32)
{
    for (int flip = 0; flip < 4; flip++) {
        bool same = true;
        for (int64_t i = 0; i < channels * h * w && same; i++) {
            int64_t c = i / (h * w), y = i / w % h, x = i % w;
            uint8_t v = pixel(c, flip & 2 ? h - 1 - y : y, flip & 1 ? w - 1 - x : x);
            same = at(image(), c, y, x) == (f32 ? (float)v / 8 - 10 : v);
        }
        if (same)
            return flip;
    }
    ck_abort_msg("the image is none of the four");
}

static const struct {
    const char *options;
    double share[4];
} flip_cases[] = {
    {"prob: 0.3", {0.7, 0.3, 0, 0}},
    {"prob: 1", {0, 1, 0, 0}},
    {"prob: 0", {1, 0, 0, 0}},
    {"prob: 1, direction: vertical", {0, 0, 1, 0}},
    {"prob: 0.5, direction: diagonal", {0.5, 0, 0, 0.5}},
    {"prob: 0.6, direction: [horizontal, vertical]", {0.4, 0.3, 0.3, 0}},
    {"prob: [0.1, 0.2, 0.3], direction: [diagonal, horizontal, vertical]", {0.4, 0.2, 0.3, 0.1}},
};

START_TEST(random_flip)
{
    enum { N = 2000 };
    int seen[4] = {0};
    use("[{type: RandomFlip, %s}]", flip_cases[_i].options);
    for (int i = 0; i < N; i++) {
        begin(i);
        if (i % 2)
            put_f32(1, 3, 4);
        else
            put_u8(3, 2, 3);
        ck_ok(mu_pipeline_apply(pipeline, &sample));
        seen[i % 2 ? flip_of(1, 3, 4, true) : flip_of(3, 2, 3, false)]++;
    }
    for (int k = 0; k < 4; k++) {
        double p = flip_cases[_i].share[k], deviation = sqrt(N * p * (1 - p));
        ck_assert_double_le(fabs(seen[k] - N * p), 4.5 * deviation);
    }
    finish();
}
END_TEST

/* ---- values ---- */

START_TEST(normalize)
{
    static const double mean[] = {123.675, 116.28, 103.53}, std[] = {58.395, 57.12, 57.375};
    for (int i = 0; i < 4; i++) {
        bool f32 = i & 1, rgb = i & 2;
        use("[{type: Normalize, mean: [123.675, 116.28, 103.53], std: [58.395, 57.12, 57.375], to_rgb: %s}]",
            rgb ? "true" : "false");
        begin(0);
        if (f32)
            put_f32(3, 5, 6);
        else
            put_u8(3, 5, 6);
        ck_ok(mu_pipeline_apply(pipeline, &sample));
        const mu_tensor *img = image();
        ck_assert_int_eq(img->type.dtype, MU_F32);
        for (int64_t k = 0; k < 90; k++) {
            int64_t c = k / 30;
            uint8_t v = pixel(rgb ? 2 - c : c, k / 6 % 5, k % 6);
            double want = ((f32 ? v / 8.0 - 10 : v) - mean[c]) / std[c];
            ck_assert_double_le(fabs(at(img, 0, 0, k) - want), 4 * 4 * 0x1p-24);
        }
        finish();
    }
    use("{type: Normalize, mean: 8, std: 16}");
    begin(0);
    put_u8(5, 2, 2);
    ck_ok(mu_pipeline_apply(pipeline, &sample));
    ck_assert_double_eq(at(image(), 4, 1, 1), (pixel(4, 1, 1) - 8) / 16.0);
    finish();
}
END_TEST

typedef struct {
    double r, g, b;
} colour;

static double limit(double x)
{
    return x < 0 ? 0 : x > 255 ? 255 : x;
}

static double luma(colour c)
{
    return 0.299 * c.r + 0.587 * c.g + 0.114 * c.b;
}

static colour mix(colour c, double base, double factor)
{
    return (colour){limit(factor * c.r + (1 - factor) * base), limit(factor * c.g + (1 - factor) * base),
                    limit(factor * c.b + (1 - factor) * base)};
}

/* By the six sectors of the hue circle. */
static colour turned(colour c, double turns)
{
    double v = fmax(fmax(c.r, c.g), c.b), low = fmin(fmin(c.r, c.g), c.b), d = v - low, h = 0;
    if (d > 0 && v == c.r)
        h = (c.g - c.b) / d / 6;
    else if (d > 0 && v == c.g)
        h = (c.b - c.r) / d / 6 + 1.0 / 3;
    else if (d > 0)
        h = (c.r - c.g) / d / 6 + 2.0 / 3;
    double s = v > 0 ? d / v : 0;
    h = fmod(h + turns + 2, 1);
    int sector = (int)(h * 6);
    double f = h * 6 - sector, p = v * (1 - s), q = v * (1 - s * f), t = v * (1 - s * (1 - f));
    switch (sector) {
    case 0: return (colour){v, t, p};
    case 1: return (colour){q, v, p};
    case 2: return (colour){p, v, t};
    case 3: return (colour){p, q, v};
    case 4: return (colour){t, p, v};
    default: return (colour){v, p, q};
    }
}

enum { JH = 6, JW = 7 };

/* Applies the changes in this order (0: brightness, 1: contrast, 2: saturation, 3: hue) to the test image. */
static void jitter(const int *order, int n, const double *factor, colour out[JH * JW])
{
    for (int i = 0; i < JH * JW; i++)
        out[i] = (colour){pixel(0, i / JW, i % JW), pixel(1, i / JW, i % JW), pixel(2, i / JW, i % JW)};
    for (int k = 0; k < n; k++) {
        double mean = 0, x = factor[order[k]];
        for (int i = 0; i < JH * JW; i++)
            mean += luma(out[i]) / (JH * JW);
        for (int i = 0; i < JH * JW; i++) {
            colour c = out[i];
            out[i] = order[k] == 0   ? mix(c, 0, x)
                     : order[k] == 1 ? mix(c, mean, x)
                     : order[k] == 2 ? mix(c, luma(c), x)
                                     : turned(c, x);
        }
    }
}

static bool is_image(const colour want[JH * JW])
{
    for (int i = 0; i < JH * JW; i++) {
        double d = fmax(fabs(at(image(), 0, 0, i) - want[i].r), fabs(at(image(), 1, 0, i) - want[i].g));
        if (fmax(d, fabs(at(image(), 2, 0, i) - want[i].b)) > 0.5 + 2e-3)
            return false;
    }
    return true;
}

static const struct {
    const char *options;
    int change;
    double factor;
} jitter_cases[] = {
    {"brightness: [0.6, 0.6]", 0, 0.6}, {"brightness: [1.7, 1.7]", 0, 1.7}, {"contrast: [0.3, 0.3]", 1, 0.3},
    {"contrast: [2.5, 2.5]", 1, 2.5},   {"saturation: [0, 0]", 2, 0},       {"saturation: [1.9, 1.9]", 2, 1.9},
    {"hue: [0.1, 0.1]", 3, 0.1},        {"hue: [-0.5, -0.5]", 3, -0.5},     {"hue: [-0.23, -0.23]", 3, -0.23},
    {"hue: [0.5, 0.5]", 3, 0.5},
};

START_TEST(color_jitter_changes)
{
    colour want[JH * JW];
    double factor[4];
    factor[jitter_cases[_i].change] = jitter_cases[_i].factor;
    jitter(&jitter_cases[_i].change, 1, factor, want);
    use("[{type: ColorJitter, %s}]", jitter_cases[_i].options);
    begin(0);
    put_u8(3, JH, JW);
    ck_ok(mu_pipeline_apply(pipeline, &sample));
    ck_assert_int_eq(image()->type.dtype, MU_U8);
    ck_assert(is_image(want));
    finish();
}
END_TEST

/* All 24 orders come up. */
START_TEST(color_jitter_order)
{
    static colour want[24][JH * JW];
    const double factor[4] = {1.6, 1.4, 1.8, 0.3};
    int seen[24] = {0}, n = 0;
    for (int a = 0; a < 4; a++)
        for (int b = 0; b < 4; b++)
            for (int c = 0; c < 4; c++)
                if (a != b && b != c && a != c)
                    jitter((int[]){a, b, c, 6 - a - b - c}, 4, factor, want[n++]);
    ck_assert_int_eq(n, 24);
    use("[{type: ColorJitter, brightness: [1.6, 1.6], contrast: [1.4, 1.4], saturation: [1.8, 1.8], hue: [0.3, 0.3]}]");
    for (int i = 0; i < 600; i++) {
        int found = 0;
        begin(i);
        put_u8(3, JH, JW);
        ck_ok(mu_pipeline_apply(pipeline, &sample));
        for (int k = 0; k < 24; k++)
            if (is_image(want[k])) {
                seen[k]++;
                found++;
            }
        ck_assert_int_eq(found, 1);
    }
    for (int k = 0; k < 24; k++)
        ck_assert_int_gt(seen[k], 5); /* 25 are expected: fewer with probability 1e-5 */
    finish();
}
END_TEST

/* Factors lie in max(0, 1 - x) to 1 + x; grey images have no colour to change. */
START_TEST(color_jitter_ranges)
{
    double least = 1e9, most = 0;
    use("[{type: ColorJitter, brightness: 0.25, saturation: 1, hue: 0.5}]");
    for (int i = 0; i < 300; i++) {
        void *data;
        begin(i);
        ck_ok(mu_sample_put(&sample, "img", MU_TYPE(MU_U8, 1, 1, 1), &data));
        *(uint8_t *)data = 200;
        ck_ok(mu_pipeline_apply(pipeline, &sample));
        double v = at(image(), 0, 0, 0);
        least = fmin(least, v);
        most = fmax(most, v);
    }
    ck_assert(least >= 150 && least < 155 && most <= 250 && most > 245);
    finish();
}
END_TEST

/* ---- pipelines ---- */

#define EVERYTHING                                                                                                     \
    "[{type: ResizeEdge, scale: 24}, {type: ColorJitter, brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1},"  \
    "{type: RandomResizedCrop, scale: 16}, {type: Compose, transforms: [{type: RandomFlip, prob: 0.5}, "               \
    "{type: RandomCrop, crop_size: 16, padding: 2}]}, {type: Pad, size: 20}, {type: CenterCrop, crop_size: 18}, "      \
    "{type: Resize, scale: [9, 11], interpolation: area}, {type: Normalize, mean: 100, std: 50}]"

static uint64_t digest_of(int64_t index, uint64_t seed, int64_t pass, int64_t h)
{
    uint64_t hash = 0xcbf29ce484222325u;
    mu_sample_begin(&sample, index, seed, pass);
    put_u8(3, h, 31);
    ck_ok(mu_pipeline_apply(pipeline, &sample));
    check_size(3, 11, 9);
    const uint8_t *bytes = image()->data;
    for (size_t i = 0; i < mu_type_bytes(&image()->type); i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3u;
    return hash;
}

START_TEST(results_depend_on_seed_pass_and_index_alone)
{
    use(EVERYTHING);
    ck_assert_int_eq(mu_pipeline_length(pipeline), 8);
    uint64_t first = digest_of(3, 4, 5, 40);
    ck_assert(digest_of(2, 4, 5, 40) != first);
    ck_assert(digest_of(3, 5, 5, 40) != first);
    ck_assert(digest_of(3, 4, 6, 40) != first);
    ck_assert(digest_of(3, 4, 5, 41) != first);
    ck_assert(digest_of(3, 4, 5, 40) == first);
    finish();
}
END_TEST

START_TEST(steady_state_allocates_nothing)
{
    int64_t total = 0;
    use(EVERYTHING);
    for (int i = 0; i < 60; i++) {
        if (i == 30)
            total = mu_mem_get_counts().total_blocks;
        (void)digest_of(i % 30, 0, 0, 30 + i % 30);
    }
    ck_assert_int_eq(mu_mem_get_counts().total_blocks, total);
    finish();
}
END_TEST

START_TEST(no_pipeline_changes_nothing)
{
    ck_ok(mu_pipeline_new(NULL, "pipeline", &pipeline));
    ck_assert_int_eq(mu_pipeline_length(pipeline), 0);
    begin(0);
    ck_ok(mu_pipeline_apply(pipeline, &sample));
    ck_assert_int_eq(sample.fields.n, 0);
    mu_pipeline_release(pipeline);
    mu_pipeline_release(NULL);
    mu_sample_release(&sample);
    mu_registry_reset();
}
END_TEST

static const struct {
    const char *list, *message;
} config_mistakes[] = {
    {"[{type: RandomFlop}]", "pipeline.0.type"},
    {"[{type: RandomFlip, prob: 0.5}, {type: RandomCrop}]", "pipeline.1.crop_size"},
    {"[{type: Compose, transforms: [{type: Resize, scale: 0}]}]", "pipeline.0.transforms.0.scale"},
    {"[{type: RandomFlip, prob: [0.5, 0.6], direction: [horizontal, vertical]}]", "add up to 1.1"},
    {"[{type: RandomFlip, prob: [0.5, 0.2]}]", "2 numbers for 1 direction"},
    {"[{type: RandomFlip, prob: 1.5}]", "pipeline.0.prob"},
    {"[{type: RandomFlip, prob: 1, direction: sideways}]", "pipeline.0.direction"},
    {"[{type: Pad}]", "pipeline.0 \"Pad\" (<string>:1:12): nothing says what to pad to"},
    {"[{type: Pad, size: 3, size_divisor: 4}]", "size is set together with size_divisor"},
    {"[{type: RandomCrop, crop_size: 3, padding: [1, 2, 3]}]", "padding has 3 numbers"},
    {"[{type: RandomCrop, crop_size: [1, 2, 3]}]", "pipeline.0.crop_size"},
    {"[{type: RandomCrop, crop_size: 8, padding_mode: mirror}]", "one of constant, edge, reflect, symmetric"},
    {"[{type: RandomResizedCrop, scale: 8, crop_ratio_range: [0.9, 0.5]}]", "the smaller number first"},
    {"[{type: RandomResizedCrop, scale: 8, aspect_ratio_range: [1, .inf]}]", "aspect_ratio_range"},
    {"[{type: Normalize, mean: [1, 2], std: [1]}]", "mean has 2 numbers, std has 1"},
    {"[{type: Normalize, mean: 1, std: 0}]", "pipeline.0.std"},
    {"[{type: Normalize, mean: 1, std: .inf}]", "std 0 is inf"},
    {"[{type: Normalize, mean: 1, std: .nan}]", "std"},
    {"[{type: Normalize, mean: .nan, std: 1}]", "mean 0 is nan"},
    {"[{type: Normalize, mean: 1, std: 1e-300}]", "std 0 is 1e-300"},
    {"[{type: Normalize, mean: [1, 2], std: [1, 2], to_rgb: true}]", "images of 3 channels"},
    {"[{type: ColorJitter, hue: 0.6}]", "hue gives the range"},
    {"[{type: ColorJitter, brightness: -1}]", "brightness gives the range"},
    {"[{type: ColorJitter, contrast: [1.2, 0.8]}]", "contrast gives the range"},
    {"[{type: ColorJitter, saturation: .nan}]", "saturation gives the range"},
};

START_TEST(mistakes_in_the_config)
{
    char text[512];
    snprintf(text, sizeof text, "pipeline: %s", config_mistakes[_i].list);
    ck_fails(make_pipeline(text), MU_ERR_CONFIG, config_mistakes[_i].message);
    mu_registry_reset();
}
END_TEST

typedef enum { U8, F32, FLAT, BYTES, MISSING, EMPTY } input;

static const struct {
    const char *list;
    input input;
    const char *message;
} mistakes[] = {
    {"[{type: RandomFlip, prob: 0}, {type: RandomCrop, crop_size: 11}]", U8,
     "pipeline.1 RandomCrop: a crop of 11 x 11 (height x width) does not fit in an image of 10 x 20"},
    {"[{type: RandomCrop, crop_size: 11}]", U8, "set pad_if_needed: true"},
    {"{type: CenterCrop, crop_size: [21, 3]}", U8, "pipeline CenterCrop: a crop of 3 x 21"},
    {"[{type: Compose, transforms: [{type: CenterCrop, crop_size: 11}]}]", U8,
     "pipeline.0 Compose: transforms.0 CenterCrop: a crop of 11 x 11"},
    {"[{type: Pad, size: 12}]", U8, "larger than the size to pad to, 12 x 12"},
    {"[{type: Pad, size: 32, pad_val: [1, 2]}]", U8, "pad_val has 2 values, but the image has 3 channels"},
    {"[{type: Pad, size: 32, pad_val: 256}]", U8, "pad_val 256 does not fit in the image's u8 pixels"},
    {"[{type: Pad, size: 2147483647}]", U8, "pipeline.0 Pad: 6442450941 * 2147483647 does not fit in 64 bits"},
    {"[{type: Normalize, mean: [1, 2], std: [1, 2]}]", U8, "mean has 2 numbers, but the image has 3 channels"},
    {"[{type: ColorJitter, hue: 0.1}]", F32, "put it before Normalize"},
    {"[{type: RandomFlip, prob: 0}]", FLAT, "pipeline.0 RandomFlip: 'img' is u8[28,28], expected an image"},
    {"[{type: Resize, scale: 3}]", BYTES, "put DecodeImage before"},
    {"[{type: Normalize, mean: 0, std: 1}]", MISSING, "pipeline.0 Normalize: the sample has no field 'img'"},
    {"[{type: ResizeEdge, scale: 3}]", EMPTY, "'img' is u8[3,0,5]"},
};

static void put_input(input kind)
{
    static const mu_type wrong[] = {
        [FLAT] = {MU_U8, 2, {28, 28}}, [BYTES] = {MU_U8, 1, {99}}, [EMPTY] = {MU_U8, 3, {3, 0, 5}}};
    void *data;
    if (kind == U8)
        put_u8(3, 10, 20);
    else if (kind == F32)
        put_f32(3, 10, 20);
    else if (kind != MISSING)
        ck_ok(mu_sample_put(&sample, "img", wrong[kind], &data));
}

START_TEST(mistakes_in_the_data)
{
    use("%s", mistakes[_i].list);
    begin(0);
    put_input(mistakes[_i].input);
    mu_err want = strstr(mistakes[_i].message, "64 bits") ? MU_ERR_OVERFLOW : MU_ERR_CONFIG;
    ck_fails(mu_pipeline_apply(pipeline, &sample), want, mistakes[_i].message);
    finish();
}
END_TEST

static mu_err make_and_apply(void)
{
    void *data;
    MU_TRY(make_pipeline("pipeline: " EVERYTHING));
    mu_sample_begin(&sample, 0, 0, 0);
    mu_err err = mu_sample_put(&sample, "img", MU_TYPE(MU_U8, 3, 40, 40), &data);
    if (!err) {
        memset(data, 1, 4800);
        err = mu_pipeline_apply(pipeline, &sample);
    }
    if (err) {
        drop_pipeline();
        mu_sample_release(&sample);
    }
    return err;
}

START_TEST(out_of_memory)
{
    mu_registry *root;
    ck_ok(mu_registry_root(&root));
    ck_survives_oom(make_and_apply(), (drop_pipeline(), mu_sample_release(&sample)));
    mu_registry_reset();
}
END_TEST

#define COUNT(table) ((int)(sizeof(table) / sizeof(table)[0]))

int main(void)
{
    Suite *suite = suite_create("transform");
    TCase *t = tcase_create("transform");
    tcase_add_loop_test(t, resize_as_pytorch, 0, N_RESIZE);
    tcase_add_loop_test(t, sizes, 0, COUNT(size_cases));
    tcase_add_test(t, center_crop);
    tcase_add_loop_test(t, pad_fills_borders, 0, COUNT(modes));
    tcase_add_loop_test(t, random_crop, 0, COUNT(modes));
    tcase_add_test(t, random_crop_pads_if_needed);
    tcase_add_test(t, random_resized_crop);
    tcase_add_test(t, random_resized_crop_falls_back_to_the_middle);
    tcase_add_loop_test(t, random_flip, 0, COUNT(flip_cases));
    tcase_add_test(t, normalize);
    tcase_add_loop_test(t, color_jitter_changes, 0, COUNT(jitter_cases));
    tcase_add_test(t, color_jitter_order);
    tcase_add_test(t, color_jitter_ranges);
    tcase_add_test(t, results_depend_on_seed_pass_and_index_alone);
    tcase_add_test(t, steady_state_allocates_nothing);
    tcase_add_test(t, no_pipeline_changes_nothing);
    tcase_add_loop_test(t, mistakes_in_the_config, 0, COUNT(config_mistakes));
    tcase_add_loop_test(t, mistakes_in_the_data, 0, COUNT(mistakes));
    tcase_add_test(t, out_of_memory);
    suite_add_tcase(suite, t);
    return test_run(suite);
}
