#include "backend/simd/vmath.h"

#include <math.h>

/* Operations on rows of consecutive numbers: softmax and its gradients, cross-entropy, layer norm. */

typedef struct {
    mu_simd_kernel base;
    bool half;
    int64_t rows, n, parts; /* parts: pieces of the rows whose parameter gradients are summed apart */
} rows;

/* The largest number, not a NaN; -infinity of none. */
static float row_max(const void *x, int64_t at, int64_t n, bool half)
{
    vf most = vset(-__builtin_inff());
    float best = -__builtin_inff();
    for (int64_t i = 0; i < n; i += VL) {
        vf v = get(x, at + i, n - i, half, -__builtin_inff());
        most = vsel(v > most, v, most);
    }
    for (int l = 0; l < VL; l++)
        best = most[l] > best ? most[l] : best;
    return best;
}

static double row_sum_exp(const void *x, int64_t at, int64_t n, bool half, float most)
{
    vf sum = {0};
    for (int64_t i = 0; i < n; i += VL)
        sum += vexp(get(x, at + i, n - i, half, -__builtin_inff()) - most);
    return vhsum(sum);
}

static void softmax_row(const rows *s, int64_t at)
{
    const void *x = s->base.base.in[0];
    float most = row_max(x, at, s->n, s->half), scale = (float)(1 / row_sum_exp(x, at, s->n, s->half, most));
    if (isinf(most)) /* the fill of the tail would make 0 of what is NaN */
        scale = NAN;
    for (int64_t i = 0; i < s->n; i += VL)
        put(s->base.base.out[0], at + i, s->n - i, s->half, vexp(get(x, at + i, s->n - i, s->half, 0) - most) * scale);
}

static void log_softmax_into(const void *x, void *y, int64_t at, int64_t n, bool half)
{
    float most = row_max(x, at, n, half), shift = (float)log(row_sum_exp(x, at, n, half, most));
    if (isinf(most))
        shift = NAN;
    for (int64_t i = 0; i < n; i += VL)
        put(y, at + i, n - i, half, get(x, at + i, n - i, half, 0) - most - shift);
}

static void log_softmax_row(const rows *s, int64_t at)
{
    log_softmax_into(s->base.base.in[0], s->base.base.out[0], at, s->n, s->half);
}

static void softmax_grad_row(const rows *s, int64_t at)
{
    const void *dy = s->base.base.in[0], *y = s->base.base.in[1];
    vf sum = {0};
    for (int64_t i = 0; i < s->n; i += VL)
        sum += get(dy, at + i, s->n - i, s->half, 0) * get(y, at + i, s->n - i, s->half, 0);
    float total = vhsum(sum);
    for (int64_t i = 0; i < s->n; i += VL)
        put(s->base.base.out[0], at + i, s->n - i, s->half,
            get(y, at + i, s->n - i, s->half, 0) * (get(dy, at + i, s->n - i, s->half, 0) - total));
}

static void log_softmax_grad_row(const rows *s, int64_t at)
{
    const void *dy = s->base.base.in[0], *y = s->base.base.in[1];
    vf sum = {0};
    for (int64_t i = 0; i < s->n; i += VL)
        sum += get(dy, at + i, s->n - i, s->half, 0);
    float total = vhsum(sum);
    for (int64_t i = 0; i < s->n; i += VL)
        put(s->base.base.out[0], at + i, s->n - i, s->half,
            get(dy, at + i, s->n - i, s->half, 0) - vexp(get(y, at + i, s->n - i, s->half, 0)) * total);
}

static int threads_of(const rows *s)
{
    return mu_simd_threads(&s->base, s->rows * s->n * 12);
}

#define RUN(name)                                                                      \
    static mu_err run_##name(mu_kernel *kernel, const mu_run *run)                     \
    {                                                                                  \
        const rows *s = (const rows *)kernel;                                          \
        (void)run;                                                                     \
        _Pragma("omp parallel for num_threads(threads_of(s)) schedule(static)")        \
        for (int64_t i = 0; i < s->rows; i++)                                          \
            name##_row(s, i * s->n);                                                   \
        return MU_OK;                                                                  \
    }

RUN(softmax)
RUN(log_softmax)
RUN(softmax_grad)
RUN(log_softmax_grad)

static bool last_dim(const mu_call *call, const char **why)
{
    const mu_type *x = &call->in[0];
    int64_t dim = ((const mu_dim_attrs *)call->attrs)->dim, inner = 1;
    if (!mu_simd_one_float(call, why))
        return false;
    *why = "the vectorised kernel goes along the last dimension";
    for (int64_t d = dim + 1; d < x->ndim; d++)
        inner *= x->dim[d];
    return inner == 1;
}

static mu_err setup_softmax(mu_simd_kernel *kernel)
{
    rows *s = (rows *)kernel;
    const mu_type *x = &kernel->base.call.in[0];
    s->half = x->dtype == MU_BF16;
    s->n = x->dim[((const mu_dim_attrs *)kernel->base.call.attrs)->dim];
    s->rows = s->n ? mu_type_count(x) / s->n : 0;
    return MU_OK;
}

/* ---- cross-entropy of logits [N,C] and class indices or probabilities ---- */

static int64_t target_of(const mu_kernel *k, int operand, int64_t i)
{
    return k->call.in[operand].dtype == MU_I64 ? ((const int64_t *)k->in[operand])[i]
                                               : ((const int32_t *)k->in[operand])[i];
}

static mu_err check_targets(const rows *s)
{
    const mu_kernel *k = &s->base.base;
    const mu_loss_attrs *a = k->call.attrs;
    for (int64_t i = 0; i < s->rows; i++) {
        int64_t t = target_of(k, 1, i);
        if ((t < 0 || t >= s->n) && t != a->ignore_index) {
            MU_FAIL(MU_ERR_FORMAT, "cross_entropy \"%s\": the target of sample %lld is %lld, classes are 0 to %lld",
                    k->call.name ? k->call.name : "", (long long)i, (long long)t, (long long)s->n - 1);
            return mu_error_hint("compare num_classes with the labels; ignored ones are ignore_index, %lld",
                                 (long long)a->ignore_index);
        }
    }
    return MU_OK;
}

/* What log p counts in the loss: the smoothed target times the class weights. */
typedef struct {
    const float *soft, *weight; /* probabilities, NULL: class indices; of the classes, NULL: ones */
    double keep, even;          /* 1 - label smoothing; what each class gets of it */
} shares;

static shares shares_of(const rows *s, int target)
{
    const mu_kernel *k = &s->base.base;
    double smooth = ((const mu_loss_attrs *)k->call.attrs)->label_smoothing;
    return (shares){k->call.in[target].dtype == MU_F32 ? k->in[target] : NULL,
                    mu_simd_in(&k->call, target + 1) ? k->in[target + 1] : NULL, 1 - smooth, smooth / (double)s->n};
}

static double weight_of(const shares *q, int64_t c)
{
    return q->weight ? (double)q->weight[c] : 1;
}

static bool is_ignored(const rows *s, const shares *q, int target, int64_t row)
{
    const mu_kernel *k = &s->base.base;
    return !q->soft && target_of(k, target, row) == ((const mu_loss_attrs *)k->call.attrs)->ignore_index;
}

/* Classes i to i + VL of the row at `at`; without what a class index adds. */
SIMD_INLINE vf share_at(const shares *q, int64_t at, int64_t i, int64_t left)
{
    vf share = vset((float)q->even);
    if (q->soft)
        share += get(q->soft, at + i, left, false, 0) * (float)q->keep;
    return q->weight ? share * get(q->weight, i, left, false, 0) : share;
}

/* Of a row, in f32 over a few vectors, these in f64. What has no share does not count, whatever its log p. */
static double share_sum(const shares *q, const float *log_p, int64_t at, int64_t n)
{
    double sum = 0;
    for (int64_t begin = 0; begin < n; begin += 8 * VL) {
        vf part = {0};
        for (int64_t i = begin; i < n && i < begin + 8 * VL; i += VL) {
            vf share = share_at(q, at, i, n - i);
            part += vsel(share == 0, vset(0), share * get(log_p, at + i, n - i, false, 0));
        }
        sum += (double)vhsum(part);
    }
    return sum;
}

static double loss_of(const rows *s, const shares *q, int64_t row)
{
    const float *log_p = s->base.base.out[1];
    int64_t at = row * s->n;
    double sum = q->soft || q->even > 0 ? share_sum(q, log_p, at, s->n) : 0;
    if (q->soft)
        return -sum;
    int64_t t = target_of(&s->base.base, 1, row);
    double share = q->keep * weight_of(q, t);
    return -(sum + (share == 0 ? 0 : share * (double)log_p[at + t]));
}

static mu_err run_cross_entropy(mu_kernel *kernel, const mu_run *run)
{
    const rows *s = (const rows *)kernel;
    const mu_loss_attrs *a = kernel->call.attrs;
    const shares q = shares_of(s, 1);
    double *one = kernel->scratch, sum = 0, counted = 0;
    float *loss = kernel->out[0];
    (void)run;
    if (!q.soft)
        MU_TRY(check_targets(s));
#pragma omp parallel for num_threads(threads_of(s)) schedule(static)
    for (int64_t i = 0; i < s->rows; i++) {
        log_softmax_into(kernel->in[0], kernel->out[1], i * s->n, s->n, false);
        one[i] = is_ignored(s, &q, 1, i) ? 0 : loss_of(s, &q, i);
    }
    for (int64_t i = 0; i < s->rows; i++) {
        sum += one[i];
        if (!is_ignored(s, &q, 1, i))
            counted += q.soft ? 1 : weight_of(&q, target_of(kernel, 1, i));
        if (a->reduction == MU_REDUCE_NONE)
            loss[i] = (float)one[i];
    }
    double n = a->reduction == MU_REDUCE_MEAN ? counted : 1;
    if (a->reduction != MU_REDUCE_NONE)
        loss[0] = (float)(sum / n);
    *(float *)kernel->out[2] = (float)n;
    return MU_OK;
}

/* Sum over the classes of x times weight; x NULL: ones. */
static double weighted_sum(const shares *q, const float *x, int64_t n)
{
    double sum = 0;
    for (int64_t c = 0; c < n; c++)
        sum += (x ? (double)x[c] : 1) * weight_of(q, c);
    return sum;
}

static void cross_entropy_grad_row(const rows *s, const shares *q, int64_t row, float scale, double weights)
{
    const float *log_p = s->base.base.in[1];
    float *dx = s->base.base.out[0];
    int64_t at = row * s->n, t = q->soft ? -1 : target_of(&s->base.base, 2, row);
    bool is_class = t >= 0 && t < s->n;
    double share = is_class ? q->keep * weight_of(q, t) : 0;
    double total = q->even * weights + (q->soft ? q->keep * weighted_sum(q, q->soft + at, s->n) : share);
    double chosen = is_class ? (double)log_p[at + t] : 0; /* read first: dx may lie in log_p's memory */
    for (int64_t i = 0; i < s->n; i += VL)
        put(dx, at + i, s->n - i, false,
            (vexp(get(log_p, at + i, s->n - i, false, 0)) * (float)total - share_at(q, at, i, s->n - i)) * scale);
    if (is_class)
        dx[at + t] = (float)((exp(chosen) * total - q->even * weight_of(q, t) - share) * (double)scale);
}

static mu_err run_cross_entropy_grad(mu_kernel *kernel, const mu_run *run)
{
    const rows *s = (const rows *)kernel;
    const mu_loss_attrs *a = kernel->call.attrs;
    const shares q = shares_of(s, 2);
    const float *dloss = kernel->in[0];
    float *dx = kernel->out[0], n = a->reduction == MU_REDUCE_MEAN ? *(const float *)kernel->in[4] : 1;
    double weights = weighted_sum(&q, NULL, s->n);
    (void)run;
#pragma omp parallel for num_threads(threads_of(s)) schedule(static)
    for (int64_t r = 0; r < s->rows; r++) {
        if (is_ignored(s, &q, 2, r))
            memset(dx + r * s->n, 0, (size_t)s->n * sizeof *dx);
        else
            cross_entropy_grad_row(s, &q, r, dloss[a->reduction == MU_REDUCE_NONE ? r : 0] / n, weights);
    }
    return MU_OK;
}

static bool plain_rows(const mu_call *call, const char **why)
{
    bool backward = call->op == &mu_op_cross_entropy_grad;
    const mu_type *x = &call->in[backward];
    *why = "the vectorised kernel takes f32 [N,C]";
    return x->dtype == MU_F32 && x->ndim == 2;
}

static mu_err setup_cross_entropy(mu_simd_kernel *kernel)
{
    rows *s = (rows *)kernel;
    bool backward = kernel->base.call.op == &mu_op_cross_entropy_grad;
    const mu_type *x = &kernel->base.call.in[backward];
    s->rows = x->dim[0];
    s->n = x->dim[1];
    if (!backward)
        kernel->base.scratch_bytes = (size_t)s->rows * sizeof(double);
    return MU_OK;
}

/* ---- layer norm ---- */

static void layer_norm_row(const rows *s, int64_t at)
{
    const mu_kernel *k = &s->base.base;
    const float *gamma = mu_simd_address(k, 1), *beta = mu_simd_address(k, 2);
    double eps = ((const mu_norm_attrs *)k->call.attrs)->eps;
    vf sum = {0}, square = {0};
    for (int64_t i = 0; i < s->n; i += VL)
        sum += get(k->in[0], at + i, s->n - i, s->half, 0);
    float mean = vhsum(sum) / (float)s->n;
    for (int64_t i = 0; i < s->n; i += VL) {
        vf d = get(k->in[0], at + i, s->n - i, s->half, mean) - mean;
        square += d * d;
    }
    float rstd = (float)(1 / sqrt((double)vhsum(square) / (double)s->n + eps));
    for (int64_t i = 0; i < s->n; i += VL) {
        vf y = (get(k->in[0], at + i, s->n - i, s->half, 0) - mean) * rstd;
        if (gamma)
            y *= get(gamma, i, s->n - i, false, 0);
        if (beta)
            y += get(beta, i, s->n - i, false, 0);
        put(k->out[0], at + i, s->n - i, s->half, y);
    }
    ((float *)k->out[1])[at / s->n] = mean;
    ((float *)k->out[2])[at / s->n] = rstd;
}

RUN(layer_norm)

/* dx of a row; adds to the sums of dgamma and dbeta where those are given. */
static void layer_norm_grad_row(const rows *s, int64_t at, float *dgamma, float *dbeta)
{
    const mu_kernel *k = &s->base.base;
    const float *gamma = mu_simd_address(k, 2);
    const float mean = ((const float *)k->in[3])[at / s->n], rstd = ((const float *)k->in[4])[at / s->n];
    vf sum = {0}, product = {0};
    for (int64_t i = 0; i < s->n; i += VL) {
        int64_t left = s->n - i;
        vf d = get(k->in[0], at + i, left, s->half, 0), x = (get(k->in[1], at + i, left, s->half, 0) - mean) * rstd;
        if (dgamma) {
            put(dgamma, i, left, false, get(dgamma, i, left, false, 0) + d * x);
            put(dbeta, i, left, false, get(dbeta, i, left, false, 0) + d);
        }
        if (gamma)
            d *= get(gamma, i, left, false, 0);
        sum += d;
        product += d * x;
    }
    float a = vhsum(sum) / (float)s->n, b = vhsum(product) / (float)s->n;
    for (int64_t i = 0; i < s->n; i += VL) {
        int64_t left = s->n - i;
        vf d = get(k->in[0], at + i, left, s->half, 0), x = (get(k->in[1], at + i, left, s->half, 0) - mean) * rstd;
        if (gamma)
            d *= get(gamma, i, left, false, 0);
        put(k->out[0], at + i, left, s->half, rstd * (d - a - x * b));
    }
}

static mu_err run_layer_norm_grad(mu_kernel *kernel, const mu_run *run)
{
    const rows *s = (const rows *)kernel;
    float *dgamma = kernel->out[1], *dbeta = kernel->out[2], *sums = kernel->scratch;
    (void)run;
#pragma omp parallel for num_threads(threads_of(s)) schedule(static)
    for (int64_t part = 0; part < s->parts; part++) {
        float *own = dgamma ? sums + part * 2 * s->n : NULL;
        int64_t begin, end;
        mu_simd_part(s->rows, s->parts, part, &begin, &end);
        if (own)
            memset(own, 0, (size_t)(2 * s->n) * sizeof *own);
        for (int64_t r = begin; r < end; r++)
            layer_norm_grad_row(s, r * s->n, own, own ? own + s->n : NULL);
    }
    for (int64_t i = 0; dgamma && i < s->n; i++) {
        double g = 0, b = 0;
        for (int64_t part = 0; part < s->parts; part++) {
            g += sums[part * 2 * s->n + i];
            b += sums[(part * 2 + 1) * s->n + i];
        }
        dgamma[i] = (float)g;
        dbeta[i] = (float)b;
    }
    return MU_OK;
}

static bool norm_supports(const mu_call *call, const char **why)
{
    *why = "the vectorised kernel takes x in f32 or bf16";
    return call->in[0].dtype == MU_F32 || call->in[0].dtype == MU_BF16;
}

static mu_err setup_layer_norm(mu_simd_kernel *kernel)
{
    enum { MOST_PARTS = 64 };
    rows *s = (rows *)kernel;
    const mu_call *call = &kernel->base.call;
    const mu_type *x = &call->in[0];
    s->half = x->dtype == MU_BF16;
    s->n = 1;
    for (int64_t d = x->ndim - ((const mu_norm_attrs *)call->attrs)->normalized_ndim; d < x->ndim; d++)
        s->n *= x->dim[d];
    s->rows = 1;
    for (int64_t d = 0; d < x->ndim - ((const mu_norm_attrs *)call->attrs)->normalized_ndim; d++)
        s->rows *= x->dim[d];
    s->parts = s->rows < MOST_PARTS ? s->rows : MOST_PARTS;
    if (call->op == &mu_op_layer_norm_grad && call->out[1].dtype != MU_NONE)
        kernel->base.scratch_bytes = (size_t)(s->parts * 2 * s->n) * sizeof(float);
    return MU_OK;
}

#define IMPL(name, supports_, setup_) \
    const mu_simd_impl SIMD(name) = {.size = sizeof(rows), .supports = supports_, .setup = setup_, .run = run_##name}

IMPL(softmax, last_dim, setup_softmax);
IMPL(log_softmax, last_dim, setup_softmax);
IMPL(softmax_grad, last_dim, setup_softmax);
IMPL(log_softmax_grad, last_dim, setup_softmax);
IMPL(cross_entropy, plain_rows, setup_cross_entropy);
IMPL(cross_entropy_grad, plain_rows, setup_cross_entropy);
IMPL(layer_norm, norm_supports, setup_layer_norm);
IMPL(layer_norm_grad, norm_supports, setup_layer_norm);
