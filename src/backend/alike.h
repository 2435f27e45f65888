/* Which layouts a kernel gets that reads several operands alike: what the tables of backends with kernels of their own ask. */
#ifndef MU_BACKEND_ALIKE_H
#define MU_BACKEND_ALIKE_H

#include "backend.h"

typedef enum {
    MU_ALIKE_ROWS,     /* row-major only */
    MU_ALIKE_FLAT,     /* element-wise: operands and outputs of the shape of output 0 lie alike, the others are row-major */
    MU_ALIKE_CHANNELS, /* operands and outputs with operand 0's N, C and number of dimensions lie alike, the others are row-major */
    MU_ALIKE_STORED    /* all operands and outputs have operand 0's number of dimensions and lie alike, where `fits` says so */
} mu_alike;

typedef struct {
    mu_alike kind;
    bool one_element;                           /* FLAT: the other operands must have one element, or all are row-major */
    bool (*readable)(const mu_layout *layout);  /* can the kernels read it? Called with NULL, too */
    bool (*fits)(const mu_call *call, const mu_layout *layout); /* STORED: can the call be done in this layout? */
} mu_alike_rule;

/* Sets the kernel's layouts: all alike operands and outputs get that of the first of them that is not row-major. in_layout may be NULL. */
MU_CHECKED mu_err mu_alike_choose(mu_kernel *kernel, mu_backend *backend, const mu_layout *const *in_layout, const mu_alike_rule *rule);

#endif
