/* A case as a list of kernels on ref in f64, with memory of their own: no planner, no passes. */
#ifndef MU_TESTS_OPS_PROGRAM_H
#define MU_TESTS_OPS_PROGRAM_H

#include "ops/suite.h"

typedef struct {
    suite_graph s;
    tensor *value;      /* [n_values+1]; the operands are filled */
    mu_kernel **kernel; /* [n_nodes]; NULL for views */
    int32_t n_forward;  /* nodes up to the loss, or all */
} program;

/* Traced with its gradients. */
void program_build(program *p, const op_case *c, mu_backend *ref);
void program_release(program *p);
/* Runs the first nodes; the loss, if there is one. */
double program_run(program *p, int32_t n_nodes);

#endif
