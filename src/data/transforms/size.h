/* Options that give a size. Private to the room. */
#ifndef MU_DATA_TRANSFORMS_SIZE_H
#define MU_DATA_TRANSFORMS_SIZE_H

#include "data/pixels.h"
#include "registry/option.h"

typedef struct {
    int64_t height, width;
} mu_image_size;

/* Of one number (both) or two. */
static inline mu_image_size mu_size_hw(const mu_ints *size)
{
    return (mu_image_size){size->v[0], size->v[size->n - 1]};
}
static inline mu_image_size mu_size_wh(const mu_ints *size)
{
    return (mu_image_size){size->v[size->n - 1], size->v[0]};
}

/* clang-format off */
/* A row for mu_ints of one or two pixel counts. */
#define MU_SIZE_OPTION(struct_, field_, ...)                                                                           \
    MU_OPTION(struct_, field_, MU_OPT_INTS, .bare_item = true, .min_items = 1, .max_items = 2, .bounded_below = true,  \
              .min = 1, .bounded_above = true, .max = INT32_MAX, .unit = "pixels", __VA_ARGS__)
/* clang-format on */

/* MU_ERR_CONFIG, with a hint, unless an image of the size can be cut out. */
static inline mu_err mu_check_crop(const mu_pixels *p, mu_image_size size, const char *hint)
{
    if (size.height <= p->height && size.width <= p->width)
        return MU_OK;
    MU_FAIL(MU_ERR_CONFIG, "a crop of %lld x %lld (height x width) does not fit in an image of %lld x %lld",
            (long long)size.height, (long long)size.width, (long long)p->height, (long long)p->width);
    return mu_error_hint("%s", hint);
}

#endif
