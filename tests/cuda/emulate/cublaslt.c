/* cuBLASLt: products of matrices in plain loops, with the rules that are easily broken: types, extents, alignment, workspace. */
#include "cublasLt.h"
#include "emulate.h"

#include "convert.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct cublasLtContext {
    int unused;
};

const char *cublasLtGetStatusName(cublasStatus_t status)
{
    switch (status) {
#define X(name, value, text)                                                                       \
    case name: return #name;
        EMULATE_CUBLAS_STATUSES(X)
#undef X
    }
    return "unknown cuBLAS status";
}

const char *cublasLtGetStatusString(cublasStatus_t status)
{
    switch (status) {
#define X(name, value, text)                                                                       \
    case name: return text;
        EMULATE_CUBLAS_STATUSES(X)
#undef X
    }
    return "unknown cuBLAS status";
}

size_t cublasLtGetVersion(void)
{
    return 130000;
}

cublasStatus_t cublasLtCreate(cublasLtHandle_t *out)
{
    if (emulate_ready() != cudaSuccess)
        return CUBLAS_STATUS_NOT_INITIALIZED;
    *out = calloc(1, sizeof **out);
    return *out != NULL ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_ALLOC_FAILED;
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle)
{
    free(handle);
    return CUBLAS_STATUS_SUCCESS;
}

/* ---- descriptors ---- */

struct emulate_matrix {
    cudaDataType type;
    uint64_t rows, cols;
    int64_t ld, step;
    int32_t order, batch;
};
struct emulate_matmul {
    int32_t compute, scale, pointer_mode, trans_a, trans_b, epilogue, bias_type;
    int64_t bias_step;
    const void *bias;
};
struct emulate_preference {
    uint64_t workspace;
    uint32_t reduction, alignment[4];
};

static cublasStatus_t made(const void *object)
{
    return object != NULL ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_ALLOC_FAILED;
}

static cublasStatus_t set(void *field, size_t size, const void *value, size_t bytes)
{
    if (value == NULL || bytes != size)
        return CUBLAS_STATUS_INVALID_VALUE;
    memcpy(field, value, size);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *out, cudaDataType type, uint64_t rows, uint64_t cols, int64_t ld)
{
    *out = malloc(sizeof **out);
    if (*out != NULL)
        **out = (struct emulate_matrix){.type = type, .rows = rows, .cols = cols, .ld = ld, .batch = 1};
    return made(*out);
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout)
{
    free(layout);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t layout, cublasLtMatrixLayoutAttribute_t attr,
                                                const void *value, size_t bytes)
{
    switch (attr) {
    case CUBLASLT_MATRIX_LAYOUT_TYPE: return set(&layout->type, sizeof layout->type, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_ORDER: return set(&layout->order, sizeof layout->order, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_ROWS: return set(&layout->rows, sizeof layout->rows, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_COLS: return set(&layout->cols, sizeof layout->cols, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_LD: return set(&layout->ld, sizeof layout->ld, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT: return set(&layout->batch, sizeof layout->batch, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET: return set(&layout->step, sizeof layout->step, value, bytes);
    }
    return CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *out, cublasComputeType_t compute, cudaDataType_t scale)
{
    *out = malloc(sizeof **out);
    if (*out != NULL)
        **out = (struct emulate_matmul){
            .compute = (int32_t)compute, .scale = (int32_t)scale, .epilogue = CUBLASLT_EPILOGUE_DEFAULT, .bias_type = -1};
    return made(*out);
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t desc)
{
    free(desc);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t desc, cublasLtMatmulDescAttributes_t attr, const void *value,
                                              size_t bytes)
{
    switch (attr) {
    case CUBLASLT_MATMUL_DESC_COMPUTE_TYPE: return set(&desc->compute, sizeof desc->compute, value, bytes);
    case CUBLASLT_MATMUL_DESC_SCALE_TYPE: return set(&desc->scale, sizeof desc->scale, value, bytes);
    case CUBLASLT_MATMUL_DESC_POINTER_MODE: return set(&desc->pointer_mode, sizeof desc->pointer_mode, value, bytes);
    case CUBLASLT_MATMUL_DESC_TRANSA: return set(&desc->trans_a, sizeof desc->trans_a, value, bytes);
    case CUBLASLT_MATMUL_DESC_TRANSB: return set(&desc->trans_b, sizeof desc->trans_b, value, bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE: return set(&desc->epilogue, sizeof desc->epilogue, value, bytes);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER: return set(&desc->bias, sizeof desc->bias, value, bytes);
    case CUBLASLT_MATMUL_DESC_BIAS_BATCH_STRIDE: return set(&desc->bias_step, sizeof desc->bias_step, value, bytes);
    case CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE: return set(&desc->bias_type, sizeof desc->bias_type, value, bytes);
    }
    return CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *out)
{
    *out = malloc(sizeof **out);
    if (*out != NULL)
        **out = (struct emulate_preference){.reduction = CUBLASLT_REDUCTION_SCHEME_MASK, .alignment = {256, 256, 256, 256}};
    return made(*out);
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference)
{
    free(preference);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t attr, const void *value, size_t bytes)
{
    uint32_t search;
    switch (attr) {
    case CUBLASLT_MATMUL_PREF_SEARCH_MODE: return set(&search, sizeof search, value, bytes);
    case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES: return set(&preference->workspace, sizeof(uint64_t), value, bytes);
    case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK: return set(&preference->reduction, sizeof(uint32_t), value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES:
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES:
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES:
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES:
        return set(&preference->alignment[attr - CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES], sizeof(uint32_t), value, bytes);
    }
    return CUBLAS_STATUS_INVALID_VALUE;
}

/* ---- what a product may be ---- */

typedef struct {
    struct emulate_matmul desc;
    struct emulate_matrix al, bl, cl, dl;
    float alpha, beta;
    const void *a, *b, *c;
    void *d, *workspace;
    size_t workspace_bytes;
} product;

static bool matrix_good(const struct emulate_matrix *m)
{
    uint64_t least = m->order == CUBLASLT_ORDER_ROW ? m->cols : m->rows;
    return m->rows > 0 && m->cols > 0 && m->batch > 0 && m->ld >= 0 && (uint64_t)m->ld >= least;
}

static cublasStatus_t product_check(const product *p)
{
    bool ta = p->desc.trans_a != CUBLAS_OP_N, tb = p->desc.trans_b != CUBLAS_OP_N;
    uint64_t m = ta ? p->al.cols : p->al.rows, k = ta ? p->al.rows : p->al.cols;
    uint64_t k2 = tb ? p->bl.cols : p->bl.rows, n = tb ? p->bl.rows : p->bl.cols;
    if (!matrix_good(&p->al) || !matrix_good(&p->bl) || !matrix_good(&p->cl) || !matrix_good(&p->dl))
        return CUBLAS_STATUS_INVALID_VALUE;
    if (k != k2 || p->dl.rows != m || p->dl.cols != n || p->cl.rows != m || p->cl.cols != n || p->cl.order != p->dl.order ||
        p->al.batch != p->dl.batch || p->bl.batch != p->dl.batch || p->cl.batch != p->dl.batch)
        return CUBLAS_STATUS_INVALID_VALUE;
    if (p->desc.scale != CUDA_R_32F || p->al.type != p->bl.type || p->cl.type != p->dl.type || !convert_is_float(p->al.type) ||
        !convert_is_float(p->dl.type) || (p->dl.type != p->al.type && p->dl.type != CUDA_R_32F))
        return CUBLAS_STATUS_NOT_SUPPORTED;
    int type = p->desc.bias_type < 0 ? (int)p->dl.type : p->desc.bias_type;
    if ((p->desc.epilogue & CUBLASLT_EPILOGUE_BIAS) != 0 && type != (int)p->dl.type && type != CUDA_R_32F)
        return CUBLAS_STATUS_NOT_SUPPORTED;
    return CUBLAS_STATUS_SUCCESS;
}

/* An algorithm: what it may count on, and the workspace that it needs. */
enum { ALGO_MARK = 0x6d75, WORKSPACE = 4096 };

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc, cublasLtMatrixLayout_t a,
                                              cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int wanted,
                                              cublasLtMatmulHeuristicResult_t results[], int *n)
{
    *n = 0;
    if (handle == NULL || wanted < 1)
        return CUBLAS_STATUS_INVALID_VALUE;
    product p = {.desc = *desc, .al = *a, .bl = *b, .cl = *c, .dl = *d};
    cublasStatus_t status = product_check(&p);
    if (status != CUBLAS_STATUS_SUCCESS)
        return status;
    for (int i = preference->workspace >= WORKSPACE ? 0 : 1; i < 2 && *n < wanted; i++) {
        cublasLtMatmulHeuristicResult_t *one = &results[(*n)++];
        *one = (cublasLtMatmulHeuristicResult_t){.workspaceSize = i == 0 ? WORKSPACE : 0, .wavesCount = 1};
        one->algo.data[0] = ALGO_MARK;
        one->algo.data[1] = one->workspaceSize;
        for (int j = 0; j < 4; j++)
            one->algo.data[2 + j] = preference->alignment[j];
    }
    return CUBLAS_STATUS_SUCCESS;
}

/* ---- products ---- */

static size_t place(const struct emulate_matrix *m, uint64_t i, uint64_t j)
{
    return m->order == CUBLASLT_ORDER_ROW ? i * (uint64_t)m->ld + j : j * (uint64_t)m->ld + i;
}

/* Do all matrices of an operand lie in device memory? */
static bool on_device(const struct emulate_matrix *m, const void *address)
{
    int64_t last = (int64_t)place(m, m->rows - 1, m->cols - 1) + 1, far = (m->batch - 1) * m->step;
    size_t size = convert_size(m->type);
    const char *from = (const char *)address + (far < 0 ? far * (int64_t)size : 0);
    return emulate_on_device(from, (size_t)(last + (far < 0 ? -far : far)) * size);
}

/* op(matrix) as rows of f32. */
static void unpack(const struct emulate_matrix *m, bool transposed, const void *from, int64_t batch, float *to)
{
    uint64_t rows = transposed ? m->cols : m->rows, cols = transposed ? m->rows : m->cols;
    for (uint64_t i = 0; i < rows; i++)
        for (uint64_t j = 0; j < cols; j++) {
            size_t at = transposed ? place(m, j, i) : place(m, i, j);
            to[i * cols + j] = convert_load(m->type, from, at + (size_t)(batch * m->step));
        }
}

static float finish(const product *p, float sum, int64_t batch, uint64_t i, uint64_t j)
{
    int end = p->desc.epilogue;
    cudaDataType bias_type = p->desc.bias_type < 0 ? p->dl.type : (cudaDataType)p->desc.bias_type;
    float x = p->alpha * sum;
    if (p->beta != 0)
        x += p->beta * convert_load(p->cl.type, p->c, place(&p->cl, i, j) + (size_t)(batch * p->cl.step));
    if (end & CUBLASLT_EPILOGUE_BIAS)
        x += convert_load(bias_type, p->desc.bias, i + (size_t)(batch * p->desc.bias_step));
    if (end & CUBLASLT_EPILOGUE_RELU)
        x = x < 0 ? 0 : x;
    if (end & CUBLASLT_EPILOGUE_GELU)
        x = 0.5f * x * (1 + tanhf(0.7978845608f * (x + 0.044715f * x * x * x)));
    return x;
}

/* Sums of up to 64 terms, and the sum of those: about as exact as a device's. */
static void row_times(const float *row, const float *b, uint64_t k, uint64_t n, float *part, float *sum)
{
    enum { PART = 64 };
    memset(sum, 0, n * sizeof *sum);
    for (uint64_t first = 0; first < k; first += PART) {
        memset(part, 0, n * sizeof *part);
        for (uint64_t l = first; l < k && l < first + PART; l++)
            for (uint64_t j = 0; j < n; j++)
                part[j] = fmaf(row[l], b[l * n + j], part[j]); /* as devices: an infinite sum stays */
        for (uint64_t j = 0; j < n; j++)
            sum[j] += part[j];
    }
}

static cudaError_t product_run(const void *closure)
{
    const product *p = closure;
    bool ta = p->desc.trans_a != CUBLAS_OP_N, tb = p->desc.trans_b != CUBLAS_OP_N;
    uint64_t m = p->dl.rows, n = p->dl.cols, k = ta ? p->al.rows : p->al.cols;
    if (!on_device(&p->al, p->a) || !on_device(&p->bl, p->b) || !on_device(&p->dl, p->d) ||
        (p->beta != 0 && !on_device(&p->cl, p->c)))
        return emulate_fault(cudaErrorIllegalAddress, "cublasLtMatmul: a matrix is not in the device's memory");
    if (p->workspace_bytes > 0 && !emulate_on_device(p->workspace, p->workspace_bytes))
        return emulate_fault(cudaErrorIllegalAddress, "cublasLtMatmul: the workspace is not in the device's memory");
    if ((p->desc.epilogue & CUBLASLT_EPILOGUE_BIAS) != 0 && !emulate_on_device(p->desc.bias, m * 2))
        return emulate_fault(cudaErrorIllegalAddress, "cublasLtMatmul: the bias is not in the device's memory");
    float *a = malloc((m * k + k * n + 2 * n) * sizeof *a), *b = a + m * k, *part = b + k * n, *sum = part + n;
    if (a == NULL)
        return emulate_fault(cudaErrorMemoryAllocation, "cublasLtMatmul");
    if (p->workspace_bytes > 0)
        memset(p->workspace, 0xff, p->workspace_bytes);
    for (int64_t batch = 0; batch < p->dl.batch; batch++) {
        unpack(&p->al, ta, p->a, batch, a);
        unpack(&p->bl, tb, p->b, batch, b);
        for (uint64_t i = 0; i < m; i++) {
            row_times(a + i * k, b, k, n, part, sum);
            for (uint64_t j = 0; j < n; j++)
                convert_store(p->dl.type, p->d, place(&p->dl, i, j) + (size_t)(batch * p->dl.step), finish(p, sum[j], batch, i, j));
        }
    }
    free(a);
    return cudaSuccess;
}

static bool aligned(const void *address, uint64_t to)
{
    return (uintptr_t)address % to == 0;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc, const void *alpha, const void *a,
                              cublasLtMatrixLayout_t a_layout, const void *b, cublasLtMatrixLayout_t b_layout, const void *beta,
                              const void *c, cublasLtMatrixLayout_t c_layout, void *d, cublasLtMatrixLayout_t d_layout,
                              const cublasLtMatmulAlgo_t *algo, void *workspace, size_t workspace_bytes, cudaStream_t stream)
{
    if (handle == NULL || desc->pointer_mode != CUBLASLT_POINTER_MODE_HOST)
        return CUBLAS_STATUS_INVALID_VALUE;
    product p = {.desc = *desc,
                 .al = *a_layout,
                 .bl = *b_layout,
                 .cl = *c_layout,
                 .dl = *d_layout,
                 .alpha = *(const float *)alpha,
                 .beta = *(const float *)beta,
                 .a = a,
                 .b = b,
                 .c = c,
                 .d = d,
                 .workspace = workspace,
                 .workspace_bytes = workspace_bytes};
    cublasStatus_t status = product_check(&p);
    if (status != CUBLAS_STATUS_SUCCESS)
        return status;
    if (algo != NULL &&
        (algo->data[0] != ALGO_MARK || workspace_bytes < algo->data[1] || !aligned(a, algo->data[2]) ||
         !aligned(b, algo->data[3]) || !aligned(c, algo->data[4]) || !aligned(d, algo->data[5])))
        return CUBLAS_STATUS_INVALID_VALUE;
    return emulate_submit(stream, product_run, &p, sizeof p) == cudaSuccess ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_EXECUTION_FAILED;
}
