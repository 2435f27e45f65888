/* A backend around another one that distrusts it: for tests, and for whoever writes a backend.
 *
 * Outputs are filled with NaN before every run and have guards on both sides, scratch too; afterwards operands must be
 * as they were, padding zero, and the results those of ref, in f64 wherever it computes in f64. The first difference is
 * MU_ERR_BACKEND: node, operation, element, expected, got, tolerance. Slow: ref runs ten times. */
#ifndef MU_BACKEND_CHECK_CHECK_H
#define MU_BACKEND_CHECK_CHECK_H

#include "backend.h"

/* Wraps `inner` and, on success, owns it. It must work in host memory. mu_backend_open("check:cpu:onednn") does this.
 */
MU_CHECKED mu_err mu_check_wrap(mu_backend *inner, mu_backend **out);

#endif
