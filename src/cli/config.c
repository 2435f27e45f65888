#include "cli/cli.h"
#include "config/config.h"
#include "core/mem.h"

#include <stdio.h>
#include <string.h>

static mu_err read_config(const char *path, const cli_list *overrides, mu_config **out)
{
    mu_config *config = NULL;
    MU_TRY(mu_config_read(path, &config));
    for (size_t i = 0; i < overrides->n; i++) {
        mu_err err = mu_config_override(config, overrides->v[i]);
        if (err) {
            mu_config_release(config);
            return err;
        }
    }
    *out = config;
    return MU_OK;
}

static int dump(const char *path, const cli_list *overrides, const char *format)
{
    mu_config *config = NULL;
    char *text = NULL;
    mu_err err = read_config(path, overrides, &config);
    if (!err)
        err = mu_config_dump(config, format, &text);
    if (!err)
        fputs(text, stdout);
    mu_free(text);
    mu_config_release(config);
    return err ? cli_fail(err) : 0;
}

/* 0 when equal, 1 when not, as diff does. */
static int diff(const char *path_a, const char *path_b, const cli_list *overrides)
{
    mu_config *a = NULL, *b = NULL;
    char *text = NULL;
    mu_err err = read_config(path_a, &(cli_list){0}, &a);
    if (!err)
        err = read_config(path_b, overrides, &b);
    if (!err)
        err = mu_config_diff(a, b, &text);
    int status = err ? cli_fail(err) : text[0] ? 1 : 0;
    if (!err)
        fputs(text, stdout);
    mu_free(text);
    mu_config_release(a);
    mu_config_release(b);
    return status;
}

static int run(const cli_command *command, int argc, char **argv)
{
    const char *format = "yaml";
    cli_list overrides = {0};
    const cli_option options[] = {
        {.name = "cfg-options",
         .value = "KEY=VALUE",
         .list = &overrides,
         .help = "set keys; with diff, of the second config"},
        {.name = "format", .value = "yaml|json", .text = &format, .help = "of dump"},
        {.name = NULL},
    };
    const char *operand[3];
    int n, status = cli_parse(command, options, argc, argv, 2, 3, operand, &n);
    if (status == CLI_GO) {
        if (strcmp(format, "yaml") != 0 && strcmp(format, "json") != 0)
            status = cli_misuse(command->name, "'%s' is not a format: expected yaml or json", format);
        else if (strcmp(operand[0], "dump") == 0 && n == 2)
            status = dump(operand[1], &overrides, format);
        else if (strcmp(operand[0], "diff") == 0 && n == 3)
            status = diff(operand[1], operand[2], &overrides);
        else
            status = cli_misuse(command->name, "expected 'dump CONFIG' or 'diff CONFIG CONFIG'");
    }
    cli_list_release(&overrides);
    return status;
}

const cli_command cli_config = {
    .name = "config",
    .operands = "dump CONFIG | diff CONFIG CONFIG",
    .summary = "Show a config with all its bases merged, or how two configs differ",
    .details =
        "dump prints text that reads back as the same config. diff prints a unified diff of the two dumps; its exit\n"
        "status is 1 when they differ.",
    .run = run,
};
