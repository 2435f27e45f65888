#include "runner/message_hub.h"

#include "config/config.h"
#include "core/hash.h"
#include "core/text.h"
#include "runner/history.h"

#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct {
    mu_history *history;
    bool resumed;
    UT_hash_handle hh;
    char name[];
} scalar;

struct mu_message_hub {
    scalar *by_name;
    scalar **scalar; /* [n] in the order of their first appearance */
    size_t n, room;
    mu_cfg *kept, *passing; /* facts: resumed or not */
};

mu_err mu_message_hub_new(mu_message_hub **out)
{
    mu_message_hub *hub;
    mu_pos nowhere = {0};
    MU_TRY(mu_calloc(&hub, 1, sizeof *hub));
    mu_err err;
    MU_TRY_GOTO(err, mu_cfg_new_dict(nowhere, &hub->kept), fail);
    MU_TRY_GOTO(err, mu_cfg_new_dict(nowhere, &hub->passing), fail);
    *out = hub;
    return MU_OK;
fail:
    mu_message_hub_release(hub);
    return err;
}

static void scalar_release(scalar *s)
{
    mu_history_release(s->history);
    mu_free(s);
}

void mu_message_hub_release(mu_message_hub *hub)
{
    if (!hub)
        return;
    HASH_CLEAR(hh, hub->by_name);
    for (size_t i = 0; i < hub->n; i++)
        scalar_release(hub->scalar[i]);
    mu_free(hub->scalar);
    mu_cfg_release(hub->kept);
    mu_cfg_release(hub->passing);
    mu_free(hub);
}

static scalar *find(const mu_message_hub *hub, const char *name)
{
    scalar *s;
    HASH_FIND_STR(hub->by_name, name, s);
    return s;
}

static mu_err add_scalar(mu_message_hub *hub, const char *name, bool resumed, scalar **out)
{
    size_t length = strlen(name);
    scalar *s;
    MU_TRY(mu_grow(&hub->scalar, &hub->room, hub->n + 1, sizeof(scalar *)));
    MU_TRY(mu_calloc(&s, 1, sizeof *s + length + 1));
    memcpy(s->name, name, length);
    s->resumed = resumed;
    mu_err err;
    MU_TRY_GOTO(err, mu_history_new(&s->history), fail);
    HASH_ADD_KEYPTR(hh, hub->by_name, s->name, length, s);
    if (!s->hh.tbl) {
        err = MU_ERR_MEMORY;
        goto fail;
    }
    hub->scalar[hub->n++] = s;
    *out = s;
    return MU_OK;
fail:
    scalar_release(s);
    return err;
}

static mu_err find_or_add(mu_message_hub *hub, const char *name, bool resumed, scalar **out)
{
    *out = find(hub, name);
    if (!*out)
        MU_TRY(add_scalar(hub, name, resumed, out));
    if ((*out)->resumed != resumed)
        return MU_FAIL(MU_ERR_USAGE, "scalar '%s' is told as %s, and before as %s", name,
                       resumed ? "resumed" : "not resumed", resumed ? "not resumed" : "resumed");
    return MU_OK;
}

mu_err mu_message_hub_scalar(mu_message_hub *hub, const char *name, double value, double count, bool resumed)
{
    scalar *s;
    MU_TRY(find_or_add(hub, name, resumed, &s));
    MU_TRY(mu_history_add(s->history, value, count));
    return MU_OK;
}

const mu_history *mu_message_hub_history(const mu_message_hub *hub, const char *name)
{
    const scalar *s = find(hub, name);
    return s ? s->history : NULL;
}

size_t mu_message_hub_n_scalars(const mu_message_hub *hub)
{
    return hub->n;
}

const char *mu_message_hub_scalar_name(const mu_message_hub *hub, size_t i)
{
    return hub->scalar[i]->name;
}

void mu_message_hub_clear(mu_message_hub *hub, const char *prefix)
{
    for (size_t i = 0; i < hub->n; i++)
        if (strncmp(hub->scalar[i]->name, prefix, strlen(prefix)) == 0)
            mu_history_clear(hub->scalar[i]->history);
}

/* Where a fact belongs, and its value there (NULL: new). */
static mu_err place(mu_message_hub *hub, const char *key, bool resumed, mu_cfg **dict, mu_cfg **value)
{
    if (mu_cfg_get(resumed ? hub->passing : hub->kept, key))
        return MU_FAIL(MU_ERR_USAGE, "fact '%s' is told as %s, and before as %s", key,
                       resumed ? "resumed" : "not resumed", resumed ? "not resumed" : "resumed");
    *dict = resumed ? hub->kept : hub->passing;
    *value = mu_cfg_get(*dict, key);
    return MU_OK;
}

mu_err mu_message_hub_set_i64(mu_message_hub *hub, const char *key, int64_t value, bool resumed)
{
    mu_cfg *dict, *fact;
    mu_pos nowhere = {0};
    MU_TRY(place(hub, key, resumed, &dict, &fact));
    if (fact && mu_cfg_kind_of(fact) == MU_CFG_INT) {
        mu_cfg_put_int(fact, value);
        return MU_OK;
    }
    MU_TRY(mu_cfg_new_int(value, nowhere, &fact));
    MU_TRY(mu_cfg_set(dict, key, nowhere, fact));
    return MU_OK;
}

mu_err mu_message_hub_set_f64(mu_message_hub *hub, const char *key, double value, bool resumed)
{
    mu_cfg *dict, *fact;
    mu_pos nowhere = {0};
    MU_TRY(place(hub, key, resumed, &dict, &fact));
    if (fact && mu_cfg_kind_of(fact) == MU_CFG_FLOAT) {
        mu_cfg_put_float(fact, value);
        return MU_OK;
    }
    MU_TRY(mu_cfg_new_float(value, nowhere, &fact));
    MU_TRY(mu_cfg_set(dict, key, nowhere, fact));
    return MU_OK;
}

mu_err mu_message_hub_set_text(mu_message_hub *hub, const char *key, const char *value, bool resumed)
{
    mu_cfg *dict, *fact;
    mu_pos nowhere = {0};
    MU_TRY(place(hub, key, resumed, &dict, &fact));
    if (fact && mu_cfg_kind_of(fact) == MU_CFG_STRING && strcmp(mu_cfg_string(fact), value) == 0)
        return MU_OK;
    MU_TRY(mu_cfg_new_string(value, strlen(value), nowhere, &fact));
    MU_TRY(mu_cfg_set(dict, key, nowhere, fact));
    return MU_OK;
}

const mu_cfg *mu_message_hub_get(const mu_message_hub *hub, const char *key)
{
    const mu_cfg *fact = mu_cfg_get(hub->kept, key);
    return fact ? fact : mu_cfg_get(hub->passing, key);
}

/* 17 digits, with a point or an exponent; what JSON has no number for is a string. */
static void append_f64(mu_text *out, double x)
{
    char number[32];
    if (!isfinite(x)) {
        mu_text_append(out, isnan(x) ? "\"nan\"" : x > 0 ? "\"inf\"" : "\"-inf\"");
        return;
    }
    snprintf(number, sizeof number, "%.17g", x);
    mu_text_append(out, number);
    if (!strpbrk(number, ".e"))
        mu_text_append(out, ".0");
}

/* A float that is not finite stands in a list of its own, to differ from a text. */
static void append_fact(mu_text *out, const mu_cfg *fact)
{
    if (mu_cfg_kind_of(fact) == MU_CFG_INT)
        mu_text_printf(out, "%" PRId64, mu_cfg_int(fact));
    else if (mu_cfg_kind_of(fact) == MU_CFG_STRING)
        mu_text_append_json(out, mu_cfg_string(fact), mu_cfg_string_length(fact));
    else if (isfinite(mu_cfg_float(fact)))
        append_f64(out, mu_cfg_float(fact));
    else {
        mu_text_append(out, "[");
        append_f64(out, mu_cfg_float(fact));
        mu_text_append(out, "]");
    }
}

static void append_history(mu_text *out, const mu_history *history, int64_t keep)
{
    int64_t n = mu_history_length(history);
    int64_t first = keep < n ? n - keep : 0;
    mu_text_append(out, "[");
    for (int64_t i = first; i < n; i++) {
        double value = 0, count = 0;
        mu_history_at(history, i, &value, &count);
        mu_text_append(out, i > first ? ", [" : "[");
        append_f64(out, value);
        mu_text_append(out, ", ");
        append_f64(out, count);
        mu_text_append(out, "]");
    }
    mu_text_append(out, "]");
}

static void append_hub(mu_text *out, const mu_message_hub *hub, int64_t keep)
{
    const char *comma = "";
    mu_text_append(out, "{\"scalars\": {");
    for (size_t i = 0; i < hub->n; i++) {
        const scalar *s = hub->scalar[i];
        if (!s->resumed)
            continue;
        mu_text_append(out, comma);
        mu_text_append_json(out, s->name, strlen(s->name));
        mu_text_append(out, ": ");
        append_history(out, s->history, keep);
        comma = ", ";
    }
    mu_text_append(out, "}, \"facts\": {");
    for (size_t i = 0; i < mu_cfg_size(hub->kept); i++) {
        const char *key = mu_cfg_key_at(hub->kept, i);
        mu_text_append(out, i ? ", " : "");
        mu_text_append_json(out, key, strlen(key));
        mu_text_append(out, ": ");
        append_fact(out, mu_cfg_at(hub->kept, i));
    }
    mu_text_append(out, "}}");
}

mu_err mu_message_hub_dump(const mu_message_hub *hub, int64_t keep, char **out)
{
    mu_text text = {0};
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0), old = c ? uselocale(c) : (locale_t)0;
    append_hub(&text, hub, keep < 0 ? 0 : keep);
    if (c) {
        uselocale(old);
        freelocale(c);
    }
    mu_err err = mu_text_take(&text, out);
    if (err)
        mu_text_release(&text);
    MU_TRY(err);
    return MU_OK;
}

/* A number, or one of the words that append_f64 writes. */
static bool read_f64(const mu_cfg *cfg, double *out)
{
    if (mu_cfg_kind_of(cfg) == MU_CFG_FLOAT || mu_cfg_kind_of(cfg) == MU_CFG_INT) {
        *out = mu_cfg_float(cfg);
        return true;
    }
    if (mu_cfg_kind_of(cfg) != MU_CFG_STRING)
        return false;
    const char *word = mu_cfg_string(cfg);
    *out = strcmp(word, "nan") == 0 ? (double)NAN : strcmp(word, "inf") == 0 ? (double)INFINITY : -(double)INFINITY;
    return !isinf(*out) || *out > 0 || strcmp(word, "-inf") == 0;
}

static bool read_entry(const mu_cfg *cfg, double *value, double *count)
{
    return mu_cfg_kind_of(cfg) == MU_CFG_LIST && mu_cfg_size(cfg) == 2 && read_f64(mu_cfg_at(cfg, 0), value) &&
           read_f64(mu_cfg_at(cfg, 1), count);
}

static mu_err restore_scalar(mu_message_hub *hub, const char *name, const mu_cfg *entries)
{
    scalar *s;
    double value = 0, count = 0;
    if (mu_cfg_kind_of(entries) != MU_CFG_LIST)
        return MU_FAIL(MU_ERR_FORMAT, "message hub: scalar '%s' is no list of [value, count]", name);
    MU_TRY(find_or_add(hub, name, true, &s));
    mu_history_clear(s->history);
    for (size_t i = 0; i < mu_cfg_size(entries); i++) {
        if (!read_entry(mu_cfg_at(entries, i), &value, &count))
            return MU_FAIL(MU_ERR_FORMAT, "message hub: entry %zu of scalar '%s' is not [value, count]", i, name);
        MU_TRY(mu_history_add(s->history, value, count));
    }
    return MU_OK;
}

static mu_err restore_fact(mu_message_hub *hub, const char *key, const mu_cfg *value)
{
    double x = 0;
    if (mu_cfg_kind_of(value) == MU_CFG_INT)
        MU_TRY(mu_message_hub_set_i64(hub, key, mu_cfg_int(value), true));
    else if (mu_cfg_kind_of(value) == MU_CFG_FLOAT)
        MU_TRY(mu_message_hub_set_f64(hub, key, mu_cfg_float(value), true));
    else if (mu_cfg_kind_of(value) == MU_CFG_STRING)
        MU_TRY(mu_message_hub_set_text(hub, key, mu_cfg_string(value), true));
    else if (mu_cfg_kind_of(value) == MU_CFG_LIST && mu_cfg_size(value) == 1 && read_f64(mu_cfg_at(value, 0), &x))
        MU_TRY(mu_message_hub_set_f64(hub, key, x, true));
    else
        return MU_FAIL(MU_ERR_FORMAT, "message hub: fact '%s' is neither a number nor a text", key);
    return MU_OK;
}

static mu_err restore(mu_message_hub *hub, const mu_cfg *root)
{
    const mu_cfg *scalars = mu_cfg_get(root, "scalars"), *facts = mu_cfg_get(root, "facts");
    if (!scalars || !facts || mu_cfg_kind_of(scalars) != MU_CFG_DICT || mu_cfg_kind_of(facts) != MU_CFG_DICT)
        return MU_FAIL(MU_ERR_FORMAT, "message hub: expected {\"scalars\": {...}, \"facts\": {...}}");
    for (size_t i = 0; i < mu_cfg_size(scalars); i++)
        MU_TRY(restore_scalar(hub, mu_cfg_key_at(scalars, i), mu_cfg_at(scalars, i)));
    for (size_t i = 0; i < mu_cfg_size(facts); i++)
        MU_TRY(restore_fact(hub, mu_cfg_key_at(facts, i), mu_cfg_at(facts, i)));
    return MU_OK;
}

mu_err mu_message_hub_restore(mu_message_hub *hub, const char *json)
{
    mu_cfg *root;
    mu_err err = mu_cfg_parse_json(json, strlen(json), "message hub", &root);
    if (err == MU_ERR_CONFIG) /* the text is a checkpoint's, not a config's */
        return mu_error_recode(MU_ERR_FORMAT);
    MU_TRY(err);
    err = restore(hub, root);
    mu_cfg_release(root);
    MU_TRY(err);
    return MU_OK;
}
