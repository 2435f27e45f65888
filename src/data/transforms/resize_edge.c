#include "data/resample.h"
#include "data/transform.h"

typedef struct {
    int64_t scale;
    int edge, interpolation;
} resize_edge;

typedef enum { SHORT, LONG, WIDTH, HEIGHT } edge;
static const char *const edge_names[] = {"short", "long", "width", "height", NULL};

/* The other edge, rounded down. */
static int64_t scaled(int64_t other, int64_t scale, int64_t edge_pixels)
{
    int64_t pixels = (int64_t)((double)scale * (double)other / (double)edge_pixels);
    return pixels < 1 ? 1 : pixels;
}

static mu_err resize_edge_apply(const void *transform, mu_sample *sample)
{
    const resize_edge *t = transform;
    mu_pixels p;
    MU_TRY(mu_pixels_get(sample, &p));
    bool by_width =
        t->edge == WIDTH || (t->edge == SHORT && p.width < p.height) || (t->edge == LONG && p.width > p.height);
    int64_t height = by_width ? scaled(p.height, t->scale, p.width) : t->scale;
    int64_t width = by_width ? t->scale : scaled(p.width, t->scale, p.height);
    MU_TRY(mu_pixels_resize(sample, &p, height, width, t->interpolation));
    return MU_OK;
}

static const mu_option resize_edge_options[] = {
    MU_OPTION(resize_edge, scale, MU_OPT_INT, .required = true, .bounded_below = true, .min = 1, .bounded_above = true,
              .max = INT32_MAX, .unit = "pixels", .help = "the new length of the edge"),
    MU_OPTION(resize_edge, edge, MU_OPT_CHOICE, .choices = edge_names, .int_default = SHORT,
              .help = "the edge that gets this length; the other follows"),
    MU_OPTION(resize_edge, interpolation, MU_OPT_CHOICE, .choices = mu_interpolation_names, .int_default = MU_BILINEAR,
              .help = "how pixels are computed"),
    MU_OPTION_END,
};

const mu_component mu_component_resize_edge = {
    .kind = "transform",
    .name = "ResizeEdge",
    .doc = "Scales the image, its shape kept, so that one edge gets a length.",
    .size = sizeof(resize_edge),
    .options = resize_edge_options,
    .ops = &(const mu_transform_ops){.apply = resize_edge_apply},
};
