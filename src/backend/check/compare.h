/* When two results of one operation count as the same. */
#ifndef MU_BACKEND_CHECK_COMPARE_H
#define MU_BACKEND_CHECK_COMPARE_H

#include "core/type.h"

#define CHECK_CHANGE 0x1p-26 /* relative change of operands by which the condition of a result is measured */
enum { CHECK_FILL = 0xFF };  /* bytes before a run: NaN in every floating dtype */

typedef struct {
    int64_t at;
    double got, want, tolerance;
    bool unwritten; /* still what it was filled with */
} check_difference;

/* Is there an element of `got` that is wrong? Integers and bools must equal `oracle`. Floats may differ from want (f64)
 * by the rounding of their dtype, and by a few roundings of the largest result or of what changes of the operands make
 * of it: moved (f64) is the result under operands changed by CHECK_CHANGE. */
bool mu_check_compare(const mu_type *type, const void *got, const void *oracle, const double *want, const double *moved,
                      check_difference *out);

#endif
