/* Kernels and the steps that run them, while a plan is built. */
#include "graph/planner.h"

mu_err mu_planner_add_step(mu_planner *pl, bool once, mu_kernel *kernel, mu_value value, const mu_node *node, mu_step **out)
{
    mu_step_list *list = once ? &pl->first : &pl->main;
    int n = kernel->call.n_in + kernel->call.n_out;
    int32_t *operands = NULL;
    mu_err err;
    MU_TRY_GOTO(err, mu_calloc(&operands, (size_t)n + 1, sizeof *operands), fail);
    MU_TRY_GOTO(err, mu_grow(&list->step, &list->capacity, list->n + 1, sizeof *list->step), fail);
    for (int i = 0; i < n; i++)
        operands[i] = -1;
    mu_step *step = &list->step[list->n++];
    *step = (mu_step){.kernel = kernel, .in = operands, .out = operands + kernel->call.n_in, .scratch = -1, .value = value,
                      .node = node, .place = pl->place, .once = once, .flops = node ? mu_call_flops(&kernel->call) : 0,
                      .bytes = mu_call_bytes(&kernel->call)};
    const mu_node *maker = node ? node : mu_graph_value(pl->g, value)->node;
    step->backward = maker && maker->backward;
    if (kernel->scratch_bytes) {
        MU_TRY(mu_planner_add_buffer(pl, MU_BUFFER_ARENA, MU_NO_VALUE, kernel->scratch_bytes, &step->scratch));
        pl->plan->buffers[step->scratch].scratch = true;
    }
    *out = step;
    return MU_OK;
fail:
    mu_free(operands);
    mu_kernel_release(kernel);
    return err;
}

mu_err mu_planner_add_reorder(mu_planner *pl, bool once, mu_value v, int32_t from, const mu_layout *from_layout, int32_t to,
                              const mu_layout *to_layout)
{
    mu_kernel *kernel;
    mu_step *step;
    mu_err err = pl->backend->ops->reorder(pl->backend, mu_planner_type(pl, v), from_layout, to_layout, &kernel);
    if (err) {
        mu_error_context("reorder of \"%s\" from %s to %s", mu_plan_value_name(pl->plan, v),
                         from_layout ? from_layout->name : "row-major", to_layout ? to_layout->name : "row-major");
        return err;
    }
    MU_TRY(mu_planner_add_step(pl, once, kernel, v, NULL, &step));
    step->in[0] = from;
    step->out[0] = to;
    return MU_OK;
}

mu_err mu_planner_prepare(mu_planner *pl, const mu_node *node, const mu_layout *wish, mu_kernel **out)
{
    mu_type types[MU_OP_VARIADIC + MU_OP_MAX_OUT];
    const mu_layout *lies[MU_OP_VARIADIC], *want[MU_OP_MAX_OUT] = {wish};
    mu_call call = mu_graph_call(pl->g, node, types);
    for (int i = 0; i < node->n_in; i++) {
        const mu_placed_param *p = &pl->param[node->in[i].id];
        lies[i] = p->decided ? p->layout : mu_planner_layout(pl, node->in[i]);
    }
    for (int o = 0; o < node->n_out; o++)
        mu_planner_target(pl, node->out[o], &want[o]);
    mu_err err = pl->backend->ops->prepare(pl->backend, &call, lies, want, out);
    if (err)
        mu_error_context("%s \"%s\"", node->op->name, node->name);
    return err;
}
