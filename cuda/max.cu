#include "reduce.cuh"

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

static mu_err extreme_run(mu_kernel *kernel, const mu_run *run)
{
    (void)run;
    return reduce_any(kernel, op_extreme{kernel->call.op == &mu_op_min}, 1);
}

extern "C" const mu_cuda_impl max_cuda = {MU_CUDA_OWN, sizeof(mu_cuda_reduce), reduce_supports, NULL, reduce_setup, extreme_run, NULL};
