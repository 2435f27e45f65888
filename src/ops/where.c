#include "ops/binary.h"

static mu_err infer(const mu_call *call, mu_type *out)
{
    char a[MU_TYPE_TEXT], b[MU_TYPE_TEXT];
    if (call->in[0].dtype != MU_BOOL) {
        MU_FAIL(MU_ERR_SHAPE, "the condition must be bool, got %s", mu_type_format(&call->in[0], a));
        return mu_error_hint("compare it with something, or cast it");
    }
    if (call->in[1].dtype != call->in[2].dtype)
        return MU_FAIL(MU_ERR_SHAPE, "choices %s and %s are of different dtypes", mu_type_format(&call->in[1], a),
                       mu_type_format(&call->in[2], b));
    mu_type choices;
    MU_TRY(mu_type_broadcast(&call->in[1], &call->in[2], &choices));
    MU_TRY(mu_type_broadcast(&choices, &call->in[0], out));
    return MU_OK;
}

static void gradient(mu_grad *grad)
{
    mu_graph *g = grad->graph;
    mu_value c = mu_grad_in(grad, 0), dy = grad->dout[0], zero = mu_constant_like(g, dy, 0);
    if (grad->need[1])
        mu_binary_set_gradient(grad, 1, mu_where(g, c, dy, zero));
    if (grad->need[2])
        mu_binary_set_gradient(grad, 2, mu_where(g, c, zero, dy));
}

const mu_op mu_op_where = {
    .name = "where",
    .doc = "a where the condition (bool) holds, else b; all three broadcast.",
    .n_in_min = 3, .n_in_max = 3, .n_out = 1, .flags = MU_OP_ELEMENTWISE | MU_OP_ZERO_KEEPS,
    .inplace = {2}, .infer = infer, .gradient = gradient,
};

mu_value mu_where(mu_graph *g, mu_value condition, mu_value a, mu_value b)
{
    return mu_graph_apply1(g, &mu_op_where, NULL, (mu_value[]){condition, a, b}, 3);
}
