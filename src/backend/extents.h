/* A type as [N,C,spatial...]: what the layouts of images go by. Dimensions that it lacks are 1; a type of one dimension has channels only. */
#ifndef MU_BACKEND_EXTENTS_H
#define MU_BACKEND_EXTENTS_H

#include "core/type.h"

typedef struct {
    int64_t n, c, space;
    int64_t h, w; /* the last two dimensions; space = h*w*(the others) */
} mu_extents;

static inline mu_extents mu_extents_of(const mu_type *type)
{
    mu_extents e = {1, 1, 1, 1, 1};
    if (type->ndim == 1)
        e.c = type->dim[0];
    if (type->ndim >= 2) {
        e.n = type->dim[0];
        e.c = type->dim[1];
    }
    for (int i = 2; i < type->ndim; i++)
        e.space *= type->dim[i];
    if (type->ndim >= 3)
        e.w = type->dim[type->ndim - 1];
    if (type->ndim >= 4)
        e.h = type->dim[type->ndim - 2];
    return e;
}

#endif
