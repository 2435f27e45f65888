#include "cli/cli.h"
#include "cli/inspection.h"
#include "cli/mistakes.h"
#include "config/config.h"
#include "core/mem.h"
#include "core/text.h"
#include "runner/check.h"

#include <stdio.h>
#include <stdlib.h>
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

static mu_err print_json(const char *path, const mu_diagnostics *list, const mu_inspection *inspection)
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
    mu_text_append(&text, "]");
    cli_inspection_json(&text, inspection);
    mu_text_append(&text, "}\n");
    mu_err err = mu_text_status(&text);
    if (!err)
        fputs(text.data, stdout);
    mu_text_release(&text);
    MU_TRY(err);
    return MU_OK;
}

typedef struct {
    const char *path;
    cli_list overrides;
    bool json;
    int64_t depth;
    mu_inspect_options inspect;
} check_options;

static mu_err check(const check_options *o, size_t *mistakes)
{
    mu_config *config = NULL;
    mu_diagnostics list = {0};
    mu_inspection inspection = {0};
    mu_err err;
    MU_TRY(mu_config_read(o->path, &config));
    for (size_t i = 0; i < o->overrides.n; i++)
        MU_TRY_GOTO(err, mu_config_override(config, o->overrides.v[i]), done);
    MU_TRY_GOTO(err, mu_runner_check(mu_config_root(config), &list), done);
    if (!list.n)
        MU_TRY_GOTO(err, mu_inspect(config, &o->inspect, &list, &inspection), done);
    mu_diagnostics_sort(&list);
    *mistakes = list.n;
    if (o->json)
        err = print_json(o->path, &list, &inspection);
    else if (list.n)
        err = cli_tell_mistakes(o->path, &list);
    if (!err && !o->json && !list.n) {
        printf("%s: no mistakes\n", o->path);
        cli_inspection_print(&inspection, o->inspect.ranks, (int)o->depth);
    }
done:
    mu_inspection_release(&inspection);
    mu_diagnostics_release(&list);
    mu_config_release(config);
    return err;
}

static bool read_count(const char *text, int64_t least, int64_t *out)
{
    char *end;
    long long value = strtoll(text, &end, 10);
    *out = value;
    return end != text && *end == '\0' && value >= least && value <= INT32_MAX;
}

/* "3,224,224" */
static bool read_shape(const char *text, mu_type *out)
{
    int64_t dim[3];
    char *end = (char *)text;
    for (int i = 0; i < 3; i++) {
        const char *at = end + (i > 0);
        dim[i] = strtoll(at, &end, 10);
        if (end == at || dim[i] < 1 || dim[i] > INT32_MAX || *end != (i < 2 ? ',' : '\0'))
            return false;
    }
    *out = MU_TYPE(MU_U8, dim[0], dim[1], dim[2]);
    return true;
}

static int run(const cli_command *command, int argc, char **argv)
{
    check_options o = {.inspect.ranks = 1, .depth = 2};
    const char *ranks = "1", *shape = NULL, *depth = "2";
    int64_t n_ranks;
    const cli_option options[] = {
        {.name = "ranks", .value = "N", .text = &ranks, .help = "that the run is to have (default: 1)"},
        {.name = "input-shape",
         .value = "C,H,W",
         .text = &shape,
         .help = "of an image, when the datasets are not on this machine"},
        {.name = "depth", .value = "N", .text = &depth, .help = "of the modules that are shown (default: 2)"},
        {.name = "cfg-options",
         .value = "KEY=VALUE",
         .list = &o.overrides,
         .help = "set keys, as in model.head.num_classes=10"},
        {.name = "json", .flag = &o.json, .help = "print everything as JSON on standard output"},
        {.name = NULL},
    };
    int n, status = cli_parse(command, options, argc, argv, 1, 1, &o.path, &n);
    if (status == CLI_GO && !read_count(ranks, 1, &n_ranks))
        status = cli_misuse(command->name, "--ranks takes a number from 1, not '%s'", ranks);
    else if (status == CLI_GO && !read_count(depth, 0, &o.depth))
        status = cli_misuse(command->name, "--depth takes a number from 0, not '%s'", depth);
    else if (status == CLI_GO && shape && !read_shape(shape, &o.inspect.input_shape))
        status = cli_misuse(command->name, "--input-shape takes channels, height and width as in 3,224,224, not '%s'", shape);
    if (status == CLI_GO) {
        size_t mistakes = 0;
        o.inspect.ranks = (int)n_ranks;
        mu_err err = check(&o, &mistakes);
        status = err ? cli_fail(err) : mistakes ? 2 : 0;
    }
    cli_list_release(&o.overrides);
    return status;
}

const cli_command cli_check = {
    .name = "check",
    .operands = "CONFIG",
    .summary = "Find every mistake in a config, and tell what the run would take",
    .details = "Reads CONFIG and its bases, loads the plug-ins that it names, checks each key and each component, opens the\n"
               "datasets, and traces the model: shapes, parameters, FLOPs, memory of a rank. Nothing is trained.\n"
               "Every mistake is told with its file, line and column, the key, what was expected and what was found.\n"
               "Keys that begin with '_' are yours. The exit status is 2 when there is a mistake.",
    .run = run,
};
