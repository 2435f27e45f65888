/* Captures and graphs. A capture notes what follows what: it spreads to other streams by events, and they must have
 * come back when it ends. */
#include "emulate_stream.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    emulate_run run;
    size_t bytes;
    void *closure;
    emulate_nodes after; /* have lower numbers */
} node;

struct CUgraph_st {
    int n, capacity;
    node *nodes;
    /* while it is captured */
    int64_t id;
    cudaStream_t origin;
    bool global, relaxed, broken;
    pthread_t thread;
    cudaGraph_t next;
};
struct CUgraphExec_st {
    struct CUgraph_st graph;
    cudaGraphExec_t next;
};

static cudaGraph_t captures; /* that have begun */
static cudaGraphExec_t execs;
static int64_t n_captures;

static cudaError_t nodes_add(emulate_nodes *self, int k)
{
    for (int i = 0; i < self->n; i++)
        if (self->node[i] == k)
            return cudaSuccess;
    if (self->n == self->capacity) {
        int capacity = self->capacity > 0 ? 2 * self->capacity : 4,
            *grown = realloc(self->node, (size_t)capacity * sizeof *grown);
        if (grown == NULL)
            return cudaErrorMemoryAllocation;
        self->node = grown;
        self->capacity = capacity;
    }
    self->node[self->n++] = k;
    return cudaSuccess;
}

static cudaError_t nodes_add_all(emulate_nodes *self, const emulate_nodes *more)
{
    cudaError_t status = cudaSuccess;
    for (int i = 0; i < more->n && status == cudaSuccess; i++)
        status = nodes_add(self, more->node[i]);
    return status;
}

/* The next node, which follows those of `after`. */
static cudaError_t graph_add(cudaGraph_t graph, emulate_run run, const void *closure, size_t bytes,
                             const emulate_nodes *after)
{
    if (graph->n == graph->capacity) {
        int capacity = graph->capacity > 0 ? 2 * graph->capacity : 64;
        node *grown = realloc(graph->nodes, (size_t)capacity * sizeof *grown);
        if (grown == NULL)
            return cudaErrorMemoryAllocation;
        graph->nodes = grown;
        graph->capacity = capacity;
    }
    node *self = &graph->nodes[graph->n];
    *self = (node){.run = run, .bytes = bytes, .closure = malloc(bytes > 0 ? bytes : 1)};
    cudaError_t status = self->closure != NULL ? nodes_add_all(&self->after, after) : cudaErrorMemoryAllocation;
    if (status != cudaSuccess) {
        free(self->closure);
        free(self->after.node);
        return status;
    }
    if (bytes > 0)
        memcpy(self->closure, closure, bytes);
    graph->n++;
    return cudaSuccess;
}

static void graph_clear(cudaGraph_t graph)
{
    for (int i = 0; i < graph->n; i++) {
        free(graph->nodes[i].closure);
        free(graph->nodes[i].after.node);
    }
    free(graph->nodes);
}

/* ---- capturing ---- */

cudaError_t emulate_capture_work(cudaStream_t stream, emulate_run run, const void *closure, size_t bytes)
{
    cudaGraph_t graph = stream->capture;
    if (graph->broken)
        return cudaErrorStreamCaptureInvalidated;
    cudaError_t status = graph_add(graph, run, closure, bytes, &stream->last);
    if (status != cudaSuccess)
        return status;
    stream->last.n = 0;
    return nodes_add(&stream->last, graph->n - 1);
}

cudaError_t emulate_capture_record(cudaStream_t stream, cudaEvent_t event)
{
    if (stream->capture->broken)
        return cudaErrorStreamCaptureInvalidated;
    event->capture = stream->capture->id;
    event->nodes.n = 0;
    return nodes_add_all(&event->nodes, &stream->last);
}

static cudaGraph_t capture_find(int64_t id)
{
    cudaGraph_t graph = captures;
    while (graph != NULL && graph->id != id)
        graph = graph->next;
    return graph;
}

static cudaError_t broken(cudaGraph_t graph, cudaError_t status)
{
    graph->broken = true;
    return status;
}

cudaError_t emulate_capture_wait(cudaStream_t stream, cudaEvent_t event)
{
    cudaGraph_t of = capture_find(event->capture);
    if (stream->capture != NULL && event->capture == 0)
        return broken(stream->capture, cudaErrorStreamCaptureIsolation);
    if (of == NULL)
        return cudaErrorCapturedEvent;
    if (of->broken)
        return cudaErrorStreamCaptureInvalidated;
    if (stream->capture != NULL && stream->capture != of)
        return broken(of, broken(stream->capture, cudaErrorStreamCaptureMerge));
    if (stream == emulate_streams())
        return broken(of, cudaErrorStreamCaptureImplicit);
    stream->capture = of;
    return nodes_add_all(&stream->last, &event->nodes);
}

cudaError_t emulate_capture_break(void)
{
    cudaError_t status = cudaSuccess;
    for (cudaGraph_t graph = captures; graph != NULL; graph = graph->next)
        if (graph->global || (!graph->relaxed && pthread_equal(graph->thread, pthread_self())))
            status = broken(graph, cudaErrorStreamCaptureUnsupported);
    return status;
}

cudaError_t emulate_capture_break_blocking(void)
{
    cudaError_t status = cudaSuccess;
    for (cudaStream_t s = emulate_streams(); s != NULL; s = s->next)
        if (s->blocking && s->capture != NULL)
            status = broken(s->capture, cudaErrorStreamCaptureImplicit);
    return status;
}

void emulate_capture_leave(cudaStream_t stream)
{
    if (stream->capture != NULL)
        stream->capture->broken = true;
    stream->capture = NULL;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, enum cudaStreamCaptureMode mode)
{
    cudaError_t status = emulate_ready();
    cudaGraph_t graph = NULL;
    pthread_mutex_lock(&emulate_lock);
    if (status == cudaSuccess && (stream == NULL || stream->capture != NULL))
        status = cudaErrorStreamCaptureUnsupported;
    if (status == cudaSuccess && (graph = calloc(1, sizeof *graph)) == NULL)
        status = cudaErrorMemoryAllocation;
    if (status == cudaSuccess) {
        *graph = (struct CUgraph_st){.id = ++n_captures,
                                     .origin = stream,
                                     .global = mode == cudaStreamCaptureModeGlobal,
                                     .relaxed = mode == cudaStreamCaptureModeRelaxed,
                                     .thread = pthread_self(),
                                     .next = captures};
        captures = graph;
        stream->capture = graph;
        stream->last.n = 0;
    }
    pthread_mutex_unlock(&emulate_lock);
    return emulate_error(status);
}

/* Does the origin stand behind all that was captured? */
static cudaError_t all_joined(const struct CUgraph_st *graph, const emulate_nodes *last)
{
    bool *behind = calloc((size_t)graph->n + 1, sizeof *behind);
    if (behind == NULL)
        return cudaErrorMemoryAllocation;
    for (int i = 0; i < last->n; i++)
        behind[last->node[i]] = true;
    bool all = true;
    for (int i = graph->n; i-- > 0;) {
        const emulate_nodes *after = &graph->nodes[i].after;
        all = all && behind[i];
        for (int k = 0; k < after->n && behind[i]; k++)
            behind[after->node[k]] = true;
    }
    free(behind);
    return all ? cudaSuccess : cudaErrorStreamCaptureUnjoined;
}

static cudaError_t capture_end(cudaGraph_t graph, cudaStream_t stream)
{
    cudaError_t status = graph->broken ? cudaErrorStreamCaptureInvalidated : all_joined(graph, &stream->last);
    for (cudaGraph_t *at = &captures; *at != NULL; at = &(*at)->next)
        if (*at == graph) {
            *at = graph->next;
            break;
        }
    for (cudaStream_t s = emulate_streams(); s != NULL; s = s->next)
        if (s->capture == graph) {
            s->capture = NULL;
            s->last.n = 0;
        }
    return status;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *out)
{
    cudaGraph_t graph = stream != NULL ? stream->capture : NULL;
    *out = NULL;
    if (graph == NULL || graph->origin != stream)
        return emulate_error(cudaErrorStreamCaptureUnmatched);
    if (!graph->relaxed && !pthread_equal(graph->thread, pthread_self()))
        return emulate_error(cudaErrorStreamCaptureWrongThread);
    pthread_mutex_lock(&emulate_lock);
    cudaError_t status = capture_end(graph, stream);
    pthread_mutex_unlock(&emulate_lock);
    status = status == cudaSuccess ? emulate_ready() : status;
    if (status == cudaSuccess)
        *out = graph;
    else
        cudaGraphDestroy(graph);
    return emulate_error(status);
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, enum cudaStreamCaptureStatus *status)
{
    cudaGraph_t graph = stream != NULL ? stream->capture : NULL;
    *status = graph == NULL   ? cudaStreamCaptureStatusNone
              : graph->broken ? cudaStreamCaptureStatusInvalidated
                              : cudaStreamCaptureStatusActive;
    return cudaSuccess;
}

/* ---- graphs ---- */

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *out, cudaGraph_t graph, unsigned long long flags)
{
    (void)flags;
    *out = graph != NULL ? calloc(1, sizeof **out) : NULL;
    if (*out == NULL)
        return emulate_error(graph == NULL ? cudaErrorInvalidValue : cudaErrorMemoryAllocation);
    pthread_mutex_lock(&emulate_lock);
    (*out)->next = execs;
    execs = *out;
    cudaError_t status = cudaSuccess;
    for (int i = 0; i < graph->n && status == cudaSuccess; i++) {
        const node *from = &graph->nodes[i];
        status = graph_add(&(*out)->graph, from->run, from->closure, from->bytes, &from->after);
    }
    pthread_mutex_unlock(&emulate_lock);
    if (status != cudaSuccess) {
        cudaGraphExecDestroy(*out);
        *out = NULL;
    }
    return emulate_error(status);
}

cudaError_t cudaGraphUpload(cudaGraphExec_t exec, cudaStream_t stream)
{
    (void)stream;
    return emulate_error(exec == NULL ? cudaErrorInvalidResourceHandle : emulate_ready());
}

static bool is_free(const node *self, const bool *given)
{
    for (int i = 0; i < self->after.n; i++)
        if (!given[self->after.node[i]])
            return false;
    return true;
}

/* One of the next nodes whose turn it may be. */
static int choose(const struct CUgraph_st *graph, const bool *given, int first)
{
    enum { AHEAD = 64 };
    int best = first;
    unsigned n = 0;
    for (int i = first; i < graph->n && i < first + AHEAD; i++)
        if (!given[i] && is_free(&graph->nodes[i], given) && emulate_random(++n) == 0)
            best = i;
    return best;
}

/* In one of the orders that are possible. */
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream)
{
    cudaError_t status = exec == NULL ? cudaErrorInvalidResourceHandle : emulate_ready();
    if (status != cudaSuccess)
        return emulate_error(status);
    const struct CUgraph_st *graph = &exec->graph;
    if (emulate_idles())
        return cudaSuccess;
    bool *given = calloc((size_t)graph->n + 1, sizeof *given);
    if (given == NULL)
        return emulate_error(cudaErrorMemoryAllocation);
    emulate_count(EMULATE_CALL);
    stream->replays = true;
    for (int first = 0; first < graph->n && status == cudaSuccess;) {
        pthread_mutex_lock(&emulate_lock);
        int next = choose(graph, given, first);
        pthread_mutex_unlock(&emulate_lock);
        given[next] = true;
        while (first < graph->n && given[first])
            first++;
        const node *it = &graph->nodes[next];
        status = emulate_submit(stream, it->run, it->closure, it->bytes);
    }
    stream->replays = false;
    free(given);
    return emulate_error(status);
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
    if (graph == NULL)
        return emulate_error(cudaErrorInvalidResourceHandle);
    graph_clear(graph);
    free(graph);
    return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec)
{
    if (exec == NULL)
        return emulate_error(cudaErrorInvalidResourceHandle);
    pthread_mutex_lock(&emulate_lock);
    for (cudaGraphExec_t *at = &execs; *at != NULL; at = &(*at)->next)
        if (*at == exec) {
            *at = exec->next;
            break;
        }
    pthread_mutex_unlock(&emulate_lock);
    graph_clear(&exec->graph);
    free(exec);
    return cudaSuccess;
}

bool emulate_in_graphs(emulate_run run, const void *what)
{
    bool found = false;
    pthread_mutex_lock(&emulate_lock);
    for (cudaGraphExec_t e = execs; e != NULL; e = e->next)
        for (int i = 0; i < e->graph.n && !found; i++)
            found = e->graph.nodes[i].run == run && *(void **)e->graph.nodes[i].closure == what;
    pthread_mutex_unlock(&emulate_lock);
    return found;
}
