#include "backend/onednn/conv.h"
#include "backend/onednn/tune.h"
#include "backend/onednn/winograd.h"
#include "core/log.h"
#include "core/text.h"
#include "core/mem.h"

enum { X, W, Y, BIAS, N_TENSORS };

typedef struct {
    mu_onednn *self;
    const mu_call *call;
    const mu_conv_roles *roles;
    const mu_conv2d_attrs *attrs;
    const mu_layout *const *in_layout, *const *want_out;
    mu_dnn_window window;
    dnnl_primitive_attr_t attr; /* owned */
} conv;

/* How one candidate is asked for: the algorithm, and whether the images stay in the layouts in which they come. */
typedef struct {
    const char *name;
    dnnl_alg_kind_t alg;
    bool keep, own; /* own: this library's kernel */
} candidate;

static const candidate candidates[] = {
    {.name = "direct", .alg = dnnl_convolution_direct},
    {.name = "direct-keep", .alg = dnnl_convolution_direct, .keep = true},
    {.name = "winograd", .alg = dnnl_convolution_winograd},
    {.name = "winograd-keep", .alg = dnnl_convolution_winograd, .keep = true},
    {.name = "winograd-own", .alg = dnnl_convolution_winograd, .own = true},
};

enum { N_CANDIDATES = sizeof candidates / sizeof *candidates };

typedef struct {
    dnnl_primitive_desc_t pd;
    mu_dnn_desc given[N_TENSORS];
    mu_dnn_md used[N_TENSORS]; /* borrowed from pd */
} description;

static int role(const conv *c, int tensor)
{
    const mu_conv_roles *r = c->roles;
    return tensor == X ? r->x : tensor == W ? r->w : tensor == Y ? r->y : r->bias;
}

const mu_type *mu_onednn_conv_type(const mu_call *call, int at)
{
    return at == MU_CONV_ABSENT ? NULL : at >= 0 ? mu_onednn_in(call, at) : mu_onednn_out(call, -1 - at);
}

static const mu_type *tensor_type(const conv *c, int tensor)
{
    return mu_onednn_conv_type(c->call, role(c, tensor));
}

/* oneDNN's dimensions of a tensor: weights get a group dimension when there are groups. */
static int tensor_dims(const conv *c, int tensor, int64_t dims[5])
{
    const mu_type *t = tensor_type(c, tensor);
    int n = t->ndim;
    memcpy(dims, t->dim, (size_t)n * sizeof *dims);
    if (tensor != W || c->attrs->groups == 1)
        return n;
    dims[0] = c->attrs->groups;
    dims[1] = t->dim[0] / c->attrs->groups;
    memcpy(dims + 2, t->dim + 1, 3 * sizeof *dims);
    return n + 1;
}

static bool transposed(const conv *c)
{
    return c->roles->product == MU_CONV_TRANSPOSED;
}

/* Swaps the input and output channels of weights, as a deconvolution names them. Its own inverse. */
static mu_err swap_channels(mu_dnn_md from, mu_dnn_desc *out)
{
    static const int plain[] = {1, 0, 2, 3}, grouped[] = {0, 2, 1, 3, 4};
    mu_dnn_blocking b;
    mu_dnn_describe(from, &b);
    MU_TRY_DNN(mu_dnn_desc_permute(out, from, b.ndims == 5 ? grouped : plain));
    return MU_OK;
}

/* "any" for weights and for images that need not stay; row-major for the bias. */
static mu_err describe_tensor(const conv *c, const candidate *how, int tensor, const mu_layout *fixed, mu_dnn_desc *out)
{
    int64_t dims[5];
    const mu_type *type = tensor_type(c, tensor);
    dnnl_data_type_t dtype = mu_onednn_dtype(type->dtype);
    int n = tensor_dims(c, tensor, dims), at = role(c, tensor);
    if (tensor == BIAS)
        return mu_onednn_dense(n, dims, dtype, out);
    if (fixed)
        return mu_onednn_desc(fixed, n, dims, dtype, out);
    if (tensor != W && how->keep && at >= 0)
        return mu_onednn_desc(c->in_layout[at], n, dims, dtype, out);
    if (tensor == W && transposed(c)) {
        int64_t *io = dims + n - 4, swap = io[0];
        io[0] = io[1];
        io[1] = swap;
    }
    MU_TRY_DNN(mu_dnn_desc_tag(out, n, dims, dtype, dnnl_format_tag_any));
    return MU_OK;
}

static void release_description(description *d)
{
    if (d->pd)
        dnnl_primitive_desc_destroy(d->pd);
    for (int t = 0; t < N_TENSORS; t++)
        mu_dnn_desc_release(&d->given[t]);
}

/* The forward convolution that oneDNN wants to see beside a backward one. */
static mu_err hint(const conv *c, mu_dnn_md bias, dnnl_primitive_desc_t *out)
{
    mu_dnn_desc any[3] = {MU_DNN_DESC_NONE, MU_DNN_DESC_NONE, MU_DNN_DESC_NONE};
    mu_err err = MU_OK;
    for (int t = X; t <= Y && err == MU_OK; t++)
        err = describe_tensor(c, &candidates[0], t, NULL, &any[t]);
    if (err == MU_OK) {
        dnnl_status_t status = mu_dnn_conv(out, c->self->engine, dnnl_convolution_direct, mu_dnn_view(&any[X]),
                                           mu_dnn_view(&any[W]), bias, mu_dnn_view(&any[Y]), &c->window, c->self->attr);
        if (status != dnnl_success)
            err = mu_onednn_fail(status, "convolution hint", __FILE__, __LINE__, __func__);
    }
    for (int t = X; t <= Y; t++)
        mu_dnn_desc_release(&any[t]);
    return err;
}

static mu_err create(const conv *c, const candidate *how, description *d)
{
    mu_dnn_md x = mu_dnn_view(&d->given[X]), w = mu_dnn_view(&d->given[W]), y = mu_dnn_view(&d->given[Y]);
    mu_dnn_md bias = tensor_type(c, BIAS) ? mu_dnn_view(&d->given[BIAS]) : NULL;
    dnnl_engine_t engine = c->self->engine;
    dnnl_primitive_desc_t forward = NULL;
    mu_conv_product product = c->roles->product;
    dnnl_status_t status;
    if (product == MU_CONV_FORWARD) {
        status = mu_dnn_conv(&d->pd, engine, how->alg, x, w, bias, y, &c->window, c->attr);
    } else if (product == MU_CONV_TRANSPOSED) {
        status = mu_dnn_deconv(&d->pd, engine, y, w, bias, x, &c->window, c->attr);
    } else {
        MU_TRY(hint(c, bias, &forward));
        status = product == MU_CONV_GRAD_INPUT
                     ? mu_dnn_conv_grad_input(&d->pd, engine, how->alg, x, w, y, &c->window, forward, c->attr)
                     : mu_dnn_conv_grad_weight(&d->pd, engine, how->alg, x, w, bias, y, &c->window, forward, c->attr);
        dnnl_primitive_desc_destroy(forward);
    }
    MU_TRY_DNN(status);
    return MU_OK;
}

static void find_used(const conv *c, description *d)
{
    static const dnnl_query_t query[4][N_TENSORS] = {
        [MU_CONV_FORWARD] = {dnnl_query_src_md, dnnl_query_weights_md, dnnl_query_dst_md},
        [MU_CONV_GRAD_INPUT] = {dnnl_query_diff_src_md, dnnl_query_weights_md, dnnl_query_diff_dst_md},
        [MU_CONV_TRANSPOSED] = {dnnl_query_dst_md, dnnl_query_weights_md, dnnl_query_src_md},
        [MU_CONV_GRAD_WEIGHT] = {dnnl_query_src_md, dnnl_query_diff_weights_md, dnnl_query_diff_dst_md},
    };
    for (int t = X; t <= Y; t++)
        d->used[t] = dnnl_primitive_desc_query_md(d->pd, query[c->roles->product][t], 0);
    d->used[BIAS] = mu_dnn_view(&d->given[BIAS]);
}

/* fixed[t]: a layout that tensor t must have, or NULL. */
static mu_err describe(const conv *c, const candidate *how, const mu_layout *const fixed[N_TENSORS], description *d)
{
    *d = (description){.pd = NULL};
    mu_err err = MU_OK;
    for (int t = 0; t < N_TENSORS && err == MU_OK; t++)
        if (tensor_type(c, t))
            err = describe_tensor(c, how, t, fixed[t], &d->given[t]);
    if (err == MU_OK)
        err = create(c, how, d);
    if (err == MU_OK)
        find_used(c, d);
    else
        release_description(d);
    return err;
}

static mu_err layout_used(const conv *c, const description *d, int tensor, const mu_layout **out)
{
    if (tensor != W || !transposed(c))
        return mu_onednn_layout_of(c->self, tensor_type(c, tensor), d->used[tensor], out);
    mu_dnn_desc swapped;
    MU_TRY(swap_channels(d->used[W], &swapped));
    mu_err err = mu_onednn_layout_of(c->self, tensor_type(c, W), mu_dnn_view(&swapped), out);
    mu_dnn_desc_release(&swapped);
    return err;
}

static mu_err fill_kernel(const conv *c, const description *d, mu_onednn_kernel *kernel)
{
    static const int arg[4][N_TENSORS] = {
        [MU_CONV_FORWARD] = {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST, DNNL_ARG_BIAS},
        [MU_CONV_GRAD_INPUT] = {DNNL_ARG_DIFF_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DIFF_DST, 0},
        [MU_CONV_TRANSPOSED] = {DNNL_ARG_DST, DNNL_ARG_WEIGHTS, DNNL_ARG_SRC, DNNL_ARG_BIAS},
        [MU_CONV_GRAD_WEIGHT] = {DNNL_ARG_SRC, DNNL_ARG_DIFF_WEIGHTS, DNNL_ARG_DIFF_DST, DNNL_ARG_DIFF_BIAS},
    };
    MU_TRY(mu_onednn_kernel_set(kernel, d->pd));
    for (int t = 0; t < N_TENSORS; t++) {
        if (!tensor_type(c, t))
            continue;
        int at = role(c, t);
        MU_TRY(mu_onednn_kernel_arg(kernel, arg[c->roles->product][t], d->used[t], at));
        MU_TRY(layout_used(c, d, t, at >= 0 ? &kernel->base.in_layout[at] : &kernel->base.out_layout[-1 - at]));
    }
    int residual = c->roles->residual;
    if (mu_onednn_conv_type(c->call, residual)) {
        kernel->base.in_layout[residual] = kernel->base.out_layout[0];
        kernel->base.inplace[0] = (signed char)(residual + 1);
        kernel->sum_from = residual;
        kernel->sum_bytes = mu_layout_bytes(kernel->base.out_layout[0], &c->call->out[0]);
    }
    return MU_OK;
}

static mu_err build(const conv *c, const description *d, mu_kernel **out)
{
    mu_onednn_kernel *kernel;
    MU_TRY(mu_onednn_kernel_new(c->self, c->call, &kernel));
    mu_err err = fill_kernel(c, d, kernel);
    if (err != MU_OK) {
        mu_kernel_release(&kernel->base);
        return err;
    }
    *out = &kernel->base;
    return MU_OK;
}

/* oneDNN's fall-backs, that no wish for a layout is worth. */
static bool is_fast(const description *d)
{
    const char *impl = NULL;
    if (dnnl_primitive_desc_query(d->pd, dnnl_query_impl_info_str, 0, &impl) != dnnl_success || !impl)
        return false;
    return strncmp(impl, "jit", 3) == 0 || strncmp(impl, "brg", 3) == 0;
}

/* Grants the wish for the weight gradient's layout if a fast implementation can. */
static mu_err grant_wish(const conv *c, const candidate *how, description *d)
{
    if (c->roles->product != MU_CONV_GRAD_WEIGHT || !c->want_out || !c->want_out[0])
        return MU_OK;
    const mu_layout *own, *const fixed[N_TENSORS] = {[W] = c->want_out[0]};
    MU_TRY(layout_used(c, d, W, &own));
    if (own == c->want_out[0])
        return MU_OK;
    description wished;
    mu_err err = describe(c, how, fixed, &wished);
    if (err == MU_ERR_UNSUPPORTED)
        return MU_OK;
    MU_TRY(err);
    if (is_fast(&wished)) {
        release_description(d);
        *d = wished;
    } else {
        release_description(&wished);
    }
    return MU_OK;
}

static mu_err prepare(const conv *c, const candidate *how, mu_kernel **out)
{
    static const mu_layout *const any[N_TENSORS];
    if (how->own)
        return mu_onednn_winograd_prepare(c->self, c->call, c->roles, out);
    description d;
    MU_TRY(describe(c, how, any, &d));
    mu_err err = how->keep && !is_fast(&d) ? MU_FAIL(MU_ERR_UNSUPPORTED, "oneDNN has no fast kernel for these layouts")
                                           : grant_wish(c, how, &d);
    if (err == MU_OK)
        err = build(c, &d, out);
    release_description(&d);
    return err;
}

/* A row-major image has no layout; a parameter that comes row-major in a forward call may still get one of its own. */
static bool will_reorder(const conv *c, int i)
{
    return i != c->roles->w || c->roles->product == MU_CONV_GRAD_INPUT || c->in_layout[i];
}

/* The kernel's own time and that of the reorders it forces. */
static mu_err cost(const conv *c, mu_kernel *kernel, double *seconds)
{
    double extra;
    MU_TRY(mu_onednn_time(c->self, kernel, seconds));
    for (int i = 0; i < c->call->n_in; i++) {
        if (!mu_onednn_in(c->call, i) || !will_reorder(c, i))
            continue;
        MU_TRY(mu_onednn_time_reorder(c->self, &c->call->in[i], c->in_layout[i], kernel->in_layout[i], &extra));
        *seconds += extra;
    }
    for (int o = 0; o < c->call->n_out; o++) {
        if (!c->want_out || !c->want_out[o])
            continue;
        MU_TRY(mu_onednn_time_reorder(c->self, &c->call->out[o], kernel->out_layout[o], c->want_out[o], &extra));
        *seconds += extra;
    }
    return MU_OK;
}

static bool same_layouts(const mu_kernel *a, const mu_kernel *b)
{
    size_t n = (size_t)(a->call.n_in + a->call.n_out);
    return memcmp(a->in_layout, b->in_layout, n * sizeof *a->in_layout) == 0;
}

/* Prepares what this oneDNN can do; a candidate equal to an earlier one is dropped. NULL entries: not there. */
static mu_err prepare_all(const conv *c, mu_kernel *kernel[N_CANDIDATES], int *n)
{
    *n = 0;
    for (int i = 0; i < N_CANDIDATES; i++) {
        if (c->self->direct_convolution && candidates[i].alg != dnnl_convolution_direct)
            continue;
        mu_err err = prepare(c, &candidates[i], &kernel[i]);
        if (err == MU_ERR_UNSUPPORTED)
            continue;
        MU_TRY(err);
        for (int j = 0; j < i && kernel[i]; j++)
            if (kernel[j] && !candidates[i].own && candidates[i].alg == candidates[j].alg &&
                same_layouts(kernel[j], kernel[i])) {
                mu_kernel_release(kernel[i]);
                kernel[i] = NULL;
            }
        *n += kernel[i] != NULL;
    }
    return MU_OK;
}

/* Twice, and the better time counts: what disturbs one pass seldom disturbs the other. */
static mu_err measure(const conv *c, const char *key, mu_kernel *kernel[N_CANDIDATES], int n, int *out)
{
    double best[N_CANDIDATES] = {0};
    *out = -1;
    for (int pass = 0; n > 1 && pass < 2; pass++)
        for (int i = 0; i < N_CANDIDATES; i++) {
            double seconds;
            if (!kernel[i])
                continue;
            MU_TRY(cost(c, kernel[i], &seconds));
            best[i] = pass == 0 || seconds < best[i] ? seconds : best[i];
        }
    for (int i = 0; i < N_CANDIDATES; i++) {
        if (!kernel[i])
            continue;
        MU_DEBUG("onednn", "%s: %s (%s) %.3f ms", key, candidates[i].name, kernel[i]->impl, best[i] * 1e3);
        if (*out < 0 || best[i] < best[*out])
            *out = i;
    }
    if (*out < 0)
        return MU_FAIL(MU_ERR_UNSUPPORTED, "oneDNN has no convolution for this shape");
    MU_TRY(mu_choices_put(c->self->tune, key, candidates[*out].name, best[*out]));
    return MU_OK;
}

static mu_err make_key(const conv *c, char **out)
{
    static const char *const product[] = {"conv2d", "conv2d_grad_input", "conv2d_grad_input+bias", "conv2d_grad_weight"};
    const mu_conv2d_attrs *a = c->attrs;
    char text[MU_TYPE_TEXT];
    mu_text key = {0};
    mu_text_printf(&key, "%s", product[c->roles->product]);
    for (int t = 0; t < N_TENSORS; t++)
        if (tensor_type(c, t))
            mu_text_printf(&key, " %s", mu_type_format(tensor_type(c, t), text));
    mu_text_printf(&key, " s%d,%d p%d,%d,%d,%d d%d,%d g%d", (int)a->stride[0], (int)a->stride[1], (int)a->padding[0],
                   (int)a->padding[1], (int)a->padding[2], (int)a->padding[3], (int)a->dilation[0], (int)a->dilation[1],
                   (int)a->groups);
    if (c->roles->product == MU_CONV_FORWARD)
        mu_text_printf(&key, " %s%s", mu_activation_names[a->activation],
                       mu_onednn_conv_type(c->call, c->roles->residual) ? " residual" : "");
    for (int i = 0; i < c->call->n_in; i++)
        mu_text_printf(&key, " %s", c->in_layout[i] ? c->in_layout[i]->name : "-");
    for (int o = 0; o < c->call->n_out; o++)
        mu_text_printf(&key, ">%s", c->want_out && c->want_out[o] ? c->want_out[o]->name : "-");
    if (c->self->direct_convolution)
        mu_text_append(&key, " direct");
    mu_err err = mu_text_take(&key, out);
    mu_text_release(&key);
    return err;
}

static mu_err choose(const conv *c, const char *key, mu_kernel **out)
{
    const char *known;
    MU_TRY(mu_choices_get(c->self->tune, key, &known));
    mu_kernel *kernel[N_CANDIDATES] = {NULL};
    for (int i = 0; known && i < N_CANDIDATES; i++)
        if (strcmp(known, candidates[i].name) == 0 && prepare(c, &candidates[i], &kernel[i]) == MU_OK) {
            *out = kernel[i];
            return MU_OK;
        }
    int best = -1, n;
    mu_err err = prepare_all(c, kernel, &n);
    if (err == MU_OK)
        err = measure(c, key, kernel, n, &best);
    for (int i = 0; i < N_CANDIDATES; i++)
        if (kernel[i] && (err != MU_OK || i != best))
            mu_kernel_release(kernel[i]);
    MU_TRY(err);
    *out = kernel[best];
    return MU_OK;
}

/* Nothing to compute: outputs that have elements (weight gradients of an empty batch) are zero. */
static mu_err prepare_empty(mu_onednn *self, const mu_call *call, mu_kernel **out)
{
    mu_onednn_kernel *kernel;
    MU_TRY(mu_onednn_kernel_new(self, call, &kernel));
    mu_onednn_kernel_zero(kernel);
    *out = &kernel->base;
    return MU_OK;
}

/* Along axis i. For one output any stride that is large enough does the same: the least one is taken. Where a stride is
 * larger than the image, oneDNN 2.6's bf16 weight gradient multiplies memory that nobody wrote, perhaps NaN, by 0. */
static int64_t least_stride(const mu_conv2d_attrs *a, int i, const mu_type *x, const mu_type *w, const mu_type *y)
{
    int64_t rest = x->dim[2 + i] + a->padding[i] + a->padding[2 + i] - a->dilation[i] * (w->dim[2 + i] - 1) - 1;
    return y->dim[2 + i] == 1 && rest + 1 < a->stride[i] ? rest + 1 : a->stride[i];
}

mu_err mu_onednn_conv_prepare(mu_onednn *self, const mu_call *call, const mu_conv_roles *roles,
                              const mu_layout *const *in_layout, const mu_layout *const *want_out, mu_kernel **out)
{
    const mu_conv2d_attrs *a = call->attrs;
    conv c = {.self = self, .call = call, .roles = roles, .attrs = a, .in_layout = in_layout, .want_out = want_out};
    if (mu_onednn_empty(call))
        return prepare_empty(self, call, out);
    for (int i = 0; i < 2; i++) {
        c.window.strides[i] = least_stride(a, i, tensor_type(&c, X), tensor_type(&c, W), tensor_type(&c, Y));
        c.window.dilates[i] = a->dilation[i] - 1;
        c.window.pad_l[i] = a->padding[i];
        c.window.pad_r[i] = a->padding[2 + i];
    }
    bool forward = roles->product == MU_CONV_FORWARD;
    MU_TRY(mu_onednn_attr(mu_onednn_conv_type(call, roles->residual) != NULL, forward ? a->activation : MU_ACT_NONE, a->alpha, &c.attr));
    char *key = NULL;
    mu_err err;
    if (self->deterministic) {
        err = prepare(&c, &candidates[0], out);
    } else {
        err = make_key(&c, &key);
        if (err == MU_OK)
            err = choose(&c, key, out);
    }
    mu_free(key);
    dnnl_primitive_attr_destroy(c.attr);
    return err;
}

bool mu_onednn_conv_supports(const mu_call *call, const mu_conv_roles *roles, const char **why)
{
    const mu_conv2d_attrs *a = call->attrs;
    const mu_type *x = mu_onednn_conv_type(call, roles->x), *w = mu_onednn_conv_type(call, roles->w), *y = mu_onednn_conv_type(call, roles->y);
    const mu_type *bias = mu_onednn_conv_type(call, roles->bias), *residual = mu_onednn_conv_type(call, roles->residual);
    if (!x || !w || !y || !mu_onednn_float_ok(call->in[0].dtype, why))
        return false;
    mu_dtype dtype = call->in[0].dtype;
    *why = "oneDNN's convolution wants all operands in one dtype";
    if (x->dtype != dtype || y->dtype != dtype || (w->dtype != dtype && roles->w >= 0) ||
        (w->dtype != dtype && w->dtype != MU_F32) || (residual && residual->dtype != dtype) ||
        (bias && bias->dtype != dtype && bias->dtype != MU_F32))
        return false;
    *why = "a convolution without channels or taps is not oneDNN's";
    for (int i = 0; i < w->ndim; i++)
        if (w->dim[i] == 0)
            return false;
    *why = "oneDNN's bf16 weight gradient wants images that are as wide as the stride";
    if (roles->product == MU_CONV_GRAD_WEIGHT && dtype == MU_BF16 && x->dim[3] < least_stride(a, 1, x, w, y))
        return false;
    *why = "oneDNN's convolution wants paddings of zero or more";
    for (int i = 0; i < 4; i++)
        if (a->padding[i] < 0)
            return false;
    return true;
}
