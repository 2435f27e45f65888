#include "backend/simd/index.h"
#include "backend/simd/vec.h"

static mu_err run_embedding(mu_kernel *kernel, const mu_run *run)
{
    const mu_simd_kernel *self = (const mu_simd_kernel *)kernel;
    const mu_type *table = &kernel->call.in[0];
    int64_t n = mu_type_count(&kernel->call.in[1]), row = table->dim[1] * (int64_t)mu_dtype_size(table->dtype);
    int threads = mu_simd_threads(self, 2 * n * row);
    (void)run;
    MU_TRY(mu_simd_check_indices(kernel, table->dim[0], threads));
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t i = 0; i < n; i++)
        memcpy((char *)kernel->out[0] + i * row, (const char *)kernel->in[0] + mu_simd_index(kernel, i) * row,
               (size_t)row);
    return MU_OK;
}

/* Columns [begin, end) of the table: rows of dy are added in their order, so that threads do not matter. */
static void add_columns(const mu_kernel *k, float *sum, int64_t begin, int64_t end, bool half)
{
    int64_t n = mu_type_count(&k->call.in[1]), rows = k->call.out[0].dim[0], width = k->call.out[0].dim[1];
    for (int64_t r = 0; r < rows; r++)
        memset(sum + r * width + begin, 0, (size_t)(end - begin) * sizeof *sum);
    for (int64_t i = 0; i < n; i++) {
        float *to = sum + mu_simd_index(k, i) * width;
        int64_t j = begin;
        for (; j + VL <= end; j += VL)
            vstore(to + j, vload(to + j) + load(k->in[0], i * width + j, half));
        for (; j < end; j++)
            to[j] += load1(k->in[0], i * width + j, half);
    }
    for (int64_t r = 0; half && r < rows; r++)
        for (int64_t j = begin; j < end; j++)
            store1(k->out[0], r * width + j, true, sum[r * width + j]);
}

static mu_err run_embedding_grad(mu_kernel *kernel, const mu_run *run)
{
    enum { COLUMNS = 32 };
    const mu_simd_kernel *self = (const mu_simd_kernel *)kernel;
    int64_t rows = kernel->call.out[0].dim[0], width = kernel->call.out[0].dim[1];
    int64_t parts = (width + COLUMNS - 1) / COLUMNS;
    bool half = kernel->call.out[0].dtype == MU_BF16;
    int threads = mu_simd_threads(self, 8 * mu_type_count(&kernel->call.in[0]) + 4 * rows * width);
    float *sum = half ? kernel->scratch : kernel->out[0];
    (void)run;
    MU_TRY(mu_simd_check_indices(kernel, rows, threads));
    int64_t teams = parts < threads ? parts : threads;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t i = 0; i < teams; i++) {
        int64_t begin, end;
        mu_simd_part(parts, teams, i, &begin, &end);
        end *= COLUMNS;
        if (half)
            add_columns(kernel, sum, begin * COLUMNS, end < width ? end : width, true);
        else
            add_columns(kernel, sum, begin * COLUMNS, end < width ? end : width, false);
    }
    return MU_OK;
}

static mu_err setup_grad(mu_simd_kernel *kernel)
{
    const mu_type *y = &kernel->base.call.out[0];
    if (y->dtype == MU_BF16)
        kernel->base.scratch_bytes = (size_t)mu_type_count(y) * sizeof(float);
    return MU_OK;
}

const mu_simd_impl SIMD(embedding) = {.supports = mu_simd_any_dtype, .run = run_embedding};
const mu_simd_impl SIMD(embedding_grad) = {.setup = setup_grad, .run = run_embedding_grad};
