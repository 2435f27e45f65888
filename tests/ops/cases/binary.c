#include "ops/cases/trace.h"

TRACE2(add)
TRACE2(sub)
TRACE2(mul)
TRACE2(div)
TRACE2(power)
TRACE2(maximum)
TRACE2(minimum)
TRACE2(equal)
TRACE2(not_equal)
TRACE2(less)
TRACE2(less_equal)
TRACE2(greater)
TRACE2(greater_equal)
TRACE(where, mu_where(g, in[0], in[1], in[2]))
TRACE(add_scalar, mu_add_scalar(g, in[0], 0.3))
TRACE(mul_scalar, mu_mul_scalar(g, in[0], -1.7))
TRACE(power_scalar, mu_power_scalar(g, in[0], *(const double *)attrs))

static const double squared = 2, cubed = 3, root = 0.5, inverse = -1, plain = 1, zeroth = 0;

/* Equal shapes, broadcasting of either side in every place, scalars, empty ones, images. `b` is the second range. */
#define BROADCASTS(fn, a, b)                                                                                           \
    {#fn, t_##fn, "f[5,7]" a " f[5,7]" b}, {#fn, t_##fn, "f[5,7]" a " f[7]" b}, {#fn, t_##fn, "f[7]" a " f[5,7]" b},   \
        {#fn, t_##fn, "f[4,1,3]" a " f[5,1]" b}, {#fn, t_##fn, "f[2,3,4,5]" a " f[3,1,1]" b},                          \
        {#fn, t_##fn, "f[]" a " f[]" b}, {#fn, t_##fn, "f[3,4]" a " f[]" b}, {#fn, t_##fn, "f[1,4]" a " f[3,1]" b},    \
        {#fn, t_##fn, "f[0,4]" a " f[4]" b},                                                                           \
    {                                                                                                                  \
#fn, t_##fn, "f[2,17,3,5]" a " f[2,17,3,5]" b                                                                  \
    }
#define EDGES(fn)                                                                                                      \
    {#fn, t_##fn, "f[42]:special f[42]", NULL, CASE_NO_FD},                                                            \
    {                                                                                                                  \
#fn, t_##fn, "f[42] f[42]:special", NULL, CASE_NO_FD                                                           \
    }
#define COMPARES(fn)                                                                                                   \
    {#fn, t_##fn, "f[5,7]:int f[5,7]:int"}, {#fn, t_##fn, "f[4,1,3]:int f[5,1]:int"},                                  \
        {#fn, t_##fn, "f[]:int f[]:int"}, {#fn, t_##fn, "f[42]:special f[42]:special"},                                \
        {#fn, t_##fn, "i64[5,7]:4 i64[7]:4"}, {#fn, t_##fn, "f[0,4] f[4]"},                                            \
    {                                                                                                                  \
#fn, t_##fn, "f[2,17,3,5]:int f[2,17,3,5]:int"                                                                 \
    }

const op_case binary_cases[] = {BROADCASTS(add, "", ""),
                                EDGES(add),
                                {"add", t_add, "i64[3,4]:9 i64[4]:9"},
                                {"add", t_add_scalar, "f[3,5]"},
                                BROADCASTS(sub, "", ""),
                                EDGES(sub),
                                {"sub", t_sub, "i32[3,4]:9 i32[4]:9"},
                                BROADCASTS(mul, "", ""),
                                EDGES(mul),
                                {"mul", t_mul, "f[30]:huge f[30]:huge", NULL, CASE_NO_FD},
                                {"mul", t_mul_scalar, "f[3,5]"},
                                BROADCASTS(div, "", ":pos"),
                                EDGES(div),
                                {"div", t_div, "f[30]:wide f[30]:wide", NULL, CASE_NO_FD},
                                BROADCASTS(power, ":pos", ""),
                                EDGES(power),
                                {"power", t_power_scalar, "f[3,5]:off", &squared},
                                {"power", t_power_scalar, "f[3,5]:off", &cubed},
                                {"power", t_power_scalar, "f[3,5]:pos", &root},
                                {"power", t_power_scalar, "f[3,5]:off", &inverse},
                                {"power", t_power_scalar, "f[3,5]", &plain},
                                {"power", t_power_scalar, "f[3,5]:off", &zeroth},
                                {"power", t_power, "f[42]:int f[42]:int", NULL, CASE_NO_FD},
                                BROADCASTS(maximum, ":int", ":off"),
                                EDGES(maximum),
                                {"maximum", t_maximum, "f[6,7]:int f[6,7]:int", NULL, CASE_NO_FD},
                                BROADCASTS(minimum, ":int", ":off"),
                                EDGES(minimum),
                                {"minimum", t_minimum, "f[6,7]:int f[6,7]:int", NULL, CASE_NO_FD},
                                COMPARES(equal),
                                COMPARES(not_equal),
                                COMPARES(less),
                                COMPARES(less_equal),
                                COMPARES(greater),
                                COMPARES(greater_equal),
                                {"where", t_where, "bool[5,7] f[5,7] f[5,7]"},
                                {"where", t_where, "bool[7] f[5,1] f[]"},
                                {"where", t_where, "bool[5,1] f[7] f[5,7]"},
                                {"where", t_where, "bool[] f[] f[]"},
                                {"where", t_where, "bool[0,3] f[3] f[]"},
                                {"where", t_where, "bool[42] f[42]:special f[42]", NULL, CASE_NO_FD},
                                {"where", t_where, "bool[2,17,3,5] f[2,17,3,5] f[17,1,1]"},
                                {"where", t_where, "bool[6] i64[6] i64[]"},
                                {NULL}};
