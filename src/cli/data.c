#include "config.h"

#include "cli/cli.h"
#include "cli/data.h"

static const cli_command *const commands[] = {&cli_data_pack, &cli_data_info, &cli_data_verify};

static int run(const cli_command *command, int argc, char **argv)
{
    return cli_family(command, commands, sizeof commands / sizeof commands[0], "FILE", argc, argv);
}

const cli_command cli_data = {
    .name = "data",
    .operands = "pack|info|verify",
    .summary = "Make, show and check dataset files",
    .run = run,
};
