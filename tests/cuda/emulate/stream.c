/* Streams and events. Every stream has a queue; what is at the heads of several is done in a pseudo-random order, as
 * far as events allow. */
#include "emulate_stream.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef emulate_point point;
typedef emulate_work work;

pthread_mutex_t emulate_lock = PTHREAD_MUTEX_INITIALIZER;
static struct CUstream_st legacy = {.blocking = true}; /* the default stream */
static int n_waiting;
enum { MOST_WAITING = 4096, PAUSE_US = 50 };

cudaStream_t emulate_streams(void)
{
    return &legacy;
}

static cudaStream_t stream_of(cudaStream_t stream)
{
    return stream != NULL ? stream : &legacy;
}

unsigned emulate_random(unsigned n)
{
    static uint64_t state;
    if (state == 0)
        state = (uint64_t)emulate_setting("MUSTER_EMULATE_SEED", 1) * 2 + 1;
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)((state >> 33) % n);
}

/* ---- queues ---- */

static point *point_retain(point *self)
{
    self->n_refs++;
    return self;
}

static void point_release(point *self)
{
    if (self != NULL && --self->n_refs == 0)
        free(self);
}

static cudaError_t append(cudaStream_t stream, emulate_run run, const void *closure, size_t bytes, point *at,
                          bool waits)
{
    work *self = malloc(sizeof *self + bytes);
    if (self == NULL)
        return cudaErrorMemoryAllocation;
    *self = (work){.run = run, .point = at != NULL ? point_retain(at) : NULL, .waits = waits};
    if (bytes > 0)
        memcpy(self->closure, closure, bytes);
    if (stream->first == NULL)
        stream->end = &stream->first;
    *stream->end = self;
    stream->end = &self->next;
    n_waiting++;
    return cudaSuccess;
}

static void drop_first(cudaStream_t stream)
{
    work *self = stream->first;
    stream->first = self->next;
    n_waiting--;
    point_release(self->point);
    free(self);
}

static cudaError_t point_new(cudaStream_t stream, point **out)
{
    point *self = calloc(1, sizeof *self);
    if (self == NULL)
        return cudaErrorMemoryAllocation;
    *self = (point){.n_refs = 1, .stream = stream};
    cudaError_t status = append(stream, NULL, NULL, 0, self, false);
    if (status != cudaSuccess)
        point_release(self);
    else
        *out = self;
    return status;
}

/* `later` goes on behind all that `earlier` has been given. */
static cudaError_t put_behind(cudaStream_t later, cudaStream_t earlier)
{
    point *at;
    if (earlier->first == NULL)
        return cudaSuccess;
    cudaError_t status = point_new(earlier, &at);
    if (status != cudaSuccess)
        return status;
    status = append(later, NULL, NULL, 0, at, true);
    point_release(at);
    return status;
}

/* The default stream and blocking ones take turns. */
static cudaError_t take_turn(cudaStream_t stream)
{
    cudaError_t status = cudaSuccess;
    if (!stream->blocking)
        return cudaSuccess;
    if (stream != &legacy)
        return put_behind(stream, &legacy);
    for (cudaStream_t other = legacy.next; other != NULL && status == cudaSuccess; other = other->next)
        if (other->blocking)
            status = put_behind(&legacy, other);
    return status;
}

/* ---- doing ---- */

static bool is_blocked(const struct CUstream_st *stream)
{
    return stream->first == NULL || (stream->first->waits && !stream->first->point->passed);
}

/* How freely other streams go ahead of the one that is waited for. */
typedef enum { ALIKE, AS_LATE_AS_MAY_BE, AS_EARLY_AS_MAY_BE, N_ORDERS } order;

/* The stream that must go on so that this one can. */
static cudaStream_t needed(cudaStream_t stream)
{
    while (stream->first != NULL && is_blocked(stream))
        stream = stream->first->point->stream;
    return stream;
}

/* The next stream that can go on, or NULL. */
static cudaStream_t choose(cudaStream_t wanted, order how)
{
    cudaStream_t best = NULL;
    unsigned n = 0;
    if (wanted != NULL && how == AS_LATE_AS_MAY_BE && !is_blocked(needed(wanted)))
        return needed(wanted);
    for (cudaStream_t s = &legacy; s != NULL; s = s->next)
        if (!is_blocked(s) && !(how == AS_EARLY_AS_MAY_BE && s == wanted) && emulate_random(++n) == 0)
            best = s;
    return best == NULL && wanted != NULL && !is_blocked(wanted) ? wanted : best;
}

static void pass(point *self)
{
    self->passed = true;
    clock_gettime(CLOCK_MONOTONIC, &self->at);
}

/* The first of a stream; one at a time. */
static cudaError_t do_first(cudaStream_t stream)
{
    work *self = stream->first;
    cudaError_t status = cudaSuccess;
    if (self->run != NULL && emulate_ready() == cudaSuccess) {
        pthread_mutex_unlock(&emulate_lock);
        status = self->run(self->closure);
        pthread_mutex_lock(&emulate_lock);
        if (status == cudaErrorNotReady)
            return status;
    }
    if (self->run == NULL && !self->waits)
        pass(self->point);
    drop_first(stream);
    return status;
}

/* What is waited for: all, a stream, a point of it, or that little is left. */
typedef struct {
    cudaStream_t stream;
    point *point;
    int left;
} goal;

static bool is_reached(const goal *self)
{
    if (self->point != NULL)
        return self->point->passed;
    return self->stream != NULL ? self->stream->first == NULL : n_waiting <= self->left;
}

/* Work that is not ready (it waits for another process) leaves the others the way. */
static cudaError_t advance(goal to, int most)
{
    static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER;
    cudaError_t first = cudaSuccess;
    int idle = 0, done = 0;
    pthread_mutex_lock(&emulate_lock);
    order how = to.stream != NULL ? (order)emulate_random(N_ORDERS) : ALIKE;
    for (bool more = true; more && done < most;) {
        pthread_mutex_unlock(&emulate_lock);
        if (idle > 0)
            usleep(PAUSE_US);
        pthread_mutex_lock(&one);
        pthread_mutex_lock(&emulate_lock);
        cudaStream_t next = is_reached(&to) ? NULL : choose(to.stream, how);
        more = next != NULL;
        cudaError_t status = more ? do_first(next) : cudaSuccess;
        idle = status == cudaErrorNotReady ? idle + 1 : 0;
        how = idle > 0 ? ALIKE : how;
        done += idle == 0 || most < INT32_MAX;
        first = first == cudaSuccess && idle == 0 ? status : first;
        pthread_mutex_unlock(&one);
    }
    pthread_mutex_unlock(&emulate_lock);
    return emulate_error(first != cudaSuccess ? first : emulate_ready());
}

cudaError_t emulate_finish(void)
{
    return advance((goal){0}, INT32_MAX);
}

cudaError_t emulate_finish_stream(cudaStream_t stream)
{
    stream = stream_of(stream);
    return stream->capture != NULL ? cudaSuccess : advance((goal){.stream = stream}, INT32_MAX);
}

/* As if some time had gone by. */
static void pass_time(void)
{
    (void)advance((goal){0}, 1);
}

void emulate_go_on(void)
{
    enum { PIECES = 64 };
    (void)advance((goal){0}, PIECES);
}

bool emulate_idles(void)
{
    static int idles = -1;
    if (idles < 0)
        idles = emulate_setting("MUSTER_EMULATE_IDLE", 0) != 0;
    return idles;
}

cudaError_t emulate_submit(cudaStream_t stream, emulate_run run, const void *closure, size_t bytes)
{
    stream = stream_of(stream);
    cudaError_t status = emulate_ready();
    if (status == cudaSuccess && stream->capture == NULL && getenv("MUSTER_EMULATE_ERROR") != NULL &&
        strcmp(getenv("MUSTER_EMULATE_ERROR"), "lost") == 0)
        status = emulate_fault(cudaErrorECCUncorrectable, "as MUSTER_EMULATE_ERROR wants it");
    if (status != cudaSuccess)
        return emulate_error(status);
    pthread_mutex_lock(&emulate_lock);
    bool captured = stream->capture != NULL;
    if (!captured && !stream->replays)
        emulate_count(EMULATE_CALL);
    if (captured) {
        status = emulate_capture_work(stream, run, closure, bytes);
    } else if (!emulate_idles()) {
        status = stream == &legacy ? emulate_capture_break_blocking() : cudaSuccess;
        status = status == cudaSuccess ? take_turn(stream) : status;
        status = status == cudaSuccess ? append(stream, run, closure, bytes, NULL, false) : status;
    }
    bool many = !captured && n_waiting > MOST_WAITING;
    pthread_mutex_unlock(&emulate_lock);
    if (status != cudaSuccess || captured)
        return emulate_error(status);
    if (emulate_setting("MUSTER_EMULATE_NOW", 0) != 0)
        return emulate_finish();
    return many ? advance((goal){.left = MOST_WAITING / 2}, INT32_MAX) : cudaSuccess;
}

cudaError_t emulate_outside_capture(void)
{
    pthread_mutex_lock(&emulate_lock);
    cudaError_t status = emulate_capture_break();
    pthread_mutex_unlock(&emulate_lock);
    return status;
}

/* ---- streams ---- */

cudaError_t cudaDeviceSynchronize(void)
{
    cudaError_t status = emulate_outside_capture();
    emulate_count(EMULATE_WAIT);
    return status != cudaSuccess ? emulate_error(status) : emulate_finish();
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *out, unsigned int flags)
{
    cudaError_t status = emulate_ready();
    *out = status == cudaSuccess ? calloc(1, sizeof **out) : NULL;
    if (*out == NULL)
        return emulate_error(status == cudaSuccess ? cudaErrorMemoryAllocation : status);
    (*out)->blocking = (flags & cudaStreamNonBlocking) == 0;
    pthread_mutex_lock(&emulate_lock);
    (*out)->next = legacy.next;
    legacy.next = *out;
    pthread_mutex_unlock(&emulate_lock);
    return cudaSuccess;
}

cudaError_t cudaStreamCreate(cudaStream_t *out)
{
    return cudaStreamCreateWithFlags(out, cudaStreamDefault);
}

/* What it was given is still done. */
cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    if (stream == NULL)
        return emulate_error(cudaErrorInvalidResourceHandle);
    cudaError_t status = emulate_finish_stream(stream);
    pthread_mutex_lock(&emulate_lock);
    emulate_capture_leave(stream);
    for (cudaStream_t *at = &legacy.next; *at != NULL; at = &(*at)->next)
        if (*at == stream) {
            *at = stream->next;
            break;
        }
    pthread_mutex_unlock(&emulate_lock);
    free(stream->last.node);
    free(stream);
    return status;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
    cudaError_t status = emulate_outside_capture();
    if (stream_of(stream)->first != NULL)
        emulate_count(EMULATE_WAIT);
    return status != cudaSuccess ? emulate_error(status) : emulate_finish_stream(stream);
}

cudaError_t cudaStreamQuery(cudaStream_t stream)
{
    cudaError_t status = emulate_outside_capture();
    stream = stream_of(stream);
    if (status != cudaSuccess || (status = emulate_ready()) != cudaSuccess)
        return emulate_error(status);
    pthread_mutex_lock(&emulate_lock);
    bool ready = stream->first == NULL;
    pthread_mutex_unlock(&emulate_lock);
    if (!ready)
        pass_time();
    return ready ? cudaSuccess : cudaErrorNotReady;
}

/* ---- events ---- */

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *out, unsigned int flags)
{
    cudaError_t status = emulate_ready();
    *out = status == cudaSuccess ? calloc(1, sizeof **out) : NULL;
    if (*out == NULL)
        return emulate_error(status == cudaSuccess ? cudaErrorMemoryAllocation : status);
    (*out)->untimed = (flags & cudaEventDisableTiming) != 0;
    return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t *out)
{
    return cudaEventCreateWithFlags(out, cudaEventDefault);
}

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    if (event == NULL)
        return emulate_error(cudaErrorInvalidResourceHandle);
    pthread_mutex_lock(&emulate_lock);
    point_release(event->point);
    pthread_mutex_unlock(&emulate_lock);
    free(event->nodes.node);
    free(event);
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
    point *at = NULL;
    cudaError_t status = event == NULL ? cudaErrorInvalidResourceHandle : emulate_ready();
    if (status != cudaSuccess)
        return emulate_error(status);
    stream = stream_of(stream);
    pthread_mutex_lock(&emulate_lock);
    if (stream->capture == NULL)
        emulate_count(EMULATE_CALL);
    if (stream->capture != NULL) {
        status = emulate_capture_record(stream, event);
    } else {
        status = take_turn(stream);
        status = status == cudaSuccess && !emulate_idles() ? point_new(stream, &at) : status;
    }
    if (status == cudaSuccess) {
        point_release(event->point);
        event->point = at;
        event->capture = at != NULL ? 0 : event->capture;
    }
    pthread_mutex_unlock(&emulate_lock);
    if (status == cudaSuccess && at != NULL && emulate_setting("MUSTER_EMULATE_NOW", 0) != 0)
        status = emulate_finish();
    return emulate_error(status);
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned int flags)
{
    (void)flags;
    cudaError_t status = event == NULL ? cudaErrorInvalidResourceHandle : emulate_ready();
    if (status != cudaSuccess)
        return emulate_error(status);
    stream = stream_of(stream);
    pthread_mutex_lock(&emulate_lock);
    if (stream->capture == NULL)
        emulate_count(EMULATE_CALL);
    if (stream->capture != NULL || event->capture != 0)
        status = emulate_capture_wait(stream, event);
    else if (event->point != NULL && !event->point->passed)
        status = append(stream, NULL, NULL, 0, event->point, true);
    pthread_mutex_unlock(&emulate_lock);
    return emulate_error(status);
}

/* The point of an event that the host may look at; *out NULL: it was never recorded. The caller's to release. */
static cudaError_t event_point(cudaEvent_t event, point **out)
{
    *out = NULL;
    cudaError_t status = event == NULL ? cudaErrorInvalidResourceHandle : emulate_ready();
    if (status != cudaSuccess)
        return status;
    pthread_mutex_lock(&emulate_lock);
    if (event->capture != 0)
        status = cudaErrorCapturedEvent;
    else if ((status = emulate_capture_break()) == cudaSuccess && event->point != NULL)
        *out = point_retain(event->point);
    pthread_mutex_unlock(&emulate_lock);
    return status;
}

static void point_let_go(point *self)
{
    pthread_mutex_lock(&emulate_lock);
    point_release(self);
    pthread_mutex_unlock(&emulate_lock);
}

cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
    point *at;
    cudaError_t status = event_point(event, &at);
    if (status == cudaSuccess && at != NULL)
        status = advance((goal){.stream = at->stream, .point = at}, INT32_MAX);
    point_let_go(at);
    return emulate_error(status);
}

cudaError_t cudaEventQuery(cudaEvent_t event)
{
    point *at;
    cudaError_t status = event_point(event, &at);
    if (status != cudaSuccess)
        return emulate_error(status);
    pthread_mutex_lock(&emulate_lock);
    bool passed = at == NULL || at->passed;
    point_release(at);
    pthread_mutex_unlock(&emulate_lock);
    emulate_count(EMULATE_CALL);
    if (!passed)
        pass_time();
    return passed ? cudaSuccess : cudaErrorNotReady;
}

cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t start, cudaEvent_t end)
{
    const point *from = start->point, *to = end->point;
    *ms = 0;
    if (emulate_idles())
        return emulate_error(emulate_ready());
    if (start->untimed || end->untimed || from == NULL || to == NULL)
        return emulate_error(cudaErrorInvalidResourceHandle);
    if (!from->passed || !to->passed)
        return emulate_error(cudaErrorNotReady);
    *ms = (float)(to->at.tv_sec - from->at.tv_sec) * 1e3f + (float)(to->at.tv_nsec - from->at.tv_nsec) * 1e-6f;
    return emulate_error(emulate_ready());
}
