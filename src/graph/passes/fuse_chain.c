/* Element-wise operations in one sweep. A group grows from its last node backwards: a producer joins when everything else that
 * reads it comes after the group, which stands in the place of its last node. */
#include "graph/passes/fusion.h"
#include "ops/unary.h"

typedef struct {
    mu_fusion *f;
    const mu_node *node[MU_CHAIN_MAX]; /* [n] falling ids; the first is the root */
    int n;
    mu_value in[MU_CHAIN_MAX_IN];
    int n_in;
    mu_value out[MU_CHAIN_MAX_OUT];
    int n_out;
} chain;

static bool is_member(const chain *c, const mu_node *node)
{
    for (int i = 0; i < c->n; i++)
        if (c->node[i] == node)
            return true;
    return false;
}

/* A float result, with no attributes but the unary ones. */
static bool is_step(const mu_fusion *f, const mu_node *node)
{
    return (node->op->flags & MU_OP_ELEMENTWISE) && !(node->op->flags & (MU_OP_RANDOM | MU_OP_EFFECT | MU_OP_HOST)) &&
           node->op->n_out == 1 && node->n_in <= 3 && (!node->op->attrs_size || node->op->attrs == mu_unary_attr_table) &&
           mu_dtype_is_float(mu_graph_type(f->rw.from, node->out[0])->dtype);
}

/* Operands are of the root's type or one float of its dtype. */
static bool operands_fit(const mu_fusion *f, const mu_node *node, const mu_type *type)
{
    for (int i = 0; i < node->n_in; i++) {
        const mu_type *in = mu_graph_type(f->rw.from, node->in[i]);
        if (in->dtype != type->dtype || (!mu_type_same_shape(in, type) && mu_type_count(in) != 1))
            return false;
    }
    return mu_type_equal(mu_graph_type(f->rw.from, node->out[0]), type);
}

static bool may_join(const chain *c, const mu_node *node)
{
    const mu_fusion *f = c->f;
    const mu_node *root = c->node[0];
    mu_value v = node->out[0];
    if (!f->rw.live[node->id] || f->owner[node->id] || node->backward != root->backward || !is_step(f, node) ||
        !operands_fit(f, node, mu_graph_type(f->rw.from, root->out[0])) || !mu_fusion_may_wait(f, node, root))
        return false;
    for (int32_t u = f->rw.user_start[v.id]; u < f->rw.user_start[v.id + 1]; u++) {
        int32_t user = f->rw.users[u];
        if (!is_member(c, mu_graph_node(f->rw.from, user)) && mu_fusion_place(f, user) <= root->id)
            return false;
    }
    return true;
}

/* Is the value read outside the group? */
static bool escapes(const chain *c, mu_value v)
{
    const mu_rewriter *rw = &c->f->rw;
    for (int32_t u = rw->user_start[v.id]; u < rw->user_start[v.id + 1]; u++)
        if (!is_member(c, mu_graph_node(rw->from, rw->users[u])))
            return true;
    return rw->external[v.id];
}

/* Collects operands and outputs; false when they are too many. Operands that die with the group come first: the output may
 * take the memory of the first one. */
static bool find_borders(chain *c)
{
    const mu_graph *g = c->f->rw.from;
    const mu_type *type = mu_graph_type(g, c->node[0]->out[0]);
    c->n_in = c->n_out = 0;
    for (int k = c->n - 1; k >= 0; k--) {
        for (int i = 0; i < c->node[k]->n_in; i++) {
            mu_value v = c->node[k]->in[i];
            const mu_node *producer = mu_producer(g, v);
            bool known = producer && is_member(c, producer);
            for (int j = 0; j < c->n_in && !known; j++)
                known = c->in[j].id == v.id;
            if (known)
                continue;
            if (c->n_in == MU_CHAIN_MAX_IN)
                return false;
            bool dies = producer && !escapes(c, v) && mu_type_equal(mu_graph_type(g, v), type);
            c->in[c->n_in] = dies ? c->in[0] : v;
            if (dies)
                c->in[0] = v;
            c->n_in++;
        }
        if (escapes(c, c->node[k]->out[0])) {
            if (c->n_out == MU_CHAIN_MAX_OUT)
                return false;
            c->out[c->n_out++] = c->node[k]->out[0];
        }
    }
    return true;
}

/* The unclaimed producer with the highest id that may join. */
static const mu_node *next_candidate(const chain *c, const mu_node *const *refused, int n_refused)
{
    const mu_node *best = NULL;
    for (int k = 0; k < c->n; k++)
        for (int i = 0; i < c->node[k]->n_in; i++) {
            const mu_node *p = mu_producer(c->f->rw.from, c->node[k]->in[i]);
            bool skip = !p || is_member(c, p) || (best && p->id <= best->id);
            for (int r = 0; r < n_refused && !skip; r++)
                skip = refused[r] == p;
            if (!skip && may_join(c, p))
                best = p;
        }
    return best;
}

static signed char register_of(const chain *c, mu_value v)
{
    for (int i = 0; i < c->n_in; i++)
        if (c->in[i].id == v.id)
            return (signed char)i;
    for (int k = 0; k < c->n; k++)
        if (c->node[k]->out[0].id == v.id)
            return (signed char)(c->n_in + c->n - 1 - k);
    return -1;
}

static void build_attrs(const chain *c, mu_chain_attrs *attrs)
{
    memset(attrs, 0, sizeof *attrs); /* compared as bytes */
    attrs->n_steps = c->n;
    attrs->n_out = c->n_out;
    for (int s = 0; s < c->n; s++) {
        const mu_node *node = c->node[c->n - 1 - s];
        mu_chain_step *step = &attrs->step[s];
        step->op = node->op;
        if (node->attrs) {
            step->alpha = ((const mu_unary_attrs *)node->attrs)->alpha;
            step->beta = ((const mu_unary_attrs *)node->attrs)->beta;
        }
        for (int i = 0; i < 3; i++)
            step->arg[i] = i < node->n_in ? register_of(c, node->in[i]) : -1;
    }
    for (int o = 0; o < c->n_out; o++)
        attrs->out[o] = register_of(c, c->out[o]);
}

static mu_err match(mu_fusion *f, const mu_node *root)
{
    chain c = {.f = f, .node = {root}, .n = 1};
    const mu_node *refused[2 * MU_CHAIN_MAX];
    int n_refused = 0;
    if (!is_step(f, root) || !operands_fit(f, root, mu_graph_type(f->rw.from, root->out[0])))
        return MU_OK;
    while (c.n < MU_CHAIN_MAX && n_refused < 2 * MU_CHAIN_MAX) {
        const mu_node *candidate = next_candidate(&c, refused, n_refused);
        if (!candidate)
            break;
        c.node[c.n++] = candidate; /* candidates come with falling ids */
        if (!find_borders(&c)) {
            c.n--;
            refused[n_refused++] = candidate;
        }
    }
    if (c.n < 2 || !find_borders(&c))
        return MU_OK;
    mu_chain_attrs attrs;
    build_attrs(&c, &attrs);
    if (!mu_fusion_possible(f, &mu_op_chain, &attrs, c.in, c.n_in))
        return MU_OK;
    return mu_fusion_claim(f, &mu_fusion_chain, c.node, c.n, root);
}

static void emit(mu_fusion *f, const mu_fusion_group *group)
{
    chain c = {.f = f, .n = group->n};
    mu_chain_attrs attrs;
    mu_value out[MU_OP_MAX_OUT];
    memcpy(c.node, group->node, sizeof c.node);
    find_borders(&c);
    build_attrs(&c, &attrs);
    mu_fusion_apply(f, group->at, &mu_op_chain, &attrs, c.in, c.n_in, out);
    for (int o = 0; o < c.n_out; o++)
        mu_rewriter_set(&f->rw, c.out[o], out[o]);
}

const mu_fusion_rule mu_fusion_chain = {.name = "chain", .from_end = true, .match = match, .emit = emit};
