/* A transform: blackens a square of the image, at a random place. */
#include <muster.h>

#include <string.h>

typedef struct {
    int64_t size;
    double prob;
} random_erase;

static const mu_option options[] = {
    MU_OPTION(random_erase, size, MU_OPT_INT, .required = true, .bounded_below = true, .min = 1, .unit = "pixels",
              .help = "side of the square"),
    MU_OPTION(random_erase, prob, MU_OPT_FLOAT, .float_default = 0.5, .bounded_below = true, .bounded_above = true,
              .max = 1, .help = "how often"),
    MU_OPTION_END,
};

/* What is drawn comes from the sample, so it depends on neither ranks nor threads. */
static mu_err apply(const void *transform, mu_sample *sample)
{
    const random_erase *self = transform;
    const mu_tensor *image;
    void *data;
    MU_TRY(mu_sample_image(sample, NULL, &image)); /* u8 or f32 [C,H,W] */
    const mu_type type = image->type;
    int64_t height = type.dim[1], width = type.dim[2];
    if (self->size > height || self->size > width)
        return MU_FAIL(MU_ERR_CONFIG, "a square of %lld pixels does not fit into an image of %lld x %lld",
                       (long long)self->size, (long long)height, (long long)width);
    if (mu_sample_uniform(sample) >= self->prob)
        return MU_OK;
    int64_t top = mu_sample_below(sample, height - self->size + 1), left = mu_sample_below(sample, width - self->size + 1);
    size_t pixel = mu_dtype_size(type.dtype);
    const void *old = image->data; /* readable until the next sample */
    MU_TRY(mu_sample_put(sample, "img", type, &data));
    memcpy(data, old, mu_type_bytes(&type));
    for (int64_t c = 0; c < type.dim[0]; c++)
        for (int64_t y = top; y < top + self->size; y++)
            memset((char *)data + (size_t)((c * height + y) * width + left) * pixel, 0, (size_t)self->size * pixel);
    return MU_OK;
}

static const mu_component component = {
    .kind = "transform",
    .name = "RandomErase",
    .doc = "Blackens a square of the image, at a random place.",
    .size = sizeof(random_erase),
    .options = options,
    .ops = &(const mu_transform_ops){.apply = apply},
};

const int muster_plugin_version = MU_PLUGIN_VERSION;
mu_err muster_plugin_register(mu_registry *root);

mu_err muster_plugin_register(mu_registry *root)
{
    return mu_registry_add(root, &component, false);
}
