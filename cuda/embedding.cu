#include "device.cuh"

/* An index outside of the table cannot be told in time: its row of y is NaN, and its gradient goes nowhere. */

/* Units of a row: 16 bytes where rows are made of them, else one element. */
template <class U, class I>
__global__ void look_up(const U *__restrict__ table, const I *__restrict__ index, U outside, U *__restrict__ y, int64_t rows, int64_t width,
                        int64_t n)
{
    FOR_EACH(i, n)
    {
        int64_t row = (int64_t)index[i / width];
        y[i] = row >= 0 && row < rows ? table[row * width + i % width] : outside;
    }
}

template <class U> static mu_err look_up_units(mu_kernel *kernel, U outside)
{
    const mu_cuda *self = ((const mu_cuda_kernel *)kernel)->self;
    const mu_type *table = &kernel->call.in[0];
    int64_t width = table->dim[1] * (int64_t)mu_dtype_size(table->dtype) / (int64_t)sizeof(U);
    int64_t n = mu_type_count(&kernel->call.in[1]) * width;
    return visit_index(kernel->call.in[1].dtype, [&](auto none) {
        typedef decltype(none) I;
        return launch(self, look_up<U, I>, blocks_for(self, n), BLOCK, (const U *)kernel->in[0], (const I *)kernel->in[1], outside,
                      (U *)kernel->out[0], table->dim[0], width, n);
    });
}

/* All ones is NaN in every floating dtype. */
static mu_err run_embedding(mu_kernel *kernel, const mu_run *run)
{
    size_t size = mu_dtype_size(kernel->call.in[0].dtype), row = (size_t)kernel->call.in[0].dim[1] * size;
    (void)run;
    if (row % 16 == 0)
        return look_up_units(kernel, pack<uint32_t, 4>{{UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX}});
    return size == 4 ? look_up_units(kernel, (uint32_t)UINT32_MAX) : look_up_units(kernel, (uint16_t)UINT16_MAX);
}

enum { CHUNK = 4 * BLOCK };

/* A block sums BLOCK columns of one row of the table: it looks for the row in a chunk of the index, and adds what it finds there in their order. The
 * chunk's sum is added to that of the chunks before. */
template <class T, class I>
__global__ void row_grad(const T *__restrict__ dy, const I *__restrict__ index, T *__restrict__ dtable, int64_t rows, int64_t width, int64_t n)
{
    __shared__ unsigned char is_here[CHUNK];
    int64_t column = (int64_t)blockIdx.y * BLOCK + threadIdx.x;
    for (int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
        float sum = 0;
        for (int64_t begin = 0; begin < n; begin += CHUNK) {
            int length = (int)(n - begin < CHUNK ? n - begin : (int64_t)CHUNK);
            bool mine = false;
            for (int i = (int)threadIdx.x; i < length; i += BLOCK) {
                bool here = (int64_t)index[begin + i] == row;
                is_here[i] = here;
                mine = mine || here;
            }
            bool found = __syncthreads_or(mine);
            float part = 0;
            for (int i = 0; found && column < width && i < length; i++)
                if (is_here[i])
                    part += load(dy[(begin + i) * width + column]);
            sum += part;
            __syncthreads();
        }
        if (column < width)
            dtable[row * width + column] = store<T>(sum);
    }
}

static mu_err run_embedding_grad(mu_kernel *kernel, const mu_run *run)
{
    const mu_cuda *self = ((const mu_cuda_kernel *)kernel)->self;
    const mu_type *table = &kernel->call.out[0];
    int64_t rows = table->dim[0], width = table->dim[1], n = mu_type_count(&kernel->call.in[1]);
    dim3 grid((unsigned)(rows < (1 << 20) ? rows : 1 << 20), (unsigned)((width + BLOCK - 1) / BLOCK));
    (void)run;
    return visit_float(table->dtype, [&](auto zero) {
        typedef decltype(zero) T;
        return visit_index(kernel->call.in[1].dtype, [&](auto none) {
            typedef decltype(none) I;
            return launch(self, row_grad<T, I>, grid, BLOCK, (const T *)kernel->in[0], (const I *)kernel->in[1], (T *)kernel->out[0], rows, width,
                          n);
        });
    });
}

extern "C" const mu_cuda_impl embedding_cuda = {MU_CUDA_ROWS, 0, NULL, NULL, NULL, run_embedding, NULL};
extern "C" const mu_cuda_impl embedding_grad_cuda = {MU_CUDA_ROWS, 0, NULL, NULL, NULL, run_embedding_grad, NULL};
