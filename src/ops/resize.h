/* Where resizing reads from: one rule for every backend. */
#ifndef MU_OPS_RESIZE_H
#define MU_OPS_RESIZE_H

#include "ops/ops.h"

#include <math.h>

/* The source of output o when `in` elements become `out`. PyTorch's "nearest": the scale is a float, whatever the dtype. */
static inline int64_t mu_resize_nearest(int64_t o, int64_t in, int64_t out)
{
    if (in == out)
        return o;
    if (out == 2 * in)
        return o / 2;
    int64_t i = (int64_t)floorf((float)o * ((float)in / (float)out));
    return i < in - 1 ? i : in - 1;
}

/* Output o is (1 - weight) * x[low] + weight * x[high]. */
typedef struct {
    int64_t low, high;
    double weight;
} mu_resize_tap;

static inline mu_resize_tap mu_resize_linear(int64_t o, int64_t in, int64_t out, bool align_corners)
{
    double scale = align_corners ? (out > 1 ? (double)(in - 1) / (double)(out - 1) : 0) : (double)in / (double)out;
    double at = align_corners ? scale * (double)o : scale * ((double)o + 0.5) - 0.5;
    if (at < 0)
        at = 0;
    int64_t low = (int64_t)at;
    if (low > in - 1)
        low = in - 1;
    return (mu_resize_tap){low, low < in - 1 ? low + 1 : low, at - (double)low};
}

#endif
