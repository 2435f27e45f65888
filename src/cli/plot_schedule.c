#include "cli/mistakes.h"
#include "cli/plot.h"
#include "config/config.h"
#include "core/mem.h"
#include "data/loader.h"
#include "optim/schedule_trace.h"
#include "runner/check.h"
#include "vis/plot.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_SCHEDULERS = 32, MAX_ITERS = 100 * 1000 * 1000 };

typedef struct {
    const char *config, *out;
    cli_list overrides;
    int64_t epoch_length; /* 0: ask the dataset */
} arguments;

typedef struct {
    mu_optim *optim;
    mu_scheduler *scheduler[MAX_SCHEDULERS];
    int n_schedulers;
    int64_t epoch_length, n_iters;
    double *lr, *momentum, *iter; /* [n_iters] */
} schedule;

static mu_err need(const mu_cfg *root, const char *path, const mu_cfg **out)
{
    *out = mu_cfg_find(root, path);
    return *out ? MU_OK : MU_FAIL(MU_ERR_CONFIG, "the config has no %s", path);
}

static mu_err build(const mu_cfg *root, schedule *s)
{
    const mu_cfg *cfg, *list = mu_cfg_get(root, "param_scheduler");
    void *object;
    MU_TRY(need(root, "optim_wrapper.optimizer", &cfg));
    MU_TRY(mu_build("optimizer", cfg, NULL, "optim_wrapper.optimizer", &object));
    s->optim = object;
    if (!list || mu_cfg_kind_of(list) == MU_CFG_NULL)
        return MU_OK;
    bool is_list = mu_cfg_kind_of(list) == MU_CFG_LIST;
    for (size_t i = 0; i < (is_list ? mu_cfg_size(list) : 1); i++) {
        if (s->n_schedulers == MAX_SCHEDULERS)
            return MU_FAIL(MU_ERR_CONFIG, "param_scheduler: more than %d", MAX_SCHEDULERS);
        MU_TRY(mu_build("param_scheduler", is_list ? mu_cfg_at(list, i) : list, NULL, "param_scheduler", &object));
        s->scheduler[s->n_schedulers++] = object;
    }
    return MU_OK;
}

static mu_err ask_dataset(const mu_cfg *root, int64_t *epoch_length)
{
    const mu_cfg *cfg;
    mu_loader *loader;
    mu_err err = need(root, "train_dataloader", &cfg);
    if (!err)
        err = mu_loader_new(cfg, "train_dataloader", &(mu_loader_options){.world_size = 1, .training = true}, &loader);
    if (err) {
        mu_error_context("how long is an epoch? say --epoch-length N where the dataset is not here");
        return err;
    }
    *epoch_length = mu_loader_length(loader);
    mu_loader_release(loader);
    return MU_OK;
}

static mu_err measure(const mu_cfg *root, schedule *s)
{
    const mu_cfg *epochs = mu_cfg_find(root, "train_cfg.max_epochs"), *iters = mu_cfg_find(root, "train_cfg.max_iters");
    bool by_iters = iters && mu_cfg_kind_of(iters) == MU_CFG_INT, by_epochs = epochs && mu_cfg_kind_of(epochs) == MU_CFG_INT;
    if (!by_iters && !by_epochs)
        return MU_FAIL(MU_ERR_CONFIG, "train_cfg tells neither max_epochs nor max_iters");
    if (s->epoch_length == 0)
        MU_TRY(ask_dataset(root, &s->epoch_length));
    s->n_iters = by_iters ? mu_cfg_int(iters) : 0;
    if (!by_iters)
        MU_TRY(mu_mul_i64(mu_cfg_int(epochs), s->epoch_length, &s->n_iters));
    if (s->n_iters < 1 || s->n_iters > MAX_ITERS)
        return MU_FAIL(MU_ERR_CONFIG, "a schedule of %lld iterations cannot be drawn", (long long)s->n_iters);
    return MU_OK;
}

static mu_err trace(schedule *s)
{
    MU_TRY(mu_calloc(&s->lr, (size_t)s->n_iters, 3 * sizeof *s->lr));
    s->momentum = s->lr + s->n_iters;
    s->iter = s->momentum + s->n_iters;
    for (int64_t i = 0; i < s->n_iters; i++)
        s->iter[i] = (double)i;
    return mu_schedule_trace(s->optim, s->scheduler, s->n_schedulers, 1, s->epoch_length, s->n_iters, s->lr, s->momentum);
}

static mu_err write_csv(const schedule *s, const char *out)
{
    mu_text text = {0};
    mu_text_append(&text, "iter,lr,momentum\n");
    for (int64_t i = 0; i < s->n_iters && !text.err; i++) {
        mu_text_printf(&text, "%lld,", (long long)i);
        cli_plot_csv_number(&text, s->lr[i]);
        mu_text_append(&text, ",");
        cli_plot_csv_number(&text, s->momentum[i]);
        mu_text_append(&text, "\n");
    }
    mu_err err = cli_plot_write(out, &text);
    mu_text_release(&text);
    return err;
}

static mu_err draw(const schedule *s, const char *out, const char *title)
{
    const mu_curve lr = {"lr", (size_t)s->n_iters, s->iter, s->lr}, momentum = {"momentum", (size_t)s->n_iters, s->iter, s->momentum};
    const mu_panel panels[] = {{.title = "learning rate", .n = 1, .curve = &lr},
                               {.title = "momentum", .x_label = "iteration", .n = 1, .curve = &momentum}};
    return mu_plot_curves(out, title, panels, 2);
}

static void release(schedule *s)
{
    for (int i = 0; i < s->n_schedulers; i++)
        mu_destroy(s->scheduler[i]);
    mu_destroy(s->optim);
    mu_free(s->lr);
}

static mu_err make(const arguments *a, const mu_cfg *root, bool csv)
{
    schedule s = {.epoch_length = a->epoch_length};
    mu_err err = build(root, &s);
    if (!err)
        err = measure(root, &s);
    if (!err)
        err = trace(&s);
    if (!err)
        err = csv ? write_csv(&s, a->out) : draw(&s, a->out, a->config);
    release(&s);
    return err;
}

/* What plug-ins bring is known after this; *sound: nothing in the config is wrong. */
static mu_err check(const arguments *a, const mu_cfg *root, bool *sound)
{
    mu_diagnostics list = {0};
    mu_err err = mu_runner_check(root, &list);
    *sound = list.n == 0;
    if (!err && list.n)
        err = cli_tell_mistakes(a->config, &list);
    mu_diagnostics_release(&list);
    return err;
}

static mu_err plot(const arguments *a, bool *sound)
{
    mu_config *config;
    bool csv;
    MU_TRY(cli_plot_is_csv(a->out, &csv));
    MU_TRY(mu_config_read(a->config, &config));
    mu_err err = MU_OK;
    for (size_t i = 0; i < a->overrides.n && !err; i++)
        err = mu_config_override(config, a->overrides.v[i]);
    const mu_cfg *root = mu_config_root(config);
    if (!err)
        err = check(a, root, sound);
    if (!err && *sound)
        err = make(a, root, csv);
    mu_config_release(config);
    return err;
}

static int run(const cli_command *command, int argc, char **argv)
{
    arguments a = {0};
    const char *length = NULL;
    const cli_option options[] = {
        {.name = "out", .letter = 'o', .value = "FILE.png|FILE.csv", .text = &a.out, .help = "where to; needed"},
        {.name = "epoch-length", .value = "N", .text = &length, .help = "iterations of an epoch; else as the dataset tells, for one rank"},
        {.name = "cfg-options", .value = "KEY=VALUE", .list = &a.overrides, .help = "set keys, as in optim_wrapper.optimizer.lr=0.1"},
        {.name = NULL},
    };
    int n, status = cli_parse(command, options, argc, argv, 1, 1, &a.config, &n);
    char *end = NULL;
    a.epoch_length = length ? strtoll(length, &end, 10) : 0;
    if (status == CLI_GO && length && (end == length || *end || a.epoch_length < 1))
        status = cli_misuse(command->name, "--epoch-length is a number of iterations, not '%s'", length);
    if (status == CLI_GO && !a.out)
        status = cli_misuse(command->name, "an option is missing: --out FILE.png or FILE.csv");
    if (status == CLI_GO) {
        bool sound = true;
        mu_err err = plot(&a, &sound);
        status = err ? cli_fail(err) : sound ? 0 : 2;
    }
    cli_list_release(&a.overrides);
    return status;
}

const cli_command cli_plot_schedule = {
    .name = "plot schedule",
    .operands = "CONFIG",
    .summary = "The learning rate and momentum that a config makes, iteration by iteration",
    .run = run,
};
