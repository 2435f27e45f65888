/* The losses whose target is of x's shape: (x, target, weight?, pos_weight?) -> loss; gradients have dloss before these. */
#include "device.cuh"

/* ---- the loss of one element and its slope at x: t is the target, w and pos the weights ---- */

struct loss_setting {
    float alpha, beta, gamma;
    bool log_target;
};

__device__ inline float sign_of(float x)
{
    return x > 0 ? 1 : x < 0 ? -1 : x;
}

struct mse_loss {
    __device__ float operator()(const loss_setting &, float x, float t, float, float) const { return (x - t) * (x - t); }
};

struct mse_loss_grad {
    __device__ float operator()(const loss_setting &, float x, float t, float, float) const { return 2 * (x - t); }
};

struct l1_loss {
    __device__ float operator()(const loss_setting &, float x, float t, float, float) const { return fabsf(x - t); }
};

struct l1_loss_grad {
    __device__ float operator()(const loss_setting &, float x, float t, float, float) const { return sign_of(x - t); }
};

struct smooth_l1_loss {
    __device__ float operator()(const loss_setting &s, float x, float t, float, float) const
    {
        float d = fabsf(x - t);
        return d < s.beta ? d * d / (2 * s.beta) : d - s.beta / 2;
    }
};

struct smooth_l1_loss_grad {
    __device__ float operator()(const loss_setting &s, float x, float t, float, float) const
    {
        float d = x - t;
        return fabsf(d) < s.beta ? d / s.beta : sign_of(d);
    }
};

struct kl_div {
    __device__ float operator()(const loss_setting &s, float x, float t, float, float) const
    {
        if (s.log_target)
            return expf(t) * (t - x);
        return (t == 0 ? 0 : t * logf(t)) - t * x;
    }
};

struct kl_div_grad {
    __device__ float operator()(const loss_setting &s, float, float t, float, float) const { return s.log_target ? -expf(t) : -t; }
};

/* Split at 0 so that large terms of opposite sign do not meet: c * log(1 + e^-|x|) and what is linear in x. */
struct bce_with_logits {
    __device__ float operator()(const loss_setting &, float x, float t, float w, float pos) const
    {
        float c = 1 + (pos - 1) * t, linear = (x < 0 ? -pos * t : 1 - t) * x;
        return w * (linear + c * log1pf(expf(-fabsf(x))));
    }
};

struct bce_with_logits_grad {
    __device__ float operator()(const loss_setting &, float x, float t, float w, float pos) const
    {
        float c = 1 + (pos - 1) * t, e = expf(-fabsf(x)), small = c * e / (1 + e);
        return w * (x < 0 ? small - pos * t : 1 - t - small);
    }
};

/* Small whole exponents by products, which round less than powf. */
__device__ inline float power_of(float x, float e)
{
    enum { MOST = 8 };
    float r = 1;
    if (e < 0 || e > MOST || e != floorf(e))
        return powf(x, e);
    for (int i = 0; i < (int)e; i++)
        r *= x;
    return r;
}

__device__ inline float focal_balance(const loss_setting &s, float t)
{
    return s.alpha < 0 ? 1 : s.alpha * t + (1 - s.alpha) * (1 - t);
}

/* sigmoid(x), and sigmoid(-x) without cancellation. */
__device__ inline float sigmoids(float x, float *of_minus)
{
    float e = expf(-fabsf(x)), big = 1 / (1 + e), small = e / (1 + e);
    *of_minus = x < 0 ? big : small;
    return x < 0 ? small : big;
}

struct focal_loss {
    __device__ float operator()(const loss_setting &s, float x, float t, float, float) const
    {
        float minus, plus = sigmoids(x, &minus), miss = t * minus + (1 - t) * plus;
        return focal_balance(s, t) * power_of(miss, s.gamma) * bce_with_logits()(s, x, t, 1, 1);
    }
};

struct focal_loss_grad {
    __device__ float operator()(const loss_setting &s, float x, float t, float, float) const
    {
        float minus, plus = sigmoids(x, &minus), miss = t * minus + (1 - t) * plus;
        float slope = bce_with_logits_grad()(s, x, t, 1, 1) * power_of(miss, s.gamma);
        if (s.gamma > 0 && miss > 0)
            slope += bce_with_logits()(s, x, t, 1, 1) * s.gamma * power_of(miss, s.gamma - 1) * ((1 - 2 * t) * plus * minus);
        return focal_balance(s, t) * slope;
    }
};

/* ---- weights, which broadcast to x ---- */

struct loss_weight {
    const void *at; /* NULL: 1 */
    bool same;      /* of x's shape */
    int ndim;
    int64_t dim[MU_MAX_NDIM], stride[MU_MAX_NDIM]; /* of x; of the weight, seen as x */
};

template <class T> __device__ inline float weight_at(const loss_weight &w, int64_t i)
{
    if (!w.at)
        return 1;
    int64_t offset = w.same ? i : 0;
    for (int d = w.ndim - 1; d >= 0 && !w.same; d--) {
        offset += i % w.dim[d] * w.stride[d];
        i /= w.dim[d];
    }
    return load(((const T *)w.at)[offset]);
}

static loss_weight weight_of(const mu_kernel *k, int first, int i)
{
    const mu_type *x = &k->call.in[first], *w = mu_cuda_in(&k->call, first + i);
    loss_weight r = {};
    if (!w)
        return r;
    int64_t own[MU_MAX_NDIM];
    mu_type_strides(w, own);
    r.at = k->in[first + i];
    r.same = mu_type_same_shape(w, x);
    r.ndim = x->ndim;
    for (int d = 0; d < x->ndim; d++) {
        int from = d - (x->ndim - w->ndim);
        r.dim[d] = x->dim[d];
        r.stride[d] = from < 0 || w->dim[from] == 1 ? 0 : own[from];
    }
    return r;
}

/* ---- kernels ---- */

/* V elements from i on, of n; zeros behind the end. */
template <int V, class T> __device__ inline pack<T, V> load_pack(const T *p, int64_t i, int64_t n)
{
    pack<T, V> r = {};
    if (i + V <= n)
        return *(const pack<T, V> *)(p + i);
    for (int v = 0; v < V && i + v < n; v++)
        r.v[v] = p[i + v];
    return r;
}

template <int V, class T> __device__ inline void store_pack(T *p, int64_t i, int64_t n, const pack<T, V> &x)
{
    if (i + V <= n)
        *(pack<T, V> *)(p + i) = x;
    else
        for (int v = 0; v < V && i + v < n; v++)
            p[i + v] = x.v[v];
}

/* part[block]: the sum of the block's losses. each: all of them, or NULL. */
template <class T, class Point>
static __global__ void sum_losses(int64_t n, const T *x, const T *target, loss_weight weight, loss_weight pos, loss_setting s, T *each,
                                  double *part)
{
    enum { V = 16 / sizeof(T) };
    double sum = 0;
    FOR_EACH(pack_index, (n + V - 1) / V) {
        int64_t i = pack_index * V;
        pack<T, V> a = load_pack<V>(x, i, n), b = load_pack<V>(target, i, n);
        float few = 0;
        for (int v = 0; v < V && i + v < n; v++) {
            float one = Point()(s, load(a.v[v]), load(b.v[v]), weight_at<T>(weight, i + v), weight_at<T>(pos, i + v));
            a.v[v] = store<T>(one);
            few += one;
        }
        if (each)
            store_pack<V>(each, i, n, a);
        sum += few;
    }
    sum = block_reduce(sum, 0.0, add());
    if (threadIdx.x == 0 && part)
        part[blockIdx.x] = sum;
}

/* loss = sum of part[0..parts-1] / n */
template <class T> static __global__ void join_losses(int64_t parts, const double *part, double n, T *loss)
{
    double sum = 0;
    for (int64_t i = threadIdx.x; i < parts; i += blockDim.x)
        sum += part[i];
    sum = block_reduce(sum, 0.0, add());
    if (threadIdx.x == 0)
        loss[0] = store<T>((float)(sum / n));
}

/* dloss is one number, or (each) one for every element. */
template <class T, class Point>
static __global__ void write_slopes(int64_t n, const T *dloss, bool each, float share, const T *x, const T *target, loss_weight weight,
                                    loss_weight pos, loss_setting s, T *dx)
{
    enum { V = 16 / sizeof(T) };
    float one = each ? 1 : load(dloss[0]) * share;
    FOR_EACH(pack_index, (n + V - 1) / V) {
        int64_t i = pack_index * V;
        pack<T, V> a = load_pack<V>(x, i, n), b = load_pack<V>(target, i, n), d = {};
        if (each)
            d = load_pack<V>(dloss, i, n);
        for (int v = 0; v < V && i + v < n; v++) {
            float slope = Point()(s, load(a.v[v]), load(b.v[v]), weight_at<T>(weight, i + v), weight_at<T>(pos, i + v));
            a.v[v] = store<T>(slope * (each ? load(d.v[v]) : one));
        }
        store_pack<V>(dx, i, n, a);
    }
}

/* ---- host ---- */

struct loss_kernel {
    mu_cuda_kernel base;
    int first; /* the operand x */
    int64_t n;
    unsigned blocks;
    loss_setting setting;
};

static mu_err setup(mu_cuda_kernel *kernel)
{
    loss_kernel *s = (loss_kernel *)kernel;
    const mu_call *call = &kernel->base.call;
    const mu_loss_attrs *a = (const mu_loss_attrs *)call->attrs;
    s->first = strstr(call->op->name, "_grad") != NULL;
    const mu_type *x = &call->in[s->first];
    s->n = mu_type_count(x);
    s->blocks = blocks_for(kernel->self, s->n, 16 / (int64_t)mu_dtype_size(x->dtype));
    s->setting = loss_setting{(float)a->alpha, (float)a->beta, (float)a->gamma, a->log_target};
    if (s->first == 0)
        kernel->base.scratch_bytes = s->blocks * sizeof(double);
    return MU_OK;
}

template <class Point> static mu_err run_value(mu_kernel *k, const mu_run *run)
{
    const loss_kernel *s = (const loss_kernel *)k;
    const mu_cuda *self = s->base.self;
    int reduction = ((const mu_loss_attrs *)k->call.attrs)->reduction;
    bool none = reduction == MU_REDUCE_NONE;
    (void)run;
    return visit_float(k->call.in[0].dtype, [&](auto zero) {
        typedef decltype(zero) T;
        MU_TRY(launch(self, sum_losses<T, Point>, s->blocks, BLOCK, s->n, k->in[0], k->in[1], weight_of(k, 0, 2), weight_of(k, 0, 3),
                      s->setting, none ? k->out[0] : NULL, none ? NULL : k->scratch));
        if (none)
            return MU_OK;
        double n = reduction == MU_REDUCE_MEAN ? (double)s->n : 1;
        return launch(self, join_losses<T>, 1, BLOCK, (int64_t)s->blocks, k->scratch, n, k->out[0]);
    });
}

template <class Point> static mu_err run_gradient(mu_kernel *k, const mu_run *run)
{
    const loss_kernel *s = (const loss_kernel *)k;
    int reduction = ((const mu_loss_attrs *)k->call.attrs)->reduction;
    float share = reduction == MU_REDUCE_MEAN ? (float)(1 / (double)s->n) : 1;
    (void)run;
    return visit_float(k->call.in[0].dtype, [&](auto zero) {
        typedef decltype(zero) T;
        return launch(s->base.self, write_slopes<T, Point>, s->blocks, BLOCK, s->n, k->in[0], reduction == MU_REDUCE_NONE, share, k->in[1],
                      k->in[2], weight_of(k, 1, 2), weight_of(k, 1, 3), s->setting, k->out[0]);
    });
}

#define LOSS(name)                                                                                                                   \
    extern "C" const mu_cuda_impl name##_cuda = {MU_CUDA_ROWS, sizeof(loss_kernel), NULL, NULL, setup, run_value<name>, NULL};       \
    extern "C" const mu_cuda_impl name##_grad_cuda = {MU_CUDA_ROWS, sizeof(loss_kernel), NULL, NULL, setup, run_gradient<name##_grad>, NULL};

LOSS(bce_with_logits)
LOSS(focal_loss)
LOSS(kl_div)
LOSS(l1_loss)
LOSS(mse_loss)
LOSS(smooth_l1_loss)
