#include "core/text.h"
#include "registry/state.h"

#include <string.h>

static void visit_kind(const mu_registry *registry, int kind, mu_registry_visit_fn *visit, void *user)
{
    for (mu_registry_entry *e = registry->table[kind]; e; e = e->hh.next)
        visit(user, registry, e->name, e->component);
    for (mu_registry *child = registry->first_child; child; child = child->next)
        visit_kind(child, kind, visit, user);
}

void mu_registry_visit(const mu_registry *registry, mu_registry_visit_fn *visit, void *user)
{
    for (int k = 0; mu_kinds()[k].name; k++)
        visit_kind(registry, k, visit, user);
}

static size_t count_here(const mu_registry *registry)
{
    size_t n = 0;
    for (int k = 0; k < MU_MAX_KINDS; k++)
        n += HASH_COUNT(registry->table[k]);
    return n;
}

static size_t count_all(const mu_registry *registry)
{
    size_t n = count_here(registry);
    for (mu_registry *child = registry->first_child; child; child = child->next)
        n += count_all(child);
    return n;
}

static void json_of(mu_text *text, const mu_registry *registry, int depth)
{
    mu_text_printf(text, "{\"scope\": ");
    mu_text_append_json(text, registry->scope, strlen(registry->scope));
    mu_text_printf(text, ", \"count\": %zu, \"total\": %zu,\n%*s\"modules\": {", count_here(registry),
                   count_all(registry), 2 * depth + 1, "");
    const char *comma = "";
    for (int k = 0; mu_kinds()[k].name; k++) {
        if (!registry->table[k])
            continue;
        mu_text_printf(text, "%s\n%*s\"%s\": [", comma, 2 * depth + 3, "", mu_kinds()[k].name);
        for (mu_registry_entry *e = registry->table[k]; e; e = e->hh.next) {
            mu_text_append_json(text, e->name, strlen(e->name));
            mu_text_append(text, e->hh.next ? ", " : "]");
        }
        comma = ",";
    }
    mu_text_printf(text, "},\n%*s\"children\": [", 2 * depth + 1, "");
    for (mu_registry *child = registry->first_child; child; child = child->next) {
        mu_text_printf(text, "\n%*s", 2 * depth + 3, "");
        json_of(text, child, depth + 1);
        mu_text_append(text, child->next ? "," : "");
    }
    mu_text_append(text, "]}");
}

static void tree_of(mu_text *text, const mu_registry *registry, int depth)
{
    size_t n = count_here(registry);
    mu_text_printf(text, "%*s%s (%zu component%s)\n", 2 * depth, "", registry->scope, n, n == 1 ? "" : "s");
    for (int k = 0; mu_kinds()[k].name; k++) {
        if (!registry->table[k])
            continue;
        mu_text_printf(text, "%*s%s:", 2 * depth + 2, "", mu_kinds()[k].name);
        for (mu_registry_entry *e = registry->table[k]; e; e = e->hh.next)
            mu_text_printf(text, " %s", e->name);
        mu_text_append(text, "\n");
    }
    for (mu_registry *child = registry->first_child; child; child = child->next)
        tree_of(text, child, depth + 1);
}

/* Writes a text and releases it. */
static mu_err write_out(mu_text *text, FILE *file)
{
    mu_err err = mu_text_status(text);
    if (!err && fwrite(text->data, 1, text->length, file) != text->length)
        err = MU_FAIL(MU_ERR_IO, "the registry could not be written");
    mu_text_release(text);
    MU_TRY(err);
    return MU_OK;
}

mu_err mu_registry_write_json(const mu_registry *registry, FILE *file)
{
    mu_text text = {0};
    json_of(&text, registry, 0);
    mu_text_append(&text, "\n");
    MU_TRY(write_out(&text, file));
    return MU_OK;
}

mu_err mu_registry_write_tree(const mu_registry *registry, FILE *file)
{
    mu_text text = {0};
    tree_of(&text, registry, 0);
    MU_TRY(write_out(&text, file));
    return MU_OK;
}
