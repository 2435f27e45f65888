#include "conv_graph.h"
#include "core/log.h"
#include "core/text.h"
#include "activation.h"
#include "tune.h"

#include <string.h>

/* FEW: where cuDNN's first list has fewer engines that may be used, its second is looked into, whose engines take anything and their time. */
enum { MOST = 10, FEW = 4 };
/* Scratch memory is shared by the kernels of a plan: this part of the device's memory is what the greediest of them may take. */
enum { WORKSPACE_PART = 16 };

/* A way to compute; its text is what is kept. */
typedef struct {
    mu_cuda_conv_way way;
    mu_dnn_engine engine; /* ENGINE */
} candidate;

static const char *format(const candidate *what, char name[MU_DNN_NAME])
{
    return what->way == MU_CUDA_CONV_ENGINE ? mu_dnn_engine_format(&what->engine, name) : what->way == MU_CUDA_CONV_PRODUCT ? "product" : "own";
}

static bool parse(const char *name, candidate *out)
{
    out->way = strcmp(name, "product") == 0 ? MU_CUDA_CONV_PRODUCT : strcmp(name, "own") == 0 ? MU_CUDA_CONV_KERNEL : MU_CUDA_CONV_ENGINE;
    return out->way != MU_CUDA_CONV_ENGINE || mu_dnn_engine_parse(name, &out->engine);
}

static mu_err make_key(const mu_cuda_conv *c, char **out)
{
    const mu_call *call = &c->base.base.call;
    const mu_conv2d_attrs *a = call->attrs;
    char text[MU_TYPE_TEXT];
    mu_text key = {0};
    mu_text_printf(&key, "%s", call->op->name);
    for (int i = 0; i < call->n_in; i++)
        mu_text_printf(&key, " %s", mu_type_format(&call->in[i], text));
    mu_text_printf(&key, " > %s", mu_type_format(&call->out[0], text));
    mu_text_printf(&key, " s%d,%d p%d,%d,%d,%d d%d,%d g%d%s %s%s", (int)a->stride[0], (int)a->stride[1], (int)a->padding[0],
                   (int)a->padding[1], (int)a->padding[2], (int)a->padding[3], (int)a->dilation[0], (int)a->dilation[1], (int)a->groups,
                   a->bias ? " bias" : "", c->product == MU_CUDA_CONV_FORWARD ? mu_activation_names[a->activation] : "-", c->base.self->tf32 ? " tf32" : "");
    mu_err err = mu_text_take(&key, out);
    mu_text_release(&key);
    MU_TRY(err);
    return MU_OK;
}

/* ---- one way ---- */

static bool is_product(const mu_cuda_conv *c)
{
    static const int64_t ones[2] = {1, 1}, none[4] = {0};
    const mu_cuda_conv_shape *s = &c->shape;
    bool adds_to_itself = c->ends.residual || (c->product == MU_CUDA_CONV_GRAD_INPUT && c->ends.bias);
    return s->kh == 1 && s->kw == 1 && s->groups == 1 && memcmp(s->stride, ones, sizeof ones) == 0 &&
           memcmp(s->padding, none, sizeof none) == 0 && !adds_to_itself;
}

/* y = act(x w^T + bias), dx = dy w, dw = dy^T x, of x [rows,c], w [k,c], y [rows,k]. */
static mu_err make_matrices(const mu_cuda_conv *c, mu_kernel **out)
{
    const mu_cuda_conv_shape *s = &c->shape;
    int64_t rows = s->n * s->h * s->w;
    const mu_type x = MU_TYPE(c->dtype, rows, s->c), w = MU_TYPE(c->dtype, s->k, s->c), y = MU_TYPE(c->dtype, rows, s->k);
    const mu_type *bias = mu_cuda_in(&c->base.base.call, 2);
    const mu_linear_attrs ends = {.activation = c->relu ? MU_ACT_RELU : MU_ACT_NONE};
    const mu_matmul_attrs straight = {0}, turned = {.trans_a = true};
    mu_type in[3] = {x, w}, result = y;
    mu_call call = {.op = &mu_op_linear, .attrs = &ends, .n_in = 3, .n_out = 1, .in = in, .out = &result};
    if (c->product == MU_CUDA_CONV_FORWARD) {
        if (bias)
            in[2] = *bias;
    } else {
        bool to_weight = c->product == MU_CUDA_CONV_GRAD_WEIGHT;
        call.op = &mu_op_matmul;
        call.attrs = to_weight ? &turned : &straight;
        call.n_in = 2;
        in[0] = y;
        in[1] = to_weight ? x : w;
        result = to_weight ? w : x;
    }
    MU_TRY(mu_cuda_prepare(&c->base.self->base, &call, NULL, NULL, out));
    return MU_OK;
}

static void leave(mu_cuda_conv *c)
{
    mu_dnn_release(&c->addresses);
    mu_dnn_release(&c->plan);
    mu_kernel_release(c->matrices);
    c->matrices = NULL;
    c->workspace_bytes = 0;
}

/* A failure leaves the kernel without a way. */
static mu_err take(mu_cuda_conv *c, const mu_dnn_graph *graph, const candidate *what)
{
    size_t free, total;
    leave(c);
    c->way = what->way;
    if (what->way == MU_CUDA_CONV_ENGINE) {
        if (!graph->graph)
            return MU_FAIL(MU_ERR_UNSUPPORTED, "cuDNN has no graph for it");
        MU_TRY(mu_dnn_plan(graph, &what->engine, &c->plan, &c->workspace_bytes));
    } else if (what->way == MU_CUDA_CONV_PRODUCT) {
        if (!is_product(c))
            return MU_FAIL(MU_ERR_UNSUPPORTED, "the convolution is no product of matrices");
        MU_TRY(make_matrices(c, &c->matrices));
        c->workspace_bytes = c->matrices->scratch_bytes;
    }
    MU_TRY_CUDA(cudaMemGetInfo(&free, &total));
    if (c->workspace_bytes > total / WORKSPACE_PART)
        return MU_FAIL(MU_ERR_UNSUPPORTED, "it wants %zu bytes of scratch memory", c->workspace_bytes);
    mu_cuda_conv_place(c);
    return MU_OK;
}

/* ---- the choice ---- */

/* cuDNN's engines that may be used, none where it takes no such graph; a product where it is one; the own kernels. */
static int list_all(const mu_cuda_conv *c, const mu_dnn_graph *graph, candidate list[MOST + 2])
{
    static const cudnnBackendHeurMode_t modes[] = {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK};
    unsigned refused = mu_cuda_conv_refused(c->dtype, c->base.self->tf32, c->base.self->deterministic);
    mu_dnn_engine engine[MOST];
    int n = 0;
    for (int m = 0; m < 2 && n < FEW; m++)
        if (graph->graph && mu_dnn_engines(graph, modes[m], refused, engine, MOST, &n) != MU_OK)
            MU_DEBUG("cuda", "%s: cuDNN lists no engines: %s", c->base.base.call.op->name, mu_error_last()->message);
    for (int i = 0; i < n; i++)
        list[i] = (candidate){.way = MU_CUDA_CONV_ENGINE, .engine = engine[i]};
    if (is_product(c))
        list[n++].way = MU_CUDA_CONV_PRODUCT;
    list[n++].way = MU_CUDA_CONV_KERNEL;
    return n;
}

/* The own kernels are no match for the others, except where there is one channel a group. */
static bool worth_trying(const mu_cuda_conv *c, const candidate *what, bool found)
{
    return !found || (!c->base.self->deterministic && (what->way != MU_CUDA_CONV_KERNEL || c->shape.groups == c->shape.c));
}

/* *best: the index of the fastest; deterministic instances take the first that works. A failure is none of the choice, unless nothing works. */
static mu_err measure(mu_cuda_conv *c, const mu_dnn_graph *graph, const candidate *list, int n, int *best, double *seconds)
{
    char name[MU_DNN_NAME];
    bool found = false;
    mu_err err = MU_OK;
    for (int i = 0; i < n; i++) {
        double took;
        if (!worth_trying(c, &list[i], found))
            continue;
        err = take(c, graph, &list[i]);
        if (err == MU_OK)
            err = mu_cuda_time(c->base.self, &c->base.base, &took);
        if (err != MU_OK) {
            MU_DEBUG("cuda", "%s does not compute by %s: %s", c->base.base.call.op->name, format(&list[i], name), mu_error_last()->message);
            continue;
        }
        if (!found || took < *seconds) {
            *best = i;
            *seconds = took;
        }
        found = true;
    }
    if (!found)
        return err;
    mu_error_clear();
    return MU_OK;
}

static mu_err choose_new(mu_cuda_conv *c, const mu_dnn_graph *graph, const char *key, mu_cuda_tune *tune)
{
    candidate list[MOST + 2];
    char name[MU_DNN_NAME];
    int best = -1, n = list_all(c, graph, list);
    double seconds = 0;
    MU_TRY(measure(c, graph, list, n, &best, &seconds));
    MU_TRY(take(c, graph, &list[best]));
    MU_DEBUG("cuda", "%s: %s %.3f ms", key, format(&list[best], name), seconds * 1e3);
    if (tune)
        MU_TRY(mu_choices_put(tune, key, format(&list[best], name), seconds));
    return MU_OK;
}

/* What another version of the file's writer has chosen may fail here: then it is chosen anew. */
static bool take_known(mu_cuda_conv *c, const mu_dnn_graph *graph, const char *name)
{
    candidate known;
    bool taken = parse(name, &known) && take(c, graph, &known) == MU_OK;
    if (!taken)
        mu_error_clear();
    return taken;
}

static mu_err choose_for(mu_cuda_conv *c, const mu_dnn_graph *graph, const char *key)
{
    mu_cuda_tune *tune = c->base.self->deterministic ? NULL : c->base.self->tune;
    const char *known = NULL;
    if (tune)
        MU_TRY(mu_choices_get(tune, key, &known));
    if (!known || !take_known(c, graph, known))
        MU_TRY(choose_new(c, graph, key, tune));
    return MU_OK;
}

mu_err mu_cuda_conv_choose(mu_cuda_conv *c)
{
    mu_dnn_graph graph = {.target = {.handle = c->base.self->dnn}};
    char *key;
    MU_TRY(make_key(c, &key));
    if (mu_cuda_conv_graph(c->product, c->dtype, &c->padded, c->ends, &graph) != MU_OK) {
        MU_DEBUG("cuda", "%s: cuDNN has no graph for it: %s", key, mu_error_last()->message);
        graph.graph = NULL;
    }
    mu_err err = choose_for(c, &graph, key);
    mu_dnn_graph_release(&graph);
    mu_free(key);
    return err;
}
