/* Views of planar images and what transforms do with them. For transforms and `muster data pack`. */
#ifndef MU_DATA_PIXELS_H
#define MU_DATA_PIXELS_H

#include "data/sample.h"

/* A rectangle of an image. */
typedef struct {
    mu_dtype dtype; /* u8 or f32 */
    int64_t channels, height, width;
    int64_t row, plane; /* pixels from a row and a plane to the next */
    const void *data;
} mu_pixels;

/* How borders are filled: by a value; by the nearest pixel; by mirroring without and with the pixel at the border. */
typedef enum { MU_BORDER_CONSTANT, MU_BORDER_EDGE, MU_BORDER_REFLECT, MU_BORDER_SYMMETRIC } mu_border;
extern const char *const mu_border_names[];

typedef struct {
    int64_t left, top, right, bottom; /* >= 0 */
} mu_margins;

/* The "img" of a sample. */
MU_CHECKED mu_err mu_pixels_get(const mu_sample *sample, mu_pixels *out);
/* A rectangle that lies inside. */
mu_pixels mu_pixels_cut(const mu_pixels *p, int64_t top, int64_t left, int64_t height, int64_t width);
static inline size_t mu_pixels_size(const mu_pixels *p)
{
    return p->dtype == MU_F32 ? sizeof(float) : 1;
}
static inline const void *mu_pixels_row(const mu_pixels *p, int64_t channel, int64_t y)
{
    return (const char *)p->data + (size_t)(channel * p->plane + y * p->row) * mu_pixels_size(p);
}

/* A new "img" of uninitialised pixels. */
MU_CHECKED mu_err mu_pixels_put(mu_sample *sample, mu_dtype dtype, int64_t channels, int64_t height, int64_t width,
                                void **data);
/* "img" becomes a copy of the view. */
MU_CHECKED mu_err mu_pixels_keep(mu_sample *sample, const mu_pixels *p);
/* "img" becomes the view with borders around it. value[n]: of the constant border, one for all channels or one each; n
 * 0: 0. MU_ERR_CONFIG for another n and for values that u8 does not have. */
MU_CHECKED mu_err mu_pixels_pad(mu_sample *sample, const mu_pixels *p, mu_margins margins, mu_border border,
                                const double *value, size_t n);

#endif
