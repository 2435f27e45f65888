#include "cli/ckpt.h"

#include <stdio.h>

/* Goes on after a bad dataset, so that all are told. */
static int verify(const char *path, bool quiet)
{
    mu_tensor_file *file;
    mu_err err = cli_ckpt_open(path, &file);
    if (err)
        return cli_fail(err);
    int status = 0, n = mu_tensor_file_count(file);
    for (int i = 0; i < n; i++) {
        err = mu_tensor_file_verify(file, i);
        if (err)
            status = cli_fail(err);
        if (!mu_tensor_file_at(file, i)->hashed) {
            fprintf(stderr, "muster: '%s', dataset %s: it has no checksum\n", path, mu_tensor_file_at(file, i)->path);
            status = 1;
        }
    }
    if (status == 0 && !quiet)
        printf("%s: sound, %d datasets, %lld bytes\n", path, n, (long long)mu_tensor_file_bytes(file));
    mu_tensor_file_release(file);
    return status;
}

static int run(const cli_command *command, int argc, char **argv)
{
    enum { MOST = 1024 };
    bool quiet = false;
    const cli_option options[] = {
        {.name = "quiet", .flag = &quiet, .help = "tell only what is bad"},
        {.name = NULL},
    };
    const char *path[MOST];
    int n, status = cli_parse(command, options, argc, argv, 1, MOST, path, &n);
    if (status != CLI_GO)
        return status;
    status = 0;
    for (int i = 0; i < n; i++)
        status |= verify(path[i], quiet);
    return status;
}

const cli_command cli_ckpt_verify = {
    .name = "ckpt verify",
    .operands = "FILE...",
    .summary = "Read checkpoints whole and compare every checksum",
    .details = "Every bad dataset is named; the exit status is then 1.",
    .run = run,
};
