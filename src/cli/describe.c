#include "cli/cli.h"

#include "backend.h"
#include "core/text.h"
#include "registry/registry.h"
#include "runner/check.h"

#include <stdio.h>
#include <string.h>

typedef struct {
    const char *name;
    bool json;
    size_t n;            /* printed so far */
    const char *nearest; /* of all names that were seen */
} search;

static void consider(search *s, const char *name)
{
    s->nearest = mu_nearest(s->name, (const char *[]){s->nearest ? s->nearest : name, name}, 2);
}

static void separate(search *s)
{
    if (s->n++)
        fputs(s->json ? "," : "\n", stdout);
}

static const char *attr_kind(const mu_attr *attr)
{
    switch (attr->kind) {
    case MU_ATTR_I64: return "integer";
    case MU_ATTR_F64: return "number";
    case MU_ATTR_BOOL: return "true or false";
    case MU_ATTR_ENUM: return "choice";
    case MU_ATTR_PTR: return "pointer";
    case MU_ATTR_BYTES: return "bytes";
    }
    return "";
}

static void operation_text(mu_text *text, const mu_op *op)
{
    mu_text_printf(text, "%s (operation)\n  %s\n\n", op->name, op->doc ? op->doc : "");
    if (op->n_in_max >= MU_OP_VARIADIC)
        mu_text_printf(text, "  inputs      %d or more\n", op->n_in_min);
    else if (op->n_in_min == op->n_in_max)
        mu_text_printf(text, "  inputs      %d\n", op->n_in_min);
    else
        mu_text_printf(text, "  inputs      %d to %d\n", op->n_in_min, op->n_in_max);
    mu_text_printf(text, "  outputs     %d\n  gradient    %s\n", op->n_out, op->gradient ? "yes" : "no");
    for (const mu_attr *a = op->attrs; a && a->name; a++) {
        mu_text_printf(text, "  %s%-18s %s", a == op->attrs ? "attributes  " : "            ", a->name, attr_kind(a));
        if (a->count > 1)
            mu_text_printf(text, " [%d]", a->count);
        for (int i = 0; a->choice && a->choice[i]; i++)
            mu_text_printf(text, "%s%s", i ? ", " : ": ", a->choice[i]);
        mu_text_append(text, "\n");
    }
}

static void operation_json(mu_text *text, const mu_op *op)
{
    mu_text_printf(text, "{\"name\": \"%s\", \"kind\": \"operation\",\n \"doc\": ", op->name);
    mu_text_append_json(text, op->doc ? op->doc : "", op->doc ? strlen(op->doc) : 0);
    mu_text_printf(text, ",\n \"inputs\": [%d, %d], \"outputs\": %d, \"differentiable\": %s,\n \"attributes\": [",
                   op->n_in_min, op->n_in_max, op->n_out, op->gradient ? "true" : "false");
    for (const mu_attr *a = op->attrs; a && a->name; a++) {
        mu_text_printf(text, "%s\n  {\"name\": \"%s\", \"type\": \"%s\", \"count\": %d, \"choices\": [",
                       a == op->attrs ? "" : ",", a->name, attr_kind(a), a->count);
        for (int i = 0; a->choice && a->choice[i]; i++)
            mu_text_printf(text, "%s\"%s\"", i ? ", " : "", a->choice[i]);
        mu_text_append(text, "]}");
    }
    mu_text_append(text, "]}\n");
}

static mu_err describe_operation(search *s)
{
    for (const mu_op *const *op = mu_op_builtins(); *op; op++)
        consider(s, (*op)->name);
    const mu_op *op = mu_op_find(s->name);
    if (!op)
        return MU_OK;
    separate(s);
    mu_text text = {0};
    if (s->json)
        operation_json(&text, op);
    else
        operation_text(&text, op);
    mu_err err = mu_text_status(&text);
    if (!err)
        fputs(text.data, stdout);
    mu_text_release(&text);
    MU_TRY(err);
    return MU_OK;
}

/* A backend is told as a component without options. */
static mu_err describe_backend(search *s)
{
    mu_backend_info info;
    for (int i = 0; mu_backend_at(i, &info); i++) {
        consider(s, info.name);
        if (strcmp(info.name, s->name) != 0)
            continue;
        separate(s);
        mu_component c = {
            .kind = "backend", .name = info.name, .doc = info.ops ? info.ops->doc : NULL, .not_built = info.ops ? NULL : info.why_off};
        MU_TRY(mu_component_describe(&c, stdout, s->json));
        if (info.ops && info.why_off && !s->json)
            printf("  Off here: %s.\n", info.why_off);
    }
    return MU_OK;
}

static void consider_component(void *user, const mu_registry *registry, const char *name, const mu_component *component)
{
    (void)registry;
    (void)component;
    consider(user, name);
}

static mu_err describe_all(search *s)
{
    mu_registry *root = NULL;
    MU_TRY(mu_registry_root(&root));
    mu_registry_visit(root, consider_component, s);
    for (const mu_kind *k = mu_kinds(); k->name; k++) {
        const mu_component *component = mu_registry_get(root, k->name, s->name);
        if (!component)
            continue;
        separate(s);
        MU_TRY(mu_component_describe(component, stdout, s->json));
    }
    if (strcmp(s->name, "config") == 0) {
        separate(s);
        mu_component keys = {
            .kind = "runner", .name = "config", .doc = "The top level of a config.", .options = mu_runner_keys()};
        MU_TRY(mu_component_describe(&keys, stdout, s->json));
    }
    MU_TRY(describe_backend(s));
    MU_TRY(describe_operation(s));
    return MU_OK;
}

static int run(const cli_command *command, int argc, char **argv)
{
    cli_list plugins = {0};
    search s = {0};
    const cli_option options[] = {
        {.name = "json", .flag = &s.json, .help = "print a JSON array with one object for each thing of that name"},
        {.name = "plugin", .value = "NAME", .list = &plugins, .help = "load plug-ins first"},
        {.name = NULL},
    };
    int n, status = cli_parse(command, options, argc, argv, 1, 1, &s.name, &n);
    if (status == CLI_GO) {
        mu_err err = MU_OK;
        for (size_t i = 0; i < plugins.n && !err; i++)
            err = mu_plugin_load(plugins.v[i], NULL);
        if (!err && s.json)
            fputs("[", stdout);
        if (!err)
            err = describe_all(&s);
        if (!err && s.json)
            fputs("]\n", stdout);
        char text[96];
        status = err   ? cli_fail(err)
                 : s.n ? 0
                       : cli_misuse(command->name, "there is no component, backend or operation '%s'%s", s.name,
                                    cli_suggestion(s.nearest, text, sizeof text));
    }
    cli_list_release(&plugins);
    return status;
}

const cli_command cli_describe = {
    .name = "describe",
    .operands = "NAME",
    .summary = "Tell what a component, a backend or an operation does and which options it takes",
    .details =
        "NAME is as in a config, with a scope where one is needed (scope.Name); 'config' tells the top-level keys.",
    .run = run,
};
