#include "ops/operand.h"
#include "ops/update.h"

static mu_err infer(const mu_call *call, mu_type *out)
{
    MU_TRY(mu_update_check(call, 4));
    out[0] = call->in[0];
    for (int i = 1; i < 4; i++)
        out[i] = call->in[i + 1];
    return MU_OK;
}

static int64_t flops(const mu_call *call)
{
    return mu_cost_per_element(&call->in[0], 16);
}

const mu_op mu_op_adam = {
    .name = "adam",
    .doc = "Adam (Kingma and Ba 2015), AdamW when decoupled (Loshchilov and Hutter 2019), AMSGrad with vmax (Reddi et al. "
           "2018), in place: (param, gradient, m, v, vmax or none, scalars f64 [12]) -> param', m', v', vmax'. "
           "A step that is skipped changes nothing.",
    .n_in_min = 4, .n_in_max = 6, .n_out = 4, .flags = MU_OP_EFFECT, .updates = {1, 3, 4, 5},
    .attrs_size = sizeof(mu_update_attrs), .attrs = mu_update_attr_table,
    .infer = infer, .flops = flops,
};
