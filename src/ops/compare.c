#include "ops/binary.h"

#define COMPARISON(name_, doc_)                                                                    \
    MU_BINARY_OP(name_, doc_, mu_binary_infer_compare, .flags = MU_OP_ELEMENTWISE);                 \
    mu_value mu_##name_(mu_graph *g, mu_value a, mu_value b)                                        \
    {                                                                                              \
        return mu_binary_apply(g, &mu_op_##name_, a, b);                                            \
    }

COMPARISON(equal, "a == b, as bool.")
COMPARISON(not_equal, "a != b, as bool.")
COMPARISON(less, "a < b, as bool.")
COMPARISON(less_equal, "a <= b, as bool.")
COMPARISON(greater, "a > b, as bool.")
COMPARISON(greater_equal, "a >= b, as bool.")
