/* Optimizers and schedulers, for the model or for each of its parts. */
#include "core/log.h"
#include "core/mem.h"
#include "core/text.h"
#include "graph/autodiff.h"
#include "runner/own.h"

#include <stdio.h>
#include <string.h>

static mu_err collect_traits(mu_runner *runner, mu_param_traits **out, int *n)
{
    const mu_modules *modules = mu_model_modules(runner->model);
    int count = mu_modules_n_params(modules);
    MU_TRY(mu_calloc(out, (size_t)count, sizeof **out));
    *n = 0;
    for (int i = 0; i < count; i++) {
        const mu_module_param *p = mu_modules_param(modules, i);
        const mu_module_info *owner = mu_modules_at(modules, p->module);
        if (p->trainable)
            (*out)[(*n)++] = (mu_param_traits){.name = p->name, .ndim = p->type.ndim, .bias = strcmp(p->leaf, "bias") == 0,
                                               .norm = owner->norm, .depthwise = owner->depthwise};
    }
    return MU_OK;
}

typedef struct {
    mu_param_traits *traits;
    int n;
    bool told; /* by this rank */
} unused_search;

static void drop_unused(void *user, const char *name)
{
    unused_search *search = user;
    if (search->told)
        MU_WARN("run", "parameter %s has no influence on the loss: it is not trained", name);
    for (int i = 0; i < search->n; i++)
        if (strcmp(search->traits[i].name, name) == 0) {
            memmove(&search->traits[i], &search->traits[i + 1], (size_t)(--search->n - i) * sizeof *search->traits);
            return;
        }
}

static void append_name(void *user, const char *name)
{
    mu_text *text = user;
    mu_text_printf(text, "%s%s", text->length ? ", " : "", name);
}

/* model_wrapper_cfg.detect_anomalous_params */
static mu_err refuse_unused(const mu_runner *runner)
{
    mu_text names = {0};
    int n = runner->parallel->detect_anomalous_params ? mu_model_unused_params(runner->model, append_name, &names) : 0;
    mu_err err = mu_text_status(&names);
    if (!err && n) {
        (void)MU_FAIL(MU_ERR_CONFIG, "%d %s no influence on the loss: %s", n, n == 1 ? "parameter has" : "parameters have", names.data);
        err = mu_error_hint("model_wrapper_cfg: {detect_anomalous_params: false} trains the others");
    }
    mu_text_release(&names);
    return err;
}

/* auto_scale_lr: the global batch over the one that lr is meant for. */
static double lr_scale(const mu_runner *runner)
{
    const mu_cfg *enable = mu_runner_get(runner, "auto_scale_lr.enable"), *base = mu_runner_get(runner, "auto_scale_lr.base_batch_size");
    if (!enable || !mu_cfg_bool(enable) || !base)
        return 1;
    double scale = (double)(mu_loader_batch_size(runner->train_loader) * runner->comm->size) / (double)mu_cfg_int(base);
    MU_INFO("run", "auto_scale_lr: lr is multiplied by %g", scale);
    return scale;
}

/* One scheduler, or a list, for the optimizer `optim`. */
static mu_err bind_schedulers(mu_runner *runner, const mu_cfg *cfg, const char *where, mu_optim *optim)
{
    bool list = cfg && mu_cfg_kind_of(cfg) == MU_CFG_LIST;
    size_t n = !cfg || mu_cfg_kind_of(cfg) == MU_CFG_NULL ? 0 : list ? mu_cfg_size(cfg) : 1;
    MU_TRY(mu_realloc(&runner->scheduler, ((size_t)runner->n_schedulers + n) * sizeof *runner->scheduler));
    for (size_t i = 0; i < n; i++) {
        char path[128];
        mu_scheduler *scheduler;
        snprintf(path, sizeof path, list ? "%s.%zu" : "%s", where, i);
        MU_TRY(mu_build("param_scheduler", list ? mu_cfg_at(cfg, i) : cfg, NULL, path, (void **)&scheduler));
        runner->scheduler[runner->n_schedulers++] = scheduler;
        mu_err err = mu_scheduler_bind(scheduler, optim, mu_loader_length(runner->train_loader));
        if (err)
            mu_error_context("%s", path);
        MU_TRY(err);
    }
    return MU_OK;
}

static mu_err bind_optim(mu_runner *runner, mu_optim_wrapper *optim, const mu_param_traits *traits, int n)
{
    return mu_optim_wrapper_bind(optim, runner->backend, mu_model_params(runner->model), traits, n, lr_scale(runner), runner->parallel);
}

/* Units that hold gradients of the part: neighbours, in the order of the store. */
static void find_units(mu_runner *runner, int i)
{
    const mu_params *params = mu_model_params(runner->model);
    int first = mu_params_n_units(params), last = -1;
    for (int p = 0; p < mu_params_count(params); p++) {
        int unit = mu_params_unit_of(params, p);
        if (unit < 0 || !mu_name_is_under(mu_params_at(params, p)->name, runner->part[i].name))
            continue;
        first = unit < first ? unit : first;
        last = unit > last ? unit : last;
    }
    runner->part[i].first_unit = first;
    runner->part[i].n_units = last < 0 ? 0 : last - first + 1;
}

static mu_err bind_part(mu_runner *runner, int i, const mu_param_traits *traits, int n)
{
    const mu_cfg *cfg = mu_runner_get(runner, "param_scheduler");
    mu_param_traits *own = NULL;
    int n_own = 0;
    char path[96] = "param_scheduler";
    bool named = cfg && mu_cfg_kind_of(cfg) == MU_CFG_DICT && !mu_cfg_get(cfg, "type");
    MU_TRY(mu_calloc(&own, (size_t)n, sizeof *own));
    for (int k = 0; k < n; k++)
        if (mu_name_is_under(traits[k].name, runner->part[i].name))
            own[n_own++] = traits[k];
    mu_err err = bind_optim(runner, runner->part[i].optim, own, n_own);
    mu_free(own);
    if (err)
        mu_error_context("part \"%s\"", runner->part[i].name);
    MU_TRY(err);
    if (named)
        snprintf(path, sizeof path, "param_scheduler.%s", runner->part[i].name);
    find_units(runner, i);
    return bind_schedulers(runner, named ? mu_cfg_get(cfg, runner->part[i].name) : cfg, path, mu_optim_wrapper_optim(runner->part[i].optim));
}

static mu_err bind_optims(mu_runner *runner)
{
    unused_search search = {.told = mu_runner_is_main(runner)};
    MU_TRY(refuse_unused(runner));
    MU_TRY(collect_traits(runner, &search.traits, &search.n));
    mu_model_unused_params(runner->model, drop_unused, &search);
    mu_err err = runner->n_parts ? MU_OK : bind_optim(runner, runner->optim, search.traits, search.n);
    for (int i = 0; !err && i < runner->n_parts; i++)
        err = bind_part(runner, i, search.traits, search.n);
    mu_free(search.traits);
    MU_TRY(err);
    if (runner->n_parts)
        return MU_OK;
    return bind_schedulers(runner, mu_runner_get(runner, "param_scheduler"), "param_scheduler", mu_optim_wrapper_optim(runner->optim));
}

mu_err mu_runner_build_optim(mu_runner *runner)
{
    MU_TRY(mu_runner_agreed(runner, mu_parallel_bind(runner->parallel, runner->backend, mu_model_params(runner->model),
                                                     mu_optim_wrapper_accumulates(runner->optim))));
    if (runner->own->norm_device) /* frees the device of this rank, should another's fail */
        MU_TRY(mu_guard_add(mu_parallel_guard(runner->parallel), runner->own->norm_device));
    return mu_runner_agree(runner, bind_optims(runner));
}

bool mu_runner_names_parts(const mu_cfg *cfg)
{
    if (!cfg || mu_cfg_kind_of(cfg) != MU_CFG_DICT || mu_cfg_get(cfg, "type") || mu_cfg_get(cfg, "optimizer"))
        return false;
    for (size_t i = 0; i < mu_cfg_size(cfg); i++)
        if (mu_cfg_kind_of(mu_cfg_at(cfg, i)) == MU_CFG_DICT && mu_cfg_get(mu_cfg_at(cfg, i), "optimizer"))
            return true;
    return false;
}

mu_err mu_runner_build_optim_wrappers(mu_runner *runner)
{
    const mu_cfg *cfg = mu_runner_get(runner, "optim_wrapper");
    if (!mu_runner_names_parts(cfg))
        return mu_runner_build_typed("optim_wrapper", cfg, "OptimWrapper", "optim_wrapper", (void **)&runner->optim);
    for (size_t i = 0; i < mu_cfg_size(cfg); i++) {
        char path[128];
        void *wrapper;
        const char *name = mu_cfg_key_at(cfg, i);
        if (strcmp(name, "constructor") == 0 || mu_cfg_kind_of(mu_cfg_at(cfg, i)) == MU_CFG_NULL)
            continue;
        if (runner->n_parts == MU_MAX_PARTS)
            return MU_FAIL_AT(mu_cfg_pos(cfg), "optim_wrapper: more than %d parts", MU_MAX_PARTS);
        snprintf(path, sizeof path, "optim_wrapper.%s", name);
        MU_TRY(mu_runner_build_typed("optim_wrapper", mu_cfg_at(cfg, i), "OptimWrapper", path, &wrapper));
        runner->part[runner->n_parts].name = name;
        runner->part[runner->n_parts++].optim = wrapper;
        if (mu_optim_wrapper_autocast(wrapper) != mu_optim_wrapper_autocast(runner->part[0].optim))
            return MU_FAIL_AT(mu_cfg_pos(mu_cfg_at(cfg, i)), "%s.type: all parts compute in one precision", path);
    }
    runner->optim = runner->part[0].optim;
    return MU_OK;
}
