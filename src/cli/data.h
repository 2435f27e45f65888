/* What the subcommands of `muster data` share. */
#ifndef MU_CLI_DATA_H
#define MU_CLI_DATA_H

#include "cli/cli.h"

extern const cli_command cli_data_pack, cli_data_info, cli_data_verify;

#endif
