/* Where pixels go: resizing, crops, borders, flips. */
#include "transformed.h"

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
    suite_add_tcase(suite, t);
    return test_run(suite);
}
