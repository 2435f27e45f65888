/* Encoded images for tests, made by libjpeg and libpng, as far as they are built in. */
#ifndef MU_TESTS_DATA_ENCODE_H
#define MU_TESTS_DATA_ENCODE_H

#include "config.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef HAVE_JPEG
#include <jpeglib.h>
#endif
#ifdef HAVE_PNG
#include <png.h>
#endif

/* Encoded bytes; freed by free. */
typedef struct {
    uint8_t *data;
    size_t size;
} test_bytes;

#ifdef HAVE_JPEG

typedef struct {
    int quality;         /* 0: 100 */
    int progressive;     /* 1: as usual; 2: in more than 100 scans (grey) */
    const uint8_t *exif; /* with "Exif\0\0" */
    unsigned exif_size;
} test_jpeg_options;

/* From pixels [height, width, channels]; 4 channels: CMYK. */
static inline test_bytes test_jpeg(const uint8_t *pixels, int height, int width, int channels,
                                   test_jpeg_options options)
{
    struct jpeg_compress_struct c;
    struct jpeg_error_mgr errors;
    unsigned char *data = NULL;
    unsigned long size = 0;
    jpeg_scan_info scans[200];
    c.err = jpeg_std_error(&errors);
    jpeg_create_compress(&c);
    jpeg_mem_dest(&c, &data, &size);
    c.image_width = (JDIMENSION)width;
    c.image_height = (JDIMENSION)height;
    c.input_components = channels;
    c.in_color_space = channels == 1 ? JCS_GRAYSCALE : channels == 3 ? JCS_RGB : JCS_CMYK;
    jpeg_set_defaults(&c);
    jpeg_set_quality(&c, options.quality ? options.quality : 100, TRUE);
    for (int i = 0; i < c.num_components && !options.quality; i++)
        c.comp_info[i].h_samp_factor = c.comp_info[i].v_samp_factor = 1;
    if (options.progressive)
        jpeg_simple_progression(&c);
    if (options.progressive == 2) {
        int n = 0;
        scans[n++] = (jpeg_scan_info){.comps_in_scan = 1};
        for (int k = 1; k < 64; k++) {
            scans[n++] = (jpeg_scan_info){.comps_in_scan = 1, .Ss = k, .Se = k, .Al = 1};
            scans[n++] = (jpeg_scan_info){.comps_in_scan = 1, .Ss = k, .Se = k, .Ah = 1};
        }
        c.scan_info = scans;
        c.num_scans = n;
    }
    jpeg_start_compress(&c, TRUE);
    if (options.exif)
        jpeg_write_marker(&c, JPEG_APP0 + 1, options.exif, options.exif_size);
    while (c.next_scanline < c.image_height) {
        JSAMPROW row = (JSAMPROW)(pixels + (size_t)c.next_scanline * (size_t)(width * channels));
        jpeg_write_scanlines(&c, &row, 1);
    }
    jpeg_finish_compress(&c);
    jpeg_destroy_compress(&c);
    return (test_bytes){data, size};
}

#endif
#ifdef HAVE_PNG

static inline void test_png_append(png_structp png, png_bytep bytes, size_t n)
{
    test_bytes *out = png_get_io_ptr(png);
    out->data = realloc(out->data, out->size + n);
    memcpy(out->data + out->size, bytes, n);
    out->size += n;
}

typedef struct {
    int color_type, bit_depth, interlaced;
    png_color *palette;
    int n_palette;
    uint8_t *palette_alpha;
} test_png_options;

/* From packed rows of row_bytes each, as PNG stores them; rows NULL: the header and no pixels. */
static inline test_bytes test_png(const uint8_t *rows, size_t row_bytes, int height, int width,
                                  test_png_options options)
{
    test_bytes out = {NULL, 0};
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    png_set_write_fn(png, &out, test_png_append, NULL);
    png_set_IHDR(png, info, (png_uint_32)width, (png_uint_32)height, options.bit_depth, options.color_type,
                 options.interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    if (options.palette)
        png_set_PLTE(png, info, options.palette, options.n_palette);
    if (options.palette_alpha)
        png_set_tRNS(png, info, options.palette_alpha, options.n_palette, NULL);
    png_write_info(png, info);
    int passes = png_set_interlace_handling(png);
    for (int pass = 0; rows && pass < passes; pass++)
        for (int y = 0; y < height; y++)
            png_write_row(png, rows + (size_t)y * row_bytes);
    if (rows)
        png_write_end(png, info);
    else
        png_write_chunk(png, (png_const_bytep) "IDAT", (png_const_bytep) "", 0);
    png_destroy_write_struct(&png, &info);
    return out;
}

#endif

#endif
