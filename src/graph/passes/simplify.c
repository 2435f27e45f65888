/* Dead nodes go, equal nodes become one. */
#include "core/mem.h"
#include "graph/passes/rewriter.h"
#include "ops/ops.h"

typedef struct {
    mu_rewriter rw;
    int32_t *slot; /* open addressing over nodes of `from` that were copied: id + 1, or 0 */
    int32_t *leaf; /* open addressing over constants of `from`: value id, or 0 */
    size_t n_slots;
} simplifier;

static uint64_t mix(uint64_t h, uint64_t x)
{
    h = (h ^ x) * 0x9e3779b97f4a7c15u;
    return h ^ (h >> 29);
}

static uint64_t hash_bytes(const void *data, size_t n)
{
    const unsigned char *p = data;
    uint64_t h = n;
    for (size_t i = 0; i < n; i++)
        h = mix(h, p[i]);
    return h;
}

static bool mergeable(const mu_node *node)
{
    return !(node->op->flags & (MU_OP_EFFECT | MU_OP_RANDOM | MU_OP_HOST)) && !mu_node_has_updates(node);
}

/* By the new operands, so that merging goes on downwards. */
static uint64_t hash_node(simplifier *s, const mu_node *node)
{
    uint64_t h = mix((uintptr_t)node->op, node->op->attrs ? mu_attrs_hash(node->op, node->attrs) : 0);
    for (int i = 0; i < node->n_in; i++)
        h = mix(h, (uint64_t)mu_rewriter_get(&s->rw, node->in[i]).id);
    return h;
}

static bool equal_nodes(simplifier *s, const mu_node *a, const mu_node *b)
{
    if (a->op != b->op || a->n_in != b->n_in || a->n_out != b->n_out)
        return false;
    if (a->op->attrs_size && (!a->op->attrs || !mu_attrs_equal(a->op, a->attrs, b->attrs)))
        return false;
    for (int i = 0; i < a->n_in; i++)
        if (mu_rewriter_get(&s->rw, a->in[i]).id != mu_rewriter_get(&s->rw, b->in[i]).id)
            return false;
    return true;
}

static void take_outputs(simplifier *s, const mu_node *node, const mu_node *from)
{
    for (int i = 0; i < node->n_out; i++)
        mu_rewriter_set(&s->rw, node->out[i], mu_rewriter_get(&s->rw, from->out[i]));
}

/* Casts, reshapes and broadcasts that change nothing. */
static bool is_identity(const mu_graph *g, const mu_node *node)
{
    return (node->op == &mu_op_cast || node->op == &mu_op_reshape || node->op == &mu_op_broadcast_to) &&
           mu_type_equal(mu_graph_type(g, node->in[0]), mu_graph_type(g, node->out[0]));
}

static void visit_node(simplifier *s, const mu_node *node)
{
    if (is_identity(s->rw.from, node)) {
        mu_rewriter_set(&s->rw, node->out[0], mu_rewriter_get(&s->rw, node->in[0]));
        return;
    }
    if (mergeable(node)) {
        size_t at = hash_node(s, node) & (s->n_slots - 1);
        for (; s->slot[at]; at = (at + 1) & (s->n_slots - 1)) {
            const mu_node *had = mu_graph_node(s->rw.from, s->slot[at] - 1);
            if (equal_nodes(s, node, had)) {
                take_outputs(s, node, had);
                return;
            }
        }
        s->slot[at] = node->id + 1;
    }
    mu_rewriter_copy(&s->rw, node);
}

static void merge_constants(simplifier *s)
{
    const mu_graph *g = s->rw.from;
    for (int32_t v = 1; v <= mu_graph_n_values(g); v++) {
        const mu_value_info *info = mu_graph_value(g, (mu_value){v});
        if (info->kind != MU_VALUE_CONST || (!mu_rewriter_n_users(&s->rw, (mu_value){v}) && !s->rw.external[v]))
            continue;
        size_t bytes = mu_type_bytes(&info->type);
        size_t at = mix(hash_bytes(info->constant, bytes), (uint64_t)info->type.dtype) & (s->n_slots - 1);
        mu_value same = MU_NO_VALUE;
        for (; s->leaf[at] && !same.id; at = (at + 1) & (s->n_slots - 1)) {
            const mu_value_info *had = mu_graph_value(g, (mu_value){s->leaf[at]});
            if (mu_type_equal(&info->type, &had->type) && memcmp(info->constant, had->constant, bytes) == 0)
                same.id = s->leaf[at];
        }
        if (same.id)
            mu_rewriter_set(&s->rw, (mu_value){v}, mu_rewriter_get(&s->rw, same));
        else
            s->leaf[at] = v;
    }
}

static mu_err simplify(simplifier *s, mu_graph **out)
{
    const mu_graph *g = s->rw.from;
    size_t n = (size_t)mu_graph_n_nodes(g) + (size_t)mu_graph_n_values(g);
    for (s->n_slots = 64; s->n_slots < 2 * n;)
        s->n_slots *= 2;
    MU_TRY(mu_calloc(&s->slot, s->n_slots, sizeof *s->slot));
    MU_TRY(mu_calloc(&s->leaf, s->n_slots, sizeof *s->leaf));
    merge_constants(s);
    for (int32_t i = 0; i < mu_graph_n_nodes(g); i++)
        if (s->rw.live[i])
            visit_node(s, mu_graph_node(g, i));
    MU_TRY(mu_rewriter_finish(&s->rw, out));
    return MU_OK;
}

mu_err mu_pass_simplify(const mu_graph *graph, mu_graph **out)
{
    simplifier s = {0};
    MU_TRY(mu_rewriter_init(&s.rw, graph));
    mu_err err = simplify(&s, out);
    mu_rewriter_release(&s.rw);
    mu_free(s.slot);
    mu_free(s.leaf);
    return err;
}
