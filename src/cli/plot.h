/* What the subcommands of `muster plot` share. */
#ifndef MU_CLI_PLOT_H
#define MU_CLI_PLOT_H

#include "cli/cli.h"
#include "core/text.h"

extern const cli_command cli_plot_confusion, cli_plot_scalars, cli_plot_schedule;

/* Is it a .csv file, and not a .png? Anything else is MU_ERR_USAGE. */
MU_CHECKED mu_err cli_plot_is_csv(const char *out, bool *csv);
/* Replaces the file `out`. */
MU_CHECKED mu_err cli_plot_write(const char *out, const mu_text *text);
/* "a,b" with the quotes that CSV needs. */
void cli_plot_csv_cell(mu_text *text, const char *cell);
/* All digits; nothing for what is not finite. */
void cli_plot_csv_number(mu_text *text, double x);

#endif
