/* Time and bandwidth of the vectorised kernels, beside a copy of as many bytes. Not a test.
 *
 *   simd_bench [THREADS] [BACKEND]     default: 1, cpu:simd
 *
 * One line per kernel: milliseconds (best of 21 runs), bytes that must move at least (operands and results once), GB/s, and
 * the time relative to a copy of as many bytes by as many threads. */
#include "backend.h"
#include "core/clock.h"
#include "core/mem.h"
#include "ops/ops.h"

#include <stdio.h>
#include <stdlib.h>

enum { RUNS = 21, MAX_IN = 8 };

typedef struct {
    const char *name;
    const mu_op *op;
    const void *attrs;
    int n_in;
    mu_type in[MAX_IN];
} bench;

static const mu_batch_norm_attrs bn = {.eps = 1e-5, .momentum = 0.1}, bn_relu = {.eps = 1e-5, .momentum = 0.1, .relu = true};
static const mu_batch_norm_attrs bn_all = {.eps = 1e-5, .relu = true, .residual = true};
static const mu_pool2d_attrs pool = {{2, 2}, {2, 2}, {0}, {1, 1}, .count_include_pad = true};
static const mu_pool2d_attrs pool_grad = {{2, 2}, {2, 2}, {0}, {1, 1}, .count_include_pad = true, .output = {32, 32}};
static const mu_pool2d_attrs global = {.output = {1, 1}}, global_grad = {.output = {32, 32}};
static const mu_unary_attrs none;
static const mu_update_attrs update;

static const mu_dim_attrs channels = {.dim = 1}, last = {.dim = 1};
static const mu_slice_attrs half_of = {4, {0, 32, 0, 0}, {64, 32, 32, 32}, {1, 1, 1, 1}, {64, 64, 32, 32}};
static const mu_shape_attrs to_last = {4, {0, 2, 3, 1}}, image = {4, {64, 64, 32, 32}};
static const mu_pad_attrs border = {.ndim = 4, .before = {0, 0, 4, 4}, .after = {0, 0, 4, 4}};
static const mu_gather_attrs rows = {.size = 30000}, along = {.dim = 1, .size = 1000};
static const mu_resize_attrs twice = {.size = {64, 64}, .mode = MU_RESIZE_BILINEAR};
static const mu_resize_attrs twice_grad = {.size = {32, 32}, .mode = MU_RESIZE_BILINEAR};
static const mu_norm_attrs groups = {.eps = 1e-5, .groups = 32};
static const mu_topk_attrs five = {.dim = 1, .k = 5, .largest = true, .sorted = true};
static const mu_reduce_attrs middle = {.dims = 2}, rest = {.dims = 14};
static const mu_loss_attrs loss = {.gamma = 2, .alpha = 0.25, .beta = 1};

#define X4 MU_TYPE(MU_F32, 64, 64, 32, 32)
#define S4 MU_TYPE(MU_F32, 64, 512, 4, 4)
#define C64 MU_TYPE(MU_F32, 64)
#define C512 MU_TYPE(MU_F32, 512)
#define P4 MU_TYPE(MU_F32, 64, 64, 16, 16)
#define P4_INDEX MU_TYPE(MU_I32, 64, 64, 16, 16)
#define ARENA MU_TYPE(MU_F32, 11 << 20)

static const bench benches[] = {
    {"batch_norm", &mu_op_batch_norm, &bn, 5, {X4, C64, C64, C64, C64}},
    {"batch_norm+relu", &mu_op_batch_norm, &bn_relu, 5, {X4, C64, C64, C64, C64}},
    {"batch_norm+residual+relu", &mu_op_batch_norm, &bn_relu, 6, {X4, C64, C64, C64, C64, X4}},
    {"batch_norm_grad", &mu_op_batch_norm_grad, &bn, 5, {X4, X4, C64, C64, C64}},
    {"batch_norm_grad+relu", &mu_op_batch_norm_grad, &bn_relu, 6, {X4, X4, C64, C64, C64, X4}},
    {"batch_norm_grad+relu+residual", &mu_op_batch_norm_grad, &bn_all, 6, {X4, X4, C64, C64, C64, X4}},
    {"batch_norm_grad of dy + dy2", &mu_op_batch_norm_grad, &bn_all, 7, {X4, X4, C64, C64, C64, X4, X4}},
    {"batch_norm 512x4x4", &mu_op_batch_norm, &bn_relu, 5, {S4, C512, C512, C512, C512}},
    {"batch_norm_grad 512x4x4", &mu_op_batch_norm_grad, &bn_relu, 6, {S4, S4, C512, C512, C512, S4}},
    {"relu", &mu_op_relu, &none, 1, {X4}},
    {"relu_grad", &mu_op_relu_grad, &none, 2, {X4, X4}},
    {"add", &mu_op_add, NULL, 2, {X4, X4}},
    {"gelu", &mu_op_gelu, &none, 1, {X4}},
    {"max_pool2d 2x2", &mu_op_max_pool2d, &pool, 1, {X4}},
    {"max_pool2d_grad 2x2", &mu_op_max_pool2d_grad, &pool_grad, 2, {P4, P4_INDEX}},
    {"global average", &mu_op_adaptive_avg_pool2d, &global, 1, {X4}},
    {"global average grad", &mu_op_adaptive_avg_pool2d_grad, &global_grad, 1, {MU_TYPE(MU_F32, 64, 64, 1, 1)}},
    {"sgd", &mu_op_sgd, &update, 4, {ARENA, ARENA, ARENA, MU_TYPE(MU_F64, MU_UPDATE_SCALARS)}},
    {"concat", &mu_op_concat, &channels, 2, {P4, P4}},
    {"slice", &mu_op_slice, &half_of, 1, {X4}},
    {"slice_grad", &mu_op_slice_grad, &half_of, 1, {MU_TYPE(MU_F32, 64, 32, 32, 32)}},
    {"transpose", &mu_op_transpose, &to_last, 1, {X4}},
    {"pad", &mu_op_pad, &border, 1, {X4}},
    {"broadcast_to", &mu_op_broadcast_to, &image, 1, {MU_TYPE(MU_F32, 64, 1, 1)}},
    {"gather", &mu_op_gather, &along, 2, {MU_TYPE(MU_F32, 2048, 1000), MU_TYPE(MU_I64, 2048, 1000)}},
    {"embedding", &mu_op_embedding, &rows, 2, {MU_TYPE(MU_F32, 30000, 512), MU_TYPE(MU_I64, 4096)}},
    {"embedding_grad", &mu_op_embedding_grad, &rows, 2, {MU_TYPE(MU_F32, 4096, 512), MU_TYPE(MU_I64, 4096)}},
    {"resize bilinear", &mu_op_resize, &twice, 1, {P4}},
    {"resize_grad bilinear", &mu_op_resize_grad, &twice_grad, 1, {MU_TYPE(MU_F32, 64, 64, 64, 64)}},
    {"group_norm", &mu_op_group_norm, &groups, 3, {X4, C64, C64}},
    {"group_norm_grad", &mu_op_group_norm_grad, &groups, 5,
     {X4, X4, C64, MU_TYPE(MU_F32, 64, 32), MU_TYPE(MU_F32, 64, 32)}},
    {"prelu", &mu_op_prelu, NULL, 2, {X4, C64}},
    {"prelu_grad", &mu_op_prelu_grad, NULL, 3, {X4, X4, C64}},
    {"sum of channels", &mu_op_sum, &middle, 1, {X4}},
    {"max of samples", &mu_op_max, &rest, 1, {X4}},
    {"argmax", &mu_op_argmax, &last, 1, {MU_TYPE(MU_F32, 2048, 1000)}},
    {"topk 5", &mu_op_topk, &five, 1, {MU_TYPE(MU_F32, 2048, 1000)}},
    {"bce_with_logits", &mu_op_bce_with_logits, &loss, 2, {X4, X4}},
    {"focal_loss_grad", &mu_op_focal_loss_grad, &loss, 3, {MU_TYPE(MU_F32), X4, X4}},
    {"mse_loss", &mu_op_mse_loss, &loss, 2, {X4, X4}},
    {"square_sum", &mu_op_square_sum, NULL, 1, {ARENA}},
};

static void check(mu_err err)
{
    char text[4096];
    if (err == MU_OK)
        return;
    mu_error_format(mu_error_last(), 1, text, sizeof text);
    fprintf(stderr, "simd_bench: %s\n", text);
    exit(EXIT_FAILURE);
}

static double best_of(const double *t)
{
    double best = t[0];
    for (int i = 1; i < RUNS; i++)
        best = t[i] < best ? t[i] : best;
    return best;
}

/* A copy that reads and writes `bytes` in all, by the kernel "neg" on half as many. */
static double copy_time(mu_backend *b, size_t bytes)
{
    mu_type t = MU_TYPE(MU_F32, (int64_t)(bytes / 8));
    mu_kernel *kernel;
    void *x, *y;
    double times[RUNS];
    check(mu_calloc(&x, bytes / 2 + 8, 1));
    check(mu_calloc(&y, bytes / 2 + 8, 1));
    check(b->ops->prepare(b, &(mu_call){.op = &mu_op_neg, .attrs = &none, .n_in = 1, .n_out = 1, .in = &t, .out = &t}, NULL, NULL,
                          &kernel));
    check(mu_kernel_bind(kernel, &x, &y, NULL));
    for (int i = 0; i < RUNS; i++) {
        double start = mu_clock();
        check(mu_kernel_run(kernel, &(mu_run){0}));
        times[i] = mu_clock() - start;
    }
    mu_kernel_release(kernel);
    mu_free(x);
    mu_free(y);
    return best_of(times);
}

static void measure(mu_backend *b, const bench *c, mu_layout_kind kind, int block)
{
    mu_type out[MU_OP_MAX_OUT] = {{0}};
    mu_call call = {.op = c->op, .attrs = c->attrs, .n_in = c->n_in, .n_out = c->op->n_out, .in = c->in, .out = out};
    const mu_layout *layout[MAX_IN] = {NULL};
    mu_kernel *kernel;
    void *in[MAX_IN] = {NULL}, *to[MU_OP_MAX_OUT] = {NULL}, *scratch;
    double times[RUNS];
    size_t bytes = 0;
    check(c->op->infer(&call, out));
    for (int i = 0; i < c->n_in; i++)
        if (c->in[i].ndim >= 3 && kind != MU_LAYOUT_ROW_MAJOR && b->ops->layout)
            check(b->ops->layout(b, &c->in[i], kind, block, &layout[i]));
    check(b->ops->prepare(b, &call, layout, NULL, &kernel));
    for (int i = 0; i < c->n_in; i++) {
        size_t n = mu_layout_bytes(kernel->in_layout[i], &c->in[i]);
        check(mu_calloc(&in[i], n, 1));
        for (size_t k = 0; k < n / 4 && c->in[i].dtype == MU_F32; k++)
            ((float *)in[i])[k] = (float)(k * 2654435761u % 1000) / 500 - 1;
        bytes += n;
    }
    for (int o = 0; o < c->op->n_out; o++) {
        size_t n = mu_layout_bytes(kernel->out_layout[o], &out[o]);
        if (c->op->updates[o])
            to[o] = in[c->op->updates[o] - 1];
        else if (out[o].dtype != MU_NONE)
            check(mu_calloc(&to[o], n, 1));
        bytes += out[o].dtype != MU_NONE ? n : 0;
    }
    check(mu_alloc(&scratch, kernel->scratch_bytes));
    check(mu_kernel_bind(kernel, in, to, scratch));
    for (int i = 0; i < RUNS; i++) {
        double start = mu_clock();
        check(mu_kernel_run(kernel, &(mu_run){0}));
        times[i] = mu_clock() - start;
    }
    double t = best_of(times), copy = copy_time(b, bytes);
    printf("%-30s %-4s %8.3f ms %8.1f MB %7.1f GB/s  %5.2f x copy (%.3f ms)\n", c->name,
           kind == MU_LAYOUT_ROW_MAJOR ? "nchw" : kind == MU_LAYOUT_CHANNELS_LAST ? "nhwc" : "16c", t * 1e3, (double)bytes / 1e6,
           (double)bytes / t / 1e9, t / copy, copy * 1e3);
    for (int i = 0; i < c->n_in; i++)
        mu_free(in[i]);
    for (int o = 0; o < c->op->n_out; o++)
        if (!c->op->updates[o])
            mu_free(to[o]);
    mu_free(scratch);
    mu_kernel_release(kernel);
}

int main(int argc, char **argv)
{
    mu_backend *b;
    check(mu_backend_open(argc > 2 ? argv[2] : "cpu:simd",
                          &(mu_backend_options){.n_threads = argc > 1 ? atoi(argv[1]) : 1, .cache_dir = ""}, &b));
    for (size_t i = 0; i < sizeof benches / sizeof *benches; i++) {
        bool images = benches[i].in[0].ndim >= 3;
        measure(b, &benches[i], images ? MU_LAYOUT_CHANNELS_BLOCKED : MU_LAYOUT_ROW_MAJOR, 16);
        if (images && i < 9) {
            measure(b, &benches[i], MU_LAYOUT_ROW_MAJOR, 0);
            measure(b, &benches[i], MU_LAYOUT_CHANNELS_LAST, 0);
        }
    }
    mu_backend_close(b);
    return 0;
}
