#include "flat.cuh"

#include <float.h>

/* softmax, log_softmax and their gradients along one dimension; operands and output lie alike.
 *     y = exp(x - max) / sum exp(x - max), or x - max - log(sum)     dx = y (dy - sum dy y), or dy - exp(y) sum dy
 * Lines along the fastest dimension: a warp or a block each, read once where they fit in registers. Other lines: a thread each, neighbouring threads
 * neighbouring lines. Lines that are read twice find maximum and sum in one sweep (Milakov and Gimelshein 2018). */

enum { ROW_KEPT = 32 }; /* elements that a lane keeps */

struct softmax_max {
    __device__ float operator()(float a, float b) const { return fmaxf(a, b); }
};

/* What of a line is known: its largest element so far, and the sum of exp(x - most). For gradients only the sum. */
typedef struct {
    float most, sum;
} mu_cuda_line;

/* -FLT_MAX: infinities behave as in x - max. */
static __device__ inline mu_cuda_line line_none(void)
{
    mu_cuda_line l = {-FLT_MAX, 0};
    return l;
}

static __device__ inline void line_add(mu_cuda_line *l, float x)
{
    if (x > l->most) {
        l->sum = l->sum * expf(l->most - x) + expf(x - x);
        l->most = x;
    } else {
        l->sum += expf(x - l->most);
    }
}

static __device__ inline float softmax_of(float x, const mu_cuda_line &l, bool log)
{
    return log ? x - l.most - logf(l.sum) : expf(x - l.most) / l.sum;
}

static __device__ inline float softmax_slope(float dy, float y, float sum, bool log)
{
    return log ? dy - expf(y) * sum : y * (dy - sum);
}

/* Over the lanes of a line: a warp or the block. */
template <bool WHOLE_BLOCK, class Op> static __device__ inline float line_reduce(float x, float none, Op op)
{
    return WHOLE_BLOCK ? block_reduce(x, none, op) : warp_reduce(x, op);
}

/* ---- lines of at most ROW_KEPT elements a lane ---- */

template <int N, bool WHOLE_BLOCK, class T>
static __global__ void softmax_rows(const T *x, T *y, int64_t lines, int n, bool log)
{
    int lanes = WHOLE_BLOCK ? BLOCK : WARP, lane = (int)threadIdx.x % lanes;
    int64_t line = ((int64_t)blockIdx.x * BLOCK + threadIdx.x) / lanes, base = line * n;
    float v[ROW_KEPT];
    mu_cuda_line l = line_none();
    if (line >= lines) /* a whole warp, never a part of a block of one line */
        return;
    UNROLL for (int j = 0; j < ROW_KEPT / N; j++) {
        int i = (j * lanes + lane) * N;
        if (j * lanes * N >= n)
            break;
        if (i < n)
            read_pack<N>(x, base + i, base + n, N > 1, v + j * N);
        for (int m = 0; m < N; m++)
            if (i < n)
                l.most = fmaxf(l.most, v[j * N + m]);
    }
    l.most = line_reduce<WHOLE_BLOCK>(l.most, -FLT_MAX, softmax_max());
    UNROLL for (int j = 0; j < ROW_KEPT / N; j++) {
        int i = (j * lanes + lane) * N;
        if (j * lanes * N >= n)
            break;
        for (int m = 0; m < N; m++)
            if (i < n)
                l.sum += expf(v[j * N + m] - l.most);
    }
    l.sum = line_reduce<WHOLE_BLOCK>(l.sum, 0.0f, add());
    UNROLL for (int j = 0; j < ROW_KEPT / N; j++) {
        int i = (j * lanes + lane) * N;
        if (j * lanes * N >= n)
            break;
        float r[N];
        for (int m = 0; m < N; m++)
            r[m] = i < n ? softmax_of(v[j * N + m], l, log) : 0.0f;
        if (i < n)
            write_pack<N>(y, base + i, base + n, N > 1, r);
    }
}

template <int N, bool WHOLE_BLOCK, class T>
static __global__ void softmax_grad_rows(const T *dy, const T *y, T *dx, int64_t lines, int n, bool log)
{
    int lanes = WHOLE_BLOCK ? BLOCK : WARP, lane = (int)threadIdx.x % lanes;
    int64_t line = ((int64_t)blockIdx.x * BLOCK + threadIdx.x) / lanes, base = line * n;
    float v[ROW_KEPT], w[ROW_KEPT], sum = 0;
    if (line >= lines)
        return;
    UNROLL for (int j = 0; j < ROW_KEPT / N; j++) {
        int i = (j * lanes + lane) * N;
        if (j * lanes * N >= n)
            break;
        if (i < n) {
            read_pack<N>(dy, base + i, base + n, N > 1, v + j * N);
            read_pack<N>(y, base + i, base + n, N > 1, w + j * N);
        }
        for (int m = 0; m < N; m++)
            if (i < n)
                sum += log ? v[j * N + m] : v[j * N + m] * w[j * N + m];
    }
    sum = line_reduce<WHOLE_BLOCK>(sum, 0.0f, add());
    UNROLL for (int j = 0; j < ROW_KEPT / N; j++) {
        int i = (j * lanes + lane) * N;
        if (j * lanes * N >= n)
            break;
        float r[N];
        for (int m = 0; m < N; m++)
            r[m] = i < n ? softmax_slope(v[j * N + m], w[j * N + m], sum, log) : 0.0f;
        if (i < n)
            write_pack<N>(dx, base + i, base + n, N > 1, r);
    }
}

/* ---- longer ones: a block a line, read twice ---- */

template <class T> static __global__ void softmax_long(const T *x, T *y, int64_t n, bool log)
{
    int64_t base = blockIdx.x * n;
    mu_cuda_line l = line_none();
    for (int64_t i = threadIdx.x; i < n; i += BLOCK)
        line_add(&l, load(x[base + i]));
    float most = block_reduce(l.most, -FLT_MAX, softmax_max());
    l.sum = block_reduce(l.sum * expf(l.most - most), 0.0f, add());
    l.most = most;
    for (int64_t i = threadIdx.x; i < n; i += BLOCK)
        y[base + i] = store<T>(softmax_of(load(x[base + i]), l, log));
}

template <class T> static __global__ void softmax_grad_long(const T *dy, const T *y, T *dx, int64_t n, bool log)
{
    int64_t base = blockIdx.x * n;
    float sum = 0;
    for (int64_t i = threadIdx.x; i < n; i += BLOCK)
        sum += log ? load(dy[base + i]) : load(dy[base + i]) * load(y[base + i]);
    sum = block_reduce(sum, 0.0f, add());
    for (int64_t i = threadIdx.x; i < n; i += BLOCK)
        dx[base + i] = store<T>(softmax_slope(load(dy[base + i]), load(y[base + i]), sum, log));
}

/* ---- lines across: n elements, `step` apart ---- */

template <class T> static __global__ void softmax_columns(const T *x, T *y, int64_t lines, int64_t n, int64_t step, bool log)
{
    FOR_EACH(i, lines) {
        int64_t base = i / step * step * n + i % step;
        mu_cuda_line l = line_none();
        for (int64_t c = 0; c < n; c++)
            line_add(&l, load(x[base + c * step]));
        for (int64_t c = 0; c < n; c++)
            y[base + c * step] = store<T>(softmax_of(load(x[base + c * step]), l, log));
    }
}

template <class T> static __global__ void softmax_grad_columns(const T *dy, const T *y, T *dx, int64_t lines, int64_t n, int64_t step, bool log)
{
    FOR_EACH(i, lines) {
        int64_t base = i / step * step * n + i % step;
        float sum = 0;
        for (int64_t c = 0; c < n; c++)
            sum += log ? load(dy[base + c * step]) : load(dy[base + c * step]) * load(y[base + c * step]);
        for (int64_t c = 0; c < n; c++) {
            int64_t at = base + c * step;
            dx[at] = store<T>(softmax_slope(load(dy[at]), load(y[at]), sum, log));
        }
    }
}

/* ---- the host's side ---- */

typedef struct {
    mu_cuda_kernel base;
    int64_t lines, n, step;
} mu_cuda_softmax;

static mu_err softmax_setup(mu_cuda_kernel *kernel)
{
    mu_cuda_softmax *self = (mu_cuda_softmax *)kernel;
    const mu_call *call = &kernel->base.call;
    const mu_type *x = &call->in[0];
    int64_t dim = ((const mu_dim_attrs *)call->attrs)->dim, step[MU_MAX_NDIM];
    mu_cuda_strides(x, kernel->base.in_layout[0], step);
    self->n = x->dim[dim];
    self->step = step[dim];
    self->lines = self->n > 0 ? mu_type_count(x) / self->n : 0;
    return MU_OK;
}

/* Blocks of a warp or of a block a line. */
template <int N, class T> static mu_err run_rows(const mu_cuda_softmax *self, const T *a, const T *b, T *out, bool log)
{
    const mu_cuda *cuda = self->base.self;
    unsigned warps = (unsigned)((self->lines * WARP + BLOCK - 1) / BLOCK), blocks = (unsigned)self->lines;
    int n = (int)self->n;
    bool narrow = n <= WARP * ROW_KEPT;
    if (!b)
        return narrow ? launch(cuda, softmax_rows<N, false, T>, warps, BLOCK, a, out, self->lines, n, log)
                      : launch(cuda, softmax_rows<N, true, T>, blocks, BLOCK, a, out, self->lines, n, log);
    return narrow ? launch(cuda, softmax_grad_rows<N, false, T>, warps, BLOCK, a, b, out, self->lines, n, log)
                  : launch(cuda, softmax_grad_rows<N, true, T>, blocks, BLOCK, a, b, out, self->lines, n, log);
}

/* a: x or dy; b: y, for gradients. */
template <class T> static mu_err run_lines(const mu_cuda_softmax *self, const T *a, const T *b, T *out, bool log)
{
    const mu_cuda *cuda = self->base.self;
    int64_t n = self->n, lines = self->lines;
    if (self->step != 1 && n > 1) {
        if (!b)
            return launch(cuda, softmax_columns<T>, blocks_for(cuda, lines), BLOCK, a, out, lines, n, self->step, log);
        return launch(cuda, softmax_grad_columns<T>, blocks_for(cuda, lines), BLOCK, a, b, out, lines, n, self->step, log);
    }
    if (n > BLOCK * ROW_KEPT) {
        if (!b)
            return launch(cuda, softmax_long<T>, (unsigned)lines, BLOCK, a, out, n, log);
        return launch(cuda, softmax_grad_long<T>, (unsigned)lines, BLOCK, a, b, out, n, log);
    }
    bool whole = n % packed<T> == 0 && lies_whole(a, 16) && (!b || lies_whole(b, 16)) && lies_whole(out, 16);
    return whole ? run_rows<packed<T>>(self, a, b, out, log) : run_rows<1>(self, a, b, out, log);
}

static mu_err softmax_run(mu_kernel *kernel, const mu_run *run)
{
    (void)run;
    const mu_cuda_softmax *self = (const mu_cuda_softmax *)kernel;
    const mu_op *op = kernel->call.op;
    bool log = op == &mu_op_log_softmax || op == &mu_op_log_softmax_grad;
    const void *a = kernel->in[0], *b = kernel->call.n_in > 1 ? kernel->in[1] : NULL;
    void *out = kernel->out[0];
    if (self->lines == 0)
        return MU_OK;
    return visit_float(kernel->call.in[0].dtype, [&](auto zero) {
        typedef decltype(zero) T;
        return run_lines<T>(self, (const T *)a, (const T *)b, (T *)out, log);
    });
}

extern "C" const mu_cuda_impl softmax_cuda = {MU_CUDA_FLAT, sizeof(mu_cuda_softmax), NULL, NULL, softmax_setup, softmax_run, NULL};
