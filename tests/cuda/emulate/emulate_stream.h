/* What stream.c and capture.c share. */
#ifndef EMULATE_STREAM_H
#define EMULATE_STREAM_H

#include "emulate.h"

#include <pthread.h>
#include <time.h>

/* A place in a stream that work of others may wait for. */
typedef struct {
    int n_refs;
    bool passed;
    cudaStream_t stream;
    struct timespec at;
} emulate_point;

typedef struct emulate_work {
    struct emulate_work *next;
    emulate_point *point; /* owned; with no `run`: to wait for, or to pass */
    bool waits;
    emulate_run run;
    max_align_t closure[];
} emulate_work;

/* Nodes of a capture, by number. */
typedef struct {
    int n, capacity;
    int *node;
} emulate_nodes;

struct CUstream_st {
    bool blocking;        /* in turns with the default stream */
    emulate_work *first, **end;
    cudaGraph_t capture;  /* that it takes part in; NULL: none */
    emulate_nodes last;   /* what comes next in the capture follows these */
    bool replays;         /* is being given the nodes of a graph */
    cudaStream_t next;
};

struct CUevent_st {
    bool untimed;
    emulate_point *point; /* of its last record; NULL: none, or captured */
    int64_t capture;      /* in which it was last recorded, or 0; stays when that has ended */
    emulate_nodes nodes;
};

extern pthread_mutex_t emulate_lock; /* of all streams, events and captures */

/* ---- stream.c ---- */
cudaStream_t emulate_streams(void);
/* Below n, pseudo-random. Under the lock. */
unsigned emulate_random(unsigned n);

/* ---- capture.c; all under the lock ---- */
cudaError_t emulate_capture_work(cudaStream_t stream, emulate_run run, const void *closure, size_t bytes);
cudaError_t emulate_capture_record(cudaStream_t stream, cudaEvent_t event);
/* Of a stream that captures, or an event that was captured. */
cudaError_t emulate_capture_wait(cudaStream_t stream, cudaEvent_t event);
/* What the thread must not call while it captures ends its captures: the error, or cudaSuccess. */
cudaError_t emulate_capture_break(void);
/* The same for the default stream, when a blocking one captures. */
cudaError_t emulate_capture_break_blocking(void);
void emulate_capture_leave(cudaStream_t stream);

/* ---- count.c ---- */

/* Calls that give a stream something to do (a graph: one) or ask for what was done; those in which the host waited for all that a stream was given. */
typedef enum { EMULATE_CALL, EMULATE_WAIT, EMULATE_COUNTS } emulate_counted;
void emulate_count(emulate_counted what);

#endif
