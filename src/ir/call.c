#include "ir/op.h"

int64_t mu_call_flops(const mu_call *call)
{
    if (call->op->flops)
        return call->op->flops(call);
    return call->op->flags & MU_OP_VIEW ? 0 : mu_type_count(&call->out[0]);
}

/* Types fit in 63 bits each, not all together. */
static int64_t add(int64_t sum, size_t bytes)
{
    return __builtin_add_overflow(sum, (int64_t)bytes, &sum) ? INT64_MAX : sum;
}

int64_t mu_call_bytes(const mu_call *call)
{
    if (call->op->bytes)
        return call->op->bytes(call);
    if (call->op->flags & MU_OP_VIEW)
        return 0;
    int64_t bytes = 0;
    for (int i = 0; i < call->n_in; i++)
        bytes = add(bytes, mu_type_bytes(&call->in[i]));
    for (int i = 0; i < call->n_out; i++)
        bytes = add(bytes, mu_type_bytes(&call->out[i]));
    return bytes;
}
