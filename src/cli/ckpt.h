/* What the subcommands of `muster ckpt` share. */
#ifndef MU_CLI_CKPT_H
#define MU_CLI_CKPT_H

#include "cli/cli.h"
#include "runner/checkpoint.h"

extern const cli_command cli_ckpt_info, cli_ckpt_verify, cli_ckpt_diff;

MU_CHECKED mu_err cli_ckpt_open(const char *path, mu_tensor_file **out);
/* The bytes of dataset i; freed by mu_free. */
MU_CHECKED mu_err cli_ckpt_read(const mu_tensor_file *file, int i, void **out);

#endif
