/* What pixels become: Normalize, ColorJitter. */
#include "transformed.h"

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

int main(void)
{
    Suite *suite = suite_create("color");
    TCase *t = tcase_create("color");
    tcase_add_test(t, normalize);
    tcase_add_loop_test(t, color_jitter_changes, 0, COUNT(jitter_cases));
    tcase_add_test(t, color_jitter_order);
    tcase_add_test(t, color_jitter_ranges);
    suite_add_tcase(suite, t);
    return test_run(suite);
}
