#include "device.cuh"

/* x [outer][n][inner], index and y [outer][picks][inner]. An index outside of x cannot be told in time: what it picks is NaN, or zero where
 * there is none, and its gradient goes nowhere. */
typedef struct {
    mu_cuda_kernel base;
    int64_t outer, n, picks, inner;
} gather;

/* `outside`: what an index out of range picks. */
template <class U, class I>
__global__ void pick(const U *__restrict__ x, const I *__restrict__ index, U outside, U *__restrict__ y, int64_t n, int64_t picks, int64_t inner,
                     int64_t count)
{
    FOR_EACH(i, count)
    {
        int64_t at = (int64_t)index[i], plane = i / (picks * inner);
        y[i] = at >= 0 && at < n ? x[(plane * n + at) * inner + i % inner] : outside;
    }
}

/* Every element of dx looks through the picks of its line: the same sum in the same order from run to run. */
template <class T, class I>
__global__ void pick_grad(const T *__restrict__ dy, const I *__restrict__ index, T *__restrict__ dx, int64_t n, int64_t picks, int64_t inner,
                          int64_t count)
{
    FOR_EACH(i, count)
    {
        int64_t first = i / (n * inner) * picks * inner + i % inner, k = i / inner % n;
        float sum = 0;
        for (int64_t p = 0; p < picks; p++)
            if ((int64_t)index[first + p * inner] == k)
                sum += load(dy[first + p * inner]);
        dx[i] = store<T>(sum);
    }
}

static mu_err run_gather(mu_kernel *kernel, const mu_run *run)
{
    const gather *s = (const gather *)kernel;
    const mu_cuda *self = s->base.self;
    mu_dtype dtype = kernel->call.out[0].dtype;
    int64_t count = s->outer * s->picks * s->inner;
    (void)run;
    return visit_width(dtype, [&](auto zero) {
        typedef decltype(zero) U;
        return visit_index(kernel->call.in[1].dtype, [&](auto none) {
            typedef decltype(none) I;
            U outside = mu_dtype_is_float(dtype) ? (U)~(U)0 : (U)0; /* all ones: NaN */
            return launch(self, pick<U, I>, blocks_for(self, count), BLOCK, (const U *)kernel->in[0], (const I *)kernel->in[1], outside,
                          (U *)kernel->out[0], s->n, s->picks, s->inner, count);
        });
    });
}

static mu_err run_gather_grad(mu_kernel *kernel, const mu_run *run)
{
    const gather *s = (const gather *)kernel;
    const mu_cuda *self = s->base.self;
    int64_t count = s->outer * s->n * s->inner;
    (void)run;
    return visit_float(kernel->call.out[0].dtype, [&](auto zero) {
        typedef decltype(zero) T;
        return visit_index(kernel->call.in[1].dtype, [&](auto none) {
            typedef decltype(none) I;
            return launch(self, pick_grad<T, I>, blocks_for(self, count), BLOCK, (const T *)kernel->in[0], (const I *)kernel->in[1],
                          (T *)kernel->out[0], s->n, s->picks, s->inner, count);
        });
    });
}

static mu_err setup(mu_cuda_kernel *kernel)
{
    gather *s = (gather *)kernel;
    const mu_call *call = &kernel->base.call;
    const mu_type *x = call->op == &mu_op_gather ? &call->in[0] : &call->out[0];
    int64_t dim = ((const mu_gather_attrs *)call->attrs)->dim;
    s->outer = s->inner = 1;
    for (int d = 0; d < x->ndim; d++)
        if (d != dim)
            *(d < dim ? &s->outer : &s->inner) *= x->dim[d];
    s->n = x->dim[dim];
    s->picks = call->in[1].dim[dim];
    return MU_OK;
}

extern "C" const mu_cuda_impl gather_cuda = {MU_CUDA_ROWS, sizeof(gather), mu_cuda_any_dtype, NULL, setup, run_gather, NULL};
extern "C" const mu_cuda_impl gather_grad_cuda = {MU_CUDA_ROWS, sizeof(gather), NULL, NULL, setup, run_gather_grad, NULL};
