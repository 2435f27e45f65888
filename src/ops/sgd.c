#include "ops/operand.h"
#include "ops/update.h"

static mu_err infer(const mu_call *call, mu_type *out)
{
    MU_TRY(mu_update_check(call, 2));
    if (((const mu_update_attrs *)call->attrs)->nesterov && !mu_operand(call, 2))
        return MU_FAIL(MU_ERR_SHAPE, "Nesterov's momentum needs a momentum buffer");
    out[0] = call->in[0];
    out[1] = call->in[2];
    return MU_OK;
}

static int64_t flops(const mu_call *call)
{
    return mu_cost_per_element(&call->in[0], mu_operand(call, 2) ? 8 : 5);
}

const mu_op mu_op_sgd = {
    .name = "sgd",
    .doc = "Stochastic gradient descent in place: (param, gradient, momentum buffer or none, scalars f64 [12]) -> param', "
           "buffer'. g = clamp(gradient * scale) + weight_decay * param; buffer = momentum * buffer + (1 - dampening) * g, at first g; "
           "param -= lr * (buffer, or g + momentum * buffer with Nesterov's form). A step that is skipped changes nothing.",
    .n_in_min = 2, .n_in_max = 4, .n_out = 2, .flags = MU_OP_EFFECT, .updates = {1, 3},
    .attrs_size = sizeof(mu_update_attrs), .attrs = mu_update_attr_table,
    .infer = infer, .flops = flops,
};
