/* Evaluation: batch_norm_inference(conv2d(x, w, b)) = conv2d(x, w * s, (b - mean) * s + beta), s = gamma / sqrt(var + eps).
 * The new weights are computed in the graph; they depend on no input, so that a plan computes them once per refresh. */
#include "core/mem.h"
#include "graph/passes/rewriter.h"
#include "ops/ops.h"

enum { X, GAMMA, BETA, MEAN, VAR };

typedef struct {
    mu_rewriter rw;
    bool *fixed; /* [n_values+1] depends on no input and on nothing random */
} folder;

static bool is_fixed(const folder *f, mu_value v)
{
    return !v.id || f->fixed[v.id];
}

static void find_fixed(folder *f)
{
    const mu_graph *g = f->rw.from;
    for (int32_t v = 1; v <= mu_graph_n_values(g); v++) {
        mu_value_kind kind = mu_graph_value(g, (mu_value){v})->kind;
        f->fixed[v] = kind == MU_VALUE_PARAM || kind == MU_VALUE_STATE || kind == MU_VALUE_CONST;
    }
    for (int32_t i = 0; i < mu_graph_n_nodes(g); i++) {
        const mu_node *node = mu_graph_node(g, i);
        bool fixed = !(node->op->flags & (MU_OP_EFFECT | MU_OP_RANDOM | MU_OP_HOST)) && !mu_node_has_updates(node);
        for (int k = 0; k < node->n_in && fixed; k++)
            fixed = is_fixed(f, node->in[k]);
        for (int k = 0; k < node->n_out; k++)
            f->fixed[node->out[k].id] = fixed;
    }
}

/* The convolution (or linear layer of a matrix) that this norm scales, or NULL. */
static const mu_node *find_product(const folder *f, const mu_node *norm)
{
    const mu_graph *g = f->rw.from;
    const mu_node *product = norm->op == &mu_op_batch_norm_inference ? mu_producer(g, norm->in[X]) : NULL;
    if (!product || mu_rewriter_only_user(&f->rw, norm->in[X]) != norm || product->n_in > 3)
        return NULL;
    bool conv = product->op == &mu_op_conv2d && !((const mu_conv2d_attrs *)product->attrs)->activation;
    bool linear = product->op == &mu_op_linear && !((const mu_linear_attrs *)product->attrs)->activation &&
                  mu_graph_type(g, product->out[0])->ndim == 2;
    if (!conv && !linear) /* it may have no second operand */
        return NULL;
    bool fixed = is_fixed(f, product->in[1]) && (product->n_in < 3 || is_fixed(f, product->in[2]));
    for (int i = GAMMA; i <= VAR; i++)
        fixed &= i >= norm->n_in || is_fixed(f, norm->in[i]);
    /* Half types have their statistics in f32: the weights would have to be cast back and lose digits. */
    bool same = mu_graph_type(g, norm->in[VAR])->dtype == mu_graph_type(g, product->in[1])->dtype;
    return fixed && same ? product : NULL;
}

static void fold(folder *f, const mu_node *norm, const mu_node *product)
{
    mu_rewriter *rw = &f->rw;
    mu_graph *to = rw->to;
    mu_value in[VAR + 1], w = mu_rewriter_get(rw, product->in[1]);
    mu_value bias = product->n_in > 2 ? mu_rewriter_get(rw, product->in[2]) : MU_NO_VALUE;
    for (int i = GAMMA; i <= VAR; i++)
        in[i] = mu_rewriter_get(rw, norm->in[i]);
    mu_rewriter_mark(rw, norm);
    double eps = ((const mu_batch_norm_attrs *)norm->attrs)->eps;
    mu_value scale = mu_power_scalar(to, mu_add_scalar(to, in[VAR], eps), -0.5);
    if (in[GAMMA].id)
        scale = mu_mul(to, scale, in[GAMMA]);
    mu_type t = *mu_graph_type(to, w);
    int64_t per_row[MU_MAX_NDIM] = {t.dim[0]};
    for (int i = 1; i < t.ndim; i++)
        per_row[i] = 1;
    w = mu_mul(to, w, mu_reshape(to, scale, t.ndim, per_row));
    bias = bias.id ? mu_mul(to, mu_sub(to, bias, in[MEAN]), scale) : mu_neg(to, mu_mul(to, in[MEAN], scale));
    if (in[BETA].id)
        bias = mu_add(to, bias, in[BETA]);
    mu_rewriter_mark(rw, product);
    mu_value y = mu_graph_apply1(to, product->op, product->attrs,
                                 (mu_value[]){mu_rewriter_get(rw, product->in[0]), w, bias}, 3);
    if (((const mu_batch_norm_attrs *)norm->attrs)->relu)
        y = mu_relu(to, y);
    mu_rewriter_set(rw, norm->out[0], y);
}

static mu_err run(folder *f, mu_graph **out)
{
    const mu_graph *g = f->rw.from;
    bool *folded; /* [n_nodes] products that their norms replace */
    MU_TRY(mu_calloc(&f->fixed, (size_t)mu_graph_n_values(g) + 1, sizeof *f->fixed));
    MU_TRY(mu_calloc(&folded, (size_t)mu_graph_n_nodes(g) + 1, sizeof *folded));
    find_fixed(f);
    for (int32_t i = 0; i < mu_graph_n_nodes(g); i++) {
        const mu_node *product = f->rw.live[i] ? find_product(f, mu_graph_node(g, i)) : NULL;
        if (product)
            folded[product->id] = true;
    }
    for (int32_t i = 0; i < mu_graph_n_nodes(g); i++) {
        const mu_node *node = mu_graph_node(g, i), *product;
        if (!f->rw.live[i] || folded[i])
            continue;
        product = find_product(f, node);
        if (product)
            fold(f, node, product);
        else
            mu_rewriter_copy(&f->rw, node);
    }
    mu_free(folded);
    MU_TRY(mu_rewriter_finish(&f->rw, out));
    return MU_OK;
}

mu_err mu_pass_fold_batch_norm(const mu_graph *graph, mu_graph **out)
{
    folder f = {0};
    MU_TRY(mu_rewriter_init(&f.rw, graph));
    mu_err err = run(&f, out);
    mu_rewriter_release(&f.rw);
    mu_free(f.fixed);
    return err;
}
