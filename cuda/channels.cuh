/* What the norms of channels share: batch norm (all samples together) and group norm (each by itself).
 *
 * One pass leaves a pair of numbers for each channel and chunk of its values, a small kernel of each norm joins them in f64, and a second
 * pass writes. The grid is the same in both, and the second goes through every chunk backwards: what the first read last is still in
 * the cache. */
#ifndef MU_CUDA_CHANNELS_CUH
#define MU_CUDA_CHANNELS_CUH

#include "device.cuh"

/* Of loops over what a thread holds: arrays are registers only where every index is known. */
#ifdef __CUDACC__
#define UNROLL _Pragma("unroll")
#else
#define UNROLL
#endif

/* x as samples of c channels. A channel has `rows` packs of `width` elements in a sample: neighbours of one channel (plane), or
 * one element each of `width` channels. */
struct channel_grid {
    int64_t samples, c, rows;
    int64_t per, outer, inner; /* pack r lies r / per * outer + r % per * inner behind the channel's start */
    int64_t sample_step, channel_step;
    int64_t chunk, chunks;     /* packs in a chunk, chunks in a channel */
    int64_t tiles;             /* blocks beside one another */
    int lanes, block, width;   /* lanes: threads of a block beside one another, a power of two */
    bool plane;
};

/* each: samples are normalised by themselves. */
static inline channel_grid channel_grid_of(const mu_cuda_kernel *kernel, mu_dtype dtype, bool each)
{
    enum { LEAST = 8, BLOCKS = 4 }; /* packs of a thread that are worth a block's sum; blocks of a multiprocessor */
    const mu_cuda_view *x = &kernel->x;
    int full = 16 / (int)mu_dtype_size(dtype);
    int64_t together = each ? 1 : x->n;
    channel_grid g = {};
    g.samples = each ? x->n : 1;
    g.c = x->c;
    g.plane = !x->last && x->space != 1;
    g.width = (g.plane ? x->space : x->c) % full == 0 ? full : 1;
    g.per = g.plane ? x->space / g.width : together * x->space;
    g.rows = g.plane ? together * g.per : g.per;
    g.outer = g.sample_step = x->c * x->space;
    g.inner = g.plane ? g.width : x->c;
    g.channel_step = g.plane ? x->space : 1;
    g.lanes = 1;
    while (!g.plane && g.lanes < WARP && g.lanes * g.width < x->c)
        g.lanes *= 2;
    int64_t beside = (int64_t)g.lanes * (g.plane ? 1 : g.width);
    g.tiles = (x->c + beside - 1) / beside;
    g.block = g.plane && g.rows <= 4 * WARP ? WARP : BLOCK;
    int64_t blocks = g.tiles * g.samples, least = LEAST * (g.block / g.lanes);
    int64_t most = (g.rows + least - 1) / least, wanted = blocks > 0 ? BLOCKS * kernel->self->n_multiprocessors / blocks : 1;
    int64_t chunks = wanted < 1 ? 1 : wanted < most ? wanted : most;
    g.chunk = chunks > 0 ? (g.rows + chunks - 1) / chunks : 1;
    g.chunks = (g.rows + g.chunk - 1) / (g.chunk > 0 ? g.chunk : 1);
    return g;
}

static inline unsigned channel_blocks(const channel_grid *g)
{
    return (unsigned)(g->tiles * g->chunks * g->samples);
}

/* Two numbers of a channel's chunk: at [(sample * c + channel) * chunks + chunk]. */
struct alignas(8) channel_part {
    float a, b;
};

static inline size_t channel_parts_bytes(const channel_grid *g)
{
    return (size_t)(g->samples * g->c * g->chunks) * sizeof(channel_part);
}

/* Values of a channel in chunk k of a sample. */
__device__ inline int64_t values_in_chunk(const channel_grid &g, int64_t k)
{
    int64_t begin = k * g.chunk, end = begin + g.chunk < g.rows ? begin + g.chunk : g.rows;
    return (end - begin) * (g.plane ? g.width : 1);
}

/* Where a thread works: packs first, first + step, ... of `count` in a chunk; element v of one is of channel c + v * spread. */
struct channel_spot {
    int64_t sample, chunk, c, first, count;
    int64_t base; /* of the channel */
    int step, spread;
};

__device__ inline channel_spot channel_spot_of(const channel_grid &g)
{
    int64_t block = blockIdx.x;
    channel_spot s;
    s.spread = g.plane ? 0 : 1;
    s.step = (int)blockDim.x / g.lanes;
    s.c = (block % g.tiles * g.lanes + (int)threadIdx.x % g.lanes) * (g.plane ? 1 : g.width);
    s.chunk = block / g.tiles % g.chunks;
    s.sample = block / g.tiles / g.chunks;
    int64_t end = (s.chunk + 1) * g.chunk < g.rows ? (s.chunk + 1) * g.chunk : g.rows;
    s.first = s.chunk * g.chunk + (int)threadIdx.x / g.lanes;
    s.count = s.c < g.c && s.first < end ? (end - s.first + s.step - 1) / s.step : 0;
    s.base = s.sample * g.sample_step + s.c * g.channel_step;
    return s;
}

/* The element at which pack j of a thread begins. */
__device__ inline int64_t channel_pack_at(const channel_grid &g, const channel_spot &s, int64_t j)
{
    int64_t r = s.first + j * s.step;
    if (g.per == g.rows)
        return s.base + r * g.inner;
    if (g.rows >> 31)
        return s.base + r / g.per * g.outer + r % g.per * g.inner;
    uint32_t i = (uint32_t)r, per = (uint32_t)g.per; /* much faster */
    return s.base + i / per * g.outer + i % per * g.inner;
}

/* Joins what the threads of a column of a block hold, in a fixed order; those of the first row get it. */
template <int V, class S, class Join> __device__ inline void join_rows(S (&s)[V], int lanes, Join join)
{
    __shared__ S other[V][BLOCK / 2];
    int t = (int)threadIdx.x;
    for (int reach = (int)blockDim.x / 2; reach >= lanes; reach /= 2) {
        if (t >= reach && t < 2 * reach)
            UNROLL for (int v = 0; v < V; v++)
                other[v][t - reach] = s[v];
        __syncthreads();
        if (t < reach)
            UNROLL for (int v = 0; v < V; v++)
                s[v] = join(s[v], other[v][t]);
        __syncthreads();
    }
}

template <int V>
__device__ inline void store_parts(const channel_grid &g, const channel_spot &s, const channel_part (&p)[V], channel_part *part)
{
    if ((int)threadIdx.x >= g.lanes || s.c >= g.c)
        return;
    UNROLL for (int v = 0; v < V; v++)
        if (v == 0 || !g.plane)
            part[(s.sample * g.c + s.c + v) * g.chunks + s.chunk] = p[v];
}

/* ---- moments: n values, their mean, and the sum of squared deviations from it ---- */

template <class R> struct moments {
    R n, mean, square;
};

/* Chan, Golub, LeVeque 1983. */
struct join_moments {
    template <class R> __device__ moments<R> operator()(moments<R> a, moments<R> b) const
    {
        if (b.n == 0)
            return a;
        R n = a.n + b.n, share = b.n / n, d = b.mean - a.mean;
        return moments<R>{n, a.mean + d * share, a.square + b.square + d * d * (a.n * share)};
    }
};

enum { AHEAD = 4 }; /* packs that a thread asks for at once */

/* part: mean and sum of squared deviations. A thread sums differences from its first values, which keeps the digits of deviations where means
 * are far from zero. */
template <class T, int V> static __global__ void sum_moments(channel_grid g, const T *x, channel_part *part)
{
    typedef pack<T, V> many;
    channel_spot s = channel_spot_of(g);
    float origin[V] = {}, sum[V] = {}, square[V] = {};
    if (s.count > 0) {
        many p = *(const many *)(x + channel_pack_at(g, s, 0));
        UNROLL for (int v = 0; v < V; v++)
            origin[v] = load(p.v[v]);
    }
    for (int64_t j = 0; j < s.count; j += AHEAD) {
        many p[AHEAD] = {};
        UNROLL for (int k = 0; k < AHEAD; k++)
            if (j + k < s.count)
                p[k] = *(const many *)(x + channel_pack_at(g, s, j + k));
        UNROLL for (int k = 0; k < AHEAD; k++) {
            if (j + k >= s.count)
                continue;
            UNROLL for (int v = 0; v < V; v++) {
                float d = load(p[k].v[v]) - origin[v];
                sum[v] += d;
                square[v] += d * d;
            }
        }
    }
    moments<float> m[V];
    UNROLL for (int v = 0; v < V; v++) {
        float n = (float)s.count, d = n > 0 ? sum[v] / n : 0, rest = square[v] - sum[v] * d;
        m[v] = moments<float>{n, origin[v] + d, rest < 0 ? 0 : rest};
    }
    if (g.plane)
        UNROLL for (int v = 1; v < V; v++)
            m[0] = join_moments()(m[0], m[v]);
    join_rows(m, g.lanes, join_moments());
    channel_part p[V];
    UNROLL for (int v = 0; v < V; v++)
        p[v] = channel_part{m[v].mean, m[v].square};
    store_parts(g, s, p, part);
}

/* The moments of neighbouring channels of a sample over all their chunks, by a warp; all its threads get them. */
__device__ inline moments<double> join_chunks(const channel_grid &g, const channel_part *part, int64_t channel, int64_t channels)
{
    const channel_part *p = part + channel * g.chunks;
    double n = (double)(channels * g.rows * (g.plane ? g.width : 1)), sum = 0, square = 0;
    for (int64_t i = threadIdx.x % WARP; i < channels * g.chunks; i += WARP)
        sum += (double)values_in_chunk(g, i % g.chunks) * p[i].a;
    double mean = n > 0 ? warp_reduce(sum, add()) / n : 0;
    for (int64_t i = threadIdx.x % WARP; i < channels * g.chunks; i += WARP) {
        double d = p[i].a - mean;
        square += p[i].b + (double)values_in_chunk(g, i % g.chunks) * d * d;
    }
    return moments<double>{n, mean, warp_reduce(square, add())};
}

/* ---- sums for gradients ---- */

struct add_parts {
    __device__ channel_part operator()(channel_part a, channel_part b) const { return channel_part{a.a + b.a, a.b + b.b}; }
};

/* Where the statistics of a channel stand: `groups` of them for each sample, `channels` channels share one. */
struct channel_stats {
    const float *mean, *rstd, *gamma; /* gamma [c] or NULL */
    int64_t groups, channels;
    __device__ int64_t at(int64_t sample, int64_t c) const { return sample * groups + c / channels; }
    __device__ float weight(int64_t c) const { return gamma ? gamma[c] : 1; }
};

/* part: sums of d and of d * (x - mean), where d is dy (+ dy2, where that is not NULL) behind the ReLU whose result y was (NULL: there was none);
 * d is kept in `kept` where that is not NULL. */
template <class T, int V>
static __global__ __launch_bounds__(BLOCK, 2) void sum_products(channel_grid g, const T *dy, const T *dy2, const T *x, const T *y, T *kept,
                                                                channel_stats stats, channel_part *part)
{
    typedef pack<T, V> many;
    channel_spot s = channel_spot_of(g);
    float mean[V] = {};
    channel_part sum[V] = {};
    UNROLL for (int v = 0; v < V; v++)
        if (s.count > 0)
            mean[v] = stats.mean[stats.at(s.sample, s.c + v * s.spread)];
    for (int64_t j = 0; j < s.count; j += AHEAD / 2) {
        many d[AHEAD / 2] = {}, second[AHEAD / 2] = {}, p[AHEAD / 2] = {}, mask[AHEAD / 2] = {};
        UNROLL for (int k = 0; k < AHEAD / 2; k++) {
            if (j + k >= s.count)
                continue;
            int64_t at = channel_pack_at(g, s, j + k);
            d[k] = *(const many *)(dy + at);
            p[k] = *(const many *)(x + at);
            if (dy2)
                second[k] = *(const many *)(dy2 + at);
            if (y)
                mask[k] = *(const many *)(y + at);
        }
        UNROLL for (int k = 0; k < AHEAD / 2; k++) {
            if (j + k >= s.count)
                continue;
            UNROLL for (int v = 0; v < V; v++) {
                if (dy2)
                    d[k].v[v] = store<T>(load(d[k].v[v]) + load(second[k].v[v]));
                if (y && !(load(mask[k].v[v]) > 0))
                    d[k].v[v] = store<T>(0.0f);
                float one = load(d[k].v[v]);
                sum[v].a += one;
                sum[v].b += one * (load(p[k].v[v]) - mean[v]);
            }
            if (kept)
                *(many *)(kept + channel_pack_at(g, s, j + k)) = d[k];
        }
    }
    if (g.plane)
        UNROLL for (int v = 1; v < V; v++)
            sum[0] = add_parts()(sum[0], sum[v]);
    join_rows(sum, g.lanes, add_parts());
    store_parts(g, s, sum, part);
}

/* ---- writing ---- */

struct channel_line {
    float mean, scale, shift;
};

/* y = (x - mean) * rstd * gamma + beta */
struct channel_normal {
    channel_stats stats;
    const float *beta; /* [c] or NULL */
    __device__ channel_line operator()(int64_t sample, int64_t c) const
    {
        int64_t at = stats.at(sample, c);
        return channel_line{stats.mean[at], stats.rstd[at] * stats.weight(c), beta ? beta[c] : 0};
    }
};

/* y = (x - mean) * scale + shift (+ residual) (then ReLU), where line_of(sample, channel) gives the three. y may be x. */
template <class T, int V, class Line>
static __global__ void write_normal(channel_grid g, const T *x, const T *residual, T *y, bool relu, Line line_of)
{
    typedef pack<T, V> many;
    channel_spot s = channel_spot_of(g);
    channel_line line[V] = {};
    UNROLL for (int v = 0; v < V; v++)
        if (s.count > 0)
            line[v] = line_of(s.sample, s.c + v * s.spread);
    for (int64_t j = s.count - 1; j >= 0; j -= AHEAD / 2) {
        many p[AHEAD / 2] = {}, add[AHEAD / 2] = {};
        UNROLL for (int k = 0; k < AHEAD / 2; k++) {
            if (k > j)
                continue;
            int64_t at = channel_pack_at(g, s, j - k);
            p[k] = *(const many *)(x + at);
            if (residual)
                add[k] = *(const many *)(residual + at);
        }
        UNROLL for (int k = 0; k < AHEAD / 2; k++) {
            if (k > j)
                continue;
            UNROLL for (int v = 0; v < V; v++) {
                float t = (load(p[k].v[v]) - line[v].mean) * line[v].scale + line[v].shift;
                if (residual)
                    t += load(add[k].v[v]);
                p[k].v[v] = store<T>(relu && t <= 0 ? 0 : t);
            }
            *(many *)(y + channel_pack_at(g, s, j - k)) = p[k];
        }
    }
}

/* What a group's dx has besides dy: slope * (x - mean) + shift. */
struct channel_slope {
    float slope, shift;
};

/* a, b: the sums over a group of n values of gamma * d and gamma * d * (x - mean). */
__device__ inline channel_slope slope_of(double n, double a, double b, double rstd)
{
    return n > 0 ? channel_slope{(float)(-rstd * rstd * rstd * b / n), (float)(-rstd * a / n)} : channel_slope{0, 0};
}

/* dx = gamma * rstd * d + slope * (x - mean) + shift, d as in sum_products. dx may be dy. */
template <class T, int V>
static __global__ void write_gradient(channel_grid g, const T *dy, const T *x, const T *y, T *dx, channel_stats stats, const channel_slope *slopes)
{
    typedef pack<T, V> many;
    channel_spot s = channel_spot_of(g);
    float mean[V] = {}, scale[V] = {};
    channel_slope slope[V] = {};
    UNROLL for (int v = 0; v < V; v++) {
        if (s.count == 0)
            continue;
        int64_t c = s.c + v * s.spread, at = stats.at(s.sample, c);
        mean[v] = stats.mean[at];
        scale[v] = stats.rstd[at] * stats.weight(c);
        slope[v] = slopes[at];
    }
    for (int64_t j = s.count - 1; j >= 0; j -= AHEAD / 2) {
        many d[AHEAD / 2] = {}, p[AHEAD / 2] = {}, mask[AHEAD / 2] = {};
        UNROLL for (int k = 0; k < AHEAD / 2; k++) {
            if (k > j)
                continue;
            int64_t at = channel_pack_at(g, s, j - k);
            d[k] = *(const many *)(dy + at);
            p[k] = *(const many *)(x + at);
            if (y)
                mask[k] = *(const many *)(y + at);
        }
        UNROLL for (int k = 0; k < AHEAD / 2; k++) {
            if (k > j)
                continue;
            UNROLL for (int v = 0; v < V; v++) {
                float one = y && !(load(mask[k].v[v]) > 0) ? 0 : load(d[k].v[v]);
                float t = one * scale[v] + (load(p[k].v[v]) - mean[v]) * slope[v].slope + slope[v].shift;
                d[k].v[v] = store<T>(t);
            }
            *(many *)(dx + channel_pack_at(g, s, j - k)) = d[k];
        }
    }
}

/* ---- launches: one instance of full packs, one of single elements ---- */

template <class T> mu_err launch_moments(const mu_cuda *self, const channel_grid &g, const void *x, channel_part *part)
{
    auto kernel = g.width == 1 ? sum_moments<T, 1> : sum_moments<T, 16 / sizeof(T)>;
    return launch(self, kernel, channel_blocks(&g), (unsigned)g.block, g, x, part);
}

template <class T>
mu_err launch_products(const mu_cuda *self, const channel_grid &g, const void *dy, const void *dy2, const void *x, const void *y, void *kept,
                       const channel_stats &stats, channel_part *part)
{
    auto kernel = g.width == 1 ? sum_products<T, 1> : sum_products<T, 16 / sizeof(T)>;
    return launch(self, kernel, channel_blocks(&g), (unsigned)g.block, g, dy, dy2, x, y, kept, stats, part);
}

template <class T, class Line>
mu_err launch_normal(const mu_cuda *self, const channel_grid &g, const void *x, const void *residual, void *y, bool relu, const Line &line)
{
    auto kernel = g.width == 1 ? write_normal<T, 1, Line> : write_normal<T, 16 / sizeof(T), Line>;
    return launch(self, kernel, channel_blocks(&g), (unsigned)g.block, g, x, residual, y, relu, line);
}

template <class T>
mu_err launch_gradient(const mu_cuda *self, const channel_grid &g, const void *dy, const void *x, const void *y, void *dx,
                       const channel_stats &stats, const channel_slope *slopes)
{
    auto kernel = g.width == 1 ? write_gradient<T, 1> : write_gradient<T, 16 / sizeof(T)>;
    return launch(self, kernel, channel_blocks(&g), (unsigned)g.block, g, dy, x, y, dx, stats, slopes);
}

/* Blocks for a warp for each of n. */
static inline unsigned warp_blocks(int64_t n)
{
    return (unsigned)((n + BLOCK / WARP - 1) / (BLOCK / WARP));
}

/* This thread's warp of the grid. */
__device__ inline int64_t warp_index()
{
    return (int64_t)blockIdx.x * (BLOCK / WARP) + (int)threadIdx.x / WARP;
}

#endif
