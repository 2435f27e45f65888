#include "ops/cases/trace.h"

static mu_value update(mu_graph *g, const mu_op *op, const void *attrs, const mu_value *in, int n)
{
    mu_value out[MU_OP_MAX_OUT];
    mu_graph_apply(g, op, attrs, in, n, out);
    return out[0];
}

TRACE(sgd, update(g, &mu_op_sgd, attrs, in, 4))
TRACE(adam, update(g, &mu_op_adam, attrs, in, 6))
TRACE(update_control, update(g, &mu_op_update_control, NULL, in, 5))
TRACE(square_sum, mu_graph_apply1(g, &mu_op_square_sum, NULL, in, 1))

#define UPDATE(...) &(const mu_update_attrs){__VA_ARGS__}
enum { ARENA = CASE_FORWARD | CASE_NO_PLAN, CONTROL = ARENA | CASE_F32_ONLY };

const op_case update_cases[] = {
    {"sgd", t_sgd, "f[1000] f[1000] f[1000] f64[12]:update", UPDATE(.nesterov = false), ARENA},
    {"sgd", t_sgd, "f[37] f[37] f[37] f64[12]:update", UPDATE(.nesterov = true), ARENA},
    {"sgd", t_sgd, "f[37] f[37] f[37] f64[12]:first", UPDATE(.maximize = true), ARENA},
    {"sgd", t_sgd, "f[37] f[37] - f64[12]:update", UPDATE(.maximize = false), ARENA},
    {"sgd", t_sgd, "f[37] f[37] f[37] f64[12]:clamp", UPDATE(.nesterov = true, .maximize = true), ARENA},
    {"sgd", t_sgd, "f[37]:special f[37]:special f[37] f64[12]:clamp", UPDATE(.nesterov = false), ARENA | CASE_F32_ONLY},
    {"sgd", t_sgd, "f[37]:special f[37] f[37]:special f64[12]:skip", UPDATE(.nesterov = false), ARENA},
    {"sgd", t_sgd, "f[1000] f[1000] - f64[12]:skip", UPDATE(.nesterov = false), ARENA},
    {"sgd", t_sgd, "f[0] f[0] f[0] f64[12]:update", UPDATE(.nesterov = false), ARENA},
    {"adam", t_adam, "f[1000] f[1000] f[1000] f[1000]:pos - f64[12]:update", UPDATE(.decoupled = false), ARENA},
    {"adam", t_adam, "f[37] f[37] f[37] f[37]:pos f[37]:pos f64[12]:update", UPDATE(.decoupled = true), ARENA},
    {"adam", t_adam, "f[37] f[37] f[37] f[37]:pos f[37]:pos f64[12]:update", UPDATE(.maximize = true), ARENA},
    {"adam", t_adam, "f[37] f[37] f[37] f[37]:pos f[37]:pos f64[12]:clamp", UPDATE(.decoupled = true), ARENA},
    {"adam", t_adam, "f[37] f[37]:special f[37] f[37]:pos f[37]:pos f64[12]:skip", UPDATE(.maximize = true), ARENA},
    {"adam", t_adam, "f[0] f[0] f[0] f[0] - f64[12]:update", UPDATE(.decoupled = false), ARENA},
    {"square_sum", t_square_sum, "f[1000]", NULL, ARENA},
    {"square_sum", t_square_sum, "f[5,7]", NULL, ARENA},
    {"square_sum", t_square_sum, "f[0]", NULL, ARENA},
    {"square_sum", t_square_sum, "f[100]:wide", NULL, ARENA},
    {"update_control", t_update_control, "f64[8]:control f64[8]:pos f64[3,12]:prob f64[5]:pos f32[1]", NULL, CONTROL},
    {"update_control", t_update_control, "f64[8]:control f64[8]:prob f64[70,12]:pos f64[100]:pos -", NULL, CONTROL},
    {"update_control", t_update_control, "f64[8]:control f64[8]:prob f64[1,12]:prob f64[9]:special f32[1]", NULL, CONTROL},
    {"update_control", t_update_control, "f64[8]:control f64[8]:pos f64[3,12]:prob - f32[1]", NULL, CONTROL},
    {"update_control", t_update_control, "f64[8]:pos f64[8]:pos f64[3,12]:prob f64[5]:pos f32[1]", NULL, CONTROL},
    {NULL}};
