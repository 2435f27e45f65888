#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

/* "pack" of "data pack" */
static const char *own_name(const cli_command *member)
{
    return strchr(member->name, ' ') + 1;
}

static void print_usage(FILE *file, const cli_command *command, const cli_command *const *members, int n, const char *operands)
{
    int width = 8;
    fprintf(file, "usage: muster %s COMMAND [options] %s\n\ncommands:\n", command->name, operands);
    for (int i = 0; i < n; i++) {
        int length = (int)strlen(own_name(members[i]));
        width = length + 1 > width ? length + 1 : width;
    }
    for (int i = 0; i < n; i++)
        fprintf(file, "  %-*s %s\n", width, own_name(members[i]), members[i]->summary);
    fprintf(file, "\nmuster %s COMMAND --help tells more.\n", command->name);
}

int cli_family(const cli_command *command, const cli_command *const *members, int n, const char *operands, int argc, char **argv)
{
    if (argc < 2) {
        print_usage(stderr, command, members, n, operands);
        return 2;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        print_usage(stdout, command, members, n, operands);
        return 0;
    }
    for (int i = 0; i < n; i++)
        if (strcmp(own_name(members[i]), argv[1]) == 0)
            return members[i]->run(members[i], argc - 1, argv + 1);
    return cli_misuse(command->name, "unknown %s '%s'", argv[1][0] == '-' ? "option" : "command", argv[1]);
}
