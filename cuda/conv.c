#include "conv.h"
#include "activation.h"
#include "core/log.h"
#include "core/text.h"
#include "tune.h"

#include <limits.h>

/* cuDNN 9 marks its convolution calls as deprecated in favour of its graphs, which need a C++ library or several hundred lines for what these
 * calls do; they run the same kernels, and stay for all of version 9. */
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

enum { WORKSPACE_MAX = 256 << 20 };

/* How y comes to its bias, residual and ReLU: cuDNN ends with them, or y starts as the sum of the first two and the
 * ReLU is a sweep of its own. Other activations always are. */
typedef enum { PLAIN, PRESET, OWN } form;

/* In the order of preference; without measurements the first that works. Winograd's and Fourier's algorithms want other layouts. */
typedef struct {
    const char *name;
    mu_cuda_conv_product product;
    form form;
    int algorithm;
    bool repeats; /* the same bits from run to run */
} candidate;

static const candidate candidates[] = {
    {"precomputed-gemm", MU_CUDA_CONV_FORWARD, PLAIN, CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM, true},
    {"implicit-gemm", MU_CUDA_CONV_FORWARD, PLAIN, CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM, true},
    {"precomputed-gemm-preset", MU_CUDA_CONV_FORWARD, PRESET, CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM, true},
    {"implicit-gemm-preset", MU_CUDA_CONV_FORWARD, PRESET, CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM, true},
    {"data-1", MU_CUDA_CONV_GRAD_INPUT, PLAIN, CUDNN_CONVOLUTION_BWD_DATA_ALGO_1, true},
    {"data-0", MU_CUDA_CONV_GRAD_INPUT, PLAIN, CUDNN_CONVOLUTION_BWD_DATA_ALGO_0, false},
    {"filter-1", MU_CUDA_CONV_GRAD_WEIGHT, PLAIN, CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1, true},
    {"filter-0", MU_CUDA_CONV_GRAD_WEIGHT, PLAIN, CUDNN_CONVOLUTION_BWD_FILTER_ALGO_0, false},
    {"filter-3", MU_CUDA_CONV_GRAD_WEIGHT, PLAIN, CUDNN_CONVOLUTION_BWD_FILTER_ALGO_3, false},
    {"own", MU_CUDA_CONV_PRODUCTS, OWN, 0, true},
};

enum { N_CANDIDATES = sizeof candidates / sizeof *candidates };

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

/* ---- descriptors ---- */

static cudnnDataType_t data_type(mu_dtype dtype)
{
    return dtype == MU_BF16 ? CUDNN_DATA_BFLOAT16 : dtype == MU_F16 ? CUDNN_DATA_HALF : CUDNN_DATA_FLOAT;
}

static mu_err describe(mu_cuda_conv *c)
{
    const mu_cuda_conv_shape *s = &c->padded;
    const mu_cuda *self = c->base.self;
    cudnnDataType_t type = data_type(c->dtype);
    cudnnMathType_t math = c->dtype != MU_F32 ? CUDNN_TENSOR_OP_MATH : self->tf32 ? CUDNN_DEFAULT_MATH : CUDNN_FMA_MATH;
    MU_TRY_CUDNN(cudnnCreateTensorDescriptor(&c->x));
    MU_TRY_CUDNN(cudnnSetTensor4dDescriptor(c->x, CUDNN_TENSOR_NHWC, type, (int)s->n, (int)s->c, (int)s->h, (int)s->w));
    MU_TRY_CUDNN(cudnnCreateTensorDescriptor(&c->y));
    MU_TRY_CUDNN(cudnnSetTensor4dDescriptor(c->y, CUDNN_TENSOR_NHWC, type, (int)s->n, (int)s->k, (int)s->oh, (int)s->ow));
    MU_TRY_CUDNN(cudnnCreateTensorDescriptor(&c->bias));
    MU_TRY_CUDNN(cudnnSetTensor4dDescriptor(c->bias, CUDNN_TENSOR_NHWC, type, 1, (int)s->k, 1, 1));
    MU_TRY_CUDNN(cudnnCreateFilterDescriptor(&c->w));
    MU_TRY_CUDNN(cudnnSetFilter4dDescriptor(c->w, type, CUDNN_TENSOR_NHWC, (int)s->k, (int)(s->c / s->groups), (int)s->kh, (int)s->kw));
    MU_TRY_CUDNN(cudnnCreateConvolutionDescriptor(&c->conv));
    MU_TRY_CUDNN(cudnnSetConvolution2dDescriptor(c->conv, (int)s->padding[0], (int)s->padding[1], (int)s->stride[0], (int)s->stride[1],
                                                 (int)s->dilation[0], (int)s->dilation[1], CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT));
    MU_TRY_CUDNN(cudnnSetConvolutionGroupCount(c->conv, (int)s->groups));
    MU_TRY_CUDNN(cudnnSetConvolutionMathType(c->conv, math));
    MU_TRY_CUDNN(cudnnCreateActivationDescriptor(&c->activation));
    MU_TRY_CUDNN(cudnnSetActivationDescriptor(c->activation, c->relu ? CUDNN_ACTIVATION_RELU : CUDNN_ACTIVATION_IDENTITY,
                                              CUDNN_PROPAGATE_NAN, 0));
    return MU_OK;
}

void mu_cuda_conv_release(mu_kernel *kernel)
{
    const mu_cuda_conv *c = (const mu_cuda_conv *)kernel;
    mu_kernel_release(c->end);
    if (c->x)
        (void)cudnnDestroyTensorDescriptor(c->x);
    if (c->y)
        (void)cudnnDestroyTensorDescriptor(c->y);
    if (c->bias)
        (void)cudnnDestroyTensorDescriptor(c->bias);
    if (c->w)
        (void)cudnnDestroyFilterDescriptor(c->w);
    if (c->conv)
        (void)cudnnDestroyConvolutionDescriptor(c->conv);
    if (c->activation)
        (void)cudnnDestroyActivationDescriptor(c->activation);
}

/* ---- a candidate ---- */

static mu_err workspace_of(const mu_cuda_conv *c, const candidate *how, size_t *bytes)
{
    cudnnHandle_t dnn = c->base.self->dnn;
    *bytes = 0;
    if (how->form == OWN)
        return MU_OK;
    switch (c->product) {
    case MU_CUDA_CONV_FORWARD:
        MU_TRY_CUDNN(cudnnGetConvolutionForwardWorkspaceSize(dnn, c->x, c->w, c->conv, c->y, (cudnnConvolutionFwdAlgo_t)how->algorithm, bytes));
        break;
    case MU_CUDA_CONV_GRAD_INPUT:
        MU_TRY_CUDNN(cudnnGetConvolutionBackwardDataWorkspaceSize(dnn, c->w, c->y, c->conv, c->x,
                                                                  (cudnnConvolutionBwdDataAlgo_t)how->algorithm, bytes));
        break;
    default:
        MU_TRY_CUDNN(cudnnGetConvolutionBackwardFilterWorkspaceSize(dnn, c->x, c->y, c->conv, c->w,
                                                                    (cudnnConvolutionBwdFilterAlgo_t)how->algorithm, bytes));
    }
    return MU_OK;
}

/* Two addends in y beforehand would have been rounded once too often in a half type. With addends but no ReLU cuDNN ends one algorithm alone. */
static bool applies(const mu_cuda_conv *c, const candidate *how)
{
    roles r = roles_of(&c->base.base.call, c->product);
    bool addends = r.bias || r.residual;
    if (how->form == OWN)
        return true;
    if (how->product != c->product)
        return false;
    if (how->form == PRESET)
        return (addends || c->relu) && (!r.bias || !r.residual || c->dtype == MU_F32);
    return c->product != MU_CUDA_CONV_FORWARD || !addends || c->relu || how->algorithm == CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM;
}

/* Takes candidate i: its scratch memory. MU_ERR_UNSUPPORTED or MU_ERR_BACKEND when it cannot be. */
static mu_err take(mu_cuda_conv *c, int i)
{
    size_t size = mu_dtype_size(c->dtype);
    const mu_cuda_conv_shape *s = &c->padded;
    roles r = roles_of(&c->base.base.call, c->product);
    MU_TRY(workspace_of(c, &candidates[i], &c->workspace_bytes));
    if (c->workspace_bytes > WORKSPACE_MAX)
        return MU_FAIL(MU_ERR_UNSUPPORTED, "%s wants %zu bytes of scratch memory", candidates[i].name, c->workspace_bytes);
    c->candidate = i;
    c->zeros = is_padded(c) ? mu_align_up((size_t)(s->n * s->h * s->w * s->c) * size) : 0;
    c->sums = c->zeros + mu_align_up((size_t)s->k * size);
    c->workspace = c->sums;
    if (c->product == MU_CUDA_CONV_GRAD_WEIGHT && r.bias)
        c->workspace += mu_align_up(mu_cuda_conv_bias_grad_bytes(s->n * s->oh * s->ow, s->k));
    c->base.base.scratch_bytes = c->workspace + c->workspace_bytes;
    return MU_OK;
}

/* ---- the choice ---- */

static mu_err make_key(const mu_cuda_conv *c, char **out)
{
    const mu_call *call = &c->base.base.call;
    const mu_conv2d_attrs *a = call->attrs;
    char text[MU_TYPE_TEXT];
    mu_text key = {0};
    mu_text_printf(&key, "%s", call->op->name);
    for (int i = 0; i < call->n_in; i++)
        mu_text_printf(&key, " %s", mu_type_format(&call->in[i], text));
    mu_text_printf(&key, " > %s", mu_type_format(&call->out[0], text));
    mu_text_printf(&key, " s%d,%d p%d,%d,%d,%d d%d,%d g%d%s %s%s", (int)a->stride[0], (int)a->stride[1], (int)a->padding[0],
                   (int)a->padding[1], (int)a->padding[2], (int)a->padding[3], (int)a->dilation[0], (int)a->dilation[1], (int)a->groups,
                   a->bias ? " bias" : "", c->product == MU_CUDA_CONV_FORWARD ? mu_activation_names[a->activation] : "-", c->base.self->tf32 ? " tf32" : "");
    mu_err err = mu_text_take(&key, out);
    mu_text_release(&key);
    MU_TRY(err);
    return MU_OK;
}

/* Own kernels are no match for cuDNN's, except where there is one channel a group. */
static bool worth_trying(const mu_cuda_conv *c, int i, int best)
{
    bool measured = !c->base.self->deterministic, depthwise = c->shape.groups == c->shape.c;
    if (!applies(c, &candidates[i]) || (!measured && (best >= 0 || !candidates[i].repeats)))
        return false;
    return candidates[i].form != OWN || best < 0 || depthwise;
}

/* The fastest of those that work, or the first. A candidate's failure is not one of the choice, unless no other works. */
static mu_err measure(mu_cuda_conv *c, int *best, double *seconds)
{
    mu_kernel *kernel = &c->base.base;
    mu_err err = MU_OK;
    *best = -1;
    for (int i = 0; i < N_CANDIDATES; i++) {
        double took;
        if (!worth_trying(c, i, *best))
            continue;
        err = take(c, i);
        if (err == MU_OK)
            err = mu_cuda_time(c->base.self, kernel, &took);
        if (err != MU_OK) {
            MU_DEBUG("cuda", "%s does not compute by %s: %s", kernel->call.op->name, candidates[i].name, mu_error_last()->message);
            continue;
        }
        if (*best < 0 || took < *seconds) {
            *best = i;
            *seconds = took;
        }
    }
    if (*best < 0)
        return err;
    mu_error_clear();
    return MU_OK;
}

static mu_err choose(mu_cuda_conv *c, const char *key)
{
    mu_cuda_tune *tune = c->base.self->deterministic ? NULL : c->base.self->tune;
    const char *known = NULL;
    double seconds = 0;
    int best;
    if (tune)
        MU_TRY(mu_choices_get(tune, key, &known));
    for (int i = 0; known && i < N_CANDIDATES; i++)
        if (strcmp(known, candidates[i].name) == 0 && applies(c, &candidates[i]) && take(c, i) == MU_OK)
            return MU_OK;
    MU_TRY(measure(c, &best, &seconds));
    MU_TRY(take(c, best));
    MU_DEBUG("cuda", "%s: %s %.3f ms", key, candidates[best].name, seconds * 1e3);
    if (tune)
        MU_TRY(mu_choices_put(tune, key, candidates[best].name, seconds));
    return MU_OK;
}

mu_err mu_cuda_conv_setup(mu_cuda_conv *c, mu_cuda_conv_product product)
{
    mu_kernel *kernel = &c->base.base;
    const mu_call *call = &kernel->call;
    const mu_conv2d_attrs *a = call->attrs;
    roles r = roles_of(call, product);
    char *key;
    MU_TRY(choose_layouts(kernel, c->base.self));
    c->product = product;
    c->dtype = r.x->dtype;
    c->relu = product == MU_CUDA_CONV_FORWARD && a->activation == MU_ACT_RELU;
    c->shape = shape_of(a, &r);
    c->padded = pad(c->shape);
    c->candidate = -1;
    kernel->inplace[0] = r.residual ? 4 : 0;
    kernel->impl = "cudnn";
    if (mu_type_count(r.x) == 0)
        return MU_OK;
    MU_TRY(describe(c));
    if (product == MU_CUDA_CONV_FORWARD)
        MU_TRY(mu_cuda_activation_prepare(c->base.self, a->activation, a->alpha, r.y, kernel->out_layout[0], &c->end));
    MU_TRY(make_key(c, &key));
    mu_err err = choose(c, key);
    mu_free(key);
    MU_TRY(err);
    if (candidates[c->candidate].form == OWN)
        kernel->impl = "cuda";
    return MU_OK;
}

/* ---- runs ---- */

static const float one = 1, zero = 0;

/* x with its padding, or as it is. */
static mu_err padded_images(const mu_cuda_conv *c, const void *x, const void **out)
{
    const mu_cuda_conv_shape *s = &c->shape, *p = &c->padded;
    *out = x;
    if (!is_padded(c))
        return MU_OK;
    *out = c->base.base.scratch;
    MU_TRY(mu_cuda_conv_border(c->base.self, c->dtype, x, s->n, s->h, s->w, s->c, c->base.base.scratch, p->h, p->w, s->padding[0], s->padding[1]));
    return MU_OK;
}

static void *place(const mu_cuda_conv *c, size_t at)
{
    return (char *)c->base.base.scratch + at;
}

/* y = conv(x, w), or act(conv(x, w) + bias + residual), whose bias cuDNN always wants. */
static mu_err run_plain(const mu_cuda_conv *c, const void *x, const void *w, const void *bias, const void *residual, void *y)
{
    const mu_cuda *self = c->base.self;
    cudnnConvolutionFwdAlgo_t algorithm = (cudnnConvolutionFwdAlgo_t)candidates[c->candidate].algorithm;
    if (!bias && !residual && !c->relu) {
        MU_TRY_CUDNN(cudnnConvolutionForward(self->dnn, &one, c->x, x, c->w, w, c->conv, algorithm, place(c, c->workspace), c->workspace_bytes,
                                             &zero, c->y, y));
        return MU_OK;
    }
    if (!bias) {
        bias = place(c, c->zeros);
        MU_TRY_CUDA(cudaMemsetAsync(place(c, c->zeros), 0, (size_t)c->shape.k * mu_dtype_size(c->dtype), self->stream));
    }
    MU_TRY_CUDNN(cudnnConvolutionBiasActivationForward(self->dnn, &one, c->x, x, c->w, w, c->conv, algorithm, place(c, c->workspace),
                                                       c->workspace_bytes, residual ? &one : &zero, c->y, residual ? residual : y, c->bias,
                                                       bias, c->activation, c->y, y));
    return MU_OK;
}

static mu_err run_preset(const mu_cuda_conv *c, const void *x, const void *w, const void *bias, const void *residual, void *y)
{
    const mu_cuda *self = c->base.self;
    const mu_cuda_conv_shape *s = &c->shape;
    int64_t rows = s->n * s->oh * s->ow;
    if (bias || (residual && residual != y))
        MU_TRY(mu_cuda_conv_preset(self, c->dtype, bias, residual, y, rows, s->k));
    MU_TRY_CUDNN(cudnnConvolutionForward(self->dnn, &one, c->x, x, c->w, w, c->conv,
                                         (cudnnConvolutionFwdAlgo_t)candidates[c->candidate].algorithm, place(c, c->workspace),
                                         c->workspace_bytes, bias || residual ? &one : &zero, c->y, y));
    return MU_OK;
}

static mu_err run_forward(const mu_cuda_conv *c, const mu_run *run)
{
    const mu_kernel *kernel = &c->base.base;
    const void *x, *bias = mu_cuda_address(kernel, 2), *residual = mu_cuda_address(kernel, 3);
    void *y = kernel->out[0];
    form how = candidates[c->candidate].form;
    if (how == OWN) {
        MU_TRY(mu_cuda_conv_own_forward(c->base.self, c->dtype, &c->shape, kernel->in[0], kernel->in[1], bias, residual, c->relu, y));
    } else {
        MU_TRY(padded_images(c, kernel->in[0], &x));
        MU_TRY((how == PRESET ? run_preset : run_plain)(c, x, kernel->in[1], bias, residual, y));
    }
    if (how == PRESET || !c->relu)
        MU_TRY(mu_cuda_activation_run(c->end, y, run));
    return MU_OK;
}

/* With a bias dx starts as it: the sum is rounded once. */
static mu_err run_grad_input(const mu_cuda_conv *c)
{
    const mu_kernel *kernel = &c->base.base;
    const mu_cuda *self = c->base.self;
    const mu_cuda_conv_shape *s = &c->shape, *p = &c->padded;
    const void *bias = mu_cuda_address(kernel, 2);
    void *dx = is_padded(c) ? kernel->scratch : kernel->out[0];
    if (candidates[c->candidate].form == OWN)
        return mu_cuda_conv_own_grad_input(self, c->dtype, s, kernel->in[0], kernel->in[1], bias, kernel->out[0]);
    if (bias)
        MU_TRY(mu_cuda_conv_preset(self, c->dtype, bias, NULL, dx, p->n * p->h * p->w, p->c));
    MU_TRY_CUDNN(cudnnConvolutionBackwardData(self->dnn, &one, c->w, kernel->in[1], c->y, kernel->in[0], c->conv,
                                              (cudnnConvolutionBwdDataAlgo_t)candidates[c->candidate].algorithm, place(c, c->workspace),
                                              c->workspace_bytes, bias ? &one : &zero, c->x, dx));
    if (is_padded(c))
        MU_TRY(mu_cuda_conv_border(self, c->dtype, dx, s->n, p->h, p->w, s->c, kernel->out[0], s->h, s->w, -s->padding[0], -s->padding[1]));
    return MU_OK;
}

static mu_err run_grad_weight(const mu_cuda_conv *c)
{
    const mu_kernel *kernel = &c->base.base;
    const mu_cuda *self = c->base.self;
    const mu_cuda_conv_shape *s = &c->shape;
    const void *x;
    if (mu_cuda_out(&kernel->call, 1))
        MU_TRY(mu_cuda_conv_bias_grad(self, c->dtype, kernel->in[1], s->n * s->oh * s->ow, s->k, place(c, c->sums), kernel->out[1]));
    if (candidates[c->candidate].form == OWN)
        return mu_cuda_conv_own_grad_weight(self, c->dtype, s, kernel->in[0], kernel->in[1], kernel->out[0]);
    MU_TRY(padded_images(c, kernel->in[0], &x));
    MU_TRY_CUDNN(cudnnConvolutionBackwardFilter(self->dnn, &one, c->x, x, c->y, kernel->in[1], c->conv,
                                                (cudnnConvolutionBwdFilterAlgo_t)candidates[c->candidate].algorithm,
                                                place(c, c->workspace), c->workspace_bytes, &zero, c->w, kernel->out[0]));
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
    if (c->candidate < 0)
        return run_empty(c);
    switch (c->product) {
    case MU_CUDA_CONV_FORWARD: return run_forward(c, run);
    case MU_CUDA_CONV_GRAD_INPUT: return run_grad_input(c);
    default: return run_grad_weight(c);
    }
}
