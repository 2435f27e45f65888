#include "ops/cases/trace.h"

static mu_value update(mu_graph *g, const mu_op *op, const void *attrs, const mu_value *in, int n)
{
    mu_value out[MU_OP_MAX_OUT];
    mu_graph_apply(g, op, attrs, in, n, out);
    return out[0];
}

TRACE(sgd, update(g, &mu_op_sgd, attrs, in, 4))
TRACE(adam, update(g, &mu_op_adam, attrs, in, 6))
TRACE(square_sum, mu_graph_apply1(g, &mu_op_square_sum, NULL, in, 1))

#define UPDATE(...) &(const mu_update_attrs){__VA_ARGS__}
enum { ARENA = CASE_FORWARD | CASE_NO_PLAN };

const op_case update_cases[] = {
    {"sgd", t_sgd, "f[1000] f[1000] f[1000] f64[8]:prob", UPDATE(.nesterov = false), ARENA},
    {"sgd", t_sgd, "f[37] f[37] f[37] f64[8]:prob", UPDATE(.nesterov = true), ARENA},
    {"sgd", t_sgd, "f[37] f[37] f[37] f64[8]:prob", UPDATE(.first = true, .maximize = true), ARENA},
    {"sgd", t_sgd, "f[37] f[37] - f64[8]:prob", UPDATE(.maximize = false), ARENA},
    {"sgd", t_sgd, "f[0] f[0] f[0] f64[8]:prob", UPDATE(.nesterov = false), ARENA},
    {"adam", t_adam, "f[1000] f[1000] f[1000] f[1000]:pos - f64[8]:prob", UPDATE(.decoupled = false), ARENA},
    {"adam", t_adam, "f[37] f[37] f[37] f[37]:pos f[37]:pos f64[8]:prob", UPDATE(.decoupled = true), ARENA},
    {"adam", t_adam, "f[37] f[37] f[37] f[37]:pos f[37]:pos f64[8]:prob", UPDATE(.maximize = true), ARENA},
    {"adam", t_adam, "f[0] f[0] f[0] f[0] - f64[8]:prob", UPDATE(.decoupled = false), ARENA},
    {"square_sum", t_square_sum, "f[1000]", NULL, ARENA},
    {"square_sum", t_square_sum, "f[5,7]", NULL, ARENA},
    {"square_sum", t_square_sum, "f[0]", NULL, ARENA},
    {"square_sum", t_square_sum, "f[100]:wide", NULL, ARENA},
    {NULL}};
