#include "registry/option.h"

#include "core/mem.h"
#include "core/text.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* What the elements of a list option are; the type itself for others. */
static mu_option_type element_of(mu_option_type type)
{
    return type == MU_OPT_INTS      ? MU_OPT_INT
           : type == MU_OPT_FLOATS  ? MU_OPT_FLOAT
           : type == MU_OPT_STRINGS ? MU_OPT_STRING
                                    : type;
}

static void MU_PRINTF(3, 4) add(char *buf, size_t size, const char *format, ...)
{
    size_t at = strlen(buf);
    va_list args;
    va_start(args, format);
    vsnprintf(buf + at, size - at, format, args);
    va_end(args);
}

static void add_choices(const mu_option *option, char *buf, size_t size)
{
    add(buf, size, "one of ");
    for (int i = 0; option->choices[i]; i++)
        add(buf, size, "%s%s", i ? ", " : "", option->choices[i]);
}

static void add_bounds(const mu_option *option, char *buf, size_t size)
{
    if (option->bounded_below && option->bounded_above && !option->above_min)
        add(buf, size, " from %.15g to %.15g", option->min, option->max);
    else if (option->bounded_below)
        add(buf, size, " %s %.15g", option->above_min ? ">" : ">=", option->min);
    if (option->bounded_above && !(option->bounded_below && !option->above_min))
        add(buf, size, "%s <= %.15g", option->bounded_below ? " and" : "", option->max);
}

static void add_list(const mu_option *option, const char *elements, char *buf, size_t size)
{
    if (option->bare_item)
        add(buf, size, "%.*s or ", (int)strlen(elements) - 1, elements);
    if (option->min_items && option->min_items == option->max_items)
        add(buf, size, "list of %zu %s", option->min_items, elements);
    else if (option->min_items && option->max_items)
        add(buf, size, "list of %zu to %zu %s", option->min_items, option->max_items, elements);
    else if (option->min_items)
        add(buf, size, "list of %zu or more %s", option->min_items, elements);
    else if (option->max_items)
        add(buf, size, "list of at most %zu %s", option->max_items, elements);
    else
        add(buf, size, "list of %s", elements);
}

const char *mu_option_expects(const mu_option *option, char *buf, size_t size)
{
    const char *kind = option->component_kind;
    buf[0] = '\0';
    switch (option->type) {
    case MU_OPT_BOOL: add(buf, size, "true or false"); break;
    case MU_OPT_INT: add(buf, size, "integer"); break;
    case MU_OPT_FLOAT: add(buf, size, "number"); break;
    case MU_OPT_STRING:
        if (option->choices)
            add_choices(option, buf, size);
        else
            add(buf, size, "string");
        break;
    case MU_OPT_CHOICE: add_choices(option, buf, size); break;
    case MU_OPT_INTS: add_list(option, "integers", buf, size); break;
    case MU_OPT_FLOATS: add_list(option, "numbers", buf, size); break;
    case MU_OPT_STRINGS:
        add_list(option, "strings", buf, size);
        if (option->choices) {
            add(buf, size, ", each ");
            add_choices(option, buf, size);
        }
        break;
    case MU_OPT_COMPONENT: add(buf, size, "dictionary with the type of %s %s", mu_article(kind), kind); break;
    case MU_OPT_COMPONENTS:
        add(buf, size, "list of dictionaries with the type of %s %s", mu_article(kind), kind);
        break;
    case MU_OPT_COMPONENT_MAP:
        add(buf, size, "dictionary of names, each with a dictionary with the type of %s %s", mu_article(kind), kind);
        break;
    case MU_OPT_DICT: add(buf, size, "dictionary"); break;
    case MU_OPT_ANY: add(buf, size, "any value"); break;
    }
    add_bounds(option, buf, size);
    if (option->nullable)
        add(buf, size, " or null");
    return buf;
}

const char *mu_option_default(const mu_option *option, char *buf, size_t size)
{
    const char *text = option->text_default;
    if (option->required)
        snprintf(buf, size, "required");
    else if (text)
        snprintf(buf, size, "%s", text);
    else if (option->type == MU_OPT_BOOL)
        snprintf(buf, size, "%s", option->boolean_default ? "true" : "false");
    else if (option->type == MU_OPT_INT)
        snprintf(buf, size, "%lld", (long long)option->int_default);
    else if (option->type == MU_OPT_FLOAT)
        snprintf(buf, size, "%.15g", option->float_default);
    else if (option->type == MU_OPT_CHOICE)
        snprintf(buf, size, "%s", option->choices[option->int_default]);
    else if (option->type == MU_OPT_INTS || option->type == MU_OPT_FLOATS || option->type == MU_OPT_STRINGS)
        snprintf(buf, size, "[]");
    else
        snprintf(buf, size, "null");
    return buf;
}

static bool is_choice(const mu_option *option, const char *text, int *index)
{
    for (int i = 0; option->choices && option->choices[i]; i++)
        if (strcmp(option->choices[i], text) == 0) {
            *index = i;
            return true;
        }
    return !option->choices;
}

static bool in_bounds(const mu_option *option, double x)
{
    if (option->bounded_below && !(option->above_min ? x > option->min : x >= option->min))
        return false;
    return !option->bounded_above || x <= option->max;
}

/* Is `value` of a scalar option type, in its bounds, one of its choices? */
static bool scalar_fits(const mu_option *option, mu_option_type type, const mu_cfg *value)
{
    mu_cfg_kind kind = mu_cfg_kind_of(value);
    int index;
    switch (type) {
    case MU_OPT_BOOL: return kind == MU_CFG_BOOL;
    case MU_OPT_INT: return kind == MU_CFG_INT && in_bounds(option, (double)mu_cfg_int(value));
    case MU_OPT_FLOAT: return (kind == MU_CFG_INT || kind == MU_CFG_FLOAT) && in_bounds(option, mu_cfg_float(value));
    case MU_OPT_STRING:
    case MU_OPT_CHOICE: return kind == MU_CFG_STRING && is_choice(option, mu_cfg_string(value), &index);
    case MU_OPT_COMPONENT:
    case MU_OPT_COMPONENT_MAP:
    case MU_OPT_DICT: return kind == MU_CFG_DICT;
    case MU_OPT_COMPONENTS: return kind == MU_CFG_LIST || kind == MU_CFG_DICT;
    default: return true;
    }
}

/* The items of the value of a list option: of a list, or the element alone. */
static size_t n_items(const mu_cfg *value)
{
    return mu_cfg_kind_of(value) == MU_CFG_LIST ? mu_cfg_size(value) : 1;
}

static const mu_cfg *item_at(const mu_cfg *value, size_t i)
{
    return mu_cfg_kind_of(value) == MU_CFG_LIST ? mu_cfg_at(value, i) : value;
}

/* Is `value` a list with as many items as the option allows? */
static bool list_fits(const mu_option *option, const mu_cfg *value)
{
    if (mu_cfg_kind_of(value) != MU_CFG_LIST &&
        !(option->bare_item && scalar_fits(option, element_of(option->type), value)))
        return false;
    size_t n = n_items(value);
    return n >= option->min_items && (!option->max_items || n <= option->max_items);
}

/* Notes that the value at path[.key] is not what its option expects. */
static mu_err refuse(const mu_option *option, const mu_cfg *value, const char *path, const char *key,
                     mu_diagnostics *list)
{
    char expected[256], found[128], *where;
    const char *nearest = NULL;
    if (option->choices && mu_cfg_kind_of(value) == MU_CFG_STRING) {
        size_t n = 0;
        while (option->choices[n])
            n++;
        nearest = mu_nearest(mu_cfg_string(value), option->choices, n);
    }
    mu_cfg_describe(value, found, sizeof found);
    MU_TRY(mu_asprintf(&where, "%s%s%s", path, path[0] && key[0] ? "." : "", key));
    mu_err err = mu_diagnostics_add(list, mu_cfg_pos(value), where,
                                    mu_option_expects(option, expected, sizeof expected), found, nearest);
    mu_free(where);
    MU_TRY(err);
    return MU_OK;
}

/* The elements of a list option; *fits is false when something was noted. */
static mu_err check_elements(const mu_option *option, const mu_cfg *value, const char *path, mu_diagnostics *list,
                             bool *fits)
{
    /* An element is told with the expectation of one element. */
    mu_option element = *option;
    element.type = element_of(option->type);
    element.nullable = false;
    *fits = true;
    for (size_t i = 0; i < n_items(value); i++) {
        if (scalar_fits(&element, element.type, item_at(value, i)))
            continue;
        char key[320];
        snprintf(key, sizeof key, "%.290s.%zu", option->key, i);
        MU_TRY(refuse(&element, item_at(value, i), path, key, list));
        *fits = false;
    }
    return MU_OK;
}

static mu_err store_list(const mu_option *option, const mu_cfg *value, void *field)
{
    size_t n = n_items(value);
    if (option->type == MU_OPT_INTS) {
        mu_ints *ints = field;
        MU_TRY(mu_calloc(&ints->v, n, sizeof *ints->v));
        for (ints->n = 0; ints->n < n; ints->n++)
            ints->v[ints->n] = mu_cfg_int(item_at(value, ints->n));
    } else if (option->type == MU_OPT_FLOATS) {
        mu_floats *floats = field;
        MU_TRY(mu_calloc(&floats->v, n, sizeof *floats->v));
        for (floats->n = 0; floats->n < n; floats->n++)
            floats->v[floats->n] = mu_cfg_float(item_at(value, floats->n));
    } else {
        mu_strings *strings = field;
        MU_TRY(mu_calloc(&strings->v, n, sizeof *strings->v));
        for (strings->n = 0; strings->n < n; strings->n++)
            MU_TRY(mu_strdup(&strings->v[strings->n], mu_cfg_string(item_at(value, strings->n))));
    }
    return MU_OK;
}

static mu_err store_default(const mu_option *option, void *field)
{
    switch (option->type) {
    case MU_OPT_BOOL: *(bool *)field = option->boolean_default; break;
    case MU_OPT_INT: *(int64_t *)field = option->int_default; break;
    case MU_OPT_FLOAT: *(double *)field = option->float_default; break;
    case MU_OPT_CHOICE: *(int *)field = (int)option->int_default; break;
    case MU_OPT_STRING:
        if (option->text_default)
            MU_TRY(mu_strdup((char **)field, option->text_default));
        break;
    default: break; /* lists and trees are empty */
    }
    return MU_OK;
}

/* A value that fits. */
static mu_err store(const mu_option *option, const mu_cfg *value, void *field)
{
    switch (option->type) {
    case MU_OPT_BOOL: *(bool *)field = mu_cfg_bool(value); break;
    case MU_OPT_INT: *(int64_t *)field = mu_cfg_int(value); break;
    case MU_OPT_FLOAT: *(double *)field = mu_cfg_float(value); break;
    case MU_OPT_STRING: {
        char *copy;
        MU_TRY(mu_strdup(&copy, mu_cfg_string(value)));
        mu_free(*(char **)field);
        *(char **)field = copy;
        break;
    }
    case MU_OPT_CHOICE: is_choice(option, mu_cfg_string(value), field); break;
    case MU_OPT_INTS:
    case MU_OPT_FLOATS:
    case MU_OPT_STRINGS: MU_TRY(store_list(option, value, field)); break;
    default: *(const mu_cfg **)field = value; break;
    }
    return MU_OK;
}

/* field may be NULL. */
static mu_err parse_value(const mu_option *option, const mu_cfg *value, const char *path, void *field,
                          mu_diagnostics *list)
{
    bool is_list = element_of(option->type) != option->type;
    if (mu_cfg_kind_of(value) == MU_CFG_NULL && option->nullable)
        return MU_OK;
    bool fits = is_list ? list_fits(option, value) : scalar_fits(option, option->type, value);
    if (!fits) {
        MU_TRY(refuse(option, value, path, option->key, list));
        return MU_OK;
    }
    if (is_list)
        MU_TRY(check_elements(option, value, path, list, &fits));
    if (fits && field)
        MU_TRY(store(option, value, field));
    return MU_OK;
}

static const mu_option *find(const mu_option *options, const char *key)
{
    for (const mu_option *o = options; o && o->key; o++)
        if (strcmp(o->key, key) == 0)
            return o;
    return NULL;
}

static mu_err refuse_key(const mu_option *options, const mu_cfg *dict, size_t i, const char *path, mu_diagnostics *list)
{
    const char *key = mu_cfg_key_at(dict, i), *nearest = NULL;
    char expected[256] = "", found[128], *where;
    int n = 0;
    for (const mu_option *o = options; o && o->key; o++, n++) {
        nearest = mu_nearest(key, (const char *[]){nearest ? nearest : o->key, o->key}, 2);
        if (n < 8)
            add(expected, sizeof expected, "%s%s", n ? ", " : "one of the keys ", o->key);
    }
    add(expected, sizeof expected, n > 8 ? ", ..." : n == 0 ? "no keys" : "");
    snprintf(found, sizeof found, "unknown key '%.100s'", key);
    MU_TRY(mu_asprintf(&where, "%s%s%s", path, path[0] ? "." : "", key));
    mu_err err = mu_diagnostics_add(list, mu_cfg_key_pos(mu_cfg_at(dict, i)), where, expected, found, nearest);
    mu_free(where);
    MU_TRY(err);
    return MU_OK;
}

static mu_err miss_key(const mu_option *option, const mu_cfg *dict, const char *path, mu_diagnostics *list)
{
    char expected[256], *where;
    MU_TRY(mu_asprintf(&where, "%s%s%s", path, path[0] ? "." : "", option->key));
    mu_err err = mu_diagnostics_add(list, dict ? mu_cfg_pos(dict) : (mu_pos){0}, where,
                                    mu_option_expects(option, expected, sizeof expected), "no such key", NULL);
    mu_free(where);
    MU_TRY(err);
    return MU_OK;
}

static mu_err parse(const mu_option *options, const mu_cfg *dict, const char *path, void *object, mu_diagnostics *list)
{
    for (const mu_option *o = options; o && o->key; o++) {
        const mu_cfg *value = dict ? mu_cfg_get(dict, o->key) : NULL;
        void *field = object ? (char *)object + o->offset : NULL;
        if (field)
            MU_TRY(store_default(o, field));
        if (value)
            MU_TRY(parse_value(o, value, path, field, list));
        else if (o->required)
            MU_TRY(miss_key(o, dict, path, list));
    }
    for (size_t i = 0; dict && i < mu_cfg_size(dict); i++) {
        const char *key = mu_cfg_key_at(dict, i);
        if (strcmp(key, "type") != 0 && key[0] != '_' && !find(options, key))
            MU_TRY(refuse_key(options, dict, i, path, list));
    }
    return MU_OK;
}

mu_err mu_options_parse(const mu_option *options, const mu_cfg *dict, const char *path, void *object,
                        mu_diagnostics *list)
{
    mu_err err = parse(options, dict, path, object, list);
    if (err && object)
        mu_options_release(options, object);
    MU_TRY(err);
    return MU_OK;
}

void mu_options_release(const mu_option *options, void *object)
{
    for (const mu_option *o = options; o && o->key; o++) {
        void *field = (char *)object + o->offset;
        mu_strings *strings = field;
        switch (o->type) {
        case MU_OPT_STRING:
            mu_free(*(char **)field);
            *(char **)field = NULL;
            break;
        case MU_OPT_STRINGS:
            for (size_t i = 0; i < strings->n; i++)
                mu_free(strings->v[i]);
            mu_free(strings->v);
            *strings = (mu_strings){0};
            break;
        case MU_OPT_INTS:
            mu_free(((mu_ints *)field)->v);
            *(mu_ints *)field = (mu_ints){0};
            break;
        case MU_OPT_FLOATS:
            mu_free(((mu_floats *)field)->v);
            *(mu_floats *)field = (mu_floats){0};
            break;
        default: break;
        }
    }
}
