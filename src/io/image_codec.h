/* What the image formats share. Private to the room. */
#ifndef MU_IO_IMAGE_CODEC_H
#define MU_IO_IMAGE_CODEC_H

#include "io/image.h"

/* Images of more pixels are taken for a trap. */
enum { MU_IMAGE_MAX_PIXELS = 1 << 27 };

/* Where a decoder puts its rows. */
typedef struct {
    int64_t height, width; /* as stored, before the orientation */
    int orientation;       /* EXIF's, 1 to 8 */
    int channels;          /* of out: 1 or 3 */
    uint8_t *out;          /* planar */
} mu_image_target;

/* Puts row y, `row_channels` (1 or 3) interleaved, in its place, between grey and RGB as needed. */
void mu_image_place(const mu_image_target *target, int64_t y, const uint8_t *row, int row_channels);

/* Fills all of `info` but the format. MU_ERR_FORMAT for an empty or a huge image. */
MU_CHECKED mu_err mu_image_describe(const char *name, int64_t height, int64_t width, int orientation, int channels,
                                    mu_image_info *info);

/* The orientation that EXIF data (without "Exif\0\0") tell, 1 when they tell none. */
int mu_exif_orientation(const uint8_t *data, size_t size);

/* Per format: the header, then the whole. The caller has checked the signature. */
MU_CHECKED mu_err mu_jpeg_probe(const void *data, size_t size, const char *name, mu_image_info *out);
MU_CHECKED mu_err mu_jpeg_decode(const void *data, size_t size, const char *name, const mu_image_info *info,
                                 mu_image_channels channels, uint8_t *out);
MU_CHECKED mu_err mu_png_probe(const void *data, size_t size, const char *name, mu_image_info *out);
MU_CHECKED mu_err mu_png_decode(const void *data, size_t size, const char *name, const mu_image_info *info,
                                mu_image_channels channels, uint8_t *out);

#endif
