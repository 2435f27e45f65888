#include "optim/optim.h"

typedef struct {
    mu_optim base;
    double lr, momentum, dampening, weight_decay;
    bool nesterov, maximize;
} sgd;

static const mu_option options[] = {
    MU_OPTION(sgd, lr, MU_OPT_FLOAT, .float_default = 1e-3, .bounded_below = true, .help = "learning rate"),
    MU_OPTION(sgd, momentum, MU_OPT_FLOAT, .bounded_below = true, .help = "share of the last update that is kept"),
    MU_OPTION(sgd, dampening, MU_OPT_FLOAT, .help = "share of the gradient that momentum leaves out"),
    MU_OPTION(sgd, weight_decay, MU_OPT_FLOAT, .bounded_below = true, .help = "L2 penalty"),
    MU_OPTION(sgd, nesterov, MU_OPT_BOOL, .help = "Nesterov's form of momentum"),
    MU_OPTION(sgd, maximize, MU_OPT_BOOL, .help = "climb instead of descend"),
    MU_OPTION_END,
};

static mu_err create(void *object, const mu_cfg *cfg)
{
    (void)cfg;
    const sgd *self = object;
    if (self->nesterov && (self->momentum == 0 || self->dampening != 0))
        return MU_FAIL(MU_ERR_CONFIG, "nesterov needs momentum above 0 and dampening 0, got momentum %g and dampening %g",
                       self->momentum, self->dampening);
    return MU_OK;
}

static mu_optim_group group(const mu_optim *optim)
{
    const sgd *self = (const sgd *)optim;
    return (mu_optim_group){.lr = self->lr, .weight_decay = self->weight_decay, .momentum = self->momentum,
                            .dampening = self->dampening};
}

static int n_states(const mu_optim *optim, const mu_optim_group *g)
{
    (void)optim;
    return g->momentum != 0;
}

static mu_update_attrs attrs(const mu_optim *optim, const mu_optim_group *g)
{
    const sgd *self = (const sgd *)optim;
    return (mu_update_attrs){.nesterov = self->nesterov && n_states(optim, g) > 0, .maximize = self->maximize};
}

static void numbers(const mu_optim_group *g, double s[MU_UPDATE_SCALARS])
{
    s[MU_UPDATE_LR] = g->lr;
    s[MU_UPDATE_WEIGHT_DECAY] = g->weight_decay;
    s[MU_UPDATE_BETA1] = g->momentum;
    s[MU_UPDATE_BETA2] = g->dampening;
}

static const mu_optim_ops ops = {
    .op = &mu_op_sgd,
    .state_names = (const char *const[]){"momentum_buffer", NULL},
    .group = group,
    .n_states = n_states,
    .attrs = attrs,
    .numbers = numbers,
};

const mu_component mu_component_sgd = {
    .kind = "optimizer",
    .name = "SGD",
    .doc = "Stochastic gradient descent with momentum (Sutskever et al. 2013), PyTorch's arithmetic.",
    .size = sizeof(sgd),
    .options = options,
    .create = create,
    .destroy = mu_optim_destroy,
    .ops = &ops,
};
