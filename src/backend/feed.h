/* Inputs on their way into a device while it computes: host slots to fill, and device memory to land in, by turns.
 *
 *     host slot, or memory of the caller's -> (lane IN) -> landing block -> (lane KERNELS) -> where the kernels read them
 *
 * So the copy from the host goes on beside the kernels of the run before, and these are followed by a copy within the device only. */
#ifndef MU_BACKEND_FEED_H
#define MU_BACKEND_FEED_H

#include "backend.h"

typedef struct mu_feed mu_feed;

/* bytes: of a slot; new ones hold zeros. The backend is borrowed; without lanes, what is sent is uploaded. */
MU_CHECKED mu_err mu_feed_new(mu_backend *backend, size_t bytes, mu_feed **out);
void mu_feed_release(mu_feed *feed); /* NULL is allowed */

/* Host memory to fill for the next send; waits until all has been copied that was sent before the last send, not for kernels that came later. The
 * same until it is sent. */
MU_CHECKED mu_err mu_feed_slot(mu_feed *feed, void **out);
/* Waits until all that was sent has been copied: no host memory is read any more. */
MU_CHECKED mu_err mu_feed_wait(mu_feed *feed);

/* Brings the slot's bytes to `device`, before the kernels that run after this; nothing waits. Then the next slot is due. */
MU_CHECKED mu_err mu_feed_send(mu_feed *feed, void *device);
/* The same for some of its bytes, to the same places: the rest of `device` stays as it is. Neighbours, each where the one before it ends, go in one copy. */
typedef struct {
    size_t offset, bytes;
    const void *from; /* host memory that they come from; NULL: the slot. All of one send, that are not of the slot, are of one block */
} mu_feed_range;
MU_CHECKED mu_err mu_feed_send_ranges(mu_feed *feed, void *device, const mu_feed_range *range, size_t n);

#endif
