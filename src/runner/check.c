#include "runner/check.h"

#include "backend.h"
#include "data/loader.h"
#include "optim/wrapper.h"
#include "runner/failure.h"
#include "runner/loops/train_loop.h"
#include "runner/log_processor.h"
#include "runner/own.h"

#include <stdio.h>
#include <string.h>

#define AT_LEAST(x) .bounded_below = true, .min = (x)

static const mu_option loop_keys[] = {MU_OPTION_END};

static const mu_option auto_scale_keys[] = {
    {"base_batch_size", MU_OPT_INT, .required = true, AT_LEAST(1), .unit = "samples", .help = "that lr is meant for"},
    {"enable", MU_OPT_BOOL, .help = "scale lr by the global batch over base_batch_size"},
    MU_OPTION_END,
};

static const mu_option env_keys[] = {
    {"allow_tf32", MU_OPT_BOOL, .help = "GPUs may round the operands of f32 products to 10 bits, which is faster"},
    {"cudnn_benchmark", MU_OPT_BOOL, .help = "accepted, without effect: conv_algorithm decides"},
    {"mp_cfg", MU_OPT_ANY, .help = "accepted, without effect: there are no worker processes"},
    {"dist_cfg", MU_OPT_ANY, .help = "accepted, without effect: ranks come from the MPI launcher"},
    {"resource_limit", MU_OPT_INT, AT_LEAST(1), .text_default = "null", .unit = "files", .help = "that may be open at once"},
    MU_OPTION_END,
};

static const mu_option visualizer_keys[] = {
    {"name", MU_OPT_STRING, .text_default = "visualizer", .help = "of the instance"},
    {"vis_backends", MU_OPT_COMPONENTS, .component_kind = "vis_backend", .help = "where records go"},
    MU_OPTION_END,
};

static const mu_option randomness_keys[] = {
    {"seed", MU_OPT_INT, .nullable = true, AT_LEAST(0), .text_default = "null", .help = "null: drawn and recorded"},
    {"deterministic", MU_OPT_BOOL, .help = "the same bits in every run"},
    {"diff_rank_seed", MU_OPT_BOOL, .help = "accepted, without effect: random numbers belong to samples, not to ranks"},
    MU_OPTION_END,
};

static const char *const launchers[] = {"none", "mpi", "slurm", NULL};
static const char *const log_levels[] = {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL", NULL};
static const char *const algorithms[] = {"auto", "direct", NULL};

static const mu_option keys[] = {
    {"model", MU_OPT_COMPONENT, .required = true, .component_kind = "model", .help = "what is trained"},
    {"work_dir", MU_OPT_STRING, .help = "folder of checkpoints and logs"},
    {"train_dataloader", MU_OPT_DICT, .nullable = true, .fields = mu_loader_keys, .help = "what is trained on"},
    {"val_dataloader", MU_OPT_DICT, .nullable = true, .fields = mu_loader_keys, .help = "what is validated on"},
    {"test_dataloader", MU_OPT_DICT, .nullable = true, .fields = mu_loader_keys, .help = "what is tested on"},
    {"train_cfg", MU_OPT_DICT, .nullable = true, .component_kind = "loop", .fields = mu_train_loop_options,
     .help = "how long"},
    {"val_cfg", MU_OPT_DICT, .nullable = true, .component_kind = "loop", .fields = loop_keys,
     .help = "how to validate"},
    {"test_cfg", MU_OPT_DICT, .nullable = true, .component_kind = "loop", .fields = loop_keys, .help = "how to test"},
    {"auto_scale_lr", MU_OPT_DICT, .nullable = true, .fields = auto_scale_keys, .help = "learning rate by batch size"},
    {"optim_wrapper", MU_OPT_DICT, .nullable = true, .component_kind = "optim_wrapper", .fields = mu_optim_wrapper_keys,
     .help = "how parameters are updated"},
    {"model_wrapper_cfg", MU_OPT_DICT, .nullable = true, .component_kind = "model_wrapper", .fields = mu_ddp_keys,
     .help = "how ranks share the model"},
    {"param_scheduler", MU_OPT_COMPONENTS, .nullable = true, .component_kind = "param_scheduler",
     .help = "how learning rates change"},
    {"val_evaluator", MU_OPT_COMPONENTS, .nullable = true, .component_kind = "metric", .help = "metrics of validation"},
    {"test_evaluator", MU_OPT_COMPONENTS, .nullable = true, .component_kind = "metric", .help = "metrics of tests"},
    {"default_hooks", MU_OPT_COMPONENT_MAP, .nullable = true, .component_kind = "hook",
     .help = "hooks that always run"},
    {"custom_hooks", MU_OPT_COMPONENTS, .nullable = true, .component_kind = "hook", .help = "further hooks"},
    {"sync_bn", MU_OPT_ANY, .text_default = "null", .help = "torch, mmcv or true: batch norms take the batches of all ranks together"},
    {"data_preprocessor", MU_OPT_COMPONENT, .nullable = true, .component_kind = "data_preprocessor",
     .help = "for a model that names none"},
    {"load_from", MU_OPT_STRING, .nullable = true, .help = "checkpoint to begin with"},
    {"resume", MU_OPT_BOOL, .help = "go on with the last checkpoint of work_dir, or with load_from"},
    {"launcher", MU_OPT_CHOICE, .choices = launchers, .help = "accepted, without effect: mpirun and srun are recognised"},
    {"env_cfg", MU_OPT_DICT, .fields = env_keys, .help = "settings of the process"},
    {"watch_cfg", MU_OPT_DICT, .nullable = true, .fields = mu_watch_keys, .help = "when a rank that does not get on ends the job"},
    {"log_processor", MU_OPT_DICT, .nullable = true, .component_kind = "log_processor", .fields = mu_log_processor_options,
     .help = "how log lines look"},
    {"log_level", MU_OPT_CHOICE, .choices = log_levels, .int_default = 1, .help = "least level that is shown"},
    {"visualizer", MU_OPT_DICT, .nullable = true, .component_kind = "visualizer", .fields = visualizer_keys,
     .help = "accepted, without effect: scalars are always recorded, and muster plot draws them"},
    {"default_scope", MU_OPT_STRING, .nullable = true, .text_default = "muster",
     .help = "where names are looked up first"},
    {"randomness", MU_OPT_DICT, .fields = randomness_keys, .help = "seeds"},
    {"experiment_name", MU_OPT_STRING, .nullable = true, .help = "the name of this run, before its time; null: the config file's"},
    {"custom_imports", MU_OPT_ANY, .nullable = true, .help = "plug-ins: {imports: [name, ...]}"},
    {"device", MU_OPT_STRING, .text_default = "auto", .help = "cpu, cuda, cpu:ref, ... (muster list backend)"},
    {"conv_algorithm", MU_OPT_CHOICE, .choices = algorithms, .help = "auto measures, direct is most exact"},
    MU_OPTION_END,
};

const mu_option *mu_runner_keys(void)
{
    return keys;
}

/* What stands together: all of a group or none. */
static const char *const groups[][3] = {
    {"train_dataloader", "train_cfg", "optim_wrapper"},
    {"val_dataloader", "val_cfg", "val_evaluator"},
    {"test_dataloader", "test_cfg", "test_evaluator"},
};

static const mu_cfg *get_set(const mu_cfg *root, const char *key)
{
    const mu_cfg *value = mu_cfg_get(root, key);
    return value && mu_cfg_kind_of(value) != MU_CFG_NULL ? value : NULL;
}

static mu_err check_groups(const mu_cfg *root, mu_diagnostics *list)
{
    for (size_t g = 0; g < sizeof groups / sizeof groups[0]; g++) {
        const char *present = NULL;
        for (int i = 0; i < 3 && !present; i++)
            present = get_set(root, groups[g][i]) ? groups[g][i] : NULL;
        for (int i = 0; i < 3 && present; i++) {
            if (get_set(root, groups[g][i]))
                continue;
            char expected[128];
            snprintf(expected, sizeof expected, "%s, %s and %s together or none of them", groups[g][0], groups[g][1],
                     groups[g][2]);
            MU_TRY(mu_diagnostics_add(list, mu_cfg_key_pos(mu_cfg_get(root, present)), groups[g][i], expected,
                                      "no such key", NULL));
        }
    }
    if (get_set(root, "param_scheduler") && !get_set(root, "optim_wrapper"))
        MU_TRY(mu_diagnostics_add(list, mu_cfg_key_pos(mu_cfg_get(root, "param_scheduler")), "optim_wrapper",
                                  "an optimizer beside param_scheduler", "no such key", NULL));
    return MU_OK;
}

/* train_cfg needs the end that by_epoch asks for. */
static mu_err check_train_end(const mu_cfg *root, mu_diagnostics *list)
{
    const mu_cfg *cfg = get_set(root, "train_cfg");
    if (!cfg || mu_cfg_kind_of(cfg) != MU_CFG_DICT || mu_cfg_get(cfg, "type"))
        return MU_OK;
    const mu_cfg *by_epoch = mu_cfg_get(cfg, "by_epoch");
    bool epochs = !by_epoch || mu_cfg_kind_of(by_epoch) != MU_CFG_BOOL || mu_cfg_bool(by_epoch);
    const char *wanted = epochs ? "max_epochs" : "max_iters", *other = epochs ? "max_iters" : "max_epochs";
    char path[32], expected[64];
    if (!mu_cfg_get(cfg, wanted)) {
        snprintf(path, sizeof path, "train_cfg.%s", wanted);
        snprintf(expected, sizeof expected, "integer >= 1, as by_epoch is %s", epochs ? "true" : "false");
        MU_TRY(mu_diagnostics_add(list, mu_cfg_pos(cfg), path, expected, "no such key", NULL));
    }
    if (mu_cfg_get(cfg, other)) {
        snprintf(path, sizeof path, "train_cfg.%s", other);
        snprintf(expected, sizeof expected, "only %s, as by_epoch is %s", wanted, epochs ? "true" : "false");
        MU_TRY(mu_diagnostics_add(list, mu_cfg_key_pos(mu_cfg_get(cfg, other)), path, expected, other, NULL));
    }
    return MU_OK;
}

static mu_err check_device(const mu_cfg *root, mu_diagnostics *list)
{
    const mu_cfg *device = get_set(root, "device");
    mu_backend_choice choice;
    if (!device || mu_cfg_kind_of(device) != MU_CFG_STRING)
        return MU_OK;
    mu_err err = mu_backend_find(mu_cfg_string(device), NULL, &choice);
    if (err != MU_ERR_NOT_FOUND && err != MU_ERR_UNSUPPORTED)
        return err;
    char expected[2 * MU_ERROR_TEXT + 32], found[128];
    const mu_error *why = mu_error_last();
    bool name = err == MU_ERR_NOT_FOUND && strcmp(mu_cfg_string(device), "auto") != 0; /* of auto, MUSTER_DEVICE is to blame */
    snprintf(expected, sizeof expected, "a device (%s%s%s)", name ? "" : why->message, name || !why->hint[0] ? "" : "; ",
             why->hint);
    mu_cfg_describe(device, found, sizeof found);
    MU_TRY(mu_diagnostics_add(list, mu_cfg_pos(device), "device", expected, found, NULL));
    return MU_OK;
}

static mu_err check_sync_bn(const mu_cfg *root, mu_diagnostics *list)
{
    const mu_cfg *wish = get_set(root, "sync_bn");
    if (!wish || mu_cfg_kind_of(wish) == MU_CFG_BOOL)
        return MU_OK;
    const char *text = mu_cfg_kind_of(wish) == MU_CFG_STRING ? mu_cfg_string(wish) : "";
    if (strcmp(text, "torch") == 0 || strcmp(text, "mmcv") == 0)
        return MU_OK;
    char found[128];
    mu_cfg_describe(wish, found, sizeof found);
    MU_TRY(mu_diagnostics_add(list, mu_cfg_pos(wish), "sync_bn", "torch, mmcv, true, false or null", found, NULL));
    return MU_OK;
}

/* A scope that nothing has registered is made: only a name that cannot be one is a mistake. */
static mu_err set_scope(const mu_cfg *root, mu_diagnostics *list)
{
    const mu_cfg *scope = get_set(root, "default_scope");
    bool is_string = scope && mu_cfg_kind_of(scope) == MU_CFG_STRING;
    mu_err err = mu_registry_set_default_scope(is_string ? mu_cfg_string(scope) : NULL);
    if (err != MU_ERR_USAGE)
        return err;
    char found[128];
    mu_cfg_describe(scope, found, sizeof found);
    MU_TRY(mu_diagnostics_add(list, mu_cfg_pos(scope), "default_scope", "a word without dots and blanks", found, NULL));
    return MU_OK;
}

static mu_err check_wrapper(const mu_cfg *cfg, const char *path, mu_diagnostics *list)
{
    if (mu_cfg_kind_of(cfg) != MU_CFG_DICT || mu_cfg_get(cfg, "type"))
        return mu_check("optim_wrapper", cfg, path, list);
    return mu_check_keys(mu_optim_wrapper_keys, cfg, path, list);
}

static mu_err check_schedulers(const mu_cfg *cfg, const char *path, mu_diagnostics *list)
{
    if (mu_cfg_kind_of(cfg) != MU_CFG_LIST)
        return mu_check("param_scheduler", cfg, path, list);
    for (size_t i = 0; i < mu_cfg_size(cfg); i++) {
        char item[128];
        snprintf(item, sizeof item, "%s.%zu", path, i);
        MU_TRY(mu_check("param_scheduler", mu_cfg_at(cfg, i), item, list));
    }
    return MU_OK;
}

typedef mu_err part_check(const mu_cfg *cfg, const char *path, mu_diagnostics *list);

static mu_err check_each(const mu_cfg *cfg, const char *where, part_check *check, mu_diagnostics *list)
{
    for (size_t i = 0; i < mu_cfg_size(cfg); i++) {
        char path[96];
        const char *key = mu_cfg_key_at(cfg, i);
        snprintf(path, sizeof path, "%s.%s", where, key);
        if (strcmp(key, "constructor") != 0 && mu_cfg_kind_of(mu_cfg_at(cfg, i)) != MU_CFG_NULL)
            MU_TRY(check(mu_cfg_at(cfg, i), path, list));
    }
    return MU_OK;
}

/* With an optimizer for each part of the model, optim_wrapper and (unless they share one schedule) param_scheduler are dicts by part. The
 * `constructor` that MMEngine wants beside them is accepted, without effect: the model says what its parts are. */
static mu_err check_root(const mu_cfg *root, mu_diagnostics *list)
{
    mu_option by_part[sizeof keys / sizeof *keys];
    const mu_cfg *wrapper = get_set(root, "optim_wrapper"), *schedulers = get_set(root, "param_scheduler");
    if (!mu_runner_names_parts(wrapper))
        return mu_check_keys(keys, root, "", list);
    bool scheduled = schedulers && mu_cfg_kind_of(schedulers) == MU_CFG_DICT && !mu_cfg_get(schedulers, "type");
    memcpy(by_part, keys, sizeof keys);
    for (mu_option *o = by_part; o->key; o++)
        if (strcmp(o->key, "optim_wrapper") == 0 || (scheduled && strcmp(o->key, "param_scheduler") == 0))
            o->type = MU_OPT_ANY;
    MU_TRY(mu_check_keys(by_part, root, "", list));
    MU_TRY(check_each(wrapper, "optim_wrapper", check_wrapper, list));
    return scheduled ? check_each(schedulers, "param_scheduler", check_schedulers, list) : MU_OK;
}

mu_err mu_runner_check(const mu_cfg *root, mu_diagnostics *list)
{
    const mu_cfg *imports = get_set(root, "custom_imports");
    if (imports)
        MU_TRY(mu_plugin_import(imports, "custom_imports", list));
    MU_TRY(set_scope(root, list));
    MU_TRY(check_root(root, list));
    MU_TRY(check_groups(root, list));
    MU_TRY(check_train_end(root, list));
    MU_TRY(check_device(root, list));
    MU_TRY(check_sync_bn(root, list));
    return MU_OK;
}
