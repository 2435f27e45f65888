#include "backend/ref/ref.h"

#include "backend/ref/norm.h"

static ref_rows rows_of(const mu_norm_attrs *a, const mu_type *x)
{
    ref_rows shape = {.rows = 1, .n = 1, .groups = 1, .run = 1};
    for (int d = 0; d < x->ndim; d++)
        *(d < x->ndim - a->normalized_ndim ? &shape.rows : &shape.n) *= x->dim[d];
    return shape;
}

mu_err REF(layer_norm)(const mu_call *call, void *const *in, void *const *out, const mu_run *run)
{
    (void)run;
    ref_rows shape = rows_of(call->attrs, &call->in[0]);
    return REF(norm_rows)(call, in, out, &shape);
}

mu_err REF(layer_norm_grad)(const mu_call *call, void *const *in, void *const *out, const mu_run *run)
{
    (void)run;
    ref_rows shape = rows_of(call->attrs, &call->in[1]);
    return REF(norm_rows_grad)(call, in, out, &shape);
}
