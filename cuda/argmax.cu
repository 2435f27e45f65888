#include "order.cuh"

/* argmax: the first in the order of each line; x lies as it comes. */
template <class T> struct term_order {
    typedef order_key result;
    const T *x;
    int64_t size, step; /* of the dimension */
    bool small;
    template <int N> __device__ void get(int64_t at, order_key *key) const
    {
        float v[N];
        read_pack<N>(x, at, at + N, N > 1, v);
        for (int j = 0; j < N; j++) {
            int64_t i = at + j;
            uint32_t index = small ? (uint32_t)i / (uint32_t)step % (uint32_t)size : (uint32_t)(i / step % size);
            key[j] = order_of(v[j], index, false);
        }
    }
};

struct last_index {
    typedef int64_t out;
    __device__ int64_t operator()(order_key key) const { return order_index(key); }
};

typedef struct {
    mu_cuda_kernel base;
    mu_cuda_reduce_plan plan;
    int64_t size, step;
} mu_cuda_argmax;

static bool argmax_supports(const mu_call *call, const char **why)
{
    *why = "indices have 32 bits";
    if (call->in[0].dim[((const mu_dim_attrs *)call->attrs)->dim] >= UINT32_MAX)
        return false;
    return mu_cuda_one_float(call, why);
}

static mu_err argmax_setup(mu_cuda_kernel *kernel)
{
    mu_cuda_argmax *self = (mu_cuda_argmax *)kernel;
    const mu_call *call = &kernel->base.call;
    const mu_type *x = &call->in[0];
    const mu_layout *layout = kernel->base.in_layout[0];
    int64_t dim = ((const mu_dim_attrs *)call->attrs)->dim, to[MU_MAX_NDIM], step[MU_MAX_NDIM];
    kernel->base.out_layout[0] = NULL;
    mu_cuda_strides(x, layout, step);
    reduction_steps(x, (int64_t)1 << dim, to);
    self->size = x->dim[dim];
    self->step = step[dim];
    self->plan = reduce_plan_of(kernel->self, reduction_of(x, layout, (int64_t)1 << dim, to), 16 / (int)mu_dtype_size(x->dtype));
    kernel->base.scratch_bytes = reduce_scratch(&self->plan, sizeof(order_key));
    return MU_OK;
}

static mu_err argmax_run(mu_kernel *kernel, const mu_run *run)
{
    (void)run;
    const mu_cuda_argmax *self = (const mu_cuda_argmax *)kernel;
    const mu_cuda *cuda = self->base.self;
    const void *x = kernel->in[0];
    int64_t *y = (int64_t *)kernel->out[0];
    bool small = mu_type_count(&kernel->call.in[0]) < INT64_C(0x80000000);
    void *scratch = kernel->scratch;
    return visit_float(kernel->call.in[0].dtype, [&](auto zero) {
        typedef decltype(zero) T;
        term_order<T> term = {(const T *)x, self->size, self->step, small};
        return reduce_all<packed<T>>(cuda, &self->plan, term, op_first(), last_index(), lies_whole(x, 16), scratch, y);
    });
}

extern "C" const mu_cuda_impl argmax_cuda = {MU_CUDA_OWN, sizeof(mu_cuda_argmax), argmax_supports, NULL, argmax_setup, argmax_run, NULL};
