#include "backend/ref/ref.h"

#include "backend/ref/activation.h"

/* A convolution of x [N,C,H,W] with w [K,C/groups,kh,kw] to y [N,K,OH,OW]. */
typedef struct {
    const mu_conv2d_attrs *a;
    const mu_type *x, *w, *y;
} conv;

/* Where weight element k of an axis (0: height) meets x for output o; outside of 0..size-1 in the padding. */
static int64_t meets(const conv *c, int axis, int64_t o, int64_t k)
{
    return o * c->a->stride[axis] - c->a->padding[axis] + k * c->a->dilation[axis];
}

/* The output for which weight element k of an axis meets element i of x; -1 when there is none. */
static int64_t met_by(const conv *c, int axis, int64_t i, int64_t k)
{
    int64_t at = i + c->a->padding[axis] - k * c->a->dilation[axis];
    if (at < 0 || at % c->a->stride[axis] != 0 || at / c->a->stride[axis] >= c->y->dim[2 + axis])
        return -1;
    return at / c->a->stride[axis];
}

/* Offset of an element of a tensor with four dimensions. */
static int64_t offset(const mu_type *t, int64_t i, int64_t j, int64_t k, int64_t l)
{
    return ((i * t->dim[1] + j) * t->dim[2] + k) * t->dim[3] + l;
}

/* The indices of element i. */
static void unravel(const mu_type *t, int64_t i, int64_t at[4])
{
    for (int d = 3; d >= 0; d--) {
        at[d] = i % t->dim[d];
        i /= t->dim[d];
    }
}

static double sum_to_y(const conv *c, const real *x, const real *w, const int64_t at[4])
{
    int64_t per_group = c->w->dim[1], first = at[1] / (c->w->dim[0] / c->a->groups) * per_group;
    double sum = 0;
    for (int64_t ci = 0; ci < per_group; ci++)
        for (int64_t i = 0; i < c->w->dim[2]; i++) {
            int64_t h = meets(c, 0, at[2], i);
            for (int64_t j = 0; h >= 0 && h < c->x->dim[2] && j < c->w->dim[3]; j++) {
                int64_t v = meets(c, 1, at[3], j);
                if (v >= 0 && v < c->x->dim[3])
                    sum += (double)x[offset(c->x, at[0], first + ci, h, v)] * w[offset(c->w, at[1], ci, i, j)];
            }
        }
    return sum;
}

static double sum_to_x(const conv *c, const real *y, const real *w, const int64_t at[4])
{
    int64_t per_group = c->w->dim[1], outputs = c->w->dim[0] / c->a->groups, first = at[1] / per_group * outputs;
    double sum = 0;
    for (int64_t k = first; k < first + outputs; k++)
        for (int64_t i = 0; i < c->w->dim[2]; i++) {
            int64_t oh = met_by(c, 0, at[2], i);
            for (int64_t j = 0; oh >= 0 && j < c->w->dim[3]; j++) {
                int64_t ow = met_by(c, 1, at[3], j);
                if (ow >= 0)
                    sum += (double)y[offset(c->y, at[0], k, oh, ow)] * w[offset(c->w, k, at[1] % per_group, i, j)];
            }
        }
    return sum;
}

static double sum_to_w(const conv *c, const real *x, const real *y, const int64_t at[4])
{
    int64_t channel = at[0] / (c->w->dim[0] / c->a->groups) * c->w->dim[1] + at[1];
    double sum = 0;
    for (int64_t n = 0; n < c->y->dim[0]; n++)
        for (int64_t oh = 0; oh < c->y->dim[2]; oh++) {
            int64_t h = meets(c, 0, oh, at[2]);
            for (int64_t ow = 0; h >= 0 && h < c->x->dim[2] && ow < c->y->dim[3]; ow++) {
                int64_t v = meets(c, 1, ow, at[3]);
                if (v >= 0 && v < c->x->dim[3])
                    sum += (double)x[offset(c->x, n, channel, h, v)] * y[offset(c->y, n, at[0], oh, ow)];
            }
        }
    return sum;
}

mu_err REF(conv2d)(const mu_call *call, void *const *in, void *const *out, const mu_run *run)
{
    (void)run;
    const conv c = {call->attrs, &call->in[0], &call->in[1], &call->out[0]};
    const real *bias = ref_in(call, in, 2), *residual = ref_in(call, in, 3);
    real *y = out[0];
    int64_t at[4];
    for (int64_t i = 0; i < mu_type_count(c.y); i++) {
        unravel(c.y, i, at);
        double sum = (bias ? bias[at[1]] : 0) + sum_to_y(&c, in[0], in[1], at) + (residual ? residual[i] : 0);
        y[i] = REF(activation)(c.a->activation, c.a->alpha, (real)sum);
    }
    return MU_OK;
}

mu_err REF(conv2d_grad_input)(const mu_call *call, void *const *in, void *const *out, const mu_run *run)
{
    (void)run;
    const conv c = {call->attrs, &call->out[0], &call->in[1], &call->in[0]};
    const real *bias = ref_in(call, in, 2);
    int64_t at[4];
    for (int64_t i = 0; i < mu_type_count(c.x); i++) {
        unravel(c.x, i, at);
        ((real *)out[0])[i] = (real)((bias ? bias[at[1]] : 0) + sum_to_x(&c, in[0], in[1], at));
    }
    return MU_OK;
}

mu_err REF(conv2d_grad_weight)(const mu_call *call, void *const *in, void *const *out, const mu_run *run)
{
    (void)run;
    const conv c = {call->attrs, &call->in[0], &call->out[0], &call->in[1]};
    const real *dy = in[1];
    int64_t at[4], plane = c.y->dim[2] * c.y->dim[3];
    for (int64_t i = 0; i < mu_type_count(c.w); i++) {
        unravel(c.w, i, at);
        ((real *)out[0])[i] = (real)sum_to_w(&c, in[0], dy, at);
    }
    for (int64_t k = 0; out[1] && k < c.y->dim[1]; k++) {
        double sum = 0;
        for (int64_t i = 0; i < c.y->dim[0] * plane; i++)
            sum += dy[offset(c.y, i / plane, k, 0, 0) + i % plane];
        ((real *)out[1])[k] = (real)sum;
    }
    return MU_OK;
}
