#include "data/transform.h"
#include "data/transforms/size.h"

#include <math.h>

typedef struct {
    mu_ints crop_size;
    bool auto_pad;
    mu_floats pad_val;
} center_crop;

static int64_t excess(int64_t want, int64_t have)
{
    return want > have ? want - have : 0;
}

static mu_err center_crop_apply(const void *transform, mu_sample *sample)
{
    const center_crop *t = transform;
    mu_image_size size = mu_size_wh(&t->crop_size);
    mu_pixels p;
    MU_TRY(mu_pixels_get(sample, &p));
    mu_margins m = {.right = excess(size.width, p.width), .bottom = excess(size.height, p.height)};
    if (t->auto_pad && (m.right || m.bottom)) {
        MU_TRY(mu_pixels_pad(sample, &p, m, MU_BORDER_CONSTANT, t->pad_val.v, t->pad_val.n));
        MU_TRY(mu_pixels_get(sample, &p));
    }
    MU_TRY(mu_check_crop(&p, size, "set auto_pad: true, or put Resize or ResizeEdge before it"));
    /* Half a pixel goes to the even side. */
    int64_t top = (int64_t)rint((double)(p.height - size.height) / 2),
            left = (int64_t)rint((double)(p.width - size.width) / 2);
    mu_pixels part = mu_pixels_cut(&p, top, left, size.height, size.width);
    MU_TRY(mu_pixels_keep(sample, &part));
    return MU_OK;
}

static const mu_option center_crop_options[] = {
    MU_SIZE_OPTION(center_crop, crop_size, .required = true,
                   .help = "what is kept: (width, height), or one number for both"),
    MU_OPTION(center_crop, auto_pad, MU_OPT_BOOL, .help = "pad smaller images on the right and at the bottom first"),
    MU_OPTION(center_crop, pad_val, MU_OPT_FLOATS, .bare_item = true, .text_default = "0",
              .help = "value of the padding: one, or one for each channel"),
    MU_OPTION_END,
};

const mu_component mu_component_center_crop = {
    .kind = "transform",
    .name = "CenterCrop",
    .doc = "Keeps the middle of the image.",
    .size = sizeof(center_crop),
    .options = center_crop_options,
    .ops = &(const mu_transform_ops){.apply = center_crop_apply},
};
