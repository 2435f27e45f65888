/* Encoded images: JPEG by libjpeg-turbo, PNG by libpng. From any thread.
 *
 * JPEG is turned as its EXIF data tell. PNG of 16 bits is reduced to 8; palettes become RGB; alpha is dropped. */
#ifndef MU_IO_IMAGE_H
#define MU_IO_IMAGE_H

#include "core/type.h"

typedef enum { MU_IMAGE_GREY = 1, MU_IMAGE_RGB = 3 } mu_image_channels;

typedef struct {
    int64_t height, width; /* pixels, after the orientation that EXIF tells has been applied */
    int channels;          /* as encoded: 1 or 3 */
    const char *format;    /* "JPEG", "PNG" */
} mu_image_info;

/* Reads the header only. MU_ERR_FORMAT for what is neither JPEG nor PNG, is broken, in CMYK or of more than 2^27
 * pixels; MU_ERR_UNSUPPORTED for a format that this build lacks. `name` is for messages. */
MU_CHECKED mu_err mu_image_probe(const void *data, size_t size, const char *name, mu_image_info *out);
/* Decodes into out u8 [channels, height, width], planar, converting between grey and RGB. info is what mu_image_probe
 * gave. A cut or corrupt stream is MU_ERR_FORMAT, and leaves anything in `out`. What the libraries need is allocated
 * and freed. */
MU_CHECKED mu_err mu_image_decode(const void *data, size_t size, const char *name, const mu_image_info *info,
                                  mu_image_channels channels, uint8_t *out);
/* "JPEG, PNG", or what this build lacks. */
const char *mu_image_formats(void);

#endif
