/* Reductions over any dimensions of a stored tensor, in one pass over memory and an order that does not change.
 *
 * Outputs and what each of them covers are two walks over x. Where x's fastest dimension is covered, lanes of a warp or a block share an output ("rows");
 * where it is kept, neighbouring lanes have neighbouring outputs ("columns"). When the outputs are too few to fill the device each is cut
 * into parts: their results go to scratch, and the same kernels reduce those. */
#ifndef MU_CUDA_REDUCE_CUH
#define MU_CUDA_REDUCE_CUH

#include "flat.cuh"

extern "C" {
#include "ops/reduce.h"
}

typedef struct {
    mu_cuda_walk kept, covered; /* kept.to: the output */
    bool rows;
} mu_cuda_reduction;

/* `dims`: bit d set: dimension d is covered. `to`: steps of the output along x's kept dimensions, by x's dimension. */
static inline mu_cuda_reduction reduction_of(const mu_type *x, const mu_layout *layout, int64_t dims, const int64_t to[MU_MAX_NDIM])
{
    mu_cuda_reduction r = {walk_none(), walk_none(), true};
    int64_t step[MU_MAX_NDIM];
    int order[MU_MAX_NDIM], n = stored_order(x, layout, order);
    mu_cuda_strides(x, layout, step);
    for (int k = 0; k < n; k++) {
        int d = order[k];
        bool covered = dims >> d & 1;
        walk_add(covered ? &r.covered : &r.kept, x->dim[d], step[d], covered ? 0 : to[d]);
        if (x->dim[d] != 1)
            r.rows = covered;
    }
    return r;
}

/* Steps of a row-major tensor of the kept dimensions. */
static inline void reduction_steps(const mu_type *x, int64_t dims, int64_t to[MU_MAX_NDIM])
{
    int64_t next = 1;
    for (int d = x->ndim - 1; d >= 0; d--)
        if (dims >> d & 1) {
            to[d] = 0;
        } else {
            to[d] = next;
            next *= x->dim[d];
        }
}

/* Can the covered (rows) or the kept elements (columns) be read in packs of `each`? */
static inline bool reduction_packs(const mu_cuda_reduction *r, int each)
{
    const mu_cuda_walk *fast = r->rows ? &r->covered : &r->kept, *slow = r->rows ? &r->kept : &r->covered;
    int top = fast->n - 1;
    bool packs = each > 1 && top >= 0 && fast->step[top] == 1 && fast->size[top] % each == 0;
    for (int d = 0; d < top; d++)
        packs &= fast->step[d] % each == 0;
    for (int d = 0; d < slow->n; d++)
        packs &= slow->step[d] % each == 0;
    return packs;
}

/* The same walk in packs. */
static inline mu_cuda_walk walk_packs(mu_cuda_walk w, int each)
{
    if (each > 1) {
        w.size[w.n - 1] /= each;
        w.step[w.n - 1] *= each;
        w.to[w.n - 1] *= each;
        w.count /= each;
        w.small = w.count < INT64_C(0x80000000);
    }
    return w;
}

/* ---- what is reduced: N terms from place `at` on ---- */

template <class T> struct term_of {
    typedef real<T> result;
    const T *x;
    template <int N> __device__ void get(int64_t at, result *v) const { read_pack<N>(x, at, at + N, N > 1, v); }
};

/* ---- operations: what they begin with, how they join ---- */

struct op_sum {
    template <class R> __device__ R none() const { return R(0); }
    template <class R> __device__ R operator()(R a, R b) const { return a + b; }
};

/* ---- what becomes of a result ---- */

template <class R> struct last_same {
    typedef R out;
    __device__ R operator()(R x) const { return x; }
};

template <class T> struct last_quotient {
    typedef T out;
    real<T> by; /* 1: as it is */
    __device__ T operator()(real<T> x) const { return store<T>(by == real<T>(1) ? x : (real<T>)(x / by)); }
};

/* ---- kernels ---- */

enum { REDUCE_RUN = 32 }; /* terms that a thread joins before it joins them to the others: sums of sums */

/* Lanes of one output; 1, 2, 4, ... WARP, or BLOCK. Block (b, part) has outputs b*BLOCK/lanes.. and part `part` of what they cover. */
template <int N, class Term, class Op, class Last>
static __global__ void reduce_rows(Term term, Op op, Last last, mu_cuda_walk kept, mu_cuda_walk covered, int lanes, bool dense, typename Last::out *y)
{
    typedef typename Term::result R;
    int64_t o = (int64_t)blockIdx.x * (BLOCK / lanes) + threadIdx.x / lanes, to = 0, left;
    int64_t parts = gridDim.y, begin = covered.count * blockIdx.y / parts, end = covered.count * (blockIdx.y + 1) / parts;
    R all = op.template none<R>();
    if (o < kept.count) {
        int64_t base = walk_place(kept, o, &to, &left);
        for (int64_t i = begin + threadIdx.x % lanes; i < end;) {
            R part[N];
            for (int j = 0; j < N; j++)
                part[j] = op.template none<R>();
            for (int n = 0; n < REDUCE_RUN && i < end; n++, i += lanes) {
                R v[N];
                term.template get<N>(base + (covered.n == 1 ? i * covered.step[0] : walk_at(covered, i)), v);
                for (int j = 0; j < N; j++)
                    part[j] = op(part[j], v[j]);
            }
            for (int half = N / 2; half > 0; half /= 2)
                for (int j = 0; j < half; j++)
                    part[j] = op(part[j], part[j + half]);
            all = op(all, part[0]);
        }
    }
    if (lanes == BLOCK)
        all = block_reduce(all, op.template none<R>(), op);
    else
        for (int lane = lanes / 2; lane > 0; lane /= 2)
            all = op(all, __shfl_xor_sync(0xffffffffu, all, lane));
    if (o < kept.count && threadIdx.x % lanes == 0)
        y[dense ? blockIdx.y * kept.count + o : to] = last(all);
}

/* `across` lanes have neighbouring packs of outputs, the other BLOCK / across share those. */
template <int N, class Term, class Op, class Last>
static __global__ void reduce_columns(Term term, Op op, Last last, mu_cuda_walk kept, mu_cuda_walk covered, int across, bool dense, typename Last::out *y)
{
    typedef typename Term::result R;
    __shared__ R shared[BLOCK][N];
    int column = (int)threadIdx.x % across, row = (int)threadIdx.x / across, rows = BLOCK / across;
    int64_t o = (int64_t)blockIdx.x * across + column, to = 0, left;
    int64_t parts = gridDim.y, begin = covered.count * blockIdx.y / parts, end = covered.count * (blockIdx.y + 1) / parts;
    R all[N];
    for (int j = 0; j < N; j++)
        all[j] = op.template none<R>();
    if (o < kept.count) {
        int64_t base = walk_place(kept, o, &to, &left);
        for (int64_t i = begin + row; i < end;) {
            R part[N];
            for (int j = 0; j < N; j++)
                part[j] = op.template none<R>();
            for (int n = 0; n < REDUCE_RUN && i < end; n++, i += rows) {
                R v[N];
                term.template get<N>(base + (covered.n == 1 ? i * covered.step[0] : walk_at(covered, i)), v);
                for (int j = 0; j < N; j++)
                    part[j] = op(part[j], v[j]);
            }
            for (int j = 0; j < N; j++)
                all[j] = op(all[j], part[j]);
        }
    }
    for (int j = 0; j < N; j++)
        shared[threadIdx.x][j] = all[j];
    for (int half = rows / 2; half > 0; half /= 2) {
        __syncthreads();
        if (row < half)
            for (int j = 0; j < N; j++)
                shared[threadIdx.x][j] = op(shared[threadIdx.x][j], shared[(int)threadIdx.x + half * across][j]);
    }
    if (row == 0 && o < kept.count) {
        int64_t step = dense || kept.n == 0 ? 1 : kept.to[kept.n - 1] / N, first = dense ? (blockIdx.y * kept.count + o) * N : to;
        for (int j = 0; j < N; j++)
            y[first + j * step] = last(shared[threadIdx.x][j]);
    }
}

/* ---- the host's side ---- */

typedef struct {
    mu_cuda_reduction r;
    int each;      /* elements of a pack */
    int lanes;     /* of an output (rows), or side by side (columns) */
    int64_t parts; /* of each output */
} mu_cuda_reduce_plan;

static inline mu_cuda_reduce_plan reduce_plan_of(const mu_cuda *cuda, mu_cuda_reduction r, int each)
{
    mu_cuda_reduce_plan p = {r, reduction_packs(&r, each) ? each : 1, WARP, 1};
    int64_t covered = r.rows ? r.covered.count / p.each : r.covered.count, kept = r.rows ? r.kept.count : r.kept.count / p.each, blocks, share;
    if (r.rows) {
        for (p.lanes = 1; p.lanes < WARP && p.lanes < covered; p.lanes *= 2)
            ;
        if (covered > 8 * WARP)
            p.lanes = BLOCK;
        blocks = (kept + BLOCK / p.lanes - 1) / (BLOCK / p.lanes);
        share = covered / (8 * p.lanes); /* parts that leave each lane 8 packs */
    } else {
        for (p.lanes = 1; p.lanes < WARP && p.lanes < kept; p.lanes *= 2)
            ;
        for (; p.lanes < BLOCK && BLOCK / p.lanes > covered; p.lanes *= 2)
            ;
        blocks = (kept + p.lanes - 1) / p.lanes;
        share = covered / (8 * (BLOCK / p.lanes));
    }
    int64_t wanted = blocks > 0 ? 4 * (int64_t)cuda->n_multiprocessors / blocks : 1;
    if (wanted > 1 && share > 1)
        p.parts = wanted < share ? wanted : share;
    return p;
}

/* One element of a result takes `size` bytes. */
static inline size_t reduce_scratch(const mu_cuda_reduce_plan *p, size_t size)
{
    return p->parts > 1 ? (size_t)(p->parts * p->r.kept.count) * size : 0;
}

template <int N, class Term, class Op, class Last>
static mu_err reduce_launch(const mu_cuda *cuda, const mu_cuda_reduce_plan *p, Term term, Op op, Last last, bool dense, typename Last::out *y)
{
    mu_cuda_walk kept = p->r.rows ? p->r.kept : walk_packs(p->r.kept, N), covered = p->r.rows ? walk_packs(p->r.covered, N) : p->r.covered;
    int64_t each = p->r.rows ? BLOCK / p->lanes : p->lanes;
    dim3 grid((unsigned)((kept.count + each - 1) / each), (unsigned)p->parts);
    if (p->r.rows)
        return launch(cuda, reduce_rows<N, Term, Op, Last>, grid, BLOCK, term, op, last, kept, covered, p->lanes, dense, y);
    return launch(cuda, reduce_columns<N, Term, Op, Last>, grid, BLOCK, term, op, last, kept, covered, p->lanes, dense, y);
}

/* y = last(op over what each output covers). PACK: what the plan was made with. `whole`: packs can be loaded from the operands. */
template <int PACK, class Term, class Op, class Last>
static mu_err reduce_all(const mu_cuda *cuda, const mu_cuda_reduce_plan *plan, Term term, Op op, Last last, bool whole, void *scratch,
                         typename Last::out *y)
{
    typedef typename Term::result R;
    bool packs = whole && plan->each > 1;
    if (plan->parts == 1)
        return packs ? reduce_launch<PACK>(cuda, plan, term, op, last, false, y) : reduce_launch<1>(cuda, plan, term, op, last, false, y);
    last_same<R> same;
    R *partial = (R *)scratch; /* [parts][outputs] */
    MU_TRY(packs ? reduce_launch<PACK>(cuda, plan, term, op, same, true, partial) : reduce_launch<1>(cuda, plan, term, op, same, true, partial));
    const mu_cuda_walk *from = &plan->r.kept;
    mu_cuda_reduction again = {walk_none(), walk_none(), false};
    int64_t inner = from->count;
    walk_add(&again.covered, plan->parts, from->count, 0);
    for (int d = 0; d < from->n; d++) {
        inner /= from->size[d];
        walk_add(&again.kept, from->size[d], inner, from->to[d]);
    }
    mu_cuda_reduce_plan second = reduce_plan_of(cuda, again, 1);
    second.parts = 1;
    return reduce_launch<1>(cuda, &second, term_of<R>{partial}, op, last, false, y);
}

/* ---- operations with mu_reduce_attrs: x lies as it comes ---- */

typedef struct {
    mu_cuda_kernel base;
    mu_cuda_reduce_plan plan;
} mu_cuda_reduce;

static inline bool reduce_supports(const mu_call *call, const char **why)
{
    mu_dtype dtype = call->in[0].dtype;
    *why = "the CUDA kernels reduce f32, bf16, f16, i64 and i32";
    return dtype == MU_I64 || dtype == MU_I32 || (mu_dtype_is_float(dtype) && dtype != MU_F64);
}

static inline mu_err reduce_setup(mu_cuda_kernel *kernel)
{
    mu_cuda_reduce *self = (mu_cuda_reduce *)kernel;
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

/* `by`: what floats are divided by in the end. */
template <class Op> static mu_err reduce_any(mu_kernel *kernel, Op op, float by)
{
    const mu_cuda_reduce *self = (const mu_cuda_reduce *)kernel;
    const mu_cuda *cuda = self->base.self;
    const void *x = kernel->in[0];
    void *y = kernel->out[0], *scratch = kernel->scratch;
    mu_dtype dtype = kernel->call.in[0].dtype;
    bool whole = lies_whole(x, 16);
    if (dtype == MU_I64)
        return reduce_all<1>(cuda, &self->plan, term_of<int64_t>{(const int64_t *)x}, op, last_same<int64_t>(), whole, scratch, (int64_t *)y);
    if (dtype == MU_I32)
        return reduce_all<1>(cuda, &self->plan, term_of<int32_t>{(const int32_t *)x}, op, last_same<int32_t>(), whole, scratch, (int32_t *)y);
    return visit_float(dtype, [&](auto zero) {
        typedef decltype(zero) T;
        last_quotient<T> last = {by};
        return reduce_all<packed<T>>(cuda, &self->plan, term_of<T>{(const T *)x}, op, last, whole, scratch, (T *)y);
    });
}

#endif
