#include "backend/ref/ref.h"

#include "ops/resize.h"

/* The source of output o along one axis; nearest has weight 0. */
static mu_resize_tap tap_of(const mu_resize_attrs *a, int64_t o, int64_t in, int64_t out)
{
    if (a->mode == MU_RESIZE_BILINEAR)
        return mu_resize_linear(o, in, out, a->align_corners);
    int64_t i = mu_resize_nearest(o, in, out);
    return (mu_resize_tap){i, i, 0};
}

/* Offsets and weights of the four elements of x [..,H,W] that element i of y [..,OH,OW] mixes. */
static void taps_of(const mu_resize_attrs *a, const mu_type *x, const mu_type *y, int64_t i, int64_t at[4], double weight[4])
{
    int64_t area = y->dim[2] * y->dim[3], plane = i / area * x->dim[2] * x->dim[3];
    mu_resize_tap h = tap_of(a, i % area / y->dim[3], x->dim[2], y->dim[2]);
    mu_resize_tap w = tap_of(a, i % y->dim[3], x->dim[3], y->dim[3]);
    for (int k = 0; k < 4; k++) {
        at[k] = plane + (k & 2 ? h.high : h.low) * x->dim[3] + (k & 1 ? w.high : w.low);
        weight[k] = (k & 2 ? h.weight : 1 - h.weight) * (k & 1 ? w.weight : 1 - w.weight);
    }
}

mu_err REF(resize)(const mu_call *call, void *const *in, void *const *out, const mu_run *run)
{
    (void)run;
    const mu_resize_attrs *a = call->attrs;
    const real *x = in[0];
    real *y = out[0];
    for (int64_t i = 0; i < mu_type_count(&call->out[0]); i++) {
        int64_t at[4];
        double weight[4], sum = 0;
        taps_of(a, &call->in[0], &call->out[0], i, at, weight);
        for (int k = 0; k < 4; k++)
            sum += weight[k] * x[at[k]];
        y[i] = a->mode == MU_RESIZE_NEAREST ? x[at[0]] : (real)sum;
    }
    return MU_OK;
}

mu_err REF(resize_grad)(const mu_call *call, void *const *in, void *const *out, const mu_run *run)
{
    (void)run;
    const real *dy = in[0];
    real *dx = out[0];
    memset(dx, 0, mu_type_bytes(&call->out[0]));
    for (int64_t i = 0; i < mu_type_count(&call->in[0]); i++) {
        int64_t at[4];
        double weight[4];
        taps_of(call->attrs, &call->out[0], &call->in[0], i, at, weight);
        for (int k = 0; k < 4; k++)
            if (weight[k] != 0)
                dx[at[k]] += (real)(weight[k] * dy[i]);
    }
    return MU_OK;
}
