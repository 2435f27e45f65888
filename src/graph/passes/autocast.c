/* Mixed precision. Matrix products and convolutions run in the low dtype, losses, reductions and functions with a wide range in
 * f32, the rest in the dtype of what was computed before it; a mix is raised to f32. Parameters and gradients stay f32; a
 * value is cast once, and normalised images come in the dtype at once. What the backend does not support in the low dtype stays f32. (The scheme of Micikevicius et al. 2018.) */
#include "core/mem.h"
#include "graph/passes/rewriter.h"
#include "ops/ops.h"

typedef struct {
    mu_rewriter rw;
    mu_backend *backend;
    mu_dtype low;
    mu_value *cast_low, *cast_f32; /* [capacity] of new values by id, made at the first need; f32 of low and low of f32 */
    size_t capacity;
    const mu_node *node; /* that is visited */
} caster;

typedef enum {
    LOW,    /* always in the low dtype */
    WIDE,   /* always in f32 */
    FOLLOW, /* as its operands */
    MIXED   /* operand 0 (and those like it) may be low while the rest is f32 */
} policy;

static policy policy_of(const mu_op *op)
{
    static const mu_op *const low[] = {&mu_op_conv2d, &mu_op_conv2d_grad_input, &mu_op_conv2d_grad_weight, &mu_op_linear,
                                       &mu_op_matmul};
    static const mu_op *const follow[] = {
        &mu_op_max_pool2d, &mu_op_max_pool2d_grad, &mu_op_avg_pool2d, &mu_op_avg_pool2d_grad, &mu_op_adaptive_avg_pool2d,
        &mu_op_adaptive_avg_pool2d_grad, &mu_op_adaptive_max_pool2d, &mu_op_reshape, &mu_op_transpose, &mu_op_broadcast_to,
        &mu_op_concat, &mu_op_slice, &mu_op_slice_grad, &mu_op_pad, &mu_op_dropout};
    static const mu_op *const mixed[] = {&mu_op_batch_norm, &mu_op_batch_norm_grad, &mu_op_batch_norm_inference,
                                         &mu_op_sync_batch_norm, &mu_op_sync_batch_norm_grad};
    static const mu_op *const wide[] = {&mu_op_exp, &mu_op_log, &mu_op_power, &mu_op_sqrt};
    for (size_t i = 0; i < sizeof low / sizeof *low; i++)
        if (op == low[i])
            return LOW;
    for (size_t i = 0; i < sizeof mixed / sizeof *mixed; i++)
        if (op == mixed[i])
            return MIXED;
    for (size_t i = 0; i < sizeof follow / sizeof *follow; i++)
        if (op == follow[i])
            return FOLLOW;
    for (size_t i = 0; i < sizeof wide / sizeof *wide; i++)
        if (op == wide[i])
            return WIDE;
    return op->flags & MU_OP_ELEMENTWISE && op != &mu_op_cast ? FOLLOW : WIDE;
}

static mu_dtype dtype_of(const caster *c, mu_value v)
{
    return mu_graph_type(c->rw.to, v)->dtype;
}

/* Images that are normalised into another dtype, or no value. */
static mu_value normalized_as(caster *c, mu_value v, mu_dtype to)
{
    const mu_node *node = mu_producer(c->rw.to, v);
    mu_type types[MU_OP_VARIADIC + MU_OP_MAX_OUT];
    const char *why;
    if (!node || node->op != &mu_op_normalize)
        return MU_NO_VALUE;
    mu_normalize_attrs attrs = *(const mu_normalize_attrs *)node->attrs;
    mu_call call = mu_graph_call(c->rw.to, node, types);
    attrs.dtype = (int)to;
    call.attrs = &attrs;
    types[node->n_in].dtype = to;
    if (!c->backend->ops->supports(c->backend, &call, &why))
        return MU_NO_VALUE;
    mu_rewriter_mark(&c->rw, node);
    mu_value made = mu_graph_apply1(c->rw.to, node->op, &attrs, node->in, node->n_in);
    mu_rewriter_mark(&c->rw, c->node);
    return made;
}

/* The value in another dtype, when it is f32 or low and is to be the other of the two. */
static mu_err convert(caster *c, mu_value v, mu_dtype to, mu_value *out)
{
    mu_dtype from = dtype_of(c, v);
    *out = v;
    if (!v.id || from == to || (from != MU_F32 && from != c->low))
        return MU_OK;
    size_t n = (size_t)v.id + 1, had = c->capacity;
    if (n > had) {
        size_t other = had;
        MU_TRY(mu_grow(&c->cast_low, &c->capacity, n, sizeof *c->cast_low));
        MU_TRY(mu_grow(&c->cast_f32, &other, n, sizeof *c->cast_f32));
        memset(c->cast_low + had, 0, (c->capacity - had) * sizeof *c->cast_low);
        memset(c->cast_f32 + had, 0, (c->capacity - had) * sizeof *c->cast_f32);
    }
    mu_value *known = to == MU_F32 ? &c->cast_f32[v.id] : &c->cast_low[v.id];
    if (!known->id)
        *known = normalized_as(c, v, to);
    if (!known->id)
        *known = mu_cast(c->rw.to, v, to);
    *out = *known;
    return MU_OK;
}

static bool possible(caster *c, const mu_node *node, const mu_value *in, const mu_dtype *dtype)
{
    mu_type types[MU_OP_VARIADIC], out[MU_OP_MAX_OUT] = {{.dtype = MU_NONE}};
    const char *why;
    for (int i = 0; i < node->n_in; i++) {
        types[i] = *mu_graph_type(c->rw.to, in[i]);
        if (types[i].dtype == MU_F32 || types[i].dtype == c->low)
            types[i].dtype = dtype[i];
    }
    mu_call call = {.op = node->op, .attrs = node->attrs, .n_in = node->n_in, .n_out = node->n_out, .in = types, .out = out};
    if (node->op->infer(&call, out) != MU_OK) {
        mu_error_clear();
        return false;
    }
    return node->op->flags & MU_OP_VIEW || c->backend->ops->supports(c->backend, &call, &why);
}

/* Computed values decide; parameters and constants follow them. */
static bool all_computed_are_low(const caster *c, const mu_node *node, const mu_value *in)
{
    bool any = false;
    for (int i = 0; i < node->n_in; i++) {
        bool leaf = mu_graph_value(c->rw.from, node->in[i])->kind != MU_VALUE_NODE;
        mu_dtype dtype = dtype_of(c, in[i]);
        if (!in[i].id || leaf || (dtype != MU_F32 && dtype != c->low))
            continue;
        if (dtype != c->low)
            return false;
        any = true;
    }
    return any;
}

/* What each operand is cast to. */
static void choose(caster *c, const mu_node *node, const mu_value *in, mu_dtype *dtype)
{
    policy p = policy_of(node->op);
    bool low = p == LOW || (p == FOLLOW && all_computed_are_low(c, node, in));
    for (int i = 0; i < node->n_in; i++)
        dtype[i] = low ? c->low : MU_F32;
    if (p == MIXED && in[0].id && dtype_of(c, in[0]) == c->low) {
        const mu_type *first = mu_graph_type(c->rw.to, in[0]);
        low = true;
        for (int i = 0; i < node->n_in; i++)
            if (mu_type_same_shape(mu_graph_type(c->rw.to, in[i]), first))
                dtype[i] = c->low;
    }
    if (low && !possible(c, node, in, dtype))
        for (int i = 0; i < node->n_in; i++)
            dtype[i] = MU_F32;
}

static bool has_f32(const caster *c, const mu_node *node)
{
    for (int i = 0; i < node->n_in + node->n_out; i++)
        if (mu_graph_type(c->rw.from, i < node->n_in ? node->in[i] : node->out[i - node->n_in])->dtype == MU_F32)
            return true;
    return false;
}

static mu_err visit_node(caster *c, const mu_node *node)
{
    mu_value in[MU_OP_VARIADIC], out[MU_OP_MAX_OUT];
    mu_dtype dtype[MU_OP_VARIADIC];
    for (int i = 0; i < node->n_in; i++)
        in[i] = mu_rewriter_get(&c->rw, node->in[i]);
    c->node = node;
    mu_rewriter_mark(&c->rw, node);
    if (has_f32(c, node)) {
        choose(c, node, in, dtype);
        for (int i = 0; i < node->n_in; i++)
            MU_TRY(convert(c, in[i], dtype[i], &in[i]));
    }
    mu_graph_apply(c->rw.to, node->op, node->attrs, in, node->n_in, out);
    for (int i = 0; i < node->n_out; i++)
        mu_rewriter_set(&c->rw, node->out[i], out[i]);
    return MU_OK;
}

/* What leaves the graph has the dtype that it was traced with. */
static mu_err restore_borders(caster *c)
{
    const mu_graph *from = c->rw.from;
    for (int32_t v = 1; v <= mu_graph_n_values(from); v++) {
        mu_value old = {v}, new;
        if (!c->rw.external[v] || mu_graph_type(from, old)->dtype != MU_F32)
            continue;
        const mu_node *node = mu_producer(from, old);
        if (node)
            mu_rewriter_mark(&c->rw, c->node = node);
        MU_TRY(convert(c, mu_rewriter_get(&c->rw, old), MU_F32, &new));
        mu_rewriter_set(&c->rw, old, new);
    }
    return MU_OK;
}

static mu_err run(caster *c, mu_graph **out)
{
    const mu_graph *from = c->rw.from;
    for (int32_t i = 0; i < mu_graph_n_nodes(from); i++)
        if (c->rw.live[i])
            MU_TRY(visit_node(c, mu_graph_node(from, i)));
    MU_TRY(restore_borders(c));
    MU_TRY(mu_rewriter_finish(&c->rw, out));
    return MU_OK;
}

mu_err mu_pass_autocast(const mu_graph *graph, mu_backend *backend, mu_dtype dtype, mu_graph **out)
{
    caster c = {.backend = backend, .low = dtype};
    if (dtype != MU_BF16 && dtype != MU_F16)
        return MU_FAIL(MU_ERR_USAGE, "mixed precision is bf16 or f16, not %s", mu_dtype_name(dtype));
    MU_TRY(mu_rewriter_init(&c.rw, graph));
    mu_err err = run(&c, out);
    mu_rewriter_release(&c.rw);
    mu_free(c.cast_low);
    mu_free(c.cast_f32);
    return err;
}
