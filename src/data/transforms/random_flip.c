#include "data/pixels.h"
#include "data/transform.h"

typedef struct {
    mu_floats prob;
    mu_strings direction;
} random_flip;

typedef enum { HORIZONTAL, VERTICAL, DIAGONAL, NO_FLIP } direction;
static const char *const direction_names[] = {"horizontal", "vertical", "diagonal", NULL};

static size_t n_directions(const random_flip *t)
{
    return t->direction.n ? t->direction.n : 1;
}

static direction direction_at(const random_flip *t, size_t i)
{
    direction d = HORIZONTAL;
    while (t->direction.n && strcmp(t->direction.v[i], direction_names[d]) != 0)
        d++;
    return d;
}

static mu_err random_flip_create(void *object, const mu_cfg *cfg)
{
    const random_flip *t = object;
    double sum = 0;
    (void)cfg;
    for (size_t i = 0; i < t->prob.n; i++)
        sum += t->prob.v[i];
    if (t->prob.n > 1 && t->prob.n != n_directions(t))
        return MU_FAIL(MU_ERR_CONFIG, "prob has %zu numbers for %zu directions; expected one, or one for each",
                       t->prob.n, n_directions(t));
    if (sum > 1 + 1e-9)
        return MU_FAIL(MU_ERR_CONFIG, "the numbers of prob add up to %g; expected at most 1", sum);
    return MU_OK;
}

/* A single probability is shared out evenly. */
static direction choose(const random_flip *t, mu_sample *sample)
{
    double x = mu_sample_uniform(sample), share = t->prob.v[0] / (double)n_directions(t);
    for (size_t i = 0; i < n_directions(t); i++) {
        double prob = t->prob.n > 1 ? t->prob.v[i] : share;
        if (x < prob)
            return direction_at(t, i);
        x -= prob;
    }
    return NO_FLIP;
}

static void reverse(void *restrict to, const void *restrict from, mu_dtype dtype, int64_t n)
{
    uint8_t *u8 = to;
    float *f32 = to;
    if (dtype == MU_U8)
        for (int64_t i = 0; i < n; i++)
            u8[i] = ((const uint8_t *)from)[n - 1 - i];
    else
        for (int64_t i = 0; i < n; i++)
            f32[i] = ((const float *)from)[n - 1 - i];
}

static mu_err flip(mu_sample *sample, const mu_pixels *p, direction d)
{
    size_t bytes = (size_t)p->width * mu_pixels_size(p);
    void *data;
    MU_TRY(mu_pixels_put(sample, p->dtype, p->channels, p->height, p->width, &data));
    char *to = data;
    for (int64_t c = 0; c < p->channels; c++)
        for (int64_t y = 0; y < p->height; y++, to += bytes) {
            const void *row = mu_pixels_row(p, c, d == HORIZONTAL ? y : p->height - 1 - y);
            if (d == VERTICAL)
                memcpy(to, row, bytes);
            else
                reverse(to, row, p->dtype, p->width);
        }
    return MU_OK;
}

static mu_err random_flip_apply(const void *transform, mu_sample *sample)
{
    mu_pixels p;
    MU_TRY(mu_pixels_get(sample, &p));
    direction d = choose(transform, sample);
    if (d != NO_FLIP)
        MU_TRY(flip(sample, &p, d));
    return MU_OK;
}

static const mu_option random_flip_options[] = {
    MU_OPTION(random_flip, prob, MU_OPT_FLOATS, .required = true, .bare_item = true, .min_items = 1, .max_items = 3,
              .bounded_below = true, .min = 0, .bounded_above = true, .max = 1,
              .help = "of a flip, shared out evenly over the directions; or one for each direction"),
    MU_OPTION(random_flip, direction, MU_OPT_STRINGS, .bare_item = true, .text_default = "horizontal",
              .choices = direction_names, .max_items = 3, .help = "which way; of several one is drawn"),
    MU_OPTION_END,
};

const mu_component mu_component_random_flip = {
    .kind = "transform",
    .name = "RandomFlip",
    .doc = "Mirrors the image, or leaves it as it is.",
    .size = sizeof(random_flip),
    .options = random_flip_options,
    .create = random_flip_create,
    .ops = &(const mu_transform_ops){.apply = random_flip_apply},
};
