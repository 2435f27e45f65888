#include "backend/onednn/onednn.h"

static const mu_op reorder_op = {.name = "reorder", .n_in_min = 1, .n_in_max = 1, .n_out = 1};

/* A row-major side takes the dimensions of the other, which may have a group dimension of its own. */
static mu_err prepare(mu_onednn_kernel *kernel, const mu_layout *from, const mu_layout *to)
{
    mu_onednn *self = kernel->backend;
    mu_dnn_desc src = MU_DNN_DESC_NONE, dst = MU_DNN_DESC_NONE;
    dnnl_primitive_desc_t pd = NULL;
    mu_dnn_blocking b;
    mu_dnn_describe(mu_dnn_view(&((const mu_onednn_layout *)(from ? from : to))->desc), &b);
    mu_err err;
    MU_TRY_GOTO(err, mu_onednn_desc(from, b.ndims, b.dims, b.type, &src), done);
    MU_TRY_GOTO(err, mu_onednn_desc(to, b.ndims, b.dims, b.type, &dst), done);
    MU_TRY_DNN_GOTO(err, dnnl_reorder_primitive_desc_create(&pd, mu_dnn_view(&src), self->engine, mu_dnn_view(&dst),
                                                            self->engine, self->attr), done);
    MU_TRY_GOTO(err, mu_onednn_kernel_set(kernel, pd), done);
    MU_TRY_GOTO(err, mu_onednn_kernel_arg(kernel, DNNL_ARG_FROM, mu_dnn_view(&src), 0), done);
    MU_TRY_GOTO(err, mu_onednn_kernel_arg(kernel, DNNL_ARG_TO, mu_dnn_view(&dst), MU_ONEDNN_OUT(0)), done);
done:
    if (pd)
        dnnl_primitive_desc_destroy(pd);
    mu_dnn_desc_release(&src);
    mu_dnn_desc_release(&dst);
    return err;
}

mu_err mu_onednn_reorder(mu_onednn *self, const mu_type *type, const mu_layout *from, const mu_layout *to, mu_kernel **out)
{
    mu_call call = {.op = &reorder_op, .n_in = 1, .n_out = 1, .in = type, .out = type};
    mu_onednn_kernel *kernel;
    MU_TRY(mu_onednn_kernel_new(self, &call, &kernel));
    mu_err err = mu_type_count(type) == 0 ? MU_OK : prepare(kernel, from, to);
    if (err != MU_OK) {
        mu_kernel_release(&kernel->base);
        mu_error_context("reorder from %s to %s", from ? from->name : "row-major", to ? to->name : "row-major");
        return err;
    }
    kernel->base.in_layout[0] = from;
    kernel->base.out_layout[0] = to;
    *out = &kernel->base;
    return MU_OK;
}
