#include "graph/passes/rewriter.h"

#include "core/mem.h"

bool mu_node_has_updates(const mu_node *node)
{
    for (int i = 0; i < node->n_out; i++)
        if (node->op->updates[i])
            return true;
    return false;
}

/* Nodes stand in executable order: one sweep from the end finds what is needed. */
static mu_err find_live(mu_rewriter *rw)
{
    const mu_graph *g = rw->from;
    int32_t n_values = mu_graph_n_values(g), n_nodes = mu_graph_n_nodes(g);
    bool *wanted;
    MU_TRY(mu_calloc(&wanted, (size_t)n_values + 1, sizeof *wanted));
    memcpy(wanted, rw->external, (size_t)n_values + 1);
    for (int32_t i = n_nodes - 1; i >= 0; i--) {
        const mu_node *node = mu_graph_node(g, i);
        bool live = (node->op->flags & MU_OP_EFFECT) || mu_node_has_updates(node);
        for (int k = 0; k < node->n_out && !live; k++)
            live = node->out[k].id && wanted[node->out[k].id];
        rw->live[i] = live;
        for (int k = 0; live && k < node->n_in; k++)
            wanted[node->in[k].id] = true;
    }
    mu_free(wanted);
    return MU_OK;
}

/* Counts, sums, then fills each list from its end. */
static mu_err find_users(mu_rewriter *rw)
{
    const mu_graph *g = rw->from;
    int32_t n_values = mu_graph_n_values(g), n_nodes = mu_graph_n_nodes(g), total = 0;
    int32_t *start = rw->user_start;
    for (int32_t i = 0; i < n_nodes; i++)
        for (int k = 0; rw->live[i] && k < mu_graph_node(g, i)->n_in; k++)
            start[mu_graph_node(g, i)->in[k].id]++;
    for (int32_t v = 0; v <= n_values + 1; v++)
        start[v] = total += start[v]; /* where the list of v ends */
    MU_TRY(mu_calloc(&rw->users, (size_t)total + 1, sizeof *rw->users));
    for (int32_t i = n_nodes - 1; i >= 0; i--)
        for (int k = mu_graph_node(g, i)->n_in - 1; rw->live[i] && k >= 0; k--)
            rw->users[--start[mu_graph_node(g, i)->in[k].id]] = i;
    return MU_OK;
}

static mu_err init(mu_rewriter *rw)
{
    const mu_graph *g = rw->from;
    size_t n_values = (size_t)mu_graph_n_values(g), n_nodes = (size_t)mu_graph_n_nodes(g);
    MU_TRY(mu_graph_status(g));
    MU_TRY(mu_calloc(&rw->map, n_values + 1, sizeof *rw->map));
    MU_TRY(mu_calloc(&rw->live, n_nodes + 1, sizeof *rw->live));
    MU_TRY(mu_calloc(&rw->external, n_values + 1, sizeof *rw->external));
    MU_TRY(mu_calloc(&rw->user_start, n_values + 2, sizeof *rw->user_start));
    for (int i = 0; i < mu_graph_n_outputs(g); i++)
        rw->external[mu_graph_output_value(g, i).id] = true;
    for (int i = 0; i < mu_graph_n_gradients(g); i++)
        rw->external[mu_graph_gradient(g, i).id] = true;
    MU_TRY(find_live(rw));
    MU_TRY(find_users(rw));
    MU_TRY(mu_graph_new(&rw->to));
    for (int32_t v = 1; v <= (int32_t)n_values; v++) { /* used or not: callers look them up by name */
        mu_value_kind kind = mu_graph_value(g, (mu_value){v})->kind;
        if (kind != MU_VALUE_NODE && kind != MU_VALUE_CONST)
            mu_rewriter_get(rw, (mu_value){v});
    }
    return MU_OK;
}

mu_err mu_rewriter_init(mu_rewriter *rw, const mu_graph *from)
{
    *rw = (mu_rewriter){.from = from};
    mu_err err = init(rw);
    if (err)
        mu_rewriter_release(rw);
    return err;
}

void mu_rewriter_release(mu_rewriter *rw)
{
    mu_graph_release(rw->to);
    mu_free(rw->map);
    mu_free(rw->live);
    mu_free(rw->users);
    mu_free(rw->user_start);
    mu_free(rw->external);
    *rw = (mu_rewriter){0};
}

static mu_value copy_leaf(mu_graph *to, const mu_value_info *leaf)
{
    switch (leaf->kind) {
    case MU_VALUE_INPUT: return mu_graph_input(to, leaf->name, leaf->type);
    case MU_VALUE_PARAM: return mu_graph_param(to, leaf->name, leaf->type);
    case MU_VALUE_STATE: return mu_graph_state(to, leaf->name, leaf->type);
    case MU_VALUE_CONST: return mu_graph_const(to, leaf->type, leaf->constant);
    case MU_VALUE_NODE: break;
    }
    return MU_NO_VALUE;
}

mu_value mu_rewriter_get(mu_rewriter *rw, mu_value old)
{
    if (old.id && !rw->map[old.id].id)
        rw->map[old.id] = copy_leaf(rw->to, mu_graph_value(rw->from, old));
    return rw->map[old.id];
}

void mu_rewriter_copy(mu_rewriter *rw, const mu_node *node)
{
    mu_value in[MU_OP_VARIADIC], out[MU_OP_MAX_OUT] = {{0}};
    for (int i = 0; i < node->n_in; i++)
        in[i] = mu_rewriter_get(rw, node->in[i]);
    mu_rewriter_mark(rw, node);
    mu_graph_apply(rw->to, node->op, node->attrs, in, node->n_in, out);
    for (int i = 0; i < node->n_out; i++)
        mu_rewriter_set(rw, node->out[i], out[i]);
}

const mu_node *mu_rewriter_only_user(const mu_rewriter *rw, mu_value old)
{
    if (rw->external[old.id] || mu_rewriter_n_users(rw, old) != 1)
        return NULL;
    return mu_graph_node(rw->from, rw->users[rw->user_start[old.id]]);
}

mu_err mu_rewriter_finish(mu_rewriter *rw, mu_graph **out)
{
    const mu_graph *from = rw->from;
    for (int i = 0; i < mu_graph_n_outputs(from); i++)
        mu_graph_output(rw->to, mu_graph_output_name(from, i), mu_rewriter_get(rw, mu_graph_output_value(from, i)));
    for (int i = 0; i < mu_graph_n_gradients(from); i++)
        mu_graph_set_gradient(rw->to, mu_rewriter_get(rw, mu_graph_gradient_param(from, i)),
                              mu_rewriter_get(rw, mu_graph_gradient(from, i)));
    mu_graph_mark(rw->to, NULL, false);
    MU_TRY(mu_graph_status(rw->to));
    *out = rw->to;
    rw->to = NULL;
    return MU_OK;
}
