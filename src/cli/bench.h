/* Commands of `muster bench`. */
#ifndef MU_CLI_BENCH_H
#define MU_CLI_BENCH_H

#include "cli/cli.h"

extern const cli_command cli_bench_comm;

#endif
