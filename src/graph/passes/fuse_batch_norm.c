/* Training: relu(batch_norm(x) [+ residual]) is one node, which needs no memory for what lies between; its gradient takes the
 * mask from the output and gives the gradient of the residual as well. */
#include "graph/passes/fusion.h"

enum { NORM, ADD, RELU };     /* members forward */
enum { RELU_GRAD, NORM_GRAD }; /* members backward */

/* The operation that is the gradient of a norm with statistics of the batch; NULL for anything else. */
static const mu_op *gradient_of(const mu_op *op)
{
    return op == &mu_op_batch_norm ? &mu_op_batch_norm_grad : op == &mu_op_sync_batch_norm ? &mu_op_sync_batch_norm_grad : NULL;
}

static int forward_call(const mu_fusion *f, const mu_node *const *group, mu_batch_norm_attrs *attrs, mu_value in[6])
{
    const mu_node *norm = group[NORM];
    *attrs = *(const mu_batch_norm_attrs *)norm->attrs;
    attrs->relu = true;
    memcpy(in, norm->in, 5 * sizeof *in);
    if (!group[ADD])
        return 5;
    in[5] = mu_fusion_other_addend(f, group[ADD], norm->out[0]);
    return 6;
}

/* The node moves to where the ReLU was: nothing may read its statistics before. */
static bool read_later(const mu_fusion *f, const mu_node *norm, const mu_node *relu)
{
    for (int o = 1; o < norm->n_out; o++) {
        mu_value v = norm->out[o];
        if (f->rw.external[v.id] || (mu_rewriter_n_users(&f->rw, v) && f->rw.users[f->rw.user_start[v.id]] < relu->id))
            return false;
    }
    return true;
}

static mu_err match_forward(mu_fusion *f, const mu_node *node)
{
    if (!gradient_of(node->op) || node->n_in != 5 || ((const mu_batch_norm_attrs *)node->attrs)->relu)
        return MU_OK;
    const mu_node *add = mu_fusion_next(f, node->out[0], &mu_op_add);
    if (add && !mu_fusion_other_addend(f, add, node->out[0]).id)
        return MU_OK;
    const mu_node *relu = mu_fusion_next(f, add ? add->out[0] : node->out[0], &mu_op_relu);
    if (!relu || !read_later(f, node, relu))
        return MU_OK;
    const mu_node *group[3] = {node, add, relu};
    mu_batch_norm_attrs attrs;
    mu_value in[6];
    int n_in = forward_call(f, group, &attrs, in);
    if (!mu_fusion_possible(f, node->op, &attrs, in, n_in))
        return MU_OK;
    return mu_fusion_claim(f, &mu_fusion_batch_norm, group, 3, relu);
}

static void emit_forward(mu_fusion *f, const mu_fusion_group *group)
{
    mu_batch_norm_attrs attrs;
    mu_value in[6], out[MU_OP_MAX_OUT];
    const mu_node *norm = group->node[NORM];
    int n_in = forward_call(f, group->node, &attrs, in);
    mu_fusion_apply(f, norm, norm->op, &attrs, in, n_in, out);
    mu_rewriter_set(&f->rw, group->node[RELU]->out[0], out[0]);
    for (int o = 1; o < norm->n_out; o++)
        mu_rewriter_set(&f->rw, norm->out[o], out[o]);
}

const mu_fusion_rule mu_fusion_batch_norm = {.name = "batch_norm", .match = match_forward, .emit = emit_forward};

/* batch_norm_grad(dz, x, gamma, mean, rstd) with dz = relu_grad(dy, y) becomes batch_norm_grad(dy, x, gamma, mean, rstd, y). */
static void backward_call(const mu_fusion *f, const mu_node *const *group, mu_batch_norm_attrs *attrs, mu_value in[6])
{
    const mu_node *mask = group[RELU_GRAD], *grad = group[NORM_GRAD];
    mu_value dz = mask->out[0];
    *attrs = *(const mu_batch_norm_attrs *)grad->attrs;
    attrs->relu = true;
    attrs->residual = f->rw.external[dz.id] || mu_rewriter_n_users(&f->rw, dz) > 1;
    memcpy(in, grad->in, 5 * sizeof *in);
    in[0] = mask->in[0];
    in[5] = mask->in[1];
}

/* The gradient node of this batch norm among the users of dz. */
static const mu_node *find_norm_grad(const mu_fusion *f, mu_value dz, const mu_node *norm)
{
    for (int32_t u = f->rw.user_start[dz.id]; u < f->rw.user_start[dz.id + 1]; u++) {
        const mu_node *user = mu_graph_node(f->rw.from, f->rw.users[u]);
        if (user->op == gradient_of(norm->op) && !f->owner[user->id] && user->in[0].id == dz.id &&
            user->in[3].id == norm->out[1].id && !((const mu_batch_norm_attrs *)user->attrs)->relu)
            return user;
    }
    return NULL;
}

static mu_err match_backward(mu_fusion *f, const mu_node *node)
{
    const mu_node *relu = node->op == &mu_op_relu_grad ? mu_producer(f->rw.from, node->in[1]) : NULL;
    const mu_fusion_group *forward = relu ? mu_fusion_group_of(f, relu) : NULL;
    if (!forward || forward->rule != &mu_fusion_batch_norm || forward->node[RELU] != relu)
        return MU_OK;
    const mu_node *group[2] = {node, find_norm_grad(f, node->out[0], forward->node[NORM])};
    mu_batch_norm_attrs attrs;
    mu_value in[6];
    if (!group[NORM_GRAD])
        return MU_OK;
    backward_call(f, group, &attrs, in);
    for (int i = 1; i < 5; i++) { /* all of them are forward values: there before the mask is applied */
        const mu_node *producer = mu_producer(f->rw.from, in[i]);
        if (producer && producer->id > node->id)
            return MU_OK;
    }
    if (!mu_fusion_possible(f, group[NORM_GRAD]->op, &attrs, in, 6))
        return MU_OK;
    return mu_fusion_claim(f, &mu_fusion_batch_norm_gradient, group, 2, node);
}

static void emit_backward(mu_fusion *f, const mu_fusion_group *group)
{
    mu_batch_norm_attrs attrs;
    mu_value in[6], out[MU_OP_MAX_OUT];
    const mu_node *mask = group->node[RELU_GRAD], *grad = group->node[NORM_GRAD];
    backward_call(f, group->node, &attrs, in);
    mu_fusion_apply(f, grad, grad->op, &attrs, in, 6, out);
    for (int o = 0; o < 3; o++)
        mu_rewriter_set(&f->rw, grad->out[o], out[o]);
    mu_rewriter_set(&f->rw, mask->out[0], out[3]);
}

const mu_fusion_rule mu_fusion_batch_norm_gradient = {.name = "batch_norm_gradient", .match = match_backward,
                                                      .emit = emit_backward};

/* Evaluation, where there is no convolution to fold into: relu(batch_norm_inference(x)). */
static mu_err match_inference(mu_fusion *f, const mu_node *node)
{
    if (node->op != &mu_op_batch_norm_inference || ((const mu_batch_norm_attrs *)node->attrs)->relu)
        return MU_OK;
    const mu_node *relu = mu_fusion_next(f, node->out[0], &mu_op_relu);
    mu_batch_norm_attrs attrs = *(const mu_batch_norm_attrs *)node->attrs;
    attrs.relu = true;
    if (!relu || !mu_fusion_possible(f, node->op, &attrs, node->in, node->n_in))
        return MU_OK;
    return mu_fusion_claim(f, &mu_fusion_batch_norm_inference, (const mu_node *[]){node, relu}, 2, relu);
}

static void emit_inference(mu_fusion *f, const mu_fusion_group *group)
{
    const mu_node *norm = group->node[0];
    mu_batch_norm_attrs attrs = *(const mu_batch_norm_attrs *)norm->attrs;
    mu_value out[MU_OP_MAX_OUT];
    attrs.relu = true;
    mu_fusion_apply(f, norm, norm->op, &attrs, norm->in, norm->n_in, out);
    mu_rewriter_set(&f->rw, group->at->out[0], out[0]);
}

const mu_fusion_rule mu_fusion_batch_norm_inference = {.name = "batch_norm_inference", .match = match_inference,
                                                       .emit = emit_inference};
