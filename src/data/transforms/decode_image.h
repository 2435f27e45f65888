/* What the transforms that decode images share. Private to the room. */
#ifndef MU_DATA_TRANSFORMS_DECODE_IMAGE_H
#define MU_DATA_TRANSFORMS_DECODE_IMAGE_H

#include "data/sample.h"

typedef enum { MU_COLOR, MU_GRAYSCALE, MU_UNCHANGED } mu_color_type;
extern const char *const mu_color_type_names[];

/* "img" becomes the image that data[size] holds. `name` is for messages. */
MU_CHECKED mu_err mu_decode_into(mu_sample *sample, const void *data, size_t size, const char *name,
                                 mu_color_type type);

/* clang-format off */
#define MU_COLOR_TYPE_OPTION(struct_)                                                                                  \
    MU_OPTION(struct_, color_type, MU_OPT_CHOICE, .choices = mu_color_type_names,                                      \
              .help = "RGB, one channel, or as many channels as the file has")
/* clang-format on */

/* The text of the field "img_path" (u8 [length]), terminated; NULL when there is none. */
MU_CHECKED mu_err mu_sample_path(mu_sample *sample, const char **out);

#endif
