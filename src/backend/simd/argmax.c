#include "backend/simd/vec.h"

/* x [outer][n][inner] along n; the first NaN, else the first of the largest. */
typedef struct {
    mu_simd_kernel base;
    bool half;
    int64_t outer, n, inner;
} argmax;

/* A line of consecutive numbers: its largest, then where that is. */
SIMD_INLINE int64_t line(const void *x, int64_t at, int64_t n, bool half)
{
    vf most = vset(-__builtin_inff());
    vi nan = {0};
    for (int64_t i = 0; i < n; i += VL) {
        vf v = get(x, at + i, n - i, half, -__builtin_inff());
        nan |= v != v;
        most = vsel(v > most, v, most);
    }
    float best = -__builtin_inff();
    bool any = false;
    for (int l = 0; l < VL; l++) {
        best = most[l] > best ? most[l] : best;
        any |= nan[l] != 0;
    }
    for (int64_t i = 0; i < n; i++) {
        float v = load1(x, at + i, half);
        if (any ? v != v : v == best)
            return i;
    }
    return 0;
}

/* VL lines side by side (fewer at the end). */
SIMD_INLINE void lines(const argmax *s, int64_t o, int64_t j, int64_t *y, bool half)
{
    const void *x = s->base.base.in[0];
    int64_t at = o * s->n * s->inner + j, left = s->inner - j;
    vf most = get(x, at, left, half, 0);
    vi best = {0};
    for (int64_t i = 1; i < s->n; i++) {
        vf v = get(x, at + i * s->inner, left, half, 0);
        vi better = (v > most) | ((v != v) & (most == most));
        most = vsel(better, v, most);
        best = (better & (int32_t)i) | (~better & best);
    }
    for (int64_t l = 0; l < VL && l < left; l++)
        y[o * s->inner + j + l] = best[l];
}

static mu_err run_argmax(mu_kernel *kernel, const mu_run *run)
{
    const argmax *s = (const argmax *)kernel;
    int64_t *y = kernel->out[0], parts = (s->inner + VL - 1) / VL;
    int threads = mu_simd_threads(&s->base, s->outer * s->n * s->inner * 4);
    (void)run;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t i = 0; i < s->outer * parts; i++)
        if (s->inner == 1)
            y[i] = s->half ? line(kernel->in[0], i * s->n, s->n, true) : line(kernel->in[0], i * s->n, s->n, false);
        else if (s->half)
            lines(s, i / parts, i % parts * VL, y, true);
        else
            lines(s, i / parts, i % parts * VL, y, false);
    return MU_OK;
}

static bool supports(const mu_call *call, const char **why)
{
    if (!mu_simd_one_float(call, why))
        return false;
    *why = "the vectorised kernel counts in 32 bits";
    return mu_dtype_is_float(call->in[0].dtype) &&
           call->in[0].dim[((const mu_dim_attrs *)call->attrs)->dim] < INT32_MAX;
}

static mu_err setup(mu_simd_kernel *kernel)
{
    argmax *s = (argmax *)kernel;
    const mu_type *x = &kernel->base.call.in[0];
    int64_t dim = ((const mu_dim_attrs *)kernel->base.call.attrs)->dim;
    s->half = x->dtype == MU_BF16;
    s->n = x->dim[dim];
    s->outer = s->inner = 1;
    for (int d = 0; d < x->ndim; d++)
        *(d < dim ? &s->outer : &s->inner) *= d == dim ? 1 : x->dim[d];
    return MU_OK;
}

const mu_simd_impl SIMD(argmax) = {.size = sizeof(argmax), .supports = supports, .setup = setup, .run = run_argmax};
