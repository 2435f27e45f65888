#include "config.h"

#include "cli/cli.h"
#include "cli/comm.h"
#include "cli/run.h"
#include "cli/spin.h"
#include "core/log.h"
#include "core/text.h"
#include "registry/registry.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const cli_command *const commands[] = {
    &cli_train, &cli_val,  &cli_test,     &cli_eval, &cli_check, &cli_bench, &cli_data,
    &cli_ckpt,  &cli_plot, &cli_describe, &cli_config, &cli_env,   &cli_list_command,
};
enum { N_COMMANDS = sizeof commands / sizeof commands[0] };

static void print_usage(FILE *file)
{
    fputs("usage: muster COMMAND [arguments]\n\ncommands:\n", file);
    for (int i = 0; i < N_COMMANDS; i++)
        fprintf(file, "  %-12s %s\n", commands[i]->name, commands[i]->summary);
    fputs("\nmuster COMMAND --help tells more; muster --version tells the version.\n"
          "Exit status: 0 done, 1 failed, 2 wrong use or a mistake in a config, 75 stopped by a signal: run it again,\n"
          "76 ended by the monitor: a rank hung or was stopped.\n",
          file);
}

static int unknown_command(const char *word)
{
    const char *nearest = NULL;
    char text[64];
    for (int i = 0; i < N_COMMANDS; i++)
        nearest = mu_nearest(word, (const char *[]){nearest ? nearest : commands[i]->name, commands[i]->name}, 2);
    return cli_misuse("", "unknown command '%s'%s", word, cli_suggestion(nearest, text, sizeof text));
}

static int dispatch(int argc, char **argv)
{
    mu_err err = mu_log_configure(0, 0);
    if (err)
        return cli_fail(err);
    if (argc < 2) {
        print_usage(stderr);
        return 2;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        print_usage(stdout);
        return 0;
    }
    if (strcmp(argv[1], "--version") == 0) {
        puts("muster " PACKAGE_VERSION);
        return 0;
    }
    if (argv[1][0] == '-')
        return cli_misuse("", "unknown option '%s'", argv[1]);
    for (int i = 0; i < N_COMMANDS; i++)
        if (strcmp(commands[i]->name, argv[1]) == 0) {
            if (commands[i]->computes)
                cli_limit_spinning(argv);
            return commands[i]->run(commands[i], argc - 1, argv + 1);
        }
    return unknown_command(argv[1]);
}

/* No file that is opened later may become standard output or error, and get what is said there. Writing to what was closed still fails. */
static void hold_standard_files(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDONLY) != fd)
            return;
}

int main(int argc, char **argv)
{
    hold_standard_files();
    int status = dispatch(argc, argv);
    mu_registry_reset();
    cli_comm_release();
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "muster: standard output could not be written: %s\n", strerror(errno));
        return 1;
    }
    return status;
}
