#include "backend/simd/vmath.h"
#include "ops/unary.h"

#include <math.h>

/* Element-wise operations and chains of them: a sweep in blocks that stay in the first-level cache. Registers hold f32;
 * operands that are f32 of the output's shape are read where they lie, the others are converted or broadcast into a
 * register. */

enum { BLOCK = 512, MAX_IN = MU_CHAIN_MAX_IN, MAX_REG = MU_CHAIN_MAX_IN + MU_CHAIN_MAX };

/* n is a multiple of VL. */
typedef void step_fn(float *y, const float *const *arg, int64_t n, float alpha, float beta);

#define STEP(name_, ...)                                                                            \
    static void name_##_step(float *y, const float *const *arg, int64_t n, float alpha, float beta) \
    {                                                                                               \
        (void)alpha, (void)beta;                                                                    \
        const float *const p = arg[0], *const q = arg[1], *const r = arg[2];                        \
        (void)q, (void)r;                                                                           \
        for (int64_t i = 0; i < n; i += VL) {                                                       \
            vf a = vload(p + i);                                                                    \
            vstore(y + i, __VA_ARGS__);                                                             \
        }                                                                                           \
    }
#define B vload(q + i)
#define C vload(r + i)

SIMD_INLINE vf choose(vi mask)
{
    return vand(mask, vset(1.0f));
}

SIMD_INLINE vf hard_sigmoid(vf x)
{
    return vsel(x <= -3.0f, vset(0), vsel(x >= 3.0f, vset(1), x / 6.0f + 0.5f));
}

SIMD_INLINE vf hard_swish(vf x)
{
    return vsel(x <= -3.0f, vset(0), vsel(x >= 3.0f, x, x * (x + 3.0f) / 6.0f));
}

/* The two forms of gelu (Hendrycks and Gimpel 2016) and their slopes. */
SIMD_INLINE vf gelu_inner(vf x)
{
    return 0.79788456080286536f * (x + 0.044715f * x * x * x);
}

SIMD_INLINE vf gelu_erf(vf x)
{
    vf y = 0.5f * x * verfc(x * -0.70710678118654752f);
    return vsel(x == -__builtin_inff(), vset(__builtin_nanf("")), y); /* -inf * 0 */
}

SIMD_INLINE vf gelu_tanh(vf x)
{
    /* 1 + tanh(u) = 2 sigmoid(2u), which does not cancel */
    return x * vsigmoid(2.0f * gelu_inner(x));
}

/* x within a range beyond which the factors of the slopes are 0; an infinity becomes NaN, as 0 times it is. */
SIMD_INLINE vf bounded(vf x)
{
    vf y = vsel(x > 40.0f, vset(40.0f), vsel(x < -40.0f, vset(-40.0f), x));
    return vsel(vabs(x) == __builtin_inff(), x * 0.0f, y);
}

SIMD_INLINE vf gelu_erf_slope(vf x)
{
    vf b = bounded(x);
    return 0.5f * verfc(x * -0.70710678118654752f) + b * vexp_minus_square(b, 0.5f) * 0.39894228040143268f;
}

SIMD_INLINE vf gelu_tanh_slope(vf x)
{
    vf b = bounded(x), u = 2.0f * gelu_inner(b), s = vsigmoid(u);
    return s + b * s * vsigmoid(-u) * 1.59576912160573072f * (1.0f + 0.134145f * b * b);
}

SIMD_INLINE vf silu_slope(vf x)
{
    vf s = vsigmoid(x);
    return s * (1.0f + x * (1.0f - s));
}

/* One operand. */
STEP(copy, a)
STEP(truth, choose(a != 0.0f))
STEP(abs, vabs(a))
STEP(clamp, vsel(a < alpha, vset(alpha), vsel(a > beta, vset(beta), a)))
STEP(exp, vexp(a))
STEP(gelu, gelu_erf(a))
STEP(gelu_by_tanh, gelu_tanh(a))
STEP(hard_sigmoid, hard_sigmoid(a))
STEP(hard_swish, hard_swish(a))
STEP(leaky_relu, vsel(a > 0.0f, a, alpha * a))
STEP(log, vlog(a))
STEP(neg, -a)
STEP(relu, vand(~(a <= 0.0f), a))
STEP(relu6, vsel(a > 6.0f, vset(6), vand(~(a <= 0.0f), a)))
STEP(sigmoid, vsigmoid(a))
STEP(silu, a / (1.0f + vexp(-a)))
STEP(sqrt, vsqrt(a))
STEP(tanh, vtanh(a))

/* (dy, x) or (dy, y). */
STEP(abs_grad, vsel(B > 0.0f, a, vsel(B < 0.0f, -a, B * a)))
STEP(clamp_grad, vand((B > alpha) & (B < beta), a))
STEP(gelu_grad, a * gelu_erf_slope(B))
STEP(gelu_by_tanh_grad, a * gelu_tanh_slope(B))
STEP(hard_sigmoid_grad, vand((B > -3.0f) & (B < 3.0f), a / 6.0f))
STEP(hard_swish_grad, vsel(B <= -3.0f, vset(0), vsel(B >= 3.0f, a, a * (B / 3.0f + 0.5f))))
STEP(leaky_relu_grad, vsel(B > 0.0f, a, alpha * a))
STEP(relu_grad, vand(B > 0.0f, a))
STEP(relu6_grad, vand((B > 0.0f) & (B < 6.0f), a))
STEP(sigmoid_grad, a * B * (1.0f - B))
STEP(silu_grad, a * silu_slope(B))
STEP(tanh_grad, a * (1.0f - B * B))

/* Two and three operands. */
STEP(add, a + B)
STEP(sub, a - B)
STEP(mul, a * B)
STEP(div, a / B)
STEP(maximum, vmax(a, B))
STEP(minimum, vmin(a, B))
STEP(equal, choose(a == B))
STEP(not_equal, choose(a != B))
STEP(less, choose(a < B))
STEP(less_equal, choose(a <= B))
STEP(greater, choose(a > B))
STEP(greater_equal, choose(a >= B))
STEP(where, vsel(a != 0.0f, B, C))
STEP(square, a * a)

#undef B
#undef C

static bool all_are(const float *x, float value, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (x[i] != value)
            return false;
    return true;
}

static void power_step(float *y, const float *const *arg, int64_t n, float alpha, float beta)
{
    const float *a = arg[0], *b = arg[1];
    if (all_are(b, 2, n)) {
        square_step(y, arg, n, alpha, beta);
        return;
    }
    for (int64_t i = 0; i < n; i++)
        y[i] = powf(a[i], b[i]);
}

/* `by_tanh`: the attributes ask for gelu's tanh form. `to`: what a cast gives. */
static step_fn *find_step(const mu_op *op, bool by_tanh, mu_dtype to)
{
    static const struct {
        const mu_op *op;
        step_fn *fn;
    } table[] = {
#define ROW(name) {&mu_op_##name, name##_step},
        ROW(abs) ROW(clamp) ROW(exp) ROW(gelu) ROW(hard_sigmoid) ROW(hard_swish) ROW(leaky_relu) ROW(log) ROW(neg)
            ROW(relu) ROW(relu6) ROW(sigmoid) ROW(silu) ROW(sqrt) ROW(tanh) ROW(abs_grad) ROW(clamp_grad) ROW(gelu_grad)
                ROW(hard_sigmoid_grad) ROW(hard_swish_grad) ROW(leaky_relu_grad) ROW(relu_grad) ROW(relu6_grad)
                    ROW(sigmoid_grad) ROW(silu_grad) ROW(tanh_grad) ROW(add) ROW(sub) ROW(mul) ROW(div) ROW(power)
                        ROW(maximum) ROW(minimum) ROW(equal) ROW(not_equal) ROW(less) ROW(less_equal) ROW(greater)
                            ROW(greater_equal) ROW(where)
#undef ROW
    };
    if (op == &mu_op_cast)
        return to == MU_BOOL ? truth_step : copy_step;
    if (op == &mu_op_gelu && by_tanh)
        return gelu_by_tanh_step;
    if (op == &mu_op_gelu_grad && by_tanh)
        return gelu_by_tanh_grad_step;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].op == op)
            return table[i].fn;
    return NULL;
}

typedef struct {
    step_fn *fn;
    float alpha, beta;
    signed char arg[3];
} step;

typedef enum { DIRECT, CONVERT, SCALAR, BROADCAST } fetch_mode;

typedef struct {
    fetch_mode mode;
    mu_dtype dtype;
    int ndim; /* BROADCAST: the output's shape with dimensions merged, and the operand's strides in it */
    int64_t dim[MU_MAX_NDIM], stride[MU_MAX_NDIM];
} fetch;

typedef struct {
    mu_simd_kernel base;
    int n_in, n_steps, n_out;
    fetch in[MAX_IN];
    step step[MU_CHAIN_MAX];
    signed char out[MU_CHAIN_MAX_OUT];
    mu_dtype out_dtype[MU_CHAIN_MAX_OUT];
    int64_t count, bytes;
} program;

static void convert_in(float *y, const void *p, mu_dtype dtype, int64_t i, int64_t n)
{
    int64_t k = 0;
    switch (dtype) {
    case MU_F32: memcpy(y, (const float *)p + i, (size_t)n * sizeof *y); return;
    case MU_BF16:
        for (; k + VL <= n; k += VL)
            vstore(y + k, load(p, i + k, true));
        for (; k < n; k++)
            y[k] = load1(p, i + k, true);
        return;
    case MU_U8:
    case MU_BOOL:
        for (; k < n; k++)
            y[k] = (float)((const uint8_t *)p)[i + k];
        return;
    case MU_I32:
        for (; k < n; k++)
            y[k] = (float)((const int32_t *)p)[i + k];
        return;
    default:
        for (; k < n; k++)
            y[k] = (float)((const int64_t *)p)[i + k];
        return;
    }
}

static void convert_out(void *p, mu_dtype dtype, int64_t i, const float *x, int64_t n)
{
    int64_t k = 0;
    switch (dtype) {
    case MU_F32: memcpy((float *)p + i, x, (size_t)n * sizeof *x); return;
    case MU_BF16:
        for (; k + VL <= n; k += VL)
            store(p, i + k, true, vload(x + k));
        for (; k < n; k++)
            store1(p, i + k, true, x[k]);
        return;
    default: /* bool */
        for (; k < n; k++)
            ((uint8_t *)p)[i + k] = (uint8_t)x[k];
        return;
    }
}

static void fill(float *y, float x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = x;
}

/* Elements i..i+n-1 of the output's index space, seen through the strides. */
static void broadcast(float *y, const void *p, const fetch *f, int64_t i, int64_t n)
{
    int64_t index[MU_MAX_NDIM], at = 0;
    for (int d = f->ndim - 1; d >= 0; d--) {
        index[d] = i % f->dim[d];
        at += index[d] * f->stride[d];
        i /= f->dim[d];
    }
    int last = f->ndim - 1;
    while (n > 0) {
        int64_t run = f->dim[last] - index[last] < n ? f->dim[last] - index[last] : n;
        if (f->stride[last] == 1) {
            convert_in(y, p, f->dtype, at, run);
        } else {
            float x;
            convert_in(&x, p, f->dtype, at, 1);
            fill(y, x, run);
        }
        y += run;
        n -= run;
        at -= index[last] * f->stride[last];
        index[last] = 0;
        for (int d = last - 1; d >= 0; d--) {
            at += f->stride[d];
            if (++index[d] < f->dim[d])
                break;
            at -= f->dim[d] * f->stride[d];
            index[d] = 0;
        }
    }
}

/* One block: `full` when no vector reaches beyond the tensor. */
static void run_block(const program *self, float (*reg)[BLOCK], int64_t at, int64_t n, bool full)
{
    const mu_kernel *kernel = &self->base.base;
    const float *value[MAX_REG];
    for (int i = 0; i < self->n_in; i++) {
        const fetch *f = &self->in[i];
        value[i] = reg[i];
        if (f->mode == DIRECT && full)
            value[i] = (const float *)kernel->in[i] + at;
        else if (f->mode == DIRECT || f->mode == CONVERT)
            convert_in(reg[i], kernel->in[i], f->dtype, at, n);
        else if (f->mode == BROADCAST)
            broadcast(reg[i], kernel->in[i], f, at, n);
    }
    int64_t padded = (n + VL - 1) / VL * VL;
    bool in_place = false; /* the last step writes an f32 output where it belongs */
    for (int s = 0; s < self->n_steps; s++) {
        const step *st = &self->step[s];
        int r = self->n_in + s;
        const float *arg[3] = {NULL, NULL, NULL};
        for (int k = 0; k < 3; k++)
            if (st->arg[k] >= 0)
                arg[k] = value[(int)st->arg[k]];
        float *y = reg[r];
        if (s == self->n_steps - 1 && full && self->n_out == 1 && self->out[0] == r && self->out_dtype[0] == MU_F32) {
            y = (float *)kernel->out[0] + at;
            in_place = true;
        }
        st->fn(y, arg, padded, st->alpha, st->beta);
        value[r] = y;
    }
    for (int o = 0; o < self->n_out && !in_place; o++)
        convert_out(kernel->out[o], self->out_dtype[o], at, value[(int)self->out[o]], n);
}

/* Zeroes the channels beyond C of a blocked output. */
static void zero_padding(void *y, mu_dtype dtype, const mu_simd_view *v)
{
    size_t size = mu_dtype_size(dtype);
    int64_t used = v->c - (v->blocks - 1) * v->width;
    for (int64_t n = 0; n < v->n; n++)
        for (int64_t s = 0; s < v->space; s++) {
            int64_t at = (((n + 1) * v->blocks - 1) * v->space + s) * v->width + used;
            memset((char *)y + (size_t)at * size, 0, (size_t)(v->width - used) * size);
        }
}

static mu_err run(mu_kernel *kernel, const mu_run *run_args)
{
    (void)run_args;
    const program *self = (const program *)kernel;
    int64_t blocks = (self->count + BLOCK - 1) / BLOCK;
#pragma omp parallel num_threads(mu_simd_threads(&self->base, self->bytes))
    {
        _Alignas(64) float reg[MAX_REG][BLOCK];
        for (int i = 0; i < self->n_in; i++)
            if (self->in[i].mode == SCALAR) {
                convert_in(reg[i], kernel->in[i], self->in[i].dtype, 0, 1);
                fill(reg[i], reg[i][0], BLOCK);
            } else {
                memset(reg[i], 0, sizeof reg[i]);
            }
#pragma omp for schedule(static)
        for (int64_t b = 0; b < blocks; b++) {
            int64_t n = self->count - b * BLOCK < BLOCK ? self->count - b * BLOCK : BLOCK;
            run_block(self, reg, b * BLOCK, n, n == BLOCK);
        }
    }
    if (self->base.zero_tail)
        for (int o = 0; o < self->n_out; o++)
            zero_padding(kernel->out[o], self->out_dtype[o], &self->base.x);
    return MU_OK;
}

static bool readable(mu_dtype dtype)
{
    return dtype == MU_F32 || dtype == MU_BF16 || dtype == MU_BOOL;
}

static bool has_steps(const mu_chain_attrs *chain)
{
    for (int64_t i = 0; i < chain->n_steps; i++)
        if (chain->step[i].op == &mu_op_cast || !find_step(chain->step[i].op, false, MU_F32))
            return false;
    return true;
}

static bool supports(const mu_call *call, const char **why)
{
    *why = "the vectorised kernels compute f32 and bf16";
    bool cast = call->op == &mu_op_cast;
    for (int i = 0; i < call->n_in; i++)
        if (call->in[i].dtype != MU_NONE && !readable(call->in[i].dtype) &&
            !(cast && call->out[0].dtype == MU_F32 &&
              (call->in[i].dtype == MU_U8 || call->in[i].dtype == MU_I32 || call->in[i].dtype == MU_I64)))
            return false;
    for (int o = 0; o < call->n_out; o++)
        if (call->out[o].dtype != MU_NONE && !readable(call->out[o].dtype))
            return false;
    if (call->op == &mu_op_chain)
        return has_steps(call->attrs);
    return find_step(call->op, false, call->out[0].dtype) != NULL;
}

static void set_broadcast(fetch *f, const mu_type *small, const mu_type *large)
{
    int64_t own[MU_MAX_NDIM];
    mu_type_strides(small, own);
    f->ndim = 0;
    for (int d = 0; d < large->ndim; d++) {
        int s = d - (large->ndim - small->ndim);
        int64_t stride = s < 0 || small->dim[s] == 1 ? 0 : own[s];
        if (large->dim[d] == 1)
            continue;
        int top = f->ndim - 1;
        if (top >= 0 && f->stride[top] == stride * large->dim[d]) {
            f->dim[top] *= large->dim[d];
            f->stride[top] = stride;
        } else {
            f->dim[f->ndim] = large->dim[d];
            f->stride[f->ndim++] = stride;
        }
    }
}

static void set_operand(program *self, int i)
{
    const mu_call *call = &self->base.base.call;
    fetch *f = &self->in[i];
    f->dtype = call->in[i].dtype;
    if (f->dtype == MU_NONE)
        f->mode = SCALAR;
    else if (mu_type_same_shape(&call->in[i], &call->out[0]))
        f->mode = f->dtype == MU_F32 ? DIRECT : CONVERT;
    else if (mu_type_count(&call->in[i]) == 1)
        f->mode = SCALAR;
    else {
        f->mode = BROADCAST;
        set_broadcast(f, &call->in[i], &call->out[0]);
    }
    self->bytes += self->count * (int64_t)mu_dtype_size(f->dtype);
}

static void set_chain(program *self, const mu_chain_attrs *chain)
{
    self->n_steps = (int)chain->n_steps;
    memcpy(self->out, chain->out, sizeof self->out);
    for (int i = 0; i < self->n_steps; i++) {
        const mu_chain_step *from = &chain->step[i];
        self->step[i] = (step){.fn = find_step(from->op, from->alpha != 0, MU_F32), .alpha = (float)from->alpha,
                               .beta = (float)from->beta};
        memcpy(self->step[i].arg, from->arg, sizeof from->arg);
    }
}

static void set_step(program *self)
{
    const mu_call *call = &self->base.base.call;
    const mu_unary_attrs *a = call->op->attrs == mu_unary_attr_table ? call->attrs : NULL;
    self->n_steps = 1;
    self->out[0] = (signed char)call->n_in;
    self->step[0] = (step){.fn = find_step(call->op, a && a->alpha != 0, call->out[0].dtype), .arg = {-1, -1, -1}};
    if (a) {
        self->step[0].alpha = (float)a->alpha;
        self->step[0].beta = (float)a->beta;
    }
    for (int i = 0; i < call->n_in; i++)
        self->step[0].arg[i] = (signed char)i;
}

static mu_err setup(mu_simd_kernel *kernel)
{
    program *self = (program *)kernel;
    const mu_call *call = &kernel->base.call;
    self->count = kernel->x.kind == MU_LAYOUT_ROW_MAJOR ? mu_type_count(&call->out[0]) : mu_simd_view_count(&kernel->x);
    self->n_in = call->n_in;
    for (int i = 0; i < call->n_in; i++)
        set_operand(self, i);
    for (int o = 0; o < call->n_out && call->out[o].dtype != MU_NONE; o++) {
        self->n_out = o + 1;
        self->out_dtype[o] = call->out[o].dtype;
        self->bytes += self->count * (int64_t)mu_dtype_size(call->out[o].dtype);
    }
    if (call->op == &mu_op_chain)
        set_chain(self, call->attrs);
    else
        set_step(self);
    return MU_OK;
}

const mu_simd_impl SIMD(elementwise) = {
    .layouts = MU_ALIKE_FLAT, .size = sizeof(program), .supports = supports, .setup = setup, .run = run};
