#include "flat.cuh"

/* sum of x^2 in f64: a partial sum of each block, then one block over those. */
template <class T> static __global__ void square_parts(const T *x, int64_t count, bool whole, double *part)
{
    const int N = packed<T>;
    double sum = 0;
    FOR_EACH(k, (count + N - 1) / N) {
        float v[N];
        read_pack<N>(x, k * N, count, whole, v);
        double some = 0;
        for (int j = 0; j < N; j++)
            some += (double)v[j] * v[j];
        sum += some;
    }
    sum = block_reduce(sum, 0.0, add());
    if (threadIdx.x == 0)
        part[blockIdx.x] = sum;
}

static __global__ void square_total(const double *part, int n, double *y)
{
    double sum = 0;
    for (int i = (int)threadIdx.x; i < n; i += BLOCK)
        sum += part[i];
    sum = block_reduce(sum, 0.0, add());
    if (threadIdx.x == 0)
        *y = sum;
}

static unsigned square_blocks(const mu_cuda *cuda, const mu_type *x)
{
    return blocks_for(cuda, mu_type_count(x), 4 * 16 / (int64_t)mu_dtype_size(x->dtype));
}

static mu_err square_setup(mu_cuda_kernel *kernel)
{
    kernel->base.out_layout[0] = NULL; /* x lies as it comes */
    kernel->base.scratch_bytes = square_blocks(kernel->self, &kernel->base.call.in[0]) * sizeof(double);
    return MU_OK;
}

static mu_err square_run(mu_kernel *kernel, const mu_run *run)
{
    (void)run;
    const mu_cuda *cuda = ((const mu_cuda_kernel *)kernel)->self;
    const mu_type *t = &kernel->call.in[0];
    const void *x = kernel->in[0];
    double *part = (double *)kernel->scratch, *y = (double *)kernel->out[0];
    unsigned blocks = square_blocks(cuda, t);
    MU_TRY(visit_float(t->dtype, [&](auto zero) {
        typedef decltype(zero) T;
        return launch(cuda, square_parts<T>, blocks, BLOCK, (const T *)x, mu_type_count(t), lies_whole(x, 16), part);
    }));
    return launch(cuda, square_total, 1, BLOCK, part, (int)blocks, y);
}

static bool square_supports(const mu_call *call, const char **why)
{
    mu_dtype dtype = call->in[0].dtype;
    *why = "the CUDA kernels compute f32, bf16 and f16";
    return dtype == MU_F32 || dtype == MU_BF16 || dtype == MU_F16;
}

extern "C" const mu_cuda_impl square_sum_cuda = {MU_CUDA_OWN, 0, square_supports, NULL, square_setup, square_run, NULL};
