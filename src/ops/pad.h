/* Where padding reads from: one rule for every backend. */
#ifndef MU_OPS_PAD_H
#define MU_OPS_PAD_H

#include "ops/ops.h"

/* The element of an axis of n elements that stands at i (0 <= i < n inside); -1 where the constant does. */
static inline int64_t mu_pad_source(int mode, int64_t i, int64_t n)
{
    if (i >= 0 && i < n)
        return i;
    switch ((mu_pad_mode)mode) {
    case MU_PAD_CONSTANT: return -1;
    case MU_PAD_REFLECT: return i < 0 ? -i : 2 * (n - 1) - i;
    case MU_PAD_REPLICATE: return i < 0 ? 0 : n - 1;
    }
    return -1;
}

#endif
