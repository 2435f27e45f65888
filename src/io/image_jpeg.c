#include "core/mem.h"
#include "io/image_codec.h"

#include <limits.h>
#include <setjmp.h>
#include <stdio.h>

#include <jpeglib.h>

#include <jerror.h>

/* More scans than encoders make are a trap: each costs a pass over the whole image. */
enum { MAX_SCANS = 100 };

/* Lives in the caller of `guarded`, so that a jump leaves it as it is. */
typedef struct {
    struct jpeg_decompress_struct info;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf jump;
    const void *data;
    size_t size;
    mu_image_target target; /* when decoding */
    uint8_t *row;
    char message[JMSG_LENGTH_MAX];
} reader;

static void give_up(j_common_ptr info)
{
    reader *r = info->client_data;
    info->err->format_message(info, r->message);
    longjmp(r->jump, 1);
}

/* Warnings about lost image data end the decoding; others, and traces, are of no interest. */
static void judge(j_common_ptr info, int level)
{
    if (level >= 0)
        return;
    switch (info->err->msg_code) {
    case JWRN_EXTRANEOUS_DATA:
    case JWRN_ADOBE_XFORM:
    case JWRN_JFIF_MAJOR:
    case JWRN_NOT_SEQUENTIAL:
    case JWRN_TOO_MUCH_DATA: return;
    default: give_up(info);
    }
}

static void print_nothing(j_common_ptr info)
{
    (void)info;
}

static void count_scans(j_common_ptr info)
{
    reader *r = info->client_data;
    if (((j_decompress_ptr)info)->input_scan_number <= MAX_SCANS)
        return;
    snprintf(r->message, sizeof r->message, "it has more than %d scans", MAX_SCANS);
    longjmp(r->jump, 1);
}

/* False when libjpeg gave up; the message tells why. */
static bool guarded(reader *r, void (*step)(reader *r))
{
    if (setjmp(r->jump))
        return false;
    step(r);
    return true;
}

static void read_header(reader *r)
{
    jpeg_create_decompress(&r->info);
    r->info.client_data = r;
    r->info.progress = &r->progress;
    jpeg_mem_src(&r->info, r->data, r->size);
    jpeg_save_markers(&r->info, JPEG_APP0 + 1, 0xffff);
    (void)jpeg_read_header(&r->info, TRUE);
}

static void read_rows(reader *r)
{
    r->info.out_color_space = r->target.channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
    (void)jpeg_start_decompress(&r->info);
    while (r->info.output_scanline < r->info.output_height) {
        int64_t y = r->info.output_scanline;
        if (jpeg_read_scanlines(&r->info, &r->row, 1) == 1)
            mu_image_place(&r->target, y, r->row, r->target.channels);
    }
    (void)jpeg_finish_decompress(&r->info);
}

static void start(reader *r, const void *data, size_t size)
{
    r->info.err = jpeg_std_error(&r->errors);
    r->info.client_data = r;
    r->errors.error_exit = give_up;
    r->errors.emit_message = judge;
    r->errors.output_message = print_nothing;
    r->progress.progress_monitor = count_scans;
    r->data = data;
    r->size = size;
}

static mu_err corrupt(const reader *r, const char *name)
{
    if (r->errors.msg_code == JERR_OUT_OF_MEMORY)
        return MU_FAIL(MU_ERR_MEMORY, "out of memory while the JPEG image '%s' was read", name);
    return MU_FAIL(MU_ERR_FORMAT, "the JPEG image '%s' is corrupt: %s", name, r->message);
}

static int orientation_of(const reader *r)
{
    for (jpeg_saved_marker_ptr m = r->info.marker_list; m; m = m->next)
        if (m->marker == JPEG_APP0 + 1 && m->data_length > 6 && memcmp(m->data, "Exif\0", 6) == 0)
            return mu_exif_orientation(m->data + 6, m->data_length - 6);
    return 1;
}

static mu_err describe(reader *r, const char *name, mu_image_info *info)
{
    int components = r->info.num_components;
    J_COLOR_SPACE space = r->info.jpeg_color_space;
    if (space == JCS_CMYK || space == JCS_YCCK) {
        MU_FAIL(MU_ERR_FORMAT, "the JPEG image '%s' is in CMYK; expected grey or RGB", name);
        return mu_error_hint("its colours depend on a printer; convert it with a tool that knows colour profiles");
    }
    if (space != JCS_GRAYSCALE && space != JCS_YCbCr && space != JCS_RGB)
        return MU_FAIL(MU_ERR_FORMAT, "the JPEG image '%s' has %d components of unknown meaning; expected grey or RGB",
                       name, components);
    MU_TRY(mu_image_describe(name, r->info.image_height, r->info.image_width, orientation_of(r),
                             space == JCS_GRAYSCALE ? 1 : 3, info));
    return MU_OK;
}

mu_err mu_jpeg_probe(const void *data, size_t size, const char *name, mu_image_info *out)
{
    reader r = {0};
    start(&r, data, size);
    mu_err err = guarded(&r, read_header) ? describe(&r, name, out) : corrupt(&r, name);
    jpeg_destroy_decompress(&r.info);
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
    r->target.height = r->info.image_height;
    r->target.width = r->info.image_width;
    r->target.orientation = orientation_of(r);
    MU_TRY(mu_alloc(&r->row, (size_t)(r->target.width * r->target.channels)));
    return guarded(r, read_rows) ? MU_OK : corrupt(r, name);
}

mu_err mu_jpeg_decode(const void *data, size_t size, const char *name, const mu_image_info *info,
                      mu_image_channels channels, uint8_t *out)
{
    reader r = {.target = {.channels = channels, .out = out}};
    start(&r, data, size);
    mu_err err = decode(&r, name, info);
    jpeg_destroy_decompress(&r.info);
    mu_free(r.row);
    return err;
}
