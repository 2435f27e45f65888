/* Sweeps over the elements of a tensor as they are stored: packs of neighbours, and operands of other shapes seen through strides. */
#ifndef MU_CUDA_FLAT_CUH
#define MU_CUDA_FLAT_CUH

#include "device.cuh"

/* Before a loop whose arrays must stay in registers. */
#ifdef __CUDACC__
#define UNROLL _Pragma("unroll")
#else
#define UNROLL
#endif

/* Elements that make 16 bytes. */
template <class T> constexpr int packed = 16 / (int)sizeof(T);

/* ---- packs: elements i..i+N-1 of those before `end`; `whole`: the address is a multiple of the pack's bytes ---- */

template <int N, class T> static __device__ inline void read_pack(const T *p, int64_t i, int64_t end, bool whole, real<T> *x)
{
    if (whole && i + N <= end) {
        pack<T, N> v = *(const pack<T, N> *)(p + i);
        UNROLL for (int j = 0; j < N; j++)
            x[j] = load(v.v[j]);
        return;
    }
    UNROLL for (int j = 0; j < N; j++)
        x[j] = i + j < end ? load(p[i + j]) : real<T>(0);
}

template <int N, class T> static __device__ inline void write_pack(T *p, int64_t i, int64_t end, bool whole, const real<T> *x)
{
    if (whole && i + N <= end) {
        pack<T, N> v;
        UNROLL for (int j = 0; j < N; j++)
            v.v[j] = store<T>(x[j]);
        *(pack<T, N> *)(p + i) = v;
        return;
    }
    UNROLL for (int j = 0; j < N; j++)
        if (i + j < end)
            p[i + j] = store<T>(x[j]);
}

/* The same of booleans, as 0 and 1. */
template <int N> static __device__ inline void read_truth(const void *p, int64_t i, int64_t end, bool whole, float *x)
{
    uint8_t b[N];
    read_pack<N>((const uint8_t *)p, i, end, whole, b);
    UNROLL for (int j = 0; j < N; j++)
        x[j] = b[j];
}

template <int N> static __device__ inline void write_truth(void *p, int64_t i, int64_t end, bool whole, const float *x)
{
    uint8_t b[N];
    UNROLL for (int j = 0; j < N; j++)
        b[j] = x[j] != 0;
    write_pack<N>((uint8_t *)p, i, end, whole, b);
}

/* ---- walks: the elements of some dimensions in order, the last one fastest, each at the sum of its steps ---- */

typedef struct {
    int n;
    bool small; /* fewer than 2^31 elements: divisions by 32 bits */
    int64_t count, size[MU_MAX_NDIM], step[MU_MAX_NDIM];
    int64_t to[MU_MAX_NDIM]; /* steps in a second tensor */
} mu_cuda_walk;

static inline mu_cuda_walk walk_none(void)
{
    mu_cuda_walk w = {};
    w.count = 1;
    w.small = true;
    return w;
}

/* Appends a dimension inside of those before; joins it to the last one where that makes one walk of both. */
static inline void walk_add(mu_cuda_walk *w, int64_t size, int64_t step, int64_t to)
{
    int top = w->n - 1;
    w->count *= size;
    w->small = w->count < INT64_C(0x80000000);
    if (size == 1)
        return;
    if (top >= 0 && w->step[top] == step * size && w->to[top] == to * size) {
        w->size[top] *= size;
        w->step[top] = step;
        w->to[top] = to;
        return;
    }
    w->size[w->n] = size;
    w->step[w->n] = step;
    w->to[w->n++] = to;
}

/* Where element i is; *to: in the second tensor; *left: elements up to the end of the last dimension, this one included. */
template <class I> static __device__ inline int64_t walk_by(const mu_cuda_walk &w, I i, int64_t *to, int64_t *left)
{
    int64_t at = 0, other = 0;
    *left = 1;
    for (int d = w.n - 1; d >= 0; d--) {
        I size = (I)w.size[d], above = d > 0 ? i / size : 0, k = i - above * size;
        at += (int64_t)k * w.step[d];
        other += (int64_t)k * w.to[d];
        if (d == w.n - 1)
            *left = (int64_t)size - (int64_t)k;
        i = above;
    }
    *to = other;
    return at;
}

static __device__ inline int64_t walk_place(const mu_cuda_walk &w, int64_t i, int64_t *to, int64_t *left)
{
    return w.small ? walk_by<uint32_t>(w, (uint32_t)i, to, left) : walk_by<int64_t>(w, i, to, left);
}

static __device__ inline int64_t walk_at(const mu_cuda_walk &w, int64_t i)
{
    int64_t to, left;
    return walk_place(w, i, &to, &left);
}

/* The dimensions of a stored tensor from the slowest to the fastest; returns how many. */
static inline int stored_order(const mu_type *type, const mu_layout *layout, int order[MU_MAX_NDIM])
{
    int n = 0;
    for (int d = 0; d < type->ndim; d++)
        if (!layout || d != 1)
            order[n++] = d;
    if (layout)
        order[n++] = 1;
    return n;
}

/* ---- an operand as the stored elements of an output see it ---- */

typedef enum {
    SEEN_ALIKE,  /* element i */
    SEEN_ONE,    /* element 0 */
    SEEN_STRIDED /* through a walk over the output's storage */
} seen_how;

typedef struct {
    const void *at;
    seen_how how;
    bool even; /* packs do not cross lines */
    bool line; /* besides, they lie in one piece and aligned */
    mu_cuda_walk walk;
} mu_cuda_seen;

/* Row-major `x`, or one of y's shape that lies as y does; `each` elements make a pack. */
static inline mu_cuda_seen seen_by(const mu_type *x, const mu_type *y, const mu_layout *y_layout, int each)
{
    mu_cuda_seen s = {};
    s.walk = walk_none();
    s.how = SEEN_ALIKE;
    if (mu_type_same_shape(x, y))
        return s;
    s.how = SEEN_ONE;
    if (mu_type_count(x) == 1)
        return s;
    int order[MU_MAX_NDIM], n = stored_order(y, y_layout, order);
    int64_t own[MU_MAX_NDIM];
    mu_type_strides(x, own);
    s.how = SEEN_STRIDED;
    for (int k = 0; k < n; k++) {
        int d = order[k] - (y->ndim - x->ndim);
        walk_add(&s.walk, y->dim[order[k]], d < 0 || x->dim[d] == 1 ? 0 : own[d], 0);
    }
    int top = s.walk.n - 1;
    s.even = top < 0 || s.walk.size[top] % each == 0;
    s.line = s.even && top >= 0 && s.walk.step[top] == 1;
    for (int d = 0; d < top; d++)
        s.line &= s.walk.step[d] % each == 0;
    return s;
}

/* T's elements of the operand that belong to i..i+N-1 of the output, which has `end`; beyond it x stays as it was. */
template <int N, class T>
static __device__ inline void read_seen(const mu_cuda_seen &s, int64_t i, int64_t end, bool whole, real<T> *x)
{
    const T *p = (const T *)s.at;
    if (s.how == SEEN_ALIKE) {
        read_pack<N>(p, i, end, whole, x);
        return;
    }
    int64_t at = 0, to, left = N;
    bool even = s.how == SEEN_ONE || s.even, line = s.how == SEEN_STRIDED && s.line;
    if (s.how == SEEN_STRIDED)
        at = walk_place(s.walk, i, &to, &left);
    if (line) {
        read_pack<N>(p, at, at + N, whole, x);
        return;
    }
    int64_t step = s.how == SEEN_ONE || s.walk.n == 0 ? 0 : s.walk.step[s.walk.n - 1];
    if (even) {
        x[0] = load(p[at]);
        UNROLL for (int j = 1; j < N; j++)
            x[j] = step == 0 ? x[0] : load(p[at + j * step]);
        return;
    }
    for (int j = 0; j < N && i + j < end; j++) {
        real<T> one = load(p[at]);
        UNROLL for (int m = 0; m < N; m++) /* not x[j]: registers have no index */
            x[m] = m == j ? one : x[m];
        if (--left > 0)
            at += step;
        else if (i + j + 1 < end)
            at = walk_place(s.walk, i + j + 1, &to, &left);
    }
}

/* Can packs of these bytes be loaded and stored here? NULL: yes. */
static inline bool lies_whole(const void *p, size_t bytes)
{
    return (uintptr_t)p % bytes == 0;
}

/* Can 16 bytes of all operands and results be moved at once? */
static inline bool all_whole(const mu_kernel *kernel)
{
    bool whole = true;
    for (int i = 0; i < kernel->call.n_in; i++)
        whole &= lies_whole(kernel->in[i], 16);
    for (int o = 0; o < kernel->call.n_out; o++)
        whole &= lies_whole(kernel->out[o], 16);
    return whole;
}

#endif
