#include "pool2d.cuh"

/* V indices, 1 or a multiple of 4. */
template <int V> __device__ inline void load_indices(const int32_t *from, int32_t (&to)[V])
{
    enum { N = V < 4 ? V : 4 };
    for (int v = 0; v < V; v += N) {
        pack<int32_t, N> p = *(const pack<int32_t, N> *)(from + v);
        for (int i = 0; i < N; i++)
            to[v + i] = p.v[i];
    }
}

template <int V> __device__ inline void store_indices(int32_t *to, const int32_t (&from)[V])
{
    enum { N = V < 4 ? V : 4 };
    for (int v = 0; v < V; v += N) {
        pack<int32_t, N> p;
        for (int i = 0; i < N; i++)
            p.v[i] = from[v + i];
        *(pack<int32_t, N> *)(to + v) = p;
    }
}

/* The first of equals; NaN wins. index: its place in its plane, -1 where a dilated window meets no element. */
template <class T, int V> static __global__ void take_largest(pool_images p, int64_t packs, const T *x, T *y, int32_t *index)
{
    typedef pack<T, V> many;
    FOR_EACH(i, packs) {
        pool_spot s = pool_spot_of<V>(p, i, p.h.y, p.w.y);
        pool_window h = pool_window_of(p.h, s.i), w = pool_window_of(p.w, s.j);
        float best[V];
        int32_t winner[V];
        many out;
        for (int v = 0; v < V; v++) {
            best[v] = -INFINITY;
            winner[v] = -1;
        }
        for (int32_t a = h.begin; a < h.end; a += h.step)
            for (int32_t b = w.begin; b < w.end; b += w.step) {
                int32_t place = a * p.w.x + b;
                many in = *(const many *)(x + pool_at(p, s.n, s.c, place, (int64_t)p.h.x * p.w.x));
                for (int v = 0; v < V; v++) {
                    float t = load(in.v[v]);
                    if (winner[v] < 0 || t > best[v] || t != t) {
                        best[v] = t;
                        winner[v] = place;
                    }
                }
            }
        int64_t at = pool_at(p, s.n, s.c, (int64_t)s.i * p.w.y + s.j, (int64_t)p.h.y * p.w.y);
        for (int v = 0; v < V; v++)
            out.v[v] = store<T>(best[v]);
        *(many *)(y + at) = out;
        if (index)
            store_indices(index + at, winner);
    }
}

/* Every element of dx looks into the windows that cover it for those that it won. */
template <class T, int V> static __global__ void give_to_winners(pool_images p, int64_t packs, const T *dy, const int32_t *index, T *dx)
{
    typedef pack<T, V> many;
    FOR_EACH(i, packs) {
        pool_spot s = pool_spot_of<V>(p, i, p.h.x, p.w.x);
        pool_cover h = pool_cover_of(p.h, s.i), w = pool_cover_of(p.w, s.j);
        int32_t place = s.i * p.w.x + s.j;
        float sum[V] = {};
        many out;
        for (int32_t a = h.first; a < h.last; a++)
            for (int32_t b = w.first; b < w.last; b++) {
                int64_t at = pool_at(p, s.n, s.c, (int64_t)a * p.w.y + b, (int64_t)p.h.y * p.w.y);
                many d = *(const many *)(dy + at);
                int32_t winner[V];
                load_indices(index + at, winner);
                for (int v = 0; v < V; v++)
                    sum[v] += winner[v] == place ? load(d.v[v]) : 0;
            }
        for (int v = 0; v < V; v++)
            out.v[v] = store<T>(sum[v]);
        *(many *)(dx + pool_at(p, s.n, s.c, place, (int64_t)p.h.x * p.w.x)) = out;
    }
}

/* (x) -> y, index? */
static mu_err run_forward(mu_kernel *k, const mu_run *run)
{
    (void)run;
    return visit_float(k->call.in[0].dtype, [&](auto zero) {
        typedef decltype(zero) T;
        return pool_launch<T>((const pool_kernel *)k, take_largest<T, 16 / sizeof(T)>, take_largest<T, 1>, &k->call.out[0], k->in[0],
                              k->out[0], k->call.n_out > 1 ? k->out[1] : NULL);
    });
}

/* (dy, index) -> dx */
static mu_err run_backward(mu_kernel *k, const mu_run *run)
{
    (void)run;
    return visit_float(k->call.in[0].dtype, [&](auto zero) {
        typedef decltype(zero) T;
        return pool_launch<T>((const pool_kernel *)k, give_to_winners<T, 16 / sizeof(T)>, give_to_winners<T, 1>, &k->call.out[0], k->in[0],
                              k->in[1], k->out[0]);
    });
}

static mu_err setup_forward(mu_cuda_kernel *kernel)
{
    return pool_setup(kernel, kernel->base.call.op == &mu_op_adaptive_max_pool2d, false);
}

/* Of both poolings: windows have no size where they were adaptive. */
static mu_err setup_backward(mu_cuda_kernel *kernel)
{
    return pool_setup(kernel, ((const mu_pool2d_attrs *)kernel->base.call.attrs)->kernel[0] == 0, true);
}

extern "C" const mu_cuda_impl max_pool2d_cuda = {MU_CUDA_CHANNELS, sizeof(pool_kernel), NULL, NULL, setup_forward, run_forward, NULL};
extern "C" const mu_cuda_impl max_pool2d_grad_cuda = {MU_CUDA_CHANNELS, sizeof(pool_kernel), NULL, NULL, setup_backward, run_backward, NULL};
