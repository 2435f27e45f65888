/* Adapters from the public functions of ops/ops.h to trace_fn. in[] and attrs are the adapter's arguments. */
#ifndef MU_TESTS_OPS_CASES_TRACE_H
#define MU_TESTS_OPS_CASES_TRACE_H

#include "ops/suite.h"

#define TRACE(name, expression)                                                                                        \
    static mu_value t_##name(mu_graph *g, const mu_value *in, const void *attrs)                                       \
    {                                                                                                                  \
        (void)in, (void)attrs;                                                                                         \
        return (expression);                                                                                           \
    }
#define TRACE1(op) TRACE(op, mu_##op(g, in[0]))
#define TRACE2(op) TRACE(op, mu_##op(g, in[0], in[1]))

#endif
