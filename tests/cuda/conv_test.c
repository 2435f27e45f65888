/* Every engine of the convolutions computes the same: each is named in the file of measured choices, from which it is taken. And which are chosen. */
#include "conv.h"
#include "ops/suite.h"
#include "test.h"
#include "tune.h"

#include <math.h>
#include <unistd.h>

static char dir[] = "/tmp/muster-cuda-conv-XXXXXX";

/* Those of the emulated cuDNN (cudnn_backend.c), a product of matrices, the own kernels, and what cannot be taken. */
enum { OWN = -1, NEVER = -2, PRODUCT = -3 };
static const struct {
    const char *name;
    int engine;
} names[] = {
    {"0", 0},           {"3:2=2,13=0", 3},  {"3:2=0,13=1", 3}, {"4", 4},       {"own", OWN},  {"product", PRODUCT}, {"3:2=3,13=1", NEVER},
    {"3:2=9,13=0", NEVER}, {"3:2=0", NEVER}, {"0:2=1", NEVER}, {"12", NEVER}, {"9", NEVER}, {"data-1", NEVER},
};
enum { N_NAMES = sizeof names / sizeof *names };

#define ATTRS(...) {.stride = {1, 1}, .dilation = {1, 1}, .groups = 1, __VA_ARGS__}
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverride-init"
static const mu_conv2d_attrs flat = ATTRS(), flat_positive = ATTRS(.activation = MU_ACT_RELU), flat_smooth = ATTRS(.activation = MU_ACT_SILU),
                             plain = ATTRS(.padding = {1, 1, 1, 1}), uneven = ATTRS(.stride = {2, 3}, .padding = {0, 2, 1, 1}),
                             dilated = ATTRS(.dilation = {2, 3}, .padding = {2, 1, 2, 1}, .groups = 2),
                             depthwise = ATTRS(.padding = {1, 1, 1, 1}, .groups = 8),
                             positive = ATTRS(.padding = {1, 1, 1, 1}, .activation = MU_ACT_RELU),
                             smooth = ATTRS(.padding = {1, 0, 0, 1}, .activation = MU_ACT_SILU);
#pragma GCC diagnostic pop

/* x and w, and which of bias and residual there are. */
static const struct {
    const mu_conv2d_attrs *attrs;
    int64_t x[4], w[4];
    bool bias, residual;
} cases[] = {
    {&plain, {2, 5, 6, 7}, {4, 5, 3, 3}, false, false},  {&plain, {2, 5, 6, 7}, {4, 5, 3, 3}, true, false},
    {&plain, {2, 5, 6, 7}, {4, 5, 3, 3}, false, true},   {&plain, {2, 8, 6, 7}, {4, 8, 3, 3}, true, true},
    {&uneven, {3, 3, 9, 8}, {5, 3, 3, 2}, true, false},  {&dilated, {2, 6, 9, 11}, {4, 3, 3, 3}, true, false},
    {&depthwise, {2, 8, 7, 6}, {16, 1, 3, 3}, true, true}, {&positive, {2, 5, 6, 7}, {4, 5, 3, 3}, false, false},
    {&positive, {2, 5, 6, 7}, {40, 5, 3, 3}, true, true},  {&smooth, {1, 4, 6, 5}, {3, 4, 2, 2}, true, true},
    {&flat, {2, 8, 5, 4}, {16, 8, 1, 1}, true, false},     {&flat, {3, 5, 4, 4}, {7, 5, 1, 1}, false, false},
    {&flat, {2, 8, 5, 4}, {16, 8, 1, 1}, true, true},      {&flat_positive, {2, 8, 5, 4}, {16, 8, 1, 1}, true, false},
    {&flat_positive, {2, 8, 5, 4}, {16, 8, 1, 1}, false, false}, {&flat_smooth, {2, 8, 5, 4}, {16, 8, 1, 1}, true, false},
};

enum { N_CASES = sizeof cases / sizeof *cases, N_PRODUCTS = 3 };

static void fill(tensor *t, uint64_t *seed)
{
    for (int64_t i = 0; i < mu_type_count(&t->type); i++) {
        *seed = *seed * 6364136223846793005u + 1442695040888963407u;
        tensor_set(t, i, (double)(*seed >> 40) / (1 << 23) - 1);
    }
}

typedef struct {
    mu_call call;
    mu_conv2d_attrs attrs;
    mu_type type[4], out_type[2];
    tensor in[4], got[2], want[2];
} problem;

/* Product 0: conv2d, 1: its gradient to x, 2: to w and the bias. */
static bool problem_make(problem *p, int i, int product, mu_dtype dtype)
{
    static const mu_op *const ops[] = {&mu_op_conv2d, &mu_op_conv2d_grad_input, &mu_op_conv2d_grad_weight};
    const mu_type x = MU_TYPE(dtype, cases[i].x[0], cases[i].x[1], cases[i].x[2], cases[i].x[3]);
    const mu_type w = MU_TYPE(dtype, cases[i].w[0], cases[i].w[1], cases[i].w[2], cases[i].w[3]);
    uint64_t seed = (uint64_t)(i + 1);
    *p = (problem){.attrs = *cases[i].attrs, .type = {x, w}};
    p->call = (mu_call){.op = &mu_op_conv2d, .attrs = &p->attrs, .n_in = 2, .n_out = 1, .in = p->type, .out = p->out_type};
    ck_ok(mu_op_conv2d.infer(&p->call, p->out_type));
    mu_type y = p->out_type[0];
    if (product > 0 && p->attrs.activation != MU_ACT_NONE)
        return false;
    p->call.op = ops[product];
    p->call.n_in = product == 0 ? 4 : product == 1 ? 3 : 2;
    p->call.n_out = product == 2 ? 2 : 1;
    p->type[0] = product == 1 ? y : x;
    p->type[1] = product == 2 ? y : w;
    if (cases[i].bias)
        p->type[2] = MU_TYPE(dtype, product == 1 ? x.dim[1] : y.dim[1]);
    if (cases[i].residual)
        p->type[3] = y;
    p->attrs.bias = product == 2 && cases[i].bias;
    for (int d = 0; product > 0 && d < 2; d++)
        p->attrs.input[d] = product == 1 ? x.dim[2 + d] : w.dim[2 + d];
    ck_ok(p->call.op->infer(&p->call, p->out_type));
    for (int k = 0; k < p->call.n_in; k++)
        if (p->type[k].dtype != MU_NONE) {
            tensor_new(&p->in[k], p->type[k]);
            fill(&p->in[k], &seed);
        }
    for (int o = 0; o < p->call.n_out; o++)
        if (p->out_type[o].dtype != MU_NONE) {
            mu_type wide = p->out_type[o];
            wide.dtype = MU_F64;
            tensor_new(&p->got[o], p->out_type[o]);
            tensor_new(&p->want[o], wide);
        }
    return true;
}

static void problem_release(problem *p)
{
    for (int k = 0; k < 4; k++)
        tensor_release(&p->in[k]);
    for (int o = 0; o < 2; o++) {
        tensor_release(&p->got[o]);
        tensor_release(&p->want[o]);
    }
}

static void check_values(const problem *p, const char *name)
{
    double u = p->type[0].dtype == MU_F32 ? 0x1p-23 : p->type[0].dtype == MU_BF16 ? 0x1p-8 : 0x1p-11;
    for (int o = 0; o < p->call.n_out; o++)
        for (int64_t i = 0; i < mu_type_count(&p->out_type[o]); i++) {
            double got = tensor_get(&p->got[o], i), want = tensor_get(&p->want[o], i);
            ck_assert_msg(fabs(got - want) <= u * fabs(want) + 2e-5, "%s by %s: output %d element %lld is %.9g, expected %.9g", p->call.op->name,
                          name, o, (long long)i, got, want);
        }
}

/* The file of an instance that has measured one call: its path, first line and key. */
static void measure(const mu_call *call, char *path, char *line, char *key, size_t size)
{
    const mu_layout *rows[4] = {NULL};
    mu_backend *b;
    mu_kernel *kernel;
    ck_ok(mu_backend_open("cuda", &(mu_backend_options){.cache_dir = dir}, &b));
    snprintf(path, size, "%s", mu_choices_path(mu_cuda_of(b)->tune));
    ck_ok(b->ops->prepare(b, call, rows, rows, &kernel));
    mu_kernel_release(kernel);
    mu_backend_close(b);
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    ck_assert_ptr_nonnull(fgets(line, (int)size, file));
    ck_assert_ptr_nonnull(fgets(key, (int)size, file));
    fclose(file);
    *strchr(key, '\t') = '\0';
}

/* The engine that a kernel's plan is of. */
static int engine_of(const mu_kernel *kernel)
{
    cudnnBackendDescriptor_t config, engine, plan = ((const mu_cuda_conv *)kernel)->plan;
    int64_t n, number = -1;
    if (strcmp(kernel->impl, "cuda") == 0)
        return OWN;
    if (strcmp(kernel->impl, "cublaslt") == 0)
        return PRODUCT;
    ck_assert_str_eq(kernel->impl, "cudnn");
    ck_assert_int_eq(cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, &config), 0);
    ck_assert_int_eq(cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINE_DESCRIPTOR, &engine), 0);
    ck_assert_int_eq(cudnnBackendGetAttribute(plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &n, &config), 0);
    ck_assert_int_eq(cudnnBackendGetAttribute(config, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &n, &engine), 0);
    ck_assert_int_eq(cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1, &n, &number), 0);
    (void)cudnnBackendDestroyDescriptor(engine);
    (void)cudnnBackendDestroyDescriptor(config);
    return (int)number;
}

static const mu_type *images_of(const problem *p)
{
    return p->call.op == &mu_op_conv2d_grad_input ? &p->out_type[0] : &p->type[0];
}

/* Does the emulated tensor-core engine take this? */
static bool fits_tensor_cores(const problem *p)
{
    const mu_type *x = images_of(p);
    const mu_type *y = p->call.op == &mu_op_conv2d ? &p->out_type[0] : p->call.op == &mu_op_conv2d_grad_input ? &p->type[0] : &p->type[1];
    return x->dtype == MU_F32 || (x->dim[1] / p->attrs.groups % 8 == 0 && y->dim[1] / p->attrs.groups % 8 == 0);
}

/* 1x1, with nothing to add that it would start from. */
static bool is_product(const problem *p)
{
    const mu_conv2d_attrs *a = &p->attrs;
    const mu_type *w = p->call.op == &mu_op_conv2d_grad_weight ? &p->out_type[0] : &p->type[1];
    int start = p->call.op == &mu_op_conv2d ? 3 : p->call.op == &mu_op_conv2d_grad_input ? 2 : 4;
    return w->dim[2] * w->dim[3] == 1 && a->stride[0] == 1 && a->padding[0] == 0 && (start == 4 || p->type[start].dtype == MU_NONE);
}

static bool can_be_taken(const problem *p, int engine)
{
    return engine != NEVER && (engine != PRODUCT || is_product(p)) && (engine != 3 || fits_tensor_cores(p)) && (engine != 4 || p->call.op != &mu_op_conv2d);
}

START_TEST(every_engine_computes_the_same)
{
    static const mu_dtype dtypes[] = {MU_F32, MU_BF16, MU_F16};
    char path[512], line[512], key[512], text[512];
    const mu_layout *rows[4] = {NULL};
    mu_backend *ref, *b;
    mu_kernel *kernel;
    ck_ok(mu_backend_open("cpu:ref", NULL, &ref));
    for (int d = 0; d < 3; d++) {
        problem p;
        if (!problem_make(&p, _i / N_PRODUCTS, _i % N_PRODUCTS, dtypes[d]))
            continue;
        const char *why, *choice;
        bool applies, can = mu_cuda_conv_supports(&p.call, &why);
        ck_assert(can || (dtypes[d] != MU_F32 && p.attrs.activation == MU_ACT_SILU));
        if (can) {
            ck_assert_msg(suite_run_ref(ref, &p.call, p.in, p.want, text, sizeof text), "%s", text);
            measure(&p.call, path, line, key, sizeof path);
        }
        for (int i = 0; can && i < N_NAMES; i++) {
            if (dtypes[d] == MU_F32 && names[i].engine == 3)
                continue; /* in TF32 */
            FILE *file = fopen(path, "w");
            fprintf(file, "%s%s\t%s\t0.0010\n", line, key, names[i].name);
            fclose(file);
            ck_ok(mu_backend_open("cuda", &(mu_backend_options){.cache_dir = dir}, &b));
            ck_ok(b->ops->prepare(b, &p.call, rows, rows, &kernel));
            ck_ok(mu_choices_get(mu_cuda_of(b)->tune, key, &choice));
            bool taken = can_be_taken(&p, names[i].engine);
            ck_assert_msg(taken == (strcmp(choice, names[i].name) == 0), "\"%s\" became \"%s\"", names[i].name, choice);
            ck_assert(!taken || engine_of(kernel) == names[i].engine);
            mu_kernel_release(kernel);
            ck_assert_msg(suite_run_call(b, &p.call, p.in, p.got, RUN_PLAIN, &applies, text, sizeof text), "%s: %s", names[i].name, text);
            mu_backend_close(b);
            check_values(&p, names[i].name);
        }
        if (can)
            (void)unlink(path);
        problem_release(&p);
    }
    mu_backend_close(ref);
}
END_TEST

/* Engines that sum badly are never chosen, in f32 those of TF32 only where that is allowed, and others that repeat no bits where bits do not matter. */
START_TEST(choice)
{
    static const mu_dtype dtypes[] = {MU_F32, MU_BF16, MU_F16};
    const mu_layout *rows[4] = {NULL};
    for (int d = 0; d < 3; d++)
        for (int mode = 0; mode < 4; mode++) {
            bool tf32 = mode & 1, deterministic = mode & 2;
            const char *why;
            problem p;
            mu_backend *b;
            mu_kernel *kernel;
            if (!problem_make(&p, _i / N_PRODUCTS, _i % N_PRODUCTS, dtypes[d]))
                continue;
            bool cores = fits_tensor_cores(&p) && (dtypes[d] != MU_F32 || tf32), alone = p.attrs.groups == images_of(&p)->dim[1];
            ck_ok(mu_backend_open("cuda", &(mu_backend_options){.cache_dir = "", .tf32 = tf32, .deterministic = deterministic}, &b));
            if (mu_cuda_conv_supports(&p.call, &why)) {
                ck_ok(b->ops->prepare(b, &p.call, rows, rows, &kernel));
                int engine = engine_of(kernel);
                if (deterministic)
                    ck_assert_int_eq(engine, cores ? 3 : 0);
                else
                    ck_assert_msg(engine == 0 || (engine == 3 && cores) || (engine == 4 && p.call.op != &mu_op_conv2d) || (engine == OWN && alone) || (engine == PRODUCT && is_product(&p)),
                                  "engine %d", engine);
                mu_kernel_release(kernel);
            }
            mu_backend_close(b);
            problem_release(&p);
        }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("convolutions on CUDA devices");
    TCase *t = tcase_create("engines");
    if (!mkdtemp(dir))
        return 1;
    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, every_engine_computes_the_same, 0, N_CASES * N_PRODUCTS);
    tcase_add_loop_test(t, choice, 0, N_CASES * N_PRODUCTS);
    suite_add_tcase(s, t);
    int status = test_run(s);
    (void)rmdir(dir);
    return status;
}
