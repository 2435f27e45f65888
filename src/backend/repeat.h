/* What a device is asked for in the same way again and again: a run of a plan, a training step.
 *
 * Between begin and end the device's orders are noted while they are given: kernels, uploads, copies within the device, marks, collectives. An order of
 * events that has come twice is recorded (backend.h: record_begin). From then on a span whose orders are the same is only compared with what was noted, and
 * given to the device at its end, at one call; what is uploaded may differ, and is read by the device from host memory. A span that turns out to be another
 * one gives its orders one by one, beginning with those that were held back: so the caller need not know what will be the same.
 *
 * Within a span the host waits for nothing that the span has asked for, and what it uploads is small; such a span is never held back, but is right. */
#ifndef MU_BACKEND_REPEAT_H
#define MU_BACKEND_REPEAT_H

#include "backend.h"

typedef struct mu_repeat mu_repeat;

/* The backend is borrowed. On one without recordings, and where MU_RECORD=0 is in the environment, spans do nothing. */
MU_CHECKED mu_err mu_repeat_new(mu_backend *backend, mu_repeat **out);
void mu_repeat_release(mu_repeat *repeat); /* NULL is allowed; waits for what was given */

/* A span within another one is part of that. `repeat` may be NULL. */
void mu_repeat_begin(mu_repeat *repeat);
/* err: of the span; what was held back is then given to the device all the same. Returns err, else the first failure of what was given. */
MU_CHECKED mu_err mu_repeat_end(mu_repeat *repeat, mu_err err);

/* For tests: spans that were recorded, and given at one call, so far. */
typedef struct {
    int64_t recorded, replayed;
} mu_repeat_stats;
mu_repeat_stats mu_repeat_get_stats(const mu_repeat *repeat);

/* Within a span: what was held back is given now, and this span is not noted. NULL is allowed. */
MU_CHECKED mu_err mu_repeat_give_way(mu_repeat *repeat);
mu_err mu_repeat_run_kernel(mu_repeat *repeat, mu_kernel *kernel, const mu_run *run);

/* Runs a kernel: how all run theirs who may be part of a span. */
static inline mu_err mu_backend_run(mu_backend *backend, mu_kernel *kernel, const mu_run *run)
{
    return __builtin_expect(backend->repeat != NULL, 0) ? mu_repeat_run_kernel(backend->repeat, kernel, run) : mu_kernel_run(kernel, run);
}

#endif
