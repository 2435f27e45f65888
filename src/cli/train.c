#include "cli/run.h"

#include "config/config.h"
#include "core/log.h"
#include "core/mem.h"
#include "dist/binding.h"

#include <stdlib.h>
#include <string.h>

static bool is_number(const char *text)
{
    char *end;
    double value = strtod(text, &end);
    return end != text && *end == '\0' && value >= 0;
}

/* Collective. Logs which rank computes on which cores, once. */
static mu_err tell_binding(mu_comm *comm)
{
    mu_seat *seat;
    mu_text map = {0}, crowding = {0};
    MU_TRY(mu_binding_gather(comm, cli_threads(), &seat));
    if (!seat)
        return MU_OK;
    mu_binding_map(seat, comm->size, &map);
    mu_binding_crowding(seat, comm->size, &crowding);
    mu_free(seat);
    for (char *line = map.data, *rest; line; line = rest) {
        rest = strchr(line, '\n');
        if (rest)
            *rest++ = '\0';
        MU_INFO("bind", "%s", line);
    }
    if (crowding.data)
        MU_WARN("bind", "%s", crowding.data);
    mu_text_release(&map);
    mu_text_release(&crowding);
    return MU_OK;
}

static int train(const cli_run *run)
{
    mu_comm *comm;
    mu_config *config = NULL;
    mu_runner *runner = NULL;
    int status = 0;
    mu_err err = cli_comm(&comm);
    if (err)
        return cli_end(NULL, err, true);
    err = cli_run_open(run, comm, true, &config, &runner, &status);
    if (!err && runner)
        err = tell_binding(comm);
    if (!err && runner)
        err = mu_runner_train(runner, &status);
    int failed = cli_end(comm, err, true);
    mu_runner_release(runner);
    mu_config_release(config);
    return failed ? failed : status;
}

static int run(const cli_command *command, int argc, char **argv)
{
    cli_run r = {0};
    const cli_option options[] = {
        {.name = "resume", .value = "FILE.h5", .text = &r.resume, .optional = "auto",
         .help = "go on from this checkpoint; without a value from the newest good one of the work dir"},
        {.name = "load-from", .value = "FILE.h5", .text = &r.load_from, .help = "begin with the weights of a checkpoint"},
        {.name = "amp", .flag = &r.amp, .help = "matrix products and convolutions in bf16"},
        {.name = "max-time", .value = "SECONDS", .text = &r.max_time,
         .help = "stop cleanly after so long, with a checkpoint and status 75"},
        {.name = "end-margin", .value = "SECONDS", .text = &r.end_margin,
         .help = "the same so long before a Slurm job ends (3 times the longest checkpoint so far, and 30 s)"},
        {.name = "changed-schedule", .flag = &r.changed_schedule,
         .help = "resume although the config's schedule is not the checkpoint's"},
        CLI_RUN_OPTIONS(r),
        {.name = NULL},
    };
    int n, status = cli_parse(command, options, argc, argv, 1, 1, &r.config, &n);
    if (status == CLI_GO && r.max_time && !is_number(r.max_time))
        status = cli_misuse(command->name, "--max-time takes seconds, not '%s'", r.max_time);
    if (status == CLI_GO && r.end_margin && !is_number(r.end_margin))
        status = cli_misuse(command->name, "--end-margin takes seconds, not '%s'", r.end_margin);
    if (status == CLI_GO)
        status = train(&r);
    cli_list_release(&r.overrides);
    return status;
}

const cli_command cli_train = {
    .name = "train",
    .operands = "CONFIG",
    .summary = "Train the model of a config; under mpirun or srun on all ranks together",
    .details = "Checkpoints, logs and scalars go to the work dir: --work-dir, else work_dir of the config, else\n"
               "work_dirs/NAME. SIGTERM, SIGINT, SIGUSR1, SIGUSR2, --max-time and the coming end of a Slurm job end it after\n"
               "the current iteration with a checkpoint and status 75: run it again with --resume. A rank that hangs is named,\n"
               "and ends all with status 76.",
    .run = run,
    .computes = true,
};
