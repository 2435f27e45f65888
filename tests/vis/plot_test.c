#include "config.h"

#include "vis/plot.h"
#include "vis/ticks.h"

#include "test.h"

#ifdef HAVE_CAIRO
#include <cairo.h>
#endif
#include <math.h>
#include <string.h>
#include <unistd.h>

static char path[64];

static void begin(void)
{
    snprintf(path, sizeof path, "/tmp/muster-plot-XXXXXX");
    close(mkstemp(path));
    unlink(path);
}

static void end(void)
{
    unlink(path);
    ck_assert_int_eq(mu_mem_get_counts().live_blocks, 0);
}

enum { N = 200 };
static double x[N], falling[N], noisy[N], rate[N], few_x[8], few_y[8];

static void make_curves(void)
{
    for (int i = 0; i < N; i++) {
        x[i] = 10 * (i + 1);
        falling[i] = 2.3 * exp(-i / 40.0) + 0.02;
        noisy[i] = falling[i] * (1 + 0.3 * sin(i * 12.9898) * cos(i * 78.233));
        rate[i] = i < 20 ? 0.1 * i / 20 : 0.05 * (1 + cos(3.14159265 * (i - 20) / 180));
    }
    for (int i = 0; i < 8; i++) {
        few_x[i] = 250 * (i + 1);
        few_y[i] = 99 - 12 * exp(-i / 2.0);
    }
}

static mu_err draw_curves(void)
{
    const mu_curve loss[] = {{"loss", N, x, noisy}, {"loss, smoothed", N, x, falling}}, top1[] = {{"accuracy/top1", 8, few_x, few_y}},
                   lr[] = {{"lr", N, x, rate}};
    const mu_panel panels[] = {{.title = "loss", .y_label = "loss", .log_y = true, .n = 2, .curve = loss},
                               {.title = "accuracy", .y_label = "percent", .n = 1, .curve = top1, .markers = true},
                               {.title = "learning rate", .x_label = "iteration", .n = 1, .curve = lr}};
    return mu_plot_curves(path, "LeNet on digits", panels, 3);
}

static double counts[100];
static const char *const names[] = {"zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"};

static void make_counts(void)
{
    for (int i = 0; i < 100; i++)
        counts[i] = i / 10 == i % 10 ? 160 + 3 * (i % 7) : (i * i) % 11 == 3 ? i % 17 : 0;
}

#ifdef HAVE_CAIRO
/* The size of the picture, and how many of its pixels are not white. */
static void look(int width, int height, int *ink)
{
    cairo_surface_t *s = cairo_image_surface_create_from_png(path);
    ck_assert_int_eq(cairo_surface_status(s), CAIRO_STATUS_SUCCESS);
    ck_assert_int_eq(cairo_image_surface_get_width(s), width);
    if (height)
        ck_assert_int_eq(cairo_image_surface_get_height(s), height);
    *ink = 0;
    for (int i = 0; i < cairo_image_surface_get_height(s); i++) {
        const uint32_t *row = (const uint32_t *)(cairo_image_surface_get_data(s) + i * cairo_image_surface_get_stride(s));
        for (int j = 0; j < width; j++)
            *ink += (row[j] & 0xffffff) != 0xffffff;
    }
    cairo_surface_destroy(s);
}

START_TEST(curves)
{
    int ink, blank;
    make_curves();
    ck_ok(draw_curves());
    look(1200, 66 + 3 * 300 + 2 * 34 + 62, &ink);
    double none = NAN;
    const mu_curve nothing = {"loss", 1, x, &none};
    ck_ok(mu_plot_curves(path, "", &(mu_panel){.n = 1, .curve = &nothing}, 1));
    look(1200, 66 + 300 + 62, &blank);
    ck_assert_int_gt(blank, 0);
    ck_assert_int_gt(ink, 3 * blank);
}
END_TEST

/* What must not break the axes. */
START_TEST(odd_values)
{
    int ink;
    const double at[] = {1, 2, 3, 4}, odd[][4] = {{5, 5, 5, 5},
                                                  {NAN, 1, NAN, 2},
                                                  {INFINITY, 1, -INFINITY, 1},
                                                  {-1, 0, -3, -2},
                                                  {1e-300, 1e300, 1, 0},
                                                  {0, 0, 0, 0},
                                                  {1e-9, 2e-9, 1e-9, 3e-9}};
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++)
        for (int log_y = 0; log_y < 2; log_y++) {
            const mu_curve curve = {"odd", 4, at, odd[i]};
            ck_ok(mu_plot_curves(path, "odd", &(mu_panel){.log_y = log_y, .n = 1, .curve = &curve}, 1));
            look(1200, 428, &ink);
            ck_assert_int_gt(ink, 100);
        }
    const mu_curve one = {"one point", 1, at, at};
    ck_ok(mu_plot_curves(path, "one", &(mu_panel){.n = 1, .curve = &one}, 1));
    ck_fails(mu_plot_curves(path, "none", NULL, 0), MU_ERR_USAGE, "1 to 24 panels");
    ck_fails(mu_plot_curves("/nowhere/x.png", "one", &(mu_panel){.n = 1, .curve = &one}, 1), MU_ERR_IO, "/nowhere/x.png");
}
END_TEST

/* Axes have ticks, and no two with the same label; zero has no sign. */
START_TEST(ticks)
{
    static const struct {
        double low, high;
        bool log;
        const char *first, *second;
    } axis[] = {
        {4.995e-5, 5e-5, false, "4.995e-05", "4.996e-05"},
        {-1e12, 1e12, false, "-1e+12", "-5e+11"},
        {0, 1e30, false, "0", "2e+29"},
        {1e12, 1e12 + 6, false, "1000000000000", "1000000000001"},
        {2.3, 4.3, true, "2.5", "3.0"},
        {5, 5, true, "4.8", "4.9"},
        {0.1, 3, true, "0.1", "0.2"},
    };
    for (size_t i = 0; i < sizeof axis / sizeof axis[0]; i++) {
        mu_ticks t;
        mu_ticks_set(&t, axis[i].low, axis[i].high, 6, false, axis[i].log);
        ck_assert_int_ge(t.n, 3);
        ck_assert_str_eq(t.text[0], axis[i].first);
        ck_assert_str_eq(t.text[1], axis[i].second);
        for (int k = 0; k < t.n; k++) {
            ck_assert_str_ne(t.text[k], "-0");
            ck_assert(t.at[k] >= t.low && t.at[k] <= t.high);
            for (int j = 0; j < k; j++)
                ck_assert_str_ne(t.text[j], t.text[k]);
        }
    }
}
END_TEST

/* Of any length, in any bytes. */
START_TEST(texts)
{
    char text[400] = "x"; /* characters of two bytes, at odd places */
    for (size_t i = 1; i + 2 < sizeof text; i += 2)
        memcpy(text + i, "\xc3\xa9", 3);
    const char *const odd[] = {text, "gr\xf6\xdf" "e", "\xe2\x82", ""};
    int ink;
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        const mu_curve curve = {odd[i], 2, (const double[]){1, 2}, (const double[]){1, 2}};
        ck_ok(mu_plot_curves(path, odd[i], &(mu_panel){.title = odd[i], .x_label = odd[i], .y_label = odd[i], .n = 1, .curve = &curve}, 1));
        look(1200, 428, &ink);
        ck_ok(mu_plot_confusion(path, odd[i], 1, &odd[i], &(double){0}));
        ck_ok(mu_plot_confusion(path, odd[i], 1, &odd[i], &(double){1}));
        look(1200, 0, &ink);
    }
}
END_TEST

START_TEST(confusion)
{
    int ink, more;
    make_counts();
    ck_ok(mu_plot_confusion(path, "LeNet on digits", 10, names, counts));
    look(1200, 0, &ink);
    ck_assert_int_gt(ink, 10000);
    double *many;
    ck_ok(mu_calloc(&many, 200 * 200, sizeof *many));
    for (int i = 0; i < 200; i++)
        many[i * 200 + (i * i + i) % 200] = i;
    ck_ok(mu_plot_confusion(path, "", 200, NULL, many));
    look(1200, 0, &more);
    mu_free(many);
    ck_ok(mu_plot_confusion(path, "nobody", 1, NULL, &(double){0}));
    ck_fails(mu_plot_confusion(path, "", 0, NULL, counts), MU_ERR_USAGE, "1 to 4096 classes");
}
END_TEST

START_TEST(out_of_memory)
{
    make_curves();
    make_counts();
    ck_survives_oom(draw_curves(), );
    ck_survives_oom(mu_plot_confusion(path, "x", 10, names, counts), );
}
END_TEST
#else
START_TEST(not_built)
{
    make_curves();
    make_counts();
    ck_assert(!mu_plot_available());
    ck_fails(draw_curves(), MU_ERR_UNSUPPORTED, "configure --with-cairo");
    ck_fails(mu_plot_confusion(path, "x", 10, names, counts), MU_ERR_UNSUPPORTED, "configure --with-cairo");
}
END_TEST
#endif

int main(void)
{
    Suite *suite = suite_create("plot");
    TCase *tests = tcase_create("plot");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, begin, end);
#ifdef HAVE_CAIRO
    tcase_add_test(tests, curves);
    tcase_add_test(tests, odd_values);
    tcase_add_test(tests, ticks);
    tcase_add_test(tests, texts);
    tcase_add_test(tests, confusion);
    tcase_add_test(tests, out_of_memory);
#else
    tcase_add_test(tests, not_built);
#endif
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
