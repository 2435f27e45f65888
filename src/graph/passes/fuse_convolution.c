/* conv2d(x, w, b) [+ residual] [activation] and linear(x, w, b) [activation]. In training, too: where backward reads the
 * pre-activation, that has a second user and nothing matches. */
#include "graph/passes/fusion.h"

/* What an element-wise node is as the end of a convolution. */
static mu_activation activation_of(const mu_node *node, double *alpha)
{
    static const struct {
        const mu_op *op;
        mu_activation activation;
    } table[] = {{&mu_op_relu, MU_ACT_RELU},
                 {&mu_op_relu6, MU_ACT_RELU6},
                 {&mu_op_leaky_relu, MU_ACT_LEAKY_RELU},
                 {&mu_op_silu, MU_ACT_SILU},
                 {&mu_op_gelu, MU_ACT_GELU},
                 {&mu_op_sigmoid, MU_ACT_SIGMOID},
                 {&mu_op_hard_sigmoid, MU_ACT_HARD_SIGMOID},
                 {&mu_op_hard_swish, MU_ACT_HARD_SWISH},
                 {&mu_op_tanh, MU_ACT_TANH}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (table[i].op != node->op)
            continue;
        *alpha = ((const mu_unary_attrs *)node->attrs)->alpha;
        if (node->op != &mu_op_gelu)
            return table[i].activation;
        bool tanh_form = *alpha != 0;
        *alpha = 0;
        return tanh_form ? MU_ACT_GELU_TANH : MU_ACT_GELU;
    }
    return MU_ACT_NONE;
}

typedef union {
    mu_conv2d_attrs conv;
    mu_linear_attrs linear;
} attributes;

/* The fused call of a group {product, add, activation}, the last two may be NULL. */
static int build_call(const mu_fusion *f, const mu_node *const *group, attributes *attrs, mu_value in[4])
{
    const mu_node *product = group[0], *add = group[1], *activation = group[2];
    double alpha = 0;
    mu_activation act = activation ? activation_of(activation, &alpha) : MU_ACT_NONE;
    memset(attrs, 0, sizeof *attrs);
    memcpy(attrs, product->attrs, product->op->attrs_size);
    if (product->op == &mu_op_conv2d) {
        attrs->conv.activation = act;
        attrs->conv.alpha = alpha;
    } else {
        attrs->linear.activation = act;
        attrs->linear.alpha = alpha;
    }
    for (int i = 0; i < 3; i++)
        in[i] = i < product->n_in ? product->in[i] : MU_NO_VALUE;
    if (!add)
        return product->n_in;
    in[3] = mu_fusion_other_addend(f, add, product->out[0]);
    return 4;
}

static mu_err match(mu_fusion *f, const mu_node *node)
{
    bool conv = node->op == &mu_op_conv2d;
    if ((!conv && node->op != &mu_op_linear) || node->n_in > 3 ||
        (conv ? ((const mu_conv2d_attrs *)node->attrs)->activation : ((const mu_linear_attrs *)node->attrs)->activation))
        return MU_OK;
    double alpha;
    const mu_node *add = conv ? mu_fusion_next(f, node->out[0], &mu_op_add) : NULL;
    if (add && !mu_fusion_other_addend(f, add, node->out[0]).id)
        add = NULL;
    const mu_node *activation = mu_fusion_next(f, add ? add->out[0] : node->out[0], NULL);
    if (activation && activation_of(activation, &alpha) == MU_ACT_NONE)
        activation = NULL;
    for (; add || activation; activation = NULL) { /* with the activation, or the sum alone */
        const mu_node *group[3] = {node, add, activation};
        attributes attrs;
        mu_value in[4];
        const mu_node *at = activation ? activation : add;
        int n_in = build_call(f, group, &attrs, in);
        if (mu_fusion_may_wait(f, node, at) && mu_fusion_possible(f, node->op, &attrs, in, n_in))
            return mu_fusion_claim(f, &mu_fusion_convolution, group, 3, at);
        if (!activation)
            break;
    }
    return MU_OK;
}

static void emit(mu_fusion *f, const mu_fusion_group *group)
{
    attributes attrs;
    mu_value in[4], out[MU_OP_MAX_OUT];
    int n_in = build_call(f, group->node, &attrs, in);
    mu_fusion_apply(f, group->node[0], group->node[0]->op, &attrs, in, n_in, out);
    mu_rewriter_set(&f->rw, group->at->out[0], out[0]);
}

const mu_fusion_rule mu_fusion_convolution = {.name = "convolution", .match = match, .emit = emit};
