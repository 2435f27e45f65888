/* Data preprocessors against plain loops. */
#include "graph/plan.h"
#include "nn/preprocessor.h"
#include "nn/trace_impl.h"
#include "test.h"
#include "toy.h"

enum { N = 3, C = 3, H = 13, W = 17 };

static uint8_t bytes[N * C * H * W];
static float floats[N * C * H * W];
static int64_t labels[N];
static mu_batch batch;

static void setup(void)
{
    for (int i = 0; i < N * C * H * W; i++) {
        bytes[i] = (uint8_t)(i * 37 + i / 11);
        floats[i] = (float)bytes[i] / 8 - 3;
    }
    batch = (mu_batch){.size = N, .stride = 1};
}

static void give(const char *name, mu_type type, void *data)
{
    ck_ok(mu_tensors_put(&batch.fields, name, type, data));
}

/* What the network reads of every field of the batch, on this device; released by the caller. */
static mu_err record(const char *yaml, mu_graph **graph)
{
    toy t = {0};
    mu_trace trace;
    mu_modules *modules;
    mu_trace_names names = {0};
    if (yaml)
        ck_ok(toy_build("data_preprocessor", yaml, &t));
    ck_ok(mu_modules_new(&modules));
    ck_ok(mu_trace_begin(&trace, MU_MODE_TENSOR, false, &batch.fields, modules, "Test", NULL));
    trace.preprocessor = t.object;
    for (int i = 0; i < batch.fields.n; i++) {
        mu_value value = mu_trace_input(&trace, batch.fields.item[i].name);
        ck_assert_int_eq(mu_trace_input(&trace, batch.fields.item[i].name).id, value.id); /* recorded once */
        mu_trace_output(&trace, batch.fields.item[i].name, value);
    }
    mu_err err = mu_trace_end(&trace, false, graph, &names);
    mu_trace_names_release(&names);
    mu_modules_release(modules);
    toy_release(&t);
    return err;
}

static mu_tensors run(const char *yaml, const char *device)
{
    mu_graph *graph;
    mu_backend *backend;
    mu_params *params;
    mu_plan *plan;
    mu_tensors out = {0};
    ck_ok(record(yaml, &graph));
    ck_ok(mu_backend_open(device, &(mu_backend_options){.n_threads = 2}, &backend));
    ck_ok(mu_params_new(backend, &params));
    ck_ok(mu_plan_new(graph, backend, params, NULL, &plan));
    for (int i = 0; i < batch.fields.n; i++) {
        const mu_tensor *field = &batch.fields.item[i];
        memcpy(mu_plan_input(plan, field->name, NULL), field->data, mu_type_bytes(&field->type));
    }
    ck_ok(mu_plan_run(plan, NULL));
    for (int i = 0; i < batch.fields.n; i++) {
        const char *name = batch.fields.item[i].name;
        mu_type type = mu_plan_output_type(plan, name);
        ck_ok(mu_tensors_put(&out, name, type, malloc(mu_type_bytes(&type))));
        ck_ok(mu_plan_read(plan, name, out.item[i].data, mu_type_bytes(&type)));
    }
    mu_plan_release(plan);
    mu_params_release(params);
    mu_backend_close(backend);
    mu_graph_release(graph);
    return out;
}

static void release(mu_tensors *out)
{
    for (int i = 0; i < out->n; i++)
        free(out->item[i].data);
}

static const char *const devices[] = {"cpu:ref", "cpu"};

typedef struct {
    const char *yaml;
    float mean[C], std[C], pad;
    int64_t height, width;
    bool swap;
} image_case;

static const image_case cases[] = {
    {"{type: ImgDataPreprocessor}", {0, 0, 0}, {1, 1, 1}, 0, H, W, false},
    {"{type: ImgDataPreprocessor, mean: [123.675, 116.28, 103.53], std: [58.395, 57.12, 57.375], bgr_to_rgb: true}",
     {123.675f, 116.28f, 103.53f}, {58.395f, 57.12f, 57.375f}, 0, H, W, true},
    {"{type: ImgDataPreprocessor, mean: [8.0], std: 3, pad_size_divisor: 4, pad_value: -1.5}",
     {8, 8, 8}, {3, 3, 3}, -1.5f, 16, 20, false},
    {"{type: ImgDataPreprocessor, mean: [1, 2, 3], std: [4], rgb_to_bgr: true, pad_size_divisor: 7}",
     {1, 2, 3}, {4, 4, 4}, 0, 14, 21, true},
};

static void check_image(const image_case *c, const mu_tensor *out, bool from_bytes, int channels)
{
    mu_type want = MU_TYPE(MU_F32, N, channels, c->height, c->width);
    ck_assert(mu_type_equal(&out->type, &want));
    const float *y = out->data;
    for (int n = 0; n < N; n++)
        for (int k = 0; k < channels; k++)
            for (int h = 0; h < c->height; h++)
                for (int w = 0; w < c->width; w++, y++) {
                    int at = ((n * channels + (c->swap ? 2 - k : k)) * H + h) * W + w;
                    float x = h < H && w < W ? ((from_bytes ? (float)bytes[at] : floats[at]) - c->mean[k]) / c->std[k] : c->pad;
                    ck_assert_msg(*y == x, "%d %d %d %d: %.9g, not %.9g", n, k, h, w, *y, x);
                }
}

START_TEST(test_images)
{
    const image_case *c = &cases[_i];
    for (int i = 0; i < 4; i++) {
        int from_bytes = i % 2;
        batch.fields.n = 0;
        give("img", MU_TYPE(from_bytes ? MU_U8 : MU_F32, N, C, H, W), from_bytes ? (void *)bytes : (void *)floats);
        mu_tensors out = run(c->yaml, devices[i / 2]);
        check_image(c, &out.item[0], from_bytes, C);
        release(&out);
    }
}
END_TEST

START_TEST(test_images_without_a_channel_dimension)
{
    give("img", MU_TYPE(MU_U8, N, H, W), bytes);
    mu_tensors out = run(cases[2].yaml, "cpu");
    check_image(&cases[2], &out.item[0], true, 1);
    release(&out);
}
END_TEST

/* No preprocessor at all is the base one. */
START_TEST(test_other_fields_are_handed_on)
{
    static const char *const yaml[] = {"{type: ImgDataPreprocessor}", "{type: BaseDataPreprocessor}", NULL};
    give("gt_label", MU_TYPE(MU_I64, N), labels);
    give("img", MU_TYPE(MU_U8, N, C, H, W), bytes);
    labels[1] = 77;
    mu_tensors out = run(yaml[_i], "cpu");
    ck_assert_int_eq(out.n, 2);
    ck_assert_mem_eq(mu_tensors_find(&out, "gt_label")->data, labels, sizeof labels);
    const mu_tensor *img = mu_tensors_find(&out, "img");
    ck_assert_int_eq(img->type.dtype, _i ? MU_U8 : MU_F32);
    if (_i)
        ck_assert_mem_eq(img->data, bytes, sizeof bytes);
    release(&out);
}
END_TEST

static const struct {
    const char *yaml, *message;
} wrong_options[] = {
    {"{type: ImgDataPreprocessor, mean: [1, 2, 3]}", "mean and std are given together"},
    {"{type: ImgDataPreprocessor, mean: [1, 2, 3], std: [1, 2]}", "mean has 3 channels, std 2"},
    {"{type: ImgDataPreprocessor, bgr_to_rgb: true, rgb_to_bgr: true}", "undo each other"},
    {"{type: ImgDataPreprocessor, mean: 0, std: 0}", "std"},
    {"{type: ImgDataPreprocessor, pad_size_divisor: 0}", "pad_size_divisor"},
};

START_TEST(test_wrong_options)
{
    toy t;
    ck_fails(toy_build("data_preprocessor", wrong_options[_i].yaml, &t), MU_ERR_CONFIG, wrong_options[_i].message);
}
END_TEST

static mu_err record_alone(const char *yaml)
{
    mu_graph *graph;
    return record(yaml, &graph);
}

START_TEST(test_wrong_batches)
{
    give("img", MU_TYPE(MU_I64, N, C, H, W), bytes);
    ck_fails(record_alone("{type: ImgDataPreprocessor}"), MU_ERR_SHAPE, "'img' is i64[3,3,13,17]");
    give("img", MU_TYPE(MU_U8, N, C), bytes);
    ck_fails(record_alone("{type: ImgDataPreprocessor}"), MU_ERR_SHAPE, "u8 or f32 [N,C,H,W] or [N,H,W]");
    give("img", MU_TYPE(MU_U8, N, 2, H, W), bytes);
    ck_fails(record_alone("{type: ImgDataPreprocessor, mean: [1, 2, 3], std: 1}"), MU_ERR_CONFIG, "mean is for 3 channels, 'img' has 2");
    ck_fails(record_alone("{type: ImgDataPreprocessor, mean: 1, std: [1, 2, 3]}"), MU_ERR_CONFIG, "std is for 3 channels, 'img' has 2");
    ck_fails(record_alone("{type: ImgDataPreprocessor, rgb_to_bgr: true}"), MU_ERR_CONFIG, "rgb_to_bgr wants 3 channels");
    ck_fails(record_alone("{type: ImgDataPreprocessor, pad_size_divisor: 4611686018427387904}"), MU_ERR_OVERFLOW, "");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("preprocessor");
    TCase *tc = tcase_create("preprocessor");
    tcase_add_checked_fixture(tc, setup, mu_registry_reset);
    tcase_add_loop_test(tc, test_images, 0, sizeof cases / sizeof *cases);
    tcase_add_test(tc, test_images_without_a_channel_dimension);
    tcase_add_loop_test(tc, test_other_fields_are_handed_on, 0, 3);
    tcase_add_loop_test(tc, test_wrong_options, 0, sizeof wrong_options / sizeof *wrong_options);
    tcase_add_test(tc, test_wrong_batches);
    suite_add_tcase(suite, tc);
    return test_run(suite);
}
