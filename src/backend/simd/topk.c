#include "backend/simd/vec.h"

/* x [outer][n][inner] along n: a heap of the k best so far, its last at the root, is sorted at the end. */
typedef struct {
    mu_simd_kernel base;
    bool half;
    int64_t outer, n, inner, k;
    bool largest;
} topk;

typedef struct {
    float value;
    int64_t at;
} item;

/* Does a stand before b? NaN counts as largest; equals stand in order of index. */
static inline bool before(item a, item b, bool largest)
{
    bool a_nan = a.value != a.value, b_nan = b.value != b.value;
    if (a_nan != b_nan)
        return largest ? a_nan : b_nan;
    if (a_nan || a.value == b.value)
        return a.at < b.at;
    return largest ? a.value > b.value : a.value < b.value;
}

/* Lets heap[0] sink to its place among n. */
static void sink(item *heap, int64_t n, bool largest)
{
    item top = heap[0];
    int64_t at = 0;
    for (int64_t child = 1; child < n; child = 2 * at + 1) {
        if (child + 1 < n && before(heap[child], heap[child + 1], largest))
            child++;
        if (!before(top, heap[child], largest))
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = top;
}

static void rise(item *heap, int64_t at, bool largest)
{
    item last = heap[at];
    while (at > 0 && before(heap[(at - 1) / 2], last, largest)) {
        heap[at] = heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heap[at] = last;
}

static void line(const topk *s, int64_t i, item *heap)
{
    const mu_kernel *k = &s->base.base;
    int64_t start = i / s->inner * s->n * s->inner + i % s->inner, to = i / s->inner * s->k * s->inner + i % s->inner;
    for (int64_t e = 0; e < s->n; e++) {
        item one = {load1(k->in[0], start + e * s->inner, s->half), e};
        if (e < s->k) {
            heap[e] = one;
            rise(heap, e, s->largest);
        } else if (before(one, heap[0], s->largest)) {
            heap[0] = one;
            sink(heap, s->k, s->largest);
        }
    }
    for (int64_t left = s->k; left > 0; left--) {
        item last = heap[0];
        heap[0] = heap[left - 1];
        if (left > 1)
            sink(heap, left - 1, s->largest);
        if (k->out[0])
            store1(k->out[0], to + (left - 1) * s->inner, s->half, last.value);
        if (k->out[1])
            ((int64_t *)k->out[1])[to + (left - 1) * s->inner] = last.at;
    }
}

static mu_err run_topk(mu_kernel *kernel, const mu_run *run)
{
    const topk *s = (const topk *)kernel;
    int threads = mu_simd_threads(&s->base, s->outer * s->n * s->inner * 16);
    (void)run;
    if (s->k == 0)
        return MU_OK;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t i = 0; i < s->outer * s->inner; i++)
        line(s, i, (item *)kernel->scratch + mu_simd_member() * s->k);
    return MU_OK;
}

static bool supports(const mu_call *call, const char **why)
{
    return mu_simd_one_float(call, why) && mu_dtype_is_float(call->in[0].dtype);
}

static mu_err setup(mu_simd_kernel *kernel)
{
    topk *s = (topk *)kernel;
    const mu_topk_attrs *a = kernel->base.call.attrs;
    const mu_type *x = &kernel->base.call.in[0];
    s->half = x->dtype == MU_BF16;
    s->n = x->dim[a->dim];
    s->k = a->k;
    s->largest = a->largest;
    s->outer = s->inner = 1;
    for (int d = 0; d < x->ndim; d++)
        *(d < a->dim ? &s->outer : &s->inner) *= d == a->dim ? 1 : x->dim[d];
    kernel->base.scratch_bytes = (size_t)(s->k * kernel->n_threads) * sizeof(item);
    return MU_OK;
}

const mu_simd_impl SIMD(topk) = {.size = sizeof(topk), .supports = supports, .setup = setup, .run = run_topk};
