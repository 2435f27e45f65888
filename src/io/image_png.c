#include "core/mem.h"
#include "io/image_codec.h"

#include <setjmp.h>
#include <stdio.h>

#include <png.h>

/* Lives in the caller of `guarded`, so that a jump leaves it as it is. */
typedef struct {
    png_structp png;
    png_infop info;
    jmp_buf jump;
    const uint8_t *data;
    size_t size, at;
    mu_image_target target; /* when decoding */
    int passes;             /* of interlacing */
    uint8_t *rows;          /* one row, or all when interlaced */
    char message[128];
} reader;

static void give_up(png_structp png, png_const_charp message)
{
    reader *r = png_get_error_ptr(png);
    snprintf(r->message, sizeof r->message, "%s", message);
    longjmp(r->jump, 1);
}

static void ignore(png_structp png, png_const_charp message)
{
    (void)png;
    (void)message;
}

static void read_bytes(png_structp png, png_bytep out, size_t n)
{
    reader *r = png_get_io_ptr(png);
    if (n > r->size - r->at)
        png_error(png, "it ends too early");
    memcpy(out, r->data + r->at, n);
    r->at += n;
}

/* False when libpng gave up; the message tells why. */
static bool guarded(reader *r, void (*step)(reader *r))
{
    if (setjmp(r->jump))
        return false;
    step(r);
    return true;
}

static void read_header(reader *r)
{
    enum { CHUNK_BYTES = 1 << 23, CHUNKS = 128 };
    png_set_user_limits(r->png, MU_IMAGE_MAX_PIXELS, MU_IMAGE_MAX_PIXELS);
    png_set_chunk_malloc_max(r->png, CHUNK_BYTES);
    png_set_chunk_cache_max(r->png, CHUNKS);
    png_set_read_fn(r->png, r, read_bytes);
    png_read_info(r->png, r->info);
}

/* 8 bits, grey or RGB, without alpha. */
static void prepare(reader *r)
{
    png_set_scale_16(r->png);
    png_set_palette_to_rgb(r->png);
    png_set_expand_gray_1_2_4_to_8(r->png);
    png_set_strip_alpha(r->png);
    r->passes = png_set_interlace_handling(r->png);
    png_read_update_info(r->png, r->info);
}

static void read_rows(reader *r)
{
    size_t bytes = png_get_rowbytes(r->png, r->info);
    int channels = png_get_channels(r->png, r->info);
    for (int pass = 0; pass < r->passes; pass++)
        for (int64_t y = 0; y < r->target.height; y++) {
            uint8_t *row = r->rows + (r->passes > 1 ? (size_t)y * bytes : 0);
            png_read_row(r->png, row, NULL);
            if (pass == r->passes - 1)
                mu_image_place(&r->target, y, row, channels);
        }
    png_read_end(r->png, NULL);
}

static mu_err corrupt(const reader *r, const char *name)
{
    return MU_FAIL(MU_ERR_FORMAT, "the PNG image '%s' is corrupt: %s", name, r->message);
}

static mu_err no_memory(void)
{
    return MU_FAIL(MU_ERR_MEMORY, "out of memory while a PNG image was read");
}

static mu_err start(reader *r, const void *data, size_t size)
{
    r->data = data;
    r->size = size;
    r->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, r, give_up, ignore);
    if (!r->png)
        return no_memory();
    r->info = png_create_info_struct(r->png);
    if (r->info)
        return MU_OK;
    png_destroy_read_struct(&r->png, NULL, NULL);
    return no_memory();
}

static mu_err describe(const reader *r, const char *name, mu_image_info *info)
{
    bool colour = png_get_color_type(r->png, r->info) & PNG_COLOR_MASK_COLOR;
    MU_TRY(mu_image_describe(name, png_get_image_height(r->png, r->info), png_get_image_width(r->png, r->info), 1,
                             colour ? 3 : 1, info));
    return MU_OK;
}

mu_err mu_png_probe(const void *data, size_t size, const char *name, mu_image_info *out)
{
    reader r = {0};
    MU_TRY(start(&r, data, size));
    mu_err err = guarded(&r, read_header) ? describe(&r, name, out) : corrupt(&r, name);
    png_destroy_read_struct(&r.png, &r.info, NULL);
    return err;
}

static mu_err decode(reader *r, const char *name, const mu_image_info *expected)
{
    mu_image_info info;
    if (!guarded(r, read_header))
        return corrupt(r, name);
    MU_TRY(describe(r, name, &info));
    if (info.height != expected->height || info.width != expected->width)
        return MU_FAIL(MU_ERR_USAGE, "'%s' is not the image that was probed", name);
    if (!guarded(r, prepare))
        return corrupt(r, name);
    size_t bytes = png_get_rowbytes(r->png, r->info);
    if (bytes != (size_t)(info.width * info.channels))
        return MU_FAIL(MU_ERR_INTERNAL, "rows of the PNG image '%s' have %zu bytes", name, bytes);
    r->target.height = info.height;
    r->target.width = info.width;
    MU_TRY(mu_alloc(&r->rows, r->passes > 1 ? bytes * (size_t)info.height : bytes));
    return guarded(r, read_rows) ? MU_OK : corrupt(r, name);
}

mu_err mu_png_decode(const void *data, size_t size, const char *name, const mu_image_info *info,
                     mu_image_channels channels, uint8_t *out)
{
    reader r = {.target = {.orientation = 1, .channels = channels, .out = out}};
    MU_TRY(start(&r, data, size));
    mu_err err = decode(&r, name, info);
    png_destroy_read_struct(&r.png, &r.info, NULL);
    mu_free(r.rows);
    return err;
}
