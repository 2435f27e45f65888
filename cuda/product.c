#include "product.h"
#include "activation.h"

enum { WORKSPACE_MAX = 32 << 20 };

static cudaDataType_t data_type(mu_dtype dtype)
{
    return dtype == MU_BF16 ? CUDA_R_16BF : dtype == MU_F16 ? CUDA_R_16F : CUDA_R_32F;
}

static void drop(mu_cuda_matrices *p, int i)
{
    size_t left = (size_t)(--p->n_lead - i) * sizeof *p->lead;
    memmove(p->lead + i, p->lead + i + 1, left);
    memmove(p->a + i, p->a + i + 1, left);
    memmove(p->b + i, p->b + i + 1, left);
    memmove(p->y + i, p->y + i + 1, left);
}

/* Dimension i walks on where i + 1 ends. */
static bool runs_on(const mu_cuda_matrices *p, int i)
{
    int64_t n = p->lead[i + 1];
    return p->a[i] == n * p->a[i + 1] && p->b[i] == n * p->b[i + 1] && p->y[i] == n * p->y[i + 1];
}

/* Fewer leading dimensions; a stack of rows against one matrix is one taller matrix. */
static void simplify(mu_cuda_matrices *p)
{
    for (int i = p->n_lead - 1; i >= 0; i--) {
        if (p->lead[i] == 1) {
            drop(p, i);
        } else if (i + 1 < p->n_lead && runs_on(p, i)) {
            p->lead[i + 1] *= p->lead[i];
            drop(p, i);
        }
    }
    int last = p->n_lead - 1;
    if (last >= 0 && !p->trans_a && p->b[last] == 0 && p->a[last] == p->m * p->k && p->y[last] == p->m * p->n) {
        p->m *= p->lead[last];
        drop(p, last);
    }
}

/* Row-major [rows,columns] is column-major [columns,rows]: the library computes y^T = b^T a^T. */
static mu_err matrix(cudaDataType_t type, int64_t rows, int64_t columns, int64_t batch, int64_t step, cublasLtMatrixLayout_t *out)
{
    int32_t count = (int32_t)batch;
    MU_TRY_CUBLAS(cublasLtMatrixLayoutCreate(out, type, (uint64_t)columns, (uint64_t)rows, columns));
    MU_TRY_CUBLAS(cublasLtMatrixLayoutSetAttribute(*out, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count, sizeof count));
    MU_TRY_CUBLAS(cublasLtMatrixLayoutSetAttribute(*out, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &step, sizeof step));
    return MU_OK;
}

static mu_err describe(mu_cuda_product *s)
{
    const mu_cuda_matrices *p = &s->p;
    const mu_call *call = &s->base.base.call;
    mu_dtype dtype = call->out[0].dtype;
    cudaDataType_t type = data_type(dtype);
    bool relu = p->activation == MU_ACT_RELU, tf32 = dtype == MU_F32 && s->base.self->tf32;
    cublasOperation_t op_a = p->trans_a ? CUBLAS_OP_T : CUBLAS_OP_N, op_b = p->trans_b ? CUBLAS_OP_T : CUBLAS_OP_N;
    int last = p->n_lead - 1;
    int64_t batch = last < 0 ? 1 : p->lead[last];
    if (batch > INT32_MAX)
        return MU_FAIL(MU_ERR_UNSUPPORTED, "%lld products at once; cuBLASLt takes at most 2^31 - 1", (long long)batch);
    MU_TRY_CUBLAS(cublasLtMatmulDescCreate(&s->desc, tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F, CUDA_R_32F));
    MU_TRY_CUBLAS(cublasLtMatmulDescSetAttribute(s->desc, CUBLASLT_MATMUL_DESC_TRANSA, &op_b, sizeof op_b));
    MU_TRY_CUBLAS(cublasLtMatmulDescSetAttribute(s->desc, CUBLASLT_MATMUL_DESC_TRANSB, &op_a, sizeof op_a));
    cublasLtEpilogue_t end = relu ? CUBLASLT_EPILOGUE_RELU : CUBLASLT_EPILOGUE_DEFAULT;
    if (mu_cuda_in(call, 2)) {
        end = relu ? CUBLASLT_EPILOGUE_RELU_BIAS : CUBLASLT_EPILOGUE_BIAS;
        MU_TRY_CUBLAS(cublasLtMatmulDescSetAttribute(s->desc, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, &type, sizeof type));
        /* The heuristic wants to see an address, any, and looks what it is a multiple of. */
        const void *some = (const char *)s->base.self->base.run + MU_ALIGN;
        MU_TRY_CUBLAS(cublasLtMatmulDescSetAttribute(s->desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &some, sizeof some));
    }
    MU_TRY_CUBLAS(cublasLtMatmulDescSetAttribute(s->desc, CUBLASLT_MATMUL_DESC_EPILOGUE, &end, sizeof end));
    int64_t step_a = last < 0 ? 0 : p->a[last], step_b = last < 0 ? 0 : p->b[last], step_y = last < 0 ? 0 : p->y[last];
    MU_TRY(matrix(type, p->trans_a ? p->k : p->m, p->trans_a ? p->m : p->k, batch, step_a, &s->a));
    MU_TRY(matrix(type, p->trans_b ? p->n : p->k, p->trans_b ? p->k : p->n, batch, step_b, &s->b));
    MU_TRY(matrix(type, p->m, p->n, batch, step_y, &s->y));
    return MU_OK;
}

/* What the addresses of all matrices are a multiple of: that of the operand, and every step of the loop over the outer leading dimensions. */
static uint32_t alignment(const mu_cuda_matrices *p, const int64_t *step, size_t size)
{
    uint64_t all = MU_ALIGN;
    for (int i = 0; i < p->n_lead - 1; i++)
        all |= (uint64_t)step[i] * size;
    return (uint32_t)(all & -all);
}

/* Partial sums of a split k are kept in f32, never in the output's dtype. */
static mu_err find_algorithm(mu_cuda_product *s, cublasLtMatmulPreference_t preference)
{
    size_t size = mu_dtype_size(s->base.base.call.out[0].dtype), workspace = WORKSPACE_MAX;
    uint32_t sums = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
    uint32_t align_a = alignment(&s->p, s->p.b, size), align_b = alignment(&s->p, s->p.a, size), align_y = alignment(&s->p, s->p.y, size);
    cublasLtMatmulHeuristicResult_t found;
    int n = 0;
    MU_TRY_CUBLAS(cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace, sizeof workspace));
    MU_TRY_CUBLAS(cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &sums, sizeof sums));
    MU_TRY_CUBLAS(cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, &align_a, sizeof align_a));
    MU_TRY_CUBLAS(cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, &align_b, sizeof align_b));
    MU_TRY_CUBLAS(cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, &align_y, sizeof align_y));
    MU_TRY_CUBLAS(cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, &align_y, sizeof align_y));
    MU_TRY_CUBLAS(cublasLtMatmulAlgoGetHeuristic(s->base.self->lt, s->desc, s->b, s->a, s->y, s->y, preference, 1, &found, &n));
    if (n == 0)
        return MU_FAIL(MU_ERR_UNSUPPORTED, "cuBLASLt has no algorithm for a product of %lld x %lld x %lld in %s", (long long)s->p.m,
                       (long long)s->p.n, (long long)s->p.k, mu_dtype_name(s->base.base.call.out[0].dtype));
    s->algo = found.algo;
    s->workspace = found.workspaceSize;
    return MU_OK;
}

mu_err mu_cuda_product_setup(mu_cuda_product *s, const mu_cuda_matrices *matrices)
{
    mu_kernel *kernel = &s->base.base;
    cublasLtMatmulPreference_t preference = NULL;
    s->p = *matrices;
    kernel->impl = "cublaslt";
    if (mu_type_count(&kernel->call.out[0]) == 0)
        return MU_OK;
    /* An empty sum is one term, 0 * 0, from the scratch memory. */
    bool none = s->p.k == 0;
    if (none)
        s->p.k = 1;
    simplify(&s->p);
    MU_TRY(describe(s));
    /* cuBLASLt's GELU is of the tanh form and of an accuracy that is not told. */
    if (s->p.activation != MU_ACT_RELU)
        MU_TRY(mu_cuda_activation_prepare(s->base.self, s->p.activation, s->p.alpha, &kernel->call.out[0], NULL, &s->end));
    MU_TRY_CUBLAS(cublasLtMatmulPreferenceCreate(&preference));
    mu_err err = find_algorithm(s, preference);
    (void)cublasLtMatmulPreferenceDestroy(preference);
    MU_TRY(err);
    kernel->scratch_bytes = mu_align_up(s->workspace);
    if (none)
        kernel->scratch_bytes += (size_t)(s->p.m > s->p.n ? s->p.m : s->p.n) * mu_dtype_size(kernel->call.out[0].dtype);
    return MU_OK;
}

/* Offset of matrix i of those of all leading dimensions but the last. */
static int64_t offset(const mu_cuda_matrices *p, const int64_t *step, int64_t i)
{
    int64_t at = 0;
    for (int d = p->n_lead - 2; d >= 0; d--) {
        at += i % p->lead[d] * step[d];
        i /= p->lead[d];
    }
    return at;
}

mu_err mu_cuda_product_run(mu_kernel *kernel, const mu_run *run)
{
    const mu_cuda_product *s = (const mu_cuda_product *)kernel;
    const mu_cuda_matrices *p = &s->p;
    const mu_cuda *self = s->base.self;
    const float one = 1, zero = 0;
    size_t size = mu_dtype_size(kernel->call.out[0].dtype);
    const char *a = kernel->in[0], *b = kernel->in[1];
    char *zeros = (char *)kernel->scratch + mu_align_up(s->workspace);
    int64_t n = 1;
    if (!s->desc)
        return MU_OK;
    if (mu_type_count(&kernel->call.in[0]) == 0) {
        a = b = zeros;
        MU_TRY_CUDA(cudaMemsetAsync(zeros, 0, kernel->scratch_bytes - mu_align_up(s->workspace), self->stream));
    }
    if (mu_cuda_in(&kernel->call, 2)) {
        const void *bias = kernel->in[2];
        MU_TRY_CUBLAS(cublasLtMatmulDescSetAttribute(s->desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias, sizeof bias));
    }
    for (int d = 0; d < p->n_lead - 1; d++)
        n *= p->lead[d];
    for (int64_t i = 0; i < n; i++) {
        const void *ai = a + (size_t)offset(p, p->a, i) * size, *bi = b + (size_t)offset(p, p->b, i) * size;
        void *yi = (char *)kernel->out[0] + (size_t)offset(p, p->y, i) * size;
        MU_TRY_CUBLAS(cublasLtMatmul(self->lt, s->desc, &one, bi, s->b, ai, s->a, &zero, yi, s->y, yi, s->y, &s->algo, kernel->scratch,
                                     s->workspace, self->stream));
    }
    MU_TRY(mu_cuda_activation_run(s->end, kernel->out[0], run));
    return MU_OK;
}

void mu_cuda_product_release(mu_kernel *kernel)
{
    const mu_cuda_product *s = (const mu_cuda_product *)kernel;
    mu_kernel_release(s->end);
    if (s->desc)
        (void)cublasLtMatmulDescDestroy(s->desc);
    if (s->a)
        (void)cublasLtMatrixLayoutDestroy(s->a);
    if (s->b)
        (void)cublasLtMatrixLayoutDestroy(s->b);
    if (s->y)
        (void)cublasLtMatrixLayoutDestroy(s->y);
}
