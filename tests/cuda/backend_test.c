/* The instance of the CUDA backend on the emulated device: what it says when something is wrong, memory and copies, reorders, and what runs on
 * the host instead. */
#include "backend/fallback.h"
#include "backend/device.h"
#include "backend/host.h"
#include "graph/plan.h"
#include "ops/ops.h"
#include "test.h"

#include <string.h>

static mu_backend *opened(void)
{
    mu_backend *b;
    ck_ok(mu_backend_open("cuda", &(mu_backend_options){.cache_dir = ""}, &b));
    return b;
}

/* ---- errors ---- */

static const char *why_off(void)
{
    mu_backend_info info;
    for (int i = 0; mu_backend_at(i, &info); i++)
        if (strcmp(info.name, "cuda") == 0)
            return info.why_off;
    ck_abort_msg("cuda is not in the list");
    return NULL;
}

START_TEST(devices_are_told)
{
    mu_device device[2];
    int n;
    setenv("MUSTER_EMULATE_DEVICES", "2", 1);
    ck_ok(mu_backend_cuda.devices(device, 2, &n));
    ck_assert_int_eq(n, 2);
    for (int i = 0; i < n; i++) {
        ck_assert_uint_gt(device[i].total, 0);
        size_t available;
        ck_ok(mu_backend_cuda.free_memory(i, &available));
        ck_assert_uint_le(available, device[i].total);
        ck_assert_int_eq(strncmp(device[i].uuid, "GPU-", 4), 0);
        ck_assert_uint_eq(strlen(device[i].uuid), 40);
        ck_assert_str_eq(device[i].version, "9.0");
    }
    ck_assert_str_ne(device[0].bus, device[1].bus);
    ck_assert_ptr_null(why_off());
}
END_TEST

START_TEST(no_device)
{
    mu_backend *b;
    setenv("MUSTER_EMULATE_DEVICES", "0", 1);
    setenv("CUDA_VISIBLE_DEVICES", "7", 1);
    ck_fails(mu_backend_open("cuda", NULL, &b), MU_ERR_UNSUPPORTED, "no CUDA device: no CUDA-capable device is detected");
    ck_fails(mu_backend_open("cuda:0", NULL, &b), MU_ERR_UNSUPPORTED, "CUDA_VISIBLE_DEVICES is \"7\"");
    ck_assert_ptr_nonnull(strstr(why_off(), "no CUDA device"));
    ck_assert_int_eq(mu_mem_get_counts().live_blocks, 0);
}
END_TEST

START_TEST(old_driver)
{
    mu_backend *b;
    setenv("MUSTER_EMULATE_ERROR", "driver", 1);
    ck_fails(mu_backend_open("cuda", NULL, &b), MU_ERR_UNSUPPORTED, "driver version is insufficient");
    ck_fails(mu_backend_open("cuda", NULL, &b), MU_ERR_UNSUPPORTED, "the driver is for CUDA 11.8, this build needs one for 13.0");
}
END_TEST

START_TEST(device_names)
{
    mu_backend *b;
    setenv("MUSTER_EMULATE_DEVICES", "2", 1);
    ck_ok(mu_backend_open("cuda:1", NULL, &b));
    mu_backend_close(b);
    ck_ok(mu_backend_open("cuda", &(mu_backend_options){.device = 1}, &b));
    mu_backend_close(b);
    ck_fails(mu_backend_open("cuda:2", NULL, &b), MU_ERR_UNSUPPORTED, "there is no device cuda:2: this process sees 2");
    ck_fails(mu_backend_open("cuda:", NULL, &b), MU_ERR_NOT_FOUND, "there is no device \"cuda:\"");
    ck_fails(mu_backend_open("cuda:-1", NULL, &b), MU_ERR_NOT_FOUND, "");
    ck_fails(mu_backend_open("cuda:1x", NULL, &b), MU_ERR_NOT_FOUND, "");
    ck_fails(mu_backend_open("cpu:cuda", NULL, &b), MU_ERR_NOT_FOUND, "");
    ck_fails(mu_backend_open("check:cuda", NULL, &b), MU_ERR_UNSUPPORTED, "it cannot be checked");
    ck_assert_int_eq(mu_mem_get_counts().live_blocks, 0);
}
END_TEST

START_TEST(what_there_is)
{
    void *block;
    mu_backend *b = opened(), *cpu;
    mu_backend_choice choice;
    ck_assert(mu_is_cuda_available());
    ck_assert_str_eq(mu_get_device(), "cuda");
    int64_t before = mu_get_max_cuda_memory(b);
    ck_ok(b->ops->alloc(b, 8 << 20, &block));
    b->ops->dealloc(b, block);
    ck_assert_int_eq(mu_get_max_cuda_memory(b), before + 8);
    mu_backend_close(b);
    ck_ok(mu_backend_open("cpu:ref", NULL, &cpu));
    ck_assert_int_eq(mu_get_max_cuda_memory(cpu), 0);
    mu_backend_close(cpu);
    unsetenv("MUSTER_DEVICE");
    unsetenv("MUSTER_EMULATE_DEVICES");
    ck_ok(mu_backend_find("auto", NULL, &choice));
    ck_assert_str_ne(choice.ops->name, "cuda"); /* an emulated one that nobody asked for */
    setenv("MUSTER_EMULATE_DEVICES", "2", 1);
    ck_ok(mu_backend_find("auto", NULL, &choice));
    ck_assert_str_eq(choice.ops->name, "cuda");
    ck_assert(!choice.numbered);
    ck_ok(mu_backend_find("cuda:1", NULL, &choice));
    ck_assert_int_eq(choice.device, 1);
    ck_assert(choice.numbered);
    ck_fails(mu_backend_find("cuda:2", NULL, &choice), MU_ERR_UNSUPPORTED, "this process sees 2");
    setenv("MUSTER_DEVICE", "cpu:ref", 1);
    ck_ok(mu_backend_find("auto", NULL, &choice));
    ck_assert_str_eq(choice.ops->name, "ref");
    setenv("MUSTER_DEVICE", "nothing", 1);
    ck_fails(mu_backend_find("auto", NULL, &choice), MU_ERR_NOT_FOUND, "there is no device \"nothing\"");
    unsetenv("MUSTER_DEVICE");
    setenv("CUDA_VISIBLE_DEVICES", "", 1);
    ck_assert_str_eq(mu_get_device(), "cpu");
    ck_ok(mu_backend_find("auto", NULL, &choice));
    ck_assert_str_ne(choice.ops->name, "cuda");
    ck_assert_int_eq(mu_mem_get_counts().live_blocks, 0);
}
END_TEST

START_TEST(out_of_memory)
{
    void *first, *second;
    setenv("MUSTER_EMULATE_MEMORY", "16777216", 1);
    mu_backend *b = opened();
    ck_ok(b->ops->alloc(b, 8 << 20, &first));
    ck_fails(b->ops->alloc(b, 32 << 20, &second), MU_ERR_MEMORY, "32.0 MiB of device 0's memory wanted");
    ck_assert_ptr_null(second);
    ck_fails(b->ops->alloc(b, 32 << 20, &second), MU_ERR_MEMORY, "of its 16.0 MiB are free, 8.0 are taken by this rank");
    ck_fails(b->ops->alloc(b, 32 << 20, &second), MU_ERR_MEMORY, "smaller batch");
    b->ops->dealloc(b, first);
    ck_ok(b->ops->synchronize(b));
    ck_ok(b->ops->alloc(b, 8 << 20, &second)); /* it goes on */
    b->ops->dealloc(b, second);
    mu_backend_close(b);
    ck_assert_int_eq(mu_mem_get_counts().live_blocks, 0);
}
END_TEST

/* The error names what takes the memory: arenas of 3 MiB that are too many, and activations of 6 MiB. */
START_TEST(out_of_memory_by_name)
{
    static const char *const names[] = {"exp_avg", "exp_avg_sq", "average", "max_exp_avg_sq"};
    mu_graph *g;
    mu_params *params;
    mu_plan *plan;
    void *arena[4];
    setenv("MUSTER_EMULATE_MEMORY", "16777216", 1);
    mu_backend *b = opened();
    ck_ok(mu_graph_new(&g));
    mu_value x = mu_graph_input(g, "img", MU_TYPE(MU_F32, 2048, 512));
    mu_graph_push(g, "layer1");
    x = mu_linear(g, x, mu_graph_param(g, "w", MU_TYPE(MU_F32, 1536, 512)), MU_NO_VALUE);
    mu_graph_pop(g);
    mu_graph_push(g, "layer2");
    x = mu_softmax(g, x, 1);
    mu_graph_pop(g);
    mu_graph_output(g, "y", mu_sum(g, x, 0, false));
    ck_ok(mu_graph_status(g));
    ck_ok(mu_params_new(b, &params));
    ck_ok(mu_params_declare(params, "w", MU_TYPE(MU_F32, 1536, 512), true));
    ck_ok(mu_params_freeze(params, true));
    for (int i = 0; i < 3; i++)
        ck_ok(mu_params_arena_new(params, names[i], &arena[i]));
    ck_fails(mu_params_arena_new(params, names[3], &arena[3]), MU_ERR_MEMORY,
             "3.0 MiB for max_exp_avg_sq (largest: parameters 3.0 MiB, gradients 3.0 MiB, exp_avg 3.0 MiB, exp_avg_sq 3.0 MiB, average 3.0 MiB): "
             "3.0 MiB of device 0's memory wanted, 1.0 of its 16.0 MiB are free");
    ck_assert_ptr_nonnull(strstr(test_error_text(), "MMFullyShardedDataParallel"));
    for (int i = 0; i < 3; i++)
        mu_params_arena_release(params, arena[i]);
    ck_fails(mu_plan_new(g, b, params, NULL, &plan), MU_ERR_MEMORY,
             "12.0 MiB for activations (largest: layer1 f32[2048,1536] 12.0 MiB, inputs 4.0 MiB, parameters 3.0 MiB, gradients 3.0 MiB");
    ck_assert_ptr_nonnull(strstr(test_error_text(), "smaller batch"));
    ck_assert_ptr_nonnull(strstr(test_error_text(), "(cudaErrorMemoryAllocation)"));
    ck_ok(mu_plan_new(g, b, params, &(mu_plan_options){.dry = true}, &plan)); /* it goes on */
    mu_plan_release(plan);
    mu_params_release(params);
    mu_graph_release(g);
    ck_assert_ptr_null(b->holders);
    mu_backend_close(b);
    ck_assert_int_eq(mu_mem_get_counts().live_blocks, 0);
}
END_TEST

START_TEST(lost_device)
{
    char host[64] = {0};
    void *block;
    mu_backend *b = opened();
    ck_ok(b->ops->alloc(b, sizeof host, &block));
    setenv("MUSTER_EMULATE_ERROR", "lost", 1);
    mu_err err = b->ops->upload(b, block, host, sizeof host);
    ck_fails(err ? err : b->ops->synchronize(b), MU_ERR_BACKEND, "the device is lost to this process");
    b->ops->dealloc(b, block);
    mu_backend_close(b);
}
END_TEST

START_TEST(opening_without_memory)
{
    mu_backend *b;
    ck_survives_oom(mu_backend_open("cuda", NULL, &b), mu_backend_close(b));
}
END_TEST

/* ---- copies ---- */

/* What is copied may be changed at once; more uploads than there are slots, smaller and larger than one. */
START_TEST(uploads_leave_the_host_alone)
{
    static const size_t sizes[] = {1, 100, 4096, 1 << 20, (1 << 20) + 1, 3 << 20};
    enum { TIMES = 20 };
    mu_backend *b = opened();
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        size_t bytes = sizes[s];
        unsigned char *host = malloc(bytes), *back = malloc(bytes);
        void *device[TIMES];
        for (int i = 0; i < TIMES; i++) {
            ck_ok(b->ops->alloc(b, bytes, &device[i]));
            memset(host, i + 1, bytes);
            ck_ok(b->ops->upload(b, device[i], host, bytes));
        }
        memset(host, 0xEE, bytes);
        for (int i = 0; i < TIMES; i++) {
            ck_ok(b->ops->download(b, back, device[i], bytes));
            ck_assert_int_eq(back[0], i + 1);
            ck_assert_int_eq(memcmp(back, back + 1, bytes - 1), 0);
            b->ops->dealloc(b, device[i]);
        }
        free(host);
        free(back);
    }
    ck_ok(b->ops->upload(b, NULL, NULL, 0));
    ck_ok(b->ops->download(b, NULL, NULL, 0));
    mu_backend_close(b);
}
END_TEST

START_TEST(pinned_memory)
{
    void *host;
    mu_backend *b = opened();
    ck_ok(b->ops->alloc_host(b, 1000, &host));
    memset(host, 1, 1000);
    b->ops->dealloc_host(b, host);
    b->ops->dealloc_host(b, NULL);
    mu_backend_close(b);
}
END_TEST

/* ---- reorders ---- */

/* Place of element [n][c][s] in channels last. */
static int64_t last_place(const mu_type *t, int64_t i)
{
    int64_t c = t->dim[1], space = mu_type_count(t) / (t->dim[0] * c);
    return i / (c * space) * c * space + i % space * c + i / space % c;
}

static void check_reorder(mu_backend *b, mu_type t)
{
    int64_t n = mu_type_count(&t);
    size_t size = mu_dtype_size(t.dtype), bytes = mu_type_bytes(&t);
    unsigned char *rows = malloc(bytes), *back = malloc(bytes);
    const mu_layout *last;
    void *at[3];
    for (size_t i = 0; i < bytes; i++)
        rows[i] = (unsigned char)(i * 2654435761u >> 13);
    ck_ok(b->ops->layout(b, &t, MU_LAYOUT_CHANNELS_LAST, 0, &last));
    for (int i = 0; i < 3; i++)
        ck_ok(b->ops->alloc(b, bytes, &at[i]));
    ck_ok(b->ops->upload(b, at[0], rows, bytes));
    for (int i = 0; i < 2; i++) {
        mu_kernel *kernel;
        ck_ok(b->ops->reorder(b, &t, i ? last : NULL, i ? NULL : last, &kernel));
        ck_ok(mu_kernel_bind(kernel, &at[i], &at[i + 1], NULL));
        ck_ok(mu_kernel_run(kernel, &(mu_run){0}));
        mu_kernel_release(kernel);
    }
    ck_ok(b->ops->download(b, back, at[1], bytes));
    for (int64_t i = 0; i < n; i++)
        ck_assert_int_eq(memcmp(back + (size_t)last_place(&t, i) * size, rows + (size_t)i * size, size), 0);
    ck_ok(b->ops->download(b, back, at[2], bytes));
    ck_assert_int_eq(memcmp(back, rows, bytes), 0);
    for (int i = 0; i < 3; i++)
        b->ops->dealloc(b, at[i]);
    free(rows);
    free(back);
}

START_TEST(reorders)
{
    static const mu_dtype dtypes[] = {MU_U8, MU_F16, MU_F32, MU_F64};
    mu_backend *b = opened();
    for (size_t d = 0; d < sizeof dtypes / sizeof *dtypes; d++) {
        mu_dtype dtype = dtypes[d];
        check_reorder(b, MU_TYPE(dtype, 2, 3, 5, 7));    /* few channels */
        check_reorder(b, MU_TYPE(dtype, 2, 40, 33, 2));  /* tiles that are not full, on both sides */
        check_reorder(b, MU_TYPE(dtype, 3, 64, 8, 8));   /* full ones */
        check_reorder(b, MU_TYPE(dtype, 2, 70, 1, 1));   /* nothing moves */
        check_reorder(b, MU_TYPE(dtype, 2, 1, 6, 6));
        check_reorder(b, MU_TYPE(dtype, 2, 9, 11));
        check_reorder(b, MU_TYPE(dtype, 2, 33, 3, 4, 5));
        check_reorder(b, MU_TYPE(dtype, 0, 4, 4, 4));
    }
    mu_backend_close(b);
}
END_TEST

/* ---- on the host instead ---- */

/* An operation that no backend knows. */
START_TEST(no_kernel)
{
    mu_op mine = mu_op_add;
    mu_type t[3];
    mu_call call = {.op = &mine, .n_in = 2, .n_out = 1, .in = t, .out = t + 2, .name = "sum"};
    const char *why = NULL;
    mu_kernel *kernel;
    mu_backend *b = opened();
    t[0] = t[1] = t[2] = MU_TYPE(MU_F32, 4);
    ck_assert(!b->ops->supports(b, &call, &why));
    ck_assert_str_eq(why, "there is no kernel for it on CUDA devices");
    ck_fails(b->ops->prepare(b, &call, NULL, NULL, &kernel), MU_ERR_UNSUPPORTED, "add \"sum\": ");
    mu_backend_close(b);
    ck_assert_int_eq(mu_mem_get_counts().live_blocks, 0);
}
END_TEST

/* x + y of four elements. */
static void run_add(mu_backend *b, mu_kernel *kernel, mu_dtype dtype, const double want[4])
{
    double x[4] = {1, 2, 3, 4}, y[4] = {0.5, 0.25, -3, 1000}, got[4];
    uint64_t raw[4];
    void *at[3];
    size_t bytes = 4 * mu_dtype_size(dtype);
    for (int i = 0; i < 3; i++) {
        ck_ok(b->ops->alloc(b, bytes, &at[i]));
        mu_convert(raw, dtype, i ? y : x, MU_F64, 4);
        ck_ok(b->ops->upload(b, at[i], raw, bytes));
    }
    ck_ok(mu_kernel_bind(kernel, at, &at[2], NULL));
    ck_ok(mu_kernel_run(kernel, &(mu_run){0}));
    ck_ok(b->ops->download(b, raw, at[2], bytes));
    mu_convert(got, MU_F64, raw, dtype, 4);
    for (int i = 0; i < 4; i++)
        ck_assert_double_eq(got[i], want[i]);
    for (int i = 0; i < 3; i++)
        b->ops->dealloc(b, at[i]);
}

START_TEST(fallback)
{
    static const double sums[] = {1.5, 2.25, 0, 1004};
    mu_type t[3];
    mu_call call = {.op = &mu_op_add, .n_in = 2, .n_out = 1, .in = t, .out = t + 2, .name = "sum"};
    const char *why = NULL;
    mu_kernel *kernel;
    mu_backend *b = opened();
    t[0] = t[1] = t[2] = MU_TYPE(MU_F64, 4);
    setenv("MU_FALLBACK", "error", 1);
    ck_assert(!mu_fallback_supports(b, &call, &why));
    ck_assert_ptr_nonnull(why);
    ck_fails(mu_fallback_prepare(b, &call, "a test", &kernel), MU_ERR_UNSUPPORTED, "add \"sum\": a test; MU_FALLBACK=error");
    setenv("MU_FALLBACK", "sometimes", 1);
    ck_assert(!mu_fallback_supports(b, &call, &why));
    ck_fails(mu_fallback_prepare(b, &call, "a test", &kernel), MU_ERR_UNSUPPORTED, "must be error, warn or allow");
    setenv("MU_FALLBACK", "allow", 1);
    ck_assert(mu_fallback_supports(b, &call, &why));
    mu_fallback_counts before = mu_fallback_get_counts();
    ck_ok(mu_fallback_prepare(b, &call, "a test", &kernel));
    ck_assert(kernel->waits);
    run_add(b, kernel, MU_F64, sums);
    run_add(b, kernel, MU_F64, sums);
    mu_kernel_release(kernel);
    mu_fallback_counts after = mu_fallback_get_counts();
    ck_assert_int_eq(after.kernels - before.kernels, 1);
    ck_assert_int_eq(after.runs - before.runs, 2);
    ck_assert_int_eq(after.bytes - before.bytes, 2 * 3 * 4 * 8);
    /* half types, which the processor computes in f32 */
    for (int half = 0; half < 2; half++) {
        t[0] = t[1] = t[2] = MU_TYPE(half ? MU_F16 : MU_BF16, 4);
        ck_ok(mu_fallback_prepare(b, &call, "a test", &kernel));
        run_add(b, kernel, t[0].dtype, sums);
        mu_kernel_release(kernel);
    }
    mu_backend_close(b);
    ck_assert_int_eq(mu_mem_get_counts().live_blocks, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cuda backend");
    TCase *tests = tcase_create("instance");
    tcase_add_test(tests, devices_are_told);
    tcase_add_test(tests, no_device);
    tcase_add_test(tests, old_driver);
    tcase_add_test(tests, device_names);
    tcase_add_test(tests, what_there_is);
    tcase_add_test(tests, out_of_memory);
    tcase_add_test(tests, out_of_memory_by_name);
    tcase_add_test(tests, lost_device);
    tcase_add_test(tests, opening_without_memory);
    tcase_add_test(tests, uploads_leave_the_host_alone);
    tcase_add_test(tests, pinned_memory);
    tcase_add_test(tests, reorders);
    tcase_add_test(tests, no_kernel);
    tcase_add_test(tests, fallback);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
