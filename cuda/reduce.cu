#include "reduce.cuh"

/* sum and mean over any dimensions of x, which lies as it comes. */
static mu_err sum_run(mu_kernel *kernel, const mu_run *run)
{
    (void)run;
    const mu_cuda_reduce *self = (const mu_cuda_reduce *)kernel;
    return reduce_any(kernel, op_sum(), kernel->call.op == &mu_op_mean ? (float)self->plan.r.covered.count : 1);
}

extern "C" const mu_cuda_impl reduce_cuda = {MU_CUDA_OWN, sizeof(mu_cuda_reduce), reduce_supports, NULL, reduce_setup, sum_run, NULL};
