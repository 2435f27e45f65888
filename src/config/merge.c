#include "config/merge.h"

#include "config/diagnostic.h"
#include "config/literal.h"

#include <stdio.h>
#include <string.h>

static const char delete_key[] = "_delete_";

/* The way down to where two trees are merged. */
typedef struct step {
    const struct step *up;
    const char *key;
} step;

enum { PATH_TEXT = 256 };

static size_t append_path(const step *at, char *buf, size_t used)
{
    if (at->up)
        used = append_path(at->up, buf, used);
    if (used < PATH_TEXT)
        used += (size_t)snprintf(buf + used, PATH_TEXT - used, "%s%s", used ? "." : "", at->key);
    return used;
}

/* "model.backbone.depth", cut when long. */
static const char *path_of(const step *at, char buf[PATH_TEXT])
{
    append_path(at, buf, 0);
    return buf;
}

static mu_err delete_wanted(const mu_cfg *dict, bool *out)
{
    const mu_cfg *value = mu_cfg_get(dict, delete_key);
    if (value && mu_cfg_kind_of(value) != MU_CFG_BOOL) {
        char found[96];
        mu_cfg_describe(value, found, sizeof found);
        return MU_FAIL_AT(mu_cfg_pos(value), "%s is true or false, found %s", delete_key, found);
    }
    *out = value && mu_cfg_bool(value);
    return MU_OK;
}

mu_err mu_cfg_strip_delete(mu_cfg *cfg)
{
    bool wanted;
    mu_cfg_kind kind = mu_cfg_kind_of(cfg);
    if (kind != MU_CFG_DICT && kind != MU_CFG_LIST)
        return MU_OK;
    if (kind == MU_CFG_DICT) {
        MU_TRY(delete_wanted(cfg, &wanted));
        mu_cfg_remove(cfg, delete_key);
    }
    for (size_t i = 0; i < mu_cfg_size(cfg); i++)
        MU_TRY(mu_cfg_strip_delete(mu_cfg_at(cfg, i)));
    return MU_OK;
}

static mu_err copy_stripped(const mu_cfg *cfg, mu_cfg **out)
{
    mu_cfg *copy;
    MU_TRY(mu_cfg_copy(cfg, &copy));
    mu_err err = mu_cfg_strip_delete(copy);
    if (err != MU_OK) {
        mu_cfg_release(copy);
        return err;
    }
    *out = copy;
    return MU_OK;
}

static mu_err fail_kind(const mu_cfg *old, const mu_cfg *new, const step *at, bool element_keys)
{
    char path[PATH_TEXT], found[96];
    mu_pos there = mu_cfg_pos(old);
    mu_cfg_describe(old, found, sizeof found);
    MU_FAIL_AT(mu_cfg_key_pos(new), "%s: a dictionary cannot be merged into %s (%s:%d:%d)", path_of(at, path), found, there.file,
               there.line, there.column);
    return element_keys ? mu_error_hint("%s has no keys; set it as a whole", path)
                        : mu_error_hint("_delete_: true in the dictionary replaces what the base has");
}

/* The element of `list` that a key names. */
static mu_err find_element(const mu_cfg *list, const char *key, mu_pos pos, const step *at, size_t *out)
{
    char path[PATH_TEXT];
    mu_pos there = mu_cfg_pos(list);
    size_t n = mu_cfg_size(list), length = strlen(key), i = 0;
    for (size_t k = 0; k < length && i < n; k++)
        i = i * 10 + (size_t)(key[k] - '0');
    bool is_index = length > 0 && strspn(key, "0123456789") == length;
    if (is_index && i < n) {
        *out = i;
        return MU_OK;
    }
    MU_FAIL_AT(pos, "%s: %s the list at %s:%d:%d, which has %zu item%s", path_of(at, path),
               is_index ? "there is no such element in" : "not the index of an element of", there.file, there.line, there.column,
               n, n == 1 ? "" : "s");
    return n > 0 ? mu_error_hint("indices go from 0 to %zu", n - 1) : mu_error_hint("set the list as a whole");
}

/* A new dict whose keys are all indices was meant for a list. */
static mu_err check_new(const mu_cfg *into, const mu_cfg *new, const char *key, const step *at)
{
    char path[PATH_TEXT];
    for (size_t i = 0; i < mu_cfg_size(new); i++) {
        const char *index = mu_cfg_key_at(new, i);
        if (!*index || strspn(index, "0123456789") != strlen(index))
            return MU_OK;
    }
    if (mu_cfg_size(new) == 0)
        return MU_OK;
    MU_FAIL_AT(mu_cfg_key_pos(new), "%s: there is no such list to take element %s of", path_of(at, path), mu_cfg_key_at(new, 0));
    const char *nearest = mu_cfg_nearest_key(into, key);
    return nearest ? mu_error_hint("did you mean '%s'?", nearest) : mu_error_last()->code;
}

static mu_err merge_dict(mu_cfg *into, const mu_cfg *from, bool element_keys, const step *up);

/* Element by element. */
static mu_err merge_list(mu_cfg *into, const mu_cfg *from, const step *up)
{
    for (size_t k = 0; k < mu_cfg_size(from); k++) {
        const mu_cfg *new = mu_cfg_at(from, k);
        step here = {.up = up, .key = mu_cfg_key_at(from, k)};
        size_t i = 0;
        bool replace = false;
        if (strcmp(here.key, delete_key) == 0)
            continue;
        MU_TRY(find_element(into, here.key, mu_cfg_key_pos(new), &here, &i));
        mu_cfg *old = mu_cfg_at(into, i), *copy;
        mu_cfg_kind kind = mu_cfg_kind_of(old);
        if (mu_cfg_kind_of(new) == MU_CFG_DICT)
            MU_TRY(delete_wanted(new, &replace));
        if (mu_cfg_kind_of(new) != MU_CFG_DICT || replace) {
            MU_TRY(copy_stripped(new, &copy));
            MU_TRY(mu_cfg_set_at(into, i, copy));
        } else if (kind == MU_CFG_DICT) {
            MU_TRY(merge_dict(old, new, true, &here));
        } else if (kind == MU_CFG_LIST) {
            MU_TRY(merge_list(old, new, &here));
        } else {
            return fail_kind(old, new, &here, true);
        }
    }
    return MU_OK;
}

static mu_err merge_dict(mu_cfg *into, const mu_cfg *from, bool element_keys, const step *up)
{
    for (size_t i = 0; i < mu_cfg_size(from); i++) {
        const mu_cfg *new = mu_cfg_at(from, i);
        step here = {.up = up, .key = mu_cfg_key_at(from, i)};
        if (strcmp(here.key, delete_key) == 0)
            continue;
        mu_cfg *old = mu_cfg_get(into, here.key), *copy;
        bool replace = !old || mu_cfg_kind_of(new) != MU_CFG_DICT;
        if (!replace)
            MU_TRY(delete_wanted(new, &replace));
        if (replace) {
            if (!old && element_keys && mu_cfg_kind_of(new) == MU_CFG_DICT)
                MU_TRY(check_new(into, new, here.key, &here));
            MU_TRY(copy_stripped(new, &copy));
            MU_TRY(mu_cfg_set(into, here.key, mu_cfg_key_pos(new), copy));
        } else if (mu_cfg_kind_of(old) == MU_CFG_DICT) {
            MU_TRY(merge_dict(old, new, element_keys, &here));
        } else if (mu_cfg_kind_of(old) == MU_CFG_LIST && element_keys) {
            MU_TRY(merge_list(old, new, &here));
        } else {
            return fail_kind(old, new, &here, element_keys);
        }
    }
    return MU_OK;
}

mu_err mu_cfg_merge(mu_cfg *into, const mu_cfg *from, bool element_keys)
{
    MU_TRY(merge_dict(into, from, element_keys, NULL));
    return MU_OK;
}
