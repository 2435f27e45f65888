#include "backend/onednn/product.h"

bool mu_onednn_product_supports(const mu_call *call, const char **why)
{
    if (!mu_onednn_float_ok(call->in[0].dtype, why))
        return false;
    *why = "oneDNN's matrix product wants all operands in one dtype";
    for (int i = 0; i < call->n_in; i++)
        if (call->in[i].dtype != MU_NONE && call->in[i].dtype != call->in[0].dtype)
            return false;
    return call->out[0].dtype == call->in[0].dtype;
}

/* Row-major [...,rows,columns], or the transpose of row-major [...,columns,rows]. */
static mu_err describe(int ndim, const int64_t *dims, bool trans, dnnl_data_type_t dtype, mu_dnn_desc *out)
{
    int64_t strides[MU_MAX_NDIM];
    int64_t rows = dims[ndim - 2], columns = dims[ndim - 1], stride = rows * columns;
    strides[ndim - 1] = trans ? rows : 1;
    strides[ndim - 2] = trans ? 1 : columns;
    for (int i = ndim - 3; i >= 0; i--) {
        strides[i] = stride;
        stride *= dims[i];
    }
    MU_TRY_DNN(mu_dnn_desc_strides(out, ndim, dims, dtype, strides));
    return MU_OK;
}

static mu_err prepare(mu_onednn_kernel *kernel, const mu_onednn_product *p)
{
    const mu_call *call = &kernel->base.call;
    dnnl_data_type_t dtype = mu_onednn_dtype(call->in[0].dtype);
    bool biased = mu_onednn_in(call, 2) != NULL;
    mu_dnn_desc a = MU_DNN_DESC_NONE, b = MU_DNN_DESC_NONE, y = MU_DNN_DESC_NONE, bias = MU_DNN_DESC_NONE;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_primitive_desc_t pd = NULL;
    int64_t bias_dims[MU_MAX_NDIM];
    for (int i = 0; i < p->ndim; i++)
        bias_dims[i] = i == p->ndim - 1 ? p->y[i] : 1;
    mu_err err;
    MU_TRY_GOTO(err, describe(p->ndim, p->a, p->trans_a, dtype, &a), done);
    MU_TRY_GOTO(err, describe(p->ndim, p->b, p->trans_b, dtype, &b), done);
    MU_TRY_GOTO(err, describe(p->ndim, p->y, false, dtype, &y), done);
    MU_TRY_GOTO(err, describe(p->ndim, bias_dims, false, dtype, &bias), done);
    MU_TRY_GOTO(err, mu_onednn_attr(false, p->activation, p->alpha, &attr), done);
    MU_TRY_DNN_GOTO(err, mu_dnn_matmul(&pd, kernel->backend->engine, mu_dnn_view(&a), mu_dnn_view(&b),
                                       biased ? mu_dnn_view(&bias) : NULL, mu_dnn_view(&y), attr), done);
    MU_TRY_GOTO(err, mu_onednn_kernel_set(kernel, pd), done);
    MU_TRY_GOTO(err, mu_onednn_kernel_arg(kernel, DNNL_ARG_SRC, mu_dnn_view(&a), 0), done);
    MU_TRY_GOTO(err, mu_onednn_kernel_arg(kernel, DNNL_ARG_WEIGHTS, mu_dnn_view(&b), 1), done);
    MU_TRY_GOTO(err, mu_onednn_kernel_arg(kernel, DNNL_ARG_DST, mu_dnn_view(&y), MU_ONEDNN_OUT(0)), done);
    if (biased)
        MU_TRY_GOTO(err, mu_onednn_kernel_arg(kernel, DNNL_ARG_BIAS, mu_dnn_view(&bias), 2), done);
done:
    if (pd)
        dnnl_primitive_desc_destroy(pd);
    if (attr)
        dnnl_primitive_attr_destroy(attr);
    mu_dnn_desc_release(&a);
    mu_dnn_desc_release(&b);
    mu_dnn_desc_release(&y);
    mu_dnn_desc_release(&bias);
    return err;
}

mu_err mu_onednn_product_prepare(mu_onednn *self, const mu_call *call, const mu_onednn_product *product, mu_kernel **out)
{
    mu_onednn_kernel *kernel;
    MU_TRY(mu_onednn_kernel_new(self, call, &kernel));
    mu_err err = mu_onednn_empty(call) ? MU_OK : prepare(kernel, product);
    if (err != MU_OK) {
        mu_kernel_release(&kernel->base);
        return err;
    }
    *out = &kernel->base;
    return MU_OK;
}
