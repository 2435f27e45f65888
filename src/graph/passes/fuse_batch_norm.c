/* Training: relu(batch_norm(x) [+ residual]) is one node, which needs no memory for what lies between; its gradient takes the
 * mask from the output and gives the gradient of the residual as well. */
#include "graph/passes/fusion.h"

enum { NORM, ADD, RELU };                 /* members forward */
enum { RELU_GRAD, NORM_GRAD, GRAD_ADD }; /* members backward */

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
    if (!relu || !read_later(f, node, relu) || !mu_fusion_may_wait(f, node, relu))
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

/* batch_norm_grad(dz, x, gamma, mean, rstd) with dz = relu_grad(dy, y) becomes batch_norm_grad(dy, x, gamma, mean, rstd, y).
 * Where dy, or dz without a ReLU, is a sum that nothing reads before, its two parts are operands. Returns how many. */
static int backward_call(const mu_fusion *f, const mu_node *const *group, mu_batch_norm_attrs *attrs, mu_value in[7])
{
    const mu_node *mask = group[RELU_GRAD], *grad = group[NORM_GRAD], *add = group[GRAD_ADD];
    mu_value dz = grad->in[0];
    *attrs = *(const mu_batch_norm_attrs *)grad->attrs;
    attrs->relu = mask;
    attrs->residual = f->rw.external[dz.id] || mu_rewriter_n_users(&f->rw, dz) > 1;
    memcpy(in, grad->in, 5 * sizeof *in);
    in[5] = mask ? mask->in[1] : MU_NO_VALUE;
    if (mask)
        in[0] = mask->in[0];
    if (!add)
        return 6;
    in[0] = add->in[0];
    in[6] = add->in[1];
    return 7;
}

/* The sum that is an output gradient, where its reader is to take the two parts: not one that ends a chain of element-wise
 * operations, which saves as much. */
static const mu_node *find_sum(const mu_fusion *f, mu_value dy)
{
    const mu_graph *g = f->rw.from;
    const mu_node *add = mu_producer(g, dy);
    if (!add || add->op != &mu_op_add || f->owner[add->id])
        return NULL;
    for (int i = 0; i < 2; i++) {
        const mu_node *part = mu_producer(g, add->in[i]);
        bool chained = part && !f->owner[part->id] && (part->op->flags & MU_OP_ELEMENTWISE) &&
                       mu_rewriter_only_user(&f->rw, add->in[i]);
        if (chained || !mu_type_equal(mu_graph_type(g, add->in[i]), mu_graph_type(g, dy)))
            return NULL;
    }
    return add;
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

/* With the two parts of a sum where it can be, else without. */
static mu_err claim_backward(mu_fusion *f, const mu_node *mask, const mu_node *grad, const mu_node *sum,
                             const mu_node *at)
{
    for (; sum || mask; sum = NULL) {
        const mu_node *group[] = {[RELU_GRAD] = mask, [NORM_GRAD] = grad, [GRAD_ADD] = sum};
        mu_batch_norm_attrs attrs;
        mu_value in[7];
        int n_in = backward_call(f, group, &attrs, in);
        if (mu_fusion_possible(f, grad->op, &attrs, in, n_in))
            return mu_fusion_claim(f, &mu_fusion_batch_norm_gradient, group, 3, at);
        if (!sum)
            break;
    }
    return MU_OK;
}

/* With a ReLU the group stands in the place of its mask. */
static mu_err match_masked(mu_fusion *f, const mu_node *mask)
{
    const mu_node *relu = mu_producer(f->rw.from, mask->in[1]);
    const mu_fusion_group *forward = relu ? mu_fusion_group_of(f, relu) : NULL;
    if (!forward || forward->rule != &mu_fusion_batch_norm || forward->node[RELU] != relu)
        return MU_OK;
    const mu_node *grad = find_norm_grad(f, mask->out[0], forward->node[NORM]);
    if (!grad)
        return MU_OK;
    for (int i = 1; i < 5; i++) { /* all of them are forward values: there before the mask is applied */
        const mu_node *producer = mu_producer(f->rw.from, grad->in[i]);
        if (producer && producer->id > mask->id)
            return MU_OK;
    }
    const mu_node *sum = mu_rewriter_only_user(&f->rw, mask->in[0]) ? find_sum(f, mask->in[0]) : NULL;
    return claim_backward(f, mask, grad, sum, mask);
}

/* Without one nothing else may read the sum before the norm, which becomes a result of it. */
static mu_err match_plain(mu_fusion *f, const mu_node *grad)
{
    const mu_rewriter *rw = &f->rw;
    mu_value dz = grad->in[0];
    if (((const mu_batch_norm_attrs *)grad->attrs)->relu || grad->n_in != 5)
        return MU_OK;
    for (int32_t u = rw->user_start[dz.id]; u < rw->user_start[dz.id + 1]; u++)
        if (rw->users[u] != grad->id && mu_fusion_place(f, rw->users[u]) < grad->id)
            return MU_OK;
    return claim_backward(f, NULL, grad, find_sum(f, dz), grad);
}

static mu_err match_backward(mu_fusion *f, const mu_node *node)
{
    if (node->op == &mu_op_relu_grad)
        return match_masked(f, node);
    if (node->op == &mu_op_batch_norm_grad || node->op == &mu_op_sync_batch_norm_grad)
        return match_plain(f, node);
    return MU_OK;
}

static void emit_backward(mu_fusion *f, const mu_fusion_group *group)
{
    mu_batch_norm_attrs attrs;
    mu_value in[7], out[MU_OP_MAX_OUT];
    const mu_node *grad = group->node[NORM_GRAD];
    int n_in = backward_call(f, group->node, &attrs, in);
    mu_fusion_apply(f, grad, grad->op, &attrs, in, n_in, out);
    for (int o = 0; o < 3; o++)
        mu_rewriter_set(&f->rw, grad->out[o], out[o]);
    mu_rewriter_set(&f->rw, grad->in[0], out[3]);
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
    if (!relu || !mu_fusion_may_wait(f, node, relu) || !mu_fusion_possible(f, node->op, &attrs, node->in, node->n_in))
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
