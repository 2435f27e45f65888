#include "config.h"

#include "cli/cli.h"
#include "cli/data.h"

#include <stdio.h>
#include <string.h>

static const cli_command *const commands[] = {&cli_data_pack, &cli_data_info, &cli_data_verify};
enum { N_COMMANDS = sizeof commands / sizeof commands[0] };

static void print_usage(FILE *file)
{
    fputs("usage: muster data COMMAND [options] FILE\n\ncommands:\n", file);
    for (int i = 0; i < N_COMMANDS; i++)
        fprintf(file, "  %-8s %s\n", strchr(commands[i]->name, ' ') + 1, commands[i]->summary);
    fputs("\nmuster data COMMAND --help tells more.\n", file);
}

static int run(const cli_command *command, int argc, char **argv)
{
    if (argc < 2) {
        print_usage(stderr);
        return 2;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        print_usage(stdout);
        return 0;
    }
    for (int i = 0; i < N_COMMANDS; i++)
        if (strcmp(strchr(commands[i]->name, ' ') + 1, argv[1]) == 0)
            return commands[i]->run(commands[i], argc - 1, argv + 1);
    return cli_misuse(command->name, "unknown %s '%s'", argv[1][0] == '-' ? "option" : "command", argv[1]);
}

const cli_command cli_data = {
    .name = "data",
    .operands = "pack|info|verify",
    .summary = "Make, show and check dataset files",
    .run = run,
};
