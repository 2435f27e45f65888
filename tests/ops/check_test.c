/* The backend check: finds what a deliberately faulty backend does wrong, and nothing in a right one. */
#include "backend/check/check.h"
#include "backend/host.h"
#include "ops/ops.h"
#include "test.h"

typedef enum {
    RIGHT,
    OVERRUN,
    UNDERRUN,
    UNWRITTEN,
    WRONG_VALUE,
    WRONG_INTEGER,
    OPERAND,
    SCRATCH,
    NOT_A_NUMBER,
    FAULTS
} fault;

static fault current; /* of the kernels of `faulty` */

/* ---- a backend that computes as ref does, and then misbehaves ---- */

typedef struct {
    mu_backend base;
    mu_backend *ref;
} faulty_backend;

typedef struct {
    mu_kernel base;
    mu_kernel *ref;
} faulty_kernel;

static mu_err faulty_bind(mu_kernel *kernel)
{
    return mu_kernel_bind(((faulty_kernel *)kernel)->ref, kernel->in, kernel->out, NULL);
}

static mu_err faulty_run(mu_kernel *kernel, const mu_run *run)
{
    float *out = kernel->out[0];
    int64_t n = mu_type_count(&kernel->call.out[0]);
    float first = out[0];
    MU_TRY(mu_kernel_run(((faulty_kernel *)kernel)->ref, run));
    if (current == OVERRUN)
        out[n] = 0;
    if (current == UNDERRUN)
        out[-1] = 0;
    if (current == UNWRITTEN)
        out[0] = first;
    if (current == WRONG_VALUE)
        out[3] *= 1.001f;
    if (current == WRONG_INTEGER)
        ((int32_t *)kernel->out[1])[2]++;
    if (current == OPERAND)
        ((float *)kernel->in[0])[1] += 1;
    if (current == SCRATCH)
        ((char *)kernel->scratch)[8] = 0;
    if (current == NOT_A_NUMBER)
        out[2] = out[2] - out[2] + 0 * (1e38f * 1e38f);
    return MU_OK;
}

static void faulty_release(mu_kernel *kernel)
{
    mu_kernel_release(((faulty_kernel *)kernel)->ref);
}

static const mu_kernel_ops faulty_kernel_ops = {.run = faulty_run, .release = faulty_release, .bind = faulty_bind};

static mu_err faulty_prepare(mu_backend *backend, const mu_call *call, const mu_layout *const *in_layout,
                             const mu_layout *const *want_out, mu_kernel **out)
{
    mu_backend *ref = ((faulty_backend *)backend)->ref;
    mu_kernel *kernel;
    MU_TRY(mu_kernel_new(sizeof(faulty_kernel), &faulty_kernel_ops, call, &kernel));
    mu_err err = ref->ops->prepare(ref, call, in_layout, want_out, &((faulty_kernel *)kernel)->ref);
    if (err != MU_OK) {
        mu_kernel_release(kernel);
        return err;
    }
    kernel->scratch_bytes = 8;
    *out = kernel;
    return MU_OK;
}

static bool faulty_supports(mu_backend *backend, const mu_call *call, const char **why)
{
    mu_backend *ref = ((faulty_backend *)backend)->ref;
    return ref->ops->supports(ref, call, why);
}

static mu_err faulty_open(mu_backend *backend, const mu_backend_options *options)
{
    backend->host_memory = true;
    return mu_backend_open("cpu:ref", options, &((faulty_backend *)backend)->ref);
}

static void faulty_close(mu_backend *backend)
{
    mu_backend_close(((faulty_backend *)backend)->ref);
}

static const mu_backend_ops faulty_ops = {.name = "faulty",
                                          .doc = "For tests.",
                                          .size = sizeof(faulty_backend),
                                          .open = faulty_open,
                                          .close = faulty_close,
                                          .supports = faulty_supports,
                                          .prepare = faulty_prepare,
                                          .reorder = mu_host_reorder,
                                          .alloc = mu_host_alloc,
                                          .dealloc = mu_host_dealloc,
                                          .upload = mu_host_copy_in,
                                          .download = mu_host_copy_out,
                                          .synchronize = mu_host_synchronize};

/* ---- tests ---- */

/* Pools 4x4 images by the backend. */
static mu_err pool(mu_backend *backend)
{
    mu_pool2d_attrs a = mu_pool2d_defaults(2, 2, 0);
    mu_type types[] = {MU_TYPE(MU_F32, 1, 2, 4, 4), MU_TYPE(MU_F32, 1, 2, 2, 2), MU_TYPE(MU_I32, 1, 2, 2, 2)};
    mu_call call = {.op = &mu_op_max_pool2d,
                    .attrs = &a,
                    .n_in = 1,
                    .n_out = 2,
                    .in = types,
                    .out = types + 1,
                    .name = "stem.pool"};
    const mu_layout *row[2] = {NULL};
    float x[32], y[8];
    int32_t index[8];
    mu_kernel *kernel;
    for (int i = 0; i < 32; i++)
        x[i] = (float)((i * 7) % 32) - 10;
    MU_TRY(backend->ops->prepare(backend, &call, row, row, &kernel));
    mu_err err = mu_kernel_bind(kernel, (void *[]){x}, (void *[]){y, index}, NULL);
    if (err == MU_OK)
        err = mu_kernel_run(kernel, &(mu_run){.seed = 1});
    mu_kernel_release(kernel);
    return err;
}

static mu_err open_checked(mu_backend **out)
{
    mu_backend *inner;
    MU_TRY(mu_backend_open_ops(&faulty_ops, NULL, &inner));
    mu_err err = mu_check_wrap(inner, out);
    if (err != MU_OK)
        mu_backend_close(inner);
    return err;
}

static const char *const reports[FAULTS] = {
    [OVERRUN] = "max_pool2d \"stem.pool\" (? on faulty) wrote beyond output 0 of 32 bytes",
    [UNDERRUN] = "wrote beyond output 0 of 32 bytes",
    [UNWRITTEN] = "did not write element 0 of output 0 f32[1,2,2,2]",
    [WRONG_VALUE] = "in element 3 of output 0 f32[1,2,2,2], ref gives",
    [WRONG_INTEGER] = "in element 2 of output 1 i32[1,2,2,2], ref gives",
    [OPERAND] = "wrote to its operand 0",
    [SCRATCH] = "wrote beyond its 8 bytes of scratch",
    [NOT_A_NUMBER] = "in element 2 of output 0",
};

START_TEST(each_fault_is_caught)
{
    mu_backend *checked;
    current = (fault)_i;
    ck_ok(open_checked(&checked));
    if (current == RIGHT)
        ck_ok(pool(checked));
    else
        ck_fails(pool(checked), MU_ERR_BACKEND, reports[current]);
    mu_backend_close(checked);
    ck_assert_int_eq(mu_mem_get_counts().live_blocks, 0);
}
END_TEST

START_TEST(out_of_memory)
{
    mu_backend *checked;
    current = RIGHT;
    ck_survives_oom(open_checked(&checked), mu_backend_close(checked));
    ck_ok(open_checked(&checked));
    ck_survives_oom(pool(checked), );
    mu_backend_close(checked);
}
END_TEST

START_TEST(by_name)
{
    mu_backend *checked;
    ck_ok(mu_backend_open("check:cpu:ref", NULL, &checked));
    ck_assert_str_eq(checked->ops->name, "check");
    ck_ok(pool(checked));
    mu_backend_close(checked);
    ck_fails(mu_backend_open("check:cpu:nothing", NULL, &checked), MU_ERR_NOT_FOUND, "cpu:nothing");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("check");
    TCase *tests = tcase_create("check");
    tcase_add_loop_test(tests, each_fault_is_caught, RIGHT, FAULTS);
    tcase_add_test(tests, out_of_memory);
    tcase_add_test(tests, by_name);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
