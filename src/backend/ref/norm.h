/* What the norms share: the two-pass mean and variance of a strided block, in double. */
#ifndef MU_BACKEND_REF_NORM_H
#define MU_BACKEND_REF_NORM_H

#include "backend/ref/ref.h"

/* x is n_outer runs of n_inner consecutive elements, `stride` elements apart. Biased variance; both 0 when empty. */
typedef struct {
    int64_t n_outer, n_inner, stride;
} ref_block;

static inline int64_t ref_block_at(const ref_block *block, int64_t i)
{
    return i / block->n_inner * block->stride + i % block->n_inner;
}

static inline void REF(moments)(const real *x, const ref_block *block, double *mean, double *var)
{
    int64_t n = block->n_outer * block->n_inner;
    *mean = *var = 0;
    if (n == 0)
        return;
    for (int64_t i = 0; i < n; i++)
        *mean += x[ref_block_at(block, i)];
    *mean /= (double)n;
    for (int64_t i = 0; i < n; i++) {
        double d = x[ref_block_at(block, i)] - *mean;
        *var += d * d;
    }
    *var /= (double)n;
}

/* x as rows of n consecutive elements, each normalised by itself; every `run` elements of a row have one weight, and rows
 * take turns in `groups` sets of weights. */
typedef struct {
    int64_t rows, n, groups, run;
} ref_rows;

static inline mu_err REF(norm_rows)(const mu_call *call, void *const *in, void *const *out, const ref_rows *shape)
{
    double eps = ((const mu_norm_attrs *)call->attrs)->eps;
    const real *gamma = ref_in(call, in, 1), *beta = ref_in(call, in, 2);
    ref_block block = {.n_outer = 1, .n_inner = shape->n};
    for (int64_t r = 0; r < shape->rows; r++) {
        const real *x = (const real *)in[0] + r * shape->n;
        real *y = (real *)out[0] + r * shape->n;
        double mean, var;
        REF(moments)(x, &block, &mean, &var);
        double rstd = 1 / sqrt(var + eps);
        for (int64_t i = 0; i < shape->n; i++) {
            int64_t c = r % shape->groups * (shape->n / shape->run) + i / shape->run;
            y[i] = (real)((x[i] - mean) * rstd * (gamma ? gamma[c] : 1) + (beta ? beta[c] : 0));
        }
        ((real *)out[1])[r] = (real)mean;
        ((real *)out[2])[r] = (real)rstd;
    }
    return MU_OK;
}

static inline void REF(norm_param_grads)(void *const *in, void *const *out, const ref_rows *shape)
{
    const real *dy = in[0], *x = in[1], *mean = in[3], *rstd = in[4];
    int64_t per_row = shape->run ? shape->n / shape->run : 0;
    for (int64_t c = 0; c < shape->groups * per_row; c++) {
        double sum = 0, sum_x = 0;
        for (int64_t r = c / per_row; r < shape->rows; r += shape->groups)
            for (int64_t i = 0; i < shape->run; i++) {
                int64_t at = r * shape->n + c % per_row * shape->run + i;
                sum += dy[at];
                sum_x += dy[at] * ((double)x[at] - mean[r]) * rstd[r];
            }
        ((real *)out[1])[c] = (real)sum_x;
        ((real *)out[2])[c] = (real)sum;
    }
}

/* in: dy, x, gamma?, mean, rstd; out: dx, dgamma?, dbeta?. dx may lie in dy. */
static inline mu_err REF(norm_rows_grad)(const mu_call *call, void *const *in, void *const *out, const ref_rows *shape)
{
    const real *gamma = in[2], *mean = in[3], *rstd = in[4];
    if (out[1]) {
        memset(out[1], 0, mu_type_bytes(&call->out[1]));
        memset(out[2], 0, mu_type_bytes(&call->out[2]));
        REF(norm_param_grads)(in, out, shape);
    }
    for (int64_t r = 0; r < shape->rows; r++) {
        const real *dy = (const real *)in[0] + r * shape->n, *x = (const real *)in[1] + r * shape->n;
        real *dx = (real *)out[0] + r * shape->n;
        const real *g = gamma && shape->n ? gamma + r % shape->groups * (shape->n / shape->run) : NULL;
        double sum = 0, sum_x = 0, n = (double)shape->n;
        for (int64_t i = 0; i < shape->n; i++) {
            double d = g ? (double)dy[i] * g[i / shape->run] : dy[i];
            sum += d;
            sum_x += d * ((double)x[i] - mean[r]) * rstd[r];
        }
        for (int64_t i = 0; i < shape->n; i++) {
            double d = g ? (double)dy[i] * g[i / shape->run] : dy[i];
            dx[i] = (real)(rstd[r] * (d - sum / n - ((double)x[i] - mean[r]) * rstd[r] * sum_x / n));
        }
    }
    return MU_OK;
}

#endif
