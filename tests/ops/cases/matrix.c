#include "ops/cases/trace.h"

TRACE(linear,
      attrs ? mu_graph_apply1(g, &mu_op_linear, attrs, in, in[2].id ? 3 : 2) : mu_linear(g, in[0], in[1], in[2]))
TRACE(matmul,
      mu_matmul(g, in[0], in[1], ((const mu_matmul_attrs *)attrs)->trans_a, ((const mu_matmul_attrs *)attrs)->trans_b))

#define ACT(...) &(const mu_linear_attrs){__VA_ARGS__}
#define MATMUL(a, b) &(const mu_matmul_attrs){a, b}

const op_case matrix_cases[] = {{"linear", t_linear, "f[5,7] f[3,7] f[3]"},
                                {"linear", t_linear, "f[5,7] f[3,7] -"},
                                {"linear", t_linear, "f[1,1] f[1,1] f[1]"},
                                {"linear", t_linear, "f[2,3,4,9] f[11,9] f[11]"},
                                {"linear", t_linear, "f[9] f[4,9] f[4]"},
                                {"linear", t_linear, "f[64,33] f[17,33] f[17]"},
                                {"linear", t_linear, "f[0,7] f[3,7] f[3]"},
                                {"linear", t_linear, "f[4,300] f[5,300] f[5]", NULL, CASE_NO_FD},
                                {"linear", t_linear, "f[6,5]:wide f[3,5]:wide f[3]", NULL, CASE_NO_FD},
                                {"linear", t_linear, "f[3,5]:special f[2,5] f[2]", NULL, CASE_NO_FD},
                                {"linear", t_linear, "f[4,7] f[6,7] f[6]", ACT(MU_ACT_RELU), CASE_FORWARD},
                                {"linear", t_linear, "f[4,7] f[6,7] f[6]", ACT(MU_ACT_LEAKY_RELU, 0.2), CASE_FORWARD},
                                {"linear", t_linear, "f[4,7] f[6,7] f[6]", ACT(MU_ACT_GELU), CASE_FORWARD},
                                {"linear", t_linear, "f[4,7] f[6,7] f[6]", ACT(MU_ACT_GELU_TANH), CASE_FORWARD},
                                {"linear", t_linear, "f[4,7] f[6,7] -", ACT(MU_ACT_SILU), CASE_FORWARD},
                                {"linear", t_linear, "f[4,7] f[6,7] f[6]", ACT(MU_ACT_SIGMOID), CASE_FORWARD},
                                {"linear", t_linear, "f[4,7] f[6,7] f[6]", ACT(MU_ACT_TANH), CASE_FORWARD},

                                {"matmul", t_matmul, "f[5,7] f[7,3]", MATMUL(false, false)},
                                {"matmul", t_matmul, "f[7,5] f[7,3]", MATMUL(true, false)},
                                {"matmul", t_matmul, "f[5,7] f[3,7]", MATMUL(false, true)},
                                {"matmul", t_matmul, "f[7,5] f[3,7]", MATMUL(true, true)},
                                {"matmul", t_matmul, "f[4,5,7] f[4,7,3]", MATMUL(false, false)},
                                {"matmul", t_matmul, "f[2,1,5,4] f[3,4,6]", MATMUL(false, false)},
                                {"matmul", t_matmul, "f[2,3,4,5] f[4,6]", MATMUL(true, false)},
                                {"matmul", t_matmul, "f[3,5] f[2,3,6,5]", MATMUL(false, true)},
                                {"matmul", t_matmul, "f[1,1] f[1,1]", MATMUL(false, false)},
                                {"matmul", t_matmul, "f[0,5,7] f[0,7,3]", MATMUL(false, false)},
                                {"matmul", t_matmul, "f[5,0] f[0,3]", MATMUL(false, false)},
                                {"matmul", t_matmul, "f[33,65] f[65,17]", MATMUL(false, false), CASE_NO_FD},
                                {"matmul", t_matmul, "f[3,4]:special f[4,2]", MATMUL(false, false), CASE_NO_FD},
                                {"matmul", t_matmul, "f[3,4]:huge f[4,2]:huge", MATMUL(false, false), CASE_NO_FD},
                                {NULL}};
