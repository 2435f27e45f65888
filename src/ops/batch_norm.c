#include "dist/comm.h"
#include "ops/operand.h"

#define OWN_ATTRS                                                                                                        \
    MU_ATTR_REAL(mu_batch_norm_attrs, eps), MU_ATTR_REAL(mu_batch_norm_attrs, momentum),                                 \
        MU_ATTR_FLAG(mu_batch_norm_attrs, relu), MU_ATTR_FLAG(mu_batch_norm_attrs, residual)
static const mu_attr attr_table[] = {OWN_ATTRS, MU_ATTR_END};
static const mu_attr sync_attr_table[] = {OWN_ATTRS, MU_ATTR_POINTER(mu_batch_norm_attrs, comm), MU_ATTR_END};

enum { X, GAMMA, BETA, RUNNING_MEAN, RUNNING_VAR, RESIDUAL };
enum { GRAD_DY, GRAD_X, GRAD_GAMMA, GRAD_MEAN, GRAD_RSTD, GRAD_Y, GRAD_DY2 };

static mu_type channels_of(const mu_type *x)
{
    return MU_TYPE(mu_stat_dtype(x->dtype), x->dim[1]);
}

static mu_err check_eps(double eps)
{
    return eps >= 0 ? MU_OK : MU_FAIL(MU_ERR_SHAPE, "eps is not negative, got %g", eps);
}

static mu_err infer(const mu_call *call, mu_type *out)
{
    static const char *const what[] = {"input", "weight (gamma)", "bias (beta)", "running mean", "running variance", "residual"};
    const mu_batch_norm_attrs *a = call->attrs;
    const mu_type *x = &call->in[X];
    char text[MU_TYPE_TEXT];
    MU_TRY(check_eps(a->eps));
    MU_TRY(mu_operand_float(x, what[X], 2, MU_MAX_NDIM));
    mu_type c = channels_of(x);
    for (int i = GAMMA; i <= RUNNING_VAR; i++)
        if (mu_operand_matches(call, i, what[i], &c) != MU_OK)
            return mu_error_hint("num_features of this layer must be the %lld channels of its input %s",
                                 (long long)x->dim[1], mu_type_format(x, text));
    MU_TRY(mu_operand_matches(call, RESIDUAL, what[RESIDUAL], x));
    bool others = a->comm && a->comm->size > 1; /* they may have more: the kernel looks */
    if (x->dim[1] > 0 && mu_type_count(x) == x->dim[1] && !others) {
        MU_FAIL(MU_ERR_SHAPE, "training needs more than one value per channel, input is %s", mu_type_format(x, text));
        return mu_error_hint("use a larger batch (drop_last), larger images, or evaluation mode for this layer");
    }
    out[0] = *x;
    out[1] = out[2] = out[3] = out[4] = c;
    return MU_OK;
}

static void gradient(mu_grad *grad)
{
    mu_batch_norm_attrs a = *(const mu_batch_norm_attrs *)grad->node->attrs;
    bool residual = grad->node->n_in > RESIDUAL && grad->need[RESIDUAL];
    mu_value dy = grad->dout[0], out[4];
    if (dy.id == 0)
        return;
    a.residual = residual && a.relu;
    mu_value in[] = {dy, mu_grad_in(grad, X), mu_grad_in(grad, GAMMA), mu_grad_out(grad, 1), mu_grad_out(grad, 2),
                     mu_grad_out(grad, 0)};
    bool sync = grad->node->op == &mu_op_sync_batch_norm;
    mu_graph_apply(grad->graph, sync ? &mu_op_sync_batch_norm_grad : &mu_op_batch_norm_grad, &a, in, a.relu ? 6 : 5, out);
    for (int i = 0; i < 3; i++)
        if (grad->need[i])
            grad->din[i] = out[i];
    if (residual)
        grad->din[RESIDUAL] = a.relu ? out[3] : dy;
}

static int64_t flops(const mu_call *call)
{
    return mu_cost_per_element(&call->in[X], 7);
}

const mu_op mu_op_batch_norm = {
    .name = "batch_norm",
    .doc = "Batch normalisation with the statistics of the batch (Ioffe and Szegedy 2015). x [N,C,...], gamma, beta, running "
           "mean and variance [C], residual like x or none -> y = (x - mean) * rstd * gamma + beta (+ residual, then ReLU), "
           "mean, rstd, and the updated running statistics (unbiased variance). Parameters of half types are f32.",
    .n_in_min = 5, .n_in_max = 6, .n_out = 5,
    .attrs_size = sizeof(mu_batch_norm_attrs), .attrs = attr_table,
    .updates = {0, 0, 0, RUNNING_MEAN + 1, RUNNING_VAR + 1},
    .infer = infer, .gradient = gradient, .flops = flops,
};

const mu_op mu_op_sync_batch_norm = {
    .name = "sync_batch_norm",
    .doc = "batch_norm with the statistics of the batches of all ranks together, which may differ in size (moments joined as Chan, "
           "Golub and LeVeque 1983). Operands and outputs as batch_norm.",
    .n_in_min = 5, .n_in_max = 6, .n_out = 5, .flags = MU_OP_COLLECTIVE,
    .attrs_size = sizeof(mu_batch_norm_attrs), .attrs = sync_attr_table,
    .updates = {0, 0, 0, RUNNING_MEAN + 1, RUNNING_VAR + 1},
    .infer = infer, .gradient = gradient, .flops = flops,
};

static mu_err grad_infer(const mu_call *call, mu_type *out)
{
    const mu_batch_norm_attrs *a = call->attrs;
    const mu_type *x = &call->in[GRAD_X];
    MU_TRY(mu_operand_float(x, "input", 2, MU_MAX_NDIM));
    MU_TRY(mu_operand_matches(call, GRAD_DY, "output gradient", x));
    mu_type c = channels_of(x);
    for (int i = GRAD_GAMMA; i <= GRAD_RSTD; i++)
        MU_TRY(mu_operand_matches(call, i, "weight, mean and 1/deviation", &c));
    if (a->relu)
        MU_TRY(mu_operand_required(call, GRAD_Y, "output"));
    MU_TRY(mu_operand_matches(call, GRAD_Y, "output", x));
    MU_TRY(mu_operand_matches(call, GRAD_DY2, "second output gradient", x));
    out[0] = *x;
    out[1] = out[2] = c;
    if (a->residual)
        out[3] = *x;
    return MU_OK;
}

static int64_t grad_flops(const mu_call *call)
{
    return mu_cost_per_element(&call->in[GRAD_X], mu_operand(call, GRAD_DY2) ? 12 : 11);
}

const mu_op mu_op_batch_norm_grad = {
    .name = "batch_norm_grad",
    .doc = "The gradient of batch_norm; (dy, x, gamma, mean, rstd, y when relu, dy2 or none) -> dx, dgamma, dbeta, dresidual when "
           "wanted. dy2 is added to dy first, rounded to its dtype as by add; with relu the sum is masked by y > 0; it is dresidual.",
    .n_in_min = 5, .n_in_max = 7, .n_out = 4,
    .attrs_size = sizeof(mu_batch_norm_attrs), .attrs = attr_table, .inplace = {GRAD_DY + 1, 0, 0, GRAD_DY2 + 1},
    .infer = grad_infer, .flops = grad_flops,
};

const mu_op mu_op_sync_batch_norm_grad = {
    .name = "sync_batch_norm_grad",
    .doc = "The gradient of sync_batch_norm; operands and outputs as batch_norm_grad. dx follows from the sums of all ranks; dgamma and "
           "dbeta are the sums of this one.",
    .n_in_min = 5, .n_in_max = 7, .n_out = 4, .flags = MU_OP_COLLECTIVE,
    .attrs_size = sizeof(mu_batch_norm_attrs), .attrs = sync_attr_table, .inplace = {GRAD_DY + 1, 0, 0, GRAD_DY2 + 1},
    .infer = grad_infer, .flops = grad_flops,
};

mu_value mu_batch_norm(mu_graph *g, mu_value x, mu_value gamma, mu_value beta, mu_value running_mean, mu_value running_var,
                       double eps, double momentum)
{
    mu_batch_norm_attrs a = {.eps = eps, .momentum = momentum};
    return mu_graph_apply1(g, &mu_op_batch_norm, &a, (mu_value[]){x, gamma, beta, running_mean, running_var}, 5);
}

mu_value mu_sync_batch_norm(mu_graph *g, mu_value x, mu_value gamma, mu_value beta, mu_value running_mean, mu_value running_var,
                            double eps, double momentum, mu_comm *comm)
{
    mu_batch_norm_attrs a = {.eps = eps, .momentum = momentum, .comm = comm};
    return mu_graph_apply1(g, &mu_op_sync_batch_norm, &a, (mu_value[]){x, gamma, beta, running_mean, running_var}, 5);
}
