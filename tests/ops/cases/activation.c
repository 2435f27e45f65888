#include "ops/cases/trace.h"

#include <math.h>

TRACE1(abs)
TRACE1(neg)
TRACE1(exp)
TRACE1(log)
TRACE1(sqrt)
TRACE1(relu)
TRACE1(relu6)
TRACE(leaky_relu, mu_leaky_relu(g, in[0], *(const double *)attrs))
TRACE1(silu)
TRACE(gelu, mu_gelu(g, in[0], *(const bool *)attrs))
TRACE1(sigmoid)
TRACE1(hard_sigmoid)
TRACE1(hard_swish)
TRACE1(tanh)
TRACE(clamp, mu_clamp(g, in[0], ((const double *)attrs)[0], ((const double *)attrs)[1]))
TRACE2(prelu)
TRACE(dropout, mu_dropout(g, in[0], *(const double *)attrs))
TRACE(cast, mu_cast(g, in[0], *(const mu_dtype *)attrs))

static const double slope = 0.125, third = 0.3, none = 0, most = 0.9;
static const double low_high[] = {-1, 2}, low_only[] = {-1, INFINITY}, high_only[] = {-INFINITY, 1};
static const bool exact = false, by_tanh = true;
static const mu_dtype f32 = MU_F32, f64 = MU_F64, bf16 = MU_BF16, f16 = MU_F16, i64 = MU_I64, i32 = MU_I32, u8 = MU_U8,
                      boolean = MU_BOOL;

/* Ordinary, ragged, scalar, empty, image-shaped (for blocked layouts), and the edges of the number range. */
#define EVERYWHERE(fn, range, attrs)                                                                                   \
    {#fn, t_##fn, "f[5,7]" range, attrs}, {#fn, t_##fn, "f[]" range, attrs}, {#fn, t_##fn, "f[3,0,2]" range, attrs},   \
        {#fn, t_##fn, "f[2,17,3,5]" range, attrs},                                                                     \
    {                                                                                                                  \
#fn, t_##fn, "f[21]:special", attrs, CASE_NO_FD                                                                \
    }

const op_case activation_cases[] = {EVERYWHERE(abs, ":off", NULL),
                                    {"abs", t_abs, "f[40]:wide", NULL, CASE_NO_FD},
                                    EVERYWHERE(neg, "", NULL),
                                    {"neg", t_neg, "f[40]:huge", NULL, CASE_NO_FD},
                                    EVERYWHERE(exp, "", NULL),
                                    {"exp", t_exp, "f[200]:off"},
                                    {"exp", t_exp, "f[200]:far", NULL, CASE_NO_FD},
                                    {"exp", t_exp, "f[100]:tiny", NULL, CASE_NO_FD},
                                    EVERYWHERE(log, ":pos", NULL),
                                    {"log", t_log, "f[100]:far"},
                                    {"log", t_log, "f[100]:prob"},
                                    {"log", t_log, "f[100]:huge", NULL, CASE_NO_FD},
                                    EVERYWHERE(sqrt, ":pos", NULL),
                                    {"sqrt", t_sqrt, "f[100]:huge", NULL, CASE_NO_FD},
                                    EVERYWHERE(relu, ":off", NULL),
                                    EVERYWHERE(relu6, ":off", NULL),
                                    EVERYWHERE(leaky_relu, ":off", &slope),
                                    {"leaky_relu", t_leaky_relu, "f[30]:off", &none},
                                    EVERYWHERE(silu, "", NULL),
                                    {"silu", t_silu, "f[300]:off"},
                                    {"silu", t_silu, "f[300]:wide", NULL, CASE_NO_FD},
                                    EVERYWHERE(gelu, "", &exact),
                                    {"gelu", t_gelu, "f[300]:off", &exact},
                                    {"gelu", t_gelu, "f[300]:wide", &exact, CASE_NO_FD},
                                    EVERYWHERE(gelu, "", &by_tanh),
                                    {"gelu", t_gelu, "f[300]:off", &by_tanh},
                                    {"gelu", t_gelu, "f[300]:wide", &by_tanh, CASE_NO_FD},
                                    EVERYWHERE(sigmoid, "", NULL),
                                    {"sigmoid", t_sigmoid, "f[300]:off"},
                                    {"sigmoid", t_sigmoid, "f[300]:wide", NULL, CASE_NO_FD},
                                    EVERYWHERE(hard_sigmoid, ":off", NULL),
                                    EVERYWHERE(hard_swish, ":off", NULL),
                                    EVERYWHERE(tanh, "", NULL),
                                    {"tanh", t_tanh, "f[300]:off"},
                                    {"tanh", t_tanh, "f[300]:wide", NULL, CASE_NO_FD},
                                    {"tanh", t_tanh, "f[100]:tiny", NULL, CASE_NO_FD},
                                    EVERYWHERE(clamp, ":off", low_high),
                                    {"clamp", t_clamp, "f[30]:off", low_only},
                                    {"clamp", t_clamp, "f[30]:off", high_only},
                                    {"prelu", t_prelu, "f[2,3,5]:off f[3]"},
                                    {"prelu", t_prelu, "f[2,17,3,5]:off f[17]"},
                                    {"prelu", t_prelu, "f[4,5]:off f[1]"},
                                    {"prelu", t_prelu, "f[3,6]:off f[6]"},
                                    {"prelu", t_prelu, "f[0,6] f[6]"},
                                    {"prelu", t_prelu, "f[2,5,3] f[5]", NULL, CASE_NO_FD},
                                    {"dropout", t_dropout, "f[5,7]", &third},
                                    {"dropout", t_dropout, "f[3,17,4,5]", &third},
                                    {"dropout", t_dropout, "f[1000]", &most},
                                    {"dropout", t_dropout, "f[0,7]", &third},
                                    {"dropout", t_dropout, "f[9,3]", &none},
                                    {"cast", t_cast, "f32[50]:special", &bf16, CASE_FORWARD},
                                    {"cast", t_cast, "f32[50]:wide", &f16, CASE_FORWARD},
                                    {"cast", t_cast, "f32[50]", &f64, CASE_NO_FD},
                                    {"cast", t_cast, "bf16[7,11]", &f32, CASE_NO_FD},
                                    {"cast", t_cast, "f64[30]", &f32, CASE_NO_FD},
                                    {"cast", t_cast, "f32[2,17,3,3]", &bf16, CASE_NO_FD},
                                    {"cast", t_cast, "f16[50]:wide", &f32, CASE_NO_FD},
                                    {"cast", t_cast, "f32[50]:off", &i64, CASE_NO_FD},
                                    {"cast", t_cast, "f32[50]:off", &i32, CASE_NO_FD},
                                    {"cast", t_cast, "f32[50]:int", &boolean, CASE_NO_FD},
                                    {"cast", t_cast, "f32[50]:prob", &u8, CASE_NO_FD},
                                    {"cast", t_cast, "i64[50]:200", &f32, CASE_NO_FD},
                                    {"cast", t_cast, "i64[50]:200", &u8, CASE_NO_FD},
                                    {"cast", t_cast, "bool[50]", &f32, CASE_NO_FD},
                                    {"cast", t_cast, "u8[50]:255", &bf16, CASE_NO_FD},
                                    {"cast", t_cast, "i32[0]", &f32, CASE_NO_FD},
                                    {NULL}};
