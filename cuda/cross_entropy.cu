/* logits [N,C,...]: a sample's classes are summed by a team of threads: one where classes are far apart (row-major images), a warp or a block
 * where they are neighbours.
 *
 * A target that is neither a class nor ignore_index makes the loss and its normaliser NaN: nothing waits for the device to tell of it. */
#include "device.cuh"

struct cross_entropy_samples {
    int64_t n, classes, space;  /* n: samples */
    int64_t dn, dc, ds;         /* steps of the logits */
    const void *target;         /* probabilities (soft), or class indices of index_bytes */
    const void *weight;         /* [C] or NULL */
    bool soft, mean;
    int index_bytes;
    int64_t ignore;
    float smooth;
};

/* A sample of the hard kind has its class; -1 when it is ignored, -2 when it is wrong. */
__device__ inline int64_t class_of(const cross_entropy_samples &s, int64_t i)
{
    if (s.soft)
        return 0;
    int64_t t = s.index_bytes == 8 ? ((const int64_t *)s.target)[i] : ((const int32_t *)s.target)[i];
    return t == s.ignore ? -1 : t < 0 || t >= s.classes ? -2 : t;
}

/* The logits' element of class 0 of sample i. */
__device__ inline int64_t sample_at(const cross_entropy_samples &s, int64_t i)
{
    return i / s.space * s.dn + i % s.space * s.ds;
}

template <class T> __device__ inline float class_weight(const cross_entropy_samples &s, int64_t c)
{
    return s.weight ? load(((const T *)s.weight)[c]) : 1;
}

/* What log p(c) of a sample counts in the loss: smoothed target times class weight. at: the element of class c. */
template <class T> __device__ inline float share_of(const cross_entropy_samples &s, int64_t at, int64_t c, int64_t t)
{
    float q = s.soft ? load(((const T *)s.target)[at]) : c == t ? 1 : 0;
    return class_weight<T>(s, c) * (s.smooth / (float)s.classes + (1 - s.smooth) * q);
}

template <int TEAM, class Op> __device__ inline float team_reduce(float x, float none, Op op)
{
    return TEAM == 1 ? x : TEAM == WARP ? warp_reduce(x, op) : block_reduce(x, none, op);
}

/* Losses and weights of a block's samples. */
struct loss_part {
    double loss, weight;
};

template <class T, int TEAM>
static __global__ void cross_entropy_forward(cross_entropy_samples s, const T *x, T *each, T *log_p, loss_part *part)
{
    int lane = (int)threadIdx.x % TEAM;
    double loss = 0, weight = 0;
    for (int64_t i = (int64_t)blockIdx.x * (BLOCK / TEAM) + (int)threadIdx.x / TEAM; i < s.n; i += (int64_t)gridDim.x * (BLOCK / TEAM)) {
        int64_t first = sample_at(s, i), t = class_of(s, i);
        float most = -INFINITY, sum = 0, one = 0;
        for (int64_t c = lane; c < s.classes; c += TEAM)
            most = larger()(load(x[first + c * s.dc]), most);
        most = team_reduce<TEAM>(most, -INFINITY, larger());
        for (int64_t c = lane; c < s.classes; c += TEAM)
            sum += expf(load(x[first + c * s.dc]) - most);
        float log_sum = logf(team_reduce<TEAM>(sum, 0, add()));
        for (int64_t c = lane; c < s.classes; c += TEAM) {
            int64_t at = first + c * s.dc;
            float p = load(x[at]) - most - log_sum, q = t < 0 ? 0 : share_of<T>(s, at, c, t);
            log_p[at] = store<T>(p);
            one -= q == 0 ? 0 : q * p;
        }
        one = team_reduce<TEAM>(one, 0, add());
        if (t == -2)
            one = NAN;
        if (lane == 0) {
            loss += one;
            weight += t == -1 ? 0 : t == -2 ? NAN : s.soft ? 1 : class_weight<T>(s, t);
            if (each)
                each[i] = store<T>(one);
        }
    }
    loss = block_reduce(loss, 0.0, add());
    weight = block_reduce(weight, 0.0, add());
    if (threadIdx.x == 0)
        part[blockIdx.x] = loss_part{loss, weight};
}

/* loss NULL: it is not reduced. */
template <class T> static __global__ void join_parts(int64_t parts, const loss_part *part, bool mean, T *loss, T *normaliser)
{
    double sum = 0, weight = 0;
    for (int64_t i = threadIdx.x; i < parts; i += blockDim.x) {
        sum += part[i].loss;
        weight += part[i].weight;
    }
    sum = block_reduce(sum, 0.0, add());
    weight = block_reduce(weight, 0.0, add());
    if (threadIdx.x == 0) {
        double n = mean ? weight : 1;
        if (loss)
            loss[0] = store<T>((float)(sum / n));
        normaliser[0] = store<T>((float)n);
    }
}

/* dx = (p * sum of q - q) * dloss / normaliser; dx may be log_p. */
template <class T, int TEAM>
static __global__ void cross_entropy_backward(cross_entropy_samples s, const T *dloss, bool each, const T *log_p, const T *normaliser, T *dx)
{
    int lane = (int)threadIdx.x % TEAM;
    float n = s.mean ? load(normaliser[0]) : 1;
    for (int64_t i = (int64_t)blockIdx.x * (BLOCK / TEAM) + (int)threadIdx.x / TEAM; i < s.n; i += (int64_t)gridDim.x * (BLOCK / TEAM)) {
        int64_t first = sample_at(s, i), t = class_of(s, i);
        float scale = load(dloss[each ? i : 0]) / n, total = 0;
        for (int64_t c = lane; c < s.classes; c += TEAM)
            total += share_of<T>(s, first + c * s.dc, c, t);
        total = team_reduce<TEAM>(total, 0, add());
        for (int64_t c = lane; c < s.classes; c += TEAM) {
            int64_t at = first + c * s.dc;
            float d = (expf(load(log_p[at])) * total - share_of<T>(s, at, c, t)) * scale;
            dx[at] = store<T>(t == -1 ? 0 : t == -2 ? NAN : d);
        }
    }
}

/* ---- host ---- */

struct cross_entropy_kernel {
    mu_cuda_kernel base;
    cross_entropy_samples samples; /* without addresses */
    int team;
    unsigned blocks;
};

/* first: the operand of the logits' type; the target and the weights follow. */
static cross_entropy_samples samples_of(const cross_entropy_kernel *s, int first)
{
    cross_entropy_samples r = s->samples;
    r.target = s->base.base.in[first + 1];
    r.weight = mu_cuda_address(&s->base.base, first + 2);
    return r;
}

static mu_err setup(mu_cuda_kernel *kernel)
{
    enum { MANY = 2048 };
    cross_entropy_kernel *s = (cross_entropy_kernel *)kernel;
    const mu_call *call = &kernel->base.call;
    const mu_loss_attrs *a = (const mu_loss_attrs *)call->attrs;
    int first = call->op == &mu_op_cross_entropy_grad;
    const mu_type *target = &call->in[first + 1];
    mu_cuda_view x = mu_cuda_view_of(&call->in[first], kernel->base.in_layout[first]);
    cross_entropy_samples *r = &s->samples;
    r->n = x.n * x.space;
    r->classes = x.c;
    r->space = x.space;
    r->dn = x.dn;
    r->dc = x.dc;
    r->ds = x.ds;
    r->soft = mu_dtype_is_float(target->dtype);
    r->index_bytes = (int)mu_dtype_size(target->dtype);
    r->mean = a->reduction == MU_REDUCE_MEAN;
    r->ignore = a->ignore_index;
    r->smooth = (float)a->label_smoothing;
    s->team = x.dc != 1 ? 1 : x.c < MANY ? WARP : BLOCK;
    s->blocks = blocks_for(kernel->self, r->n * s->team);
    kernel->base.scratch_bytes = s->blocks * sizeof(loss_part);
    return MU_OK;
}

/* The log-probabilities stay as they lie; the gradient, and probabilities that are the target, lie alike. */
static mu_err setup_backward(mu_cuda_kernel *kernel)
{
    mu_kernel *k = &kernel->base;
    const mu_layout *layout = k->in_layout[1];
    if (layout && layout->kind == MU_LAYOUT_CHANNELS_LAST)
        MU_TRY(mu_cuda_layout_make(kernel->self, &k->call.in[1], MU_LAYOUT_CHANNELS_LAST, &layout));
    else
        layout = NULL;
    k->in_layout[1] = k->out_layout[0] = layout;
    k->in_layout[0] = k->in_layout[3] = k->in_layout[4] = NULL;
    k->in_layout[2] = mu_dtype_is_float(k->call.in[2].dtype) ? layout : NULL;
    return setup(kernel);
}

/* (logits, target, class weights?) -> loss, log_probs, normaliser */
static mu_err run_forward(mu_kernel *k, const mu_run *run)
{
    const cross_entropy_kernel *s = (const cross_entropy_kernel *)k;
    const mu_cuda *self = s->base.self;
    bool none = ((const mu_loss_attrs *)k->call.attrs)->reduction == MU_REDUCE_NONE;
    (void)run;
    return visit_float(k->call.in[0].dtype, [&](auto zero) {
        typedef decltype(zero) T;
        auto kernel = s->team == 1 ? cross_entropy_forward<T, 1>
                                   : s->team == WARP ? cross_entropy_forward<T, WARP> : cross_entropy_forward<T, BLOCK>;
        MU_TRY(launch(self, kernel, s->blocks, BLOCK, samples_of(s, 0), k->in[0], none ? k->out[0] : NULL, k->out[1], k->scratch));
        return launch(self, join_parts<T>, 1, BLOCK, (int64_t)s->blocks, k->scratch, s->samples.mean, none ? NULL : k->out[0], k->out[2]);
    });
}

/* (dloss, log_probs, target, class weights?, normaliser) -> dlogits */
static mu_err run_backward(mu_kernel *k, const mu_run *run)
{
    const cross_entropy_kernel *s = (const cross_entropy_kernel *)k;
    bool each = ((const mu_loss_attrs *)k->call.attrs)->reduction == MU_REDUCE_NONE;
    (void)run;
    return visit_float(k->call.in[0].dtype, [&](auto zero) {
        typedef decltype(zero) T;
        auto kernel = s->team == 1 ? cross_entropy_backward<T, 1>
                                   : s->team == WARP ? cross_entropy_backward<T, WARP> : cross_entropy_backward<T, BLOCK>;
        return launch(s->base.self, kernel, s->blocks, BLOCK, samples_of(s, 1), k->in[0], each, k->in[1], k->in[4], k->out[0]);
    });
}

extern "C" const mu_cuda_impl cross_entropy_cuda = {
    MU_CUDA_CHANNELS, sizeof(cross_entropy_kernel), NULL, NULL, setup, run_forward, NULL};
extern "C" const mu_cuda_impl cross_entropy_grad_cuda = {
    MU_CUDA_OWN, sizeof(cross_entropy_kernel), NULL, NULL, setup_backward, run_backward, NULL};
