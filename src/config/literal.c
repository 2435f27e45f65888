#include "config/literal.h"

#include "config/config.h"
#include "config/diagnostic.h"
#include "config/scalar.h"
#include "core/mem.h"
#include "core/text.h"

#include <string.h>

typedef struct {
    const char *at, *counted;
    mu_pos pos; /* of `counted`, which moves on with the text, never back */
} scanner;

static mu_pos pos_of(scanner *s, const char *place)
{
    for (; s->counted < place; s->counted++)
        s->pos.column += ((unsigned char)*s->counted & 0xc0) != 0x80;
    return s->pos;
}

static void skip_blanks(scanner *s)
{
    while (*s->at == ' ' || *s->at == '\t')
        s->at++;
}

static mu_err read_quoted(scanner *s, mu_cfg **out)
{
    const char *start = s->at, *close = strchr(start + 1, *start);
    if (!close)
        return MU_FAIL_AT(pos_of(s, start), "the quote that begins here has no end");
    s->at = close + 1;
    MU_TRY(mu_cfg_new_string(start + 1, (size_t)(close - start - 1), pos_of(s, start), out));
    return MU_OK;
}

/* Up to a comma, within a list also up to its end. */
static mu_err read_bare(scanner *s, bool in_list, mu_cfg **out)
{
    const char *start = s->at;
    size_t length = strcspn(start, in_list ? ",])" : ",");
    char clip[MU_CLIP_TEXT];
    s->at += length;
    while (length > 0 && (start[length - 1] == ' ' || start[length - 1] == '\t'))
        length--;
    if (length == 0 && (in_list || *s->at == ','))
        return MU_FAIL_AT(pos_of(s, start), "an item of the list is empty");
    mu_scalar scalar;
    const char *complaint = mu_scalar_resolve(start, length, &scalar);
    if (complaint) {
        MU_FAIL_AT(pos_of(s, start), "'%s' is %s", mu_text_clip(start, length, clip), complaint);
        return mu_error_hint("quote it if it is text");
    }
    if (length == 0)
        scalar.kind = MU_CFG_STRING;
    else if (length == 4 && memcmp(start, "None", 4) == 0)
        scalar.kind = MU_CFG_NULL;
    MU_TRY(mu_scalar_new(&scalar, start, length, pos_of(s, start), out));
    return MU_OK;
}

static mu_err read_item(scanner *s, int depth, mu_cfg **out);

/* Items up to `close`; `first` (may be NULL) is read already and taken over, also on failure. */
static mu_err read_items(scanner *s, int depth, char close, mu_pos pos, mu_cfg *first, mu_cfg **out)
{
    mu_cfg *list = NULL, *item;
    mu_err err = mu_cfg_new_list(pos, &list);
    if (err != MU_OK) {
        mu_cfg_release(first);
        return mu_error_trace(err, __FILE__, __LINE__, __func__);
    }
    if (first)
        MU_TRY_GOTO(err, mu_cfg_append(list, first), fail);
    for (bool more = !first || *s->at == ','; more;) {
        s->at += *s->at == ',' && mu_cfg_size(list) > 0;
        skip_blanks(s);
        if (*s->at == close)
            break;
        MU_TRY_GOTO(err, read_item(s, depth, &item), fail);
        MU_TRY_GOTO(err, mu_cfg_append(list, item), fail);
        skip_blanks(s);
        more = *s->at == ',';
    }
    if (*s->at != close) {
        if (*s->at && close)
            err = MU_FAIL_AT(pos_of(s, s->at), "expected ',' or '%c', found '%c'", close, *s->at);
        else if (*s->at)
            err = MU_FAIL_AT(pos_of(s, s->at), "expected ',', found '%c'", *s->at);
        else
            err = MU_FAIL_AT(pos, "the '%c' that stands here is not closed", close == ']' ? '[' : '(');
        goto fail;
    }
    *out = list;
    return MU_OK;
fail:
    mu_cfg_release(list);
    return err;
}

/* Recurses at most MU_CONFIG_MAX_DEPTH levels. */
static mu_err read_item(scanner *s, int depth, mu_cfg **out)
{
    if (*s->at == '\'' || *s->at == '"') {
        MU_TRY(read_quoted(s, out));
    } else if (*s->at == '[' || *s->at == '(') {
        mu_pos pos = pos_of(s, s->at);
        if (depth == MU_CONFIG_MAX_DEPTH)
            return MU_FAIL_AT(pos, "nesting is deeper than %d levels", MU_CONFIG_MAX_DEPTH);
        char close = *s->at == '[' ? ']' : ')';
        s->at++;
        MU_TRY(read_items(s, depth + 1, close, pos, NULL, out));
        s->at++;
    } else {
        MU_TRY(read_bare(s, depth > 0, out));
    }
    return MU_OK;
}

mu_err mu_literal_parse(const char *text, mu_pos pos, mu_cfg **out)
{
    scanner s = {.at = text, .counted = text, .pos = pos};
    mu_cfg *value;
    skip_blanks(&s);
    mu_pos start = pos_of(&s, s.at);
    MU_TRY(read_item(&s, 0, &value));
    skip_blanks(&s);
    if (*s.at == ',')
        MU_TRY(read_items(&s, 0, '\0', start, value, &value));
    if (*s.at) {
        mu_cfg_release(value);
        MU_FAIL_AT(pos_of(&s, s.at), "expected the end, found '%c'", *s.at);
        return mu_error_hint("quote the value if all of it is text");
    }
    *out = value;
    return MU_OK;
}

const char *mu_cfg_nearest_key(const mu_cfg *dict, const char *word)
{
    enum { MOST = 1000 };
    const char **keys;
    if (mu_cfg_kind_of(dict) != MU_CFG_DICT || mu_cfg_size(dict) > MOST ||
        mu_alloc(&keys, mu_cfg_size(dict) * sizeof *keys) != MU_OK)
        return NULL;
    for (size_t i = 0; i < mu_cfg_size(dict); i++)
        keys[i] = mu_cfg_key_at(dict, i);
    const char *nearest = mu_nearest(word, keys, mu_cfg_size(dict));
    mu_free(keys);
    return nearest;
}
