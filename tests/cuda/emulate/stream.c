/* Streams, events and graphs. All streams share one queue, in the order in which work was given to them. */
#include "emulate.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct work {
    struct work *next;
    emulate_run run;
    size_t bytes;
    max_align_t closure[];
} work;

typedef struct {
    work *first, **end;
} work_list;

struct CUgraph_st {
    work_list list;
};
struct CUgraphExec_st {
    struct CUgraph_st graph;
};
struct CUstream_st {
    cudaGraph_t capture; /* NULL: it does not */
};
struct CUevent_st {
    int waiting; /* records of it in the queue */
    struct timespec at;
    bool recorded;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static work_list queue;
static int n_waiting, n_capturing;
enum { MOST_WAITING = 4096 };

static cudaError_t list_add(work_list *list, emulate_run run, const void *closure, size_t bytes)
{
    work *self = malloc(sizeof *self + bytes);
    if (self == NULL)
        return cudaErrorMemoryAllocation;
    self->next = NULL;
    self->run = run;
    self->bytes = bytes;
    memcpy(self->closure, closure, bytes);
    if (list->first == NULL)
        list->end = &list->first;
    *list->end = self;
    list->end = &self->next;
    return cudaSuccess;
}

static void list_clear(work_list *list)
{
    for (work *next; list->first != NULL; list->first = next) {
        next = list->first->next;
        free(list->first);
    }
}

/* ---- the queue ---- */

cudaError_t emulate_submit(cudaStream_t stream, emulate_run run, const void *closure, size_t bytes)
{
    cudaError_t status = emulate_ready();
    if (status == cudaSuccess && (stream == NULL || stream->capture == NULL) && getenv("MUSTER_EMULATE_ERROR") != NULL &&
        strcmp(getenv("MUSTER_EMULATE_ERROR"), "lost") == 0)
        status = emulate_fault(cudaErrorECCUncorrectable, "as MUSTER_EMULATE_ERROR wants it");
    if (status != cudaSuccess)
        return emulate_error(status);
    pthread_mutex_lock(&lock);
    bool captured = stream != NULL && stream->capture != NULL;
    status = list_add(captured ? &stream->capture->list : &queue, run, closure, bytes);
    n_waiting += captured ? 0 : 1;
    bool now = !captured && (n_waiting > MOST_WAITING || emulate_setting("MUSTER_EMULATE_NOW", 0) != 0);
    pthread_mutex_unlock(&lock);
    return emulate_error(status == cudaSuccess && now ? emulate_finish() : status);
}

/* Does what is waiting, in order; when `event` is not NULL, only as far as its last record. */
static cudaError_t finish(cudaEvent_t event)
{
    static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER;
    cudaError_t status = emulate_ready();
    pthread_mutex_lock(&one);
    while (event == NULL || event->waiting > 0) {
        pthread_mutex_lock(&lock);
        work *next = queue.first;
        if (next != NULL) {
            queue.first = next->next;
            n_waiting--;
        }
        pthread_mutex_unlock(&lock);
        if (next == NULL)
            break;
        if (status == cudaSuccess)
            status = next->run(next->closure);
        free(next);
    }
    pthread_mutex_unlock(&one);
    return emulate_error(status);
}

cudaError_t emulate_finish(void)
{
    return finish(NULL);
}

cudaError_t emulate_outside_capture(void)
{
    return n_capturing > 0 ? cudaErrorStreamCaptureUnsupported : cudaSuccess;
}

static cudaError_t finish_outside_capture(void)
{
    cudaError_t status = emulate_outside_capture();
    return status != cudaSuccess ? emulate_error(status) : emulate_finish();
}

/* ---- streams ---- */

cudaError_t cudaDeviceSynchronize(void)
{
    return finish_outside_capture();
}

cudaError_t cudaStreamCreate(cudaStream_t *out)
{
    cudaError_t status = emulate_ready();
    *out = status == cudaSuccess ? calloc(1, sizeof **out) : NULL;
    return emulate_error(status == cudaSuccess && *out == NULL ? cudaErrorMemoryAllocation : status);
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *out, unsigned int flags)
{
    (void)flags;
    return cudaStreamCreate(out);
}

cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    if (stream == NULL)
        return emulate_error(cudaErrorInvalidResourceHandle);
    cudaError_t status = emulate_finish();
    if (stream->capture != NULL)
        cudaStreamEndCapture(stream, &(cudaGraph_t){NULL});
    free(stream);
    return status;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
    (void)stream;
    return finish_outside_capture();
}

cudaError_t cudaStreamQuery(cudaStream_t stream)
{
    (void)stream;
    cudaError_t status = emulate_ready();
    return emulate_error(status != cudaSuccess ? status : n_waiting > 0 ? cudaErrorNotReady : cudaSuccess);
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned int flags)
{
    (void)flags;
    return emulate_error(event == NULL                              ? cudaErrorInvalidResourceHandle
                         : stream != NULL && stream->capture != NULL ? cudaErrorStreamCaptureIsolation
                                                                     : emulate_ready());
}

/* ---- capture and graphs ---- */

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, enum cudaStreamCaptureMode mode)
{
    (void)mode;
    cudaError_t status = emulate_ready();
    if (status == cudaSuccess && (stream == NULL || stream->capture != NULL))
        status = cudaErrorStreamCaptureUnsupported;
    if (status == cudaSuccess && (stream->capture = calloc(1, sizeof *stream->capture)) == NULL)
        status = cudaErrorMemoryAllocation;
    if (status == cudaSuccess)
        n_capturing++;
    return emulate_error(status);
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *out)
{
    *out = NULL;
    if (stream == NULL || stream->capture == NULL)
        return emulate_error(cudaErrorStreamCaptureUnmatched);
    *out = stream->capture;
    stream->capture = NULL;
    n_capturing--;
    return emulate_error(emulate_ready());
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, enum cudaStreamCaptureStatus *status)
{
    *status = stream != NULL && stream->capture != NULL ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
    return cudaSuccess;
}

static cudaError_t graph_copy(work_list *to, const work_list *from)
{
    cudaError_t status = cudaSuccess;
    for (const work *next = from->first; next != NULL && status == cudaSuccess; next = next->next)
        status = list_add(to, next->run, next->closure, next->bytes);
    return status;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *out, cudaGraph_t graph, unsigned long long flags)
{
    (void)flags;
    *out = NULL;
    if (graph == NULL)
        return emulate_error(cudaErrorInvalidValue);
    *out = calloc(1, sizeof **out);
    return emulate_error(*out == NULL ? cudaErrorMemoryAllocation : graph_copy(&(*out)->graph.list, &graph->list));
}

cudaError_t cudaGraphUpload(cudaGraphExec_t exec, cudaStream_t stream)
{
    (void)stream;
    return emulate_error(exec == NULL ? cudaErrorInvalidResourceHandle : emulate_ready());
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream)
{
    cudaError_t status = exec == NULL ? cudaErrorInvalidResourceHandle : emulate_ready();
    for (const work *next = exec != NULL ? exec->graph.list.first : NULL; next != NULL && status == cudaSuccess; next = next->next)
        status = emulate_submit(stream, next->run, next->closure, next->bytes);
    return emulate_error(status);
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
    if (graph == NULL)
        return emulate_error(cudaErrorInvalidResourceHandle);
    list_clear(&graph->list);
    free(graph);
    return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec)
{
    if (exec == NULL)
        return emulate_error(cudaErrorInvalidResourceHandle);
    list_clear(&exec->graph.list);
    free(exec);
    return cudaSuccess;
}

/* ---- events ---- */

cudaError_t cudaEventCreate(cudaEvent_t *out)
{
    cudaError_t status = emulate_ready();
    *out = status == cudaSuccess ? calloc(1, sizeof **out) : NULL;
    return emulate_error(status == cudaSuccess && *out == NULL ? cudaErrorMemoryAllocation : status);
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *out, unsigned int flags)
{
    (void)flags;
    return cudaEventCreate(out);
}

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    if (event == NULL)
        return emulate_error(cudaErrorInvalidResourceHandle);
    cudaError_t status = emulate_finish();
    free(event);
    return status;
}

static cudaError_t event_run(const void *closure)
{
    cudaEvent_t event = *(const cudaEvent_t *)closure;
    event->waiting--;
    event->recorded = true;
    clock_gettime(CLOCK_MONOTONIC, &event->at);
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
    if (event == NULL)
        return emulate_error(cudaErrorInvalidResourceHandle);
    if (stream != NULL && stream->capture != NULL)
        return cudaSuccess;
    event->waiting++;
    return emulate_submit(stream, event_run, &event, sizeof event);
}

cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
    cudaError_t status = event == NULL ? cudaErrorInvalidResourceHandle : emulate_outside_capture();
    return status != cudaSuccess ? emulate_error(status) : finish(event);
}

cudaError_t cudaEventQuery(cudaEvent_t event)
{
    return event->waiting > 0 ? cudaErrorNotReady : emulate_error(emulate_ready());
}

cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t start, cudaEvent_t end)
{
    if (!start->recorded || !end->recorded || start->waiting > 0 || end->waiting > 0)
        return emulate_error(start->recorded && end->recorded ? cudaErrorNotReady : cudaErrorInvalidResourceHandle);
    *ms = (float)(end->at.tv_sec - start->at.tv_sec) * 1e3f + (float)(end->at.tv_nsec - start->at.tv_nsec) * 1e-6f;
    return emulate_error(emulate_ready());
}
