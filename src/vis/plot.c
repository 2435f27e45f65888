#include "vis/plot.h"

#include "vis/canvas.h"
#include "vis/ticks.h"

#include <math.h>
#include <stdio.h>

enum { TOP = 66, PANEL = 300, GAP = 34, BOTTOM = 62, LEFT = 96, RIGHT = 36, MAX_PANELS = 24 };

typedef struct {
    double x, y, width, height; /* of the field */
    mu_ticks across, up;
} frame;

typedef struct {
    double low, high;
} range;

static range grow_range(range r, double x)
{
    return isfinite(x) ? (range){fmin(r.low, x), fmax(r.high, x)} : r;
}

static bool is_shown(const mu_panel *p, double y)
{
    return isfinite(y) && (!p->log_y || y > 0);
}

/* {infinity, -infinity} when there is nothing. */
static range range_of(const mu_panel *p, bool across)
{
    range r = {INFINITY, -INFINITY};
    for (size_t i = 0; i < p->n; i++)
        for (size_t k = 0; k < p->curve[i].n; k++)
            if (is_shown(p, p->curve[i].y[k]) && isfinite(p->curve[i].x[k]))
                r = grow_range(r, across ? p->curve[i].x[k] : p->curve[i].y[k]);
    return r;
}

bool mu_plot_available(void)
{
    return true;
}

static void draw_grid(mu_canvas *c, const frame *f, bool last)
{
    for (int i = 0; i < f->across.n; i++) {
        double x = round(f->x + mu_ticks_place(&f->across, f->across.at[i]) * f->width) + 0.5;
        mu_canvas_color(c, mu_color_grid, 1);
        mu_canvas_line(c, x, f->y, x, f->y + f->height, 1);
        mu_canvas_color(c, mu_color_soft, 1);
        mu_canvas_line(c, x, f->y + f->height, x, f->y + f->height + 5, 1);
        if (last)
            mu_canvas_text(c, x, f->y + f->height + 18, 14, false, MU_ALIGN_CENTER, f->across.text[i]);
    }
    for (int i = 0; i < f->up.n; i++) {
        double y = round(f->y + (1 - mu_ticks_place(&f->up, f->up.at[i])) * f->height) + 0.5;
        mu_canvas_color(c, mu_color_grid, 1);
        mu_canvas_line(c, f->x, y, f->x + f->width, y, 1);
        mu_canvas_color(c, mu_color_soft, 1);
        mu_canvas_line(c, f->x - 5, y, f->x, y, 1);
        mu_canvas_text(c, f->x - 10, y, 14, false, MU_ALIGN_RIGHT, f->up.text[i]);
    }
    mu_canvas_color(c, mu_color_soft, 1);
    mu_canvas_line(c, f->x + 0.5, f->y, f->x + 0.5, f->y + f->height + 0.5, 1);
    mu_canvas_line(c, f->x, f->y + f->height + 0.5, f->x + f->width, f->y + f->height + 0.5, 1);
}

static double place_x(const frame *f, double x)
{
    return f->x + mu_ticks_place(&f->across, x) * f->width;
}

static double place_y(const frame *f, double y)
{
    return f->y + (1 - mu_ticks_place(&f->up, y)) * f->height;
}

static void draw_marker(mu_canvas *c, double x, double y)
{
    cairo_new_sub_path(c->cr);
    cairo_arc(c->cr, x, y, 3.4, 0, 4 * acos(0));
    cairo_fill(c->cr);
}

/* Values that are not finite leave gaps; a point alone between two gaps is a dot. */
static void draw_curve(mu_canvas *c, const frame *f, const mu_panel *p, const mu_curve *curve)
{
    cairo_set_line_width(c->cr, 2);
    for (size_t k = 0, open = 0; k < curve->n; k++) {
        bool shown = is_shown(p, curve->y[k]) && isfinite(curve->x[k]);
        bool next = k + 1 < curve->n && is_shown(p, curve->y[k + 1]);
        if (!shown) {
            open = 0;
            continue;
        }
        double x = place_x(f, curve->x[k]), y = place_y(f, curve->y[k]);
        if (open)
            cairo_line_to(c->cr, x, y);
        else
            cairo_move_to(c->cr, x, y);
        if (!next && open)
            cairo_stroke(c->cr);
        else if (!next && !p->markers) {
            cairo_new_path(c->cr);
            draw_marker(c, x, y);
        }
        open = next;
    }
    cairo_new_path(c->cr);
    for (size_t k = 0; p->markers && k < curve->n; k++)
        if (is_shown(p, curve->y[k]) && isfinite(curve->x[k]))
            draw_marker(c, place_x(f, curve->x[k]), place_y(f, curve->y[k]));
}

/* Which corner covers the fewest points. */
static void legend_place(const frame *f, const mu_panel *p, double width, double height, double *x, double *y)
{
    size_t best = SIZE_MAX;
    static const int corner[4] = {1, 0, 3, 2}; /* right of the top first */
    for (int q = 0; q < 4; q++) {
        double at_x = corner[q] & 1 ? f->x + f->width - width - 12 : f->x + 12;
        double at_y = corner[q] & 2 ? f->y + f->height - height - 12 : f->y + 10;
        size_t covered = 0;
        for (size_t i = 0; i < p->n; i++)
            for (size_t k = 0; k < p->curve[i].n; k++) {
                if (!is_shown(p, p->curve[i].y[k]))
                    continue;
                double px = place_x(f, p->curve[i].x[k]), py = place_y(f, p->curve[i].y[k]);
                covered += px > at_x - 6 && px < at_x + width + 6 && py > at_y - 6 && py < at_y + height + 6;
            }
        if (covered < best) {
            best = covered;
            *x = at_x;
            *y = at_y;
        }
    }
}

enum { LEGEND_LINE = 24, LEGEND_MOST = 10 };

static void draw_legend(mu_canvas *c, const frame *f, const mu_panel *p)
{
    char text[96];
    double width = 0, x = 0, y = 0;
    size_t n = p->n < LEGEND_MOST ? p->n : LEGEND_MOST;
    for (size_t i = 0; i < n; i++)
        width = fmax(width, mu_canvas_text_width(c, 14, false, mu_canvas_fit(c, 14, 420, p->curve[i].label, text, sizeof text)));
    width += 56;
    double height = (double)n * LEGEND_LINE + 8;
    legend_place(f, p, width, height, &x, &y);
    mu_canvas_color(c, (mu_color){1, 1, 1}, 0.85);
    mu_canvas_box(c, x, y, width, height);
    mu_canvas_color(c, mu_color_grid, 1);
    cairo_set_line_width(c->cr, 1);
    cairo_rectangle(c->cr, round(x) + 0.5, round(y) + 0.5, round(width), round(height));
    cairo_stroke(c->cr);
    for (size_t i = 0; i < n; i++) {
        double line = y + 4 + ((double)i + 0.5) * LEGEND_LINE;
        mu_canvas_color(c, mu_color_of(i), 1);
        mu_canvas_line(c, x + 10, line, x + 36, line, 2.5);
        if (p->markers)
            draw_marker(c, x + 23, line);
        mu_canvas_color(c, mu_color_ink, 1);
        mu_canvas_text(c, x + 44, line, 14, false, MU_ALIGN_LEFT, mu_canvas_fit(c, 14, 420, p->curve[i].label, text, sizeof text));
    }
}

static void draw_panel(mu_canvas *c, const mu_panel *p, range across, int top, bool last)
{
    char text[160];
    frame f = {.x = LEFT, .y = top + 26, .width = MU_PLOT_WIDTH - LEFT - RIGHT, .height = PANEL - 26};
    range up = range_of(p, false);
    bool empty = !(up.high >= up.low);
    mu_ticks_set(&f.across, across.low, across.high, 10, true, false);
    mu_ticks_set(&f.up, empty ? 0 : up.low, empty ? 1 : up.high, 6, false, p->log_y && !empty);
    mu_canvas_color(c, mu_color_ink, 1);
    if (p->title)
        mu_canvas_text(c, f.x, top + 10, 16, true, MU_ALIGN_LEFT, mu_canvas_fit(c, 18, f.width, p->title, text, sizeof text));
    draw_grid(c, &f, last);
    mu_canvas_color(c, mu_color_ink, 1);
    if (p->y_label)
        mu_canvas_text_up(c, 22, f.y + f.height / 2, 15, p->y_label);
    if (last && p->x_label)
        mu_canvas_text(c, f.x + f.width / 2, f.y + f.height + 42, 15, false, MU_ALIGN_CENTER, p->x_label);
    cairo_save(c->cr);
    cairo_rectangle(c->cr, f.x - 5, f.y - 5, f.width + 10, f.height + 10);
    cairo_clip(c->cr);
    for (size_t i = p->n; i-- > 0;) { /* the first on top */
        mu_canvas_color(c, mu_color_of(i), 1);
        draw_curve(c, &f, p, &p->curve[i]);
    }
    cairo_restore(c->cr);
    if (empty) {
        mu_canvas_color(c, mu_color_soft, 1);
        mu_canvas_text(c, f.x + f.width / 2, f.y + f.height / 2, 15, false, MU_ALIGN_CENTER, "no finite values");
    } else {
        draw_legend(c, &f, p);
    }
}

mu_err mu_plot_curves(const char *path, const char *title, const mu_panel *panels, size_t n)
{
    mu_canvas c;
    char text[160];
    range across = {INFINITY, -INFINITY};
    if (n < 1 || n > MAX_PANELS)
        return MU_FAIL(MU_ERR_USAGE, "a plot has 1 to %d panels, not %zu", MAX_PANELS, n);
    for (size_t i = 0; i < n; i++) {
        range r = range_of(&panels[i], true);
        across = grow_range(grow_range(across, r.low), r.high);
    }
    if (!(across.high >= across.low))
        across = (range){0, 1};
    MU_TRY(mu_canvas_new(TOP + (int)n * PANEL + ((int)n - 1) * GAP + BOTTOM, &c));
    mu_canvas_color(&c, mu_color_ink, 1);
    mu_canvas_text(&c, LEFT, 30, 22, true, MU_ALIGN_LEFT, mu_canvas_fit(&c, 24, MU_PLOT_WIDTH - LEFT - RIGHT, title, text, sizeof text));
    for (size_t i = 0; i < n; i++)
        draw_panel(&c, &panels[i], across, TOP + (int)i * (PANEL + GAP), i + 1 == n);
    mu_err err = mu_canvas_write(&c, path);
    mu_canvas_release(&c);
    return err;
}
