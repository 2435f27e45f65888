#include "conv_graph.h"
#include "activation.h"

#include <limits.h>
#include <string.h>

/* ---- the call ---- */

typedef struct {
    const mu_type *x, *w, *y, *bias, *residual; /* bias and residual: NULL when absent */
} roles;

static roles roles_of(const mu_call *call, mu_cuda_conv_product product)
{
    switch (product) {
    case MU_CUDA_CONV_FORWARD:
        return (roles){&call->in[0], &call->in[1], &call->out[0], mu_cuda_in(call, 2), mu_cuda_in(call, 3)};
    case MU_CUDA_CONV_GRAD_INPUT: return (roles){&call->out[0], &call->in[1], &call->in[0], mu_cuda_in(call, 2), NULL};
    default: return (roles){&call->in[0], &call->out[0], &call->in[1], mu_cuda_out(call, 1), NULL};
    }
}

bool mu_cuda_conv_supports(const mu_call *call, const char **why)
{
    const mu_conv2d_attrs *a = call->attrs;
    if (!mu_cuda_one_float(call, why))
        return false;
    if (call->op == &mu_op_conv2d && !mu_cuda_activation_supports(call->in[0].dtype, a->activation, why))
        return false;
    *why = "cuDNN wants dimensions, paddings and strides below 2^31, and channels and taps";
    for (int i = 0; i < call->n_in + call->n_out; i++) {
        const mu_type *t = i < call->n_in ? &call->in[i] : &call->out[i - call->n_in];
        for (int d = 0; d < t->ndim; d++)
            if (t->dim[d] > INT_MAX / 2 || (d > 0 && t->dim[d] == 0))
                return false;
    }
    for (int i = 0; i < 4; i++)
        if (a->padding[i] > INT_MAX / 8 || a->stride[i % 2] > INT_MAX || a->dilation[i % 2] > INT_MAX)
            return false;
    return true;
}

static mu_cuda_conv_shape shape_of(const mu_conv2d_attrs *a, const roles *r)
{
    const int64_t *x = r->x->dim, *w = r->w->dim, *y = r->y->dim;
    mu_cuda_conv_shape s = {x[0], x[1], x[2], x[3], w[0], y[2], y[3], w[2], w[3], a->groups, {0}, {0}, {0}};
    memcpy(s.stride, a->stride, sizeof s.stride);
    memcpy(s.dilation, a->dilation, sizeof s.dilation);
    memcpy(s.padding, a->padding, sizeof s.padding);
    return s;
}

/* A padding with unequal sides goes into the images. */
static mu_cuda_conv_shape pad(mu_cuda_conv_shape s)
{
    if (s.padding[0] != s.padding[2] || s.padding[1] != s.padding[3]) {
        s.h += s.padding[0] + s.padding[2];
        s.w += s.padding[1] + s.padding[3];
        memset(s.padding, 0, sizeof s.padding);
    }
    return s;
}

static bool is_padded(const mu_cuda_conv *c)
{
    return c->padded.h != c->shape.h || c->padded.w != c->shape.w;
}

/* cuDNN adds a bias whenever it adds anything. */
static bool lacks_bias(const mu_cuda_conv *c, const roles *r)
{
    return c->ends.bias && !r->bias;
}

static mu_err choose_layouts(mu_kernel *kernel, mu_cuda *self)
{
    const mu_call *call = &kernel->call;
    for (int i = 0; i < call->n_in + call->n_out; i++) {
        const mu_type *t = i < call->n_in ? &call->in[i] : &call->out[i - call->n_in];
        kernel->in_layout[i] = NULL;
        if (t->dtype != MU_NONE && t->ndim == 4)
            MU_TRY(mu_cuda_layout_make(self, t, MU_LAYOUT_CHANNELS_LAST, &kernel->in_layout[i]));
    }
    return MU_OK;
}

/* ---- kernels ---- */

void mu_cuda_conv_release(mu_kernel *kernel)
{
    mu_cuda_conv *c = (mu_cuda_conv *)kernel;
    mu_kernel_release(c->end);
    mu_kernel_release(c->matrices);
    mu_dnn_release(&c->addresses);
    mu_dnn_release(&c->plan);
}

void mu_cuda_conv_place(mu_cuda_conv *c)
{
    size_t size = mu_dtype_size(c->dtype);
    const mu_cuda_conv_shape *s = &c->padded;
    roles r = roles_of(&c->base.base.call, c->product);
    c->zeros = is_padded(c) ? mu_align_up((size_t)(s->n * s->h * s->w * s->c) * size) : 0;
    c->sums = c->zeros + (lacks_bias(c, &r) ? mu_align_up((size_t)s->k * size) : 0);
    c->workspace = c->sums;
    if (c->product == MU_CUDA_CONV_GRAD_WEIGHT && r.bias)
        c->workspace += mu_align_up(mu_cuda_conv_bias_grad_bytes(s->n * s->oh * s->ow, s->k));
    c->base.base.scratch_bytes = c->workspace + c->workspace_bytes;
}

static mu_err bind(mu_kernel *kernel);

mu_err mu_cuda_conv_setup(mu_cuda_conv *c, mu_cuda_conv_product product)
{
    mu_kernel *kernel = &c->base.base;
    const mu_call *call = &kernel->call;
    const mu_conv2d_attrs *a = call->attrs;
    roles r = roles_of(call, product);
    bool forward = product == MU_CUDA_CONV_FORWARD;
    MU_TRY(choose_layouts(kernel, c->base.self));
    c->product = product;
    c->dtype = r.x->dtype;
    c->relu = forward && a->activation == MU_ACT_RELU;
    c->shape = shape_of(a, &r);
    c->padded = pad(c->shape);
    if (product != MU_CUDA_CONV_GRAD_WEIGHT)
        c->ends = (mu_cuda_conv_ends){.bias = r.bias || r.residual || c->relu, .residual = r.residual, .relu = c->relu};
    kernel->inplace[0] = r.residual ? 4 : 0;
    kernel->impl = "cudnn";
    if (mu_type_count(r.x) == 0)
        return MU_OK;
    c->base.ops.bind = bind;
    if (forward && !c->relu)
        MU_TRY(mu_cuda_activation_prepare(c->base.self, a->activation, a->alpha, r.y, kernel->out_layout[0], &c->end));
    MU_TRY(mu_cuda_conv_choose(c));
    if (c->way != MU_CUDA_CONV_ENGINE)
        kernel->impl = c->way == MU_CUDA_CONV_PRODUCT ? c->matrices->impl : "cuda";
    return MU_OK;
}

/* ---- runs ---- */

static void *place(const mu_cuda_conv *c, size_t at)
{
    return (char *)c->base.base.scratch + at;
}

/* Where the plan finds the images: with their padding in the scratch memory, or as they are. */
static void *images(const mu_cuda_conv *c, void *x)
{
    return is_padded(c) ? c->base.base.scratch : x;
}

static mu_err bind_plan(mu_cuda_conv *c)
{
    const mu_kernel *kernel = &c->base.base;
    int64_t uid[5] = {MU_CUDA_CONV_X, MU_CUDA_CONV_W, MU_CUDA_CONV_Y, MU_CUDA_CONV_BIAS, MU_CUDA_CONV_RESIDUAL};
    void *address[5] = {NULL}, *const *in = kernel->in;
    int n = 3;
    mu_dnn_release(&c->addresses);
    switch (c->product) {
    case MU_CUDA_CONV_FORWARD:
        memcpy(address, (void *[]){images(c, in[0]), in[1], kernel->out[0], mu_cuda_address(kernel, 2), mu_cuda_address(kernel, 3)}, sizeof address);
        if (!address[3])
            address[3] = place(c, c->zeros);
        n += c->ends.bias + c->ends.residual;
        break;
    case MU_CUDA_CONV_GRAD_INPUT: memcpy(address, (void *[]){images(c, kernel->out[0]), in[1], in[0]}, 3 * sizeof *address); break;
    default: memcpy(address, (void *[]){images(c, in[0]), kernel->out[0], in[1]}, 3 * sizeof *address);
    }
    MU_TRY(mu_dnn_addresses(uid, address, n, place(c, c->workspace), &c->addresses));
    return MU_OK;
}

/* The product's operands are the call's own, but for a gradient's to w: dw = dy^T x. */
static mu_err bind_matrices(mu_cuda_conv *c)
{
    const mu_kernel *kernel = &c->base.base;
    void *turned[2] = {kernel->in[1], kernel->in[0]}, *in[3] = {kernel->in[0], kernel->in[1], mu_cuda_address(kernel, 2)};
    MU_TRY(mu_kernel_bind(c->matrices, c->product == MU_CUDA_CONV_GRAD_WEIGHT ? turned : in, kernel->out, place(c, c->workspace)));
    return MU_OK;
}

static mu_err bind(mu_kernel *kernel)
{
    mu_cuda_conv *c = (mu_cuda_conv *)kernel;
    if (c->way == MU_CUDA_CONV_ENGINE)
        MU_TRY(bind_plan(c));
    else if (c->way == MU_CUDA_CONV_PRODUCT)
        MU_TRY(bind_matrices(c));
    return MU_OK;
}

static mu_err execute(const mu_cuda_conv *c, const mu_run *run)
{
    if (c->way == MU_CUDA_CONV_PRODUCT)
        MU_TRY(mu_kernel_run(c->matrices, run));
    else
        MU_TRY_CUDNN(cudnnBackendExecute(c->base.self->dnn, c->plan, c->addresses));
    return MU_OK;
}

static mu_err pad_images(const mu_cuda_conv *c)
{
    const mu_cuda_conv_shape *s = &c->shape, *p = &c->padded;
    const mu_kernel *kernel = &c->base.base;
    if (is_padded(c))
        MU_TRY(mu_cuda_conv_border(c->base.self, c->dtype, kernel->in[0], s->n, s->h, s->w, s->c, kernel->scratch, p->h, p->w, s->padding[0],
                                   s->padding[1]));
    return MU_OK;
}

static mu_err run_forward(const mu_cuda_conv *c, const mu_run *run)
{
    const mu_kernel *kernel = &c->base.base;
    const mu_cuda *self = c->base.self;
    const void *bias = mu_cuda_address(kernel, 2), *residual = mu_cuda_address(kernel, 3);
    void *y = kernel->out[0];
    if (c->way == MU_CUDA_CONV_KERNEL) {
        MU_TRY(mu_cuda_conv_own_forward(self, c->dtype, &c->shape, kernel->in[0], kernel->in[1], bias, residual, c->relu, y));
    } else {
        MU_TRY(pad_images(c));
        if (c->way == MU_CUDA_CONV_ENGINE && c->ends.bias && !bias)
            MU_TRY_CUDA(cudaMemsetAsync(place(c, c->zeros), 0, (size_t)c->shape.k * mu_dtype_size(c->dtype), self->stream));
        MU_TRY(execute(c, run));
    }
    MU_TRY(mu_cuda_activation_run(c->end, y, run));
    return MU_OK;
}

/* With a bias dx starts as it: the sum is rounded once. */
static mu_err run_grad_input(const mu_cuda_conv *c, const mu_run *run)
{
    const mu_kernel *kernel = &c->base.base;
    const mu_cuda *self = c->base.self;
    const mu_cuda_conv_shape *s = &c->shape, *p = &c->padded;
    const void *bias = mu_cuda_address(kernel, 2);
    void *dx = images(c, kernel->out[0]);
    if (c->way == MU_CUDA_CONV_KERNEL)
        return mu_cuda_conv_own_grad_input(self, c->dtype, s, kernel->in[0], kernel->in[1], bias, kernel->out[0]);
    if (bias)
        MU_TRY(mu_cuda_conv_preset(self, c->dtype, bias, dx, p->n * p->h * p->w, p->c));
    MU_TRY(execute(c, run));
    if (is_padded(c))
        MU_TRY(mu_cuda_conv_border(self, c->dtype, dx, s->n, p->h, p->w, s->c, kernel->out[0], s->h, s->w, -s->padding[0], -s->padding[1]));
    return MU_OK;
}

static mu_err run_grad_weight(const mu_cuda_conv *c, const mu_run *run)
{
    const mu_kernel *kernel = &c->base.base;
    const mu_cuda *self = c->base.self;
    const mu_cuda_conv_shape *s = &c->shape;
    if (mu_cuda_out(&kernel->call, 1))
        MU_TRY(mu_cuda_conv_bias_grad(self, c->dtype, kernel->in[1], s->n * s->oh * s->ow, s->k, place(c, c->sums), kernel->out[1]));
    if (c->way == MU_CUDA_CONV_KERNEL)
        return mu_cuda_conv_own_grad_weight(self, c->dtype, s, kernel->in[0], kernel->in[1], kernel->out[0]);
    MU_TRY(pad_images(c));
    MU_TRY(execute(c, run));
    return MU_OK;
}

/* Without samples a weight's gradient is zero. */
static mu_err run_empty(const mu_cuda_conv *c)
{
    const mu_kernel *kernel = &c->base.base;
    for (int o = 0; o < kernel->call.n_out; o++) {
        size_t bytes = mu_cuda_out(&kernel->call, o) ? mu_type_bytes(&kernel->call.out[o]) : 0;
        if (bytes)
            MU_TRY_CUDA(cudaMemsetAsync(kernel->out[o], 0, bytes, c->base.self->stream));
    }
    return MU_OK;
}

mu_err mu_cuda_conv_run(mu_kernel *kernel, const mu_run *run)
{
    const mu_cuda_conv *c = (const mu_cuda_conv *)kernel;
    if (c->way == MU_CUDA_CONV_NOTHING)
        return run_empty(c);
    switch (c->product) {
    case MU_CUDA_CONV_FORWARD: return run_forward(c, run);
    case MU_CUDA_CONV_GRAD_INPUT: return run_grad_input(c, run);
    default: return run_grad_weight(c, run);
    }
}
