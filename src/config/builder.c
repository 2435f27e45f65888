#include "config/reader.h"

#include "config/scalar.h"
#include "core/mem.h"

#include <string.h>

mu_err mu_budget_check(const mu_budget *budget, mu_cfg_extent extent, size_t depth, mu_pos pos)
{
    if (extent.values > budget->values || extent.bytes > budget->bytes) {
        MU_FAIL_AT(pos, "the config comes to more than %d values or %d MiB of text here", MU_CONFIG_MAX_VALUES,
                   MU_CONFIG_MAX_BYTES >> 20);
        return mu_error_hint("aliases, merge keys and base variables copy what they refer to; keep large data outside the config");
    }
    if (depth + extent.depth > MU_CONFIG_MAX_DEPTH)
        return MU_FAIL_AT(pos, "nesting is deeper than %d levels", MU_CONFIG_MAX_DEPTH);
    return MU_OK;
}

mu_err mu_budget_spend(mu_budget *budget, mu_cfg_extent extent, size_t depth, mu_pos pos)
{
    MU_TRY(mu_budget_check(budget, extent, depth, pos));
    budget->values -= extent.values;
    budget->bytes -= extent.bytes;
    return MU_OK;
}

mu_cfg *mu_builder_inside(const mu_builder *builder)
{
    return builder->depth ? builder->open[builder->depth - 1] : NULL;
}

mu_err mu_builder_string(mu_builder *builder, const char *text, size_t length, bool plain, mu_pos pos, mu_cfg **out)
{
    if (memchr(text, '\0', length)) {
        MU_FAIL_AT(pos, "a string of a config cannot hold a NUL character");
        return mu_error_hint("take the escape \\0 or \\u0000 out");
    }
    if (builder->variables && mu_variables_in(text, length))
        MU_TRY(mu_variables_expand(builder->variables, text, length, plain, pos, out));
    else
        MU_TRY(mu_cfg_new_string(text, length, pos, out));
    return MU_OK;
}

mu_err mu_builder_key(mu_builder *builder, const char *text, size_t length, mu_pos pos)
{
    mu_cfg *expanded;
    MU_TRY(mu_builder_string(builder, text, length, false, pos, &expanded));
    text = mu_cfg_string(expanded);
    length = mu_cfg_string_length(expanded);
    char clip[MU_CLIP_TEXT];
    mu_cfg *twin = mu_cfg_get(mu_builder_inside(builder), text);
    mu_err err = MU_OK;
    if (builder->variables && mu_variables_in(text, length)) {
        err = MU_FAIL_AT(pos, "a base variable cannot be part of a key");
    } else if (twin) {
        mu_pos first = mu_cfg_key_pos(twin);
        err = MU_FAIL_AT(pos, "duplicate key '%s': it stands at line %d, column %d already", mu_text_clip(text, length, clip),
                         first.line, first.column);
    }
    builder->key.length = 0;
    if (err == MU_OK) {
        mu_text_append_n(&builder->key, text, length);
        err = mu_text_status(&builder->key);
    }
    builder->key_pos = pos;
    mu_cfg_release(expanded);
    return err;
}

mu_err mu_builder_add(mu_builder *builder, mu_cfg *value)
{
    mu_cfg *inside = mu_builder_inside(builder);
    mu_err err = mu_budget_spend(builder->budget, mu_cfg_measure(value), builder->depth, mu_cfg_pos(value));
    if (err != MU_OK) {
        mu_cfg_release(value);
        return err;
    }
    if (!inside)
        builder->root = value;
    else if (mu_cfg_kind_of(inside) == MU_CFG_LIST)
        MU_TRY(mu_cfg_append(inside, value));
    else
        MU_TRY(mu_cfg_set(inside, builder->key.data, builder->key_pos, value));
    return MU_OK;
}

mu_err mu_builder_enter(mu_builder *builder, mu_cfg *container)
{
    if (builder->depth == MU_CONFIG_MAX_DEPTH)
        return MU_FAIL_AT(mu_cfg_pos(container), "nesting is deeper than %d levels", MU_CONFIG_MAX_DEPTH);
    builder->open[builder->depth++] = container;
    return MU_OK;
}

void mu_builder_leave(mu_builder *builder)
{
    builder->depth--;
}

void mu_builder_release(mu_builder *builder)
{
    mu_text_release(&builder->key);
    mu_cfg_release(builder->root);
    builder->root = NULL;
}

mu_pos mu_reader_pos(const char *text, size_t length, const char *file, size_t offset)
{
    mu_pos pos = {.file = file, .line = 1, .column = 1};
    for (size_t i = 0; i < offset && i < length; i++) {
        if (text[i] == '\n' || (text[i] == '\r' && !(i + 1 < length && text[i + 1] == '\n'))) {
            pos.line++;
            pos.column = 1;
        } else {
            pos.column += ((unsigned char)text[i] & 0xc0) != 0x80;
        }
    }
    return pos;
}

mu_err mu_reader_begin(const char **text, size_t *length, const char *file)
{
    if (*length >= 3 && memcmp(*text, "\xef\xbb\xbf", 3) == 0) {
        *text += 3;
        *length -= 3;
    }
    for (size_t i = 0; i < *length;) {
        int n = mu_utf8_length(*text + i, *length - i);
        if (n == 0) {
            mu_pos pos = mu_reader_pos(*text, *length, file, i);
            MU_FAIL_AT(pos, "byte 0x%02x is not valid UTF-8", (unsigned char)(*text)[i]);
            bool utf16 = i == 0 && *length >= 2 && (memcmp(*text, "\xff\xfe", 2) == 0 || memcmp(*text, "\xfe\xff", 2) == 0);
            return mu_error_hint(utf16 ? "the text looks like UTF-16; save it as UTF-8" : "save the text as UTF-8");
        }
        i += (size_t)n;
    }
    return MU_OK;
}
