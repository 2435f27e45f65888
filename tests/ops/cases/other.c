#include "ops/cases/trace.h"

/* ---- chains ---- */

static mu_value t_chain(mu_graph *g, const mu_value *in, const void *attrs)
{
    mu_value out[MU_OP_MAX_OUT];
    int n = 0;
    while (n < SUITE_MAX_IN && in[n].id)
        n++;
    mu_graph_apply(g, &mu_op_chain, attrs, in, n, out);
    return out[0];
}

/* relu(a * b + c) */
static const mu_chain_attrs multiply_add = {
    .n_steps = 3,
    .n_out = 1,
    .out = {5},
    .step = {{&mu_op_mul, 0, 0, {0, 1, -1}}, {&mu_op_add, 0, 0, {3, 2, -1}}, {&mu_op_relu, 0, 0, {4, -1, -1}}}};
/* sigmoid(a) and its double, both kept */
static const mu_chain_attrs two_outputs = {
    .n_steps = 2,
    .n_out = 2,
    .out = {1, 2},
    .step = {{&mu_op_sigmoid, 0, 0, {0, -1, -1}}, {&mu_op_add, 0, 0, {1, 1, -1}}}};
/* leaky_relu(clamp(a - b), slope 0.1) / exp(b) */
static const mu_chain_attrs with_numbers = {.n_steps = 5,
                                            .n_out = 1,
                                            .out = {6},
                                            .step = {{&mu_op_sub, 0, 0, {0, 1, -1}},
                                                     {&mu_op_clamp, -1, 1.5, {2, -1, -1}},
                                                     {&mu_op_leaky_relu, 0.1, 0, {3, -1, -1}},
                                                     {&mu_op_exp, 0, 0, {1, -1, -1}},
                                                     {&mu_op_div, 0, 0, {4, 5, -1}}}};

/* ---- a callback: y = 2x + 1, z = the number of elements ---- */

static mu_err host_infer(void *user, const mu_call *call, mu_type *out)
{
    (void)user;
    out[0] = call->in[0];
    out[1] = MU_SCALAR(MU_I64);
    return MU_OK;
}

static mu_err host_run(void *user, const mu_call *call, const void *const *in, void *const *out)
{
    const mu_type *t = &call->in[0];
    size_t size = mu_dtype_size(t->dtype);
    (void)user;
    for (int64_t i = 0; i < mu_type_count(t); i++) {
        double x;
        mu_convert(&x, MU_F64, (const char *)in[0] + (size_t)i * size, t->dtype, 1);
        x = 2 * x + 1;
        mu_convert((char *)out[0] + (size_t)i * size, t->dtype, &x, MU_F64, 1);
    }
    *(int64_t *)out[1] = mu_type_count(t);
    return MU_OK;
}

static const mu_host_attrs host_attrs = {.run = host_run, .infer = host_infer, .n_out = 2};

static mu_value t_host(mu_graph *g, const mu_value *in, const void *attrs)
{
    mu_value out[MU_OP_MAX_OUT];
    mu_host(g, attrs, in, 1, out);
    return out[0];
}

const op_case other_cases[] = {{"chain", t_chain, "f[5,7] f[5,7] f[5,7]", &multiply_add, CASE_FORWARD},
                               {"chain", t_chain, "f[2,17,3,5] f[2,17,3,5] f[]", &multiply_add, CASE_FORWARD},
                               {"chain", t_chain, "f[1000]", &two_outputs, CASE_FORWARD},
                               {"chain", t_chain, "f[0,3]", &two_outputs, CASE_FORWARD},
                               {"chain", t_chain, "f[9,11] f[9,11]", &with_numbers, CASE_FORWARD},
                               {"chain", t_chain, "f[6] f[]", &with_numbers, CASE_FORWARD},
                               {"chain", t_chain, "f[42]:special f[42]", &with_numbers, CASE_FORWARD},
                               {"host", t_host, "f[5,7]", &host_attrs, CASE_FORWARD},
                               {"host", t_host, "f[2,17,3,5]", &host_attrs, CASE_FORWARD},
                               {"host", t_host, "f[0]", &host_attrs, CASE_FORWARD},
                               {NULL}};
