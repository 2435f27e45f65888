#include "ops/cases/trace.h"

typedef struct {
    mu_conv2d_attrs conv;
    int64_t output_padding[2];
} transpose_attrs;

TRACE(conv2d, mu_conv2d(g, in[0], in[1], in[2], attrs))
TRACE(conv_transpose2d, mu_conv_transpose2d(g, in[0], in[1], in[2], &((const transpose_attrs *)attrs)->conv,
                                            ((const transpose_attrs *)attrs)->output_padding))
/* With a residual, as the fusion pass makes it. */
TRACE(conv2d_residual, mu_graph_apply1(g, &mu_op_conv2d, attrs, in, 4))
/* The backward operations on operands of their own. */
TRACE(conv2d_grad_input, mu_graph_apply1(g, &mu_op_conv2d_grad_input, attrs, in, 2))

#define CONV(...) &(const mu_conv2d_attrs){.stride = {1, 1}, .dilation = {1, 1}, .groups = 1, __VA_ARGS__}
#define TRANSPOSE(...) \
    &(const transpose_attrs){.conv = {.stride = {1, 1}, .dilation = {1, 1}, .groups = 1}, __VA_ARGS__}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverride-init"
const op_case conv_cases[] = {
    {"conv2d", t_conv2d, "f[2,3,9,8] f[5,3,3,3] f[5]", CONV(.padding = {1, 1, 1, 1})},
    {"conv2d", t_conv2d, "f[1,1,1,1] f[1,1,1,1]", CONV(.groups = 1)},
    {"conv2d", t_conv2d, "f[3,7,5,6] f[4,7,1,1] f[4]", CONV(.groups = 1)},
    {"conv2d", t_conv2d, "f[2,6,7,7] f[8,6,1,1] -", CONV(.stride = {2, 2})},
    {"conv2d", t_conv2d, "f[2,4,11,9] f[6,4,3,3] f[6]", CONV(.stride = {2, 3}, .padding = {1, 0, 2, 1})},
    {"conv2d", t_conv2d, "f[1,3,13,12] f[4,3,3,2] f[4]", CONV(.dilation = {2, 3}, .padding = {2, 1, 2, 3})},
    {"conv2d", t_conv2d, "f[2,8,6,7] f[12,2,3,3] f[12]", CONV(.groups = 4, .padding = {1, 1, 1, 1})},
    {"conv2d", t_conv2d, "f[2,9,7,5] f[9,1,3,3] f[9]", CONV(.groups = 9, .padding = {1, 1, 1, 1})},
    {"conv2d", t_conv2d, "f[1,6,8,8] f[12,1,5,5] -", CONV(.groups = 6, .stride = {2, 2}, .padding = {2, 2, 2, 2})},
    {"conv2d", t_conv2d, "f[2,3,17,15] f[7,3,7,7] -", CONV(.stride = {2, 2}, .padding = {3, 3, 3, 3})},
    {"conv2d", t_conv2d, "f[1,2,6,1] f[3,2,4,1] f[3]", CONV(.padding = {3, 0, 0, 0})},
    {"conv2d", t_conv2d, "f[2,17,6,5] f[19,17,3,3] f[19]", CONV(.padding = {1, 1, 1, 1})},
    {"conv2d", t_conv2d, "f[2,16,12,12] f[32,16,3,3] -", CONV(.padding = {1, 1, 1, 1})},
    {"conv2d", t_conv2d, "f[1,32,9,14] f[16,32,3,3] f[16]", CONV(.padding = {1, 1, 1, 1})},
    {"conv2d", t_conv2d, "f[2,3,4,4] f[4,3,4,4] f[4]", CONV(.groups = 1)},
    {"conv2d", t_conv2d, "f[0,3,5,5] f[4,3,3,3] f[4]", CONV(.padding = {1, 1, 1, 1})},
    {"conv2d", t_conv2d, "f[1,2,5,5]:special f[3,2,3,3] f[3]", CONV(.padding = {1, 1, 1, 1}), CASE_NO_FD},
    {"conv2d", t_conv2d, "f[2,3,5,6]:tiny f[4,3,3,3] -", CONV(.groups = 1), CASE_NO_FD},
    {"conv2d", t_conv2d, "f[2,4,6,6] f[8,4,3,3] f[8]", CONV(.padding = {1, 1, 1, 1}, .activation = MU_ACT_RELU),
     CASE_FORWARD},
    {"conv2d", t_conv2d, "f[2,4,6,6] f[8,4,3,3] f[8]", CONV(.activation = MU_ACT_RELU6), CASE_FORWARD},
    {"conv2d", t_conv2d, "f[2,4,6,6] f[5,4,3,3] f[5]", CONV(.activation = MU_ACT_LEAKY_RELU, .alpha = 0.1),
     CASE_FORWARD},
    {"conv2d", t_conv2d, "f[2,4,6,6] f[8,4,3,3] f[8]", CONV(.activation = MU_ACT_SILU), CASE_FORWARD},
    {"conv2d", t_conv2d, "f[2,4,6,6] f[8,4,1,1] -", CONV(.activation = MU_ACT_GELU), CASE_FORWARD},
    {"conv2d", t_conv2d, "f[2,4,6,6] f[8,4,1,1] -", CONV(.activation = MU_ACT_GELU_TANH), CASE_FORWARD},
    {"conv2d", t_conv2d, "f[2,4,6,6] f[8,4,3,3] f[8]", CONV(.activation = MU_ACT_SIGMOID), CASE_FORWARD},
    {"conv2d", t_conv2d, "f[2,4,6,6] f[8,4,3,3] f[8]", CONV(.activation = MU_ACT_HARD_SIGMOID), CASE_FORWARD},
    {"conv2d", t_conv2d, "f[2,4,6,6] f[8,4,3,3] f[8]", CONV(.activation = MU_ACT_HARD_SWISH), CASE_FORWARD},
    {"conv2d", t_conv2d, "f[2,4,6,6] f[8,4,3,3] f[8]", CONV(.activation = MU_ACT_TANH), CASE_FORWARD},
    {"conv2d", t_conv2d_residual, "f[2,5,7,7] f[6,5,3,3] f[6] f[2,6,7,7]",
     CONV(.padding = {1, 1, 1, 1}, .activation = MU_ACT_RELU), CASE_FORWARD},
    {"conv2d", t_conv2d_residual, "f[2,8,6,6] f[16,8,3,3] - f[2,16,3,3]",
     CONV(.stride = {2, 2}, .padding = {1, 1, 1, 1}), CASE_FORWARD},

    {"conv2d_grad_input", t_conv_transpose2d, "f[2,4,5,4] f[4,3,3,3] f[3]", TRANSPOSE(.conv.padding = {1, 1, 1, 1})},
    {"conv2d_grad_input", t_conv_transpose2d, "f[2,4,5,4] f[4,3,2,2] f[3]", TRANSPOSE(.conv.stride = {2, 2})},
    {"conv2d_grad_input", t_conv_transpose2d, "f[1,6,4,3] f[6,2,3,3] -",
     TRANSPOSE(.conv.stride = {2, 3}, .conv.padding = {1, 1, 0, 1}, .conv.groups = 2, .output_padding = {1, 2})},
    {"conv2d_grad_input", t_conv_transpose2d, "f[1,3,4,4] f[3,4,3,3] f[4]",
     TRANSPOSE(.conv.dilation = {2, 2}, .conv.padding = {2, 1, 2, 1})},
    {"conv2d_grad_input", t_conv_transpose2d, "f[2,5,3,3] f[5,1,4,4] f[5]",
     TRANSPOSE(.conv.stride = {2, 2}, .conv.padding = {1, 1, 1, 1}, .conv.groups = 5)},
    {"conv2d_grad_input", t_conv_transpose2d, "f[0,4,5,4] f[4,3,3,3] f[3]", TRANSPOSE(.conv.padding = {1, 1, 1, 1})},
    /* an input whose last row and column no window reaches */
    {"conv2d_grad_input", t_conv2d_grad_input, "f[2,4,3,3] f[4,3,3,3]", CONV(.stride = {2, 2}, .input = {8, 8})},

    {"conv2d_grad_weight", t_conv2d, "f[3,5,8,7] f[6,5,3,2] f[6]", CONV(.stride = {2, 1}, .padding = {1, 1, 0, 0})},
    {"conv2d_grad_weight", t_conv2d, "f[4,16,8,8] f[16,16,3,3] f[16]", CONV(.padding = {1, 1, 1, 1})},
    {NULL}};
#pragma GCC diagnostic pop
