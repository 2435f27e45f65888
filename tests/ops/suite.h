/* The conformance suite's list of cases and the tools that its programs share: conform_test (values on every backend),
 * gradient_test (finite differences), plan_test (whole graphs), golden_test. */
#ifndef MU_TESTS_OPS_SUITE_H
#define MU_TESTS_OPS_SUITE_H

#include "backend.h"
#include "ops/ops.h"

/* ---- cases ---- */

enum {
    CASE_FORWARD = 1 << 0, /* not differentiated: a form that only fusion makes */
    CASE_NO_FD = 1 << 1,   /* at kinks, NaN or extreme values: gradients are compared between backends only */
    CASE_NO_PLAN = 1 << 2, /* not a graph of its own: updates of arenas */
    CASE_F32_ONLY = 1 << 3 /* values that the half types cannot hold apart */
};

/* Traces the operation as users do. in: the operands, none where absent. attrs: the case's own. */
typedef mu_value trace_fn(mu_graph *g, const mu_value *in, const void *attrs);

/* Operands are told in words, "f[2,3,5]:gap i64[4]:10 -": dtype, shape, range; "-" is absent.
 *   f: the dtype under test; p: f32 for half types, else f (parameters of norms); or a dtype's own name (i64, f64,
 * bool). uniform in [-2,2) unless said: pos [0.5,2.5), prob (0.05,0.95), gap distinct and evenly spaced in shuffled
 * order, off 0.15 or more away from every integer, int integers (ties), tiny 1e-30, huge 1e30, wide magnitudes from
 * 1e-3 to 1e3, update numbers of an update (f64[12]): prob, neither the first step nor skipped, without a bound; clamp, first and skip: the same,
 * bounded, the first, skipped; control (f64[8]): pos, not stopped; special NaN, infinities and zeros of both signs among ordinary numbers, far 100 plus uniform, simplex
 * rows that add up to one along dimension 1, logp logarithms of simplex. Integers: a number N, uniform in 0..N-1; N~:
 * every third is -100. */
typedef struct {
    const char *op; /* what the case is about */
    trace_fn *trace;
    const char *in;
    const void *attrs;
    unsigned flags;
} op_case;

/* One table for each family of operations, ended by a NULL op. */
extern const op_case conv_cases[], matrix_cases[], norm_cases[], pool_cases[], activation_cases[], binary_cases[],
    reduce_cases[], shape_cases[], loss_cases[], update_cases[], other_cases[];

int suite_n_cases(void);
const op_case *suite_case(int i);

/* ---- how close is right ---- */

typedef enum {
    BOUND_EXACT, /* the f64 result rounded to the output's dtype, bit for bit (NaN is NaN) */
    BOUND_TERMS, /* c * u * the same sum over absolute values: sums of products */
    BOUND_COND,  /* c * u * the condition of the result: how far relative changes of the operands move it */
    BOUND_AS_IS  /* the reference in the same dtypes, bit for bit */
} bound_kind;

typedef struct {
    const char *op;
    bound_kind bound;
    double c;         /* multiple of f32's unit roundoff u = 2^-24, beyond the rounding of the output itself */
    unsigned no_grad; /* bit i: operand i has no gradient by definition (targets, weights of losses) */
    const char *why;  /* of c */
    double floor;     /* added to the scale of BOUND_COND */
} op_rule;

/* Fails the test when an operation has none. */
const op_rule *suite_rule(const mu_op *op);

/* ---- tensors in host memory, row-major ---- */

typedef struct {
    mu_type type;
    void *data;
} tensor;

void tensor_new(tensor *out, mu_type type);
void tensor_release(tensor *t);
/* A copy in another floating-point dtype; other dtypes stay. */
tensor tensor_as(const tensor *t, mu_dtype dtype);
/* Random signs, by which operands are moved: 1 or -1, the next of the stream. */
double suite_sign(uint64_t *stream);
double tensor_get(const tensor *t, int64_t i);
void tensor_set(tensor *t, int64_t i, double x);

/* ---- a case as a graph ---- */

enum { SUITE_MAX_IN = 16 };

typedef struct {
    const op_case *c;
    mu_graph *graph;
    int n_in;
    mu_value in[SUITE_MAX_IN], out, r, loss; /* loss = sum(out * r); none when not differentiated */
    mu_value din[SUITE_MAX_IN];
    tensor data[SUITE_MAX_IN], r_data; /* the operands' values */
} suite_graph;

enum {
    SUITE_BACKWARD = 1,
    SUITE_PARAMS = 2 /* floating operands but the first are parameters, what is updated a state */
};
extern uint64_t suite_seed; /* MU_TEST_SEED, or 1 */
/* False when the shape rules refuse the dtype (reported by *why). */
bool suite_build(const op_case *c, mu_dtype dtype, int what, suite_graph *out, const char **why);
void suite_graph_release(suite_graph *s);
/* "conv2d f[2,3] stride=..." */
const char *suite_case_format(const op_case *c, char *buf, size_t size);

/* ---- one call on one backend ---- */

typedef enum { RUN_PLAIN, RUN_INPLACE, RUN_LAYOUTS, RUN_COUNT } run_how;
extern const char *const run_how_names[];
extern const mu_run suite_run_args;

/* Prepares, binds and runs `call` on copies of `in`; out[] must be allocated. Outputs are filled with NaN before,
 * guarded on both sides, and the operands must come out unchanged. RUN_INPLACE: an output takes its operand's memory
 * where the kernel allows it; RUN_LAYOUTS: images come as a convolution of this backend leaves them, or are wished for so. False with text in
 * problem; *applies is set to false when the way of running does not exist for this call. */
bool suite_run_call(mu_backend *backend, const mu_call *call, const tensor *in, tensor *out, run_how how, bool *applies,
                    char *problem, size_t size);

/* The same call in f64 on ref: out are f64 tensors. False when ref refuses. */
bool suite_run_ref(mu_backend *ref, const mu_call *call, const tensor *in, tensor *out, char *problem, size_t size);

#endif
