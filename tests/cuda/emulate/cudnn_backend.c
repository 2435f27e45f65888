/* cuDNN's graphs: descriptors whose attributes are checked to the letter, graphs of one convolution and what may follow it, a few engines, plans. */
#include "emulate_cudnn.h"

#include <stdlib.h>
#include <string.h>

/* ---- attributes ---- */

typedef cudnnBackendAttributeName_t attribute;
typedef cudnnBackendAttributeType_t value_type;

/* What a kind of descriptor holds: from least to most values. least 0: it need not be set. of: the kind of a descriptor, -1: any operation. */
typedef struct {
    cudnnBackendDescriptorType_t kind;
    attribute name;
    value_type type;
    int least, most, of;
} rule;

#define TENSOR CUDNN_BACKEND_TENSOR_DESCRIPTOR
#define RULE(kind, name, type, least, most, of) {CUDNN_BACKEND_##kind##_DESCRIPTOR, CUDNN_ATTR_##name, CUDNN_TYPE_##type, least, most, of}
#define CONVOLUTION(kind, prefix, x, w, y)                                                                       \
    RULE(OPERATION_CONVOLUTION_##kind, OPERATION_CONVOLUTION_##prefix##_##x, BACKEND_DESCRIPTOR, 1, 1, TENSOR),  \
        RULE(OPERATION_CONVOLUTION_##kind, OPERATION_CONVOLUTION_##prefix##_##w, BACKEND_DESCRIPTOR, 1, 1, TENSOR), \
        RULE(OPERATION_CONVOLUTION_##kind, OPERATION_CONVOLUTION_##prefix##_##y, BACKEND_DESCRIPTOR, 1, 1, TENSOR), \
        RULE(OPERATION_CONVOLUTION_##kind, OPERATION_CONVOLUTION_##prefix##_CONV_DESC, BACKEND_DESCRIPTOR, 1, 1,    \
             CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR),                                                              \
        RULE(OPERATION_CONVOLUTION_##kind, OPERATION_CONVOLUTION_##prefix##_ALPHA, FLOAT, 1, 1, 0),              \
        RULE(OPERATION_CONVOLUTION_##kind, OPERATION_CONVOLUTION_##prefix##_BETA, FLOAT, 1, 1, 0)

static const rule rules[] = {
    RULE(TENSOR, TENSOR_UNIQUE_ID, INT64, 1, 1, 0),
    RULE(TENSOR, TENSOR_DATA_TYPE, DATA_TYPE, 1, 1, 0),
    RULE(TENSOR, TENSOR_DIMENSIONS, INT64, 4, 4, 0),
    RULE(TENSOR, TENSOR_STRIDES, INT64, 4, 4, 0),
    RULE(TENSOR, TENSOR_BYTE_ALIGNMENT, INT64, 1, 1, 0),
    RULE(TENSOR, TENSOR_IS_VIRTUAL, BOOLEAN, 0, 1, 0),
    RULE(CONVOLUTION, CONVOLUTION_COMP_TYPE, DATA_TYPE, 1, 1, 0),
    RULE(CONVOLUTION, CONVOLUTION_CONV_MODE, CONVOLUTION_MODE, 1, 1, 0),
    RULE(CONVOLUTION, CONVOLUTION_SPATIAL_DIMS, INT64, 1, 1, 0),
    RULE(CONVOLUTION, CONVOLUTION_DILATIONS, INT64, 2, 2, 0),
    RULE(CONVOLUTION, CONVOLUTION_FILTER_STRIDES, INT64, 2, 2, 0),
    RULE(CONVOLUTION, CONVOLUTION_PRE_PADDINGS, INT64, 2, 2, 0),
    RULE(CONVOLUTION, CONVOLUTION_POST_PADDINGS, INT64, 2, 2, 0),
    CONVOLUTION(FORWARD, FORWARD, X, W, Y),
    CONVOLUTION(BACKWARD_DATA, BWD_DATA, DX, W, DY),
    CONVOLUTION(BACKWARD_FILTER, BWD_FILTER, X, DW, DY),
    RULE(POINTWISE, POINTWISE_MODE, POINTWISE_MODE, 1, 1, 0),
    RULE(POINTWISE, POINTWISE_MATH_PREC, DATA_TYPE, 1, 1, 0),
    RULE(POINTWISE, POINTWISE_NAN_PROPAGATION, NAN_PROPOGATION, 0, 1, 0),
    RULE(OPERATION_POINTWISE, OPERATION_POINTWISE_PW_DESCRIPTOR, BACKEND_DESCRIPTOR, 1, 1, CUDNN_BACKEND_POINTWISE_DESCRIPTOR),
    RULE(OPERATION_POINTWISE, OPERATION_POINTWISE_XDESC, BACKEND_DESCRIPTOR, 1, 1, TENSOR),
    RULE(OPERATION_POINTWISE, OPERATION_POINTWISE_BDESC, BACKEND_DESCRIPTOR, 0, 1, TENSOR),
    RULE(OPERATION_POINTWISE, OPERATION_POINTWISE_YDESC, BACKEND_DESCRIPTOR, 1, 1, TENSOR),
    RULE(OPERATIONGRAPH, OPERATIONGRAPH_HANDLE, HANDLE, 1, 1, 0),
    RULE(OPERATIONGRAPH, OPERATIONGRAPH_OPS, BACKEND_DESCRIPTOR, 1, 8, -1),
    RULE(ENGINEHEUR, ENGINEHEUR_OPERATION_GRAPH, BACKEND_DESCRIPTOR, 1, 1, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR),
    RULE(ENGINEHEUR, ENGINEHEUR_MODE, HEUR_MODE, 1, 1, 0),
    RULE(ENGINE, ENGINE_OPERATION_GRAPH, BACKEND_DESCRIPTOR, 1, 1, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR),
    RULE(ENGINE, ENGINE_GLOBAL_INDEX, INT64, 1, 1, 0),
    RULE(KNOB_CHOICE, KNOB_CHOICE_KNOB_TYPE, KNOB_TYPE, 1, 1, 0),
    RULE(KNOB_CHOICE, KNOB_CHOICE_KNOB_VALUE, INT64, 1, 1, 0),
    RULE(ENGINECFG, ENGINECFG_ENGINE, BACKEND_DESCRIPTOR, 1, 1, CUDNN_BACKEND_ENGINE_DESCRIPTOR),
    RULE(ENGINECFG, ENGINECFG_KNOB_CHOICES, BACKEND_DESCRIPTOR, 0, 8, CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR),
    RULE(EXECUTION_PLAN, EXECUTION_PLAN_HANDLE, HANDLE, 1, 1, 0),
    RULE(EXECUTION_PLAN, EXECUTION_PLAN_ENGINE_CONFIG, BACKEND_DESCRIPTOR, 1, 1, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR),
    RULE(VARIANT_PACK, VARIANT_PACK_UNIQUE_IDS, INT64, 1, 8, 0),
    RULE(VARIANT_PACK, VARIANT_PACK_DATA_POINTERS, VOID_PTR, 1, 8, 0),
    RULE(VARIANT_PACK, VARIANT_PACK_WORKSPACE, VOID_PTR, 1, 1, 0),
};
enum { N_RULES = sizeof rules / sizeof *rules, SLOTS = 8, VALUES = 8 };

/* ---- descriptors ---- */

typedef struct descriptor descriptor;
struct descriptor {
    cudnnBackendDescriptorType_t kind;
    bool final;
    int users; /* the maker, and the descriptors that hold it */
    int n_slots;
    struct {
        const rule *rule;
        int n;
        uint64_t value[VALUES]; /* packed, as they were given */
    } slot[SLOTS];
    emulate_conv conv;      /* OPERATIONGRAPH: what it computes */
    int64_t uid[5];         /* of x, w, y, bias, z; 0: there is none */
    int64_t alignment[5];
    bool known;             /* OPERATIONGRAPH: there are engines for it */
    size_t workspace_bytes; /* EXECUTION_PLAN */
};

static cudnnStatus_t bad(const char *why)
{
    return emulate_cudnn_error(CUDNN_STATUS_BAD_PARAM, why);
}

static size_t size_of(value_type type)
{
    switch (type) {
    case CUDNN_TYPE_BOOLEAN: return sizeof(bool);
    case CUDNN_TYPE_HANDLE:
    case CUDNN_TYPE_INT64:
    case CUDNN_TYPE_DOUBLE:
    case CUDNN_TYPE_VOID_PTR:
    case CUDNN_TYPE_BACKEND_DESCRIPTOR: return 8;
    default: return 4;
    }
}

static const void *values(const descriptor *d, attribute name, int *n)
{
    for (int i = 0; i < d->n_slots; i++)
        if (d->slot[i].rule->name == name) {
            *n = d->slot[i].n;
            return d->slot[i].value;
        }
    *n = 0;
    return NULL;
}

static int64_t number(const descriptor *d, attribute name, int i)
{
    int n;
    const int64_t *all = values(d, name, &n);
    return i < n ? all[i] : 0;
}

static int choice_of(const descriptor *d, attribute name, int none)
{
    int n;
    const int *all = values(d, name, &n);
    return n ? *all : none;
}

static descriptor *child(const descriptor *d, attribute name, int i)
{
    int n;
    descriptor *const *all = values(d, name, &n);
    return i < n ? all[i] : NULL;
}

static void leave(descriptor *d)
{
    if (--d->users > 0)
        return;
    for (int i = 0; i < d->n_slots; i++)
        for (int k = 0; d->slot[i].rule->type == CUDNN_TYPE_BACKEND_DESCRIPTOR && k < d->slot[i].n; k++)
            leave((descriptor *)(uintptr_t)d->slot[i].value[k]);
    free(d);
}

cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t kind, cudnnBackendDescriptor_t *out)
{
    descriptor *d = calloc(1, sizeof *d);
    if (d == NULL)
        return CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED;
    d->kind = kind;
    d->users = 1;
    *out = d;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t d)
{
    if (d == NULL)
        return bad("there is no descriptor");
    leave(d);
    return CUDNN_STATUS_SUCCESS;
}

static bool is_operation(const descriptor *d)
{
    return d->kind >= CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR && d->kind <= CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR;
}

/* Puts one value of a descriptor that is not final yet. */
static void put(descriptor *d, const rule *r, int n, const void *from)
{
    int i = 0;
    while (i < d->n_slots && d->slot[i].rule != r)
        i++;
    d->n_slots += i == d->n_slots;
    d->slot[i].rule = r;
    d->slot[i].n = n;
    memcpy(d->slot[i].value, from, (size_t)n * size_of(r->type));
    for (int k = 0; r->type == CUDNN_TYPE_BACKEND_DESCRIPTOR && k < n; k++)
        ((descriptor *)(uintptr_t)d->slot[i].value[k])->users++;
}

static const rule *rule_of(const descriptor *d, attribute name)
{
    for (int i = 0; i < N_RULES; i++)
        if (rules[i].kind == d->kind && rules[i].name == name)
            return &rules[i];
    return NULL;
}

cudnnStatus_t cudnnBackendSetAttribute(cudnnBackendDescriptor_t to, attribute name, value_type type, int64_t n, const void *from)
{
    descriptor *d = to;
    const rule *r = d != NULL ? rule_of(d, name) : NULL;
    int had;
    if (r == NULL || r->type != type)
        return bad("the descriptor has no such attribute of this type");
    if (d->final || values(d, name, &had) != NULL)
        return bad("the attribute of a descriptor is set twice, or when it is final");
    if (n < (r->least > 0 ? r->least : 1) || n > r->most || from == NULL)
        return bad("there are too few or too many values");
    for (int i = 0; type == CUDNN_TYPE_BACKEND_DESCRIPTOR && i < n; i++) {
        const descriptor *c = ((descriptor *const *)from)[i];
        if (c == NULL || !c->final || (r->of < 0 ? !is_operation(c) : (int)c->kind != r->of))
            return bad("a descriptor is of another kind, or not final");
    }
    put(d, r, (int)n, from);
    return CUDNN_STATUS_SUCCESS;
}

/* ---- graphs: a convolution; or one forward, then + z if any, + bias, ReLU if any ---- */

static cudnnStatus_t check_tensor(const descriptor *d)
{
    int type = choice_of(d, CUDNN_ATTR_TENSOR_DATA_TYPE, 0);
    int64_t alignment = number(d, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, 0), size = type == CUDNN_DATA_FLOAT ? 4 : 2;
    if (type != CUDNN_DATA_FLOAT && type != CUDNN_DATA_HALF && type != CUDNN_DATA_BFLOAT16)
        return bad("the emulated cuDNN has no tensors of this type");
    if (alignment < size || (alignment & (alignment - 1)) != 0)
        return bad("the alignment is no power of two, or less than an element");
    for (int i = 0; i < 4; i++)
        if (number(d, CUDNN_ATTR_TENSOR_DIMENSIONS, i) < 1 || number(d, CUDNN_ATTR_TENSOR_STRIDES, i) < 1)
            return bad("a dimension or a stride is not positive");
    return CUDNN_STATUS_SUCCESS;
}

static cudnnStatus_t check_window(const descriptor *d)
{
    if (choice_of(d, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, -1) != CUDNN_DATA_FLOAT ||
        choice_of(d, CUDNN_ATTR_CONVOLUTION_CONV_MODE, -1) != CUDNN_CROSS_CORRELATION || number(d, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, 0) != 2)
        return bad("the emulated cuDNN correlates in f32 and two dimensions only");
    for (int i = 0; i < 2; i++)
        if (number(d, CUDNN_ATTR_CONVOLUTION_DILATIONS, i) < 1 || number(d, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, i) < 1 ||
            number(d, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, i) < 0 ||
            number(d, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, i) != number(d, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, i))
            return bad("a padding is negative or uneven, or a stride or a dilation not positive");
    return CUDNN_STATUS_SUCCESS;
}

static emulate_tensor tensor_of(const descriptor *d)
{
    emulate_tensor t = {.type = (cudnnDataType_t)choice_of(d, CUDNN_ATTR_TENSOR_DATA_TYPE, 0)};
    for (int i = 0; i < 4; i++) {
        t.dim[i] = number(d, CUDNN_ATTR_TENSOR_DIMENSIONS, i);
        t.stride[i] = number(d, CUDNN_ATTR_TENSOR_STRIDES, i);
    }
    return t;
}

static bool is_virtual(const descriptor *tensor)
{
    int n;
    const bool *value = values(tensor, CUDNN_ATTR_TENSOR_IS_VIRTUAL, &n);
    return n && *value;
}

static bool same_shape(const descriptor *a, const descriptor *b)
{
    for (int i = 0; i < 4; i++)
        if (number(a, CUDNN_ATTR_TENSOR_DIMENSIONS, i) != number(b, CUDNN_ATTR_TENSOR_DIMENSIONS, i))
            return false;
    return true;
}

enum { X, W, Y, BIAS, Z, TENSORS };

static cudnnStatus_t note(descriptor *graph, int which, const descriptor *tensor)
{
    int64_t uid = number(tensor, CUDNN_ATTR_TENSOR_UNIQUE_ID, 0);
    for (int i = 0; i < TENSORS; i++)
        if (uid == 0 || graph->uid[i] == uid)
            return bad("two tensors have the same identifier, or none");
    graph->uid[which] = uid;
    graph->alignment[which] = number(tensor, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, 0);
    emulate_conv *c = &graph->conv;
    *(emulate_tensor *[]){&c->x, &c->w, &c->y, &c->bias, &c->z}[which] = tensor_of(tensor);
    return CUDNN_STATUS_SUCCESS;
}

#define NAMES(prefix, x, w, y)                                                                                     \
    {CUDNN_ATTR_OPERATION_CONVOLUTION_##prefix##_##x, CUDNN_ATTR_OPERATION_CONVOLUTION_##prefix##_##w,             \
     CUDNN_ATTR_OPERATION_CONVOLUTION_##prefix##_##y, CUDNN_ATTR_OPERATION_CONVOLUTION_##prefix##_CONV_DESC,       \
     CUDNN_ATTR_OPERATION_CONVOLUTION_##prefix##_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_##prefix##_BETA}

/* *at: the virtual result, from which the graph goes on; NULL: there is none. */
static cudnnStatus_t read_convolution(descriptor *graph, const descriptor *op, const descriptor **at)
{
    static const attribute names[3][6] = {NAMES(FORWARD, X, W, Y), NAMES(BWD_DATA, DX, W, DY), NAMES(BWD_FILTER, X, DW, DY)};
    emulate_conv *c = &graph->conv;
    int n;
    c->way = op->kind == CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR         ? EMULATE_FORWARD
             : op->kind == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR ? EMULATE_TO_DATA
                                                                                        : EMULATE_TO_FILTER;
    const attribute *name = names[c->way];
    const descriptor *window = child(op, name[3], 0), *y = child(op, name[Y], 0);
    const float *alpha = values(op, name[4], &n), *beta = values(op, name[5], &n);
    for (int i = 0; i < 2; i++) {
        c->pad[i] = number(window, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, i);
        c->stride[i] = number(window, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, i);
        c->dilation[i] = number(window, CUDNN_ATTR_CONVOLUTION_DILATIONS, i);
    }
    c->beta = *beta;
    if (*alpha != 1 || is_virtual(child(op, name[X], 0)) || is_virtual(child(op, name[W], 0)))
        return bad("x or w is virtual, or the sum has a factor");
    for (int i = 0; i < 3; i++)
        if (i != Y || !is_virtual(y)) {
            cudnnStatus_t status = note(graph, i, child(op, name[i], 0));
            if (status != CUDNN_STATUS_SUCCESS)
                return status;
        }
    *at = is_virtual(y) ? y : NULL;
    return CUDNN_STATUS_SUCCESS;
}

static cudnnStatus_t read_pointwise(descriptor *graph, const descriptor *op, const descriptor **at)
{
    const descriptor *how = child(op, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, 0), *x = child(op, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, 0),
                     *b = child(op, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, 0), *y = child(op, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, 0);
    cudnnStatus_t status = CUDNN_STATUS_SUCCESS;
    int mode = choice_of(how, CUDNN_ATTR_POINTWISE_MODE, -1);
    if (*at == NULL || number(x, CUDNN_ATTR_TENSOR_UNIQUE_ID, 0) != number(*at, CUDNN_ATTR_TENSOR_UNIQUE_ID, 0) || !same_shape(x, y) ||
        choice_of(how, CUDNN_ATTR_POINTWISE_MATH_PREC, -1) != CUDNN_DATA_FLOAT)
        return bad("an operation does not begin where the one before it ends, or changes the shape, or is not in f32");
    if (mode == CUDNN_POINTWISE_RELU_FWD && b == NULL) {
        if (choice_of(how, CUDNN_ATTR_POINTWISE_NAN_PROPAGATION, 0) != CUDNN_PROPAGATE_NAN || graph->conv.relu || !graph->uid[BIAS])
            graph->known = false;
        graph->conv.relu = true;
    } else if (mode == CUDNN_POINTWISE_ADD && b != NULL && !is_virtual(b)) {
        bool residual = same_shape(b, y) && graph->uid[Z] == 0 && graph->uid[BIAS] == 0;
        for (int i = 0; !residual && i < 4; i++)
            if (number(b, CUDNN_ATTR_TENSOR_DIMENSIONS, i) != (i == 1 ? number(y, CUDNN_ATTR_TENSOR_DIMENSIONS, 1) : 1))
                return bad("b is neither of the sum's shape nor [1,C,1,1]");
        graph->known = graph->known && graph->conv.way == EMULATE_FORWARD && !graph->conv.relu && (residual || !graph->uid[BIAS]);
        status = note(graph, residual ? Z : BIAS, b);
    } else {
        return bad("the operation has too few or too many operands");
    }
    if (status == CUDNN_STATUS_SUCCESS && !is_virtual(y))
        status = note(graph, Y, y);
    *at = is_virtual(y) ? y : NULL;
    return status;
}

static cudnnStatus_t read_graph(descriptor *graph)
{
    const descriptor *op, *at = NULL;
    cudnnStatus_t status = CUDNN_STATUS_SUCCESS;
    graph->known = true;
    for (int i = 0; (op = child(graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, i)) != NULL && status == CUDNN_STATUS_SUCCESS; i++) {
        bool pointwise = op->kind == CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR;
        if (pointwise != (i > 0))
            return emulate_cudnn_error(CUDNN_STATUS_NOT_SUPPORTED, "the emulated cuDNN begins with one convolution, and has no other");
        status = pointwise ? read_pointwise(graph, op, &at) : read_convolution(graph, op, &at);
    }
    if (status != CUDNN_STATUS_SUCCESS)
        return status;
    if (at != NULL)
        return bad("the last result is virtual");
    if (graph->uid[BIAS] && graph->conv.beta != 0)
        return bad("the result of the convolution is to be added to, but virtual");
    if (graph->uid[Z])
        graph->conv.beta = 1;
    if (child(graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, 1) != NULL && !graph->uid[BIAS])
        graph->known = false;
    return emulate_conv_check(&graph->conv);
}

/* ---- engines: 0 takes anything; 3 has tensor cores, knobs, and no odd channels; 4 does not repeat its bits; 7 sums badly; 9 wants too much ---- */

static const struct {
    int64_t number;
    int n_notes;
    cudnnBackendNumericalNote_t note;
} engines[] = {
    {0, 1, CUDNN_NUMERICAL_NOTE_STRICT_NAN_PROP},
    {3, 1, CUDNN_NUMERICAL_NOTE_TENSOR_CORE},
    {4, 1, CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC},
    {7, 1, CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION},
    {9, 0, CUDNN_NUMERICAL_NOTE_TENSOR_CORE},
};
enum { N_ENGINES = sizeof engines / sizeof *engines };

static const struct {
    cudnnBackendHeurMode_t mode;
    int64_t engine;
    int tile, tile_k; /* < 0: none */
} lists[] = {
    {CUDNN_HEUR_MODE_A, 7, -1, -1}, {CUDNN_HEUR_MODE_A, 3, 3, 1},  {CUDNN_HEUR_MODE_A, 3, 2, 0},         {CUDNN_HEUR_MODE_A, 3, 0, 1},
    {CUDNN_HEUR_MODE_A, 4, -1, -1}, {CUDNN_HEUR_MODE_A, 0, -1, -1}, {CUDNN_HEUR_MODE_FALLBACK, 9, -1, -1}, {CUDNN_HEUR_MODE_FALLBACK, 0, -1, -1},
};
enum { N_LISTED = sizeof lists / sizeof *lists };

static const descriptor *graph_of_engine(const descriptor *engine)
{
    return child(engine, CUDNN_ATTR_ENGINE_OPERATION_GRAPH, 0);
}

static cudnnStatus_t check_engine(const descriptor *d)
{
    int64_t index = number(d, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, 0);
    const descriptor *graph = graph_of_engine(d);
    for (int i = 0; i < N_ENGINES; i++)
        if (engines[i].number == index && graph->known && (index != 4 || graph->conv.way != EMULATE_FORWARD))
            return CUDNN_STATUS_SUCCESS;
    return emulate_cudnn_error(CUDNN_STATUS_NOT_SUPPORTED, "there is no such engine for this graph");
}

static cudnnStatus_t check_config(const descriptor *d)
{
    const descriptor *engine = child(d, CUDNN_ATTR_ENGINECFG_ENGINE, 0), *knob;
    const emulate_conv *c = &graph_of_engine(engine)->conv;
    bool tensor_cores = number(engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, 0) == 3;
    int n = 0;
    for (; (knob = child(d, CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, n)) != NULL; n++) {
        int type = choice_of(knob, CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, -1);
        int64_t value = number(knob, CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, 0);
        if ((type != CUDNN_KNOB_TYPE_TILE_SIZE && type != CUDNN_KNOB_TYPE_TILEK) || value < 0 || value > (type == CUDNN_KNOB_TYPE_TILEK ? 1 : 3))
            return emulate_cudnn_error(CUDNN_STATUS_NOT_SUPPORTED, "the engine has no such knob, or it has no such place");
    }
    if (n != 0 && (n != 2 || !tensor_cores))
        return emulate_cudnn_error(CUDNN_STATUS_NOT_SUPPORTED, "the engine has another number of knobs");
    if (tensor_cores && c->x.type != CUDNN_DATA_FLOAT && (c->w.dim[1] % 8 != 0 || c->w.dim[0] / c->groups % 8 != 0))
        return emulate_cudnn_error(CUDNN_STATUS_NOT_SUPPORTED, "tensor cores want 8 channels at a time");
    return CUDNN_STATUS_SUCCESS;
}

static int64_t knob(const descriptor *config, int i)
{
    const descriptor *choice = child(config, CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, i);
    return choice != NULL ? number(choice, CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, 0) : 0;
}

static cudnnStatus_t check_plan(descriptor *d)
{
    const descriptor *config = child(d, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, 0), *engine = child(config, CUDNN_ATTR_ENGINECFG_ENGINE, 0);
    int64_t index = number(engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, 0);
    if (index == 3 && knob(config, 0) == 3 && knob(config, 1) == 1)
        return emulate_cudnn_error(CUDNN_STATUS_NOT_SUPPORTED, "these knobs want too much shared memory");
    d->workspace_bytes = index == 3 ? (size_t)(1 + knob(config, 0)) * 4096 : index == 9 ? (size_t)1 << 40 : 0;
    return CUDNN_STATUS_SUCCESS;
}

static cudnnStatus_t check_addresses(const descriptor *d)
{
    int n, m;
    (void)values(d, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, &n);
    (void)values(d, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, &m);
    return n == m ? CUDNN_STATUS_SUCCESS : bad("there are more identifiers than addresses, or fewer");
}

cudnnStatus_t cudnnBackendFinalize(cudnnBackendDescriptor_t what)
{
    descriptor *d = what;
    cudnnStatus_t status = CUDNN_STATUS_SUCCESS;
    int n;
    if (d == NULL || d->final)
        return bad("there is no descriptor, or it is final already");
    for (int i = 0; i < N_RULES; i++)
        if (rules[i].kind == d->kind && rules[i].least > 0 && values(d, rules[i].name, &n) == NULL)
            return bad("an attribute is missing");
    switch (d->kind) {
    case CUDNN_BACKEND_TENSOR_DESCRIPTOR: status = check_tensor(d); break;
    case CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR: status = check_window(d); break;
    case CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR: status = read_graph(d); break;
    case CUDNN_BACKEND_ENGINE_DESCRIPTOR: status = check_engine(d); break;
    case CUDNN_BACKEND_ENGINECFG_DESCRIPTOR: status = check_config(d); break;
    case CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR: status = check_plan(d); break;
    case CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR: status = check_addresses(d); break;
    default: break;
    }
    d->final = status == CUDNN_STATUS_SUCCESS;
    return status;
}

/* ---- what descriptors tell ---- */

/* A new descriptor with these attributes; it may be refused, as the library does with its own lists. */
static descriptor *made(cudnnBackendDescriptorType_t kind, const attribute *names, const void *const *from, const int *n, int n_names)
{
    cudnnBackendDescriptor_t d;
    if (cudnnBackendCreateDescriptor(kind, &d) != CUDNN_STATUS_SUCCESS)
        return NULL;
    for (int i = 0; i < n_names; i++)
        if (n[i] > 0)
            put(d, rule_of(d, names[i]), n[i], from[i]);
    ((descriptor *)d)->final = true;
    return d;
}

static descriptor *config_listed(descriptor *graph, int i)
{
    static const attribute engine_names[] = {CUDNN_ATTR_ENGINE_OPERATION_GRAPH, CUDNN_ATTR_ENGINE_GLOBAL_INDEX},
                           knob_names[] = {CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE},
                           config_names[] = {CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_ATTR_ENGINECFG_KNOB_CHOICES};
    static const cudnnBackendKnobType_t types[] = {CUDNN_KNOB_TYPE_TILE_SIZE, CUDNN_KNOB_TYPE_TILEK};
    const int64_t places[] = {lists[i].tile, lists[i].tile_k};
    descriptor *knobs[2], *engine = made(CUDNN_BACKEND_ENGINE_DESCRIPTOR, engine_names, (const void *[]){&graph, &lists[i].engine}, (int[]){1, 1}, 2);
    int n_knobs = lists[i].tile < 0 ? 0 : 2;
    for (int k = 0; k < n_knobs; k++)
        knobs[k] = made(CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR, knob_names, (const void *[]){&types[k], &places[k]}, (int[]){1, 1}, 2);
    descriptor *config = made(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, config_names, (const void *[]){&engine, knobs}, (int[]){1, n_knobs}, 2);
    leave(engine);
    for (int k = 0; k < n_knobs; k++)
        leave(knobs[k]);
    return config;
}

/* `to` is an empty descriptor, which becomes the same as `from`. */
static cudnnStatus_t fill(descriptor *to, const descriptor *from)
{
    if (to == NULL || to->kind != from->kind || to->final || to->n_slots > 0)
        return bad("the descriptor to be filled is of another kind, or not empty");
    for (int i = 0; i < from->n_slots; i++)
        put(to, from->slot[i].rule, from->slot[i].n, from->slot[i].value);
    to->final = true;
    return CUDNN_STATUS_SUCCESS;
}

static cudnnStatus_t results(const descriptor *d, int64_t wanted, int64_t *n, descriptor **to)
{
    descriptor *graph = child(d, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, 0);
    int mode = choice_of(d, CUDNN_ATTR_ENGINEHEUR_MODE, -1);
    cudnnStatus_t status = CUDNN_STATUS_SUCCESS;
    *n = 0;
    for (int i = 0; i < N_LISTED && graph->known && status == CUDNN_STATUS_SUCCESS; i++) {
        bool listed = (int)lists[i].mode == mode && (lists[i].engine != 4 || graph->conv.way != EMULATE_FORWARD);
        if (listed && *n < wanted) {
            descriptor *config = config_listed(graph, i);
            status = fill(to[*n], config);
            leave(config);
        }
        *n += listed && (*n < wanted || wanted == 0);
    }
    return status;
}

cudnnStatus_t cudnnBackendGetAttribute(cudnnBackendDescriptor_t from, attribute name, value_type type, int64_t wanted, int64_t *n, void *to)
{
    const descriptor *d = from;
    const rule *r = d != NULL ? rule_of(d, name) : NULL;
    int has = 0;
    if (d == NULL || !d->final || n == NULL || (wanted > 0 && to == NULL))
        return bad("there is no descriptor, or it is not final, or nowhere to put its values");
    if (d->kind == CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR && name == CUDNN_ATTR_ENGINEHEUR_RESULTS && type == CUDNN_TYPE_BACKEND_DESCRIPTOR)
        return results(d, wanted, n, to);
    if (d->kind == CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR && name == CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE && type == CUDNN_TYPE_INT64 &&
        wanted == 1) {
        *(int64_t *)to = (int64_t)d->workspace_bytes;
        *n = 1;
        return CUDNN_STATUS_SUCCESS;
    }
    if (d->kind == CUDNN_BACKEND_ENGINE_DESCRIPTOR && name == CUDNN_ATTR_ENGINE_NUMERICAL_NOTE && type == CUDNN_TYPE_NUMERICAL_NOTE) {
        *n = 0;
        for (int i = 0; i < N_ENGINES && wanted > 0; i++)
            if (engines[i].number == number(d, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, 0) && engines[i].n_notes > 0) {
                *(cudnnBackendNumericalNote_t *)to = engines[i].note;
                *n = 1;
            }
        return CUDNN_STATUS_SUCCESS;
    }
    if (r == NULL || r->type != type)
        return bad("the descriptor has no such attribute of this type");
    const void *all = values(d, name, &has);
    *n = has < wanted ? has : wanted;
    if (type != CUDNN_TYPE_BACKEND_DESCRIPTOR && *n > 0)
        memcpy(to, all, (size_t)*n * size_of(type));
    for (int i = 0; type == CUDNN_TYPE_BACKEND_DESCRIPTOR && i < *n; i++) {
        cudnnStatus_t status = fill(((descriptor **)to)[i], ((descriptor *const *)all)[i]);
        if (status != CUDNN_STATUS_SUCCESS)
            return status;
    }
    return CUDNN_STATUS_SUCCESS;
}

/* ---- runs ---- */

cudnnStatus_t cudnnBackendExecute(cudnnHandle_t handle, cudnnBackendDescriptor_t plan_, cudnnBackendDescriptor_t addresses_)
{
    const descriptor *plan = plan_, *addresses = addresses_;
    if (handle == NULL || plan == NULL || !plan->final || plan->kind != CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR || addresses == NULL ||
        !addresses->final || addresses->kind != CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR)
        return bad("there is no plan or no addresses, or they are not final");
    const descriptor *engine = child(child(plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, 0), CUDNN_ATTR_ENGINECFG_ENGINE, 0),
                     *graph = graph_of_engine(engine);
    emulate_conv c = graph->conv;
    void *address[TENSORS] = {NULL};
    int n, known = 0, m;
    const int64_t *uid = values(addresses, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, &n);
    void *const *given = values(addresses, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, &n);
    for (int i = 0; i < n; i++)
        for (int k = 0; k < TENSORS; k++)
            if (graph->uid[k] == uid[i] && address[k] == NULL) {
                if ((uintptr_t)given[i] % (uintptr_t)graph->alignment[k] != 0)
                    return emulate_cudnn_error(CUDNN_STATUS_BAD_PARAM_MISALIGNED_POINTER, "an address is not aligned as its tensor says");
                address[k] = given[i];
                known++;
            }
    for (int k = 0; k < TENSORS; k++)
        if (graph->uid[k] && address[k] == NULL)
            return emulate_cudnn_error(CUDNN_STATUS_BAD_PARAM_NULL_POINTER, "a tensor has no address");
    if (known != n)
        return bad("an address is of no tensor, or two are of the same");
    c.px = address[X];
    c.pw = address[W];
    c.py = address[Y];
    c.pbias = address[BIAS];
    c.pz = address[Z];
    c.workspace = *(void *const *)values(addresses, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, &m);
    c.workspace_bytes = plan->workspace_bytes;
    c.tf32 = number(engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, 0) == 3 && c.x.type == CUDNN_DATA_FLOAT;
    c.rough = number(engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, 0) == 7;
    if (c.workspace_bytes > 0 && c.workspace == NULL)
        return emulate_cudnn_error(CUDNN_STATUS_BAD_PARAM_NULL_POINTER, "there is no workspace");
    if (emulate_submit(handle->stream, emulate_conv_run, &c, sizeof c) != cudaSuccess)
        return emulate_cudnn_error(CUDNN_STATUS_EXECUTION_FAILED, "the work was not taken");
    return CUDNN_STATUS_SUCCESS;
}
