#include "flat.cuh"

/* Updates of flat arenas in place, in f32, each byte read and written once. Their numbers are read where they lie, on the device:
 * f64 [MU_UPDATE_SCALARS]. */

enum { UPDATE_MAX = 4 };

typedef struct {
    int64_t count;
    bool whole, nesterov, maximize, decoupled;
    const double *c;
    const void *gradient, *old[UPDATE_MAX]; /* the parameters, then momentum or m, v, vmax: NULL where absent */
    void *to[UPDATE_MAX];                   /* where they are put: as a rule, the same places */
} mu_cuda_update;

template <int N, class T> static __device__ inline void update_read(const mu_cuda_update &u, const void *p, int64_t i, float *x)
{
    read_pack<N>((const T *)p, i, u.count, u.whole, x);
}

template <int N, class T> static __device__ inline void update_write(const mu_cuda_update &u, int which, int64_t i, const float *x)
{
    if (u.to[which])
        write_pack<N>((T *)u.to[which], i, u.count, u.whole, x);
}

/* Is this step skipped? Outputs that are not in place are copies then. */
template <class T> static __device__ inline bool update_skipped(const mu_cuda_update &u)
{
    if (u.c[MU_UPDATE_SKIP] == 0)
        return false;
    for (int k = 0; k < UPDATE_MAX; k++)
        if (u.to[k] && u.to[k] != u.old[k])
            FOR_EACH(i, u.count)
                ((T *)u.to[k])[i] = ((const T *)u.old[k])[i];
    return true;
}

static __device__ inline float update_most(const mu_cuda_update &u)
{
    return u.c[MU_UPDATE_MAX_VALUE] > 0 ? (float)u.c[MU_UPDATE_MAX_VALUE] : INFINITY;
}

/* NaN stays. */
static __device__ inline float update_clamped(float g, float most)
{
    return g > most ? most : g < -most ? -most : g;
}

/* g = clamp(scale * gradient) + weight_decay * p; b = momentum * b + (1 - dampening) * g; p -= lr * (b, or g + momentum * b) */
template <class T> static __global__ void sgd_kernel(mu_cuda_update u)
{
    const int N = packed<T>;
    const double *c = u.c;
    const bool buffer = u.to[1] != NULL, first = c[MU_UPDATE_FIRST] != 0;
    const float lr = (float)c[0], weight_decay = (float)c[1], momentum = (float)c[2], keep = (float)(1 - c[3]);
    const float scale = (float)(u.maximize ? -c[5] : c[5]), most = update_most(u);
    if (update_skipped<T>(u))
        return;
    FOR_EACH(k, (u.count + N - 1) / N) {
        int64_t i = k * N;
        float g[N], p[N], b[N] = {};
        update_read<N, T>(u, u.gradient, i, g);
        update_read<N, T>(u, u.old[0], i, p);
        if (buffer && !first)
            update_read<N, T>(u, u.old[1], i, b);
        for (int j = 0; j < N; j++) {
            float d = update_clamped(scale * g[j], most) + weight_decay * p[j];
            b[j] = first ? d : momentum * b[j] + keep * d;
            float move = !buffer ? d : u.nesterov ? d + momentum * b[j] : b[j];
            p[j] -= lr * move;
        }
        update_write<N, T>(u, 1, i, b);
        update_write<N, T>(u, 0, i, p);
    }
}

/* m += (1 - beta1) (g - m); v = beta2 v + (1 - beta2) g^2; p -= lr / correction1 * m / (sqrt(v or the largest v) / sqrt(correction2) + eps) */
template <class T> static __global__ void adam_kernel(mu_cuda_update u)
{
    const int N = packed<T>;
    const double *c = u.c;
    const bool vmax = u.to[3] != NULL;
    const float weight_decay = (float)c[1], beta2 = (float)c[3], grow1 = (float)(1 - c[2]), grow2 = (float)(1 - c[3]), eps = (float)c[4];
    const float scale = (float)(u.maximize ? -c[5] : c[5]), shrink = (float)(1 - c[0] * c[1]);
    const float step_size = (float)(c[0] / c[6]), root = (float)(1 / sqrt(c[7])), bound = update_most(u);
    if (update_skipped<T>(u))
        return;
    FOR_EACH(k, (u.count + N - 1) / N) {
        int64_t i = k * N;
        float g[N], p[N], m1[N], v1[N], most[N] = {};
        update_read<N, T>(u, u.gradient, i, g);
        update_read<N, T>(u, u.old[0], i, p);
        update_read<N, T>(u, u.old[1], i, m1);
        update_read<N, T>(u, u.old[2], i, v1);
        if (vmax)
            update_read<N, T>(u, u.old[3], i, most);
        for (int j = 0; j < N; j++) {
            float d = update_clamped(scale * g[j], bound);
            if (u.decoupled)
                p[j] *= shrink;
            else
                d += weight_decay * p[j];
            m1[j] += grow1 * (d - m1[j]);
            v1[j] = beta2 * v1[j] + grow2 * d * d;
            most[j] = vmax && most[j] > v1[j] ? most[j] : v1[j];
            p[j] -= step_size * m1[j] / (sqrtf(most[j]) * root + eps);
        }
        update_write<N, T>(u, 1, i, m1);
        update_write<N, T>(u, 2, i, v1);
        update_write<N, T>(u, 3, i, most);
        update_write<N, T>(u, 0, i, p);
    }
}

static mu_err update_run(mu_kernel *kernel, const mu_run *run)
{
    (void)run;
    const mu_cuda *cuda = ((const mu_cuda_kernel *)kernel)->self;
    const mu_call *call = &kernel->call;
    const mu_update_attrs *a = (const mu_update_attrs *)call->attrs;
    bool sgd = call->op == &mu_op_sgd;
    mu_cuda_update u = {mu_type_count(&call->in[0]), true, a->nesterov, a->maximize, a->decoupled,
                        (const double *)kernel->in[call->n_in - 1], kernel->in[1], {}, {}};
    u.whole = lies_whole(u.gradient, 16);
    for (int k = 0; k < call->n_out; k++) {
        u.old[k] = kernel->in[k == 0 ? 0 : k + 1];
        u.to[k] = kernel->out[k];
        u.whole &= lies_whole(u.old[k], 16) && lies_whole(u.to[k], 16);
    }
    return visit_float(call->in[0].dtype, [&](auto zero) {
        typedef decltype(zero) T;
        return launch(cuda, sgd ? sgd_kernel<T> : adam_kernel<T>, blocks_for(cuda, u.count, packed<T>), BLOCK, u);
    });
}

static bool update_supports(const mu_call *call, const char **why)
{
    mu_dtype dtype = call->in[0].dtype;
    *why = "the CUDA kernels compute f32, bf16 and f16";
    return dtype == MU_F32 || dtype == MU_BF16 || dtype == MU_F16;
}

extern "C" const mu_cuda_impl update_cuda = {MU_CUDA_FLAT, 0, update_supports, NULL, NULL, update_run, NULL};
