/* Gradients in a plan: they are written where the store keeps them. */
#include "graph/passes/rewriter.h"
#include "graph/planner.h"

mu_value mu_planner_target(const mu_planner *pl, mu_value v, const mu_layout **layout)
{
    mu_value p = {pl->target[v.id]};
    if (!p.id)
        return MU_NO_VALUE;
    *layout = pl->param[p.id].layout;
    bool same_type = mu_type_equal(mu_planner_type(pl, v), mu_planner_type(pl, p));
    return same_type || !*layout ? p : MU_NO_VALUE;
}

mu_err mu_planner_gradient(mu_planner *pl, mu_value p, int32_t *out)
{
    mu_placed_param *info = &pl->param[p.id];
    info->decided = true;
    if (info->gradient < 0)
        MU_TRY(mu_planner_add_buffer(pl, MU_BUFFER_GRADIENT, p, mu_layout_bytes(info->layout, mu_planner_type(pl, p)), &info->gradient));
    *out = info->gradient;
    return MU_OK;
}

void mu_planner_find_targets(mu_planner *pl)
{
    for (int i = 0; i < mu_graph_n_gradients(pl->g); i++) {
        mu_value p = mu_graph_gradient_param(pl->g, i), v = mu_graph_gradient(pl->g, i);
        pl->uses_left[v.id]++;
        if (!pl->target[v.id] && mu_producer(pl->g, v))
            pl->target[v.id] = p.id;
    }
    for (int32_t i = mu_graph_n_nodes(pl->g) - 1; i >= 0; i--) {
        const mu_node *node = mu_graph_node(pl->g, i);
        if (!(node->op->flags & MU_OP_VIEW) || !pl->target[node->out[0].id])
            continue;
        mu_value source = node->in[0];
        if (mu_producer(pl->g, source) && !pl->target[source.id])
            pl->target[source.id] = pl->target[node->out[0].id];
    }
}

static mu_err settle_gradient(mu_planner *pl, int i)
{
    mu_value p = mu_graph_gradient_param(pl->g, i), v = mu_graph_gradient(pl->g, i);
    int32_t to;
    MU_TRY(mu_planner_gradient(pl, p, &to));
    for (int32_t c = pl->first_copy[v.id]; c >= 0; c = pl->copies[c].next)
        if (pl->copies[c].buffer == to)
            return MU_OK;
    MU_TRY(mu_planner_place_leaf(pl, v, NULL));
    mu_copy from = pl->copies[pl->first_copy[v.id]];
    MU_TRY(mu_planner_add_reorder(pl, false, v, from.buffer, from.layout, to, pl->param[p.id].layout));
    MU_TRY(mu_planner_add_copy(pl, v, to, pl->param[p.id].layout));
    return MU_OK;
}

mu_err mu_planner_settle_gradients(mu_planner *pl, const mu_node *node)
{
    for (int o = 0; o < node->n_out; o++) {
        if (!node->out[o].id || !pl->target[node->out[o].id])
            continue;
        for (int i = 0; i < mu_graph_n_gradients(pl->g); i++)
            if (mu_graph_gradient(pl->g, i).id == node->out[o].id)
                MU_TRY(settle_gradient(pl, i));
    }
    return MU_OK;
}

mu_err mu_planner_finish_gradients(mu_planner *pl)
{
    for (int i = 0; i < mu_graph_n_gradients(pl->g); i++)
        MU_TRY(settle_gradient(pl, i));
    return MU_OK;
}
