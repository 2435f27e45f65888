#include "order.cuh"

/* topk: the first k in the order of each line, found one after the other: the largest key below the last one's. A line's keys stay in registers where
 * they fit. Row-major: lines of n elements `step` apart. */
enum { TOPK_KEPT = 16 };

template <class T>
static __global__ void topk_kernel(const T *x, T *values, int64_t *indices, mu_cuda_walk lines, int64_t n, int64_t step, int64_t k, bool least)
{
    bool fits = n <= (int64_t)blockDim.x * TOPK_KEPT;
    for (int64_t line = blockIdx.x; line < lines.count; line += gridDim.x) {
        int64_t to, left, base = walk_place(lines, line, &to, &left);
        order_key key[TOPK_KEPT] = {}, last = ~(order_key)0;
        for (int j = 0; fits && j < TOPK_KEPT; j++) {
            int64_t i = threadIdx.x + (int64_t)j * blockDim.x;
            key[j] = i < n ? order_of(load(x[base + i * step]), (uint32_t)i, least) : 0;
        }
        for (int64_t r = 0; r < k; r++) {
            order_key best = 0;
            if (fits)
                for (int j = 0; j < TOPK_KEPT; j++)
                    best = key[j] < last && key[j] > best ? key[j] : best;
            else
                for (int64_t i = threadIdx.x; i < n; i += blockDim.x) {
                    order_key other = order_of(load(x[base + i * step]), (uint32_t)i, least);
                    best = other < last && other > best ? other : best;
                }
            last = block_reduce(best, (order_key)0, op_first());
            if (threadIdx.x == 0) {
                int64_t i = order_index(last);
                if (values)
                    values[to + r * step] = x[base + i * step];
                if (indices)
                    indices[to + r * step] = i;
            }
        }
    }
}

typedef struct {
    mu_cuda_kernel base;
    mu_cuda_walk lines; /* to: the outputs */
    int64_t n, step;
} mu_cuda_topk;

static bool topk_supports(const mu_call *call, const char **why)
{
    *why = "indices have 32 bits";
    if (call->in[0].dim[((const mu_topk_attrs *)call->attrs)->dim] >= UINT32_MAX)
        return false;
    return mu_cuda_one_float(call, why);
}

static mu_err topk_setup(mu_cuda_kernel *kernel)
{
    mu_cuda_topk *self = (mu_cuda_topk *)kernel;
    const mu_call *call = &kernel->base.call;
    const mu_type *x = &call->in[0];
    const mu_topk_attrs *a = (const mu_topk_attrs *)call->attrs;
    int64_t step[MU_MAX_NDIM], to[MU_MAX_NDIM];
    mu_type y = *x;
    y.dim[a->dim] = a->k;
    mu_type_strides(x, step);
    mu_type_strides(&y, to);
    self->lines = walk_none();
    for (int d = 0; d < x->ndim; d++)
        if (d != a->dim)
            walk_add(&self->lines, x->dim[d], step[d], to[d]);
    self->n = x->dim[a->dim];
    self->step = step[a->dim];
    return MU_OK;
}

static mu_err topk_run(mu_kernel *kernel, const mu_run *run)
{
    (void)run;
    const mu_cuda_topk *self = (const mu_cuda_topk *)kernel;
    const mu_cuda *cuda = self->base.self;
    const mu_topk_attrs *a = (const mu_topk_attrs *)kernel->call.attrs;
    const void *x = kernel->in[0];
    void *values = kernel->out[0];
    int64_t *indices = kernel->call.n_out > 1 ? (int64_t *)kernel->out[1] : NULL;
    int64_t most = INT64_C(1) << 30, lines = a->k > 0 ? self->lines.count : 0;
    unsigned block = self->n <= WARP * TOPK_KEPT ? WARP : BLOCK;
    return visit_float(kernel->call.in[0].dtype, [&](auto zero) {
        typedef decltype(zero) T;
        return launch(cuda, topk_kernel<T>, (unsigned)(lines < most ? lines : most), block, (const T *)x, (T *)values, indices, self->lines, self->n,
                      self->step, a->k, !a->largest);
    });
}

extern "C" const mu_cuda_impl topk_cuda = {MU_CUDA_ROWS, sizeof(mu_cuda_topk), topk_supports, NULL, topk_setup, topk_run, NULL};
