/* Runs the table of fusion rules. */
#include "core/mem.h"
#include "graph/passes/fusion.h"

static const mu_fusion_rule *const rules[] = {&mu_fusion_convolution, &mu_fusion_batch_norm, &mu_fusion_batch_norm_gradient,
                                              &mu_fusion_batch_norm_inference, &mu_fusion_chain};

mu_err mu_fusion_claim(mu_fusion *f, const mu_fusion_rule *rule, const mu_node *const *nodes, int n, const mu_node *at)
{
    MU_TRY(mu_grow(&f->groups, &f->capacity, f->n_groups + 1, sizeof *f->groups));
    mu_fusion_group *group = &f->groups[f->n_groups++];
    *group = (mu_fusion_group){.rule = rule, .n = n, .at = at};
    for (int i = 0; i < n; i++) {
        group->node[i] = nodes[i];
        if (nodes[i])
            f->owner[nodes[i]->id] = (int32_t)f->n_groups;
    }
    return MU_OK;
}

const mu_fusion_group *mu_fusion_group_of(const mu_fusion *f, const mu_node *node)
{
    return f->owner[node->id] ? &f->groups[f->owner[node->id] - 1] : NULL;
}

int32_t mu_fusion_place(const mu_fusion *f, int32_t id)
{
    return f->owner[id] ? f->groups[f->owner[id] - 1].at->id : id;
}

static bool is_updated(const mu_fusion *f, mu_value leaf)
{
    const mu_rewriter *rw = &f->rw;
    for (int32_t u = rw->user_start[leaf.id]; u < rw->user_start[leaf.id + 1]; u++) {
        const mu_node *user = mu_graph_node(rw->from, rw->users[u]);
        for (int o = 0; o < user->n_out; o++)
            if (user->op->updates[o] && user->op->updates[o] <= user->n_in && user->in[user->op->updates[o] - 1].id == leaf.id)
                return true;
    }
    return false;
}

bool mu_fusion_may_wait(const mu_fusion *f, const mu_node *node, const mu_node *at)
{
    const mu_rewriter *rw = &f->rw;
    for (int i = 0; i < node->n_in; i++) {
        mu_value v = node->in[i];
        mu_value_kind kind = mu_graph_value(rw->from, v)->kind;
        if ((kind != MU_VALUE_STATE && kind != MU_VALUE_PARAM) || !is_updated(f, v))
            continue;
        for (int32_t u = rw->user_start[v.id]; u < rw->user_start[v.id + 1]; u++) {
            int32_t place = mu_fusion_place(f, rw->users[u]);
            if (rw->users[u] != node->id && place > node->id && place <= at->id)
                return false;
        }
    }
    return true;
}

bool mu_fusion_possible(mu_fusion *f, const mu_op *op, const void *attrs, const mu_value *in, int n_in)
{
    mu_type types[MU_OP_VARIADIC], out[MU_OP_MAX_OUT] = {{.dtype = MU_NONE}};
    const char *why;
    for (int i = 0; i < n_in; i++)
        types[i] = *mu_graph_type(f->rw.from, in[i]);
    mu_call call = {.op = op, .attrs = attrs, .n_in = n_in, .n_out = op->n_out, .in = types, .out = out};
    if (op->infer(&call, out) != MU_OK) {
        mu_error_clear();
        return false;
    }
    return f->backend->ops->supports(f->backend, &call, &why);
}

const mu_node *mu_fusion_next(const mu_fusion *f, mu_value v, const mu_op *op)
{
    const mu_node *user = mu_rewriter_only_user(&f->rw, v);
    return user && !f->owner[user->id] && (!op || user->op == op) ? user : NULL;
}

mu_value mu_fusion_other_addend(const mu_fusion *f, const mu_node *add, mu_value v)
{
    mu_value other = add->in[add->in[0].id == v.id];
    return mu_type_equal(mu_graph_type(f->rw.from, other), mu_graph_type(f->rw.from, v)) ? other : MU_NO_VALUE;
}

void mu_fusion_apply(mu_fusion *f, const mu_node *as, const mu_op *op, const void *attrs, const mu_value *in, int n_in,
                     mu_value *out)
{
    mu_value new[MU_OP_VARIADIC];
    for (int i = 0; i < n_in; i++)
        new[i] = mu_rewriter_get(&f->rw, in[i]);
    mu_rewriter_mark(&f->rw, as);
    mu_graph_apply(f->rw.to, op, attrs, new, n_in, out);
}

static mu_err match_all(mu_fusion *f, const mu_fusion_rule *rule)
{
    int32_t n = mu_graph_n_nodes(f->rw.from);
    for (int32_t k = 0; k < n; k++) {
        int32_t i = rule->from_end ? n - 1 - k : k;
        if (f->rw.live[i] && !f->owner[i])
            MU_TRY(rule->match(f, mu_graph_node(f->rw.from, i)));
    }
    return MU_OK;
}

static mu_err fuse(mu_fusion *f, mu_graph **out)
{
    const mu_graph *from = f->rw.from;
    MU_TRY(mu_calloc(&f->owner, (size_t)mu_graph_n_nodes(from) + 1, sizeof *f->owner));
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        MU_TRY(match_all(f, rules[i]));
    for (int32_t i = 0; i < mu_graph_n_nodes(from); i++) {
        const mu_node *node = mu_graph_node(from, i);
        const mu_fusion_group *group = mu_fusion_group_of(f, node);
        if (group && group->at == node)
            group->rule->emit(f, group);
        else if (!group && f->rw.live[i])
            mu_rewriter_copy(&f->rw, node);
    }
    MU_TRY(mu_rewriter_finish(&f->rw, out));
    return MU_OK;
}

mu_err mu_pass_fuse(const mu_graph *graph, mu_backend *backend, mu_graph **out)
{
    mu_fusion f = {.backend = backend};
    MU_TRY(mu_rewriter_init(&f.rw, graph));
    mu_err err = fuse(&f, out);
    mu_rewriter_release(&f.rw);
    mu_free(f.owner);
    mu_free(f.groups);
    return err;
}
