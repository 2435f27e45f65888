#include "ops/oracle.h"

#include "graph/plan.h"
#include "test.h"

#include <math.h>

/* A few f32 roundings between the operands and any result, each amplified no more than the operands' own. Measured: 9.
 */
static const double allowed = 16 * 0x1p-24;
enum { PERTURBATIONS = 4 };

/* Operands as the f32 plan gets them. */
static void round_operands(oracle *o, double change, uint64_t *signs)
{
    for (int i = 0; i <= o->p.s.n_in; i++) {
        mu_value v = i < o->p.s.n_in ? o->p.s.in[i] : o->p.s.r;
        const tensor *data = i < o->p.s.n_in ? &o->p.s.data[i] : &o->p.s.r_data;
        if (!v.id || data->type.dtype != MU_F64)
            continue;
        for (int64_t k = 0; k < mu_type_count(&data->type); k++) {
            tensor_set(&o->p.value[v.id], k, (float)tensor_get(data, k) * (1 + change * suite_sign(signs)));
        }
    }
}

static void add_result(oracle *o, const char *name, mu_value at)
{
    oracle_result *r = &o->result[o->n++];
    if (!at.id) {
        o->n--;
        return;
    }
    *r = (oracle_result){.at = at};
    snprintf(r->name, sizeof r->name, "%s", name);
}

void oracle_build(oracle *o, const op_case *c, mu_backend *ref)
{
    uint64_t signs = 0;
    program_build(&o->p, c, ref);
    int32_t n_nodes = mu_graph_n_nodes(o->p.s.graph);
    add_result(o, "out", o->p.s.out);
    for (int i = 0; i < o->p.s.n_in; i++) {
        char name[16];
        snprintf(name, sizeof name, "dx%d", i);
        add_result(o, name, o->p.s.din[i]);
    }
    round_operands(o, 0, &signs);
    program_run(&o->p, n_nodes);
    for (int k = 0; k < o->n; k++) {
        oracle_result *r = &o->result[k];
        r->want = tensor_as(&o->p.value[r->at.id], MU_F64);
        for (int64_t i = 0; i < mu_type_count(&r->want.type); i++)
            r->scale = fmax(r->scale, fabs(tensor_get(&r->want, i)));
    }
    for (int t = 0; t < PERTURBATIONS; t++) {
        const double d = 0x1p-30;
        round_operands(o, d, &signs);
        program_run(&o->p, n_nodes);
        for (int k = 0; k < o->n; k++)
            for (int64_t i = 0; i < mu_type_count(&o->result[k].want.type); i++)
                o->result[k].scale =
                    fmax(o->result[k].scale,
                         fabs(tensor_get(&o->p.value[o->result[k].at.id], i) - tensor_get(&o->result[k].want, i)) / d);
    }
}

void oracle_release(oracle *o)
{
    for (int k = 0; k < o->n; k++)
        tensor_release(&o->result[k].want);
    program_release(&o->p);
}

/* The first operand is an input, its gradient an output; other floating operands are parameters. */
static void name_outputs(suite_graph *s)
{
    mu_graph_output(s->graph, "out", s->out);
    for (int i = 0; i < s->n_in; i++) {
        char name[16];
        snprintf(name, sizeof name, "dx%d", i);
        if (s->din[i].id && mu_graph_value(s->graph, s->in[i])->kind == MU_VALUE_INPUT)
            mu_graph_output(s->graph, name, s->din[i]);
    }
    ck_ok(mu_graph_status(s->graph));
}

static void write_operands(suite_graph *s, mu_params *params, mu_plan *plan)
{
    for (int i = 0; i <= s->n_in; i++) {
        mu_value v = i < s->n_in ? s->in[i] : s->r;
        const tensor *data = i < s->n_in ? &s->data[i] : &s->r_data;
        if (!v.id)
            continue;
        const mu_value_info *info = mu_graph_value(s->graph, v);
        if (info->kind == MU_VALUE_INPUT) {
            void *host = mu_plan_input(plan, info->name, NULL);
            if (host)
                memcpy(host, data->data, mu_type_bytes(&data->type));
        } else if (mu_params_find(params, info->name) >= 0) {
            ck_ok(mu_params_write(params, info->name, data->data));
        }
    }
}

static void read_result(suite_graph *s, mu_params *params, mu_plan *plan, const oracle_result *r, tensor *got)
{
    int i = strcmp(r->name, "out") == 0 ? -1 : atoi(r->name + 2);
    if (i >= 0 && mu_graph_value(s->graph, s->in[i])->kind == MU_VALUE_PARAM)
        ck_ok(mu_params_read_gradient(params, mu_graph_value(s->graph, s->in[i])->name, got->data));
    else
        ck_ok(mu_plan_read(plan, r->name, got->data, mu_type_bytes(&got->type)));
}

static double compare(const op_case *c, const char *device, const oracle_result *r, const tensor *got, bool fused)
{
    double worst = 0;
    for (int64_t i = 0; i < mu_type_count(&got->type); i++) {
        double g = tensor_get(got, i), w = tensor_get(&r->want, i);
        double error = g == w || (isnan(g) && isnan(w)) ? 0 : fabs(g - w) / (allowed * r->scale);
        ck_assert_msg(error <= 1, "%s(%s) on %s%s: %s element %lld is %.9g, expected %.9g (%.3g times the bound)",
                      c->op, c->in, device, fused ? ", fused" : "", r->name, (long long)i, g, w, error);
        worst = fmax(worst, error);
    }
    return worst;
}

double oracle_check_plan(oracle *o, const char *device, mu_backend *backend, bool fused)
{
    const op_case *c = o->p.s.c;
    suite_graph s;
    const char *why = NULL;
    mu_params *params;
    mu_plan *plan;
    double worst = 0;
    ck_assert_msg(suite_build(c, MU_F32, SUITE_BACKWARD | SUITE_PARAMS, &s, &why), "%s(%s): %s", c->op, c->in, why);
    name_outputs(&s);
    ck_ok(mu_params_new(backend, &params));
    mu_err err = mu_plan_new(s.graph, backend, params, &(mu_plan_options){.no_fusion = !fused}, &plan);
    ck_assert_msg(err == MU_OK, "%s(%s) on %s: %s", c->op, c->in, device, test_error_text());
    for (int times = 0; times < 2; times++) { /* the second run finds the first one's leavings in memory */
        write_operands(&s, params, plan);
        err = mu_plan_run(plan, &suite_run_args);
        ck_assert_msg(err == MU_OK, "%s(%s) on %s: %s", c->op, c->in, device, test_error_text());
    }
    for (int k = 0; k < o->n; k++) {
        mu_type t = o->result[k].want.type;
        tensor got;
        if (t.dtype == MU_F64)
            t.dtype = MU_F32;
        tensor_new(&got, t);
        read_result(&s, params, plan, &o->result[k], &got);
        worst = fmax(worst, compare(c, device, &o->result[k], &got, fused));
        tensor_release(&got);
    }
    mu_plan_release(plan);
    mu_params_release(params);
    suite_graph_release(&s);
    return worst;
}
