#include "config.h"

#include "backend/onednn/winograd.h"

#ifdef HAVE_X86_LEVELS

#include "backend/simd/winograd.h"

typedef struct {
    mu_kernel base;
    mu_winograd_shape shape;
    mu_winograd_tail tail; /* addresses are set by bind */
} kernel;

static mu_err bind(mu_kernel *base)
{
    kernel *self = (kernel *)base;
    if (base->call.op != &mu_op_conv2d)
        return MU_OK;
    self->tail.bias = base->call.n_in > 2 ? base->in[2] : NULL;
    self->tail.residual = base->call.n_in > 3 ? base->in[3] : NULL;
    return MU_OK;
}

static mu_err run_forward(mu_kernel *base, const mu_run *run)
{
    (void)run;
    kernel *self = (kernel *)base;
    mu_winograd_forward(&self->shape, base->in[0], base->in[1], &self->tail, base->out[0], base->scratch);
    return MU_OK;
}

static mu_err run_grad_input(mu_kernel *base, const mu_run *run)
{
    (void)run;
    mu_winograd_grad_input(&((kernel *)base)->shape, base->in[0], base->in[1], base->out[0], base->scratch);
    return MU_OK;
}

static mu_err run_grad_weight(mu_kernel *base, const mu_run *run)
{
    (void)run;
    mu_winograd_grad_weight(&((kernel *)base)->shape, base->in[0], base->in[1], base->out[0], base->scratch);
    return MU_OK;
}

static const mu_kernel_ops ops[] = {
    [MU_CONV_FORWARD] = {.run = run_forward, .bind = bind},
    [MU_CONV_GRAD_INPUT] = {.run = run_grad_input, .bind = bind},
    [MU_CONV_GRAD_WEIGHT] = {.run = run_grad_weight, .bind = bind},
};

static bool fits(const mu_call *call, const mu_conv_roles *r)
{
    const mu_conv2d_attrs *a = call->attrs;
    const mu_type *w = mu_onednn_conv_type(call, r->w);
    if (!mu_winograd_available() || r->product == MU_CONV_TRANSPOSED || a->groups != 1 || w->dim[2] != 3 || w->dim[3] != 3)
        return false;
    for (int i = 0; i < 2; i++)
        if (a->stride[i] != 1 || a->dilation[i] != 1 || a->padding[i] > 2)
            return false;
    if (r->product == MU_CONV_FORWARD && a->activation != MU_ACT_NONE && a->activation != MU_ACT_RELU)
        return false;
    if (r->product == MU_CONV_GRAD_WEIGHT && mu_onednn_conv_type(call, r->bias))
        return false;
    return w->dim[0] % 16 == 0 && w->dim[1] % 16 == 0;
}

static mu_err weight_layout(mu_onednn *self, const mu_type *w, const mu_layout **out)
{
    mu_dnn_desc desc;
    MU_TRY_DNN(mu_dnn_desc_tag(&desc, 4, w->dim, mu_onednn_dtype(w->dtype), dnnl_ABcd16b16a));
    mu_err err = mu_onednn_layout_of(self, w, mu_dnn_view(&desc), out);
    mu_dnn_desc_release(&desc);
    return err;
}

static mu_err set_layout(mu_onednn *self, mu_kernel *base, int at, const mu_type *type, bool weight)
{
    const mu_layout **layout = at >= 0 ? &base->in_layout[at] : &base->out_layout[-1 - at];
    if (weight)
        return weight_layout(self, type, layout);
    return mu_onednn_layout_make(self, type, MU_LAYOUT_CHANNELS_BLOCKED, 16, layout);
}

static mu_err fill(mu_onednn *self, const mu_conv_roles *r, kernel *k)
{
    const mu_call *call = &k->base.call;
    const mu_conv2d_attrs *a = call->attrs;
    const mu_type *x = mu_onednn_conv_type(call, r->x), *w = mu_onednn_conv_type(call, r->w), *y = mu_onednn_conv_type(call, r->y);
    const mu_type *bias = mu_onednn_conv_type(call, r->bias), *residual = mu_onednn_conv_type(call, r->residual);
    static const mu_winograd_product product[] = {
        [MU_CONV_FORWARD] = MU_WINOGRAD_FORWARD, [MU_CONV_GRAD_INPUT] = MU_WINOGRAD_GRAD_INPUT,
        [MU_CONV_GRAD_WEIGHT] = MU_WINOGRAD_GRAD_WEIGHT};
    MU_TRY(set_layout(self, &k->base, r->x, x, false));
    MU_TRY(set_layout(self, &k->base, r->y, y, false));
    MU_TRY(set_layout(self, &k->base, r->w, w, true));
    k->shape = (mu_winograd_shape){
        .n = x->dim[0], .c = x->dim[1], .k = y->dim[1], .h = x->dim[2], .w = x->dim[3], .oh = y->dim[2], .ow = y->dim[3],
        .pad_top = a->padding[0], .pad_left = a->padding[1], .half = x->dtype == MU_BF16,
        .half_weight = w->dtype == MU_BF16, .n_threads = self->base.n_threads};
    k->tail.relu = a->activation == MU_ACT_RELU;
    k->tail.half_bias = bias && bias->dtype == MU_BF16;
    if (residual) {
        k->base.in_layout[r->residual] = k->base.out_layout[0];
        k->base.inplace[0] = (signed char)(r->residual + 1);
    }
    k->base.scratch_bytes = mu_winograd_scratch(&k->shape, product[r->product]);
    k->base.impl = "winograd_4x3:avx512";
    return MU_OK;
}

mu_err mu_onednn_winograd_prepare(mu_onednn *self, const mu_call *call, const mu_conv_roles *roles, mu_kernel **out)
{
    mu_kernel *base;
    if (!fits(call, roles))
        return MU_FAIL(MU_ERR_UNSUPPORTED, "not a convolution for Winograd's algorithm");
    MU_TRY(mu_kernel_new(sizeof(kernel), &ops[roles->product], call, &base));
    mu_err err = fill(self, roles, (kernel *)base);
    if (err != MU_OK) {
        mu_kernel_release(base);
        return err;
    }
    *out = base;
    return MU_OK;
}

#else

mu_err mu_onednn_winograd_prepare(mu_onednn *self, const mu_call *call, const mu_conv_roles *roles, mu_kernel **out)
{
    (void)self, (void)call, (void)roles, (void)out;
    return MU_FAIL(MU_ERR_UNSUPPORTED, "built without kernels for AVX-512");
}

#endif
