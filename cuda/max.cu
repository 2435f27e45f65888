#include "reduce.cuh"

extern "C" {
#include "ops/reduce.h"
}

/* max and min over any dimensions of x, which lies as it comes; NaN wins. */
static __device__ inline float extreme_none(float, bool least)
{
    return least ? __uint_as_float(0x7f800000u) : __uint_as_float(0xff800000u);
}
static __device__ inline int64_t extreme_none(int64_t, bool least)
{
    return least ? INT64_MAX : INT64_MIN;
}
static __device__ inline int32_t extreme_none(int32_t, bool least)
{
    return least ? INT32_MAX : INT32_MIN;
}

struct op_extreme {
    bool least;
    template <class R> __device__ R none() const { return extreme_none(R(0), least); }
    template <class R> __device__ R operator()(R a, R b) const { return a != a || (least ? a < b : a > b) ? a : b; }
};

typedef struct {
    mu_cuda_kernel base;
    mu_cuda_reduce_plan plan;
} mu_cuda_extreme;

static bool extreme_supports(const mu_call *call, const char **why)
{
    mu_dtype dtype = call->in[0].dtype;
    *why = "the CUDA kernels reduce f32, bf16, f16, i64 and i32";
    return dtype == MU_I64 || dtype == MU_I32 || (mu_dtype_is_float(dtype) && dtype != MU_F64);
}

static mu_err extreme_setup(mu_cuda_kernel *kernel)
{
    mu_cuda_extreme *self = (mu_cuda_extreme *)kernel;
    const mu_call *call = &kernel->base.call;
    const mu_type *x = &call->in[0];
    int64_t dims = mu_reduce_dims((const mu_reduce_attrs *)call->attrs, x), to[MU_MAX_NDIM];
    bool is_float = mu_dtype_is_float(x->dtype);
    kernel->base.out_layout[0] = NULL;
    reduction_steps(x, dims, to);
    self->plan = reduce_plan_of(kernel->self, reduction_of(x, kernel->base.in_layout[0], dims, to), is_float ? 16 / (int)mu_dtype_size(x->dtype) : 1);
    kernel->base.scratch_bytes = reduce_scratch(&self->plan, is_float ? sizeof(float) : mu_dtype_size(x->dtype));
    return MU_OK;
}

static mu_err extreme_run(mu_kernel *kernel, const mu_run *run)
{
    (void)run;
    const mu_cuda_extreme *self = (const mu_cuda_extreme *)kernel;
    const mu_cuda *cuda = self->base.self;
    const void *x = kernel->in[0];
    void *y = kernel->out[0], *scratch = kernel->scratch;
    mu_dtype dtype = kernel->call.in[0].dtype;
    bool whole = lies_whole(x, 16);
    op_extreme op = {kernel->call.op == &mu_op_min};
    if (dtype == MU_I64)
        return reduce_all<1>(cuda, &self->plan, term_of<int64_t>{(const int64_t *)x}, op, last_same<int64_t>(), whole, scratch, (int64_t *)y);
    if (dtype == MU_I32)
        return reduce_all<1>(cuda, &self->plan, term_of<int32_t>{(const int32_t *)x}, op, last_same<int32_t>(), whole, scratch, (int32_t *)y);
    return visit_float(dtype, [&](auto zero) {
        typedef decltype(zero) T;
        last_quotient<T> last = {1};
        return reduce_all<packed<T>>(cuda, &self->plan, term_of<T>{(const T *)x}, op, last, whole, scratch, (T *)y);
    });
}

extern "C" const mu_cuda_impl max_cuda = {
    MU_CUDA_OWN, sizeof(mu_cuda_extreme), extreme_supports, NULL, extreme_setup, extreme_run, NULL};
