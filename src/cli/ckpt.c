#include "cli/ckpt.h"

#include "core/mem.h"

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

static int run(const cli_command *command, int argc, char **argv)
{
    return cli_family(command, commands, sizeof commands / sizeof commands[0], "FILE...", argc, argv);
}

const cli_command cli_ckpt = {
    .name = "ckpt",
    .operands = "info|verify|diff",
    .summary = "Show, check and compare checkpoints",
    .run = run,
};
