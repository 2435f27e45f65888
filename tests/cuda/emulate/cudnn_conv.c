/* cuDNN: convolutions in plain loops over packed copies in f32, and what an algorithm asks for.
 *
 * x [n,h,w,c], y [n,p,q,k], filter [k,r,s,c/groups]; y(n,p,q,k) = sum over r,s,c of x(n, p*stride + r*dilation - pad, ..., c) * w(k,r,s,c). */
#include "convert.h"
#include "emulate_cudnn.h"

#include <stdlib.h>
#include <string.h>

typedef enum { FORWARD, TO_DATA, TO_FILTER } direction;

typedef struct {
    direction way;
    struct cudnnConvolutionStruct conv;
    struct cudnnTensorStruct x, w, y, z, bias;
    float alpha, beta; /* out = alpha * sum + beta * (z, else what out holds) + bias */
    void *px, *pw, *py;
    const void *pz, *pbias;
    cudnnActivationMode_t activation;
    void *workspace;
    size_t workspace_bytes;
} job;

/* ---- what a convolution may be ---- */

enum { WORKSPACE = 4096 };

static size_t workspace_of(int algo)
{
    return algo == 1 ? WORKSPACE : 0;
}

static cudnnStatus_t job_check(const job *j, int algo)
{
    const int *x = j->x.dim, *w = j->w.dim, *y = j->y.dim;
    if (j->x.type != j->y.type || j->x.type != j->w.type)
        return emulate_cudnn_error(CUDNN_STATUS_NOT_SUPPORTED, "x, w and y are of different types");
    if (algo != 0 && algo != 1)
        return emulate_cudnn_error(CUDNN_STATUS_NOT_SUPPORTED, "the emulated cuDNN has algorithms 0 and 1 only");
    if (x[0] != y[0] || w[1] * j->conv.groups != x[1] || w[0] != y[1] || w[0] % j->conv.groups != 0)
        return emulate_cudnn_error(CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH, "x, w and y do not fit in their samples or channels");
    for (int i = 2; i < 4; i++) {
        int reach = j->conv.dilation[i - 2] * (w[i] - 1) + 1, room = x[i] + 2 * j->conv.pad[i - 2] - reach;
        if (room < 0 || y[i] != room / j->conv.stride[i - 2] + 1)
            return emulate_cudnn_error(CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH, "x, w and y do not fit in height or width");
    }
    return CUDNN_STATUS_SUCCESS;
}

/* ---- packed copies ---- */

static cudaDataType element(const struct cudnnTensorStruct *t)
{
    return t->type == CUDNN_DATA_HALF ? CUDA_R_16F : t->type == CUDNN_DATA_BFLOAT16 ? CUDA_R_16BF : CUDA_R_32F;
}

static size_t count(const struct cudnnTensorStruct *t)
{
    return (size_t)t->dim[0] * (size_t)t->dim[1] * (size_t)t->dim[2] * (size_t)t->dim[3];
}

static bool on_device(const struct cudnnTensorStruct *t, const void *address)
{
    size_t last = 1;
    for (int i = 0; i < 4; i++)
        last += (size_t)(t->dim[i] - 1) * (size_t)t->stride[i];
    return emulate_on_device(address, last * convert_size(element(t)));
}

static size_t place(const struct cudnnTensorStruct *t, int n, int c, int h, int w)
{
    return (size_t)n * (size_t)t->stride[0] + (size_t)c * (size_t)t->stride[1] + (size_t)h * (size_t)t->stride[2] +
           (size_t)w * (size_t)t->stride[3];
}

/* To [n,h,w,c]. */
static float *pack(const struct cudnnTensorStruct *t, const void *from)
{
    float *all = malloc((count(t) + 1) * sizeof *all), *to = all;
    for (int n = 0; all != NULL && n < t->dim[0]; n++)
        for (int h = 0; h < t->dim[2]; h++)
            for (int w = 0; w < t->dim[3]; w++)
                for (int c = 0; c < t->dim[1]; c++)
                    *to++ = convert_load(element(t), from, place(t, n, c, h, w));
    return all;
}

static float activate(const job *j, float x)
{
    return j->activation == CUDNN_ACTIVATION_RELU && x < 0 ? 0 : x;
}

/* From [n,h,w,c], with all that follows the sum. */
static void unpack(const job *j, const struct cudnnTensorStruct *t, const float *from, void *to)
{
    const void *z = j->pz != NULL ? j->pz : to;
    const struct cudnnTensorStruct *zt = j->pz != NULL ? &j->z : t;
    for (int n = 0; n < t->dim[0]; n++)
        for (int h = 0; h < t->dim[2]; h++)
            for (int w = 0; w < t->dim[3]; w++)
                for (int c = 0; c < t->dim[1]; c++) {
                    float x = j->alpha * *from++;
                    if (j->beta != 0)
                        x += j->beta * convert_load(element(zt), z, place(zt, n, c, h, w));
                    if (j->pbias != NULL)
                        x += convert_load(element(&j->bias), j->pbias, (size_t)c * (size_t)j->bias.stride[1]);
                    convert_store(element(t), to, place(t, n, c, h, w), activate(j, x));
                }
}

/* ---- sums ---- */

/* Where tap r of output p lies in the input along axis i; < 0: outside. */
static int input_at(const job *j, int i, int p, int r)
{
    int at = p * j->conv.stride[i] + r * j->conv.dilation[i] - j->conv.pad[i];
    return at < j->x.dim[2 + i] ? at : -1;
}

/* The sums of one pair of places, of x and of y, and one tap, for all groups. */
static void one_tap(const job *j, float *x, float *w, float *y, size_t tap)
{
    int groups = j->conv.groups, c_n = j->w.dim[1], k_n = j->w.dim[0] / groups;
    size_t taps = (size_t)j->w.dim[2] * (size_t)j->w.dim[3];
    for (int g = 0; g < groups; g++)
        for (int k = g * k_n; k < (g + 1) * k_n; k++) {
            float *row = w + ((size_t)k * taps + tap) * (size_t)c_n, *in = x + g * c_n, sum = 0;
            switch (j->way) {
            case FORWARD:
                for (int c = 0; c < c_n; c++)
                    sum += in[c] * row[c];
                y[k] += sum;
                break;
            case TO_DATA:
                for (int c = 0; c < c_n; c++)
                    in[c] += y[k] * row[c];
                break;
            case TO_FILTER:
                for (int c = 0; c < c_n; c++)
                    row[c] += y[k] * in[c];
                break;
            }
        }
}

static void all_taps(const job *j, int n, float *x, float *w, float *y)
{
    int x_h = j->x.dim[2], x_w = j->x.dim[3], x_c = j->x.dim[1], y_h = j->y.dim[2], y_w = j->y.dim[3], y_c = j->y.dim[1];
    for (int p = 0; p < y_h; p++)
        for (int q = 0; q < y_w; q++)
            for (int r = 0; r < j->w.dim[2]; r++)
                for (int s = 0; s < j->w.dim[3]; s++) {
                    int h = input_at(j, 0, p, r), v = input_at(j, 1, q, s);
                    if (h >= 0 && v >= 0)
                        one_tap(j, x + (((size_t)n * (size_t)x_h + (size_t)h) * (size_t)x_w + (size_t)v) * (size_t)x_c, w,
                                y + (((size_t)n * (size_t)y_h + (size_t)p) * (size_t)y_w + (size_t)q) * (size_t)y_c,
                                (size_t)r * (size_t)j->w.dim[3] + (size_t)s);
                }
}

/* A filter's gradient is summed in each sample first: terms of all samples in one sum would lose too much. */
static bool filter_sums(const job *j, float *x, float *w, float *y)
{
    size_t n_w = count(&j->w);
    float *part = malloc(n_w * sizeof *part);
    for (int n = 0; part != NULL && n < j->x.dim[0]; n++) {
        memset(part, 0, n_w * sizeof *part);
        all_taps(j, n, x, part, y);
        for (size_t i = 0; i < n_w; i++)
            w[i] += part[i];
    }
    free(part);
    return part != NULL;
}

static cudaError_t job_run(const void *closure)
{
    const job *j = closure;
    if (!on_device(&j->x, j->px) || !on_device(&j->w, j->pw) || !on_device(&j->y, j->py) ||
        (j->pz != NULL && j->beta != 0 && !on_device(&j->z, j->pz)) || (j->pbias != NULL && !on_device(&j->bias, j->pbias)))
        return emulate_fault(cudaErrorIllegalAddress, "a tensor of a cuDNN convolution is not in the device's memory");
    if (j->workspace_bytes > 0 && !emulate_on_device(j->workspace, j->workspace_bytes))
        return emulate_fault(cudaErrorIllegalAddress, "the workspace of a cuDNN convolution is not in the device's memory");
    if (j->workspace_bytes > 0)
        memset(j->workspace, 0xff, j->workspace_bytes);
    float *x = pack(&j->x, j->px), *w = pack(&j->w, j->pw), *y = pack(&j->y, j->py);
    bool good = x != NULL && w != NULL && y != NULL;
    if (good) {
        const struct cudnnTensorStruct *to = j->way == FORWARD ? &j->y : j->way == TO_DATA ? &j->x : &j->w;
        float *sums = j->way == FORWARD ? y : j->way == TO_DATA ? x : w;
        memset(sums, 0, count(to) * sizeof *sums);
        if (j->way == TO_FILTER)
            good = filter_sums(j, x, w, y);
        else
            for (int n = 0; n < j->x.dim[0]; n++)
                all_taps(j, n, x, w, y);
        unpack(j, to, sums, j->way == FORWARD ? j->py : j->way == TO_DATA ? j->px : j->pw);
    }
    free(x);
    free(w);
    free(y);
    return good ? cudaSuccess : emulate_fault(cudaErrorMemoryAllocation, "a cuDNN convolution");
}

static cudnnStatus_t job_submit(cudnnHandle_t handle, const job *j, int algo)
{
    cudnnStatus_t status = job_check(j, algo);
    if (status != CUDNN_STATUS_SUCCESS)
        return status;
    if (j->workspace_bytes < workspace_of(algo) || (workspace_of(algo) > 0 && j->workspace == NULL))
        return emulate_cudnn_error(CUDNN_STATUS_BAD_PARAM, "the workspace is too small");
    if (emulate_submit(handle->stream, job_run, j, sizeof *j) != cudaSuccess)
        return emulate_cudnn_error(CUDNN_STATUS_EXECUTION_FAILED, "the work was not taken");
    return CUDNN_STATUS_SUCCESS;
}

static job job_make(direction way, cudnnConvolutionDescriptor_t conv, cudnnTensorDescriptor_t x, cudnnFilterDescriptor_t w,
                    cudnnTensorDescriptor_t y)
{
    return (job){.way = way, .conv = *conv, .x = *x, .w = w->tensor, .y = *y, .alpha = 1, .activation = CUDNN_ACTIVATION_IDENTITY};
}

/* ---- algorithms: of those that are given back, the first need not be deterministic or without a workspace ---- */

static bool deterministic(direction way, int algo)
{
    return way == FORWARD || algo == 1;
}

#define ALGORITHMS(way, result_type)                                                                                       \
    static cudnnStatus_t algorithms_##way(const job *j, size_t most_bytes, int wanted, int *n, result_type *results)       \
    {                                                                                                                      \
        cudnnStatus_t status = job_check(j, 0);                                                                            \
        *n = 0;                                                                                                            \
        for (int i = 0; i < 2 && *n < wanted && status == CUDNN_STATUS_SUCCESS; i++) {                                     \
            int algo = way == FORWARD ? 1 - i : i;                                                                         \
            results[(*n)++] = (result_type){                                                                               \
                .algo = algo,                                                                                              \
                .status = workspace_of(algo) <= most_bytes ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_ALLOC_FAILED,             \
                .time = 0.1f * (float)(i + 1),                                                                             \
                .memory = workspace_of(algo),                                                                              \
                .determinism = deterministic(way, algo) ? CUDNN_DETERMINISTIC : CUDNN_NON_DETERMINISTIC,                   \
                .mathType = j->conv.math,                                                                                  \
            };                                                                                                             \
        }                                                                                                                  \
        return status;                                                                                                     \
    }
ALGORITHMS(FORWARD, cudnnConvolutionFwdAlgoPerf_t)
ALGORITHMS(TO_DATA, cudnnConvolutionBwdDataAlgoPerf_t)
ALGORITHMS(TO_FILTER, cudnnConvolutionBwdFilterAlgoPerf_t)

/* Trying overwrites the output. */
static cudnnStatus_t overwrite(cudnnHandle_t handle, const struct cudnnTensorStruct *t, void *address)
{
    if (emulate_outside_capture() != cudaSuccess || !on_device(t, address))
        return emulate_cudnn_error(CUDNN_STATUS_BAD_PARAM, "algorithms are tried while a stream is captured, or not in the device's memory");
    cudaError_t status = cudaMemsetAsync(address, 0xff, count(t) * convert_size(element(t)), handle->stream);
    return status == cudaSuccess && emulate_finish() == cudaSuccess ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_EXECUTION_FAILED;
}

cudnnStatus_t cudnnGetConvolutionForwardAlgorithm_v7(cudnnHandle_t handle, cudnnTensorDescriptor_t x, cudnnFilterDescriptor_t w,
                                                     cudnnConvolutionDescriptor_t conv, cudnnTensorDescriptor_t y, int wanted, int *n,
                                                     cudnnConvolutionFwdAlgoPerf_t *results)
{
    (void)handle;
    job j = job_make(FORWARD, conv, x, w, y);
    return algorithms_FORWARD(&j, SIZE_MAX, wanted, n, results);
}

cudnnStatus_t cudnnFindConvolutionForwardAlgorithmEx(cudnnHandle_t handle, cudnnTensorDescriptor_t x_desc, const void *x,
                                                     cudnnFilterDescriptor_t w_desc, const void *w, cudnnConvolutionDescriptor_t conv,
                                                     cudnnTensorDescriptor_t y_desc, void *y, int wanted, int *n,
                                                     cudnnConvolutionFwdAlgoPerf_t *results, void *workspace, size_t workspace_bytes)
{
    (void)x;
    (void)w;
    (void)workspace;
    job j = job_make(FORWARD, conv, x_desc, w_desc, y_desc);
    cudnnStatus_t status = overwrite(handle, &j.y, y);
    return status != CUDNN_STATUS_SUCCESS ? status : algorithms_FORWARD(&j, workspace_bytes, wanted, n, results);
}

cudnnStatus_t cudnnGetConvolutionForwardWorkspaceSize(cudnnHandle_t handle, cudnnTensorDescriptor_t x, cudnnFilterDescriptor_t w,
                                                      cudnnConvolutionDescriptor_t conv, cudnnTensorDescriptor_t y,
                                                      cudnnConvolutionFwdAlgo_t algo, size_t *bytes)
{
    (void)handle;
    job j = job_make(FORWARD, conv, x, w, y);
    *bytes = workspace_of((int)algo);
    return job_check(&j, (int)algo);
}

cudnnStatus_t cudnnGetConvolutionBackwardDataAlgorithm_v7(cudnnHandle_t handle, cudnnFilterDescriptor_t w, cudnnTensorDescriptor_t dy,
                                                          cudnnConvolutionDescriptor_t conv, cudnnTensorDescriptor_t dx, int wanted,
                                                          int *n, cudnnConvolutionBwdDataAlgoPerf_t *results)
{
    (void)handle;
    job j = job_make(TO_DATA, conv, dx, w, dy);
    return algorithms_TO_DATA(&j, SIZE_MAX, wanted, n, results);
}

cudnnStatus_t cudnnFindConvolutionBackwardDataAlgorithmEx(cudnnHandle_t handle, cudnnFilterDescriptor_t w_desc, const void *w,
                                                          cudnnTensorDescriptor_t dy_desc, const void *dy,
                                                          cudnnConvolutionDescriptor_t conv, cudnnTensorDescriptor_t dx_desc, void *dx,
                                                          int wanted, int *n, cudnnConvolutionBwdDataAlgoPerf_t *results,
                                                          void *workspace, size_t workspace_bytes)
{
    (void)w;
    (void)dy;
    (void)workspace;
    job j = job_make(TO_DATA, conv, dx_desc, w_desc, dy_desc);
    cudnnStatus_t status = overwrite(handle, &j.x, dx);
    return status != CUDNN_STATUS_SUCCESS ? status : algorithms_TO_DATA(&j, workspace_bytes, wanted, n, results);
}

cudnnStatus_t cudnnGetConvolutionBackwardDataWorkspaceSize(cudnnHandle_t handle, cudnnFilterDescriptor_t w, cudnnTensorDescriptor_t dy,
                                                           cudnnConvolutionDescriptor_t conv, cudnnTensorDescriptor_t dx,
                                                           cudnnConvolutionBwdDataAlgo_t algo, size_t *bytes)
{
    (void)handle;
    job j = job_make(TO_DATA, conv, dx, w, dy);
    *bytes = workspace_of((int)algo);
    return job_check(&j, (int)algo);
}

cudnnStatus_t cudnnGetConvolutionBackwardFilterAlgorithm_v7(cudnnHandle_t handle, cudnnTensorDescriptor_t x, cudnnTensorDescriptor_t dy,
                                                            cudnnConvolutionDescriptor_t conv, cudnnFilterDescriptor_t dw, int wanted,
                                                            int *n, cudnnConvolutionBwdFilterAlgoPerf_t *results)
{
    (void)handle;
    job j = job_make(TO_FILTER, conv, x, dw, dy);
    return algorithms_TO_FILTER(&j, SIZE_MAX, wanted, n, results);
}

cudnnStatus_t cudnnFindConvolutionBackwardFilterAlgorithmEx(cudnnHandle_t handle, cudnnTensorDescriptor_t x_desc, const void *x,
                                                            cudnnTensorDescriptor_t dy_desc, const void *dy,
                                                            cudnnConvolutionDescriptor_t conv, cudnnFilterDescriptor_t dw_desc,
                                                            void *dw, int wanted, int *n, cudnnConvolutionBwdFilterAlgoPerf_t *results,
                                                            void *workspace, size_t workspace_bytes)
{
    (void)x;
    (void)dy;
    (void)workspace;
    job j = job_make(TO_FILTER, conv, x_desc, dw_desc, dy_desc);
    cudnnStatus_t status = overwrite(handle, &j.w, dw);
    return status != CUDNN_STATUS_SUCCESS ? status : algorithms_TO_FILTER(&j, workspace_bytes, wanted, n, results);
}

cudnnStatus_t cudnnGetConvolutionBackwardFilterWorkspaceSize(cudnnHandle_t handle, cudnnTensorDescriptor_t x, cudnnTensorDescriptor_t dy,
                                                             cudnnConvolutionDescriptor_t conv, cudnnFilterDescriptor_t dw,
                                                             cudnnConvolutionBwdFilterAlgo_t algo, size_t *bytes)
{
    (void)handle;
    job j = job_make(TO_FILTER, conv, x, dw, dy);
    *bytes = workspace_of((int)algo);
    return job_check(&j, (int)algo);
}

/* ---- runs ---- */

cudnnStatus_t cudnnConvolutionForward(cudnnHandle_t handle, const void *alpha, cudnnTensorDescriptor_t x_desc, const void *x,
                                      cudnnFilterDescriptor_t w_desc, const void *w, cudnnConvolutionDescriptor_t conv,
                                      cudnnConvolutionFwdAlgo_t algo, void *workspace, size_t workspace_bytes, const void *beta,
                                      cudnnTensorDescriptor_t y_desc, void *y)
{
    job j = job_make(FORWARD, conv, x_desc, w_desc, y_desc);
    j.alpha = *(const float *)alpha;
    j.beta = *(const float *)beta;
    j.px = (void *)(uintptr_t)x;
    j.pw = (void *)(uintptr_t)w;
    j.py = y;
    j.workspace = workspace;
    j.workspace_bytes = workspace_bytes;
    return job_submit(handle, &j, (int)algo);
}

cudnnStatus_t cudnnConvolutionBiasActivationForward(cudnnHandle_t handle, const void *alpha1, cudnnTensorDescriptor_t x_desc,
                                                    const void *x, cudnnFilterDescriptor_t w_desc, const void *w,
                                                    cudnnConvolutionDescriptor_t conv, cudnnConvolutionFwdAlgo_t algo, void *workspace,
                                                    size_t workspace_bytes, const void *alpha2, cudnnTensorDescriptor_t z_desc,
                                                    const void *z, cudnnTensorDescriptor_t bias_desc, const void *bias,
                                                    cudnnActivationDescriptor_t activation, cudnnTensorDescriptor_t y_desc, void *y)
{
    cudnnActivationMode_t mode = activation->mode;
    if (mode != CUDNN_ACTIVATION_RELU && mode != CUDNN_ACTIVATION_IDENTITY)
        return emulate_cudnn_error(CUDNN_STATUS_NOT_SUPPORTED, "the activation is neither ReLU nor none");
    if (mode == CUDNN_ACTIVATION_IDENTITY && algo != CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM)
        return emulate_cudnn_error(CUDNN_STATUS_NOT_SUPPORTED, "only algorithm 1 ends with no activation");
    if (bias_desc->dim[1] != y_desc->dim[1] || bias_desc->dim[0] != 1 || bias_desc->dim[2] != 1 || bias_desc->dim[3] != 1 ||
        memcmp(z_desc->dim, y_desc->dim, sizeof z_desc->dim) != 0)
        return emulate_cudnn_error(CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH, "the bias is not [1,K,1,1], or z is not of y's shape");
    job j = job_make(FORWARD, conv, x_desc, w_desc, y_desc);
    j.alpha = *(const float *)alpha1;
    j.beta = *(const float *)alpha2;
    j.px = (void *)(uintptr_t)x;
    j.pw = (void *)(uintptr_t)w;
    j.py = y;
    j.z = *z_desc;
    j.pz = z;
    j.bias = *bias_desc;
    j.pbias = bias;
    j.activation = mode;
    j.workspace = workspace;
    j.workspace_bytes = workspace_bytes;
    return job_submit(handle, &j, (int)algo);
}

cudnnStatus_t cudnnConvolutionBackwardData(cudnnHandle_t handle, const void *alpha, cudnnFilterDescriptor_t w_desc, const void *w,
                                           cudnnTensorDescriptor_t dy_desc, const void *dy, cudnnConvolutionDescriptor_t conv,
                                           cudnnConvolutionBwdDataAlgo_t algo, void *workspace, size_t workspace_bytes,
                                           const void *beta, cudnnTensorDescriptor_t dx_desc, void *dx)
{
    job j = job_make(TO_DATA, conv, dx_desc, w_desc, dy_desc);
    j.alpha = *(const float *)alpha;
    j.beta = *(const float *)beta;
    j.px = dx;
    j.pw = (void *)(uintptr_t)w;
    j.py = (void *)(uintptr_t)dy;
    j.workspace = workspace;
    j.workspace_bytes = workspace_bytes;
    return job_submit(handle, &j, (int)algo);
}

cudnnStatus_t cudnnConvolutionBackwardFilter(cudnnHandle_t handle, const void *alpha, cudnnTensorDescriptor_t x_desc, const void *x,
                                             cudnnTensorDescriptor_t dy_desc, const void *dy, cudnnConvolutionDescriptor_t conv,
                                             cudnnConvolutionBwdFilterAlgo_t algo, void *workspace, size_t workspace_bytes,
                                             const void *beta, cudnnFilterDescriptor_t dw_desc, void *dw)
{
    job j = job_make(TO_FILTER, conv, x_desc, dw_desc, dy_desc);
    j.alpha = *(const float *)alpha;
    j.beta = *(const float *)beta;
    j.px = (void *)(uintptr_t)x;
    j.pw = dw;
    j.py = (void *)(uintptr_t)dy;
    j.workspace = workspace;
    j.workspace_bytes = workspace_bytes;
    return job_submit(handle, &j, (int)algo);
}

/* ---- c = alpha a + beta c, where a may have dimensions of 1 ---- */

typedef struct {
    struct cudnnTensorStruct a, c;
    float alpha, beta;
    const void *pa;
    void *pc;
} sum;

static cudaError_t sum_run(const void *closure)
{
    const sum *s = closure;
    if (!on_device(&s->a, s->pa) || !on_device(&s->c, s->pc))
        return emulate_fault(cudaErrorIllegalAddress, "cudnnAddTensor: a tensor is not in the device's memory");
    for (int n = 0; n < s->c.dim[0]; n++)
        for (int k = 0; k < s->c.dim[1]; k++)
            for (int h = 0; h < s->c.dim[2]; h++)
                for (int w = 0; w < s->c.dim[3]; w++) {
                    const int *d = s->a.dim;
                    size_t from = place(&s->a, d[0] > 1 ? n : 0, d[1] > 1 ? k : 0, d[2] > 1 ? h : 0, d[3] > 1 ? w : 0);
                    size_t to = place(&s->c, n, k, h, w);
                    float x = s->alpha * convert_load(element(&s->a), s->pa, from);
                    if (s->beta != 0)
                        x += s->beta * convert_load(element(&s->c), s->pc, to);
                    convert_store(element(&s->c), s->pc, to, x);
                }
    return cudaSuccess;
}

cudnnStatus_t cudnnAddTensor(cudnnHandle_t handle, const void *alpha, cudnnTensorDescriptor_t a_desc, const void *a, const void *beta,
                             cudnnTensorDescriptor_t c_desc, void *c)
{
    sum s = {.a = *a_desc, .c = *c_desc, .alpha = *(const float *)alpha, .beta = *(const float *)beta, .pa = a, .pc = c};
    for (int i = 0; i < 4; i++)
        if (s.a.dim[i] != 1 && s.a.dim[i] != s.c.dim[i])
            return emulate_cudnn_error(CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH, "a is neither of c's shape nor 1");
    return emulate_submit(handle->stream, sum_run, &s, sizeof s) == cudaSuccess ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_EXECUTION_FAILED;
}
