/* A CUDA device on the CPU, to test cuda/ without a GPU. It is strict rather than fast:
 *
 *   - work is done late: launches and asynchronous copies wait until something synchronises (MUSTER_EMULATE_NOW=1: at once); one piece of it for
 *     every time that somebody asks whether it is done;
 *   - work of different streams is done in a pseudo-random order, and so are the branches of a graph, as far as events allow;
 *   - blocks, warps and the threads of a warp run in a pseudo-random order (MUSTER_EMULATE_SEED=n: another one);
 *   - barriers and shuffles that some threads do not reach are errors that name the kernel, the block and the line;
 *   - memory comes filled with NaNs, between guards that are looked at when it is freed (address sanitizer: when they are touched);
 *   - configured with --enable-racecheck: accesses of a kernel's threads to the same byte that nothing orders are errors (race.c).
 *
 * Every device is one H100. MUSTER_EMULATE_DEVICES=n: how many there are (1), of which a process sees those in CUDA_VISIBLE_DEVICES.
 * MUSTER_EMULATE_MEMORY=bytes, MUSTER_EMULATE_MULTIPROCESSORS=n: what each has. `device: auto` takes an emulated device only where
 * MUSTER_EMULATE_DEVICES is set.
 * MUSTER_EMULATE_COUNT=file: how often the program asked the device for something, and waited for a stream.
 * MUSTER_EMULATE_IDLE=1: work that is not recorded is dropped: numbers mean nothing, and the time is the host's alone.
 * MUSTER_EMULATE_ERROR=driver: the driver is too old; =lost: work on the device fails; =nccl: ranks cannot be connected. */
#ifndef EMULATE_H
#define EMULATE_H

#include "cuda_runtime_api.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- device.c ---- */

/* Notes `status` as the last error and returns it. */
cudaError_t emulate_error(cudaError_t status);
/* The same for work that fails on the device: all that follows fails alike. The text tells more (printf). */
cudaError_t emulate_fault(cudaError_t status, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* cudaSuccess, or why no call can succeed: no device, an old driver, an earlier fault. */
cudaError_t emulate_ready(void);
long long emulate_setting(const char *name, long long none);

/* ---- stream.c ---- */

/* Work on a stream: run(copy of closure) is called later, or at every launch of the graph that is being captured. Where it returns cudaErrorNotReady
 * it is called again, after other streams had a chance. */
typedef cudaError_t (*emulate_run)(const void *closure);
cudaError_t emulate_submit(cudaStream_t stream, emulate_run run, const void *closure, size_t bytes);
/* Has a graph that can be launched such work whose closure begins with the address `what`? */
bool emulate_in_graphs(emulate_run run, const void *what);
/* Is work dropped (MUSTER_EMULATE_IDLE)? */
bool emulate_idles(void);
/* Does all that is waiting, or what a stream was given (nothing where it captures) and others before that. */
cudaError_t emulate_finish(void);
/* Some of the work that waits, by any thread. */
void emulate_go_on(void);
cudaError_t emulate_finish_stream(cudaStream_t stream);
/* For calls that cannot be captured: ends what this thread captures with an error, else cudaSuccess. */
cudaError_t emulate_outside_capture(void);

/* ---- memory.c ---- */

/* Do these bytes lie in one block of device memory? */
bool emulate_on_device(const void *address, size_t bytes);
/* The block of device memory in which this lies. */
bool emulate_memory_of(const void *address, const void **start, size_t *bytes);

/* ---- fiber.c ---- */

typedef void (*emulate_kernel)(const void *arguments);
/* Checks the configuration; then submits the kernel with a copy of its arguments. `function` and `type` name it. */
cudaError_t emulate_launch(const cudaLaunchConfig_t *config, const void *function, const char *type, emulate_kernel kernel,
                           const void *arguments, size_t bytes);

/* Of the thread that runs. */
extern struct emulate_index {
    uint3 thread, block;
    dim3 threads, blocks; /* of a block, of the grid */
} emulate_index;
void emulate_barrier(const char *file, int line);
/* The same; true where it is `mine` for some thread. */
bool emulate_barrier_or(bool mine, const char *file, int line);
/* Waits for the lanes of `mask`; returns the bits that lane `source` of the warp gave. */
enum { EMULATE_OWN = -1, EMULATE_SYNC = -2 }; /* instead of a source: none but the thread itself; the same, for __syncwarp */
uint64_t emulate_exchange(unsigned mask, uint64_t bits, int source, const char *file, int line);
/* This thread's lane. */
int emulate_lane(void);

/* ---- race.c ---- */

/* What the thread reads and writes until `false` is one atomic access. */
void emulate_race_atomic(bool begins);

#ifdef __cplusplus
}
#endif

#endif
