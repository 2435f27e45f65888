#include "dnn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SET(desc, name, type, n, values) MU_TRY_CUDNN(cudnnBackendSetAttribute(desc, CUDNN_ATTR_##name, CUDNN_TYPE_##type, n, values))
#define GET(desc, name, type, most, n, values) \
    MU_TRY_CUDNN(cudnnBackendGetAttribute(desc, CUDNN_ATTR_##name, CUDNN_TYPE_##type, most, n, values))

static const cudnnDataType_t f32 = CUDNN_DATA_FLOAT;

void mu_dnn_release(cudnnBackendDescriptor_t *desc)
{
    if (*desc)
        (void)cudnnBackendDestroyDescriptor(*desc);
    *desc = NULL;
}

static void release_all(cudnnBackendDescriptor_t *list, int n)
{
    for (int i = 0; i < n; i++)
        mu_dnn_release(&list[i]);
}

/* All or none; the others are NULL. */
static mu_err create(cudnnBackendDescriptorType_t type, cudnnBackendDescriptor_t *list, int n)
{
    memset(list, 0, (size_t)n * sizeof *list);
    for (int i = 0; i < n; i++) {
        cudnnStatus_t status = cudnnBackendCreateDescriptor(type, &list[i]);
        if (status != CUDNN_STATUS_SUCCESS) {
            release_all(list, i);
            return mu_cudnn_fail(status, "cudnnBackendCreateDescriptor", __FILE__, __LINE__, __func__);
        }
    }
    return MU_OK;
}

/* ---- graphs ---- */

static mu_err part(mu_dnn_graph *g, cudnnBackendDescriptorType_t type, cudnnBackendDescriptor_t *out)
{
    if (g->n_parts == MU_DNN_PARTS)
        return MU_FAIL(MU_ERR_INTERNAL, "a graph of cuDNN has more than %d parts", MU_DNN_PARTS);
    MU_TRY(create(type, out, 1));
    g->part[g->n_parts++] = *out;
    return MU_OK;
}

static mu_err operation(mu_dnn_graph *g, cudnnBackendDescriptor_t desc)
{
    if (g->n_operations == MU_DNN_OPERATIONS)
        return MU_FAIL(MU_ERR_INTERNAL, "a graph of cuDNN has more than %d operations", MU_DNN_OPERATIONS);
    MU_TRY_CUDNN(cudnnBackendFinalize(desc));
    g->operation[g->n_operations++] = desc;
    return MU_OK;
}

/* Plans place tensors at multiples of MU_ALIGN, blocks come at larger ones; more than 16 bytes no engine asks for. */
mu_err mu_dnn_tensor(mu_dnn_graph *g, int64_t uid, cudnnDataType_t type, const int64_t dim[4], bool between, cudnnBackendDescriptor_t *out)
{
    const int64_t stride[4] = {dim[1] * dim[2] * dim[3], 1, dim[3] * dim[1], dim[1]}, alignment = 16;
    MU_TRY(part(g, CUDNN_BACKEND_TENSOR_DESCRIPTOR, out));
    SET(*out, TENSOR_UNIQUE_ID, INT64, 1, &uid);
    SET(*out, TENSOR_DATA_TYPE, DATA_TYPE, 1, &type);
    SET(*out, TENSOR_DIMENSIONS, INT64, 4, dim);
    SET(*out, TENSOR_STRIDES, INT64, 4, stride);
    SET(*out, TENSOR_BYTE_ALIGNMENT, INT64, 1, &alignment);
    SET(*out, TENSOR_IS_VIRTUAL, BOOLEAN, 1, &between);
    MU_TRY_CUDNN(cudnnBackendFinalize(*out));
    return MU_OK;
}

static mu_err window(mu_dnn_graph *g, const mu_cuda_conv_shape *shape, cudnnBackendDescriptor_t *out)
{
    const int64_t dimensions = 2;
    const cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
    MU_TRY(part(g, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, out));
    SET(*out, CONVOLUTION_COMP_TYPE, DATA_TYPE, 1, &f32);
    SET(*out, CONVOLUTION_CONV_MODE, CONVOLUTION_MODE, 1, &mode);
    SET(*out, CONVOLUTION_SPATIAL_DIMS, INT64, 1, &dimensions);
    SET(*out, CONVOLUTION_DILATIONS, INT64, 2, shape->dilation);
    SET(*out, CONVOLUTION_FILTER_STRIDES, INT64, 2, shape->stride);
    SET(*out, CONVOLUTION_PRE_PADDINGS, INT64, 2, shape->padding);
    SET(*out, CONVOLUTION_POST_PADDINGS, INT64, 2, shape->padding + 2);
    MU_TRY_CUDNN(cudnnBackendFinalize(*out));
    return MU_OK;
}

#define CONVOLUTION(type, prefix, x, w, y)                                                                                      \
    {CUDNN_BACKEND_OPERATION_CONVOLUTION_##type##_DESCRIPTOR, CUDNN_ATTR_OPERATION_CONVOLUTION_##prefix##_CONV_DESC,            \
     {CUDNN_ATTR_OPERATION_CONVOLUTION_##prefix##_##x, CUDNN_ATTR_OPERATION_CONVOLUTION_##prefix##_##w,                         \
      CUDNN_ATTR_OPERATION_CONVOLUTION_##prefix##_##y},                                                                         \
     {CUDNN_ATTR_OPERATION_CONVOLUTION_##prefix##_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_##prefix##_BETA}}
static const struct {
    cudnnBackendDescriptorType_t type;
    cudnnBackendAttributeName_t window, tensor[3], factor[2];
} convolutions[MU_CUDA_CONV_PRODUCTS] = {
    [MU_CUDA_CONV_FORWARD] = CONVOLUTION(FORWARD, FORWARD, X, W, Y),
    [MU_CUDA_CONV_GRAD_INPUT] = CONVOLUTION(BACKWARD_DATA, BWD_DATA, DX, W, DY),
    [MU_CUDA_CONV_GRAD_WEIGHT] = CONVOLUTION(BACKWARD_FILTER, BWD_FILTER, X, DW, DY),
};

mu_err mu_dnn_convolution(mu_dnn_graph *g, mu_cuda_conv_product product, const mu_cuda_conv_shape *shape, float beta, cudnnBackendDescriptor_t x,
                          cudnnBackendDescriptor_t w, cudnnBackendDescriptor_t y)
{
    const cudnnBackendDescriptor_t tensor[3] = {x, w, y};
    const float factor[2] = {1, beta};
    cudnnBackendDescriptor_t conv, op;
    MU_TRY(window(g, shape, &conv));
    MU_TRY(part(g, convolutions[product].type, &op));
    MU_TRY_CUDNN(cudnnBackendSetAttribute(op, convolutions[product].window, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &conv));
    for (int i = 0; i < 3; i++)
        MU_TRY_CUDNN(cudnnBackendSetAttribute(op, convolutions[product].tensor[i], CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &tensor[i]));
    for (int i = 0; i < 2; i++)
        MU_TRY_CUDNN(cudnnBackendSetAttribute(op, convolutions[product].factor[i], CUDNN_TYPE_FLOAT, 1, &factor[i]));
    MU_TRY(operation(g, op));
    return MU_OK;
}

mu_err mu_dnn_add_or_relu(mu_dnn_graph *g, cudnnBackendDescriptor_t a, cudnnBackendDescriptor_t b, cudnnBackendDescriptor_t y)
{
    const cudnnPointwiseMode_t mode = b ? CUDNN_POINTWISE_ADD : CUDNN_POINTWISE_RELU_FWD;
    const cudnnNanPropagation_t nan = CUDNN_PROPAGATE_NAN;
    cudnnBackendDescriptor_t pointwise, op;
    MU_TRY(part(g, CUDNN_BACKEND_POINTWISE_DESCRIPTOR, &pointwise));
    SET(pointwise, POINTWISE_MODE, POINTWISE_MODE, 1, &mode);
    SET(pointwise, POINTWISE_MATH_PREC, DATA_TYPE, 1, &f32);
    if (!b)
        SET(pointwise, POINTWISE_NAN_PROPAGATION, NAN_PROPOGATION, 1, &nan);
    MU_TRY_CUDNN(cudnnBackendFinalize(pointwise));
    MU_TRY(part(g, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, &op));
    SET(op, OPERATION_POINTWISE_PW_DESCRIPTOR, BACKEND_DESCRIPTOR, 1, &pointwise);
    SET(op, OPERATION_POINTWISE_XDESC, BACKEND_DESCRIPTOR, 1, &a);
    if (b)
        SET(op, OPERATION_POINTWISE_BDESC, BACKEND_DESCRIPTOR, 1, &b);
    SET(op, OPERATION_POINTWISE_YDESC, BACKEND_DESCRIPTOR, 1, &y);
    MU_TRY(operation(g, op));
    return MU_OK;
}

mu_err mu_dnn_graph_finish(mu_dnn_graph *g)
{
    MU_TRY(part(g, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, &g->graph));
    if (g->target.handle)
        SET(g->graph, OPERATIONGRAPH_HANDLE, HANDLE, 1, &g->target.handle);
    SET(g->graph, OPERATIONGRAPH_OPS, BACKEND_DESCRIPTOR, g->n_operations, g->operation);
    MU_TRY_CUDNN(cudnnBackendFinalize(g->graph));
    return MU_OK;
}

void mu_dnn_graph_release(mu_dnn_graph *g)
{
    while (g->n_parts > 0)
        mu_dnn_release(&g->part[--g->n_parts]);
}

/* ---- engines ---- */

const char *mu_dnn_engine_format(const mu_dnn_engine *engine, char name[MU_DNN_NAME])
{
    int at = snprintf(name, MU_DNN_NAME, "%lld", (long long)engine->number);
    for (int i = 0; i < engine->n_knobs && at < MU_DNN_NAME; i++)
        at += snprintf(name + at, (size_t)(MU_DNN_NAME - at), "%c%d=%lld", i ? ',' : ':', (int)engine->knob[i].type,
                       (long long)engine->knob[i].value);
    return name;
}

bool mu_dnn_engine_parse(const char *name, mu_dnn_engine *out)
{
    char *end;
    *out = (mu_dnn_engine){.number = strtoll(name, &end, 10)};
    bool good = end != name && (*end == ':' || !*end);
    while (good && *end) {
        const char *type = end + 1;
        long knob = strtol(type, &end, 10);
        good = end != type && *end == '=' && knob >= 0 && knob < 1000 && out->n_knobs < MU_DNN_KNOBS;
        if (good) {
            const char *value = end + 1;
            out->knob[out->n_knobs].type = (cudnnBackendKnobType_t)knob;
            out->knob[out->n_knobs++].value = strtoll(value, &end, 10);
            good = end != value && (*end == ',' || !*end);
        }
    }
    return good;
}

static mu_err read_knobs(cudnnBackendDescriptor_t config, cudnnBackendDescriptor_t *choice, mu_dnn_engine *out)
{
    int64_t n = 0, one;
    GET(config, ENGINECFG_KNOB_CHOICES, BACKEND_DESCRIPTOR, MU_DNN_KNOBS, &n, choice);
    out->n_knobs = n > MU_DNN_KNOBS ? MU_DNN_KNOBS : (int)n;
    for (int i = 0; i < out->n_knobs; i++) {
        GET(choice[i], KNOB_CHOICE_KNOB_TYPE, KNOB_TYPE, 1, &one, &out->knob[i].type);
        GET(choice[i], KNOB_CHOICE_KNOB_VALUE, INT64, 1, &one, &out->knob[i].value);
    }
    return MU_OK;
}

static mu_err read_engine(cudnnBackendDescriptor_t config, cudnnBackendDescriptor_t engine, mu_dnn_engine *out)
{
    cudnnBackendNumericalNote_t note[32];
    int64_t n = 0;
    GET(config, ENGINECFG_ENGINE, BACKEND_DESCRIPTOR, 1, &n, &engine);
    GET(engine, ENGINE_GLOBAL_INDEX, INT64, 1, &n, &out->number);
    GET(engine, ENGINE_NUMERICAL_NOTE, NUMERICAL_NOTE, 32, &n, note);
    out->notes = 0;
    for (int i = 0; i < 32 && i < n; i++)
        out->notes |= 1u << note[i];
    return MU_OK;
}

static mu_err read_config(cudnnBackendDescriptor_t config, mu_dnn_engine *out)
{
    cudnnBackendDescriptor_t engine, choice[MU_DNN_KNOBS];
    MU_TRY(create(CUDNN_BACKEND_ENGINE_DESCRIPTOR, &engine, 1));
    mu_err err = read_engine(config, engine, out);
    mu_dnn_release(&engine);
    MU_TRY(err);
    MU_TRY(create(CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR, choice, MU_DNN_KNOBS));
    err = read_knobs(config, choice, out);
    release_all(choice, MU_DNN_KNOBS);
    MU_TRY(err);
    return MU_OK;
}

static bool same_engine(const mu_dnn_engine *a, const mu_dnn_engine *b)
{
    bool same = a->number == b->number && a->n_knobs == b->n_knobs;
    for (int i = 0; same && i < a->n_knobs; i++)
        same = a->knob[i].type == b->knob[i].type && a->knob[i].value == b->knob[i].value;
    return same;
}

static mu_err append(cudnnBackendDescriptor_t config, unsigned refused, mu_dnn_engine *list, int *n)
{
    mu_dnn_engine engine;
    bool wanted;
    MU_TRY(read_config(config, &engine));
    wanted = !(engine.notes & refused);
    for (int i = 0; wanted && i < *n; i++)
        wanted = !same_engine(&list[i], &engine);
    if (wanted)
        list[(*n)++] = engine;
    return MU_OK;
}

enum { RESULTS = 64 };

static mu_err list_results(cudnnBackendDescriptor_t heuristics, cudnnBackendDescriptor_t *config, unsigned refused, mu_dnn_engine *list, int most,
                           int *n)
{
    int64_t found = 0;
    GET(heuristics, ENGINEHEUR_RESULTS, BACKEND_DESCRIPTOR, RESULTS, &found, config);
    for (int i = 0; i < found && i < RESULTS && *n < most; i++)
        MU_TRY(append(config[i], refused, list, n));
    return MU_OK;
}

static mu_err ask(const mu_dnn_graph *g, cudnnBackendHeurMode_t mode, cudnnBackendDescriptor_t heuristics)
{
    SET(heuristics, ENGINEHEUR_OPERATION_GRAPH, BACKEND_DESCRIPTOR, 1, &g->graph);
    SET(heuristics, ENGINEHEUR_MODE, HEUR_MODE, 1, &mode);
#if CUDNN_VERSION >= 90800
    if (g->target.device)
        SET(heuristics, ENGINEHEUR_DEVICEPROP, BACKEND_DESCRIPTOR, 1, &g->target.device);
#endif
    MU_TRY_CUDNN(cudnnBackendFinalize(heuristics));
    return MU_OK;
}

mu_err mu_dnn_engines(const mu_dnn_graph *g, cudnnBackendHeurMode_t mode, unsigned refused, mu_dnn_engine *list, int most, int *n)
{
    cudnnBackendDescriptor_t heuristics, config[RESULTS];
    MU_TRY(create(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, &heuristics, 1));
    mu_err err = ask(g, mode, heuristics);
    if (!err)
        err = create(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, config, RESULTS);
    if (!err) {
        err = list_results(heuristics, config, refused, list, most, n);
        release_all(config, RESULTS);
    }
    mu_dnn_release(&heuristics);
    MU_TRY(err);
    return MU_OK;
}

/* ---- plans ---- */

/* What becomes a plan, in this order; the plan holds on to what it needs of the others. */
typedef struct {
    cudnnBackendDescriptor_t engine, choice[MU_DNN_KNOBS], config, plan;
} steps;

static mu_err set_engine(const mu_dnn_graph *g, const mu_dnn_engine *engine, cudnnBackendDescriptor_t desc)
{
    SET(desc, ENGINE_OPERATION_GRAPH, BACKEND_DESCRIPTOR, 1, &g->graph);
    SET(desc, ENGINE_GLOBAL_INDEX, INT64, 1, &engine->number);
#if CUDNN_VERSION >= 90800
    if (g->target.device)
        SET(desc, ENGINE_DEVICEPROP, BACKEND_DESCRIPTOR, 1, &g->target.device);
#endif
    MU_TRY_CUDNN(cudnnBackendFinalize(desc));
    return MU_OK;
}

static mu_err set_config(const mu_dnn_engine *engine, steps *s)
{
    for (int i = 0; i < engine->n_knobs; i++) {
        SET(s->choice[i], KNOB_CHOICE_KNOB_TYPE, KNOB_TYPE, 1, &engine->knob[i].type);
        SET(s->choice[i], KNOB_CHOICE_KNOB_VALUE, INT64, 1, &engine->knob[i].value);
        MU_TRY_CUDNN(cudnnBackendFinalize(s->choice[i]));
    }
    SET(s->config, ENGINECFG_ENGINE, BACKEND_DESCRIPTOR, 1, &s->engine);
    if (engine->n_knobs)
        SET(s->config, ENGINECFG_KNOB_CHOICES, BACKEND_DESCRIPTOR, engine->n_knobs, s->choice);
    MU_TRY_CUDNN(cudnnBackendFinalize(s->config));
    return MU_OK;
}

static mu_err set_plan(const mu_dnn_graph *g, steps *s, size_t *workspace_bytes)
{
    int64_t n = 0, bytes = 0;
    if (g->target.handle)
        SET(s->plan, EXECUTION_PLAN_HANDLE, HANDLE, 1, &g->target.handle);
#if CUDNN_VERSION >= 90800
    if (g->target.device)
        SET(s->plan, EXECUTION_PLAN_DEVICEPROP, BACKEND_DESCRIPTOR, 1, &g->target.device);
#endif
    SET(s->plan, EXECUTION_PLAN_ENGINE_CONFIG, BACKEND_DESCRIPTOR, 1, &s->config);
    MU_TRY_CUDNN(cudnnBackendFinalize(s->plan));
    GET(s->plan, EXECUTION_PLAN_WORKSPACE_SIZE, INT64, 1, &n, &bytes);
    *workspace_bytes = (size_t)bytes;
    return MU_OK;
}

static mu_err make_plan(const mu_dnn_graph *g, const mu_dnn_engine *engine, steps *s, size_t *workspace_bytes)
{
    MU_TRY(create(CUDNN_BACKEND_ENGINE_DESCRIPTOR, &s->engine, 1));
    MU_TRY(create(CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR, s->choice, engine->n_knobs));
    MU_TRY(create(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, &s->config, 1));
    MU_TRY(create(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, &s->plan, 1));
    MU_TRY(set_engine(g, engine, s->engine));
    MU_TRY(set_config(engine, s));
    MU_TRY(set_plan(g, s, workspace_bytes));
    return MU_OK;
}

mu_err mu_dnn_plan(const mu_dnn_graph *g, const mu_dnn_engine *engine, cudnnBackendDescriptor_t *out, size_t *workspace_bytes)
{
    steps s = {0};
    mu_err err = make_plan(g, engine, &s, workspace_bytes);
    mu_dnn_release(&s.engine);
    release_all(s.choice, engine->n_knobs);
    mu_dnn_release(&s.config);
    if (err)
        mu_dnn_release(&s.plan);
    else
        *out = s.plan;
    return err;
}

static mu_err set_addresses(const int64_t *uid, void *const *address, int n, void *workspace, cudnnBackendDescriptor_t pack)
{
    SET(pack, VARIANT_PACK_UNIQUE_IDS, INT64, n, uid);
    SET(pack, VARIANT_PACK_DATA_POINTERS, VOID_PTR, n, address);
    SET(pack, VARIANT_PACK_WORKSPACE, VOID_PTR, 1, &workspace);
    MU_TRY_CUDNN(cudnnBackendFinalize(pack));
    return MU_OK;
}

mu_err mu_dnn_addresses(const int64_t *uid, void *const *address, int n, void *workspace, cudnnBackendDescriptor_t *out)
{
    cudnnBackendDescriptor_t pack;
    MU_TRY(create(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, &pack, 1));
    mu_err err = set_addresses(uid, address, n, workspace, pack);
    if (err)
        mu_dnn_release(&pack);
    else
        *out = pack;
    return err;
}
