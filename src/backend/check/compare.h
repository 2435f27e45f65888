/* When two results of one operation count as the same. */
#ifndef MU_BACKEND_CHECK_COMPARE_H
#define MU_BACKEND_CHECK_COMPARE_H

#include "core/type.h"

enum { CHECK_FILL = 0xFF }; /* bytes before a run: NaN in every floating dtype */

typedef struct {
    int64_t at;
    double got, want, tolerance;
    bool unwritten; /* still what it was filled with */
} check_difference;

/* Is there an element of `got` that is wrong? Integers and bools must equal `oracle`. Floats may differ from want (f64) by
 * the rounding of their dtype, and by a few roundings of the largest result or of the largest `change`: how far results
 * move per relative change of the operands. */
bool mu_check_compare(const mu_type *type, const void *got, const void *oracle, const double *want,
                      const double *change, check_difference *out);

#endif
