#include "backend/ref/element.h"
#include "backend/ref/scalar.h"

typedef struct {
    const mu_op *op;
    double (*unary)(double x, double alpha, double beta);
    double (*gradient)(double dy, double z, double alpha, double beta);
    double (*binary)(double a, double b);
} scalar_op;

static const scalar_op table[] = {
#define X(name, ...) {.op = &mu_op_##name, .unary = ref_##name},
    REF_UNARY_MAP(X)
#undef X
#define X(name, ...) {.op = &mu_op_##name, .gradient = ref_##name},
    REF_UNARY_GRAD_MAP(X)
#undef X
#define X(name, ...) {.op = &mu_op_##name, .binary = ref_##name},
    REF_BINARY_MAP(X)
    REF_COMPARE_MAP(X)
#undef X
    {.op = &mu_op_where},
};

static mu_err find(const mu_call *call, const mu_op *op, const scalar_op **out)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].op == op) {
            *out = &table[i];
            return MU_OK;
        }
    return MU_FAIL(MU_ERR_UNSUPPORTED, "chain \"%s\": no scalar form of %s", call->name ? call->name : "", op->name);
}

/* Rounded to the operands' precision after every step, as separate operations would be. */
static double step(const mu_chain_step *s, const scalar_op *f, const double *reg)
{
    real alpha = (real)s->alpha, beta = (real)s->beta;
    if (f->unary)
        return (real)f->unary(reg[s->arg[0]], alpha, beta);
    if (f->gradient)
        return (real)f->gradient(reg[s->arg[0]], reg[s->arg[1]], alpha, beta);
    if (f->binary)
        return (real)f->binary(reg[s->arg[0]], reg[s->arg[1]]);
    return reg[s->arg[0]] != 0 ? reg[s->arg[1]] : reg[s->arg[2]];
}

mu_err REF(chain)(const mu_call *call, void *const *in, void *const *out, const mu_run *run)
{
    (void)run;
    const mu_chain_attrs *a = call->attrs;
    const scalar_op *f[MU_CHAIN_MAX];
    double reg[MU_CHAIN_MAX_IN + MU_CHAIN_MAX];
    for (int64_t k = 0; k < a->n_steps; k++)
        MU_TRY(find(call, a->step[k].op, &f[k]));
    for (int64_t i = 0; i < mu_type_count(&call->out[0]); i++) {
        for (int k = 0; k < call->n_in; k++)
            reg[k] = ref_load(in[k], call->in[k].dtype, mu_type_count(&call->in[k]) == 1 ? 0 : i);
        for (int64_t k = 0; k < a->n_steps; k++)
            reg[call->n_in + k] = step(&a->step[k], f[k], reg);
        for (int64_t k = 0; k < a->n_out; k++)
            ref_store(out[k], call->out[k].dtype, i, reg[a->out[k]]);
    }
    return MU_OK;
}
