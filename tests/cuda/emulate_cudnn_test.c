/* The emulated cuDNN finds what the library would: attributes of a wrong type or number, missing ones, descriptors that are not final, graphs that do
 * not hang together, addresses that lack. */
#include "test.h"

#include <cuda_runtime_api.h>
#include <cudnn.h>
#include <stdbool.h>

typedef cudnnBackendDescriptor_t desc;

#define ck_dnn(expr) ck_assert_msg((expr) == CUDNN_STATUS_SUCCESS, "%s: %s", #expr, said())
#define ck_bad(expr) ck_assert_str_eq(cudnnGetErrorString(expr), "CUDNN_STATUS_BAD_PARAM")
#define ck_refused(expr) ck_assert_str_eq(cudnnGetErrorString(expr), "CUDNN_STATUS_NOT_SUPPORTED")
#define set(d, name, type, n, values) cudnnBackendSetAttribute(d, CUDNN_ATTR_##name, CUDNN_TYPE_##type, n, values)
#define get(d, name, type, wanted, n, values) cudnnBackendGetAttribute(d, CUDNN_ATTR_##name, CUDNN_TYPE_##type, wanted, n, values)

static const char *said(void)
{
    static char text[256];
    cudnnGetLastErrorString(text, sizeof text);
    return text;
}

static desc made(cudnnBackendDescriptorType_t kind)
{
    desc d;
    ck_dnn(cudnnBackendCreateDescriptor(kind, &d));
    return d;
}

static void drop(desc d)
{
    ck_dnn(cudnnBackendDestroyDescriptor(d));
}

enum { N = 2, C = 8, H = 3, K = 8 };

static desc tensor(int64_t uid, int64_t n, int64_t c, int64_t h, bool between)
{
    const int64_t dim[4] = {n, c, h, h}, stride[4] = {h * h * c, 1, h * c, c}, alignment = 16;
    const cudnnDataType_t type = CUDNN_DATA_FLOAT;
    desc d = made(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    ck_dnn(set(d, TENSOR_UNIQUE_ID, INT64, 1, &uid));
    ck_dnn(set(d, TENSOR_DATA_TYPE, DATA_TYPE, 1, &type));
    ck_dnn(set(d, TENSOR_DIMENSIONS, INT64, 4, dim));
    ck_dnn(set(d, TENSOR_STRIDES, INT64, 4, stride));
    ck_dnn(set(d, TENSOR_BYTE_ALIGNMENT, INT64, 1, &alignment));
    ck_dnn(set(d, TENSOR_IS_VIRTUAL, BOOLEAN, 1, &between));
    ck_dnn(cudnnBackendFinalize(d));
    return d;
}

static desc window(void)
{
    const int64_t two = 2, ones[2] = {1, 1}, none[2] = {0, 0};
    const cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
    const cudnnDataType_t type = CUDNN_DATA_FLOAT;
    desc d = made(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
    ck_dnn(set(d, CONVOLUTION_COMP_TYPE, DATA_TYPE, 1, &type));
    ck_dnn(set(d, CONVOLUTION_CONV_MODE, CONVOLUTION_MODE, 1, &mode));
    ck_dnn(set(d, CONVOLUTION_SPATIAL_DIMS, INT64, 1, &two));
    ck_dnn(set(d, CONVOLUTION_DILATIONS, INT64, 2, ones));
    ck_dnn(set(d, CONVOLUTION_FILTER_STRIDES, INT64, 2, ones));
    ck_dnn(set(d, CONVOLUTION_PRE_PADDINGS, INT64, 2, none));
    ck_dnn(set(d, CONVOLUTION_POST_PADDINGS, INT64, 2, none));
    ck_dnn(cudnnBackendFinalize(d));
    return d;
}

static desc convolution(desc x, desc w, desc y)
{
    const float one = 1, zero = 0;
    desc conv = window(), d = made(CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR);
    ck_dnn(set(d, OPERATION_CONVOLUTION_FORWARD_CONV_DESC, BACKEND_DESCRIPTOR, 1, &conv));
    ck_dnn(set(d, OPERATION_CONVOLUTION_FORWARD_X, BACKEND_DESCRIPTOR, 1, &x));
    ck_dnn(set(d, OPERATION_CONVOLUTION_FORWARD_W, BACKEND_DESCRIPTOR, 1, &w));
    ck_dnn(set(d, OPERATION_CONVOLUTION_FORWARD_Y, BACKEND_DESCRIPTOR, 1, &y));
    ck_dnn(set(d, OPERATION_CONVOLUTION_FORWARD_ALPHA, FLOAT, 1, &one));
    ck_dnn(set(d, OPERATION_CONVOLUTION_FORWARD_BETA, FLOAT, 1, &zero));
    ck_dnn(cudnnBackendFinalize(d));
    drop(conv);
    return d;
}

/* y = conv(x, w), whose tensors have the identifiers 1, 2 and 3; not final. */
static desc graph_of(cudnnHandle_t handle, int64_t y_channels, bool between)
{
    desc x = tensor(1, N, C, H, false), w = tensor(2, K, C, 1, false), y = tensor(3, N, y_channels, H, between), op = convolution(x, w, y),
         graph = made(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    ck_dnn(set(graph, OPERATIONGRAPH_HANDLE, HANDLE, 1, &handle));
    ck_dnn(set(graph, OPERATIONGRAPH_OPS, BACKEND_DESCRIPTOR, 1, &op));
    drop(x);
    drop(w);
    drop(y);
    drop(op);
    return graph;
}

static desc plan_of(cudnnHandle_t handle, desc graph, int64_t number)
{
    desc engine = made(CUDNN_BACKEND_ENGINE_DESCRIPTOR), config = made(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR),
         plan = made(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
    ck_dnn(set(engine, ENGINE_OPERATION_GRAPH, BACKEND_DESCRIPTOR, 1, &graph));
    ck_dnn(set(engine, ENGINE_GLOBAL_INDEX, INT64, 1, &number));
    ck_dnn(cudnnBackendFinalize(engine));
    ck_dnn(set(config, ENGINECFG_ENGINE, BACKEND_DESCRIPTOR, 1, &engine));
    ck_dnn(cudnnBackendFinalize(config));
    ck_dnn(set(plan, EXECUTION_PLAN_HANDLE, HANDLE, 1, &handle));
    ck_dnn(set(plan, EXECUTION_PLAN_ENGINE_CONFIG, BACKEND_DESCRIPTOR, 1, &config));
    ck_dnn(cudnnBackendFinalize(plan));
    drop(engine);
    drop(config);
    return plan;
}

START_TEST(attributes)
{
    const int64_t uid = 1, dim[4] = {1, 1, 1, 1}, odd = 3;
    const cudnnDataType_t type = CUDNN_DATA_FLOAT;
    int64_t n, got;
    desc d = made(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    ck_bad(set(d, TENSOR_UNIQUE_ID, FLOAT, 1, &uid));
    ck_bad(set(d, TENSOR_UNIQUE_ID, INT64, 2, dim));
    ck_bad(set(d, TENSOR_DIMENSIONS, INT64, 3, dim));
    ck_bad(set(d, TENSOR_UNIQUE_ID, INT64, 1, NULL));
    ck_bad(set(d, ENGINE_GLOBAL_INDEX, INT64, 1, &uid));
    ck_bad(get(d, TENSOR_UNIQUE_ID, INT64, 1, &n, &got));
    ck_dnn(set(d, TENSOR_UNIQUE_ID, INT64, 1, &uid));
    ck_bad(cudnnBackendFinalize(d));
    ck_dnn(set(d, TENSOR_DATA_TYPE, DATA_TYPE, 1, &type));
    ck_dnn(set(d, TENSOR_DIMENSIONS, INT64, 4, dim));
    ck_dnn(set(d, TENSOR_STRIDES, INT64, 4, dim));
    ck_dnn(set(d, TENSOR_BYTE_ALIGNMENT, INT64, 1, &odd));
    ck_bad(cudnnBackendFinalize(d));
    drop(d);
    d = tensor(7, 1, 1, 1, false);
    ck_bad(set(d, TENSOR_UNIQUE_ID, INT64, 1, &uid));
    ck_bad(cudnnBackendFinalize(d));
    ck_dnn(get(d, TENSOR_UNIQUE_ID, INT64, 1, &n, &got));
    ck_assert(n == 1 && got == 7);
    ck_bad(get(d, TENSOR_UNIQUE_ID, FLOAT, 1, &n, &got));
    drop(d);
    ck_bad(cudnnBackendDestroyDescriptor(NULL));
}
END_TEST

START_TEST(graphs)
{
    cudnnHandle_t handle;
    desc d, graph, x = made(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    int64_t number = 12;
    ck_dnn(cudnnCreate(&handle));
    d = made(CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR);
    ck_bad(set(d, OPERATION_CONVOLUTION_FORWARD_X, BACKEND_DESCRIPTOR, 1, &x)); /* not final */
    ck_bad(set(d, OPERATION_CONVOLUTION_FORWARD_X, BACKEND_DESCRIPTOR, 1, &d)); /* no tensor */
    ck_bad(cudnnBackendFinalize(d));
    drop(d);
    drop(x);
    graph = graph_of(handle, K + 1, false);
    ck_assert_int_eq(cudnnBackendFinalize(graph), CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH);
    drop(graph);
    graph = graph_of(handle, K, true);
    ck_bad(cudnnBackendFinalize(graph));
    drop(graph);
    graph = graph_of(handle, K, false);
    d = made(CUDNN_BACKEND_ENGINE_DESCRIPTOR);
    ck_bad(set(d, ENGINE_OPERATION_GRAPH, BACKEND_DESCRIPTOR, 1, &graph)); /* not final */
    ck_dnn(cudnnBackendFinalize(graph));
    ck_dnn(set(d, ENGINE_OPERATION_GRAPH, BACKEND_DESCRIPTOR, 1, &graph));
    ck_dnn(set(d, ENGINE_GLOBAL_INDEX, INT64, 1, &number));
    ck_refused(cudnnBackendFinalize(d));
    drop(d);
    drop(graph);
    ck_dnn(cudnnDestroy(handle));
}
END_TEST

static cudnnStatus_t execute(cudnnHandle_t handle, desc plan, const int64_t *uid, void *const *address, int n)
{
    void *workspace = NULL;
    desc pack = made(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
    ck_dnn(set(pack, VARIANT_PACK_UNIQUE_IDS, INT64, n, uid));
    ck_dnn(set(pack, VARIANT_PACK_DATA_POINTERS, VOID_PTR, n, address));
    ck_dnn(set(pack, VARIANT_PACK_WORKSPACE, VOID_PTR, 1, &workspace));
    ck_bad(cudnnBackendExecute(handle, plan, pack)); /* not final */
    ck_dnn(cudnnBackendFinalize(pack));
    cudnnStatus_t status = cudnnBackendExecute(handle, plan, pack);
    drop(pack);
    return status;
}

START_TEST(runs)
{
    const int64_t uid[4] = {1, 2, 3, 4};
    float x[N * H * H * C], w[K * C] = {0}, y[N * H * H * K];
    void *address[4];
    cudnnHandle_t handle;
    ck_dnn(cudnnCreate(&handle));
    desc graph = graph_of(handle, K, false);
    ck_dnn(cudnnBackendFinalize(graph));
    desc plan = plan_of(handle, graph, 0);
    drop(graph); /* the plan holds on to it */
    for (int i = 0; i < N * H * H * C; i++)
        x[i] = (float)i;
    for (int k = 0; k < K; k++)
        w[k * C + k] = 2;
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(cudaMalloc(&address[i], sizeof x), cudaSuccess);
    ck_assert_int_eq(cudaMemcpy(address[0], x, sizeof x, cudaMemcpyHostToDevice), cudaSuccess);
    ck_assert_int_eq(cudaMemcpy(address[1], w, sizeof w, cudaMemcpyHostToDevice), cudaSuccess);
    ck_dnn(execute(handle, plan, uid, address, 3));
    ck_assert_int_eq(cudaMemcpy(y, address[2], sizeof y, cudaMemcpyDeviceToHost), cudaSuccess);
    for (int i = 0; i < N * H * H * K; i++)
        ck_assert_float_eq(y[i], 2 * x[i]);
    ck_assert_int_eq(execute(handle, plan, uid, address, 2), CUDNN_STATUS_BAD_PARAM_NULL_POINTER);
    ck_bad(execute(handle, plan, uid, address, 4));
    void *const crooked[3] = {address[0], (char *)address[1] + 4, address[2]};
    ck_assert_int_eq(execute(handle, plan, uid, crooked, 3), CUDNN_STATUS_BAD_PARAM_MISALIGNED_POINTER);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(cudaFree(address[i]), cudaSuccess);
    drop(plan);
    ck_dnn(cudnnDestroy(handle));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("the emulated cuDNN");
    TCase *t = tcase_create("descriptors");
    tcase_add_test(t, attributes);
    tcase_add_test(t, graphs);
    tcase_add_test(t, runs);
    suite_add_tcase(s, t);
    return test_run(s);
}
