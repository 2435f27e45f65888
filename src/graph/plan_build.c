/* From a graph to steps and buffers.
 *
 * Nodes are prepared in graph order. Every value has one or more copies, one per layout that some kernel wants; a copy lies in
 * a buffer, which views and in-place results share. Steps that depend on parameters, states and constants only go to a list of
 * their own when nothing in the plan changes those; they run once per refresh. */
#include "graph/params_impl.h"
#include "graph/passes/rewriter.h"
#include "graph/planner.h"

const char *mu_plan_value_name(const mu_plan *plan, mu_value value)
{
    const mu_value_info *info = mu_graph_value(plan->graph, value);
    if (info->name)
        return info->name;
    return info->node ? info->node->name : "constant";
}

static mu_err prepare_tables(mu_planner *pl)
{
    size_t n = (size_t)mu_graph_n_values(pl->g) + 1;
    MU_TRY(mu_calloc(&pl->first_copy, n, sizeof *pl->first_copy));
    MU_TRY(mu_calloc(&pl->deferred, n, sizeof *pl->deferred));
    MU_TRY(mu_calloc(&pl->uses_left, n, sizeof *pl->uses_left));
    MU_TRY(mu_calloc(&pl->once, n, sizeof *pl->once));
    MU_TRY(mu_calloc(&pl->updated, n, sizeof *pl->updated));
    MU_TRY(mu_calloc(&pl->target, n, sizeof *pl->target));
    MU_TRY(mu_calloc(&pl->is_output, n, sizeof *pl->is_output));
    MU_TRY(mu_calloc(&pl->is_read, n, sizeof *pl->is_read));
    MU_TRY(mu_calloc(&pl->param, n, sizeof *pl->param));
    for (size_t v = 0; v < n; v++) {
        pl->first_copy[v] = -1;
        pl->param[v].gradient = -1;
    }
    for (int32_t i = 0; i < mu_graph_n_nodes(pl->g); i++) {
        const mu_node *node = mu_graph_node(pl->g, i);
        for (int k = 0; k < node->n_in; k++)
            pl->uses_left[node->in[k].id]++;
        for (int k = 0; k < node->n_out; k++)
            if (node->op->updates[k] && node->op->updates[k] <= node->n_in)
                pl->updated[node->in[node->op->updates[k] - 1].id] = true;
    }
    for (int i = 0; i < mu_graph_n_outputs(pl->g); i++) {
        pl->is_output[mu_graph_output_value(pl->g, i).id] = true;
        pl->uses_left[mu_graph_output_value(pl->g, i).id]++;
    }
    mu_planner_find_targets(pl);
    pl->evaluation = mu_graph_n_gradients(pl->g) == 0;
    const mu_params_sharing *sharing = pl->plan->params ? mu_params_sharing_of(pl->plan->params) : NULL;
    pl->gathers = sharing && sharing->stage >= MU_SHARD_PARAMETERS;
    for (size_t v = 1; v < n; v++) {
        mu_value_kind kind = mu_graph_value(pl->g, (mu_value){(int32_t)v})->kind;
        pl->once[v] = kind == MU_VALUE_CONST ||
                     (pl->evaluation && !pl->updated[v] && (kind == MU_VALUE_STATE || (kind == MU_VALUE_PARAM && !pl->gathers)));
    }
    return MU_OK;
}

static bool runs_once(const mu_planner *pl, const mu_node *node)
{
    if ((node->op->flags & (MU_OP_EFFECT | MU_OP_RANDOM | MU_OP_HOST | MU_OP_COLLECTIVE)) || mu_node_has_updates(node))
        return false;
    for (int i = 0; i < node->n_in; i++)
        if (node->in[i].id && !pl->once[node->in[i].id])
            return false;
    return true;
}

static mu_err build_steps(mu_planner *pl)
{
    int32_t n_nodes = mu_graph_n_nodes(pl->g);
    bool forward = pl->gathers;
    for (int32_t i = 0; i < n_nodes; i++) {
        const mu_node *node = mu_graph_node(pl->g, i);
        pl->place = i;
        bool once = runs_once(pl, node);
        for (int o = 0; once && o < node->n_out; o++)
            pl->once[node->out[o].id] = true;
        pl->once[0] = false;
        if (once && mu_planner_defers(pl, node))
            pl->deferred[node->out[0].id] = true;
        else if (once)
            MU_TRY(mu_planner_add_node(pl, node, true));
    }
    for (int32_t i = 0; i < n_nodes; i++) {
        const mu_node *node = mu_graph_node(pl->g, i);
        pl->place = i;
        if (forward && node->backward)
            mu_planner_forget_copies(pl);
        forward = forward && !node->backward;
        if (!runs_once(pl, node) && mu_planner_defers(pl, node))
            pl->deferred[node->out[0].id] = true;
        else if (!runs_once(pl, node))
            MU_TRY(mu_planner_add_node(pl, node, false));
        MU_TRY(mu_planner_settle_gradients(pl, node));
    }
    pl->place = n_nodes;
    MU_TRY(mu_planner_finish_gradients(pl));
    return MU_OK;
}

/* What the caller reads and writes. */
static mu_err build_slots(mu_planner *pl)
{
    mu_plan *plan = pl->plan;
    size_t n_leaves = 0;
    MU_TRY(mu_calloc(&plan->outputs, (size_t)mu_graph_n_outputs(pl->g) + 1, sizeof *plan->outputs));
    for (int i = 0; i < mu_graph_n_outputs(pl->g); i++) {
        mu_value v = mu_graph_output_value(pl->g, i);
        mu_plan_slot *slot = &plan->outputs[plan->n_outputs++];
        *slot = (mu_plan_slot){.name = mu_graph_output_name(pl->g, i), .type = *mu_planner_type(pl, v)};
        MU_TRY(mu_planner_get_copy(pl, v, NULL, &slot->buffer));
        plan->buffers[slot->buffer].pinned = true;
    }
    for (size_t i = 0; i < plan->n_buffers; i++)
        n_leaves += plan->buffers[i].kind == MU_BUFFER_INPUT;
    MU_TRY(mu_calloc(&plan->inputs, n_leaves + 1, sizeof *plan->inputs));
    for (size_t i = 0; i < plan->n_buffers; i++) {
        if (plan->buffers[i].kind != MU_BUFFER_INPUT)
            continue;
        const mu_value_info *info = mu_graph_value(pl->g, plan->buffers[i].value);
        plan->inputs[plan->n_inputs++] = (mu_plan_slot){.name = info->name, .type = info->type, .buffer = (int32_t)i};
    }
    return MU_OK;
}

/* The steps of both lists become the plan's. */
static mu_err join_lists(mu_planner *pl)
{
    mu_plan *plan = pl->plan;
    size_t n = pl->first.n + pl->main.n;
    MU_TRY(mu_calloc(&plan->steps, n + 1, sizeof *plan->steps));
    if (pl->first.n)
        memcpy(plan->steps, pl->first.step, pl->first.n * sizeof *plan->steps);
    if (pl->main.n)
        memcpy(plan->steps + pl->first.n, pl->main.step, pl->main.n * sizeof *plan->steps);
    plan->n_steps = n;
    plan->n_once = pl->first.n;
    pl->first.n = pl->main.n = 0; /* the kernels are the plan's now */
    return MU_OK;
}

static void sum_stats(mu_plan *plan)
{
    for (size_t s = plan->n_once; s < plan->n_steps; s++) {
        plan->stats.flops += plan->steps[s].flops;
        plan->stats.bytes += plan->steps[s].bytes;
    }
    for (size_t s = 0; s < plan->n_steps; s++)
        plan->stats.n_reorders += !plan->steps[s].node;
    plan->stats.n_steps = (int)plan->n_steps;
}

static mu_err build(mu_planner *pl)
{
    mu_plan *plan = pl->plan;
    MU_TRY(prepare_tables(pl));
    MU_TRY(mu_planner_declare_leaves(pl));
    MU_TRY(build_steps(pl));
    MU_TRY(build_slots(pl));
    MU_TRY(join_lists(pl));
    mu_plan_find_lifetimes(plan);
    MU_TRY(mu_planner_settle_params(pl));
    MU_TRY(mu_plan_add_units(plan, &pl->buffer_capacity));
    MU_TRY(mu_plan_lay_out(plan));
    sum_stats(plan);
    return MU_OK;
}

static void release_list(mu_step_list *list)
{
    for (size_t i = 0; i < list->n; i++) {
        mu_kernel_release(list->step[i].kernel);
        mu_free(list->step[i].in);
    }
    mu_free(list->step);
}

mu_err mu_plan_build(mu_plan *plan)
{
    mu_planner pl = {.plan = plan, .g = plan->graph, .backend = plan->backend};
    mu_err err = build(&pl);
    release_list(&pl.first);
    release_list(&pl.main);
    mu_free(pl.copies);
    mu_free(pl.first_copy);
    mu_free(pl.uses_left);
    mu_free(pl.pending);
    mu_free(pl.once);
    mu_free(pl.updated);
    mu_free(pl.deferred);
    mu_free(pl.target);
    mu_free(pl.is_output);
    mu_free(pl.is_read);
    mu_free(pl.param);
    return err;
}
