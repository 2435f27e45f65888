#include "cli/bench.h"

static const cli_command *const commands[] = {&cli_bench_comm};

static int run(const cli_command *command, int argc, char **argv)
{
    return cli_family(command, commands, sizeof commands / sizeof commands[0], "", argc, argv);
}

const cli_command cli_bench = {
    .name = "bench",
    .operands = "COMMAND",
    .summary = "Measure this machine: the network between ranks, and files",
    .run = run,
};
