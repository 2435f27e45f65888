#include "optim/optim.h"

typedef struct {
    mu_optim base;
    double lr, eps, weight_decay;
    mu_floats betas;
    bool amsgrad, maximize;
} adam;

#define OPTIONS(decay)                                                                                                \
    MU_OPTION(adam, lr, MU_OPT_FLOAT, .float_default = 1e-3, .bounded_below = true, .help = "learning rate"),          \
    MU_OPTION(adam, betas, MU_OPT_FLOATS, .text_default = "[0.9, 0.999]", .bounded_below = true,                       \
              .bounded_above = true, .max = 1, .min_items = 2, .max_items = 2,                                         \
              .help = "decay of the averages of the gradient and of its square, below 1"),                             \
    MU_OPTION(adam, eps, MU_OPT_FLOAT, .float_default = 1e-8, .bounded_below = true, .above_min = true,                \
              .help = "added to the denominator"),                                                                    \
    MU_OPTION(adam, weight_decay, MU_OPT_FLOAT, .float_default = decay, .bounded_below = true, .help = "how strongly parameters decay"), \
    MU_OPTION(adam, amsgrad, MU_OPT_BOOL, .help = "keep the largest average of squares (Reddi et al. 2018)"),          \
    MU_OPTION(adam, maximize, MU_OPT_BOOL, .help = "climb instead of descend"), MU_OPTION_END

static const mu_option adam_options[] = {OPTIONS(0)};
static const mu_option adamw_options[] = {OPTIONS(1e-2)};

static mu_err create(void *object, const mu_cfg *cfg)
{
    (void)cfg;
    const adam *self = object;
    for (size_t i = 0; i < self->betas.n; i++)
        if (self->betas.v[i] >= 1)
            return MU_FAIL(MU_ERR_CONFIG, "betas are below 1, got %g", self->betas.v[i]);
    return MU_OK;
}

static mu_optim_group group(const mu_optim *optim)
{
    const adam *self = (const adam *)optim;
    bool given = self->betas.n == 2;
    return (mu_optim_group){.lr = self->lr, .weight_decay = self->weight_decay, .eps = self->eps,
                            .beta1 = given ? self->betas.v[0] : 0.9, .beta2 = given ? self->betas.v[1] : 0.999};
}

static int n_states(const mu_optim *optim, const mu_optim_group *g)
{
    (void)g;
    return ((const adam *)optim)->amsgrad ? 3 : 2;
}

static mu_update_attrs adam_attrs(const mu_optim *optim, const mu_optim_group *g)
{
    (void)g;
    return (mu_update_attrs){.maximize = ((const adam *)optim)->maximize};
}

static mu_update_attrs adamw_attrs(const mu_optim *optim, const mu_optim_group *g)
{
    mu_update_attrs attrs = adam_attrs(optim, g);
    attrs.decoupled = true;
    return attrs;
}

static void numbers(const mu_optim_group *g, double s[MU_UPDATE_SCALARS])
{
    s[MU_UPDATE_LR] = g->lr;
    s[MU_UPDATE_WEIGHT_DECAY] = g->weight_decay;
    s[MU_UPDATE_BETA1] = g->beta1;
    s[MU_UPDATE_BETA2] = g->beta2;
    s[MU_UPDATE_EPS] = g->eps;
    s[MU_UPDATE_CORRECTION1] = s[MU_UPDATE_CORRECTION2] = 1;
}

static const char *const state_names[] = {"exp_avg", "exp_avg_sq", "max_exp_avg_sq", NULL};

static const mu_optim_ops adam_ops = {.op = &mu_op_adam, .state_names = state_names, .group = group,
                                      .n_states = n_states, .attrs = adam_attrs, .numbers = numbers};
static const mu_optim_ops adamw_ops = {.op = &mu_op_adam, .state_names = state_names, .group = group,
                                       .n_states = n_states, .attrs = adamw_attrs, .numbers = numbers};

const mu_component mu_component_adam = {
    .kind = "optimizer",
    .name = "Adam",
    .doc = "Adam (Kingma and Ba 2015); weight_decay is added to the gradient. PyTorch's arithmetic.",
    .size = sizeof(adam),
    .options = adam_options,
    .create = create,
    .destroy = mu_optim_destroy,
    .ops = &adam_ops,
};

const mu_component mu_component_adamw = {
    .kind = "optimizer",
    .name = "AdamW",
    .doc = "Adam with weight decay apart from the gradient (Loshchilov and Hutter 2019). PyTorch's arithmetic.",
    .size = sizeof(adam),
    .options = adamw_options,
    .create = create,
    .destroy = mu_optim_destroy,
    .ops = &adamw_ops,
};
