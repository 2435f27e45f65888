#include "cli/plot.h"

#include "io/file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const cli_command *const commands[] = {&cli_plot_scalars, &cli_plot_schedule, &cli_plot_confusion};

static int run(const cli_command *command, int argc, char **argv)
{
    return cli_family(command, commands, sizeof commands / sizeof commands[0], "FILE", argc, argv);
}

const cli_command cli_plot = {
    .name = "plot",
    .operands = "scalars|schedule|confusion",
    .summary = "Draw curves, schedules and confusion matrices as PNG, or write them as CSV",
    .run = run,
};

mu_err cli_plot_is_csv(const char *out, bool *csv)
{
    const char *dot = strrchr(out, '.');
    *csv = dot && strcmp(dot, ".csv") == 0;
    if (!*csv && !(dot && strcmp(dot, ".png") == 0))
        return MU_FAIL(MU_ERR_USAGE, "'%s' must end in .png or .csv", out);
    return MU_OK;
}

mu_err cli_plot_write(const char *out, const mu_text *text)
{
    mu_replacement *file;
    MU_TRY(mu_text_status(text));
    MU_TRY(mu_replacement_new(out, &file));
    mu_err err = mu_pwrite(mu_replacement_fd(file), text->data, text->length, 0, out);
    if (!err)
        err = mu_replacement_commit(file);
    mu_replacement_release(file);
    return err;
}

void cli_plot_csv_cell(mu_text *text, const char *cell)
{
    bool plain = strpbrk(cell, ",\"\r\n") == NULL;
    mu_text_append(text, plain ? "" : "\"");
    for (const char *at = cell; *at; at++)
        mu_text_append_n(text, *at == '"' ? "\"\"" : at, *at == '"' ? 2 : 1);
    mu_text_append(text, plain ? "" : "\"");
}

void cli_plot_csv_number(mu_text *text, double x)
{
    char buf[32];
    if (!isfinite(x))
        return;
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(buf, sizeof buf, "%.*g", digits, x);
        if (strtod(buf, NULL) == x)
            break;
    }
    mu_text_append(text, buf);
}
