#include "backend/simd/index.h"
#include "backend/simd/vec.h"

/* x [outer][n][inner], index and y [outer][picks][inner]. */
typedef struct {
    mu_simd_kernel base;
    int64_t outer, n, picks, inner;
} gather;

#define PICK(type)                                                                                                     \
    static void pick_##type(const gather *s, int64_t begin, int64_t end)                                               \
    {                                                                                                                  \
        const mu_kernel *k = &s->base.base;                                                                            \
        for (int64_t line = begin; line < end; line++) {                                                               \
            const type *x = (const type *)k->in[0] + line / s->picks * s->n * s->inner;                                \
            type *y = (type *)k->out[0] + line * s->inner;                                                             \
            for (int64_t j = 0; j < s->inner; j++)                                                                     \
                y[j] = x[mu_simd_index(k, line * s->inner + j) * s->inner + j];                                        \
        }                                                                                                              \
    }

PICK(uint8_t)
PICK(uint16_t)
PICK(uint32_t)
PICK(uint64_t)

static mu_err run_gather(mu_kernel *kernel, const mu_run *run)
{
    const gather *s = (const gather *)kernel;
    int64_t lines = s->outer * s->picks;
    int threads = mu_simd_threads(&s->base, lines * s->inner * 16);
    size_t size = mu_dtype_size(kernel->call.in[0].dtype);
    (void)run;
    MU_TRY(mu_simd_check_indices(kernel, s->n, threads));
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int i = 0; i < threads; i++) {
        int64_t begin, end;
        mu_simd_part(lines, threads, i, &begin, &end);
        (size == 1   ? pick_uint8_t
         : size == 2 ? pick_uint16_t
         : size == 4 ? pick_uint32_t
                     : pick_uint64_t)(s, begin, end);
    }
    return MU_OK;
}

/* Every element of dx is summed by one thread, in the order of the index. */
static mu_err run_gather_grad(mu_kernel *kernel, const mu_run *run)
{
    enum { PIECE = 64 };
    const gather *s = (const gather *)kernel;
    bool half = kernel->call.out[0].dtype == MU_BF16;
    float *dx = half ? kernel->scratch : kernel->out[0];
    int64_t pieces = (s->inner + PIECE - 1) / PIECE;
    int threads = mu_simd_threads(&s->base, s->outer * (s->picks * 16 + s->n * 4) * s->inner);
    (void)run;
    MU_TRY(mu_simd_check_indices(kernel, s->n, threads));
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t i = 0; i < s->outer * pieces; i++) {
        int64_t o = i / pieces, begin = i % pieces * PIECE, end = begin + PIECE < s->inner ? begin + PIECE : s->inner;
        float *to = dx + o * s->n * s->inner;
        for (int64_t k = 0; k < s->n; k++)
            memset(to + k * s->inner + begin, 0, (size_t)(end - begin) * sizeof *to);
        for (int64_t k = 0; k < s->picks; k++)
            for (int64_t j = begin; j < end; j++) {
                int64_t at = (o * s->picks + k) * s->inner + j;
                to[mu_simd_index(kernel, at) * s->inner + j] += load1(kernel->in[0], at, half);
            }
        for (int64_t k = 0; half && k < s->n; k++)
            for (int64_t j = begin; j < end; j++)
                store1(kernel->out[0], (o * s->n + k) * s->inner + j, true, to[k * s->inner + j]);
    }
    return MU_OK;
}

static mu_err setup(mu_simd_kernel *kernel)
{
    gather *s = (gather *)kernel;
    const mu_call *call = &kernel->base.call;
    bool forward = call->op == &mu_op_gather;
    const mu_type *x = forward ? &call->in[0] : &call->out[0], *index = &call->in[1];
    int64_t dim = ((const mu_gather_attrs *)call->attrs)->dim;
    s->outer = s->inner = 1;
    for (int d = 0; d < x->ndim; d++)
        *(d < dim ? &s->outer : &s->inner) *= d == dim ? 1 : x->dim[d];
    s->n = x->dim[dim];
    s->picks = index->dim[dim];
    if (!forward && x->dtype == MU_BF16)
        kernel->base.scratch_bytes = (size_t)mu_type_count(x) * sizeof(float);
    return MU_OK;
}

const mu_simd_impl SIMD(gather) = {
    .size = sizeof(gather), .supports = mu_simd_any_dtype, .setup = setup, .run = run_gather};
const mu_simd_impl SIMD(gather_grad) = {.size = sizeof(gather), .setup = setup, .run = run_gather_grad};
