#include "backend/ref/ref.h"

#include "backend/ref/index.h"

/* A loss of one element and its slope at x: t is the target, w and pos the weights. */
typedef double point_fn(const mu_loss_attrs *a, double x, double t, double w, double pos);

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

/* log(1 + e^x) */
static double softplus(double x)
{
    return fmax(x, 0) + log1p(exp(-fabs(x)));
}

static double sign(double x)
{
    return x > 0 ? 1 : x < 0 ? -1 : x;
}

static double mse_loss(const mu_loss_attrs *a, double x, double t, double w, double pos)
{
    (void)a, (void)w, (void)pos;
    return (x - t) * (x - t);
}

static double mse_loss_grad(const mu_loss_attrs *a, double x, double t, double w, double pos)
{
    (void)a, (void)w, (void)pos;
    return 2 * (x - t);
}

static double l1_loss(const mu_loss_attrs *a, double x, double t, double w, double pos)
{
    (void)a, (void)w, (void)pos;
    return fabs(x - t);
}

static double l1_loss_grad(const mu_loss_attrs *a, double x, double t, double w, double pos)
{
    (void)a, (void)w, (void)pos;
    return sign(x - t);
}

static double smooth_l1_loss(const mu_loss_attrs *a, double x, double t, double w, double pos)
{
    (void)w, (void)pos;
    double d = fabs(x - t);
    return d < a->beta ? d * d / (2 * a->beta) : d - a->beta / 2;
}

static double smooth_l1_loss_grad(const mu_loss_attrs *a, double x, double t, double w, double pos)
{
    (void)w, (void)pos;
    return fabs(x - t) < a->beta ? (x - t) / a->beta : sign(x - t);
}

static double kl_div(const mu_loss_attrs *a, double x, double t, double w, double pos)
{
    (void)w, (void)pos;
    if (a->log_target)
        return exp(t) * (t - x);
    return (t == 0 ? 0 : t * log(t)) - t * x;
}

static double kl_div_grad(const mu_loss_attrs *a, double x, double t, double w, double pos)
{
    (void)x, (void)w, (void)pos;
    return a->log_target ? -exp(t) : -t;
}

static double bce_with_logits(const mu_loss_attrs *a, double x, double t, double w, double pos)
{
    (void)a;
    return w * ((1 - t) * x + (1 + (pos - 1) * t) * softplus(-x));
}

static double bce_with_logits_grad(const mu_loss_attrs *a, double x, double t, double w, double pos)
{
    (void)a;
    return w * (1 - t - (1 + (pos - 1) * t) * sigmoid(-x));
}

/* 1 - p_t, without cancellation. */
static double focal_miss(double x, double t)
{
    return t * sigmoid(-x) + (1 - t) * sigmoid(x);
}

static double focal_balance(const mu_loss_attrs *a, double t)
{
    return a->alpha < 0 ? 1 : a->alpha * t + (1 - a->alpha) * (1 - t);
}

static double focal_loss(const mu_loss_attrs *a, double x, double t, double w, double pos)
{
    (void)w, (void)pos;
    return focal_balance(a, t) * pow(focal_miss(x, t), a->gamma) * bce_with_logits(a, x, t, 1, 1);
}

static double focal_loss_grad(const mu_loss_attrs *a, double x, double t, double w, double pos)
{
    (void)w, (void)pos;
    double miss = focal_miss(x, t), slope = bce_with_logits_grad(a, x, t, 1, 1) * pow(miss, a->gamma);
    if (a->gamma > 0 && miss > 0) {
        double miss_slope = (1 - 2 * t) * sigmoid(x) * sigmoid(-x);
        slope += bce_with_logits(a, x, t, 1, 1) * a->gamma * pow(miss, a->gamma - 1) * miss_slope;
    }
    return focal_balance(a, t) * slope;
}

/* Calls point for element i of the operands (x, target, weight?, pos_weight?) of the types given. */
typedef struct {
    const mu_type *type;
    void *const *in;
    int n_in;
    int64_t stride[2][MU_MAX_NDIM]; /* of the weights, seen as x */
    point_fn *point;
    const mu_loss_attrs *a;
} elements;

static elements elements_of(const mu_call *call, int first, void *const *in, point_fn *point)
{
    elements e = {
        .type = call->in + first, .in = in + first, .n_in = call->n_in - first, .point = point, .a = call->attrs};
    for (int k = 2; k < e.n_in; k++)
        ref_broadcast_strides(&e.type[k], e.type, e.stride[k - 2]);
    return e;
}

static double weight(const elements *e, int k, int64_t i)
{
    if (k >= e->n_in || !e->in[k])
        return 1;
    return ((const real *)e->in[k])[ref_offset(e->type, i, e->stride[k - 2])];
}

static double at(const elements *e, int64_t i)
{
    return e->point(e->a, ((const real *)e->in[0])[i], ((const real *)e->in[1])[i], weight(e, 2, i), weight(e, 3, i));
}

static mu_err value(const mu_call *call, void *const *in, real *loss, point_fn *point)
{
    elements e = elements_of(call, 0, in, point);
    int64_t n = mu_type_count(e.type);
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        if (e.a->reduction == MU_REDUCE_NONE)
            loss[i] = (real)at(&e, i);
        else
            sum += at(&e, i);
    if (e.a->reduction != MU_REDUCE_NONE)
        loss[0] = (real)(e.a->reduction == MU_REDUCE_MEAN ? sum / (double)n : sum);
    return MU_OK;
}

static mu_err gradient(const mu_call *call, void *const *in, real *dx, point_fn *point)
{
    elements e = elements_of(call, 1, in, point);
    const real *dloss = in[0];
    int64_t n = mu_type_count(e.type);
    double share = e.a->reduction == MU_REDUCE_MEAN ? 1 / (double)n : 1;
    for (int64_t i = 0; i < n; i++)
        dx[i] = (real)(at(&e, i) * dloss[e.a->reduction == MU_REDUCE_NONE ? i : 0] * share);
    return MU_OK;
}

#define KERNEL(name, what)                                                                                             \
    mu_err REF(name)(const mu_call *call, void *const *in, void *const *out, const mu_run *run)                        \
    {                                                                                                                  \
        (void)run;                                                                                                     \
        return what(call, in, out[0], name);                                                                           \
    }
#define LOSS(name) KERNEL(name, value) KERNEL(name##_grad, gradient)

LOSS(bce_with_logits)
LOSS(focal_loss)
LOSS(kl_div)
LOSS(l1_loss)
LOSS(mse_loss)
LOSS(smooth_l1_loss)
