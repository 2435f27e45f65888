#include "product.h"

/* Steps of an operand along y's leading dimensions. With an empty sum all of it is in one place. */
static void lead_steps(const mu_type *t, const mu_type *y, int64_t k, int64_t step[MU_MAX_NDIM])
{
    int64_t own[MU_MAX_NDIM];
    mu_type_strides(t, own);
    for (int d = 0; d < y->ndim - 2; d++) {
        int at = d - (y->ndim - t->ndim);
        step[d] = k == 0 || at < 0 || t->dim[at] == 1 ? 0 : own[at];
    }
}

static mu_err setup(mu_cuda_kernel *kernel)
{
    const mu_call *call = &kernel->base.call;
    const mu_matmul_attrs *attrs = call->attrs;
    const mu_type *a = &call->in[0], *b = &call->in[1], *y = &call->out[0];
    mu_cuda_matrices matrices = {.m = y->dim[y->ndim - 2],
                                 .n = y->dim[y->ndim - 1],
                                 .k = a->dim[a->ndim - (attrs->trans_a ? 2 : 1)],
                                 .trans_a = attrs->trans_a,
                                 .trans_b = attrs->trans_b,
                                 .n_lead = y->ndim - 2};
    int64_t own[MU_MAX_NDIM];
    mu_type_strides(y, own);
    memcpy(matrices.lead, y->dim, (size_t)matrices.n_lead * sizeof *y->dim);
    memcpy(matrices.y, own, (size_t)matrices.n_lead * sizeof *own);
    lead_steps(a, y, matrices.k, matrices.a);
    lead_steps(b, y, matrices.k, matrices.b);
    MU_TRY(mu_cuda_product_setup((mu_cuda_product *)kernel, &matrices));
    return MU_OK;
}

const mu_cuda_impl matmul_cuda = {.layouts = MU_CUDA_ROWS,
                                  .size = sizeof(mu_cuda_product),
                                  .setup = setup,
                                  .run = mu_cuda_product_run,
                                  .release = mu_cuda_product_release};
