#include "cli/cli.h"

#include "core/mem.h"
#include "core/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int cli_fail(mu_err err)
{
    char text[2 * MU_ERROR_TEXT + 32];
    mu_error_format(mu_error_last(), 0, text, sizeof text);
    fprintf(stderr, "muster: %s\n", text);
    return mu_err_exit_status(err);
}

int cli_misuse(const char *name, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "muster%s%s: ", name[0] ? " " : "", name);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\n  hint: muster%s%s --help\n", name[0] ? " " : "", name);
    return 2;
}

const char *cli_suggestion(const char *nearest, char *buf, size_t size)
{
    snprintf(buf, size, nearest ? "; did you mean '%s'?" : "", nearest ? nearest : "");
    return buf;
}

static void print_help(const cli_command *command, const cli_option *options)
{
    bool any = options && options->name;
    printf("usage: muster %s %s%s%s\n\n%s.\n", command->name, any ? "[options]" : "",
           any && command->operands[0] ? " " : "", command->operands, command->summary);
    if (command->details)
        printf("%s\n", command->details);
    puts("\noptions:");
    for (const cli_option *o = options; o && o->name; o++) {
        char left[64];
        const char letter[] = {'-', o->letter, ',', ' ', '\0'};
        snprintf(left, sizeof left, "%s--%s%s%s%s%s", o->letter ? letter : "", o->name, o->optional ? " [" : o->value ? " " : "",
                 o->value ? o->value : "", o->list ? " ..." : "", o->optional ? "]" : "");
        printf("  %-28s %s\n", left, o->help);
    }
    printf("  %-28s %s\n", "--help", "show this text");
}

static const cli_option *find(const cli_option *options, const char *name, size_t n)
{
    for (const cli_option *o = options; o && o->name; o++)
        if (strlen(o->name) == n && memcmp(o->name, name, n) == 0)
            return o;
    return NULL;
}

static int unknown_option(const cli_command *command, const cli_option *options, const char *arg)
{
    const char *nearest = NULL;
    char word[64], text[96], dashed[80];
    snprintf(word, sizeof word, "%.*s", (int)strcspn(arg + 2, "="), arg + 2);
    for (const cli_option *o = options; o && o->name; o++)
        nearest = mu_nearest(word, (const char *[]){nearest ? nearest : o->name, o->name}, 2);
    snprintf(dashed, sizeof dashed, "--%s", nearest ? nearest : "");
    return cli_misuse(command->name, "unknown option '%s'%s", arg,
                      cli_suggestion(nearest ? dashed : NULL, text, sizeof text));
}

static int add_value(cli_list *list, const char *value)
{
    mu_err err = mu_grow(&list->v, &list->capacity, list->n + 1, sizeof *list->v);
    if (err)
        return cli_fail(err);
    list->v[list->n++] = value;
    return CLI_GO;
}

static bool is_option(const char *arg)
{
    return arg[0] == '-' && arg[1] == '-' && arg[2];
}

/* "-o" for the option that has this letter. */
static const cli_option *find_letter(const cli_option *options, const char *arg)
{
    for (const cli_option *o = options; arg[0] == '-' && arg[1] && !arg[2] && o && o->name; o++)
        if (o->letter == arg[1])
            return o;
    return NULL;
}

static bool is_optional_value(const cli_option *option, const char *arg)
{
    size_t n = strlen(arg);
    return strcmp(arg, option->optional) == 0 || (n > 3 && strcmp(arg + n - 3, ".h5") == 0);
}

/* One option at argv[*at]; *at is left on the last argument it used. */
static int parse_option(const cli_command *command, const cli_option *options, int argc, char **argv, int *at)
{
    const char *arg = argv[*at], *equals = strchr(arg, '=');
    const cli_option *o = find_letter(options, arg);
    if (!o)
        o = find(options, arg + 2, equals ? (size_t)(equals - arg - 2) : strlen(arg + 2));
    if (!o)
        return unknown_option(command, options, arg);
    if (o->flag) {
        if (equals)
            return cli_misuse(command->name, "option '--%s' takes no value", o->name);
        *o->flag = true;
        return CLI_GO;
    }
    if (o->optional && !equals && !(*at + 1 < argc && is_optional_value(o, argv[*at + 1]))) {
        *o->text = o->optional;
        return CLI_GO;
    }
    if (!equals && (*at + 1 >= argc || is_option(argv[*at + 1])))
        return cli_misuse(command->name, "option '--%s' needs a value: %s", o->name, o->value);
    const char *value = equals ? equals + 1 : argv[++*at];
    if (o->text) {
        *o->text = value;
        return CLI_GO;
    }
    int status = add_value(o->list, value);
    while (status == CLI_GO && !equals && *at + 1 < argc && !is_option(argv[*at + 1]) &&
           strcmp(argv[*at + 1], "--") != 0)
        status = add_value(o->list, argv[++*at]);
    return status;
}

/* An option of several values may have taken it. */
static int missing_operand(const cli_command *command, const cli_option *options, const char *last)
{
    for (const cli_option *o = options; o && o->name; o++)
        if (o->list && o->list->n > 1 && o->list->v[o->list->n - 1] == last)
            return cli_misuse(command->name, "an argument is missing: %s; '--%s' takes all that follow it, and took '%s'", command->operands,
                              o->name, last);
    return cli_misuse(command->name, "an argument is missing: %s", command->operands);
}

int cli_parse(const cli_command *command, const cli_option *options, int argc, char **argv, int least, int most,
              const char **operand, int *n_operands)
{
    bool only_operands = false;
    int n = 0;
    for (int i = 1; i < argc; i++) {
        if (!only_operands && strcmp(argv[i], "--") == 0) {
            only_operands = true;
        } else if (!only_operands && (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)) {
            print_help(command, options);
            return 0;
        } else if (!only_operands && (is_option(argv[i]) || find_letter(options, argv[i]))) {
            int status = parse_option(command, options, argc, argv, &i);
            if (status != CLI_GO)
                return status;
        } else if (!only_operands && argv[i][0] == '-' && argv[i][1]) {
            return cli_misuse(command->name, "unknown option '%s'; options have two dashes", argv[i]);
        } else if (n == most) {
            return most > 3 ? cli_misuse(command->name, "unexpected argument '%s': %d are the most", argv[i], most)
                            : cli_misuse(command->name, "unexpected argument '%s'", argv[i]);
        } else {
            operand[n++] = argv[i];
        }
    }
    if (n < least)
        return missing_operand(command, options, argv[argc - 1]);
    *n_operands = n;
    return CLI_GO;
}

void cli_list_release(cli_list *list)
{
    mu_free(list->v);
    *list = (cli_list){0};
}
