/* The command line: subcommands, their options and their texts. */
#ifndef MU_CLI_CLI_H
#define MU_CLI_CLI_H

#include "dist/comm.h"

#include <stdbool.h>
#include <stddef.h>

/* Values of an option that takes several: `--name a b` up to the next option, and again. */
typedef struct {
    size_t n, capacity;
    const char **v;
} cli_list;

typedef struct {
    const char *name;  /* "json", without the dashes; NULL ends the table */
    const char *value; /* what stands for the value in the help, "FILE"; NULL for a flag */
    const char *help;
    bool *flag; /* one of these */
    const char **text;
    cli_list *list;
    char letter;          /* 'o': -o FILE is the same; 0: none */
    const char *optional; /* of text: what it is when no value follows; a value then ends in ".h5" or is this */
} cli_option;

typedef struct cli_command {
    const char *name;                                                     /* "check" */
    const char *operands;                                                 /* "CONFIG", for the help */
    const char *summary;                                                  /* one line */
    const char *details;                                                  /* further lines; may be NULL */
    int (*run)(const struct cli_command *command, int argc, char **argv); /* the exit status; argv[0] is the name */
    bool computes;                                                        /* on OpenMP's threads */
} cli_command;

extern const cli_command cli_bench, cli_check, cli_ckpt, cli_config, cli_data, cli_describe, cli_env, cli_eval, cli_list_command,
    cli_plot;

/* Puts the operands into operand[0..*n_operands-1]. Returns CLI_GO, or the exit status when there is nothing to do any
 * more: 0 after --help, 2 after a mistake, which is told on stderr. least and most are the numbers of operands allowed.
 */
enum { CLI_GO = -1 };
int cli_parse(const cli_command *command, const cli_option *options, int argc, char **argv, int least, int most,
              const char **operand, int *n_operands);
void cli_list_release(cli_list *list);

/* Runs the member of a family ("data pack" of "data") that argv[1] names, or tells which there are. `operands` is for the help. */
int cli_family(const cli_command *command, const cli_command *const *members, int n, const char *operands, int argc, char **argv);

/* Tells the last error on stderr; its exit status. */
int cli_fail(mu_err err);

/* Collective. The ranks that were launched together (one when nobody launched this process); made at the first call, released at the end of
 * main. Ranks but the first then log warnings only. */
MU_CHECKED mu_err cli_comm(mu_comm **out);
/* Threads that this rank computes with, after cli_comm: OMP_NUM_THREADS, else as many as it has cores. */
int cli_threads(void);
/* The end of a command of several ranks: brings the ranks' errors together (`agreed`: that has been done), rank 0 tells them. The exit status. */
int cli_end(mu_comm *comm, mu_err err, bool agreed);

/* Tells a wrong use ("muster NAME: message", where to find help) on stderr; 2. */
int cli_misuse(const char *name, const char *format, ...) MU_PRINTF(2, 3);

/* "; did you mean 'NEAREST'?" or "". Returns buf. */
const char *cli_suggestion(const char *nearest, char *buf, size_t size);

#endif
