#include "ops/operand.h"

static mu_err infer(const mu_call *call, mu_type *out)
{
    MU_TRY(mu_operand_float(&call->in[0], "x", 0, MU_MAX_NDIM));
    out[0] = MU_SCALAR(MU_F64);
    return MU_OK;
}

static int64_t flops(const mu_call *call)
{
    return mu_cost_per_element(&call->in[0], 2);
}

const mu_op mu_op_square_sum = {
    .name = "square_sum",
    .doc = "The sum of the squares of all elements, accumulated in f64: for the global gradient norm.",
    .n_in_min = 1, .n_in_max = 1, .n_out = 1, .flags = MU_OP_ZERO_KEEPS,
    .infer = infer, .flops = flops,
};
