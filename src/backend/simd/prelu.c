#include "backend/simd/vec.h"

/* x as lines that have one slope, or one slope for each of the channels of a pixel. */
typedef struct {
    mu_simd_kernel base;
    bool half, one;                         /* one: a single slope */
    int64_t units, space, width, blocks, c; /* [units][space][width]; unit u has channels from u % blocks * width on */
} prelu;

enum { LANES = 16, PIECE = 256 };

/* Slopes of channels c.., 0 beyond the last: padding stays 0. */
SIMD_INLINE vf slopes(const prelu *s, const void *slope, int64_t c, bool half)
{
    return s->one           ? vset(load1(slope, 0, half))
           : c + VL <= s->c ? load(slope, c, half)
           : c < s->c       ? load_part(slope, c, s->c - c, half, 0)
                            : (vf){0};
}

/* y = x > 0 ? d : slope * d; forward d is x. Returns by channel the sum of d * x where x > 0 is false. */
SIMD_INLINE void unit(const prelu *s, const void *dy, const void *x, const void *slope, void *y, double *sum, int64_t u,
                      bool half)
{
    int64_t start = u * s->space * s->width, first = u % s->blocks * s->width;
    if (s->width == 1) {
        vf k = vset(load1(slope, s->one ? 0 : first, half));
        double total = 0;
        for (int64_t piece = 0; piece < s->space; piece += PIECE * VL) {
            int64_t end = piece + PIECE * VL < s->space ? piece + PIECE * VL : s->space;
            vf part = {0};
            for (int64_t i = piece; i < end; i += VL) {
                vf v = get(x, start + i, end - i, half, 0), d = dy ? get(dy, start + i, end - i, half, 0) : v;
                vi positive = v > 0;
                part += vand(~positive, d * v);
                put(y, start + i, end - i, half, vsel(positive, d, d * k));
            }
            total += vhsum(part);
        }
        if (sum)
            sum[u] = total;
        return;
    }
    for (int64_t c = 0; c < s->width; c += VL) {
        int64_t n = s->width - c;
        vf k = slopes(s, slope, first + c, half);
        double total[VL] = {0};
        for (int64_t piece = 0; piece < s->space; piece += PIECE) {
            int64_t end = piece + PIECE < s->space ? piece + PIECE : s->space;
            vf part = {0};
            for (int64_t i = piece; i < end; i++) {
                int64_t at = start + i * s->width + c;
                vf v = get(x, at, n, half, 0), d = dy ? get(dy, at, n, half, 0) : v;
                vi positive = v > 0;
                part += vand(~positive, d * v);
                put(y, at, n, half, vsel(positive, d, d * k));
            }
            for (int l = 0; sum && l < VL; l++)
                total[l] += part[l];
        }
        for (int64_t l = 0; sum && l < VL && c + l < s->width; l++)
            sum[u * s->width + c + l] = total[l];
    }
}

static int threads_of(const prelu *s)
{
    return mu_simd_threads(&s->base, s->units * s->space * s->width * 8);
}

static mu_err run_prelu(mu_kernel *kernel, const mu_run *run)
{
    const prelu *s = (const prelu *)kernel;
    (void)run;
#pragma omp parallel for num_threads(threads_of(s)) schedule(static)
    for (int64_t u = 0; u < s->units; u++)
        if (s->half)
            unit(s, NULL, kernel->in[0], kernel->in[1], kernel->out[0], NULL, u, true);
        else
            unit(s, NULL, kernel->in[0], kernel->in[1], kernel->out[0], NULL, u, false);
    return MU_OK;
}

static mu_err run_prelu_grad(mu_kernel *kernel, const mu_run *run)
{
    const prelu *s = (const prelu *)kernel;
    double *sum = kernel->scratch, all = 0;
    (void)run;
#pragma omp parallel for num_threads(threads_of(s)) schedule(static)
    for (int64_t u = 0; u < s->units; u++)
        if (s->half)
            unit(s, kernel->in[0], kernel->in[1], kernel->in[2], kernel->out[0], sum, u, true);
        else
            unit(s, kernel->in[0], kernel->in[1], kernel->in[2], kernel->out[0], sum, u, false);
    int64_t lines = s->blocks * s->width; /* channels, padding included */
    for (int64_t c = 0; c < s->c; c++) {
        double one = 0;
        for (int64_t n = 0; n < s->units / s->blocks; n++)
            one += sum[n * lines + c];
        all += one;
        if (!s->one)
            store1(kernel->out[1], c, s->half, (float)one);
    }
    if (s->one)
        store1(kernel->out[1], 0, s->half, (float)all);
    return MU_OK;
}

static mu_err setup(mu_simd_kernel *kernel)
{
    prelu *s = (prelu *)kernel;
    const mu_call *call = &kernel->base.call;
    bool forward = call->op == &mu_op_prelu;
    const mu_type *x = &call->in[0], *slope = &call->in[forward ? 1 : 2];
    const mu_simd_view *v = &kernel->x;
    s->half = x->dtype == MU_BF16;
    s->one = mu_type_count(slope) == 1;
    s->c = v->c;
    s->width = v->width;
    s->blocks = v->blocks;
    s->space = v->space;
    s->units = v->n * v->blocks;
    if (v->width == 1 && v->space == 1 && x->ndim <= 2) { /* rows of channels */
        s->width = v->c;
        s->blocks = 1;
        s->units = v->n;
    }
    if (s->blocks == 0)
        s->blocks = 1;
    if (!forward)
        kernel->base.scratch_bytes = (size_t)(s->units * s->width) * sizeof(double);
    return MU_OK;
}

const mu_simd_impl SIMD(prelu) = {.layouts = MU_ALIKE_CHANNELS, .size = sizeof(prelu), .setup = setup, .run = run_prelu};
const mu_simd_impl SIMD(prelu_grad) = {
    .layouts = MU_ALIKE_CHANNELS, .size = sizeof(prelu), .setup = setup, .run = run_prelu_grad};
