#include "pool2d.cuh"

template <class T, int V> static __global__ void average(pool_images p, int64_t packs, const T *x, T *y)
{
    typedef pack<T, V> many;
    FOR_EACH(i, packs) {
        pool_spot s = pool_spot_of<V>(p, i, p.h.y, p.w.y);
        pool_window h = pool_window_of(p.h, s.i), w = pool_window_of(p.w, s.j);
        float sum[V] = {};
        many out;
        for (int32_t a = h.begin; a < h.end; a += h.step) {
            float row[V] = {};
            for (int32_t b = w.begin; b < w.end; b += w.step) {
                many in = *(const many *)(x + pool_at(p, s.n, s.c, (int64_t)a * p.w.x + b, (int64_t)p.h.x * p.w.x));
                for (int v = 0; v < V; v++)
                    row[v] += load(in.v[v]);
            }
            for (int v = 0; v < V; v++)
                sum[v] += row[v];
        }
        for (int v = 0; v < V; v++)
            out.v[v] = store<T>(sum[v] / ((float)h.divisor * (float)w.divisor));
        *(many *)(y + pool_at(p, s.n, s.c, (int64_t)s.i * p.w.y + s.j, (int64_t)p.h.y * p.w.y)) = out;
    }
}

/* Every element of dx gathers its shares of the windows that cover it. */
template <class T, int V> static __global__ void gather_shares(pool_images p, int64_t packs, const T *dy, T *dx)
{
    typedef pack<T, V> many;
    FOR_EACH(i, packs) {
        pool_spot s = pool_spot_of<V>(p, i, p.h.x, p.w.x);
        pool_cover h = pool_cover_of(p.h, s.i), w = pool_cover_of(p.w, s.j);
        float sum[V] = {};
        many out;
        for (int32_t a = h.first; a < h.last; a++) {
            pool_window rows = pool_window_of(p.h, a);
            for (int32_t b = w.first; b < w.last && pool_covers(rows, s.i); b++) {
                pool_window columns = pool_window_of(p.w, b);
                float divisor = (float)rows.divisor * (float)columns.divisor;
                if (!pool_covers(columns, s.j))
                    continue;
                many d = *(const many *)(dy + pool_at(p, s.n, s.c, (int64_t)a * p.w.y + b, (int64_t)p.h.y * p.w.y));
                for (int v = 0; v < V; v++)
                    sum[v] += load(d.v[v]) / divisor;
            }
        }
        for (int v = 0; v < V; v++)
            out.v[v] = store<T>(sum[v]);
        *(many *)(dx + pool_at(p, s.n, s.c, (int64_t)s.i * p.w.x + s.j, (int64_t)p.h.x * p.w.x)) = out;
    }
}

static mu_err run_forward(mu_kernel *k, const mu_run *run)
{
    (void)run;
    return visit_float(k->call.in[0].dtype, [&](auto zero) {
        typedef decltype(zero) T;
        return pool_launch<T>((const pool_kernel *)k, average<T, 16 / sizeof(T)>, average<T, 1>, &k->call.out[0], k->in[0], k->out[0]);
    });
}

static mu_err run_backward(mu_kernel *k, const mu_run *run)
{
    (void)run;
    return visit_float(k->call.in[0].dtype, [&](auto zero) {
        typedef decltype(zero) T;
        return pool_launch<T>((const pool_kernel *)k, gather_shares<T, 16 / sizeof(T)>, gather_shares<T, 1>, &k->call.out[0], k->in[0],
                              k->out[0]);
    });
}

static mu_err setup_forward(mu_cuda_kernel *kernel)
{
    return pool_setup(kernel, kernel->base.call.op == &mu_op_adaptive_avg_pool2d, false);
}

static mu_err setup_backward(mu_cuda_kernel *kernel)
{
    return pool_setup(kernel, kernel->base.call.op == &mu_op_adaptive_avg_pool2d_grad, true);
}

extern "C" const mu_cuda_impl avg_pool2d_cuda = {MU_CUDA_CHANNELS, sizeof(pool_kernel), NULL, NULL, setup_forward, run_forward, NULL};
extern "C" const mu_cuda_impl avg_pool2d_grad_cuda = {MU_CUDA_CHANNELS, sizeof(pool_kernel), NULL, NULL, setup_backward, run_backward, NULL};
