/* Placing blocks with known lifetimes in one arena. */
#ifndef MU_GRAPH_OFFSETS_H
#define MU_GRAPH_OFFSETS_H

#include "core/error.h"

#include <stdint.h>

typedef struct {
    size_t bytes;
    int32_t first, last; /* steps, both included */
    size_t offset;       /* set by mu_offsets_assign: a multiple of MU_ALIGN */
} mu_block;

/* Sets the offsets so that blocks alive at one step never overlap, by the best of several heuristics (best fit in time order
 * forwards and backwards; largest first; largest bytes times steps first), and *total to the arena's size.
 * MU_ERR_OVERFLOW when the bytes do not fit in a size. */
MU_CHECKED mu_err mu_offsets_assign(mu_block *blocks, int32_t n, size_t *total);

/* The largest sum of bytes alive at one step: no placement takes less. */
MU_CHECKED mu_err mu_offsets_lower_bound(const mu_block *blocks, int32_t n, size_t *out);

#endif
