#include "ir/op.h"

int64_t mu_call_flops(const mu_call *call)
{
    if (call->op->flops)
        return call->op->flops(call);
    return call->op->flags & MU_OP_VIEW ? 0 : mu_type_count(&call->out[0]);
}

int64_t mu_call_bytes(const mu_call *call)
{
    if (call->op->bytes)
        return call->op->bytes(call);
    if (call->op->flags & MU_OP_VIEW)
        return 0;
    int64_t bytes = 0;
    for (int i = 0; i < call->n_in; i++)
        bytes += (int64_t)mu_type_bytes(&call->in[i]);
    for (int i = 0; i < call->n_out; i++)
        bytes += (int64_t)mu_type_bytes(&call->out[i]);
    return bytes;
}
