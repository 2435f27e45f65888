/* Row-major to channels last and back: a transposition of n matrices, [rows][cols] to [cols][rows], through tiles in shared memory, so that both sides
 * are read and written along their lines. (Ruetsch and Micikevicius, "Optimizing Matrix Transpose in CUDA", 2009.) */
#include "device.cuh"

enum { TILE = 32, NARROW = 8 };

typedef struct {
    mu_kernel base;
    mu_cuda *self;
    int64_t n, rows, cols;
} reorder;

template <class T> __global__ void transpose_tiles(const T *x, T *y, int64_t n, int64_t rows, int64_t cols)
{
    __shared__ T tile[TILE][TILE + 1]; /* one more: columns lie in different banks */
    int64_t down = (rows + TILE - 1) / TILE, across = (cols + TILE - 1) / TILE;
    int lane = (int)threadIdx.x % TILE, line = (int)threadIdx.x / TILE, step = (int)blockDim.x / TILE;
    for (int64_t t = blockIdx.x; t < n * down * across; t += gridDim.x) {
        int64_t matrix = t / (down * across) * rows * cols, row = t / across % down * TILE, col = t % across * TILE;
        for (int i = line; i < TILE; i += step)
            if (row + i < rows && col + lane < cols)
                tile[i][lane] = x[matrix + (row + i) * cols + col + lane];
        __syncthreads();
        for (int i = line; i < TILE; i += step)
            if (col + i < cols && row + lane < rows)
                y[matrix + (col + i) * rows + row + lane] = tile[lane][i];
        __syncthreads();
    }
}

/* Few rows or columns would leave most of a tile empty; their lines meet in the cache. */
template <class T> __global__ void transpose_narrow(const T *x, T *y, int64_t n, int64_t rows, int64_t cols)
{
    FOR_EACH(i, n * rows * cols)
    {
        int64_t matrix = i / (rows * cols), within = i % (rows * cols);
        y[i] = x[matrix * rows * cols + within % rows * cols + within / rows];
    }
}

static mu_err run_transpose(mu_kernel *kernel, const mu_run *run)
{
    (void)run;
    const reorder *r = (const reorder *)kernel;
    return visit_width(kernel->call.in[0].dtype, [&](auto zero) {
        typedef decltype(zero) T;
        const T *x = (const T *)kernel->in[0];
        T *y = (T *)kernel->out[0];
        if (r->rows < NARROW || r->cols < NARROW)
            return launch(r->self, transpose_narrow<T>, blocks_for(r->self, r->n * r->rows * r->cols), BLOCK, x, y, r->n, r->rows, r->cols);
        int64_t tiles = r->n * ((r->rows + TILE - 1) / TILE) * ((r->cols + TILE - 1) / TILE), most = 16 * (int64_t)r->self->n_multiprocessors;
        return launch(r->self, transpose_tiles<T>, (unsigned)(tiles < most ? tiles : most), BLOCK, x, y, r->n, r->rows, r->cols);
    });
}

static mu_err run_copy(mu_kernel *kernel, const mu_run *run)
{
    (void)run;
    size_t bytes = mu_type_bytes(&kernel->call.in[0]);
    if (bytes)
        MU_TRY_CUDA(cudaMemcpyAsync(kernel->out[0], kernel->in[0], bytes, cudaMemcpyDeviceToDevice, ((reorder *)kernel)->self->stream));
    return MU_OK;
}

static const mu_kernel_ops transpose_ops = {run_transpose, NULL, NULL}, copy_ops = {run_copy, NULL, NULL};

extern "C" mu_err mu_cuda_reorder(mu_backend *backend, const mu_type *type, const mu_layout *from, const mu_layout *to, mu_kernel **out)
{
    mu_cuda_view v = mu_cuda_view_of(type, to), had = mu_cuda_view_of(type, from);
    bool moves = v.last != had.last && v.c > 1 && v.space > 1;
    mu_call call = {};
    mu_kernel *kernel;
    call.op = &mu_cuda_reorder_op;
    call.n_in = call.n_out = 1;
    call.in = call.out = type;
    MU_TRY(mu_kernel_new(sizeof(reorder), moves ? &transpose_ops : &copy_ops, &call, &kernel));
    reorder *r = (reorder *)kernel;
    r->self = mu_cuda_of(backend);
    r->n = v.n;
    r->rows = v.last ? v.c : v.space;
    r->cols = v.last ? v.space : v.c;
    kernel->in_layout[0] = from;
    kernel->out_layout[0] = to;
    kernel->impl = moves ? "transpose" : "copy";
    *out = kernel;
    return MU_OK;
}
