/* What the subcommands of `muster data` share. */
#ifndef MU_CLI_DATA_H
#define MU_CLI_DATA_H

#include "cli/cli.h"

#include <stdint.h>

extern const cli_command cli_data_pack, cli_data_info, cli_data_verify;

/* One line that is written over, on a terminal only: "images 42 %". Ended by done == total. */
void cli_progress(const char *what, int64_t done, int64_t total);

#endif
