#include "backend/simd/reduce.h"
#include "backend/simd/vec.h"

/* Sums and means of x [a][k][b] over a and b, or of [outer][n][inner] over n. Pieces fix the order of summation,
 * whatever the number of threads. */

enum { PIECE = 4096, MOST_PARTS = 64 };

typedef struct {
    mu_simd_kernel base;
    bool half;
    int64_t a, k, b, parts;
    bool between; /* kept dimensions on both sides: lines instead of a, k, b */
    mu_simd_lines lines;
} reduction;

/* Merges the dimensions into [a][k][b]; false when kept dimensions lie on both sides of a reduced one. */
static bool shape_of(const mu_call *call, reduction *r)
{
    const mu_type *x = &call->in[0];
    int64_t dims = mu_reduce_dims(call->attrs, x);
    int state = 0; /* 0: before, 1: in, 2: after the kept dimensions */
    r->a = r->k = r->b = 1;
    for (int d = 0; d < x->ndim; d++) {
        bool reduced = dims >> d & 1;
        if (x->dim[d] == 1)
            continue;
        if (!reduced && state == 2)
            return false;
        state = !reduced ? 1 : state == 1 ? 2 : state;
        *(state == 0 ? &r->a : state == 1 ? &r->k : &r->b) *= x->dim[d];
    }
    return true;
}

/* The sum of n consecutive numbers. */
static double sum_run(const void *x, int64_t at, int64_t n, bool half)
{
    double total = 0;
    for (int64_t start = 0; start < n; start += PIECE) {
        int64_t size = n - start < PIECE ? n - start : PIECE, i = 0;
        vf s[4] = {{0}};
        for (; i + 4 * VL <= size; i += 4 * VL)
#pragma GCC unroll 4
            for (int j = 0; j < 4; j++)
                s[j] += load(x, at + start + i + j * VL, half);
        for (; i < size; i += VL)
            s[0] += size - i >= VL ? load(x, at + start + i, half) : load_part(x, at + start + i, size - i, half, 0);
        total += vhsum(s[0] + s[1] + (s[2] + s[3]));
    }
    return total;
}

static void finish(const reduction *r, int64_t k, double sum)
{
    if (r->base.base.call.op == &mu_op_mean)
        sum /= (double)(r->a * r->b);
    store1(r->base.base.out[0], k, r->half, (float)sum);
}

/* Kept dimension last: rows of k are added up, in parts of the rows. */
static void add_rows(const reduction *r, int64_t part)
{
    float *sum = (float *)r->base.base.scratch + part * r->k;
    int64_t begin, end;
    mu_simd_part(r->a, r->parts, part, &begin, &end);
    memset(sum, 0, (size_t)r->k * sizeof *sum);
    for (int64_t i = begin; i < end; i++) {
        int64_t j = 0;
        for (; j + VL <= r->k; j += VL)
            vstore(sum + j, vload(sum + j) + load(r->base.base.in[0], i * r->k + j, r->half));
        for (; j < r->k; j++)
            sum[j] += load1(r->base.base.in[0], i * r->k + j, r->half);
    }
}

enum { WIDE = 4, ROWS = 64 };

/* WIDE * VL lines side by side, from column j on. */
static void add_across(const reduction *r, int64_t o, int64_t j)
{
    const mu_kernel *k = &r->base.base;
    int64_t n = r->lines.n, inner = r->lines.inner, at = o * n * inner + j;
    float divisor = k->call.op == &mu_op_mean ? (float)n : 1;
    vf total[WIDE] = {{0}};
    for (int64_t start = 0; start < n; start += ROWS) {
        vf part[WIDE] = {{0}};
        for (int64_t i = start; i < n && i < start + ROWS; i++)
            for (int w = 0; w < WIDE; w++)
                part[w] += get(k->in[0], at + i * inner + w * VL, inner - j - w * VL, r->half, 0);
        for (int w = 0; w < WIDE; w++)
            total[w] += part[w];
    }
    for (int w = 0; w < WIDE; w++)
        put(k->out[0], o * inner + j + w * VL, inner - j - w * VL, r->half, total[w] / divisor);
}

static void run_between(const reduction *r)
{
    const mu_simd_lines *l = &r->lines;
    int64_t parts = (l->inner + WIDE * VL - 1) / (WIDE * VL);
    int threads = mu_simd_threads(&r->base, l->outer * l->n * l->inner * (r->half ? 2 : 4));
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t i = 0; i < l->outer * parts; i++)
        add_across(r, i / parts, i % parts * (WIDE * VL));
}

static mu_err run_sum(mu_kernel *kernel, const mu_run *run)
{
    const reduction *r = (const reduction *)kernel;
    int threads = mu_simd_threads(&r->base, r->a * r->k * r->b * (r->half ? 2 : 4));
    (void)run;
    if (r->between) {
        run_between(r);
        return MU_OK;
    }
    if (r->b == 1 && r->k > 1) {
        const float *sums = kernel->scratch;
#pragma omp parallel for num_threads(threads) schedule(static)
        for (int64_t part = 0; part < r->parts; part++)
            add_rows(r, part);
        for (int64_t k = 0; k < r->k; k++) {
            double sum = 0;
            for (int64_t part = 0; part < r->parts; part++)
                sum += sums[part * r->k + k];
            finish(r, k, sum);
        }
        return MU_OK;
    }
    double *sums = kernel->scratch;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t i = 0; i < r->parts * r->k; i++) {
        int64_t begin, end, k = i / r->parts;
        mu_simd_part(r->a * r->b, r->parts, i % r->parts, &begin, &end);
        double sum = 0;
        while (begin < end) {
            int64_t left = r->b - begin % r->b, n = end - begin < left ? end - begin : left;
            sum += sum_run(kernel->in[0], (begin / r->b * r->k + k) * r->b + begin % r->b, n, r->half);
            begin += n;
        }
        sums[i] = sum;
    }
    for (int64_t k = 0; k < r->k; k++) {
        double sum = 0;
        for (int64_t part = 0; part < r->parts; part++)
            sum += sums[k * r->parts + part];
        finish(r, k, sum);
    }
    return MU_OK;
}

static bool supports(const mu_call *call, const char **why)
{
    reduction r;
    if (!mu_simd_one_float(call, why))
        return false;
    *why = "the vectorised sum reduces or keeps neighbouring dimensions of f32 or bf16";
    return mu_dtype_is_float(call->in[0].dtype) && (shape_of(call, &r) || mu_simd_lines_of(call, &r.lines));
}

static mu_err setup(mu_simd_kernel *kernel)
{
    reduction *r = (reduction *)kernel;
    const mu_call *call = &kernel->base.call;
    r->half = call->in[0].dtype == MU_BF16;
    r->between = !shape_of(call, r) && mu_simd_lines_of(call, &r->lines);
    if (r->between)
        return MU_OK;
    if (r->b == 1 && r->k > 1)
        r->parts = r->a < MOST_PARTS ? r->a : MOST_PARTS;
    else
        r->parts = r->k >= MOST_PARTS || r->a * r->b < PIECE ? 1 : MOST_PARTS;
    kernel->base.scratch_bytes = (size_t)(r->parts * r->k) * sizeof(double);
    return MU_OK;
}

const mu_simd_impl SIMD(sum) = {.size = sizeof(reduction), .supports = supports, .setup = setup, .run = run_sum};
