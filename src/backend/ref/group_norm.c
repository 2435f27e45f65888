#include "backend/ref/ref.h"

#include "backend/ref/norm.h"

static ref_rows rows_of(const mu_norm_attrs *a, const mu_type *x)
{
    int64_t plane = 1;
    for (int d = 2; d < x->ndim; d++)
        plane *= x->dim[d];
    return (ref_rows){.rows = x->dim[0] * a->groups, .n = x->dim[1] / a->groups * plane, .groups = a->groups, .run = plane};
}

mu_err REF(group_norm)(const mu_call *call, void *const *in, void *const *out, const mu_run *run)
{
    (void)run;
    ref_rows shape = rows_of(call->attrs, &call->in[0]);
    return REF(norm_rows)(call, in, out, &shape);
}

mu_err REF(group_norm_grad)(const mu_call *call, void *const *in, void *const *out, const mu_run *run)
{
    (void)run;
    ref_rows shape = rows_of(call->attrs, &call->in[1]);
    return REF(norm_rows_grad)(call, in, out, &shape);
}
