#include "ir/graph.h"

#include "core/mem.h"

/* What a rewrite knows about the old graph: which nodes are needed, and where its values went. */
typedef struct {
    const mu_graph *from;
    mu_graph *to;
    bool *needed;  /* [n_nodes] */
    mu_value *map; /* [n_values + 1] */
} rewriting;

static void need(rewriting *r, mu_value value)
{
    const mu_node *node = mu_graph_value(r->from, value)->node;
    if (node)
        r->needed[node->id] = true;
}

/* Executable order means that operands come before their users: one sweep backwards marks all that is alive. */
static void mark_needed(rewriting *r)
{
    for (int i = 0; i < mu_graph_n_outputs(r->from); i++)
        need(r, mu_graph_output_value(r->from, i));
    for (int i = 0; i < mu_graph_n_gradients(r->from); i++)
        need(r, mu_graph_gradient_of(r->from, mu_graph_gradient_param(r->from, i)));
    for (int32_t i = mu_graph_n_nodes(r->from) - 1; i >= 0; i--) {
        const mu_node *node = mu_graph_node(r->from, i);
        bool updates = node->op->flags & MU_OP_EFFECT;
        for (int o = 0; o < node->n_out; o++)
            updates |= node->op->updates[o] > 0 && node->out[o].id;
        if (!r->needed[i] && !updates)
            continue;
        r->needed[i] = true;
        for (int k = 0; k < node->n_in; k++)
            need(r, node->in[k]);
    }
}

static mu_value translate(rewriting *r, mu_value value)
{
    if (value.id == 0 || r->map[value.id].id)
        return r->map[value.id];
    const mu_value_info *info = mu_graph_value(r->from, value);
    switch (info->kind) {
    case MU_VALUE_INPUT: r->map[value.id] = mu_graph_input(r->to, info->name, info->type); break;
    case MU_VALUE_PARAM: r->map[value.id] = mu_graph_param(r->to, info->name, info->type); break;
    case MU_VALUE_STATE: r->map[value.id] = mu_graph_state(r->to, info->name, info->type); break;
    case MU_VALUE_CONST: r->map[value.id] = mu_graph_const(r->to, info->type, info->constant); break;
    case MU_VALUE_NODE: break; /* dropped by a rewrite: nothing may need it */
    }
    return r->map[value.id];
}

static mu_err run(rewriting *r, mu_rewrite_fn *rewrite, void *user)
{
    mark_needed(r);
    /* Leaves keep their order, used or not: callers look them up by name. */
    for (int32_t i = 1; i <= mu_graph_n_values(r->from); i++) {
        mu_value_kind kind = mu_graph_value(r->from, (mu_value){i})->kind;
        if (kind != MU_VALUE_NODE && kind != MU_VALUE_CONST)
            translate(r, (mu_value){i});
    }
    for (int32_t i = 0; i < mu_graph_n_nodes(r->from); i++) {
        const mu_node *node = mu_graph_node(r->from, i);
        if (!r->needed[i])
            continue;
        mu_value in[MU_OP_VARIADIC], out[MU_OP_MAX_OUT] = {{0}};
        for (int k = 0; k < node->n_in; k++)
            in[k] = translate(r, node->in[k]);
        mu_graph_mark(r->to, node->name, node->backward);
        rewrite(user, r->to, r->from, node, in, out);
        for (int o = 0; o < node->n_out; o++)
            if (node->out[o].id)
                r->map[node->out[o].id] = out[o];
    }
    mu_graph_mark(r->to, NULL, false);
    for (int i = 0; i < mu_graph_n_gradients(r->from); i++) {
        mu_value param = mu_graph_gradient_param(r->from, i);
        mu_graph_set_gradient(r->to, translate(r, param), translate(r, mu_graph_gradient_of(r->from, param)));
    }
    for (int i = 0; i < mu_graph_n_outputs(r->from); i++)
        mu_graph_output(r->to, mu_graph_output_name(r->from, i), translate(r, mu_graph_output_value(r->from, i)));
    MU_TRY(mu_graph_status(r->to));
    return MU_OK;
}

mu_err mu_graph_rewrite(const mu_graph *from, mu_rewrite_fn *rewrite, void *user, mu_graph **to)
{
    MU_TRY(mu_graph_status(from));
    rewriting r = {.from = from};
    mu_err err;
    MU_TRY_GOTO(err, mu_graph_new(&r.to), done);
    MU_TRY_GOTO(err, mu_calloc(&r.needed, (size_t)mu_graph_n_nodes(from), sizeof *r.needed), done);
    MU_TRY_GOTO(err, mu_calloc(&r.map, (size_t)mu_graph_n_values(from) + 1, sizeof *r.map), done);
    MU_TRY_GOTO(err, run(&r, rewrite, user), done);
    *to = r.to;
    r.to = NULL;
done:
    mu_graph_release(r.to);
    mu_free(r.needed);
    mu_free(r.map);
    return err;
}

void mu_graph_copy_node(mu_graph *to, const mu_node *node, const mu_value *in, mu_value *out)
{
    mu_graph_apply(to, node->op, node->attrs, in, node->n_in, out);
}
