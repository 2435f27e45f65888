/* Images of another size. For transforms and `muster data pack`. */
#ifndef MU_DATA_RESAMPLE_H
#define MU_DATA_RESAMPLE_H

#include "data/pixels.h"

typedef enum { MU_NEAREST, MU_BILINEAR, MU_AREA } mu_interpolation;
extern const char *const mu_interpolation_names[];

/* "img" becomes the view at another size, of the same dtype; u8 is rounded. As PyTorch's interpolate: "nearest",
 * "bilinear" (half-pixel centres, edges clamped, no smoothing when it shrinks), "area" (means over all pixels that an
 * output pixel touches). */
MU_CHECKED mu_err mu_pixels_resize(mu_sample *sample, const mu_pixels *p, int64_t height, int64_t width,
                                   mu_interpolation interpolation);

#endif
