#include "cli/ckpt.h"

#include "core/mem.h"

#include <stdio.h>
#include <string.h>

mu_err cli_ckpt_open(const char *path, mu_tensor_file **out)
{
    return mu_tensor_file_open(path, MU_CHECKPOINT_FORMAT, MU_CHECKPOINT_VERSION, out);
}

mu_err cli_ckpt_read(const mu_tensor_file *file, int i, void **out)
{
    size_t bytes = mu_type_bytes(&mu_tensor_file_at(file, i)->type);
    void *data;
    MU_TRY(mu_alloc(&data, bytes));
    mu_err err = mu_tensor_file_read(file, i, data, bytes);
    if (err) {
        mu_free(data);
        return err;
    }
    *out = data;
    return MU_OK;
}

static const cli_command *const commands[] = {&cli_ckpt_info, &cli_ckpt_verify, &cli_ckpt_diff};
enum { N_COMMANDS = sizeof commands / sizeof commands[0] };

static void print_usage(FILE *file)
{
    fputs("usage: muster ckpt COMMAND [options] FILE...\n\ncommands:\n", file);
    for (int i = 0; i < N_COMMANDS; i++)
        fprintf(file, "  %-8s %s\n", strchr(commands[i]->name, ' ') + 1, commands[i]->summary);
    fputs("\nmuster ckpt COMMAND --help tells more.\n", file);
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

const cli_command cli_ckpt = {
    .name = "ckpt",
    .operands = "info|verify|diff",
    .summary = "Show, check and compare checkpoints",
    .run = run,
};
