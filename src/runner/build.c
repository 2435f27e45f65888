/* Hooks, loaders with their evaluators, loops: from the config. */
#include "backend/lanes.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/text.h"
#include "runner/hooks/hooks.h"
#include "runner/loop.h"
#include "runner/own.h"

#include <stdio.h>
#include <string.h>

/* ---- hooks ---- */

/* {"timer": {"type": "IterTimerHook"}, ...} */
static mu_err default_hooks(mu_cfg **out)
{
    mu_text text = {0};
    mu_text_append(&text, "{");
    for (int i = 0; mu_default_hooks[i][0]; i++)
        mu_text_printf(&text, "%s\"%s\": {\"type\": \"%s\"}", i ? ", " : "", mu_default_hooks[i][0], mu_default_hooks[i][1]);
    mu_text_append(&text, "}");
    mu_err err = mu_text_status(&text);
    if (!err)
        err = mu_cfg_parse_json(text.data, text.length, "<defaults>", out);
    mu_text_release(&text);
    MU_TRY(err);
    return MU_OK;
}

mu_err mu_runner_add_hook(mu_runner *runner, const mu_cfg *cfg, const char *path, mu_hook **out)
{
    mu_hook *hook;
    int priority = 0, other = 0, at = runner->n_hooks;
    MU_TRY(mu_build("hook", cfg, NULL, path, (void **)&hook));
    mu_err err = mu_hook_priority(hook, &priority);
    size_t bytes = (size_t)(runner->n_hooks + 1) * sizeof(mu_hook *);
    if (!err)
        err = mu_realloc(&runner->hook, bytes);
    while (!err && at > 0) {
        err = mu_hook_priority(runner->hook[at - 1], &other);
        if (err || other <= priority)
            break;
        runner->hook[at] = runner->hook[at - 1];
        at--;
    }
    if (err) {
        mu_destroy(hook);
        MU_TRY(err);
    }
    runner->hook[at] = hook;
    runner->n_hooks++;
    if (out)
        *out = hook;
    return MU_OK;
}

mu_err mu_runner_visit_hooks(mu_runner *runner, mu_runner_hook_visit *visit, void *user)
{
    const mu_cfg *given = mu_runner_get(runner, "default_hooks"), *custom = mu_runner_get(runner, "custom_hooks");
    char path[128];
    MU_TRY(default_hooks(&runner->own->hooks_cfg));
    const mu_cfg *defaults = runner->own->hooks_cfg;
    for (size_t i = 0; i < mu_cfg_size(defaults); i++) {
        const mu_cfg *wish = given ? mu_cfg_get(given, mu_cfg_key_at(defaults, i)) : NULL;
        if (wish && mu_cfg_kind_of(wish) == MU_CFG_NULL)
            continue;
        snprintf(path, sizeof path, "default_hooks.%s", mu_cfg_key_at(defaults, i));
        MU_TRY(visit(user, runner, wish ? wish : mu_cfg_at(defaults, i), path));
    }
    for (size_t i = 0; given && i < mu_cfg_size(given); i++) {
        const char *key = mu_cfg_key_at(given, i);
        if (mu_cfg_get(defaults, key) || mu_cfg_kind_of(mu_cfg_at(given, i)) == MU_CFG_NULL)
            continue;
        snprintf(path, sizeof path, "default_hooks.%s", key);
        MU_TRY(visit(user, runner, mu_cfg_at(given, i), path));
    }
    bool list = custom && mu_cfg_kind_of(custom) == MU_CFG_LIST;
    for (size_t i = 0; custom && i < (list ? mu_cfg_size(custom) : 1); i++) {
        snprintf(path, sizeof path, "custom_hooks.%zu", i);
        MU_TRY(visit(user, runner, list ? mu_cfg_at(custom, i) : custom, path));
    }
    return MU_OK;
}

static mu_err add_visited(void *user, mu_runner *runner, const mu_cfg *cfg, const char *path)
{
    (void)user;
    return mu_runner_add_hook(runner, cfg, path, NULL);
}

mu_err mu_runner_build_hooks(mu_runner *runner)
{
    return mu_runner_visit_hooks(runner, add_visited, NULL);
}

/* ---- loaders, evaluators, loops ---- */

static mu_err add_dump(mu_runner *runner, mu_evaluator *evaluator)
{
    const char *path = runner->own->options.dump;
    mu_metric *metric;
    mu_text text = {0};
    mu_text_append(&text, "{\"type\": \"DumpResults\", \"out_file_path\": ");
    mu_text_append_json(&text, path, strlen(path));
    mu_text_append(&text, "}");
    mu_err err = mu_text_status(&text);
    if (!err)
        err = mu_cfg_parse_json(text.data, text.length, "<command line>", &runner->own->dump_cfg);
    mu_text_release(&text);
    MU_TRY(err);
    MU_TRY(mu_build("metric", runner->own->dump_cfg, NULL, "out", (void **)&metric));
    return mu_evaluator_add(evaluator, metric);
}

/* The backend may be another one by the time (reopen_deterministic). */
static mu_err batch_memory_new(void *user, size_t bytes, void **out)
{
    return mu_host_room_new(((const mu_runner *)user)->backend, bytes, out);
}

static void batch_memory_release(void *user, void *block)
{
    mu_host_room_release(((const mu_runner *)user)->backend, block);
}

/* A device copies a batch while the next one is loaded. */
static void set_memory(mu_runner *runner, mu_loader_options *options)
{
    const mu_backend *backend = runner->backend;
    if (backend->host_memory || !backend->ops->alloc_host)
        return;
    options->keep = 2;
    options->memory = (mu_loader_memory){.alloc = batch_memory_new, .dealloc = batch_memory_release, .user = runner};
}

/* A key that the phase cannot do without. */
static mu_err get_of_phase(const mu_runner *runner, mu_phase phase, const char *path, const mu_cfg **out)
{
    const char *name = mu_phase_names[phase];
    const mu_cfg *cfg = mu_runner_get(runner, path);
    if (!cfg) {
        MU_FAIL(MU_ERR_CONFIG, "the config has no %s", path);
        return mu_error_hint("add %s_dataloader, %s_cfg and %s", name, name,
                             phase == MU_PHASE_TRAIN ? "optim_wrapper" : phase == MU_PHASE_VAL ? "val_evaluator" : "test_evaluator");
    }
    *out = cfg;
    return MU_OK;
}

mu_err mu_runner_build_loader(mu_runner *runner, mu_phase phase)
{
    mu_loader **loader = phase == MU_PHASE_TRAIN ? &runner->train_loader
                         : phase == MU_PHASE_VAL ? &runner->val_loader
                                                 : &runner->test_loader;
    mu_evaluator **evaluator = phase == MU_PHASE_VAL ? &runner->val_evaluator : &runner->test_evaluator;
    const char *name = mu_phase_names[phase];
    char path[32];
    mu_loader_options options = {.rank = runner->comm->rank, .world_size = runner->comm->size, .seed = runner->seed,
                                 .training = phase == MU_PHASE_TRAIN};
    set_memory(runner, &options);
    snprintf(path, sizeof path, "%s_dataloader", name);
    const mu_cfg *cfg;
    MU_TRY(get_of_phase(runner, phase, path, &cfg));
    MU_TRY(mu_loader_new(cfg, path, &options, loader));
    if (phase == MU_PHASE_TRAIN)
        return MU_OK;
    snprintf(path, sizeof path, "%s_evaluator", name);
    MU_TRY(mu_evaluator_new(mu_runner_get(runner, path), path, evaluator));
    if (runner->own->options.dump)
        MU_TRY(add_dump(runner, *evaluator));
    return mu_evaluator_set_meta(*evaluator, mu_dataset_meta(mu_loader_dataset(*loader)));
}

mu_err mu_runner_build_typed(const char *kind, const mu_cfg *cfg, const char *type, const char *path, void **out)
{
    char text[64];
    mu_cfg *defaults;
    int n = snprintf(text, sizeof text, "{\"type\": \"%s\"}", type);
    MU_TRY(mu_cfg_parse_json(text, (size_t)n, "<defaults>", &defaults));
    mu_err err = mu_build(kind, cfg, defaults, path, out);
    mu_cfg_release(defaults);
    MU_TRY(err);
    return MU_OK;
}

mu_err mu_runner_build_loop(mu_runner *runner, mu_phase phase)
{
    mu_loop **loop = phase == MU_PHASE_TRAIN ? &runner->train_loop
                     : phase == MU_PHASE_VAL ? &runner->val_loop
                                             : &runner->test_loop;
    const mu_cfg *by_epoch = mu_runner_get(runner, "train_cfg.by_epoch");
    const char *type = phase == MU_PHASE_VAL                  ? "ValLoop"
                       : phase == MU_PHASE_TEST               ? "TestLoop"
                       : by_epoch && !mu_cfg_bool(by_epoch)   ? "IterBasedTrainLoop"
                                                              : "EpochBasedTrainLoop";
    char path[32];
    snprintf(path, sizeof path, "%s_cfg", mu_phase_names[phase]);
    const mu_cfg *cfg;
    MU_TRY(get_of_phase(runner, phase, path, &cfg));
    MU_TRY(mu_runner_build_typed("loop", cfg, type, path, (void **)loop));
    const mu_component *component = mu_component_of(*loop);
    mu_phase for_phase = ((const mu_loop_ops *)component->ops)->phase;
    if (for_phase == phase)
        return MU_OK;
    const mu_cfg *named = mu_cfg_get(cfg, "type");
    return MU_FAIL_AT(mu_cfg_pos(named ? named : cfg), "%s.type: %s is a loop for %s", path, component->name, mu_phase_names[for_phase]);
}
