#include "data/transforms/decode_image.h"

#include "data/pixels.h"
#include "data/transform.h"
#include "io/image.h"

const char *const mu_color_type_names[] = {"color", "grayscale", "unchanged", NULL};

typedef struct {
    int color_type;
} decode_image;

mu_err mu_decode_into(mu_sample *sample, const void *data, size_t size, const char *name, mu_color_type type)
{
    mu_image_info info;
    void *out;
    MU_TRY(mu_image_probe(data, size, name, &info));
    mu_image_channels channels = type == MU_COLOR       ? MU_IMAGE_RGB
                                 : type == MU_GRAYSCALE ? MU_IMAGE_GREY
                                 : info.channels == 1   ? MU_IMAGE_GREY
                                                        : MU_IMAGE_RGB;
    MU_TRY(mu_pixels_put(sample, MU_U8, channels, info.height, info.width, &out));
    MU_TRY(mu_image_decode(data, size, name, &info, channels, out));
    return MU_OK;
}

mu_err mu_sample_path(mu_sample *sample, const char **out)
{
    const mu_tensor *field = mu_tensors_find(&sample->fields, "img_path");
    char *text, type[MU_TYPE_TEXT];
    *out = NULL;
    if (!field)
        return MU_OK;
    if (field->type.dtype != MU_U8 || field->type.ndim != 1)
        return MU_FAIL(MU_ERR_CONFIG, "'img_path' is %s, expected the bytes of a path, u8 [length]",
                       mu_type_format(&field->type, type));
    size_t length = (size_t)field->type.dim[0];
    MU_TRY(mu_sample_scratch(sample, length + 1, &text));
    memcpy(text, field->data, length);
    text[length] = '\0';
    *out = text;
    return MU_OK;
}

static mu_err decode_image_apply(const void *transform, mu_sample *sample)
{
    const mu_tensor *img;
    const char *path;
    char type[MU_TYPE_TEXT];
    MU_TRY(mu_sample_get(sample, "img", NULL, &img));
    if (img->type.dtype != MU_U8 || img->type.ndim != 1) {
        MU_FAIL(MU_ERR_CONFIG, "'img' is %s, expected the bytes of an encoded image, u8 [length]",
                mu_type_format(&img->type, type));
        return mu_error_hint("images that are stored as pixels need no DecodeImage");
    }
    MU_TRY(mu_sample_path(sample, &path));
    MU_TRY(mu_decode_into(sample, img->data, (size_t)img->type.dim[0], path ? path : "img",
                          ((const decode_image *)transform)->color_type));
    return MU_OK;
}

static const mu_option decode_image_options[] = {
    MU_COLOR_TYPE_OPTION(decode_image),
    MU_OPTION_END,
};

const mu_component mu_component_decode_image = {
    .kind = "transform",
    .name = "DecodeImage",
    .doc = "Turns an encoded image (JPEG, PNG) in the field img into pixels.",
    .size = sizeof(decode_image),
    .options = decode_image_options,
    .ops = &(const mu_transform_ops){.apply = decode_image_apply},
};
