#include "ops/ops.h"

static const mu_op *const builtins[] = {
#define OP(name) &mu_op_##name,
#include "ops/ops.def"
#undef OP
    NULL};

const mu_op *const *mu_op_builtins(void)
{
    return builtins;
}

const mu_op *mu_op_find(const char *name)
{
    for (const mu_op *const *op = builtins; *op; op++)
        if (strcmp((*op)->name, name) == 0)
            return *op;
    return NULL;
}
