#include "backend/simd/vec.h"

#include <math.h>

/* Updates of flat arenas in f32: each byte is read and written once. Arithmetic is in f32. */

enum { PIECE = 4096 };

typedef struct {
    mu_simd_kernel base;
    int64_t count, bytes;
} update;

typedef void piece_fn(const update *s, int64_t begin, int64_t end);

static void run_pieces(const update *s, piece_fn *piece)
{
    int64_t pieces = (s->count + PIECE - 1) / PIECE;
#pragma omp parallel for num_threads(mu_simd_threads(&s->base, s->bytes)) schedule(static)
    for (int64_t i = 0; i < pieces; i++)
        piece(s, i * PIECE, (i + 1) * PIECE < s->count ? (i + 1) * PIECE : s->count);
}

/* A step that is skipped: outputs that are not in place are copies. */
static bool skipped(const mu_kernel *k)
{
    const double *scalars = k->in[k->call.n_in - 1];
    if (scalars[MU_UPDATE_SKIP] == 0)
        return false;
    for (int o = 0; o < k->call.n_out; o++) {
        int from = k->call.op->updates[o] - 1;
        if (k->out[o] && k->out[o] != k->in[from])
            memcpy(k->out[o], k->in[from], mu_type_bytes(&k->call.out[o]));
    }
    return true;
}

/* Scaled gradients, clamped where that is asked for; NaN stays. */
SIMD_INLINE vf scaled(vf g, float scale, float most, bool clamped)
{
    g = scale * g;
    if (clamped) {
        g = vsel(g > vset(most), vset(most), g);
        g = vsel(g < vset(-most), vset(-most), g);
    }
    return g;
}

SIMD_INLINE void sgd_range(const update *s, int64_t begin, int64_t end, bool clamped)
{
    const mu_kernel *k = &s->base.base;
    const mu_update_attrs *a = k->call.attrs;
    const double *c = k->in[3];
    const float lr = (float)c[0], weight_decay = (float)c[1], momentum = (float)c[2], keep = (float)(1 - c[3]);
    const float scale = (float)(a->maximize ? -c[5] : c[5]), most = (float)c[MU_UPDATE_MAX_VALUE];
    const float *old = k->in[0], *gradient = k->in[1], *old_buffer = k->in[2];
    const bool first = c[MU_UPDATE_FIRST] != 0;
    float *param = k->out[0], *buffer = k->out[1];
    for (int64_t i = begin; i < end; i += VL) {
        vf p = get(old, i, end - i, false, 0);
        vf g = scaled(get(gradient, i, end - i, false, 0), scale, most, clamped) + weight_decay * p;
        if (buffer) {
            vf b = first ? g : momentum * get(old_buffer, i, end - i, false, 0) + keep * g;
            put(buffer, i, end - i, false, b);
            g = a->nesterov ? g + momentum * b : b;
        }
        put(param, i, end - i, false, p - lr * g);
    }
}

static void sgd_piece(const update *s, int64_t begin, int64_t end)
{
    if (((const double *)s->base.base.in[3])[MU_UPDATE_MAX_VALUE] > 0)
        sgd_range(s, begin, end, true);
    else
        sgd_range(s, begin, end, false);
}

SIMD_INLINE void adam_range(const update *s, int64_t begin, int64_t end, bool clamped)
{
    const mu_kernel *k = &s->base.base;
    const mu_update_attrs *a = k->call.attrs;
    const double *c = k->in[5];
    const float beta2 = (float)c[3], grow1 = (float)(1 - c[2]), grow2 = (float)(1 - c[3]), eps = (float)c[4];
    const float scale = (float)(a->maximize ? -c[5] : c[5]), weight_decay = (float)c[1], bound = (float)c[MU_UPDATE_MAX_VALUE];
    const float shrink = (float)(1 - c[0] * c[1]), step_size = (float)(c[0] / c[6]), root = (float)(1 / sqrt(c[7]));
    const float *old = k->in[0], *gradient = k->in[1], *old_m = k->in[2], *old_v = k->in[3], *old_most = k->in[4];
    float *param = k->out[0], *m = k->out[1], *v = k->out[2], *most = k->out[3];
    for (int64_t i = begin; i < end; i += VL) {
        int64_t left = end - i;
        vf p = get(old, i, left, false, 0), g = scaled(get(gradient, i, left, false, 0), scale, bound, clamped);
        vf m0 = get(old_m, i, left, false, 0);
        if (a->decoupled)
            p *= shrink;
        else
            g += weight_decay * p;
        vf m1 = m0 + grow1 * (g - m0), v1 = beta2 * get(old_v, i, left, false, 0) + grow2 * g * g, under = v1;
        put(m, i, left, false, m1);
        put(v, i, left, false, v1);
        if (most) {
            vf o = get(old_most, i, left, false, 0);
            under = vsel(o > v1, o, v1);
            put(most, i, left, false, under);
        }
        put(param, i, left, false, p - step_size * m1 / (vsqrt(under) * root + eps));
    }
}

static void adam_piece(const update *s, int64_t begin, int64_t end)
{
    if (((const double *)s->base.base.in[5])[MU_UPDATE_MAX_VALUE] > 0)
        adam_range(s, begin, end, true);
    else
        adam_range(s, begin, end, false);
}

static mu_err run_sgd(mu_kernel *kernel, const mu_run *run)
{
    (void)run;
    if (!skipped(kernel))
        run_pieces((const update *)kernel, sgd_piece);
    return MU_OK;
}

static mu_err run_adam(mu_kernel *kernel, const mu_run *run)
{
    (void)run;
    if (!skipped(kernel))
        run_pieces((const update *)kernel, adam_piece);
    return MU_OK;
}

/* One double per piece, joined in order: the sum does not depend on the number of threads. Squares of floats are exact in double, and the lanes are
 * told: nor does it depend on the compiler. */
static void square_piece(const update *s, int64_t begin, int64_t end)
{
    enum { LANES = 16 };
    const float *x = s->base.base.in[0];
    double lane[LANES] = {0};
    int64_t i = begin;
    for (; i + LANES <= end; i += LANES)
        for (int k = 0; k < LANES; k++)
            lane[k] += (double)x[i + k] * x[i + k];
    for (int k = 0; i < end; i++, k++)
        lane[k] += (double)x[i] * x[i];
    for (int n = LANES / 2; n > 0; n /= 2)
        for (int k = 0; k < n; k++)
            lane[k] += lane[k + n];
    ((double *)s->base.base.scratch)[begin / PIECE] = lane[0];
}

static mu_err run_square_sum(mu_kernel *kernel, const mu_run *run)
{
    const update *s = (const update *)kernel;
    (void)run;
    double sum = 0;
    run_pieces(s, square_piece);
    for (int64_t i = 0; i * PIECE < s->count; i++)
        sum += ((const double *)kernel->scratch)[i];
    *(double *)kernel->out[0] = sum;
    return MU_OK;
}

static bool supports(const mu_call *call, const char **why)
{
    *why = "the vectorised updates take f32";
    return call->in[0].dtype == MU_F32;
}

static mu_err setup(mu_simd_kernel *kernel)
{
    update *s = (update *)kernel;
    const mu_call *call = &kernel->base.call;
    s->count = mu_type_count(&call->in[0]);
    s->bytes = s->count * 4 * (call->n_in + call->n_out);
    if (call->op == &mu_op_square_sum)
        kernel->base.scratch_bytes = (size_t)((s->count + PIECE - 1) / PIECE) * sizeof(double);
    return MU_OK;
}

const mu_simd_impl SIMD(sgd) = {.size = sizeof(update), .supports = supports, .setup = setup, .run = run_sgd};
const mu_simd_impl SIMD(adam) = {.size = sizeof(update), .supports = supports, .setup = setup, .run = run_adam};
const mu_simd_impl SIMD(square_sum) = {
    .size = sizeof(update), .supports = supports, .setup = setup, .run = run_square_sum};
