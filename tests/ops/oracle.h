/* What a case's whole graph must give, by ref in f64, and the comparison of a plan with it. */
#ifndef MU_TESTS_OPS_ORACLE_H
#define MU_TESTS_OPS_ORACLE_H

#include "ops/program.h"

/* The output, or the gradient of an operand. */
typedef struct {
    char name[16];
    mu_value at;  /* in the f64 program */
    tensor want;  /* f64 */
    double scale; /* how far relative changes of the operands move it, or its size: the larger */
} oracle_result;

typedef struct {
    program p;
    oracle_result result[SUITE_MAX_IN + 1];
    int n;
} oracle;

/* The operands are rounded to f32: every backend can have the same. */
void oracle_build(oracle *o, const op_case *c, mu_backend *ref);
void oracle_release(oracle *o);
/* Plans the case in f32 on a backend, runs it and compares the output and every gradient. Returns the largest error as
 * a part of what is allowed. */
double oracle_check_plan(oracle *o, const char *device, mu_backend *backend, bool fused);

#endif
