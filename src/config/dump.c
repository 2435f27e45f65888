/* Trees as YAML or JSON that reads back equal: by this library, and by readers of YAML 1.1. */
#include "config/config.h"

#include "config/scalar.h"
#include "config/variables.h"
#include "core/mem.h"
#include "core/text.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

/* Lists of scalars stand on one line up to FLOW_WIDTH; keys beyond LONG_KEY bytes are no simple keys of YAML. */
enum { STEP = 2, FLOW_WIDTH = 80, LONG_KEY = 1000 };

static void indent(mu_text *out, size_t columns)
{
    static const char blanks[] = "                                ";
    for (; columns > sizeof blanks - 1; columns -= sizeof blanks - 1)
        mu_text_append_n(out, blanks, sizeof blanks - 1);
    mu_text_append_n(out, blanks, columns);
}

/* Words without quotes: what begins like a name or path and no reader takes for something else. */
static bool is_plain(const char *s, size_t n)
{
    static const char *const taken[] = {"yes", "no", "on", "off", "true", "false", "null", "none"};
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_/", also[] = "0123456789-.+@% ";
    mu_scalar scalar;
    if (n == 0 || !(strchr(letters, s[0]) || (n > 2 && strncmp(s, "../", 3) == 0) || strncmp(s, "./", 2) == 0))
        return false;
    for (size_t i = 1; i < n; i++)
        if (!strchr(letters, s[i]) && !strchr(also, s[i]))
            return false;
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        if (strcasecmp(s, taken[i]) == 0)
            return false;
    return s[n - 1] != ' ' && mu_scalar_resolve(s, n, &scalar) == NULL && scalar.kind == MU_CFG_STRING;
}

/* The character at s when it must be an escape in YAML or JSON, else 0. The second brace of an expression is one. */
static unsigned escaped_at(const char *s, size_t i, size_t n)
{
    const unsigned char *u = (const unsigned char *)s + i;
    if (u[0] < 0x20 || u[0] == 0x7f || (u[0] == '{' && i > 0 && s[i - 1] == '{'))
        return u[0];
    if (u[0] == 0xc2 && u[1] < 0xa0) /* C1 controls, next line */
        return u[1];
    if (u[0] == 0xe2 && u[1] == 0x80 && (u[2] == 0xa8 || u[2] == 0xa9)) /* line and paragraph separator */
        return 0x2000 + (u[2] & 0x3fu);
    if (u[0] == 0xef && u[1] == 0xbb && u[2] == 0xbf)
        return 0xfeff;
    if (u[0] == 0xef && u[1] == 0xbf && u[2] >= 0xbe)
        return 0xffc0 + (u[2] & 0x3fu);
    if (u[0] == 0xf4 && n - i >= 4 && u[1] == 0x8f && u[2] == 0xbc) /* the marks of variables */
        return 0x10ff00 + (u[3] & 0x3fu);
    return 0;
}

/* Double quotes with escapes that both formats know. */
static void append_quoted(mu_text *out, const char *s, size_t n, bool json)
{
    mu_text_append_n(out, "\"", 1);
    for (size_t i = 0, bytes; i < n; i += bytes) {
        static const char special[] = "\"\\\b\f\n\r\t", letter[] = "\"\\bfnrt";
        const char *known = strchr(special, s[i]);
        unsigned c = known ? 0 : escaped_at(s, i, n);
        bytes = (size_t)mu_utf8_length(s + i, n - i);
        if (known)
            mu_text_printf(out, "\\%c", letter[known - special]);
        else if (c > 0xffff && json)
            mu_text_printf(out, "\\u%04x\\u%04x", 0xd800 + ((c - 0x10000) >> 10), 0xdc00 + (c & 0x3ff));
        else if (c > 0xffff)
            mu_text_printf(out, "\\U%08x", c);
        else if (c)
            mu_text_printf(out, "\\u%04x", c);
        else
            mu_text_append_n(out, s + i, bytes);
    }
    mu_text_append_n(out, "\"", 1);
}

static bool has_escapes(const char *s, size_t n, const char *but)
{
    for (size_t i = 0; i < n; i += (size_t)mu_utf8_length(s + i, n - i))
        if (!strchr(but, s[i]) && escaped_at(s, i, n))
            return true;
    return false;
}

static void append_string(mu_text *out, const char *s, size_t n, bool json)
{
    if (!json && is_plain(s, n)) {
        mu_text_append_n(out, s, n);
    } else if (json || has_escapes(s, n, "")) {
        append_quoted(out, s, n, json);
    } else {
        mu_text_append_n(out, "'", 1);
        for (const char *quote; (quote = memchr(s, '\'', n)); n -= (size_t)(quote + 1 - s), s = quote + 1) {
            mu_text_append_n(out, s, (size_t)(quote + 1 - s));
            mu_text_append_n(out, "'", 1);
        }
        mu_text_append_n(out, s, n);
        mu_text_append_n(out, "'", 1);
    }
}

static bool is_filled(const mu_cfg *cfg)
{
    mu_cfg_kind kind = mu_cfg_kind_of(cfg);
    return (kind == MU_CFG_LIST || kind == MU_CFG_DICT) && mu_cfg_size(cfg) > 0;
}

/* A scalar, or an empty list or dict. */
static mu_err append_scalar(mu_text *out, const mu_cfg *cfg, bool json)
{
    char number[MU_FLOAT_TEXT];
    mu_pos pos = mu_cfg_pos(cfg);
    switch (mu_cfg_kind_of(cfg)) {
    case MU_CFG_NULL: mu_text_append(out, "null"); break;
    case MU_CFG_BOOL: mu_text_append(out, mu_cfg_bool(cfg) ? "true" : "false"); break;
    case MU_CFG_INT: mu_text_printf(out, "%" PRId64, mu_cfg_int(cfg)); break;
    case MU_CFG_FLOAT:
        mu_float_format(mu_cfg_float(cfg), number);
        if (json && strpbrk(number, "in"))
            return MU_FAIL(MU_ERR_UNSUPPORTED, "%s:%d:%d: JSON cannot hold %s", pos.file, pos.line, pos.column, number);
        mu_text_append(out, number);
        break;
    case MU_CFG_STRING: append_string(out, mu_cfg_string(cfg), mu_cfg_string_length(cfg), json); break;
    case MU_CFG_LIST: mu_text_append(out, "[]"); break;
    case MU_CFG_DICT: mu_text_append(out, "{}"); break;
    }
    return MU_OK;
}

/* A short list of scalars on one line; otherwise *done is false and nothing is appended. */
static mu_err append_flow(mu_text *out, const mu_cfg *list, bool json, bool *done)
{
    size_t start = out->length;
    *done = false;
    if (mu_cfg_kind_of(list) != MU_CFG_LIST)
        return MU_OK;
    mu_text_append_n(out, "[", 1);
    for (size_t i = 0; i < mu_cfg_size(list); i++) {
        const mu_cfg *item = mu_cfg_at(list, i);
        if (is_filled(item) || (mu_cfg_kind_of(item) == MU_CFG_STRING && mu_cfg_string_length(item) > FLOW_WIDTH) ||
            out->length - start > FLOW_WIDTH) {
            out->length = start;
            return MU_OK;
        }
        mu_text_append(out, i ? ", " : "");
        MU_TRY(append_scalar(out, item, json));
    }
    mu_text_append_n(out, "]", 1);
    *done = out->length - start <= FLOW_WIDTH;
    if (!*done)
        out->length = start;
    return MU_OK;
}

/* Whether a string is better read as a block of lines. */
static bool is_block(const mu_cfg *cfg)
{
    if (mu_cfg_kind_of(cfg) != MU_CFG_STRING)
        return false;
    const char *s = mu_cfg_string(cfg);
    size_t n = mu_cfg_string_length(cfg);
    return memchr(s, '\n', n) && s[0] != '\n' && s[0] != ' ' && !has_escapes(s, n, "\n");
}

/* "|" and the lines; ends with a newline. */
static void append_block(mu_text *out, const char *s, size_t n, size_t columns)
{
    size_t breaks = 0;
    while (s[n - 1 - breaks] == '\n') /* the first byte is none */
        breaks++;
    mu_text_append(out, breaks == 0 ? "|-\n" : breaks == 1 ? "|\n" : "|+\n");
    for (const char *end = s + n; s < end;) {
        const char *line = memchr(s, '\n', (size_t)(end - s));
        size_t length = line ? (size_t)(line - s) : (size_t)(end - s);
        if (length > 0)
            indent(out, columns);
        mu_text_append_n(out, s, length);
        mu_text_append_n(out, "\n", 1);
        s += length + 1;
    }
}

static mu_err append_yaml(mu_text *out, const mu_cfg *cfg, size_t columns);

/* What stands behind "key:" or "-", at the end of its line or on lines of its own. */
static mu_err append_yaml_value(mu_text *out, const mu_cfg *value, size_t columns, bool in_dict)
{
    bool done;
    if (is_block(value)) {
        mu_text_append_n(out, " ", 1);
        append_block(out, mu_cfg_string(value), mu_cfg_string_length(value), columns + STEP);
        return MU_OK;
    }
    if (!is_filled(value)) {
        mu_text_append_n(out, " ", 1);
        MU_TRY(append_scalar(out, value, false));
        mu_text_append_n(out, "\n", 1);
        return MU_OK;
    }
    size_t before = out->length;
    mu_text_append_n(out, " ", 1);
    MU_TRY(append_flow(out, value, false, &done));
    if (done) {
        mu_text_append_n(out, "\n", 1);
        return MU_OK;
    }
    if (in_dict) { /* "- " and the first line go together */
        out->length = before;
        mu_text_append_n(out, "\n", 1);
        indent(out, columns + STEP);
    }
    MU_TRY(append_yaml(out, value, columns + STEP));
    return MU_OK;
}

/* A list or dict that is not empty, the first line of which is indented already. Recurses at most MU_CONFIG_MAX_DEPTH levels. */
static mu_err append_yaml(mu_text *out, const mu_cfg *cfg, size_t columns)
{
    bool dict = mu_cfg_kind_of(cfg) == MU_CFG_DICT;
    for (size_t i = 0; i < mu_cfg_size(cfg); i++) {
        indent(out, i ? columns : 0);
        if (dict) {
            const char *key = mu_cfg_key_at(cfg, i);
            size_t start = out->length, length = strlen(key);
            bool is_long = length > LONG_KEY / 6; /* an escape has up to six bytes for one */
            mu_text_append(out, is_long ? "? " : "");
            append_string(out, key, length, false);
            if (is_long && out->length - start <= LONG_KEY) {
                out->length = start;
                append_string(out, key, length, false);
            } else if (is_long) {
                mu_text_append_n(out, "\n", 1);
                indent(out, columns);
            }
        }
        mu_text_append_n(out, dict ? ":" : "-", 1);
        MU_TRY(append_yaml_value(out, mu_cfg_at(cfg, i), columns, dict));
    }
    MU_TRY(mu_text_status(out));
    return MU_OK;
}

/* Recurses at most MU_CONFIG_MAX_DEPTH levels. */
static mu_err append_json(mu_text *out, const mu_cfg *cfg, size_t columns)
{
    bool dict = mu_cfg_kind_of(cfg) == MU_CFG_DICT, done;
    if (!is_filled(cfg)) {
        MU_TRY(append_scalar(out, cfg, true));
        return MU_OK;
    }
    MU_TRY(append_flow(out, cfg, true, &done));
    if (done)
        return MU_OK;
    mu_text_append(out, dict ? "{\n" : "[\n");
    for (size_t i = 0; i < mu_cfg_size(cfg); i++) {
        indent(out, columns + STEP);
        if (dict) {
            append_quoted(out, mu_cfg_key_at(cfg, i), strlen(mu_cfg_key_at(cfg, i)), true);
            mu_text_append(out, ": ");
        }
        MU_TRY(append_json(out, mu_cfg_at(cfg, i), columns + STEP));
        mu_text_append(out, i + 1 < mu_cfg_size(cfg) ? ",\n" : "\n");
    }
    indent(out, columns);
    mu_text_append(out, dict ? "}" : "]");
    MU_TRY(mu_text_status(out));
    return MU_OK;
}

static mu_err append_tree(mu_text *out, const mu_cfg *cfg, bool json)
{
    if (json || !is_filled(cfg)) {
        MU_TRY(append_json(out, cfg, 0));
        mu_text_append_n(out, "\n", 1);
    } else {
        MU_TRY(append_yaml(out, cfg, 0));
    }
    MU_TRY(mu_text_status(out));
    return MU_OK;
}

mu_err mu_cfg_dump(const mu_cfg *cfg, const char *format, char **out)
{
    bool json = strcmp(format, "json") == 0;
    if (!json && strcmp(format, "yaml") != 0)
        return MU_FAIL(MU_ERR_USAGE, "the format of a config is yaml or json, not '%s'", format);
    if (mu_cfg_measure(cfg).depth > MU_CONFIG_MAX_DEPTH)
        return MU_FAIL(MU_ERR_CONFIG, "a config deeper than %d levels could not be read back", MU_CONFIG_MAX_DEPTH);
    mu_text text = {0};
    mu_err err = append_tree(&text, cfg, json);
    if (err == MU_OK)
        err = mu_text_take(&text, out);
    mu_text_release(&text);
    return err == MU_OK ? MU_OK : mu_error_trace(err, __FILE__, __LINE__, __func__);
}
