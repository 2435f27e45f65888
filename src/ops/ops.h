/* The operations, as a forward pass writes them, with their attribute structs.
 *
 * Every function appends to the graph and returns the new value; errors are sticky in the graph. Images are NCHW.
 * Unless said otherwise floats are of one dtype, outputs have the dtype of the first input, and an absent optional operand is
 * MU_NO_VALUE. A gradient operation <op>_grad takes what its comment lists; only gradient rules use it. */
#ifndef MU_OPS_OPS_H
#define MU_OPS_OPS_H

#include "ir/graph.h"

typedef struct mu_comm mu_comm; /* dist/comm.h */

#define OP(name) extern const mu_op mu_op_##name;
#include "ops/ops.def"
#undef OP

/* Activations that a convolution, linear layer or norm may end with (set by the fusion pass). */
typedef enum {
    MU_ACT_NONE, MU_ACT_RELU, MU_ACT_RELU6, MU_ACT_LEAKY_RELU, MU_ACT_SILU, MU_ACT_GELU, MU_ACT_GELU_TANH,
    MU_ACT_SIGMOID, MU_ACT_HARD_SIGMOID, MU_ACT_HARD_SWISH, MU_ACT_TANH
} mu_activation;
extern const char *const mu_activation_names[]; /* NULL-terminated */

/* ---- convolution: x [N,C,H,W], w [K,C/groups,kh,kw], bias [K] -> y [N,K,OH,OW],
 *      OH = (H + pad_top + pad_bottom - dilation*(kh-1) - 1) / stride + 1 ---- */
typedef struct {
    int64_t stride[2], padding[4], dilation[2]; /* (h, w); (top, left, bottom, right); (h, w) */
    int64_t groups;
    int64_t input[2];  /* conv2d_grad_input: (H, W) of x; conv2d_grad_weight: (kh, kw) of w */
    int activation;    /* mu_activation, fusion */
    double alpha;      /* leaky ReLU's slope */
    bool bias;         /* conv2d_grad_weight: also gives the bias gradient */
} mu_conv2d_attrs;
/* stride 1, padding 0, dilation 1, groups 1 */
mu_conv2d_attrs mu_conv2d_defaults(void);
/* conv2d(x, w, bias?, residual?): the residual [N,K,OH,OW] is added before the activation (fusion only).
 * conv2d_grad_input(dy, w, bias?) -> dx; conv2d_grad_weight(x, dy) -> dw, db? */
mu_value mu_conv2d(mu_graph *g, mu_value x, mu_value w, mu_value bias, const mu_conv2d_attrs *attrs);
/* The transpose of conv2d (PyTorch's ConvTranspose2d): x [N,K,H,W], w [K,C/groups,kh,kw], bias [C] -> [N,C,OH,OW],
 * OH = (H-1)*stride - pad_top - pad_bottom + dilation*(kh-1) + output_padding + 1. It is conv2d_grad_input. */
mu_value mu_conv_transpose2d(mu_graph *g, mu_value x, mu_value w, mu_value bias, const mu_conv2d_attrs *attrs,
                             const int64_t output_padding[2]);

/* ---- matrix products ---- */
typedef struct {
    int activation;
    double alpha;
} mu_linear_attrs;
/* x [..., in], w [out, in], bias [out] -> [..., out] */
mu_value mu_linear(mu_graph *g, mu_value x, mu_value w, mu_value bias);

typedef struct {
    bool trans_a, trans_b; /* of the last two dimensions */
} mu_matmul_attrs;
/* a [..., m, k], b [..., k, n] -> [..., m, n]; leading dimensions broadcast. */
mu_value mu_matmul(mu_graph *g, mu_value a, mu_value b, bool trans_a, bool trans_b);

/* ---- norms: parameters and statistics are f32 when x is of a half type, else of its dtype ---- */
typedef struct {
    double eps, momentum; /* running = (1-momentum)*running + momentum*batch (unbiased variance) */
    bool relu;            /* fusion: y = relu(bn(x) + residual); also of batch_norm_inference */
    bool residual;        /* batch_norm_grad: dresidual is wanted */
    mu_comm *comm;        /* sync_batch_norm: the ranks, borrowed by graphs and plans; NULL: this one */
} mu_batch_norm_attrs;
/* x [N,C,...], gamma, beta, running mean and variance [C] (states; updated). Training statistics.
 * batch_norm(x, gamma, beta, rm, rv, residual?) -> y, mean, rstd, rm', rv'
 * batch_norm_grad(dy, x, gamma, mean, rstd, y?, dy2?) -> dx, dgamma, dbeta, dresidual?
 *   (y, when relu, is the mask; dy2, fusion: the output gradient is dy + dy2, rounded as add does) */
mu_value mu_batch_norm(mu_graph *g, mu_value x, mu_value gamma, mu_value beta, mu_value running_mean, mu_value running_var,
                       double eps, double momentum);
/* The same with the statistics of all ranks' batches together, which may differ in size; dgamma and dbeta are this rank's part. Collective when it
 * runs, forward and backward; comm is for nothing else meanwhile.
 * sync_batch_norm and sync_batch_norm_grad: operands and outputs as above. */
mu_value mu_sync_batch_norm(mu_graph *g, mu_value x, mu_value gamma, mu_value beta, mu_value running_mean, mu_value running_var,
                            double eps, double momentum, mu_comm *comm);
/* With given statistics: (x - mean) / sqrt(var + eps) * gamma + beta. gamma and beta may be none. */
mu_value mu_batch_norm_inference(mu_graph *g, mu_value x, mu_value gamma, mu_value beta, mu_value mean, mu_value var, double eps);

typedef struct {
    double eps;
    int64_t normalized_ndim; /* layer norm: how many trailing dimensions */
    int64_t groups;          /* group norm */
} mu_norm_attrs;
/* Over the last normalized_ndim dimensions; gamma, beta of that shape or none.
 * layer_norm(x, gamma?, beta?) -> y, mean, rstd; layer_norm_grad(dy, x, gamma?, mean, rstd) -> dx, dgamma?, dbeta? */
mu_value mu_layer_norm(mu_graph *g, mu_value x, mu_value gamma, mu_value beta, int64_t normalized_ndim, double eps);
/* x [N,C,...], gamma, beta [C] or none; groups = C is instance norm. Outputs as layer_norm, mean [N,groups]. */
mu_value mu_group_norm(mu_graph *g, mu_value x, mu_value gamma, mu_value beta, int64_t groups, double eps);

/* ---- pooling of x [N,C,H,W] ---- */
typedef struct {
    int64_t kernel[2], stride[2], padding[4], dilation[2];
    bool ceil_mode, count_include_pad;
    int64_t output[2]; /* adaptive pooling: (OH, OW); gradients: (H, W) of x */
} mu_pool2d_attrs;
mu_pool2d_attrs mu_pool2d_defaults(int64_t kernel, int64_t stride, int64_t padding);
/* max_pool2d(x) -> y, index i32 (h*W+w of the winner in its plane; -1: a dilated window met no element);
 * max_pool2d_grad(dy, index) -> dx */
mu_value mu_max_pool2d(mu_graph *g, mu_value x, const mu_pool2d_attrs *attrs);
mu_value mu_avg_pool2d(mu_graph *g, mu_value x, const mu_pool2d_attrs *attrs);
mu_value mu_adaptive_avg_pool2d(mu_graph *g, mu_value x, int64_t height, int64_t width);
mu_value mu_adaptive_max_pool2d(mu_graph *g, mu_value x, int64_t height, int64_t width);

/* ---- element-wise, one operand. <op>_grad(dy, x) or (dy, y), as the operation's file says ---- */
typedef struct {
    double alpha, beta; /* leaky_relu: slope; clamp: low, high; gelu: alpha != 0 is the tanh form */
} mu_unary_attrs;
mu_value mu_abs(mu_graph *g, mu_value x);
mu_value mu_neg(mu_graph *g, mu_value x);
mu_value mu_exp(mu_graph *g, mu_value x);
mu_value mu_log(mu_graph *g, mu_value x);
mu_value mu_sqrt(mu_graph *g, mu_value x);
mu_value mu_relu(mu_graph *g, mu_value x);
mu_value mu_relu6(mu_graph *g, mu_value x);
mu_value mu_leaky_relu(mu_graph *g, mu_value x, double slope);
mu_value mu_silu(mu_graph *g, mu_value x);
mu_value mu_gelu(mu_graph *g, mu_value x, bool tanh_form);
mu_value mu_sigmoid(mu_graph *g, mu_value x);
mu_value mu_hard_sigmoid(mu_graph *g, mu_value x); /* clamp(x/6 + 1/2, 0, 1) */
mu_value mu_hard_swish(mu_graph *g, mu_value x);   /* x * hard_sigmoid(x) */
mu_value mu_tanh(mu_graph *g, mu_value x);
mu_value mu_clamp(mu_graph *g, mu_value x, double low, double high); /* infinities for one-sided */
/* slope: one element or [C] for x [N,C,...] */
mu_value mu_prelu(mu_graph *g, mu_value x, mu_value slope);
/* Zeroes with probability p and scales the rest by 1/(1-p); Philox keyed by (run.seed, this call's key, run.step, element
 * index in the global batch). The gradient is the same operation on dy. Every call gets its own key from the graph. */
typedef struct {
    double p;
    int64_t key;
} mu_dropout_attrs;
mu_value mu_dropout(mu_graph *g, mu_value x, double p);
mu_value mu_cast(mu_graph *g, mu_value x, mu_dtype dtype);
typedef struct {
    int dtype;
} mu_cast_attrs;

/* ---- element-wise, two operands, broadcasting ---- */
mu_value mu_add(mu_graph *g, mu_value a, mu_value b);
mu_value mu_sub(mu_graph *g, mu_value a, mu_value b);
mu_value mu_mul(mu_graph *g, mu_value a, mu_value b);
mu_value mu_div(mu_graph *g, mu_value a, mu_value b);
mu_value mu_power(mu_graph *g, mu_value a, mu_value b);
mu_value mu_maximum(mu_graph *g, mu_value a, mu_value b); /* a tie gives each half of the gradient */
mu_value mu_minimum(mu_graph *g, mu_value a, mu_value b);
/* With a number: the constant has the dtype of x. */
mu_value mu_add_scalar(mu_graph *g, mu_value x, double c);
mu_value mu_mul_scalar(mu_graph *g, mu_value x, double c);
mu_value mu_power_scalar(mu_graph *g, mu_value x, double c);
/* Comparisons give bool. */
mu_value mu_equal(mu_graph *g, mu_value a, mu_value b);
mu_value mu_not_equal(mu_graph *g, mu_value a, mu_value b);
mu_value mu_less(mu_graph *g, mu_value a, mu_value b);
mu_value mu_less_equal(mu_graph *g, mu_value a, mu_value b);
mu_value mu_greater(mu_graph *g, mu_value a, mu_value b);
mu_value mu_greater_equal(mu_graph *g, mu_value a, mu_value b);
/* condition bool; all three broadcast. */
mu_value mu_where(mu_graph *g, mu_value condition, mu_value a, mu_value b);

/* ---- reductions. dims: bit i set = dimension i is reduced; 0 = all ---- */
typedef struct {
    int64_t dims; /* bit mask */
    bool keepdim;
} mu_reduce_attrs;
mu_value mu_sum(mu_graph *g, mu_value x, int64_t dims, bool keepdim);
mu_value mu_mean(mu_graph *g, mu_value x, int64_t dims, bool keepdim);
mu_value mu_max(mu_graph *g, mu_value x, int64_t dims, bool keepdim); /* gradient: evenly over ties */
mu_value mu_min(mu_graph *g, mu_value x, int64_t dims, bool keepdim);
/* Reduces x to the shape of `like` by summing broadcast dimensions: the gradient of broadcasting. */
mu_value mu_sum_like(mu_graph *g, mu_value x, mu_value like);

typedef struct {
    int64_t dim, k;
    bool largest, sorted;
} mu_topk_attrs;
mu_value mu_argmax(mu_graph *g, mu_value x, int64_t dim, bool keepdim); /* i64; the first of equals */
/* The k largest (or smallest) along dim, in order; indices i64. */
void mu_topk(mu_graph *g, mu_value x, int64_t k, int64_t dim, bool largest, mu_value *values, mu_value *indices);

typedef struct {
    int64_t dim;
    bool keepdim;
} mu_dim_attrs;
mu_value mu_softmax(mu_graph *g, mu_value x, int64_t dim);     /* softmax_grad(dy, y) */
mu_value mu_log_softmax(mu_graph *g, mu_value x, int64_t dim); /* log_softmax_grad(dy, y) */

/* ---- shapes ---- */
typedef struct {
    int64_t ndim, dim[MU_MAX_NDIM];
} mu_shape_attrs;
mu_value mu_reshape(mu_graph *g, mu_value x, int ndim, const int64_t *dim); /* one dim may be -1 */
mu_value mu_flatten(mu_graph *g, mu_value x, int start);                    /* dimensions start..end become one */
mu_value mu_transpose(mu_graph *g, mu_value x, const int *perm);            /* mu_shape_attrs, dim = perm: out dim i is x dim perm[i] */
mu_value mu_broadcast_to(mu_graph *g, mu_value x, int ndim, const int64_t *dim);
mu_value mu_concat(mu_graph *g, const mu_value *x, int n, int64_t dim); /* mu_dim_attrs; at most MU_OP_VARIADIC */
typedef struct {
    int64_t ndim, start[MU_MAX_NDIM], size[MU_MAX_NDIM], step[MU_MAX_NDIM];
    int64_t full[MU_MAX_NDIM]; /* slice_grad: the shape of x */
} mu_slice_attrs;
/* out[i] = x[start + i*step], size[d] elements in dimension d; step > 0. slice_grad(dy) -> dx */
mu_value mu_slice(mu_graph *g, mu_value x, const int64_t *start, const int64_t *size, const int64_t *step);
/* Cuts dimension dim into n pieces of the given sizes. */
void mu_split(mu_graph *g, mu_value x, int64_t dim, const int64_t *sizes, int n, mu_value *out);
typedef enum { MU_PAD_CONSTANT, MU_PAD_REFLECT, MU_PAD_REPLICATE } mu_pad_mode;
extern const char *const mu_pad_mode_names[];
typedef struct {
    int64_t ndim, before[MU_MAX_NDIM], after[MU_MAX_NDIM];
    int mode; /* mu_pad_mode */
    double value;
    bool gradient; /* the transpose: adds the border back to where it came from */
} mu_pad_attrs;
mu_value mu_pad(mu_graph *g, mu_value x, const int64_t *before, const int64_t *after, mu_pad_mode mode, double value);
/* Images u8 or f32 [N,C,H,W] or [N,H,W] (one channel) -> [N,C,H+padding[0],W+padding[1]]: (x - mean) / std in f32, by channel of the
 * result, then rounded to `dtype`. mean, std f32 [C] or [1], or none (0 and 1). Not differentiable. */
typedef struct {
    int dtype;          /* MU_F32, MU_BF16 or MU_F16 */
    bool reverse;       /* channel c is channel C-1-c of x: BGR and RGB */
    int64_t padding[2]; /* (below, on the right) */
    double value;       /* of the padding, which is not normalised */
} mu_normalize_attrs;
mu_value mu_normalize(mu_graph *g, mu_value x, mu_value mean, mu_value std, const mu_normalize_attrs *attrs);
/* out[i][j][k] = x[index[i][j][k]][j][k] for dim 0; index i64 or i32, as PyTorch's gather. The operation wants x cut to the
 * index's shape in the other dimensions; mu_gather does that. gather_grad(dy, index) -> dx */
typedef struct {
    int64_t dim;
    int64_t size; /* gather_grad: x's size in dim; embedding_grad: rows of the table */
} mu_gather_attrs;
mu_value mu_gather(mu_graph *g, mu_value x, mu_value index, int64_t dim);
/* table [rows, width], index i64 or i32 [...] -> [..., width]. embedding_grad(dy, index) -> dtable */
mu_value mu_embedding(mu_graph *g, mu_value table, mu_value index);
typedef enum { MU_RESIZE_NEAREST, MU_RESIZE_BILINEAR } mu_resize_mode;
extern const char *const mu_resize_mode_names[];
typedef struct {
    int64_t size[2]; /* (OH, OW); resize_grad: (H, W) of x */
    int mode;        /* mu_resize_mode */
    bool align_corners;
} mu_resize_attrs;
/* PyTorch's interpolate: nearest, bilinear (half-pixel centres unless align_corners). */
mu_value mu_resize(mu_graph *g, mu_value x, int64_t height, int64_t width, mu_resize_mode mode, bool align_corners);

/* ---- losses ---- */
typedef enum { MU_REDUCE_MEAN, MU_REDUCE_SUM, MU_REDUCE_NONE } mu_loss_reduction;
extern const char *const mu_loss_reduction_names[];
typedef struct {
    int reduction; /* mu_loss_reduction */
    int64_t ignore_index;
    double label_smoothing;
    double beta;          /* smooth L1 */
    double gamma, alpha;  /* focal; alpha < 0: none */
    bool log_target;      /* KL */
} mu_loss_attrs;
/* mean, ignore_index -100, label_smoothing 0, beta 1, gamma 2, alpha 0.25 */
mu_loss_attrs mu_loss_defaults(void);
/* logits [N,C,...], target: class indices i64/i32 [N,...] or probabilities [N,C,...]; class_weight [C] or none.
 * cross_entropy -> loss, log_probs [N,C,...], normaliser (scalar: what the mean divides by);
 * cross_entropy_grad(dloss, log_probs, target, class_weight?, normaliser) -> dlogits */
mu_value mu_cross_entropy(mu_graph *g, mu_value logits, mu_value target, mu_value class_weight, const mu_loss_attrs *attrs);
/* The rest: x and target of one shape; <loss>(x, target, ...) -> loss; <loss>_grad(dloss, x, target, ...) -> dx. */
mu_value mu_bce_with_logits(mu_graph *g, mu_value x, mu_value target, mu_value weight, mu_value pos_weight,
                            const mu_loss_attrs *attrs); /* weight, pos_weight broadcast to x; may be none */
mu_value mu_focal_loss(mu_graph *g, mu_value x, mu_value target, const mu_loss_attrs *attrs); /* sigmoid focal (Lin 2017) */
mu_value mu_mse_loss(mu_graph *g, mu_value x, mu_value target, const mu_loss_attrs *attrs);
mu_value mu_l1_loss(mu_graph *g, mu_value x, mu_value target, const mu_loss_attrs *attrs);
mu_value mu_smooth_l1_loss(mu_graph *g, mu_value x, mu_value target, const mu_loss_attrs *attrs);
/* target * (log target - x), x log-probabilities; "mean" divides by the number of elements, as PyTorch's "mean". */
mu_value mu_kl_div(mu_graph *g, mu_value x, mu_value target, const mu_loss_attrs *attrs);

/* ---- a host callback ---- */
typedef mu_err mu_host_fn(void *user, const mu_call *call, const void *const *in, void *const *out);
typedef mu_err mu_host_infer_fn(void *user, const mu_call *call, mu_type *out); /* sets out[0..n_out-1] */
typedef struct {
    mu_host_fn *run;
    mu_host_infer_fn *infer;
    void *user; /* borrowed; must outlive every plan */
    int64_t n_out;
} mu_host_attrs;
/* Row-major host operands; not differentiable; at most MU_OP_MAX_OUT outputs. */
void mu_host(mu_graph *g, const mu_host_attrs *attrs, const mu_value *in, int n_in, mu_value *out);

/* ---- a chain of element-wise operations in one sweep (made by the fusion pass) ----
 * Registers 0..n_in-1 hold the operands (of the output's shape, or one element); instruction i writes register n_in+i;
 * the last `n_out` named registers are the outputs. */
enum { MU_CHAIN_MAX = 24, MU_CHAIN_MAX_IN = 16, MU_CHAIN_MAX_OUT = 4 };
typedef struct {
    const mu_op *op;       /* an element-wise operation */
    double alpha, beta;    /* its mu_unary_attrs */
    signed char arg[3];    /* registers; -1: absent */
} mu_chain_step;
typedef struct {
    int64_t n_steps;
    int64_t n_out;
    mu_chain_step step[MU_CHAIN_MAX];
    signed char out[MU_CHAIN_MAX_OUT]; /* registers */
} mu_chain_attrs;

/* ---- updates of flat arenas (optim/): no gradient, run by the optimizers through the backend ----
 * sgd(param, grad, momentum_buffer?, scalars) -> param', momentum_buffer'   (updates in place)
 * adam(param, grad, m, v, vmax?, scalars) -> param', m', v', vmax'
 * square_sum(x) -> f64 scalar: sum of x^2, for the global gradient norm
 * update_control(control, request, groups [g, MU_UPDATE_SCALARS], sums of squares [n]?, loss scale f32 [1]?) -> control', scalars like groups,
 *   loss scale': what the updates of one step depend on, decided where the gradients are. All f64 but the loss scale. */
typedef struct {
    bool nesterov, maximize;
    bool decoupled; /* adam: AdamW */
} mu_update_attrs;

/* Numbers of an update. Of a group, update_control reads the first five, and CORRECTION1 and 2: not 0 where they are wanted. */
enum {
    MU_UPDATE_LR,
    MU_UPDATE_WEIGHT_DECAY,
    MU_UPDATE_BETA1, /* or momentum */
    MU_UPDATE_BETA2, /* or dampening */
    MU_UPDATE_EPS,
    MU_UPDATE_GRADIENT_SCALE, /* what gradients are multiplied by */
    MU_UPDATE_CORRECTION1,    /* 1 - beta1^t, 1 - beta2^t; t: applied steps, this one included */
    MU_UPDATE_CORRECTION2,
    MU_UPDATE_MAX_VALUE, /* scaled gradients are clamped to +-this; 0: not */
    MU_UPDATE_FIRST,     /* not 0: the first step that is applied. sgd: the buffer is set to the gradient, as PyTorch does */
    MU_UPDATE_SKIP,      /* not 0: everything stays as it is */
    MU_UPDATE_SCALARS = 12
};

/* What an optimizer knows about its steps. A step is attempted once for each set of gradients. */
enum {
    MU_CONTROL_STEPS,      /* that were applied */
    MU_CONTROL_LOSS_SCALE, /* by which the gradients are too large, a number of f32; 1: none */
    MU_CONTROL_GROWTH,     /* good steps since the loss scale changed */
    MU_CONTROL_STOPPED,    /* the attempt, from 1, whose gradients were not finite, where that stops all updates for good; 0: none */
    MU_CONTROL_SKIPPED,    /* attempts, in all, that were skipped: their gradients were not finite */
    MU_CONTROL_NORM,       /* of the last attempt's gradients: unscaled, before clipping; NaN without sums */
    MU_CONTROL_ATTEMPT,    /* the last one; where updates were stopped, nothing here changes any more */
    MU_CONTROL_UPDATED,    /* 1: it was applied */
    MU_CONTROL_N
};

/* What is asked of a step. */
enum {
    MU_REQUEST_ATTEMPT, /* from 1 */
    MU_REQUEST_SCALE,   /* gradients are multiplied by this / loss scale: 1 / accumulated batches */
    MU_REQUEST_MAX_NORM, /* then scaled to this 2-norm if theirs is larger (needs sums); 0: not */
    MU_REQUEST_MAX_VALUE, /* then clamped; 0: not */
    MU_REQUEST_GROWTH_FACTOR,
    MU_REQUEST_BACKOFF_FACTOR,
    MU_REQUEST_GROWTH_INTERVAL, /* good steps after which the loss scale grows; 0: it stays as it is */
    MU_REQUEST_STOPS, /* not 0: gradients that are not finite stop all updates for good; 0: they are skipped, and the loss scale backs off */
    MU_REQUEST_N
};

#endif
