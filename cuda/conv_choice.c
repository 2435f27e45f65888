#include "conv_graph.h"
#include "core/log.h"
#include "core/text.h"
#include "activation.h"
#include "tune.h"

#include <string.h>

/* FEW: where cuDNN's first list has fewer engines that may be used, its second is looked into, whose engines take anything and their time. */
enum { MOST = 10, FEW = 4 };
static const size_t workspace_max = (size_t)1 << 30;
static const char own[] = "own";

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

static void take_own(mu_cuda_conv *c)
{
    mu_dnn_release(&c->addresses);
    mu_dnn_release(&c->plan);
    c->way = MU_CUDA_CONV_KERNEL;
    c->workspace_bytes = 0;
    mu_cuda_conv_place(c);
}

static mu_err take(mu_cuda_conv *c, const mu_dnn_graph *graph, const mu_dnn_engine *engine)
{
    cudnnBackendDescriptor_t plan;
    size_t workspace;
    MU_TRY(mu_dnn_plan(graph, engine, &plan, &workspace));
    mu_dnn_release(&c->addresses);
    mu_dnn_release(&c->plan);
    c->plan = plan;
    c->way = MU_CUDA_CONV_ENGINE;
    c->workspace_bytes = workspace;
    mu_cuda_conv_place(c);
    if (workspace > workspace_max)
        return MU_FAIL(MU_ERR_UNSUPPORTED, "it wants %zu bytes of scratch memory", workspace);
    return MU_OK;
}

/* engine NULL: the own kernels. */
static mu_err take_either(mu_cuda_conv *c, const mu_dnn_graph *graph, const mu_dnn_engine *engine)
{
    if (engine)
        MU_TRY(take(c, graph, engine));
    else
        take_own(c);
    return MU_OK;
}

/* ---- the choice ---- */

/* Those that may be used; none where cuDNN takes no such graph. */
static int list_engines(const mu_cuda_conv *c, const mu_dnn_graph *graph, mu_dnn_engine *list)
{
    static const cudnnBackendHeurMode_t modes[] = {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK};
    unsigned refused = mu_cuda_conv_refused(c->dtype, c->base.self->tf32, c->base.self->deterministic);
    int n = 0;
    for (int m = 0; m < 2 && n < FEW; m++)
        if (graph->graph && mu_dnn_engines(graph, modes[m], refused, list, MOST, &n) != MU_OK)
            MU_DEBUG("cuda", "%s: cuDNN lists no engines: %s", c->base.base.call.op->name, mu_error_last()->message);
    return n;
}

static mu_err try(mu_cuda_conv *c, const mu_dnn_graph *graph, const mu_dnn_engine *engine, double *seconds)
{
    char name[MU_DNN_NAME];
    mu_err err = take_either(c, graph, engine);
    if (err == MU_OK)
        err = mu_cuda_time(c->base.self, &c->base.base, seconds);
    if (err != MU_OK)
        MU_DEBUG("cuda", "%s does not compute by %s: %s", c->base.base.call.op->name, engine ? mu_dnn_engine_format(engine, name) : own,
                 mu_error_last()->message);
    return err;
}

/* *best: the index of the fastest, -1: the own kernels. Those are no match for cuDNN's, except where there is one channel a group. A failure is none of
 * the choice, unless nothing works. */
static mu_err measure(mu_cuda_conv *c, const mu_dnn_graph *graph, const mu_dnn_engine *list, int n, int *best, double *seconds)
{
    bool depthwise = c->shape.groups == c->shape.c, found = false;
    mu_err err = MU_OK;
    for (int i = 0; i <= n; i++) {
        double took;
        bool last = i == n;
        if (found && (c->base.self->deterministic || (last && !depthwise)))
            break;
        err = try(c, graph, last ? NULL : &list[i], &took);
        if (err == MU_OK && (!found || took < *seconds)) {
            found = true;
            *best = last ? -1 : i;
            *seconds = took;
        }
    }
    if (!found)
        return err;
    mu_error_clear();
    return MU_OK;
}

static mu_err choose_new(mu_cuda_conv *c, const mu_dnn_graph *graph, const char *key, mu_cuda_tune *tune)
{
    mu_dnn_engine list[MOST];
    char name[MU_DNN_NAME];
    int best = -1, n = list_engines(c, graph, list);
    double seconds = 0;
    MU_TRY(measure(c, graph, list, n, &best, &seconds));
    MU_TRY(take_either(c, graph, best < 0 ? NULL : &list[best]));
    const char *choice = best < 0 ? own : mu_dnn_engine_format(&list[best], name);
    MU_DEBUG("cuda", "%s: %s %.3f ms", key, choice, seconds * 1e3);
    if (tune)
        MU_TRY(mu_choices_put(tune, key, choice, seconds));
    return MU_OK;
}

/* What another version of the file's writer has chosen may fail here: then it is chosen anew. */
static bool take_known(mu_cuda_conv *c, const mu_dnn_graph *graph, const char *name)
{
    mu_dnn_engine engine;
    if (strcmp(name, own) == 0) {
        take_own(c);
        return true;
    }
    if (!graph->graph || !mu_dnn_engine_parse(name, &engine) || take(c, graph, &engine) != MU_OK) {
        mu_error_clear();
        return false;
    }
    return true;
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
