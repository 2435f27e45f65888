#include "ops/unary.h"

static const mu_attr attr_table[] = {
    MU_ATTR_INT(mu_chain_attrs, n_steps), MU_ATTR_INT(mu_chain_attrs, n_out),
    MU_ATTR_ROW(MU_ATTR_BYTES, mu_chain_attrs, step, (int)sizeof(((mu_chain_attrs *)0)->step), NULL),
    MU_ATTR_ROW(MU_ATTR_BYTES, mu_chain_attrs, out, MU_CHAIN_MAX_OUT, NULL), MU_ATTR_END};

/* The shape of the chain: that of the operands with more or fewer than one element, or of the one-element operand with the
 * most dimensions. */
static mu_type chain_shape(const mu_call *call)
{
    mu_type shape = call->in[0];
    for (int i = 1; i < call->n_in; i++) {
        bool one = mu_type_count(&call->in[i]) == 1, was_one = mu_type_count(&shape) == 1;
        if (was_one && (!one || call->in[i].ndim > shape.ndim))
            shape = call->in[i];
    }
    return shape;
}

/* Fills the registers of the operands: one-element operands are scalars. */
static mu_err check_operands(const mu_call *call, const mu_type *shape, mu_type *reg)
{
    char got[MU_TYPE_TEXT], want[MU_TYPE_TEXT];
    mu_dtype dtype = MU_NONE;
    for (int i = 0; i < call->n_in; i++) {
        reg[i] = call->in[i];
        if (mu_dtype_is_float(reg[i].dtype) && dtype == MU_NONE)
            dtype = reg[i].dtype;
        if (reg[i].dtype != dtype && reg[i].dtype != MU_BOOL)
            return MU_FAIL(MU_ERR_SHAPE, "operands are of one floating-point dtype, or bool; operand %d is %s", i,
                           mu_type_format(&reg[i], got));
        if (mu_type_count(&reg[i]) == 1 && !mu_type_same_shape(&reg[i], shape))
            reg[i] = MU_SCALAR(reg[i].dtype);
        if (reg[i].ndim > 0 && !mu_type_same_shape(&reg[i], shape))
            return MU_FAIL(MU_ERR_SHAPE, "operand %d %s is neither of shape %s nor one element", i,
                           mu_type_format(&reg[i], got), mu_shape_format(shape, want));
    }
    return MU_OK;
}

static mu_err check_step(const mu_chain_step *step, int n_reg, mu_type *reg)
{
    mu_unary_attrs attrs = {.alpha = step->alpha, .beta = step->beta};
    mu_type in[3];
    int n = 0;
    if (!step->op || !(step->op->flags & MU_OP_ELEMENTWISE) || step->op->n_out != 1 ||
        (step->op->attrs_size != 0 && step->op->attrs != mu_unary_attr_table))
        return MU_FAIL(MU_ERR_UNSUPPORTED, "%s cannot be a step of a chain", step->op ? step->op->name : "nothing");
    for (; n < 3 && step->arg[n] >= 0; n++) {
        if (step->arg[n] >= n_reg)
            return MU_FAIL(MU_ERR_USAGE, "register %d is read before it is written", step->arg[n]);
        in[n] = reg[step->arg[n]];
    }
    if (n < step->op->n_in_min || n > step->op->n_in_max)
        return MU_FAIL(MU_ERR_USAGE, "step %s takes %d operands, not %d", step->op->name, step->op->n_in_min, n);
    mu_call call = {.op = step->op, .attrs = &attrs, .n_in = n, .n_out = 1, .in = in, .out = &reg[n_reg]};
    return step->op->infer(&call, &reg[n_reg]);
}

static mu_err infer(const mu_call *call, mu_type *out)
{
    const mu_chain_attrs *a = call->attrs;
    mu_type reg[MU_CHAIN_MAX_IN + MU_CHAIN_MAX] = {{.dtype = MU_NONE}}, shape = chain_shape(call);
    int n = call->n_in;
    if (a->n_steps < 1 || a->n_steps > MU_CHAIN_MAX || a->n_out < 1 || a->n_out > MU_CHAIN_MAX_OUT)
        return MU_FAIL(MU_ERR_USAGE, "a chain has 1 to %d steps and 1 to %d outputs, not %lld and %lld", MU_CHAIN_MAX,
                       MU_CHAIN_MAX_OUT, (long long)a->n_steps, (long long)a->n_out);
    MU_TRY(check_operands(call, &shape, reg));
    for (int64_t i = 0; i < a->n_steps; i++)
        MU_TRY(check_step(&a->step[i], n++, reg));
    for (int64_t i = 0; i < a->n_out; i++) {
        if (a->out[i] < 0 || a->out[i] >= n || !mu_type_same_shape(&reg[a->out[i]], &shape))
            return MU_FAIL(MU_ERR_USAGE, "register %d is no output of the chain", a->out[i]);
        out[i] = reg[a->out[i]];
    }
    return MU_OK;
}

static int64_t flops(const mu_call *call)
{
    return ((const mu_chain_attrs *)call->attrs)->n_steps * mu_type_count(&call->out[0]);
}

const mu_op mu_op_chain = {
    .name = "chain",
    .doc = "Element-wise operations in one sweep over memory: operands of the output's shape or of one element, steps that "
           "read and write registers. Made by the fusion pass.",
    .n_in_min = 1, .n_in_max = MU_CHAIN_MAX_IN, .n_out = MU_CHAIN_MAX_OUT, .inplace = {1},
    .attrs_size = sizeof(mu_chain_attrs), .attrs = attr_table,
    .infer = infer, .flops = flops,
};
