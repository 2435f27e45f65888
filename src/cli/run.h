/* What train, val and test share: options of a run, and the runner that they come to. */
#ifndef MU_CLI_RUN_H
#define MU_CLI_RUN_H

#include "cli/cli.h"
#include "runner/runner.h"

typedef struct {
    const char *config, *checkpoint;
    const char *work_dir, *resume, *load_from, *device, *seed, *max_time, *end_margin, *out;
    bool amp, deterministic, changed_schedule, quiet, json;
    cli_list overrides;
} cli_run;

/* Rows for the tables of options. */
#define CLI_RUN_OPTIONS(r)                                                                                              \
    {.name = "work-dir", .value = "DIR", .text = &(r).work_dir, .help = "folder of checkpoints and logs"},               \
    {.name = "device", .value = "DEVICE", .text = &(r).device, .help = "cpu, cpu:ref, ... (muster list backend)"},       \
    {.name = "seed", .value = "N", .text = &(r).seed, .help = "of order, augmentation and initial weights"},             \
    {.name = "deterministic", .flag = &(r).deterministic, .help = "the same bits in every run, somewhat slower"},        \
    {.name = "quiet", .flag = &(r).quiet, .help = "no progress bar, and only warnings on the console"},                  \
    {.name = "cfg-options", .value = "KEY=VALUE", .list = &(r).overrides,                                                \
     .help = "set keys, as in train_cfg.max_epochs=10"}

/* Not collective. Reads the config with what the options set; mistakes in it are added to `list`, *fingerprint is that of all its values.
 * *config may be set in case of an error, too. */
MU_CHECKED mu_err cli_run_read(const cli_run *run, mu_config **config, mu_diagnostics *list, uint64_t *fingerprint);

/* Collective. Reads and checks the config with what the options set, and makes the runner. Mistakes in the config are told by rank 0, all at
 * once; *status is then 2 and *out NULL. */
MU_CHECKED mu_err cli_run_open(const cli_run *run, mu_comm *comm, bool training, mu_config **config, mu_runner **out,
                               int *status);

extern const cli_command cli_train, cli_val, cli_test;

#endif
