/* What plots are drawn with: cairo, and the look that they share. Private to the room. */
#ifndef MU_VIS_CANVAS_H
#define MU_VIS_CANVAS_H

#include "core/error.h"

#include <cairo.h>
#include <stdbool.h>

enum { MU_PLOT_WIDTH = 1200 };

typedef struct {
    double r, g, b;
} mu_color;

extern const mu_color mu_color_ink, mu_color_soft, mu_color_grid;
/* Told apart by all kinds of eyes (Okabe and Ito 2008), in turn. */
mu_color mu_color_of(size_t i);

typedef enum { MU_ALIGN_LEFT, MU_ALIGN_CENTER, MU_ALIGN_RIGHT } mu_text_align;

typedef struct {
    cairo_surface_t *surface;
    cairo_t *cr;
} mu_canvas;

MU_CHECKED mu_err mu_canvas_new(int height, mu_canvas *out);
void mu_canvas_release(mu_canvas *canvas);
/* Replaces the file at `path`. */
MU_CHECKED mu_err mu_canvas_write(mu_canvas *canvas, const char *path);

void mu_canvas_color(mu_canvas *canvas, mu_color color, double alpha);
void mu_canvas_line(mu_canvas *canvas, double x0, double y0, double x1, double y1, double width);
void mu_canvas_box(mu_canvas *canvas, double x, double y, double width, double height);
/* Vertically centred on y. */
void mu_canvas_text(mu_canvas *canvas, double x, double y, double size, bool bold, mu_text_align align, const char *text);
/* The same from the bottom up, centred on both. */
void mu_canvas_text_up(mu_canvas *canvas, double x, double y, double size, const char *text);
double mu_canvas_text_width(mu_canvas *canvas, double size, bool bold, const char *text);
/* Cut to `width` with "..." behind; returns buf. */
const char *mu_canvas_fit(mu_canvas *canvas, double size, double width, const char *text, char *buf, size_t bytes);

#endif
