#include "vis/canvas.h"

#include "core/text.h"
#include "io/file.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

const mu_color mu_color_ink = {0.13, 0.15, 0.18}, mu_color_soft = {0.38, 0.41, 0.45}, mu_color_grid = {0.89, 0.90, 0.92};

mu_color mu_color_of(size_t i)
{
    static const mu_color colors[] = {{0.00, 0.45, 0.70}, {0.90, 0.52, 0.00}, {0.00, 0.62, 0.45}, {0.84, 0.37, 0.00},
                                      {0.80, 0.47, 0.65}, {0.34, 0.71, 0.91}, {0.45, 0.45, 0.45}};
    return colors[i % (sizeof colors / sizeof colors[0])];
}

static mu_err check(const mu_canvas *canvas)
{
    cairo_status_t status = cairo_status(canvas->cr);
    if (status == CAIRO_STATUS_SUCCESS)
        return MU_OK;
    if (status == CAIRO_STATUS_NO_MEMORY)
        return MU_FAIL(MU_ERR_MEMORY, "cairo: %s", cairo_status_to_string(status));
    return MU_FAIL(MU_ERR_INTERNAL, "cairo: %s", cairo_status_to_string(status));
}

mu_err mu_canvas_new(int height, mu_canvas *out)
{
    mu_canvas c;
    c.surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, MU_PLOT_WIDTH, height);
    c.cr = cairo_create(c.surface);
    mu_err err = check(&c);
    if (err) {
        mu_canvas_release(&c);
        return err;
    }
    cairo_set_source_rgb(c.cr, 1, 1, 1);
    cairo_paint(c.cr);
    cairo_set_line_join(c.cr, CAIRO_LINE_JOIN_ROUND);
    *out = c;
    return MU_OK;
}

void mu_canvas_release(mu_canvas *canvas)
{
    cairo_destroy(canvas->cr);
    cairo_surface_destroy(canvas->surface);
    *canvas = (mu_canvas){NULL, NULL};
}

typedef struct {
    int fd;
    int64_t at;
    const char *path;
    mu_err err;
} png_file;

static cairo_status_t write_png(void *user, const unsigned char *data, unsigned length)
{
    png_file *file = user;
    file->err = mu_pwrite(file->fd, data, length, file->at, file->path);
    file->at += length;
    return file->err ? CAIRO_STATUS_WRITE_ERROR : CAIRO_STATUS_SUCCESS;
}

mu_err mu_canvas_write(mu_canvas *canvas, const char *path)
{
    mu_replacement *file;
    MU_TRY(check(canvas));
    MU_TRY(mu_replacement_new(path, &file));
    png_file png = {.fd = mu_replacement_fd(file), .path = path};
    cairo_status_t status = cairo_surface_write_to_png_stream(canvas->surface, write_png, &png);
    mu_err err = png.err;
    if (!err && status != CAIRO_STATUS_SUCCESS)
        err = MU_FAIL(MU_ERR_IO, "'%s' cannot be written: %s", path, cairo_status_to_string(status));
    if (!err)
        err = mu_replacement_commit(file);
    mu_replacement_release(file);
    return err;
}

void mu_canvas_color(mu_canvas *canvas, mu_color color, double alpha)
{
    cairo_set_source_rgba(canvas->cr, color.r, color.g, color.b, alpha);
}

void mu_canvas_line(mu_canvas *canvas, double x0, double y0, double x1, double y1, double width)
{
    cairo_set_line_width(canvas->cr, width);
    cairo_move_to(canvas->cr, x0, y0);
    cairo_line_to(canvas->cr, x1, y1);
    cairo_stroke(canvas->cr);
}

void mu_canvas_box(mu_canvas *canvas, double x, double y, double width, double height)
{
    cairo_rectangle(canvas->cr, x, y, width, height);
    cairo_fill(canvas->cr);
}

static void set_font(mu_canvas *canvas, double size, bool bold)
{
    cairo_select_font_face(canvas->cr, "sans-serif", CAIRO_FONT_SLANT_NORMAL, bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
    cairo_set_font_size(canvas->cr, size);
}

/* As much of the text as fits, in whole characters; U+FFFD stands for bytes that are not UTF-8, which cairo would fail at. Returns buf. */
static const char *copy_text(const char *text, char *buf, size_t bytes)
{
    static const char unknown[] = "\xef\xbf\xbd";
    size_t used = 0, left = strlen(text);
    while (left) {
        int length = mu_utf8_length(text, left);
        size_t read = length ? (size_t)length : 1, n = length ? (size_t)length : sizeof unknown - 1;
        if (used + n >= bytes)
            break;
        memcpy(buf + used, length ? text : unknown, n);
        used += n;
        text += read;
        left -= read;
    }
    buf[used] = '\0';
    return buf;
}

enum { TEXT_BYTES = 512 };

double mu_canvas_text_width(mu_canvas *canvas, double size, bool bold, const char *text)
{
    char buf[TEXT_BYTES];
    cairo_text_extents_t e;
    set_font(canvas, size, bold);
    cairo_text_extents(canvas->cr, copy_text(text, buf, sizeof buf), &e);
    return e.x_advance;
}

void mu_canvas_text(mu_canvas *canvas, double x, double y, double size, bool bold, mu_text_align align, const char *text)
{
    char buf[TEXT_BYTES];
    cairo_font_extents_t f;
    double width = mu_canvas_text_width(canvas, size, bold, text);
    cairo_font_extents(canvas->cr, &f);
    cairo_move_to(canvas->cr, x - width * align / 2, y + (f.ascent - f.descent) / 2);
    cairo_show_text(canvas->cr, copy_text(text, buf, sizeof buf));
}

void mu_canvas_text_up(mu_canvas *canvas, double x, double y, double size, const char *text)
{
    cairo_save(canvas->cr);
    cairo_translate(canvas->cr, x, y);
    cairo_rotate(canvas->cr, -acos(0));
    mu_canvas_text(canvas, 0, 0, size, false, MU_ALIGN_CENTER, text);
    cairo_restore(canvas->cr);
}

const char *mu_canvas_fit(mu_canvas *canvas, double size, double width, const char *text, char *buf, size_t bytes)
{
    copy_text(text, buf, bytes);
    for (size_t n = strlen(buf); n > 1 && mu_canvas_text_width(canvas, size, false, buf) > width;) {
        do
            n--;
        while (n > 1 && ((unsigned char)buf[n] & 0xc0) == 0x80);
        snprintf(buf + n, bytes - n, "%s", n + 4 < bytes ? "..." : "");
    }
    return buf;
}
