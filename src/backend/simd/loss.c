#include "backend/simd/vmath.h"

#include <math.h>

/* The losses whose target is of x's shape. Chunks fix the order of summation, whatever the number of threads. */

enum { CHUNK = 1 << 14, PIECE = 64 * VL };

typedef struct {
    mu_simd_kernel base;
    bool half;
    int64_t n, row, chunks; /* row: elements after which weights start again */
    int64_t period[2];      /* of weight and pos_weight: 1, row or n */
} loss;

/* Target, weights and attributes of VL elements, in single precision. */
typedef struct {
    vf t, w, pos;
    float alpha, beta, gamma;
    bool log_target;
} setting;

typedef vf point_fn(vf x, const setting *s);

SIMD_INLINE vf sign_of(vf x)
{
    return vsel(x > 0, vset(1), vsel(x < 0, vset(-1), x));
}

SIMD_INLINE vf mse_loss(vf x, const setting *s)
{
    return (x - s->t) * (x - s->t);
}

SIMD_INLINE vf mse_loss_grad(vf x, const setting *s)
{
    return 2 * (x - s->t);
}

SIMD_INLINE vf l1_loss(vf x, const setting *s)
{
    return vabs(x - s->t);
}

SIMD_INLINE vf l1_loss_grad(vf x, const setting *s)
{
    return sign_of(x - s->t);
}

SIMD_INLINE vf smooth_l1_loss(vf x, const setting *s)
{
    vf d = vabs(x - s->t);
    return vsel(d < s->beta, d * d / (2 * s->beta), d - s->beta / 2);
}

SIMD_INLINE vf smooth_l1_loss_grad(vf x, const setting *s)
{
    vf d = x - s->t;
    return vsel(vabs(d) < s->beta, d / s->beta, sign_of(d));
}

SIMD_INLINE vf kl_div(vf x, const setting *s)
{
    if (s->log_target)
        return vexp(s->t) * (s->t - x);
    return vsel(s->t == 0, vset(0), s->t * vlog(s->t)) - s->t * x;
}

SIMD_INLINE vf kl_div_grad(vf x, const setting *s)
{
    (void)x;
    return s->log_target ? -vexp(s->t) : -s->t;
}

/* log(1 + z), 0 <= z <= 1. */
SIMD_INLINE vf log1p_of(vf z)
{
    vf u = 1 + z;
    return vlog(u) + (z - (u - 1)) / u;
}

/* Split at 0 so that large terms of opposite sign do not meet: c * log(1 + e^-|x|) and what is linear in x. */
SIMD_INLINE vf bce_with_logits(vf x, const setting *s)
{
    vf c = 1 + (s->pos - 1) * s->t, linear = vsel(x < 0, -s->pos * s->t, 1 - s->t) * x;
    return s->w * (linear + c * log1p_of(vexp(-vabs(x))));
}

SIMD_INLINE vf bce_with_logits_grad(vf x, const setting *s)
{
    vf c = 1 + (s->pos - 1) * s->t, e = vexp(-vabs(x)), small = c * e / (1 + e);
    return s->w * vsel(x < 0, small - s->pos * s->t, 1 - s->t - small);
}

SIMD_INLINE vf power_of(vf x, float e)
{
    enum { MOST = 8 };
    vf r = vset(1);
    if (e == (float)(int)e && e <= MOST) {
        for (int i = 0; i < (int)e; i++)
            r *= x;
        return r;
    }
    for (int l = 0; l < VL; l++)
        r[l] = powf(x[l], e);
    return r;
}

SIMD_INLINE vf focal_balance(const setting *s)
{
    return s->alpha < 0 ? vset(1) : s->alpha * s->t + (1 - s->alpha) * (1 - s->t);
}

/* sigmoid(x), and sigmoid(-x) without cancellation. */
SIMD_INLINE vf sigmoids(vf x, vf *of_minus)
{
    vf e = vexp(-vabs(x)), big = 1 / (1 + e), small = e / (1 + e);
    *of_minus = vsel(x < 0, big, small);
    return vsel(x < 0, small, big);
}

SIMD_INLINE vf focal_loss(vf x, const setting *s)
{
    vf minus, plus = sigmoids(x, &minus), miss = s->t * minus + (1 - s->t) * plus;
    return focal_balance(s) * power_of(miss, s->gamma) * bce_with_logits(x, s);
}

SIMD_INLINE vf focal_loss_grad(vf x, const setting *s)
{
    vf minus, plus = sigmoids(x, &minus), miss = s->t * minus + (1 - s->t) * plus;
    vf slope = bce_with_logits_grad(x, s) * power_of(miss, s->gamma);
    if (s->gamma > 0) {
        vf more = bce_with_logits(x, s) * s->gamma * power_of(miss, s->gamma - 1) * ((1 - 2 * s->t) * plus * minus);
        slope += vand(miss > 0, more);
    }
    return focal_balance(s) * slope;
}

static setting setting_of(const mu_kernel *k)
{
    const mu_loss_attrs *a = k->call.attrs;
    return (setting){.w = vset(1),
                     .pos = vset(1),
                     .alpha = (float)a->alpha,
                     .beta = (float)a->beta,
                     .gamma = (float)a->gamma,
                     .log_target = a->log_target};
}

/* Elements i.. of weight k, which stand in column `column` of their row. */
SIMD_INLINE vf weight(const loss *s, const void *w, int k, int64_t i, int64_t column, int64_t left, bool half)
{
    if (!w)
        return vset(1);
    return s->period[k] == 1 ? vset(load1(w, 0, half)) : get(w, s->period[k] == s->n ? i : column, left, half, 0);
}

/* Elements [begin, end), all in one row; `first` is the operand x. Values go to y (may be NULL), times scale, which
 * dloss (one for each element) may give. Returns their sum. */
SIMD_INLINE double sweep(const loss *s, int first, int64_t begin, int64_t end, const void *dloss, float scale, void *y,
                         point_fn point, bool half)
{
    const mu_kernel *k = &s->base.base;
    const void *x = k->in[first], *t = k->in[first + 1];
    const void *w = mu_simd_address(k, first + 2), *pos = mu_simd_address(k, first + 3);
    setting set = setting_of(k);
    int64_t row = begin - begin % s->row;
    double total = 0;
    for (int64_t start = begin; start < end; start += PIECE) {
        int64_t stop = end - start < PIECE ? end : start + PIECE;
        vf part = {0};
        for (int64_t i = start; i < stop; i += VL) {
            int64_t left = stop - i, column = i - row;
            set.t = get(t, i, left, half, 0);
            set.w = weight(s, w, 0, i, column, left, half);
            set.pos = weight(s, pos, 1, i, column, left, half);
            vf v = point(get(x, i, left, half, 0), &set);
            if (left < VL)
                v = load_part(&v, 0, left, false, 0);
            part += v;
            if (y)
                put(y, i, left, half, v * (dloss ? get(dloss, i, left, half, 0) : vset(1)) * scale);
        }
        total += vhsum(part);
    }
    return total;
}

SIMD_INLINE double chunk_of(const loss *s, int first, int64_t chunk, const void *dloss, float scale, void *y,
                            point_fn point, bool half)
{
    int64_t i = chunk * CHUNK, end = s->n - i < CHUNK ? s->n : i + CHUNK;
    double total = 0;
    while (i < end) {
        int64_t left = s->row - i % s->row, stop = end - i < left ? end : i + left;
        total += sweep(s, first, i, stop, dloss, scale, y, point, half);
        i = stop;
    }
    return total;
}

static int threads_of(const loss *s)
{
    return mu_simd_threads(&s->base, s->n * 16);
}

/* Values of a chunk of elements, as sweep. */
typedef double chunk_fn(const loss *s, int first, int64_t chunk, const void *dloss, float scale, void *y);

static void value(const loss *s, chunk_fn *chunk)
{
    const mu_kernel *k = &s->base.base;
    int reduction = ((const mu_loss_attrs *)k->call.attrs)->reduction;
    void *each = reduction == MU_REDUCE_NONE ? k->out[0] : NULL;
    double *sums = k->scratch, sum = 0;
#pragma omp parallel for num_threads(threads_of(s)) schedule(static)
    for (int64_t i = 0; i < s->chunks; i++)
        sums[i] = chunk(s, 0, i, NULL, 1, each);
    for (int64_t i = 0; i < s->chunks; i++)
        sum += sums[i];
    if (!each)
        store1(k->out[0], 0, s->half, (float)(reduction == MU_REDUCE_MEAN ? sum / (double)s->n : sum));
}

static void gradient(const loss *s, chunk_fn *chunk)
{
    const mu_kernel *k = &s->base.base;
    int reduction = ((const mu_loss_attrs *)k->call.attrs)->reduction;
    const void *each = reduction == MU_REDUCE_NONE ? k->in[0] : NULL;
    float scale = each ? 1 : (float)(load1(k->in[0], 0, s->half) / (reduction == MU_REDUCE_MEAN ? (double)s->n : 1.0));
#pragma omp parallel for num_threads(threads_of(s)) schedule(static)
    for (int64_t i = 0; i < s->chunks; i++)
        (void)chunk(s, 1, i, each, scale, k->out[0]);
}

/* The elements of w's pattern when it repeats along x without strides: 1, the trailing dimensions' count, or all; else
 * 0. */
static int64_t period_of(const mu_type *x, const mu_type *w)
{
    int64_t n = mu_type_count(w);
    int d = x->ndim, e = w->ndim;
    if (n <= 1)
        return n;
    while (e > 0 && w->dim[e - 1] == x->dim[d - 1])
        d--, e--;
    for (; e > 0; e--)
        if (w->dim[e - 1] != 1)
            return 0;
    return n;
}

/* The operand x: after dloss in a gradient. */
static int first_of(const mu_call *call)
{
    return strstr(call->op->name, "_grad") != NULL;
}

static bool geometry(const mu_call *call, loss *s)
{
    int first = first_of(call);
    const mu_type *x = &call->in[first];
    s->n = s->row = mu_type_count(x);
    for (int k = 0; k < 2; k++) {
        const mu_type *w = mu_simd_in(call, first + 2 + k);
        s->period[k] = w ? period_of(x, w) : 1;
        if (s->n > 0 && s->period[k] == 0)
            return false;
        if (s->period[k] != 1 && s->period[k] != s->n) {
            if (s->row != s->n && s->row != s->period[k])
                return false;
            s->row = s->period[k];
        }
    }
    return true;
}

static bool supports(const mu_call *call, const char **why)
{
    loss s;
    if (!mu_simd_one_float(call, why))
        return false;
    *why = "the vectorised kernel takes weights of x's trailing dimensions";
    return geometry(call, &s);
}

static mu_err setup(mu_simd_kernel *kernel)
{
    loss *s = (loss *)kernel;
    (void)geometry(&kernel->base.call, s);
    s->half = kernel->base.call.in[0].dtype == MU_BF16;
    s->chunks = (s->n + CHUNK - 1) / CHUNK;
    kernel->base.scratch_bytes = (size_t)s->chunks * sizeof(double);
    return MU_OK;
}

#define KERNEL(name, what)                                                                                             \
    static double name##_chunk(const loss *s, int first, int64_t i, const void *dloss, float scale, void *y)           \
    {                                                                                                                  \
        return s->half ? chunk_of(s, first, i, dloss, scale, y, name, true)                                            \
                       : chunk_of(s, first, i, dloss, scale, y, name, false);                                          \
    }                                                                                                                  \
    static mu_err run_##name(mu_kernel *kernel, const mu_run *run)                                                     \
    {                                                                                                                  \
        (void)run;                                                                                                     \
        what((const loss *)kernel, name##_chunk);                                                                      \
        return MU_OK;                                                                                                  \
    }                                                                                                                  \
    const mu_simd_impl SIMD(name) = {.size = sizeof(loss), .supports = supports, .setup = setup, .run = run_##name};
#define LOSS(name) KERNEL(name, value) KERNEL(name##_grad, gradient)

LOSS(bce_with_logits)
LOSS(focal_loss)
LOSS(kl_div)
LOSS(l1_loss)
LOSS(mse_loss)
LOSS(smooth_l1_loss)
