#include "backend/ref/ref.h"

#include "backend/ref/activation.h"

/* The three products of a convolution walk the same index space: every pair of an output and the input that a weight joins.
 * visit() is called with offsets into y [N,K,OH,OW], x [N,C,H,W] and w [K,C/groups,kh,kw]. */
typedef struct {
    const mu_conv2d_attrs *a;
    const mu_type *x, *w, *y;
} conv;

typedef void visit_fn(void *user, int64_t y, int64_t x, int64_t w);

static void visit_taps(const conv *c, int64_t n, int64_t k, int64_t oh, int64_t ow, visit_fn *visit, void *user)
{
    int64_t per_group = c->w->dim[1], group = k / (c->w->dim[0] / c->a->groups);
    int64_t y = ((n * c->y->dim[1] + k) * c->y->dim[2] + oh) * c->y->dim[3] + ow;
    for (int64_t ci = 0; ci < per_group; ci++)
        for (int64_t i = 0; i < c->w->dim[2]; i++) {
            int64_t h = oh * c->a->stride[0] - c->a->padding[0] + i * c->a->dilation[0];
            if (h < 0 || h >= c->x->dim[2])
                continue;
            for (int64_t j = 0; j < c->w->dim[3]; j++) {
                int64_t w = ow * c->a->stride[1] - c->a->padding[1] + j * c->a->dilation[1];
                if (w < 0 || w >= c->x->dim[3])
                    continue;
                visit(user, y, ((n * c->x->dim[1] + group * per_group + ci) * c->x->dim[2] + h) * c->x->dim[3] + w,
                      ((k * per_group + ci) * c->w->dim[2] + i) * c->w->dim[3] + j);
            }
        }
}

static void visit_all(const conv *c, visit_fn *visit, void *user)
{
    for (int64_t n = 0; n < c->y->dim[0]; n++)
        for (int64_t k = 0; k < c->y->dim[1]; k++)
            for (int64_t oh = 0; oh < c->y->dim[2]; oh++)
                for (int64_t ow = 0; ow < c->y->dim[3]; ow++)
                    visit_taps(c, n, k, oh, ow, visit, user);
}

typedef struct {
    const real *a, *b;
    real *sum;
} product;

static void to_y(void *user, int64_t y, int64_t x, int64_t w)
{
    product *p = user;
    p->sum[y] += p->a[x] * p->b[w];
}

static void to_x(void *user, int64_t y, int64_t x, int64_t w)
{
    product *p = user;
    p->sum[x] += p->a[y] * p->b[w];
}

static void to_w(void *user, int64_t y, int64_t x, int64_t w)
{
    product *p = user;
    p->sum[w] += p->a[x] * p->b[y];
}

/* Sets t [N,C,H,W] to a value per channel. */
static void fill(real *t, const mu_type *type, const real *bias)
{
    int64_t plane = type->dim[2] * type->dim[3];
    for (int64_t i = 0; i < mu_type_count(type); i++)
        t[i] = bias ? bias[i / plane % type->dim[1]] : 0;
}

mu_err REF(conv2d)(const mu_call *call, void *const *in, void *const *out, const mu_run *run)
{
    (void)run;
    const mu_conv2d_attrs *a = call->attrs;
    const real *residual = ref_in(call, in, 3);
    real *y = out[0];
    fill(y, &call->out[0], ref_in(call, in, 2));
    visit_all(&(conv){a, &call->in[0], &call->in[1], &call->out[0]}, to_y, &(product){in[0], in[1], y});
    for (int64_t i = 0; i < mu_type_count(&call->out[0]); i++)
        y[i] = REF(activation)(a->activation, a->alpha, residual ? y[i] + residual[i] : y[i]);
    return MU_OK;
}

mu_err REF(conv2d_grad_input)(const mu_call *call, void *const *in, void *const *out, const mu_run *run)
{
    (void)run;
    fill(out[0], &call->out[0], ref_in(call, in, 2));
    visit_all(&(conv){call->attrs, &call->out[0], &call->in[1], &call->in[0]}, to_x, &(product){in[0], in[1], out[0]});
    return MU_OK;
}

mu_err REF(conv2d_grad_weight)(const mu_call *call, void *const *in, void *const *out, const mu_run *run)
{
    (void)run;
    const mu_type *dy_type = &call->in[1];
    const real *dy = in[1];
    real *db = out[1];
    memset(out[0], 0, mu_type_bytes(&call->out[0]));
    visit_all(&(conv){call->attrs, &call->in[0], &call->out[0], dy_type}, to_w, &(product){in[0], dy, out[0]});
    if (!db)
        return MU_OK;
    int64_t plane = dy_type->dim[2] * dy_type->dim[3];
    memset(db, 0, mu_type_bytes(&call->out[1]));
    for (int64_t i = 0; i < mu_type_count(dy_type); i++)
        db[i / plane % dy_type->dim[1]] += dy[i];
    return MU_OK;
}
