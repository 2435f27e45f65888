#include "cli/data.h"
#include "cli/progress.h"

#include "data/h5_dataset.h"

#include <stdio.h>

static void tick(void *user, int64_t done, int64_t total)
{
    cli_progress_update(user, done >> 20, total >> 20, "MiB");
}

/* Goes on after a bad field, so that all are told. */
static int verify(const char *path, bool quiet)
{
    mu_h5_dataset *d;
    mu_err err = mu_h5_dataset_open(path, &d);
    if (err)
        return cli_fail(err);
    int status = 0;
    for (int i = 0; i < mu_h5_dataset_n_fields(d); i++) {
        const char *name = mu_h5_dataset_field(d, i)->name;
        err = mu_h5_dataset_verify(d, i, tick, (void *)name);
        cli_progress_end();
        if (err)
            status = cli_fail(err);
        else if (!quiet)
            printf("%s: %s is sound\n", path, name);
    }
    mu_h5_dataset_release(d);
    return status;
}

static int run(const cli_command *command, int argc, char **argv)
{
    bool quiet = false;
    const cli_option options[] = {
        {.name = "quiet", .flag = &quiet, .help = "tell only what is bad"},
        {.name = NULL},
    };
    const char *path;
    int n, status = cli_parse(command, options, argc, argv, 1, 1, &path, &n);
    return status == CLI_GO ? verify(path, quiet) : status;
}

const cli_command cli_data_verify = {
    .name = "data verify",
    .operands = "FILE",
    .summary = "Read a dataset file whole: its checksums, and whether labels fit its classes",
    .details = "Every bad field is named; the exit status is then 1.",
    .run = run,
};
