#include "cli/cli.h"

#include "backend.h"
#include "core/text.h"
#include "registry/registry.h"

#include <stdio.h>
#include <string.h>

typedef struct {
    const char *kind;
    size_t n;
    bool json, print;
} visit_state;

/* The first sentence of a text; "et al. 2013" ends none. */
static int sentence(const char *doc)
{
    const char *end = doc ? strstr(doc, ". ") : NULL;
    while (end && end[2] >= '0' && end[2] <= '9')
        end = strstr(end + 2, ". ");
    return end ? (int)(end - doc + 1) : doc ? (int)strcspn(doc, "\n") : 0;
}

static void print_json_row(const char *scope, const char *name, const char *doc, const char *not_built, bool first)
{
    mu_text text = {0};
    const char *const values[] = {scope, name, doc, not_built};
    static const char *const keys[] = {"scope", "name", "doc", "not_built"};
    mu_text_append(&text, first ? "\n  {" : ",\n  {");
    for (int i = 0; i < 4; i++) {
        mu_text_printf(&text, "%s\"%s\": ", i ? ", " : "", keys[i]);
        if (values[i])
            mu_text_append_json(&text, values[i], strlen(values[i]));
        else
            mu_text_append(&text, "null");
    }
    mu_text_append(&text, "}");
    if (mu_text_status(&text) == MU_OK)
        fputs(text.data, stdout);
    mu_text_release(&text);
}

static void print_row(const char *scope, const char *name, const char *doc, const char *not_built)
{
    char full[96];
    snprintf(full, sizeof full, "%s%s%s", scope, scope[0] ? "." : "", name);
    printf("%-24s %.*s%s%s%s\n", full, sentence(doc), doc ? doc : "", not_built ? "(off: " : "",
           not_built ? not_built : "", not_built ? ")" : "");
}

static void visit(void *user, const mu_registry *registry, const char *name, const mu_component *component)
{
    visit_state *s = user;
    const char *scope = mu_registry_scope(registry);
    if (strcmp(component->kind, s->kind) != 0)
        return;
    if (s->print && s->json)
        print_json_row(scope, name, component->doc, component->not_built, s->n == 0);
    else if (s->print)
        print_row(strcmp(scope, "muster") == 0 ? "" : scope, name, component->not_built ? NULL : component->doc,
                  component->not_built);
    s->n++;
}

/* Backends are devices' tables rather than entries of the registry. */
static void visit_backends(visit_state *s)
{
    mu_backend_info info;
    for (int i = 0; mu_backend_at(i, &info); i++, s->n++) {
        const char *doc = info.ops ? info.ops->doc : NULL;
        if (s->print && s->json)
            print_json_row("muster", info.name, doc, info.why_off, s->n == 0);
        else if (s->print)
            print_row("", info.name, info.why_off ? NULL : doc, info.why_off);
    }
}

static void visit_operations(visit_state *s)
{
    for (const mu_op *const *op = mu_op_builtins(); *op; op++, s->n++) {
        if (s->print && s->json)
            print_json_row("muster", (*op)->name, (*op)->doc, NULL, s->n == 0);
        else if (s->print)
            print_row("", (*op)->name, (*op)->doc, NULL);
    }
}

static void visit_kind(const mu_registry *root, visit_state *s)
{
    if (strcmp(s->kind, "operation") == 0)
        visit_operations(s);
    else if (strcmp(s->kind, "backend") == 0)
        visit_backends(s);
    mu_registry_visit(root, visit, s);
}

static const char operation_doc[] = "a step of a graph: convolution, addition, loss";

static int list_kinds(const mu_registry *root)
{
    for (const mu_kind *k = mu_kinds(); k->name; k++) {
        visit_state s = {.kind = k->name};
        visit_kind(root, &s);
        printf("%-26s %4zu  %s\n", k->name, s.n, k->doc);
    }
    visit_state s = {.kind = "operation"};
    visit_kind(root, &s);
    printf("%-26s %4zu  %s\n", s.kind, s.n, operation_doc);
    return 0;
}

static int list_kind(const cli_command *command, const mu_registry *root, const char *kind, bool json)
{
    const char *nearest = NULL;
    char text[64];
    bool known = strcmp(kind, "operation") == 0;
    for (const mu_kind *k = mu_kinds(); k->name && !known; k++) {
        known = strcmp(k->name, kind) == 0;
        nearest = mu_nearest(kind, (const char *[]){nearest ? nearest : k->name, k->name, "operation"}, 3);
    }
    if (!known)
        return cli_misuse(command->name, "there is no kind '%s'%s", kind, cli_suggestion(nearest, text, sizeof text));
    visit_state s = {.kind = kind, .json = json, .print = true};
    if (json)
        fputs("[", stdout);
    visit_kind(root, &s);
    if (json)
        fputs("]\n", stdout);
    else if (s.n == 0)
        fprintf(stderr, "muster: this build and its plug-ins have no %s\n", kind);
    return 0;
}

static int run(const cli_command *command, int argc, char **argv)
{
    bool json = false, tree = false;
    cli_list plugins = {0};
    const cli_option options[] = {
        {.name = "json", .flag = &json, .help = "print JSON: without KIND all scopes, their counts, kinds and names"},
        {.name = "tree", .flag = &tree, .help = "print all scopes with their components"},
        {.name = "plugin", .value = "NAME", .list = &plugins, .help = "load plug-ins first"},
        {.name = NULL},
    };
    const char *kind = NULL;
    mu_registry *root = NULL;
    int n, status = cli_parse(command, options, argc, argv, 0, 1, &kind, &n);
    if (status == CLI_GO) {
        mu_err err = mu_registry_root(&root);
        for (size_t i = 0; i < plugins.n && !err; i++)
            err = mu_plugin_load(plugins.v[i], NULL);
        if (!err && !kind && (json || tree))
            err = json ? mu_registry_write_json(root, stdout) : mu_registry_write_tree(root, stdout);
        else if (!err)
            status = kind ? list_kind(command, root, kind, json) : list_kinds(root);
        status = err ? cli_fail(err) : status == CLI_GO ? 0 : status;
    }
    cli_list_release(&plugins);
    return status;
}

const cli_command cli_list_command = {
    .name = "list",
    .operands = "[KIND]",
    .summary = "List the components of this build and of plug-ins, the backends and the operations",
    .details = "Without KIND, the kinds and how many components each has.",
    .run = run,
};
