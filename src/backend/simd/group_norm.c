#include "backend/simd/vec.h"

#include <math.h>

/* x [N,C,space] row-major; a row is the channels of one group of one sample. */
typedef struct {
    mu_simd_kernel base;
    bool half;
    int64_t samples, groups, channels, space; /* channels: of a group */
} group_norm;

enum { PIECE = 256 * VL };

static int threads_of(const group_norm *s)
{
    return mu_simd_threads(&s->base, s->samples * s->groups * s->channels * s->space * 8);
}

/* Sum of (x - shift)^power over a row. */
SIMD_INLINE double row_sum(const void *x, int64_t at, int64_t n, bool half, float shift, bool square)
{
    double total = 0;
    for (int64_t start = 0; start < n; start += PIECE) {
        int64_t end = n - start < PIECE ? n : start + PIECE;
        vf part = {0};
        for (int64_t i = start; i < end; i += VL) {
            vf d = get(x, at + i, end - i, half, shift) - shift;
            part += square ? d * d : d;
        }
        total += vhsum(part);
    }
    return total;
}

SIMD_INLINE void row(const group_norm *s, int64_t r, bool half)
{
    const mu_kernel *k = &s->base.base;
    const float *gamma = mu_simd_address(k, 1), *beta = mu_simd_address(k, 2);
    int64_t n = s->channels * s->space, at = r * n;
    float mean = 0, rstd = (float)(1 / sqrt(((const mu_norm_attrs *)k->call.attrs)->eps));
    if (n > 0) {
        mean = (float)(row_sum(k->in[0], at, n, half, 0, false) / (double)n);
        double rest = row_sum(k->in[0], at, n, half, mean, false) / (double)n; /* what rounding took from the mean */
        double var = row_sum(k->in[0], at, n, half, mean, true) / (double)n - rest * rest;
        rstd = (float)(1 / sqrt((var < 0 ? 0 : var) + ((const mu_norm_attrs *)k->call.attrs)->eps));
    }
    for (int64_t c = 0; c < s->channels; c++) {
        int64_t channel = r % s->groups * s->channels + c, start = at + c * s->space;
        float a = rstd * (gamma ? gamma[channel] : 1), b = beta ? beta[channel] : 0;
        for (int64_t i = 0; i < s->space; i += VL)
            put(k->out[0], start + i, s->space - i, half,
                (get(k->in[0], start + i, s->space - i, half, 0) - mean) * a + b);
    }
    ((float *)k->out[1])[r] = mean;
    ((float *)k->out[2])[r] = rstd;
}

static mu_err run_group_norm(mu_kernel *kernel, const mu_run *run)
{
    const group_norm *s = (const group_norm *)kernel;
    (void)run;
#pragma omp parallel for num_threads(threads_of(s)) schedule(static)
    for (int64_t r = 0; r < s->samples * s->groups; r++)
        if (s->half)
            row(s, r, true);
        else
            row(s, r, false);
    return MU_OK;
}

/* dx of a row; sums [channels][2]: of dy and of dy * (x - mean) * rstd. dx may be dy. */
SIMD_INLINE void row_grad(const group_norm *s, int64_t r, double *sums, bool half)
{
    const mu_kernel *k = &s->base.base;
    const float *gamma = mu_simd_address(k, 2);
    const float mean = ((const float *)k->in[3])[r], rstd = ((const float *)k->in[4])[r];
    double a = 0, b = 0, n = (double)(s->channels * s->space);
    const float *weight = gamma ? gamma + r % s->groups * s->channels : NULL;
    for (int64_t c = 0; c < s->channels; c++) {
        int64_t at = (r * s->channels + c) * s->space;
        double one = 0, product = 0;
        for (int64_t start = 0; start < s->space; start += PIECE) {
            int64_t end = s->space - start < PIECE ? s->space : start + PIECE;
            vf p = {0}, q = {0};
            for (int64_t i = start; i < end; i += VL) {
                vf d = get(k->in[0], at + i, end - i, half, 0);
                p += d;
                q += d * ((get(k->in[1], at + i, end - i, half, mean) - mean) * rstd);
            }
            one += vhsum(p);
            product += vhsum(q);
        }
        sums[2 * c] = one;
        sums[2 * c + 1] = product;
        a += one * (weight ? weight[c] : 1);
        b += product * (weight ? weight[c] : 1);
    }
    float shift = (float)(a / n), slope = (float)(b / n);
    for (int64_t c = 0; c < s->channels; c++) {
        int64_t at = (r * s->channels + c) * s->space;
        float w = weight ? weight[c] : 1;
        for (int64_t i = 0; i < s->space; i += VL) {
            int64_t left = s->space - i;
            vf x = (get(k->in[1], at + i, left, half, 0) - mean) * rstd;
            put(k->out[0], at + i, left, half, rstd * (get(k->in[0], at + i, left, half, 0) * w - shift - x * slope));
        }
    }
}

static mu_err run_group_norm_grad(mu_kernel *kernel, const mu_run *run)
{
    const group_norm *s = (const group_norm *)kernel;
    double *sums = kernel->scratch;
    float *dgamma = kernel->out[1], *dbeta = kernel->out[2];
    int64_t all = s->groups * s->channels;
    (void)run;
#pragma omp parallel for num_threads(threads_of(s)) schedule(static)
    for (int64_t r = 0; r < s->samples * s->groups; r++)
        if (s->half)
            row_grad(s, r, sums + r * s->channels * 2, true);
        else
            row_grad(s, r, sums + r * s->channels * 2, false);
    for (int64_t c = 0; dgamma && c < all; c++) {
        double one = 0, product = 0;
        for (int64_t n = 0; n < s->samples; n++) {
            one += sums[2 * (n * all + c)];
            product += sums[2 * (n * all + c) + 1];
        }
        dgamma[c] = (float)product;
        dbeta[c] = (float)one;
    }
    return MU_OK;
}

static bool supports(const mu_call *call, const char **why)
{
    *why = "the vectorised kernel takes x in f32 or bf16";
    return call->in[0].dtype == MU_F32 || call->in[0].dtype == MU_BF16;
}

static mu_err setup(mu_simd_kernel *kernel)
{
    group_norm *s = (group_norm *)kernel;
    const mu_call *call = &kernel->base.call;
    s->half = call->in[0].dtype == MU_BF16;
    s->samples = kernel->x.n;
    s->groups = ((const mu_norm_attrs *)call->attrs)->groups;
    s->channels = kernel->x.c / s->groups;
    s->space = kernel->x.space;
    if (call->op == &mu_op_group_norm_grad)
        kernel->base.scratch_bytes = (size_t)(s->samples * kernel->x.c * 2) * sizeof(double);
    return MU_OK;
}

const mu_simd_impl SIMD(group_norm) = {
    .size = sizeof(group_norm), .supports = supports, .setup = setup, .run = run_group_norm};
const mu_simd_impl SIMD(group_norm_grad) = {
    .size = sizeof(group_norm), .supports = supports, .setup = setup, .run = run_group_norm_grad};
