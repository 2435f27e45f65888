#include "device.cuh"

/* Rows of n neighbours, each normalised by a team of threads, a warp or a block, that reads it from the cache again and again. */

struct layer_norm_kernel {
    mu_cuda_kernel base;
    int64_t rows, n;
    int width;           /* elements that a thread takes at once */
    int team;
    int64_t chunk, chunks; /* backward: rows whose gradients of weights are summed together */
};

enum { ROWS = 8 }; /* of a block that sums over rows, WARP columns wide */

template <int TEAM> __device__ inline float team_sum(float x)
{
    return TEAM == WARP ? warp_reduce(x, add()) : block_reduce(x, 0.0f, add());
}

/* The team's rows: first, first + step, ...; the thread's place in it. */
template <int TEAM> struct team_of {
    int64_t first, step;
    int lane;
    __device__ team_of()
        : first((int64_t)blockIdx.x * (BLOCK / TEAM) + (int)threadIdx.x / TEAM), step((int64_t)gridDim.x * (BLOCK / TEAM)),
          lane((int)threadIdx.x % TEAM)
    {
    }
};

template <class T, int V, int TEAM>
static __global__ void normalise(int64_t rows, int64_t n, const T *x, const float *gamma, const float *beta, double eps, T *y, float *mean,
                                 float *rstd)
{
    typedef pack<T, V> many;
    team_of<TEAM> team;
    for (int64_t r = team.first; r < rows; r += team.step) {
        const T *row = x + r * n;
        float total = 0, rest = 0, square = 0;
        for (int64_t i = team.lane * V; i < n; i += TEAM * V) {
            many p = *(const many *)(row + i);
            float part = 0;
            for (int v = 0; v < V; v++)
                part += load(p.v[v]);
            total += part;
        }
        float m = n > 0 ? team_sum<TEAM>(total) / (float)n : 0;
        for (int64_t i = team.lane * V; i < n; i += TEAM * V) {
            many p = *(const many *)(row + i);
            for (int v = 0; v < V; v++) {
                float d = load(p.v[v]) - m;
                rest += d; /* what rounding took from the mean */
                square += d * d;
            }
        }
        double a = team_sum<TEAM>(rest), b = team_sum<TEAM>(square), var = 0;
        if (n > 0) {
            a /= (double)n;
            var = b / (double)n - a * a;
        }
        double scale = 1 / sqrt((var < 0 ? 0 : var) + eps);
        float s = (float)scale;
        for (int64_t i = team.lane * V; i < n; i += TEAM * V) {
            many p = *(const many *)(row + i);
            for (int v = 0; v < V; v++) {
                float t = (load(p.v[v]) - m) * s;
                p.v[v] = store<T>(t * (gamma ? gamma[i + v] : 1) + (beta ? beta[i + v] : 0));
            }
            *(many *)(y + r * n + i) = p;
        }
        if (team.lane == 0) {
            mean[r] = m;
            rstd[r] = s;
        }
    }
}

/* dx = rstd * (d - sum d / n - (x - mean) * rstd * sum(d * (x - mean) * rstd) / n), d = dy * gamma. dx may be dy. */
template <class T, int V, int TEAM>
static __global__ void spread(int64_t rows, int64_t n, const T *dy, const T *x, const float *gamma, const float *mean, const float *rstd,
                              T *dx)
{
    typedef pack<T, V> many;
    team_of<TEAM> team;
    for (int64_t r = team.first; r < rows; r += team.step) {
        const T *row = x + r * n, *drow = dy + r * n;
        float m = mean[r], s = rstd[r], a = 0, b = 0;
        for (int64_t i = team.lane * V; i < n; i += TEAM * V) {
            many p = *(const many *)(row + i), d = *(const many *)(drow + i);
            float pa = 0, pb = 0;
            for (int v = 0; v < V; v++) {
                float one = load(d.v[v]) * (gamma ? gamma[i + v] : 1);
                pa += one;
                pb += one * ((load(p.v[v]) - m) * s);
            }
            a += pa;
            b += pb;
        }
        a = team_sum<TEAM>(a) / (float)n;
        b = team_sum<TEAM>(b) / (float)n;
        for (int64_t i = team.lane * V; i < n; i += TEAM * V) {
            many p = *(const many *)(row + i), d = *(const many *)(drow + i);
            for (int v = 0; v < V; v++) {
                float one = load(d.v[v]) * (gamma ? gamma[i + v] : 1);
                d.v[v] = store<T>(s * (one - a - (load(p.v[v]) - m) * s * b));
            }
            *(many *)(dx + r * n + i) = d;
        }
    }
}

/* ---- the gradients of the weights: sums over rows, chunk by chunk ---- */

/* One column of a chunk: sums of dy and of dy * (x - mean) * rstd, at [chunk * n + column]. */
struct alignas(8) weight_part {
    float beta, gamma;
};

template <class T>
static __global__ void sum_rows(int64_t rows, int64_t n, int64_t chunk, const T *dy, const T *x, const float *mean, const float *rstd,
                                weight_part *part)
{
    __shared__ weight_part other[ROWS][WARP];
    int lane = (int)threadIdx.x % WARP, row = (int)threadIdx.x / WARP;
    int64_t tiles = (n + WARP - 1) / WARP, k = blockIdx.x / tiles, i = blockIdx.x % tiles * WARP + lane;
    int64_t end = (k + 1) * chunk < rows ? (k + 1) * chunk : rows;
    weight_part sum = {};
    for (int64_t r = k * chunk + row; r < end && i < n; r += ROWS) {
        float d = load(dy[r * n + i]);
        sum.beta += d;
        sum.gamma += d * ((load(x[r * n + i]) - mean[r]) * rstd[r]);
    }
    other[row][lane] = sum;
    __syncthreads();
    for (int reach = ROWS / 2; reach > 0; reach /= 2) {
        if (row < reach) {
            other[row][lane].beta += other[row + reach][lane].beta;
            other[row][lane].gamma += other[row + reach][lane].gamma;
        }
        __syncthreads();
    }
    if (row == 0 && i < n)
        part[k * n + i] = other[0][lane];
}

static __global__ void join_chunks(int64_t n, int64_t chunks, const weight_part *part, float *dgamma, float *dbeta)
{
    FOR_EACH(i, n) {
        double beta = 0, gamma = 0;
        for (int64_t k = 0; k < chunks; k++) {
            beta += part[k * n + i].beta;
            gamma += part[k * n + i].gamma;
        }
        dgamma[i] = (float)gamma;
        dbeta[i] = (float)beta;
    }
}

/* ---- host ---- */

static unsigned team_blocks(const layer_norm_kernel *s)
{
    return blocks_for(s->base.self, s->rows * s->team);
}

/* call(kernel of the team and width) */
#define BY_TEAM(kernel, ...)                                                                                                  \
    do {                                                                                                                      \
        enum { FULL = 16 / sizeof(T) };                                                                                       \
        if (s->width == 1)                                                                                                    \
            MU_TRY(launch(self, s->team == WARP ? kernel<T, 1, WARP> : kernel<T, 1, BLOCK>, team_blocks(s), BLOCK,            \
                          s->rows, s->n, __VA_ARGS__));                                                                       \
        else                                                                                                                  \
            MU_TRY(launch(self, s->team == WARP ? kernel<T, FULL, WARP> : kernel<T, FULL, BLOCK>, team_blocks(s), BLOCK,      \
                          s->rows, s->n, __VA_ARGS__));                                                                       \
    } while (0)

/* (x, gamma?, beta?) -> y, mean, rstd */
template <class T> static mu_err forward(const layer_norm_kernel *s)
{
    const mu_kernel *k = &s->base.base;
    const mu_cuda *self = s->base.self;
    double eps = ((const mu_norm_attrs *)k->call.attrs)->eps;
    BY_TEAM(normalise, k->in[0], mu_cuda_address(k, 1), mu_cuda_address(k, 2), eps, k->out[0], k->out[1], k->out[2]);
    return MU_OK;
}

/* (dy, x, gamma?, mean, rstd) -> dx, dgamma?, dbeta?. The weights first: dx may be dy. */
template <class T> static mu_err backward(const layer_norm_kernel *s)
{
    const mu_kernel *k = &s->base.base;
    const mu_cuda *self = s->base.self;
    if (k->out[1]) {
        int64_t tiles = (s->n + WARP - 1) / WARP;
        MU_TRY(launch(self, sum_rows<T>, (unsigned)(tiles * s->chunks), BLOCK, s->rows, s->n, s->chunk, k->in[0], k->in[1], k->in[3],
                      k->in[4], k->scratch));
        MU_TRY(launch(self, join_chunks, blocks_for(self, s->n), BLOCK, s->n, s->chunks, k->scratch, k->out[1], k->out[2]));
    }
    if (s->n > 0)
        BY_TEAM(spread, k->in[0], k->in[1], k->in[2], k->in[3], k->in[4], k->out[0]);
    return MU_OK;
}

static mu_err run_forward(mu_kernel *kernel, const mu_run *run)
{
    (void)run;
    return visit_float(kernel->call.in[0].dtype, [&](auto zero) { return forward<decltype(zero)>((const layer_norm_kernel *)kernel); });
}

static mu_err run_backward(mu_kernel *kernel, const mu_run *run)
{
    (void)run;
    return visit_float(kernel->call.in[0].dtype, [&](auto zero) { return backward<decltype(zero)>((const layer_norm_kernel *)kernel); });
}

static mu_err setup(mu_cuda_kernel *kernel)
{
    enum { WIDE_ROW = 2048, LEAST = 8, BLOCKS = 4, MOST = 64 };
    layer_norm_kernel *s = (layer_norm_kernel *)kernel;
    const mu_type *x = &kernel->base.call.in[0];
    int64_t normalised = ((const mu_norm_attrs *)kernel->base.call.attrs)->normalized_ndim;
    s->rows = s->n = 1;
    for (int d = 0; d < x->ndim; d++)
        *(d < x->ndim - normalised ? &s->rows : &s->n) *= x->dim[d];
    int full = 16 / (int)mu_dtype_size(x->dtype);
    s->width = s->n % full == 0 ? full : 1;
    s->team = s->n < WIDE_ROW ? WARP : BLOCK;
    int64_t tiles = (s->n + WARP - 1) / WARP, most = (s->rows + ROWS * LEAST - 1) / (ROWS * LEAST);
    int64_t wanted = tiles > 0 ? 1 + BLOCKS * kernel->self->n_multiprocessors / tiles : 1;
    int64_t chunks = wanted > MOST ? (int64_t)MOST : wanted;
    chunks = chunks < most ? chunks : most;
    s->chunk = chunks > 0 ? (s->rows + chunks - 1) / chunks : 1;
    s->chunks = (s->rows + s->chunk - 1) / s->chunk;
    if (kernel->base.call.op == &mu_op_layer_norm_grad)
        kernel->base.scratch_bytes = (size_t)(s->chunks * s->n) * sizeof(weight_part);
    return MU_OK;
}

extern "C" const mu_cuda_impl layer_norm_cuda = {
    MU_CUDA_ROWS, sizeof(layer_norm_kernel), mu_cuda_half_with_f32, NULL, setup, run_forward, NULL};
extern "C" const mu_cuda_impl layer_norm_grad_cuda = {
    MU_CUDA_ROWS, sizeof(layer_norm_kernel), mu_cuda_half_with_f32, NULL, setup, run_backward, NULL};
