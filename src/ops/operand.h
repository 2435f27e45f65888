/* What shape rules share: optional operands, checks with messages, costs that do not overflow. */
#ifndef MU_OPS_OPERAND_H
#define MU_OPS_OPERAND_H

#include "core/mem.h"
#include "ops/ops.h"

/* Names of dtypes by value, for attributes; index 0 is MU_NONE. NULL-terminated. */
extern const char *const mu_operand_dtypes[];

/* The type of operand i, or NULL when it is absent. */
static inline const mu_type *mu_operand(const mu_call *call, int i)
{
    return i < call->n_in && call->in[i].dtype != MU_NONE ? &call->in[i] : NULL;
}

/* Operand i is there; `what` names it in messages. */
MU_CHECKED mu_err mu_operand_required(const mu_call *call, int i, const char *what);
/* t is floating point with min..max dimensions. */
MU_CHECKED mu_err mu_operand_float(const mu_type *t, const char *what, int ndim_min, int ndim_max);
/* Operand i is absent or of the type `want`. */
MU_CHECKED mu_err mu_operand_matches(const mu_call *call, int i, const char *what, const mu_type *want);
/* t is i32 or i64. */
MU_CHECKED mu_err mu_operand_index(const mu_type *t, const char *what);
/* 0 <= dim < ndim: attributes hold dimensions that the trace functions have wrapped (mu_operand_wrap). */
MU_CHECKED mu_err mu_operand_dim(const mu_type *t, int64_t dim);

/* A negative dimension counts from the end; one that is out of range is left for the shape rule to refuse. */
static inline int64_t mu_operand_wrap(mu_graph *g, mu_value x, int64_t dim)
{
    return dim < 0 ? dim + mu_graph_type(g, x)->ndim : dim;
}

/* The dtype of statistics and parameters of a norm over values of `dtype`: f32 for the half types. */
static inline mu_dtype mu_stat_dtype(mu_dtype dtype)
{
    return dtype == MU_F16 || dtype == MU_BF16 ? MU_F32 : dtype;
}

/* a * b for non-negative costs; INT64_MAX when it does not fit. */
static inline int64_t mu_cost_mul(int64_t a, int64_t b)
{
    int64_t product;
    return __builtin_mul_overflow(a, b, &product) ? INT64_MAX : product;
}

/* `each` for every element of t. */
static inline int64_t mu_cost_per_element(const mu_type *t, int64_t each)
{
    return mu_cost_mul(mu_type_count(t), each);
}

/* For operations that only move elements. */
int64_t mu_flops_none(const mu_call *call);
/* What is written and as much read, and operand 1 (indices): for operations that read parts of operand 0. */
int64_t mu_bytes_picked(const mu_call *call);

#endif
