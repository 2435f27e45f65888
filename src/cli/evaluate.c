/* muster val and muster test. */
#include "cli/results.h"
#include "cli/run.h"
#include "config/config.h"

#include <stdio.h>

static mu_err print_results(const mu_results *results, bool json)
{
    mu_text text = {0};
    (json ? cli_results_json : cli_results_text)(results, &text);
    mu_err err = mu_text_status(&text);
    if (!err)
        printf("%s%s", text.data ? text.data : "", json ? "\n" : "");
    mu_text_release(&text);
    MU_TRY(err);
    return MU_OK;
}

static int evaluate(const cli_run *run, mu_phase phase)
{
    mu_comm *comm;
    mu_config *config = NULL;
    mu_runner *runner = NULL;
    mu_results results = {0};
    int status = 0;
    mu_err err = cli_comm(&comm);
    if (err)
        return cli_end(NULL, err, true);
    err = cli_run_open(run, comm, false, &config, &runner, &status);
    if (!err && runner)
        err = phase == MU_PHASE_VAL ? mu_runner_val(runner, run->checkpoint, &results)
                                    : mu_runner_test(runner, run->checkpoint, &results);
    bool told = err || !mu_comm_is_main(comm);
    if (!told)
        err = print_results(&results, run->json);
    int failed = told ? cli_end(comm, err, true) : err ? cli_fail(err) : 0;
    mu_results_release(&results);
    mu_runner_release(runner);
    mu_config_release(config);
    return failed ? failed : status;
}

static int parse(const cli_command *command, int argc, char **argv, mu_phase phase)
{
    cli_run r = {0};
    const cli_option options[] = {
        {.name = "out", .letter = 'o', .value = "FILE.h5", .text = &r.out, .help = "keep predictions and labels of every sample, for muster eval"},
        {.name = "json", .flag = &r.json, .help = "print the results as JSON, with all digits"},
        CLI_RUN_OPTIONS(r),
        {.name = NULL},
    };
    const char *operand[2] = {NULL, NULL};
    int n, status = cli_parse(command, options, argc, argv, 1, 2, operand, &n);
    r.config = operand[0];
    r.checkpoint = operand[1];
    if (status == CLI_GO)
        status = evaluate(&r, phase);
    cli_list_release(&r.overrides);
    return status;
}

static int run_val(const cli_command *command, int argc, char **argv)
{
    return parse(command, argc, argv, MU_PHASE_VAL);
}

static int run_test(const cli_command *command, int argc, char **argv)
{
    return parse(command, argc, argv, MU_PHASE_TEST);
}

const cli_command cli_val = {
    .name = "val",
    .operands = "CONFIG [CKPT]",
    .summary = "Run the validation data of a config through a checkpoint",
    .details = "Without CKPT, load_from of the config is taken. The metrics of val_evaluator go to standard output.",
    .run = run_val,
    .computes = true,
};

const cli_command cli_test = {
    .name = "test",
    .operands = "CONFIG [CKPT]",
    .summary = "Run the test data of a config through a checkpoint",
    .details = "Without CKPT, load_from of the config is taken. The metrics of test_evaluator go to standard output.",
    .run = run_test,
    .computes = true,
};
