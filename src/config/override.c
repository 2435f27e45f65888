#include "config/override.h"

#include "config/config.h"
#include "config/diagnostic.h"
#include "config/literal.h"
#include "config/load.h"
#include "config/merge.h"
#include "config/scalar.h"
#include "core/mem.h"
#include "core/text.h"

#include <string.h>

static mu_err check_option_key(const char *key, mu_pos pos)
{
    size_t n = 1;
    char clip[MU_CLIP_TEXT];
    for (const char *at = key;; n++) {
        size_t length = strcspn(at, ".");
        if (length == 0)
            return MU_FAIL_AT(pos, "the key '%s' has an empty part", mu_text_clip(key, strlen(key), clip));
        if (!at[length])
            break;
        at += length + 1;
    }
    if (n >= MU_CONFIG_MAX_DEPTH)
        return MU_FAIL_AT(pos, "the key '%s' has more than %d parts", mu_text_clip(key, strlen(key), clip),
                          MU_CONFIG_MAX_DEPTH - 1);
    if (mu_config_is_reserved(key) || strcmp(key, "_base_") == 0 || strcmp(key, "_delete_") == 0)
        return MU_FAIL_AT(pos, "the top-level key '%s' is reserved", key);
    return MU_OK;
}

/* {a: {b: value}} for the key "a.b". Takes `value` over, also on failure. */
static mu_err nest(const char *key, mu_pos pos, mu_cfg *value, mu_cfg **out)
{
    mu_err err = check_option_key(key, pos);
    for (size_t end = strlen(key), start; err == MU_OK; end = start - 1) {
        for (start = end; start > 0 && key[start - 1] != '.';)
            start--;
        char *part;
        mu_cfg *outer;
        err = mu_cfg_new_dict(pos, &outer);
        if (err != MU_OK)
            break;
        err = mu_strndup(&part, key + start, end - start);
        if (err != MU_OK) {
            mu_cfg_release(outer);
            break;
        }
        err = mu_cfg_set(outer, part, pos, value);
        value = outer;
        mu_free(part);
        if (err == MU_OK && start == 0) {
            *out = outer;
            return MU_OK;
        }
    }
    mu_cfg_release(value);
    return mu_error_trace(err, __FILE__, __LINE__, __func__);
}

static mu_err apply_one(mu_cfg *root, const mu_cfg *option, const char *key, bool list_keys)
{
    mu_cfg *copy, *nested = NULL;
    MU_TRY(mu_cfg_copy(option, &copy));
    MU_TRY(nest(key, mu_cfg_key_pos(option), copy, &nested));
    mu_err err = mu_cfg_merge(root, nested, list_keys);
    mu_cfg_release(nested);
    return err;
}

mu_err mu_override_apply(const mu_cfg *root, const mu_cfg *options, bool list_keys, mu_cfg **out)
{
    mu_cfg *copy;
    mu_err err;
    if (mu_cfg_kind_of(options) != MU_CFG_DICT)
        return MU_FAIL(MU_ERR_USAGE, "options to merge are a dictionary, not a %s", mu_cfg_kind_name(mu_cfg_kind_of(options)));
    if (mu_cfg_measure(options).depth > MU_CONFIG_MAX_DEPTH)
        return MU_FAIL_AT(mu_cfg_pos(options), "nesting is deeper than %d levels", MU_CONFIG_MAX_DEPTH);
    MU_TRY(mu_cfg_copy(root, &copy));
    for (size_t i = 0; i < mu_cfg_size(options); i++)
        MU_TRY_GOTO(err, apply_one(copy, mu_cfg_at(options, i), mu_cfg_key_at(options, i), list_keys), fail);
    if (mu_cfg_measure(copy).depth > MU_CONFIG_MAX_DEPTH) {
        err = MU_FAIL_AT(mu_cfg_pos(options), "nesting is deeper than %d levels", MU_CONFIG_MAX_DEPTH);
        goto fail;
    }
    *out = copy;
    return MU_OK;
fail:
    mu_cfg_release(copy);
    return err;
}

static mu_err check_utf8(const char *text, size_t length, mu_pos pos)
{
    char clip[MU_CLIP_TEXT];
    for (size_t i = 0; i < length;) {
        int n = mu_utf8_length(text + i, length - i);
        if (n == 0)
            return MU_FAIL_AT(pos, "'%s' is not valid UTF-8", mu_text_clip(text, length, clip));
        i += (size_t)n;
    }
    return MU_OK;
}

mu_err mu_override_parse(const char *assignment, int ordinal, mu_cfg **out)
{
    mu_pos pos = {.file = "<command line>", .line = ordinal, .column = 1}, value_pos = pos;
    size_t length = strlen(assignment), key_length = strcspn(assignment, "=");
    char clip[MU_CLIP_TEXT], *key = NULL;
    mu_cfg *options = NULL, *value;
    mu_err err;
    MU_TRY(check_utf8(assignment, length, pos));
    if (key_length == length) {
        MU_FAIL(MU_ERR_USAGE, "'%s' is not an assignment", mu_text_clip(assignment, length, clip));
        return mu_error_hint("write key=value, as in model.backbone.depth=50");
    }
    for (size_t i = 0; i <= key_length; i++)
        value_pos.column += ((unsigned char)assignment[i] & 0xc0) != 0x80;
    MU_TRY(mu_literal_parse(assignment + key_length + 1, value_pos, &value));
    MU_TRY_GOTO(err, mu_strndup(&key, assignment, key_length), fail);
    MU_TRY_GOTO(err, mu_cfg_new_dict(pos, &options), fail);
    err = mu_cfg_set(options, key, pos, value);
    value = NULL;
    if (err != MU_OK)
        goto fail;
    mu_free(key);
    *out = options;
    return MU_OK;
fail:
    mu_free(key);
    mu_cfg_release(value);
    mu_cfg_release(options);
    return err;
}
