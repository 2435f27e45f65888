#include "cli/cli.h"
#include "config/config.h"
#include "core/mem.h"
#include "core/text.h"
#include "runner/check.h"

#include <stdio.h>
#include <string.h>

static void json_string(mu_text *text, const char *key, const char *value, const char *after)
{
    mu_text_printf(text, "\"%s\": ", key);
    if (value)
        mu_text_append_json(text, value, strlen(value));
    else
        mu_text_append(text, "null");
    mu_text_append(text, after);
}

static mu_err print_json(const char *path, const mu_diagnostics *list)
{
    mu_text text = {0};
    mu_text_append(&text, "{");
    json_string(&text, "config", path, ", ");
    mu_text_printf(&text, "\"count\": %zu, \"mistakes\": [", list->n);
    for (size_t i = 0; i < list->n; i++) {
        const mu_diagnostic *d = &list->item[i];
        mu_text_append(&text, i ? ",\n  {" : "\n  {");
        json_string(&text, "file", d->pos.file, ", ");
        mu_text_printf(&text, "\"line\": %d, \"column\": %d, ", d->pos.line, d->pos.column);
        json_string(&text, "path", d->path, ", ");
        json_string(&text, "expected", d->expected, ", ");
        json_string(&text, "found", d->found, ", ");
        json_string(&text, "nearest", d->nearest, "}");
    }
    mu_text_append(&text, "]}\n");
    mu_err err = mu_text_status(&text);
    if (!err)
        fputs(text.data, stdout);
    mu_text_release(&text);
    MU_TRY(err);
    return MU_OK;
}

static mu_err print_text(const char *path, const mu_diagnostics *list)
{
    for (size_t i = 0; i < list->n; i++) {
        char *line;
        size_t n = mu_diagnostic_format(&list->item[i], NULL, 0) + 1;
        MU_TRY(mu_alloc(&line, n));
        mu_diagnostic_format(&list->item[i], line, n);
        fprintf(stderr, "%s\n", line);
        mu_free(line);
    }
    if (list->n)
        fprintf(stderr, "muster: %zu %s in %s\n", list->n, list->n == 1 ? "mistake" : "mistakes", path);
    else
        printf("%s: no mistakes\n", path);
    return MU_OK;
}

static mu_err check(const char *path, const cli_list *overrides, bool json, size_t *mistakes)
{
    mu_config *config = NULL;
    mu_diagnostics list = {0};
    mu_err err;
    MU_TRY(mu_config_read(path, &config));
    for (size_t i = 0; i < overrides->n; i++)
        MU_TRY_GOTO(err, mu_config_override(config, overrides->v[i]), done);
    MU_TRY_GOTO(err, mu_runner_check(mu_config_root(config), &list), done);
    mu_diagnostics_sort(&list);
    *mistakes = list.n;
    err = json ? print_json(path, &list) : print_text(path, &list);
done:
    mu_diagnostics_release(&list);
    mu_config_release(config);
    return err;
}

static int run(const cli_command *command, int argc, char **argv)
{
    bool json = false;
    cli_list overrides = {0};
    const cli_option options[] = {
        {.name = "cfg-options",
         .value = "KEY=VALUE",
         .list = &overrides,
         .help = "set keys, as in model.head.num_classes=10"},
        {.name = "json", .flag = &json, .help = "print the mistakes as JSON on standard output"},
        {.name = NULL},
    };
    const char *path;
    int n, status = cli_parse(command, options, argc, argv, 1, 1, &path, &n);
    if (status == CLI_GO) {
        size_t mistakes = 0;
        mu_err err = check(path, &overrides, json, &mistakes);
        status = err ? cli_fail(err) : mistakes ? 2 : 0;
    }
    cli_list_release(&overrides);
    return status;
}

const cli_command cli_check = {
    .name = "check",
    .operands = "CONFIG",
    .summary = "Find every mistake in a config, without a GPU and without training",
    .details = "Reads CONFIG and its bases, loads the plug-ins that it names, and checks each key and each component.\n"
               "Every mistake is told with its file, line and column, the key, what was expected and what was found.\n"
               "Keys that begin with '_' are yours. The exit status is 2 when there is a mistake.",
    .run = run,
};
