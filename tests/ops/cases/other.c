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

/* ---- images; their dtypes are told, whatever is under test ---- */

TRACE(normalize, mu_normalize(g, in[0], in[1], in[2], attrs))

static const mu_normalize_attrs plain = {.dtype = MU_F32}, plain_bf16 = {.dtype = MU_BF16}, plain_f16 = {.dtype = MU_F16},
                                reversed = {.dtype = MU_F32, .reverse = true}, reversed_bf16 = {.dtype = MU_BF16, .reverse = true},
                                bordered = {.dtype = MU_F32, .reverse = true, .padding = {3, 5}, .value = -1.5},
                                bordered_bf16 = {.dtype = MU_BF16, .padding = {0, 3}, .value = 0.1},
                                bordered_f16 = {.dtype = MU_F16, .padding = {2, 0}, .value = 7};

const op_case other_cases[] = {{"normalize", t_normalize, "u8[2,3,8,12]:256 f32[3] f32[3]:pos", &plain, CASE_FORWARD},
                               {"normalize", t_normalize, "u8[2,3,8,12]:256 f32[3] f32[3]:pos", &reversed_bf16, CASE_FORWARD},
                               {"normalize", t_normalize, "u8[2,3,8,12]:256 f32[3] f32[1]:pos", &plain_f16, CASE_FORWARD},
                               {"normalize", t_normalize, "u8[3,3,7,9]:256 f32[1] f32[3]:pos", &bordered, CASE_FORWARD},
                               {"normalize", t_normalize, "u8[3,3,7,13]:256 f32[3] f32[3]:pos", &bordered_bf16, CASE_FORWARD},
                               {"normalize", t_normalize, "u8[2,3,6,16]:256 f32[3] f32[3]:pos", &bordered_f16, CASE_FORWARD},
                               {"normalize", t_normalize, "u8[5,1,28,28]:256 f32[1] f32[1]:pos", &plain_bf16, CASE_FORWARD},
                               {"normalize", t_normalize, "u8[5,9,11]:256 f32[1] f32[1]:pos", &bordered, CASE_FORWARD},
                               {"normalize", t_normalize, "u8[2,5,9,11]:256 f32[5] f32[5]:pos", &reversed, CASE_FORWARD},
                               {"normalize", t_normalize, "u8[2,2,9,11]:256 f32[2] f32[2]:pos", &bordered_bf16, CASE_FORWARD},
                               {"normalize", t_normalize, "u8[2,3,33,41]:256 - -", &bordered, CASE_FORWARD},
                               {"normalize", t_normalize, "f32[2,3,16,16] f32[3] f32[3]:pos", &reversed_bf16, CASE_FORWARD},
                               {"normalize", t_normalize, "f32[2,3,7,11]:special f32[3] f32[3]:pos", &bordered, CASE_FORWARD},
                               {"normalize", t_normalize, "f32[3,24,8]:wide f32[1] f32[1]:pos", &plain_f16, CASE_FORWARD},
                               {"normalize", t_normalize, "u8[0,3,4,4]:256 f32[3] f32[3]:pos", &plain, CASE_FORWARD},
                               {"normalize", t_normalize, "u8[2,3,0,4]:256 f32[3] f32[3]:pos", &bordered, CASE_FORWARD},
                               {"chain", t_chain, "f[5,7] f[5,7] f[5,7]", &multiply_add, CASE_FORWARD},
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
