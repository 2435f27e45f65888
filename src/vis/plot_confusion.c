#include "vis/plot.h"

#include "vis/canvas.h"

#include <math.h>
#include <stdio.h>

enum { TOP = 112, LEFT = 170, RIGHT = 190, BOTTOM = 40, MAX_CLASSES = 4096, NAME_BYTES = 96 };

/* White to dark blue, evenly in lightness. */
static mu_color shade(double share)
{
    static const mu_color stop[] = {{0.97, 0.98, 1.00}, {0.78, 0.86, 0.94}, {0.42, 0.68, 0.84}, {0.13, 0.44, 0.71}, {0.03, 0.19, 0.42}};
    double at = fmin(fmax(share, 0), 1) * 4;
    int i = at >= 4 ? 3 : (int)at;
    double t = at - i;
    return (mu_color){stop[i].r + t * (stop[i + 1].r - stop[i].r), stop[i].g + t * (stop[i + 1].g - stop[i].g),
                      stop[i].b + t * (stop[i + 1].b - stop[i].b)};
}

typedef struct {
    int64_t n;
    const double *counts;
    const char *const *classes;
    double cell; /* pixels */
    double text; /* size of the names */
} matrix;

static double row_sum(const matrix *m, int64_t i)
{
    double sum = 0;
    for (int64_t j = 0; j < m->n; j++)
        sum += m->counts[i * m->n + j];
    return sum;
}

static double column_sum(const matrix *m, int64_t j)
{
    double sum = 0;
    for (int64_t i = 0; i < m->n; i++)
        sum += m->counts[i * m->n + j];
    return sum;
}

static const char *count_text(double x, char buf[32])
{
    if (x >= 1e6)
        snprintf(buf, 32, x < 9.95e6 ? "%.2gM" : "%.0fM", x / 1e6);
    else if (x >= 1e5)
        snprintf(buf, 32, "%.0fk", x / 1e3);
    else
        snprintf(buf, 32, "%.0f", x);
    return buf;
}

static void draw_cell(mu_canvas *c, const matrix *m, int64_t i, int64_t j, double total)
{
    char text[32];
    double x = LEFT + (double)j * m->cell, y = TOP + (double)i * m->cell, count = m->counts[i * m->n + j];
    double share = total > 0 ? count / total : 0, size = fmin(17, m->cell * 0.34);
    double gap = m->cell > 12 ? 1 : 0;
    mu_canvas_color(c, shade(share), 1);
    mu_canvas_box(c, x, y, m->cell - gap, m->cell - gap);
    if (size < 8 || mu_canvas_text_width(c, size, i == j, count_text(count, text)) > m->cell - 4)
        return;
    mu_canvas_color(c, share > 0.5 ? (mu_color){1, 1, 1} : count > 0 ? mu_color_ink : (mu_color){0.72, 0.75, 0.79}, 1);
    mu_canvas_text(c, x + m->cell / 2, y + m->cell / 2, size, i == j, MU_ALIGN_CENTER, text);
}

static const char *name_of(const matrix *m, int64_t i, char buf[NAME_BYTES])
{
    if (m->classes)
        snprintf(buf, NAME_BYTES, "%s", m->classes[i]);
    else
        snprintf(buf, NAME_BYTES, "%lld", (long long)i);
    return buf;
}

/* Every how many classes there is room for a name. */
static int64_t name_stride(const matrix *m)
{
    int64_t stride = 1;
    while ((double)stride * m->cell < m->text + 3)
        stride *= stride == 2 || stride == 20 || stride == 200 ? 5 : 2;
    return stride;
}

static void draw_names(mu_canvas *c, const matrix *m)
{
    char name[NAME_BYTES], text[NAME_BYTES];
    double widest = 0;
    for (int64_t i = 0; i < m->n; i++)
        widest = fmax(widest, mu_canvas_text_width(c, m->text, false, name_of(m, i, name)));
    bool slanted = widest > m->cell * (double)name_stride(m) - 6;
    mu_canvas_color(c, mu_color_ink, 1);
    for (int64_t i = 0; i < m->n; i += name_stride(m)) {
        double middle = ((double)i + 0.5) * m->cell;
        mu_canvas_fit(c, m->text, LEFT - 60, name_of(m, i, name), text, sizeof text);
        mu_canvas_text(c, LEFT - 8, TOP + middle, m->text, false, MU_ALIGN_RIGHT, text);
        mu_canvas_fit(c, m->text, slanted ? 56 : 1e9, name_of(m, i, name), text, sizeof text);
        cairo_save(c->cr);
        cairo_translate(c->cr, LEFT + middle, TOP - 12);
        if (slanted)
            cairo_rotate(c->cr, -acos(0) / 2);
        mu_canvas_text(c, 0, 0, m->text, false, slanted ? MU_ALIGN_LEFT : MU_ALIGN_CENTER, text);
        cairo_restore(c->cr);
    }
}

/* How many of a class there are and how many of them were found (right). */
static void draw_totals(mu_canvas *c, const matrix *m)
{
    char text[64], count[32];
    double x = LEFT + (double)m->n * m->cell;
    if (m->cell < m->text)
        return;
    mu_canvas_color(c, mu_color_soft, 1);
    mu_canvas_text(c, x + 72, TOP - 12, 14, false, MU_ALIGN_RIGHT, "samples");
    mu_canvas_text(c, x + 160, TOP - 12, 14, false, MU_ALIGN_RIGHT, "recall");
    mu_canvas_text(c, LEFT - 8, TOP + (double)m->n * m->cell + 18, 14, false, MU_ALIGN_RIGHT, "precision");
    for (int64_t i = 0; i < m->n; i++) {
        double sum = row_sum(m, i), taken = column_sum(m, i), right = m->counts[i * m->n + i], middle = ((double)i + 0.5) * m->cell;
        mu_canvas_text(c, x + 72, TOP + middle, m->text, false, MU_ALIGN_RIGHT, count_text(sum, count));
        snprintf(text, sizeof text, sum > 0 ? "%.1f %%" : "-", 100 * right / sum);
        mu_canvas_text(c, x + 160, TOP + middle, m->text, false, MU_ALIGN_RIGHT, text);
        snprintf(text, sizeof text, taken > 0 ? "%.1f" : "-", 100 * right / taken);
        if (mu_canvas_text_width(c, m->text, false, text) < m->cell - 2)
            mu_canvas_text(c, LEFT + middle, TOP + (double)m->n * m->cell + 18, m->text, false, MU_ALIGN_CENTER, text);
    }
}

static void draw_titles(mu_canvas *c, const matrix *m, const char *title)
{
    char text[256], fitted[160];
    double right = 0, all = 0;
    for (int64_t i = 0; i < m->n; i++) {
        right += m->counts[i * m->n + i];
        all += row_sum(m, i);
    }
    mu_canvas_color(c, mu_color_ink, 1);
    mu_canvas_fit(c, 24, 560, title, fitted, sizeof fitted);
    if (all > 0)
        snprintf(text, sizeof text, "%s%saccuracy %.2f %% (%.0f of %.0f)", fitted, title[0] ? ": " : "", 100 * right / all, right, all);
    else
        snprintf(text, sizeof text, "%s", fitted);
    mu_canvas_text(c, LEFT, 26, 22, true, MU_ALIGN_LEFT, text);
    mu_canvas_color(c, mu_color_soft, 1);
    mu_canvas_text(c, LEFT, 52, 14, false, MU_ALIGN_LEFT, "columns: predicted class; rows: true class; colours: share of the row");
    mu_canvas_color(c, mu_color_ink, 1);
    mu_canvas_text_up(c, 24, TOP + (double)m->n * m->cell / 2, 16, "true class");
}

mu_err mu_plot_confusion(const char *path, const char *title, int64_t n_classes, const char *const *classes, const double *counts)
{
    mu_canvas c;
    if (n_classes < 1 || n_classes > MAX_CLASSES)
        return MU_FAIL(MU_ERR_USAGE, "a confusion matrix is drawn for 1 to %d classes, not %lld", MAX_CLASSES, (long long)n_classes);
    double cell = fmin((double)(MU_PLOT_WIDTH - LEFT - RIGHT) / (double)n_classes, 96);
    matrix m = {.n = n_classes, .counts = counts, .classes = classes, .cell = cell, .text = fmin(15, fmax(10, cell * 0.4))};
    MU_TRY(mu_canvas_new(TOP + (int)ceil((double)n_classes * m.cell) + BOTTOM, &c));
    draw_titles(&c, &m, title);
    for (int64_t i = 0; i < m.n; i++) {
        double total = row_sum(&m, i);
        for (int64_t j = 0; j < m.n; j++)
            draw_cell(&c, &m, i, j, total);
    }
    draw_names(&c, &m);
    draw_totals(&c, &m);
    mu_err err = mu_canvas_write(&c, path);
    mu_canvas_release(&c);
    return err;
}
