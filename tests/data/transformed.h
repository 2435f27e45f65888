/* A pipeline from YAML, a sample that goes through it, and images for that. */
#ifndef MU_TESTS_DATA_TRANSFORMED_H
#define MU_TESTS_DATA_TRANSFORMED_H

#include "data/transform.h"

#include "config/config.h"

#include "test.h"

#include <math.h>

static mu_config *config;
static mu_pipeline *pipeline;
static mu_sample sample;

static inline mu_err make_pipeline(const char *yaml)
{
    MU_TRY(mu_config_parse(yaml, strlen(yaml), "yaml", &config));
    mu_err err = mu_pipeline_new(mu_cfg_get(mu_config_root(config), "pipeline"), "pipeline", &pipeline);
    if (err)
        mu_config_release(config);
    return err;
}

static inline void drop_pipeline(void)
{
    mu_pipeline_release(pipeline);
    mu_config_release(config);
}

/* "pipeline: [...]" from the text of the list. */
static inline void use(const char *format, ...)
{
    char text[1024];
    size_t n = (size_t)snprintf(text, sizeof text, "pipeline: ");
    va_list args;
    va_start(args, format);
    vsnprintf(text + n, sizeof text - n, format, args);
    va_end(args);
    ck_ok(make_pipeline(text));
}

static inline void finish(void)
{
    drop_pipeline();
    mu_sample_release(&sample);
    mu_registry_reset();
}

/* ---- test images: a formula that tests/golden/transform.py knows too ---- */

static inline uint8_t pixel(int64_t c, int64_t y, int64_t x)
{
    return (uint8_t)((uint32_t)((131 * c + 17 * y + 29 * x + 1) * 2654435761) >> 24);
}

static inline void put_u8(int64_t channels, int64_t h, int64_t w)
{
    void *data;
    ck_ok(mu_sample_put(&sample, "img", MU_TYPE(MU_U8, channels, h, w), &data));
    for (int64_t c = 0; c < channels; c++)
        for (int64_t i = 0; i < h * w; i++)
            ((uint8_t *)data)[c * h * w + i] = pixel(c, i / w, i % w);
}

/* The same pixels / 8 - 10: exact. */
static inline void put_f32(int64_t channels, int64_t h, int64_t w)
{
    void *data;
    ck_ok(mu_sample_put(&sample, "img", MU_TYPE(MU_F32, channels, h, w), &data));
    for (int64_t c = 0; c < channels; c++)
        for (int64_t i = 0; i < h * w; i++)
            ((float *)data)[c * h * w + i] = (float)pixel(c, i / w, i % w) / 8 - 10;
}

static inline void begin(int64_t index)
{
    mu_sample_begin(&sample, index, 1, 0);
}

static inline const mu_tensor *image(void)
{
    const mu_tensor *img;
    ck_ok(mu_sample_image(&sample, "test", &img));
    return img;
}

static inline double at(const mu_tensor *img, int64_t c, int64_t y, int64_t x)
{
    int64_t i = (c * img->type.dim[1] + y) * img->type.dim[2] + x;
    return img->type.dtype == MU_U8 ? ((const uint8_t *)img->data)[i] : (double)((const float *)img->data)[i];
}

static inline void check_size(int64_t channels, int64_t h, int64_t w)
{
    const mu_tensor *img = image();
    ck_assert_int_eq(img->type.dim[0], channels);
    ck_assert_int_eq(img->type.dim[1], h);
    ck_assert_int_eq(img->type.dim[2], w);
}

#define COUNT(table) ((int)(sizeof(table) / sizeof(table)[0]))

#endif
