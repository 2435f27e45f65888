/* Transforms one after the other, and what is wrong in their config or their data. */
#include "transformed.h"

#define EVERYTHING                                                                                                     \
    "[{type: ResizeEdge, scale: 24}, {type: ColorJitter, brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1},"  \
    "{type: RandomResizedCrop, scale: 16}, {type: Compose, transforms: [{type: RandomFlip, prob: 0.5}, "               \
    "{type: RandomCrop, crop_size: 16, padding: 2}]}, {type: Pad, size: 20}, {type: CenterCrop, crop_size: 18}, "      \
    "{type: Resize, scale: [9, 11], interpolation: area}, {type: Normalize, mean: 100, std: 50}]"

static uint64_t digest_of(int64_t index, uint64_t seed, int64_t pass, int64_t h)
{
    uint64_t hash = 0xcbf29ce484222325u;
    mu_sample_begin(&sample, index, seed, pass);
    put_u8(3, h, 31);
    ck_ok(mu_pipeline_apply(pipeline, &sample));
    check_size(3, 11, 9);
    const uint8_t *bytes = image()->data;
    for (size_t i = 0; i < mu_type_bytes(&image()->type); i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3u;
    return hash;
}

START_TEST(results_depend_on_seed_pass_and_index_alone)
{
    use(EVERYTHING);
    ck_assert_int_eq(mu_pipeline_length(pipeline), 8);
    uint64_t first = digest_of(3, 4, 5, 40);
    ck_assert(digest_of(2, 4, 5, 40) != first);
    ck_assert(digest_of(3, 5, 5, 40) != first);
    ck_assert(digest_of(3, 4, 6, 40) != first);
    ck_assert(digest_of(3, 4, 5, 41) != first);
    ck_assert(digest_of(3, 4, 5, 40) == first);
    finish();
}
END_TEST

START_TEST(steady_state_allocates_nothing)
{
    int64_t total = 0;
    use(EVERYTHING);
    for (int i = 0; i < 60; i++) {
        if (i == 30)
            total = mu_mem_get_counts().total_blocks;
        (void)digest_of(i % 30, 0, 0, 30 + i % 30);
    }
    ck_assert_int_eq(mu_mem_get_counts().total_blocks, total);
    finish();
}
END_TEST

START_TEST(no_pipeline_changes_nothing)
{
    ck_ok(mu_pipeline_new(NULL, "pipeline", &pipeline));
    ck_assert_int_eq(mu_pipeline_length(pipeline), 0);
    begin(0);
    ck_ok(mu_pipeline_apply(pipeline, &sample));
    ck_assert_int_eq(sample.fields.n, 0);
    mu_pipeline_release(pipeline);
    mu_pipeline_release(NULL);
    mu_sample_release(&sample);
    mu_registry_reset();
}
END_TEST

static const struct {
    const char *list, *message;
} config_mistakes[] = {
    {"[{type: RandomFlop}]", "pipeline.0.type"},
    {"[{type: RandomFlip, prob: 0.5}, {type: RandomCrop}]", "pipeline.1.crop_size"},
    {"[{type: Compose, transforms: [{type: Resize, scale: 0}]}]", "pipeline.0.transforms.0.scale"},
    {"[{type: RandomFlip, prob: [0.5, 0.6], direction: [horizontal, vertical]}]", "add up to 1.1"},
    {"[{type: RandomFlip, prob: [0.5, 0.2]}]", "2 numbers for 1 direction"},
    {"[{type: RandomFlip, prob: 1.5}]", "pipeline.0.prob"},
    {"[{type: RandomFlip, prob: 1, direction: sideways}]", "pipeline.0.direction"},
    {"[{type: Pad}]", "pipeline.0 \"Pad\" (<string>:1:12): nothing says what to pad to"},
    {"[{type: Pad, size: 3, size_divisor: 4}]", "size is set together with size_divisor"},
    {"[{type: RandomCrop, crop_size: 3, padding: [1, 2, 3]}]", "padding has 3 numbers"},
    {"[{type: RandomCrop, crop_size: [1, 2, 3]}]", "pipeline.0.crop_size"},
    {"[{type: RandomCrop, crop_size: 8, padding_mode: mirror}]", "one of constant, edge, reflect, symmetric"},
    {"[{type: RandomResizedCrop, scale: 8, crop_ratio_range: [0.9, 0.5]}]", "the smaller number first"},
    {"[{type: RandomResizedCrop, scale: 8, aspect_ratio_range: [1, .inf]}]", "aspect_ratio_range"},
    {"[{type: Normalize, mean: [1, 2], std: [1]}]", "mean has 2 numbers, std has 1"},
    {"[{type: Normalize, mean: 1, std: 0}]", "pipeline.0.std"},
    {"[{type: Normalize, mean: 1, std: .inf}]", "std 0 is inf"},
    {"[{type: Normalize, mean: 1, std: .nan}]", "std"},
    {"[{type: Normalize, mean: .nan, std: 1}]", "mean 0 is nan"},
    {"[{type: Normalize, mean: 1, std: 1e-300}]", "std 0 is 1e-300"},
    {"[{type: Normalize, mean: [1, 2], std: [1, 2], to_rgb: true}]", "images of 3 channels"},
    {"[{type: ColorJitter, hue: 0.6}]", "hue gives the range"},
    {"[{type: ColorJitter, brightness: -1}]", "brightness gives the range"},
    {"[{type: ColorJitter, contrast: [1.2, 0.8]}]", "contrast gives the range"},
    {"[{type: ColorJitter, saturation: .nan}]", "saturation gives the range"},
};

START_TEST(mistakes_in_the_config)
{
    char text[512];
    snprintf(text, sizeof text, "pipeline: %s", config_mistakes[_i].list);
    ck_fails(make_pipeline(text), MU_ERR_CONFIG, config_mistakes[_i].message);
    mu_registry_reset();
}
END_TEST

typedef enum { U8, F32, FLAT, BYTES, MISSING, EMPTY } input;

static const struct {
    const char *list;
    input input;
    const char *message;
} mistakes[] = {
    {"[{type: RandomFlip, prob: 0}, {type: RandomCrop, crop_size: 11}]", U8,
     "pipeline.1 RandomCrop: a crop of 11 x 11 (height x width) does not fit in an image of 10 x 20"},
    {"[{type: RandomCrop, crop_size: 11}]", U8, "set pad_if_needed: true"},
    {"{type: CenterCrop, crop_size: [21, 3]}", U8, "pipeline CenterCrop: a crop of 3 x 21"},
    {"[{type: Compose, transforms: [{type: CenterCrop, crop_size: 11}]}]", U8,
     "pipeline.0 Compose: transforms.0 CenterCrop: a crop of 11 x 11"},
    {"[{type: Pad, size: 12}]", U8, "larger than the size to pad to, 12 x 12"},
    {"[{type: Pad, size: 32, pad_val: [1, 2]}]", U8, "pad_val has 2 values, but the image has 3 channels"},
    {"[{type: Pad, size: 32, pad_val: 256}]", U8, "pad_val 256 does not fit in the image's u8 pixels"},
    {"[{type: Pad, size: 2147483647}]", U8, "pipeline.0 Pad: 6442450941 * 2147483647 does not fit in 64 bits"},
    {"[{type: Normalize, mean: [1, 2], std: [1, 2]}]", U8, "mean has 2 numbers, but the image has 3 channels"},
    {"[{type: ColorJitter, hue: 0.1}]", F32, "put it before Normalize"},
    {"[{type: RandomFlip, prob: 0}]", FLAT, "pipeline.0 RandomFlip: 'img' is u8[28,28], expected an image"},
    {"[{type: Resize, scale: 3}]", BYTES, "put DecodeImage before"},
    {"[{type: Normalize, mean: 0, std: 1}]", MISSING, "pipeline.0 Normalize: the sample has no field 'img'"},
    {"[{type: ResizeEdge, scale: 3}]", EMPTY, "'img' is u8[3,0,5]"},
};

static void put_input(input kind)
{
    static const mu_type wrong[] = {
        [FLAT] = {MU_U8, 2, {28, 28}}, [BYTES] = {MU_U8, 1, {99}}, [EMPTY] = {MU_U8, 3, {3, 0, 5}}};
    void *data;
    if (kind == U8)
        put_u8(3, 10, 20);
    else if (kind == F32)
        put_f32(3, 10, 20);
    else if (kind != MISSING)
        ck_ok(mu_sample_put(&sample, "img", wrong[kind], &data));
}

START_TEST(mistakes_in_the_data)
{
    use("%s", mistakes[_i].list);
    begin(0);
    put_input(mistakes[_i].input);
    mu_err want = strstr(mistakes[_i].message, "64 bits") ? MU_ERR_OVERFLOW : MU_ERR_CONFIG;
    ck_fails(mu_pipeline_apply(pipeline, &sample), want, mistakes[_i].message);
    finish();
}
END_TEST

static mu_err make_and_apply(void)
{
    void *data;
    MU_TRY(make_pipeline("pipeline: " EVERYTHING));
    mu_sample_begin(&sample, 0, 0, 0);
    mu_err err = mu_sample_put(&sample, "img", MU_TYPE(MU_U8, 3, 40, 40), &data);
    if (!err) {
        memset(data, 1, 4800);
        err = mu_pipeline_apply(pipeline, &sample);
    }
    if (err) {
        drop_pipeline();
        mu_sample_release(&sample);
    }
    return err;
}

START_TEST(out_of_memory)
{
    mu_registry *root;
    ck_ok(mu_registry_root(&root));
    ck_survives_oom(make_and_apply(), (drop_pipeline(), mu_sample_release(&sample)));
    mu_registry_reset();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pipeline");
    TCase *t = tcase_create("pipeline");
    tcase_add_test(t, results_depend_on_seed_pass_and_index_alone);
    tcase_add_test(t, steady_state_allocates_nothing);
    tcase_add_test(t, no_pipeline_changes_nothing);
    tcase_add_loop_test(t, mistakes_in_the_config, 0, COUNT(config_mistakes));
    tcase_add_loop_test(t, mistakes_in_the_data, 0, COUNT(mistakes));
    tcase_add_test(t, out_of_memory);
    suite_add_tcase(suite, t);
    return test_run(suite);
}
