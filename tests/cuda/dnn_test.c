/* The graphs that convolutions become, shown to cuDNN itself without a device: for an H100, of which it is given the properties, it must list engines
 * that may be used and make plans of them. */
#include "conv_graph.h"
#include "test.h"

#if CUDNN_VERSION >= 90800

/* The names are those that cuDNN gives out; the numbers are the card's. */
static const char h100[] =
    "{\"deviceVer\":900,\"multiProcessorCount\":132,\"warpSize\":32,\"maxSharedMemoryPerBlock\":49152,\"maxSharedMemoryPerBlockOptin\":232448,"
    "\"reservedSharedMemoryPerBlock\":1024,\"maxRegistersPerSM\":65536,\"maxCtasPerSM\":32,\"maxThreadsPerBlock\":1024,\"maxThreadsPerSM\":2048,"
    "\"regsPerBlock\":65536,\"totalGlobalMem\":85014872064,\"smClockRateKHz\":1980000,\"l2CacheSize\":52428800,\"maxBlockSize\":[1024,1024,64],"
    "\"memClockRateKHz\":2619000,\"maxGridSize\":[2147483647,65535,65535],\"supportCoopLaunch\":1,\"pciDeviceId\":0,\"isTccDriver\":0,"
    "\"cudaDeviceId\":0,\"driverVer\":13000,\"deviceName\":\"NVIDIA H100 80GB HBM3\"}";

static cudnnBackendDescriptor_t device;

static cudnnStatus_t describe_device(void)
{
    cudnnStatus_t status = cudnnBackendCreateDescriptor(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, &device);
    if (status == CUDNN_STATUS_SUCCESS)
        status = cudnnBackendSetAttribute(device, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, sizeof h100 - 1, h100);
    return status == CUDNN_STATUS_SUCCESS ? cudnnBackendFinalize(device) : status;
}

/* n, c, h, w, k, taps, stride, padding, groups */
static const int shapes[][9] = {
    /* ResNet-50, batch 256 */
    {256, 3, 224, 224, 64, 7, 2, 3, 1},   {256, 64, 56, 56, 64, 1, 1, 0, 1},    {256, 64, 56, 56, 64, 3, 1, 1, 1},
    {256, 64, 56, 56, 256, 1, 1, 0, 1},   {256, 256, 56, 56, 64, 1, 1, 0, 1},   {256, 256, 56, 56, 128, 1, 1, 0, 1},
    {256, 128, 56, 56, 128, 3, 2, 1, 1},  {256, 128, 28, 28, 512, 1, 1, 0, 1},  {256, 256, 56, 56, 512, 1, 2, 0, 1},
    {256, 512, 28, 28, 128, 1, 1, 0, 1},  {256, 128, 28, 28, 128, 3, 1, 1, 1},  {256, 512, 28, 28, 256, 1, 1, 0, 1},
    {256, 256, 28, 28, 256, 3, 2, 1, 1},  {256, 256, 14, 14, 1024, 1, 1, 0, 1}, {256, 512, 28, 28, 1024, 1, 2, 0, 1},
    {256, 1024, 14, 14, 256, 1, 1, 0, 1}, {256, 256, 14, 14, 256, 3, 1, 1, 1},  {256, 1024, 14, 14, 512, 1, 1, 0, 1},
    {256, 512, 14, 14, 512, 3, 2, 1, 1},  {256, 512, 7, 7, 2048, 1, 1, 0, 1},   {256, 1024, 14, 14, 2048, 1, 2, 0, 1},
    {256, 2048, 7, 7, 512, 1, 1, 0, 1},   {256, 512, 7, 7, 512, 3, 1, 1, 1},
    /* LeNet; odd channels; groups; one channel a group; one place, one sample */
    {128, 1, 28, 28, 6, 5, 1, 2, 1},      {2, 5, 13, 11, 7, 3, 1, 1, 1},        {32, 128, 56, 56, 128, 3, 1, 1, 32},
    {32, 96, 28, 28, 96, 3, 1, 1, 96},    {1, 8, 1, 1, 8, 1, 1, 0, 1},          {3, 6, 9, 9, 9, 3, 2, 0, 3},
};
enum { N_SHAPES = sizeof shapes / sizeof *shapes, RESNET = 23, MOST = 64 };

static mu_cuda_conv_shape shape_of(const int s[9])
{
    int64_t oh = (s[2] + 2 * s[7] - s[5]) / s[6] + 1, ow = (s[3] + 2 * s[7] - s[5]) / s[6] + 1;
    return (mu_cuda_conv_shape){s[0], s[1], s[2], s[3], s[4], oh, ow, s[5], s[5], s[8], {s[6], s[6]}, {1, 1}, {s[7], s[7], s[7], s[7]}};
}

/* What each product may end with. */
static const struct {
    mu_cuda_conv_product product;
    mu_cuda_conv_ends ends;
} forms[] = {
    {MU_CUDA_CONV_FORWARD, {false, false, false}}, {MU_CUDA_CONV_FORWARD, {true, false, false}},    {MU_CUDA_CONV_FORWARD, {true, false, true}},
    {MU_CUDA_CONV_FORWARD, {true, true, false}},   {MU_CUDA_CONV_FORWARD, {true, true, true}},      {MU_CUDA_CONV_GRAD_INPUT, {false, false, false}},
    {MU_CUDA_CONV_GRAD_INPUT, {true, false, false}}, {MU_CUDA_CONV_GRAD_WEIGHT, {false, false, false}},
};
enum { N_FORMS = sizeof forms / sizeof *forms };

/* The engines that may be used, each of which must become a plan also when it is told by its name. Returns how many. */
static int plan_all(const mu_dnn_graph *graph, unsigned refused, mu_dnn_engine *list, const char *what)
{
    int n = 0;
    ck_ok(mu_dnn_engines(graph, CUDNN_HEUR_MODE_A, refused, list, MOST, &n));
    ck_ok(mu_dnn_engines(graph, CUDNN_HEUR_MODE_FALLBACK, refused, list, MOST, &n));
    for (int i = 0; i < n; i++) {
        cudnnBackendDescriptor_t plan;
        mu_dnn_engine named;
        char name[MU_DNN_NAME], again[MU_DNN_NAME];
        size_t bytes, same;
        ck_assert_int_eq(list[i].notes & refused, 0);
        mu_dnn_engine_format(&list[i], name);
        ck_assert(mu_dnn_engine_parse(name, &named));
        ck_assert_str_eq(mu_dnn_engine_format(&named, again), name);
        mu_err err = mu_dnn_plan(graph, &list[i], &plan, &bytes);
        ck_assert_msg(err == MU_OK, "%s by %s: %s", what, name, test_error_text());
        mu_dnn_release(&plan);
        ck_ok(mu_dnn_plan(graph, &named, &plan, &same));
        mu_dnn_release(&plan);
        ck_assert_uint_eq(bytes, same);
    }
    return n;
}

static bool on_tensor_cores(const mu_dnn_engine *engine)
{
    return engine->notes >> CUDNN_NUMERICAL_NOTE_TENSOR_CORE & 1;
}

/* Kernels of this generation of devices, in clusters of blocks. */
static bool in_clusters(const mu_dnn_engine *engine)
{
    for (int i = 0; i < engine->n_knobs; i++)
        if (engine->knob[i].type == CUDNN_KNOB_TYPE_TILE_CGA_M)
            return true;
    return false;
}

static bool has(const mu_dnn_engine *list, int n, bool (*is)(const mu_dnn_engine *))
{
    for (int i = 0; i < n; i++)
        if (is(&list[i]))
            return true;
    return false;
}

START_TEST(engines_for_every_graph)
{
    static const struct {
        mu_dtype dtype;
        bool tf32, deterministic;
    } modes[] = {{MU_F32, false, false}, {MU_F32, true, false}, {MU_F32, false, true}, {MU_BF16, false, false}, {MU_BF16, false, true}, {MU_F16, false, false}};
    enum { N_MODES = sizeof modes / sizeof *modes, TIMED = 10 };
    mu_cuda_conv_shape shape = shape_of(shapes[_i]);
    mu_dnn_engine list[MOST];
    char what[128];
    for (int f = 0; f < N_FORMS; f++)
        for (int m = 0; m < N_MODES; m++) {
            mu_dtype dtype = modes[m].dtype;
            mu_dnn_graph graph = {.target = {.device = device}};
            snprintf(what, sizeof what, "shape %d form %d %s%s%s", _i, f, mu_dtype_name(dtype), modes[m].tf32 ? " tf32" : "",
                     modes[m].deterministic ? " deterministic" : "");
            mu_err err = mu_cuda_conv_graph(forms[f].product, dtype, &shape, forms[f].ends, &graph);
            ck_assert_msg(err == MU_OK, "%s: %s", what, test_error_text());
            int n = plan_all(&graph, mu_cuda_conv_refused(dtype, modes[m].tf32, modes[m].deterministic), list, what);
            bool cores = has(list, n < TIMED ? n : TIMED, on_tensor_cores), clusters = has(list, n < TIMED ? n : TIMED, in_clusters);
            ck_assert_msg(n > 0, "%s: no engine may be used", what);
            if (dtype == MU_F32 && !modes[m].tf32)
                ck_assert_msg(!has(list, n, on_tensor_cores), "%s: an engine of TF32", what);
            else if (_i < RESNET)
                ck_assert_msg(cores, "%s: tensor cores are not among the first", what);
            if (dtype == MU_BF16 && 0 < _i && _i < RESNET)
                ck_assert_msg(clusters, "%s: kernels of this generation are not among the first", what);
            mu_dnn_graph_release(&graph);
        }
}
END_TEST

#endif

START_TEST(names)
{
    static const char *const bad[] = {"", "own", "62:", "62:2", "62:2=", "62:2=4,", "62:2=4 ", "62 ", "62:x=4", "62:-1=4", "62:99999=4"};
    mu_dnn_engine engine;
    char name[MU_DNN_NAME];
    ck_assert(mu_dnn_engine_parse("62:2=4,13=0,12=-1", &engine));
    ck_assert_int_eq(engine.number, 62);
    ck_assert_int_eq(engine.n_knobs, 3);
    ck_assert_int_eq(engine.knob[2].value, -1);
    ck_assert_str_eq(mu_dnn_engine_format(&engine, name), "62:2=4,13=0,12=-1");
    ck_assert(mu_dnn_engine_parse("0", &engine) && engine.n_knobs == 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(!mu_dnn_engine_parse(bad[i], &engine), "\"%s\"", bad[i]);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("cuDNN's graphs");
    TCase *t = tcase_create("graphs");
    tcase_set_timeout(t, 300);
    tcase_add_test(t, names);
#if CUDNN_VERSION >= 90800
    cudnnStatus_t status = describe_device();
    if (status == CUDNN_STATUS_SUCCESS)
        tcase_add_loop_test(t, engines_for_every_graph, 0, N_SHAPES);
    else
        printf("engines_for_every_graph skipped: this cuDNN makes no plans for devices that are not here: %s\n", cudnnGetErrorString(status));
#else
    printf("engines_for_every_graph skipped: cuDNN is older than 9.8, or emulated\n");
#endif
    suite_add_tcase(s, t);
    int failed = test_run(s);
#if CUDNN_VERSION >= 90800
    mu_dnn_release(&device);
#endif
    return failed;
}
