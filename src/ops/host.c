#include "ops/ops.h"

static const mu_attr attr_table[] = {MU_ATTR_POINTER(mu_host_attrs, run), MU_ATTR_POINTER(mu_host_attrs, infer),
                                     MU_ATTR_POINTER(mu_host_attrs, user), MU_ATTR_INT(mu_host_attrs, n_out),
                                     MU_ATTR_END};

static mu_err infer(const mu_call *call, mu_type *out)
{
    const mu_host_attrs *a = call->attrs;
    if (!a->run || !a->infer)
        return MU_FAIL(MU_ERR_USAGE, "needs a callback to run and one for the output types");
    if (a->n_out < 0 || a->n_out > MU_OP_MAX_OUT)
        return MU_FAIL(MU_ERR_USAGE, "a callback has 0 to %d outputs, not %lld", MU_OP_MAX_OUT, (long long)a->n_out);
    mu_call its = *call;
    its.n_out = (int)a->n_out;
    return a->infer(a->user, &its, out);
}

static int64_t flops(const mu_call *call)
{
    (void)call;
    return 0;
}

const mu_op mu_op_host = {
    .name = "host",
    .doc =
        "Calls a C function on row-major operands in host memory, for work that depends on values. Not differentiable.",
    .n_in_min = 0,
    .n_in_max = MU_OP_VARIADIC,
    .n_out = MU_OP_MAX_OUT,
    .flags = MU_OP_HOST | MU_OP_EFFECT,
    .attrs_size = sizeof(mu_host_attrs),
    .attrs = attr_table,
    .infer = infer,
    .flops = flops,
};

void mu_host(mu_graph *g, const mu_host_attrs *attrs, const mu_value *in, int n_in, mu_value *out)
{
    mu_value all[MU_OP_MAX_OUT];
    mu_graph_apply(g, &mu_op_host, attrs, in, n_in, all);
    for (int64_t i = 0; i < attrs->n_out && i < MU_OP_MAX_OUT; i++)
        out[i] = all[i];
}
