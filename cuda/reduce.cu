#include "reduce.cuh"

extern "C" {
#include "ops/reduce.h"
}

/* sum and mean over any dimensions of x, which lies as it comes. */
typedef struct {
    mu_cuda_kernel base;
    mu_cuda_reduce_plan plan;
    double by; /* what the sums are divided by */
} mu_cuda_sum;

static bool sum_supports(const mu_call *call, const char **why)
{
    mu_dtype dtype = call->in[0].dtype;
    *why = "the CUDA kernels reduce f32, bf16, f16, i64 and i32";
    return dtype == MU_I64 || dtype == MU_I32 || (mu_dtype_is_float(dtype) && dtype != MU_F64);
}

static mu_err sum_setup(mu_cuda_kernel *kernel)
{
    mu_cuda_sum *self = (mu_cuda_sum *)kernel;
    const mu_call *call = &kernel->base.call;
    const mu_type *x = &call->in[0];
    int64_t dims = mu_reduce_dims((const mu_reduce_attrs *)call->attrs, x), to[MU_MAX_NDIM];
    bool is_float = mu_dtype_is_float(x->dtype);
    kernel->base.out_layout[0] = NULL;
    reduction_steps(x, dims, to);
    self->plan = reduce_plan_of(kernel->self, reduction_of(x, kernel->base.in_layout[0], dims, to), is_float ? 16 / (int)mu_dtype_size(x->dtype) : 1);
    self->by = call->op == &mu_op_mean && is_float ? (double)self->plan.r.covered.count : 1;
    kernel->base.scratch_bytes = reduce_scratch(&self->plan, is_float ? sizeof(float) : mu_dtype_size(x->dtype));
    return MU_OK;
}

static mu_err sum_run(mu_kernel *kernel, const mu_run *run)
{
    (void)run;
    const mu_cuda_sum *self = (const mu_cuda_sum *)kernel;
    const mu_cuda *cuda = self->base.self;
    const void *x = kernel->in[0];
    void *y = kernel->out[0], *scratch = kernel->scratch;
    mu_dtype dtype = kernel->call.in[0].dtype;
    bool whole = lies_whole(x, 16);
    if (dtype == MU_I64)
        return reduce_all<1>(cuda, &self->plan, term_of<int64_t>{(const int64_t *)x}, op_sum(), last_same<int64_t>(), whole, scratch, (int64_t *)y);
    if (dtype == MU_I32)
        return reduce_all<1>(cuda, &self->plan, term_of<int32_t>{(const int32_t *)x}, op_sum(), last_same<int32_t>(), whole, scratch, (int32_t *)y);
    return visit_float(dtype, [&](auto zero) {
        typedef decltype(zero) T;
        last_quotient<T> last = {(float)self->by};
        return reduce_all<packed<T>>(cuda, &self->plan, term_of<T>{(const T *)x}, op_sum(), last, whole, scratch, (T *)y);
    });
}

extern "C" const mu_cuda_impl reduce_cuda = {MU_CUDA_OWN, sizeof(mu_cuda_sum), sum_supports, NULL, sum_setup, sum_run, NULL};
