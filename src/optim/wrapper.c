#include "optim/wrapper.h"

#include "core/log.h"
#include "core/mem.h"
#include "graph/autodiff.h"
#include "optim/paramwise.h"

#include <math.h>

typedef struct mu_optim_wrapper_state {
    double max_norm, clip_value; /* 0: not clipped */
    mu_paramwise *paramwise;     /* may be NULL */
    int64_t done, max;           /* batches */

    /* From here on, since bind. */
    mu_params *params;     /* borrowed from the optimizer's binding; NULL: not bound */
    mu_parallel *parallel; /* borrowed */
    int *group_of;         /* [n] by index into traits */
} state;

typedef struct {
    mu_optim_wrapper base;
    int dtype; /* index into amp_dtypes */
    const mu_cfg *loss_scale;
    mu_pos dtype_pos;
    mu_loss_scaling scaling; /* init_scale 0: none */
} amp;

typedef struct {
    double max_norm, norm_type, clip_value;
} clip;

static const mu_option clip_keys[] = {
    MU_OPTION(clip, max_norm, MU_OPT_FLOAT, .bounded_below = true, .above_min = true, .text_default = "null",
              .help = "of all gradients together"),
    MU_OPTION(clip, norm_type, MU_OPT_FLOAT, .float_default = 2, .bounded_below = true, .min = 2, .bounded_above = true,
              .max = 2, .help = "order of the norm: 2 is the only one"),
    MU_OPTION(clip, clip_value, MU_OPT_FLOAT, .bounded_below = true, .above_min = true, .text_default = "null",
              .help = "of each element, with type: value"),
    MU_OPTION_END,
};

#define KEYS                                                                                                            \
    {.key = "optimizer", .type = MU_OPT_COMPONENT, .offset = offsetof(mu_optim_wrapper, optimizer_cfg), .required = true, \
     .component_kind = "optimizer", .help = "updates the parameters"},                                                  \
    MU_OPTION(mu_optim_wrapper, accumulative_counts, MU_OPT_INT, .int_default = 1, .bounded_below = true, .min = 1,      \
              .unit = "batches", .help = "gradients that are averaged for an update"),                              \
    MU_OPTION(mu_optim_wrapper, clip_grad, MU_OPT_DICT, .nullable = true, .fields = clip_keys,                           \
              .help = "bounds the gradients: type norm (the default) with max_norm, or type value with clip_value"),    \
    MU_OPTION(mu_optim_wrapper, paramwise_cfg, MU_OPT_DICT, .nullable = true, .fields = mu_paramwise_keys,               \
              .help = "options of some parameters")

const mu_option mu_optim_wrapper_keys[] = {KEYS, MU_OPTION_END};

static const char *const amp_dtypes[] = {"bfloat16", "float16", NULL};
enum { AMP_FLOAT16 = 1 };

static const mu_option amp_keys[] = {
    KEYS,
    MU_OPTION(amp, dtype, MU_OPT_CHOICE, .choices = amp_dtypes, .help = "of matrix products and convolutions; float16 on GPUs only"),
    MU_OPTION(amp, loss_scale, MU_OPT_ANY, .nullable = true,
              .help = "what gradients are multiplied by on their way: dynamic (the default in float16), a number, or a dictionary with "
                      "init_scale, growth_factor, backoff_factor, growth_interval; null in bfloat16: not"),
    MU_OPTION_END,
};

/* torch.amp.GradScaler */
static const mu_option scaling_keys[] = {
    MU_OPTION(mu_loss_scaling, init_scale, MU_OPT_FLOAT, .float_default = 65536, .bounded_below = true, .above_min = true,
              .help = "that it begins with"),
    MU_OPTION(mu_loss_scaling, growth_factor, MU_OPT_FLOAT, .float_default = 2, .bounded_below = true, .above_min = true, .min = 1,
              .help = "by which it grows"),
    MU_OPTION(mu_loss_scaling, backoff_factor, MU_OPT_FLOAT, .float_default = 0.5, .bounded_below = true, .above_min = true,
              .bounded_above = true, .max = 1, .help = "by which it shrinks when gradients are not finite"),
    MU_OPTION(mu_loss_scaling, growth_interval, MU_OPT_INT, .int_default = 2000, .bounded_below = true, .min = 1, .unit = "steps",
              .help = "good steps after which it grows"),
    MU_OPTION_END,
};
static const mu_loss_scaling dynamic_scaling = {.init_scale = 65536, .growth_factor = 2, .backoff_factor = 0.5, .growth_interval = 2000};

static const amp *amp_of(const mu_optim_wrapper *wrapper)
{
    return mu_component_of(wrapper) == &mu_component_amp_optim_wrapper ? (const amp *)wrapper : NULL;
}

mu_dtype mu_optim_wrapper_autocast(const mu_optim_wrapper *wrapper)
{
    const amp *self = amp_of(wrapper);
    return !self ? MU_NONE : self->dtype == AMP_FLOAT16 ? MU_F16 : MU_BF16;
}

bool mu_optim_wrapper_scales(const mu_optim_wrapper *wrapper)
{
    const amp *self = amp_of(wrapper);
    return self && self->scaling.init_scale != 0;
}

mu_err mu_optim_wrapper_check_device(const mu_optim_wrapper *wrapper, const mu_backend *backend)
{
    if (mu_optim_wrapper_autocast(wrapper) != MU_F16 || !backend->host_memory)
        return MU_OK;
    MU_FAIL_AT(amp_of(wrapper)->dtype_pos, "dtype: float16 is not trained in on CPUs: small gradients vanish in it");
    return mu_error_hint("dtype: bfloat16 has the range of float32 and needs no loss scale");
}

mu_optim *mu_optim_wrapper_optim(const mu_optim_wrapper *wrapper)
{
    return wrapper->optim;
}

/* clip_grad's `type`, which option tables leave to components. */
static mu_err read_clip_type(const mu_cfg *cfg, bool *by_value)
{
    const mu_cfg *type = mu_cfg_get(cfg, "type");
    const char *name = type && mu_cfg_kind_of(type) == MU_CFG_STRING ? mu_cfg_string(type) : NULL;
    char found[128];
    *by_value = name && strcmp(name, "value") == 0;
    if (!type || *by_value || (name && strcmp(name, "norm") == 0))
        return MU_OK;
    mu_cfg_describe(type, found, sizeof found);
    return MU_FAIL_AT(mu_cfg_pos(type), "clip_grad.type: expected one of norm, value, found %s", found);
}

static mu_err read_clip(const mu_cfg *cfg, state *s)
{
    clip c = {0};
    mu_diagnostics list = {0};
    bool by_value;
    MU_TRY(read_clip_type(cfg, &by_value));
    mu_err err = mu_options_parse(clip_keys, cfg, "clip_grad", &c, &list);
    if (!err)
        err = mu_diagnostics_status(&list);
    mu_diagnostics_release(&list);
    MU_TRY(err);
    if (by_value ? c.max_norm > 0 || c.clip_value == 0 : c.clip_value > 0 || c.max_norm == 0)
        return MU_FAIL_AT(mu_cfg_pos(cfg), "clip_grad: type %s needs %s, and that alone", by_value ? "value" : "norm",
                          by_value ? "clip_value" : "max_norm");
    s->max_norm = c.max_norm;
    s->clip_value = c.clip_value;
    return MU_OK;
}

static void destroy(void *object);

static mu_err fill(mu_optim_wrapper *self)
{
    void *optim;
    MU_TRY(mu_calloc(&self->state, 1, sizeof *self->state));
    self->state->max = -1;
    MU_TRY(mu_build("optimizer", self->optimizer_cfg, NULL, "optimizer", &optim));
    self->optim = optim;
    if (self->clip_grad)
        MU_TRY(read_clip(self->clip_grad, self->state));
    if (self->paramwise_cfg)
        MU_TRY(mu_paramwise_new(self->paramwise_cfg, self->optim, &self->state->paramwise));
    return MU_OK;
}

static mu_err create(void *object, const mu_cfg *cfg)
{
    (void)cfg;
    mu_err err = fill(object);
    if (err)
        destroy(object);
    MU_TRY(err);
    return MU_OK;
}

static mu_err read_scaling(const mu_cfg *cfg, mu_loss_scaling *out)
{
    mu_cfg_kind kind = mu_cfg_kind_of(cfg);
    mu_diagnostics list = {0};
    char found[128];
    if (kind == MU_CFG_DICT) {
        mu_err err = mu_options_parse(scaling_keys, cfg, "loss_scale", out, &list);
        if (!err)
            err = mu_diagnostics_status(&list);
        mu_diagnostics_release(&list);
        return err;
    }
    *out = dynamic_scaling;
    if (kind == MU_CFG_STRING && strcmp(mu_cfg_string(cfg), "dynamic") == 0)
        return MU_OK;
    *out = (mu_loss_scaling){.init_scale = kind == MU_CFG_INT ? (double)mu_cfg_int(cfg) : kind == MU_CFG_FLOAT ? mu_cfg_float(cfg) : 0};
    if (out->init_scale > 0 && isfinite(out->init_scale))
        return MU_OK;
    mu_cfg_describe(cfg, found, sizeof found);
    return MU_FAIL_AT(mu_cfg_pos(cfg), "loss_scale: expected dynamic, a number above 0 or a dictionary, found %s", found);
}

static mu_err amp_create(void *object, const mu_cfg *cfg)
{
    amp *self = object;
    const mu_cfg *dtype = mu_cfg_get(cfg, "dtype");
    self->dtype_pos = mu_cfg_pos(dtype ? dtype : cfg);
    if (self->loss_scale && mu_cfg_kind_of(self->loss_scale) != MU_CFG_NULL)
        MU_TRY(read_scaling(self->loss_scale, &self->scaling));
    else if (self->dtype == AMP_FLOAT16)
        self->scaling = dynamic_scaling;
    MU_TRY(create(object, cfg));
    return MU_OK;
}

static void unbind(mu_optim_wrapper *self)
{
    state *s = self->state;
    if (!s->params)
        return;
    mu_optim_unbind(self->optim);
    mu_free(s->group_of);
    *s = (state){.max_norm = s->max_norm, .clip_value = s->clip_value, .paramwise = s->paramwise, .done = s->done, .max = s->max};
}

static void destroy(void *object)
{
    mu_optim_wrapper *self = object;
    if (self->state) {
        unbind(self);
        mu_paramwise_release(self->state->paramwise);
        mu_free(self->state);
    }
    mu_destroy(self->optim);
    self->state = NULL;
    self->optim = NULL;
}

/* The index of an equal group, appended when there is none. groups has room for one more. */
static int intern(mu_optim_group *groups, int *n, mu_optim_group g)
{
    for (int i = 0; i < *n; i++) {
        const mu_optim_group *o = &groups[i];
        if (o->lr == g.lr && o->weight_decay == g.weight_decay && o->momentum == g.momentum && o->dampening == g.dampening &&
            o->beta1 == g.beta1 && o->beta2 == g.beta2 && o->eps == g.eps)
            return i;
    }
    groups[*n] = g;
    return (*n)++;
}

/* A parameter that was put into a group already is skipped where that is allowed. */
static mu_err check_duplicate(const state *s, const char *name)
{
    if (s->paramwise && mu_paramwise_bypass_duplicate(s->paramwise)) {
        if (mu_parallel_comm(s->parallel)->rank == 0)
            MU_WARN("optim", "parameter \"%s\" is met again and skipped (bypass_duplicate)", name);
        return MU_OK;
    }
    MU_FAIL(MU_ERR_USAGE, "parameter \"%s\" is to be updated twice", name);
    return mu_error_hint("paramwise_cfg: {bypass_duplicate: true} skips what is shared");
}

/* Groups of the store's parameters, place[mu_params_count], by the rules of paramwise_cfg; groups[0] is the optimizer's own, unscaled. */
static mu_err assign(state *s, const mu_param_traits *traits, int n, double lr_scale, mu_optim_group *groups, int *n_groups,
                     int *place)
{
    mu_optim_group base = groups[0];
    groups[0].lr *= lr_scale;
    for (int i = 0; i < n; i++) {
        int at = mu_params_find(s->params, traits[i].name);
        s->group_of[i] = -1;
        if (at < 0)
            return MU_FAIL(MU_ERR_NOT_FOUND, "there is no parameter \"%s\" to be updated", traits[i].name);
        if (!mu_params_at(s->params, at)->trainable)
            continue;
        if (place[at] >= 0) {
            MU_TRY(check_duplicate(s, traits[i].name));
        } else {
            mu_optim_group g = s->paramwise ? mu_paramwise_group(s->paramwise, &traits[i], base) : base;
            g.lr *= lr_scale;
            place[at] = intern(groups, n_groups, g);
        }
        s->group_of[i] = place[at];
    }
    return MU_OK;
}

static void warn_unmatched(const state *s)
{
    const char *key;
    if (!s->paramwise || mu_parallel_comm(s->parallel)->rank != 0)
        return;
    for (size_t i = 0; (key = mu_paramwise_unmatched(s->paramwise, i)); i++)
        MU_WARN("optim", "paramwise_cfg.custom_keys: \"%s\" is part of no parameter's name", key);
}

/* The state that the model reads the loss scale from, or its part to which the wrapper's parameters belong; NULL: none. */
static const char *find_loss_scale(const state *s, const char *parameter)
{
    static const char head[] = MU_LOSS_SCALE ".";
    for (int i = 0; i < mu_params_count(s->params); i++) {
        const char *name = mu_params_at(s->params, i)->name;
        if (strcmp(name, MU_LOSS_SCALE) == 0)
            return name;
        if (strncmp(name, head, sizeof head - 1) == 0 && mu_name_is_under(parameter, name + sizeof head - 1))
            return name;
    }
    return NULL;
}

static mu_err bind_optim(mu_optim_wrapper *self, mu_backend *backend, const mu_param_traits *traits, int n, double lr_scale)
{
    state *s = self->state;
    mu_optim_group *groups = NULL;
    int n_groups = 1, *place = NULL, count = mu_params_count(s->params);
    mu_err err;
    MU_TRY_GOTO(err, mu_calloc(&groups, (size_t)n + 1, sizeof *groups), done);
    MU_TRY_GOTO(err, mu_calloc(&place, (size_t)count, sizeof *place), done);
    memset(place, -1, (size_t)count * sizeof *place);
    groups[0] = mu_optim_default_group(self->optim);
    MU_TRY_GOTO(err, assign(s, traits, n, lr_scale, groups, &n_groups, place), done);
    MU_TRY_GOTO(err, mu_optim_bind(self->optim, backend, s->params, place, groups, n_groups), done);
    mu_optim_set_pieces(self->optim, mu_parallel_pieces(s->parallel), mu_parallel_pieces_device(s->parallel));
    MU_TRY_GOTO(err, mu_optim_set_scaling(self->optim, mu_optim_wrapper_scales(self) ? &amp_of(self)->scaling : NULL,
                                          find_loss_scale(s, traits[0].name)), done);
    warn_unmatched(s);
done:
    mu_free(groups);
    mu_free(place);
    return err;
}

static mu_err bind(mu_optim_wrapper *self, mu_backend *backend, const mu_param_traits *traits, int n, double lr_scale)
{
    state *s = self->state;
    MU_TRY(mu_calloc(&s->group_of, (size_t)n, sizeof *s->group_of));
    MU_TRY(bind_optim(self, backend, traits, n, lr_scale));
    return MU_OK;
}

mu_err mu_optim_wrapper_bind(mu_optim_wrapper *wrapper, mu_backend *backend, mu_params *params,
                             const mu_param_traits *traits, int n, double lr_scale, mu_parallel *parallel)
{
    if (n < 1) {
        MU_FAIL(MU_ERR_CONFIG, "the model has no parameters to train");
        return mu_error_hint("without an optimizer it can be tested, but not trained");
    }
    state *s = wrapper->state;
    unbind(wrapper);
    s->params = params;
    s->parallel = parallel;
    mu_err err = bind(wrapper, backend, traits, n, lr_scale);
    if (err)
        unbind(wrapper);
    MU_TRY(err);
    return MU_OK;
}

int mu_optim_wrapper_group_of(const mu_optim_wrapper *wrapper, int trait)
{
    return wrapper->state->group_of[trait];
}

void mu_optim_wrapper_set_progress(mu_optim_wrapper *wrapper, int64_t done, int64_t max)
{
    wrapper->state->done = done;
    wrapper->state->max = max;
}

bool mu_optim_wrapper_accumulates(const mu_optim_wrapper *wrapper)
{
    return wrapper->accumulative_counts > 1;
}

bool mu_optim_wrapper_updates(const mu_optim_wrapper *wrapper)
{
    int64_t next = wrapper->state->done + 1;
    return next % wrapper->accumulative_counts == 0 || next == wrapper->state->max;
}

static mu_err check_bound(const mu_optim_wrapper *wrapper)
{
    if (!wrapper->state->params)
        return MU_FAIL(MU_ERR_USAGE, "%s is not bound to parameters", mu_component_of(wrapper)->name);
    return MU_OK;
}

static mu_optim_step_options step_options(const state *s, int64_t batches)
{
    return (mu_optim_step_options){.gradient_scale = 1 / (double)batches, .max_value = s->clip_value, .max_norm = s->max_norm};
}

mu_err mu_optim_wrapper_update_late(mu_optim_wrapper *wrapper, int64_t batches, bool *updated)
{
    state *s = wrapper->state;
    const bool updates = mu_optim_wrapper_updates(wrapper);
    MU_TRY(check_bound(wrapper));
    const mu_optim_step_options options = step_options(s, batches);
    if (updates)
        MU_TRY(mu_optim_step_late(wrapper->optim, &options));
    s->done++;
    *updated = updates;
    return MU_OK;
}

mu_err mu_optim_wrapper_update(mu_optim_wrapper *wrapper, int64_t batches, mu_update_info *out)
{
    state *s = wrapper->state;
    mu_update_info info = {.updated = mu_optim_wrapper_updates(wrapper), .grad_norm = NAN};
    MU_TRY(check_bound(wrapper));
    const mu_optim_step_options options = step_options(s, batches);
    if (info.updated)
        MU_TRY(mu_optim_step(wrapper->optim, &options, s->max_norm > 0 ? &info.grad_norm : NULL));
    s->done++;
    *out = info;
    return MU_OK;
}

bool mu_optim_wrapper_clips_norm(const mu_optim_wrapper *wrapper)
{
    return wrapper->state->max_norm > 0;
}

const mu_component mu_component_optim_wrapper = {
    .kind = "optim_wrapper",
    .name = "OptimWrapper",
    .doc = "Accumulates gradients, clips them, and updates the parameters in groups.",
    .size = sizeof(mu_optim_wrapper),
    .options = mu_optim_wrapper_keys,
    .create = create,
    .destroy = destroy,
};

const mu_component mu_component_amp_optim_wrapper = {
    .kind = "optim_wrapper",
    .name = "AmpOptimWrapper",
    .doc = "OptimWrapper whose model computes matrix products and convolutions in bfloat16 or float16.",
    .size = sizeof(amp),
    .options = amp_keys,
    .create = amp_create,
    .destroy = destroy,
};
