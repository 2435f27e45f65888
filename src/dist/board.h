/* What the ranks of a node tell each other: one slot each in shared memory. Private to the room. */
#ifndef MU_DIST_BOARD_H
#define MU_DIST_BOARD_H

#include "dist/comm.h"

#include <stdatomic.h>

enum { MU_BOARD_TEXT = 5 }; /* words of 8 bytes */
typedef _Atomic uint64_t mu_board_text[MU_BOARD_TEXT];

/* Written by its rank alone, read by all; times are mu_clock_ns, the same clock on the whole node. */
typedef struct {
    _Alignas(64) _Atomic int32_t pid;
    _Atomic int32_t rank;  /* in the watched communicator */
    _Atomic int32_t phase, left;
    _Atomic int32_t told; /* of the first slot: a rank of the node has told why the job ends */
    _Atomic int64_t since; /* that the phase began */
    _Atomic int64_t noted; /* that the operation began */
    _Atomic int64_t beat;  /* that the monitor last looked */
    _Atomic int64_t iteration;
    mu_board_text what, where, waits;
} mu_slot;

typedef struct {
    mu_slot *slot;
    int n, mine;
    size_t bytes;
} mu_board;

/* Collective. The board of the ranks of a node, where they can share memory (*shared, the same on all ranks of the node), else one of this rank's
 * own. */
MU_CHECKED mu_err mu_board_open(mu_comm *comm, mu_board *out, bool *shared);
void mu_board_close(mu_board *board);

void mu_board_write(mu_board_text to, const char *text);
enum { MU_BOARD_CHARS = MU_BOARD_TEXT * 8 };
void mu_board_read(mu_board_text from, char to[MU_BOARD_CHARS]);

#endif
