#include "core/mem.h"
#include "core/text.h"
#include "registry/registry.h"

#include <string.h>

enum { KEY = 96, EXPECTS = 160, DEFAULT = 96 };

/* The texts of a row; `prefix` ends in a dot or is empty. */
static void row_texts(const mu_option *o, const char *prefix, char key[KEY], char expects[EXPECTS],
                      char default_[DEFAULT])
{
    snprintf(key, KEY, "%s%s", prefix, o->key);
    mu_option_expects(o, expects, EXPECTS);
    mu_option_default(o, default_, DEFAULT);
}

typedef struct {
    int key, expects, default_;
} widths;

static void widen(int *width, const char *text, int most)
{
    int n = (int)strlen(text);
    if (n > *width)
        *width = n < most ? n : most;
}

static void measure(const mu_option *options, const char *prefix, widths *w)
{
    char key[KEY], expects[EXPECTS], default_[DEFAULT], below[KEY];
    for (const mu_option *o = options; o && o->key; o++) {
        row_texts(o, prefix, key, expects, default_);
        widen(&w->key, key, 32);
        widen(&w->expects, expects, 40);
        widen(&w->default_, default_, 16);
        if (o->type == MU_OPT_DICT) {
            snprintf(below, sizeof below, "%.*s.", KEY - 2, key);
            measure(o->fields, below, w);
        }
    }
}

static void write_rows(mu_text *text, const mu_option *options, const char *prefix, const widths *w)
{
    char key[KEY], expects[EXPECTS], default_[DEFAULT], below[KEY];
    for (const mu_option *o = options; o && o->key; o++) {
        row_texts(o, prefix, key, expects, default_);
        mu_text_printf(text, "  %-*s  %-*s  %-*s  %s%s%s%s\n", w->key, key, w->expects, expects, w->default_, default_,
                       o->help ? o->help : "", o->unit ? " [" : "", o->unit ? o->unit : "", o->unit ? "]" : "");
        if (o->type == MU_OPT_DICT) {
            snprintf(below, sizeof below, "%.*s.", KEY - 2, key);
            write_rows(text, o->fields, below, w);
        }
    }
}

static void write_text(mu_text *text, const mu_component *component)
{
    const mu_option *options = component->options;
    mu_text_printf(text, "%s (%s)\n", component->name, component->kind);
    if (component->doc)
        mu_text_printf(text, "  %s\n", component->doc);
    if (component->not_built)
        mu_text_printf(text, "  Not in this build: %s.\n", component->not_built);
    if (!options || !options->key) {
        mu_text_append(text, "\nIt has no options.\n");
        return;
    }
    widths w = {.key = 6, .expects = 5, .default_ = 7};
    measure(options, "", &w);
    mu_text_printf(text, "\n  %-*s  %-*s  %-*s  meaning\n", w.key, "option", w.expects, "value", w.default_, "default");
    write_rows(text, options, "", &w);
}

static void json_member(mu_text *text, const char *key, const char *value)
{
    mu_text_printf(text, "\"%s\": ", key);
    if (value)
        mu_text_append_json(text, value, strlen(value));
    else
        mu_text_append(text, "null");
}

static void write_json_rows(mu_text *text, const mu_option *options)
{
    char expects[EXPECTS], default_[DEFAULT];
    mu_text_append(text, "[");
    for (const mu_option *o = options; o && o->key; o++) {
        mu_option_expects(o, expects, sizeof expects);
        mu_option_default(o, default_, sizeof default_);
        mu_text_append(text, o == options ? "\n  {" : ",\n  {");
        json_member(text, "key", o->key);
        mu_text_append(text, ", ");
        json_member(text, "expects", expects);
        mu_text_printf(text, ", \"required\": %s, ", o->required ? "true" : "false");
        json_member(text, "default", o->required ? NULL : default_);
        mu_text_append(text, ", ");
        json_member(text, "unit", o->unit);
        mu_text_append(text, ", ");
        json_member(text, "help", o->help);
        if (o->type == MU_OPT_DICT) {
            mu_text_append(text, ", \"options\": ");
            write_json_rows(text, o->fields);
        }
        mu_text_append(text, "}");
    }
    mu_text_append(text, "]");
}

static void write_json(mu_text *text, const mu_component *component)
{
    mu_text_append(text, "{");
    json_member(text, "name", component->name);
    mu_text_append(text, ", ");
    json_member(text, "kind", component->kind);
    mu_text_append(text, ",\n ");
    json_member(text, "doc", component->doc);
    mu_text_append(text, ",\n ");
    json_member(text, "not_built", component->not_built);
    mu_text_append(text, ",\n \"options\": ");
    write_json_rows(text, component->options);
    mu_text_append(text, "}\n");
}

mu_err mu_component_describe(const mu_component *component, FILE *file, bool json)
{
    mu_text text = {0};
    if (json)
        write_json(&text, component);
    else
        write_text(&text, component);
    mu_err err = mu_text_status(&text);
    if (!err && fwrite(text.data, 1, text.length, file) != text.length)
        err = MU_FAIL(MU_ERR_IO, "the description of \"%s\" could not be written", component->name);
    mu_text_release(&text);
    MU_TRY(err);
    return MU_OK;
}
