/* JSON by the letter of RFC 8259, with the place of every value, which libraries do not keep. */
#include "config/reader.h"

#include "config/scalar.h"
#include "core/mem.h"

#include <string.h>

typedef struct {
    mu_builder builder;
    const char *text, *at, *end;
    /* Where `counted` lies; moved on with the text, never back. */
    const char *counted;
    int line, column;
    mu_text string; /* the last one with escapes */
} reader;

static mu_pos pos_of(reader *r, const char *place)
{
    for (; r->counted < place; r->counted++) {
        char c = *r->counted;
        if (c == '\n' || (c == '\r' && !(r->counted + 1 < r->end && r->counted[1] == '\n'))) {
            r->line++;
            r->column = 1;
        } else {
            r->column += ((unsigned char)c & 0xc0) != 0x80;
        }
    }
    return (mu_pos){.file = r->builder.file, .line = r->line, .column = r->column};
}

static void skip_blanks(reader *r)
{
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\t' || *r->at == '\n' || *r->at == '\r'))
        r->at++;
}

static bool take(reader *r, char c)
{
    skip_blanks(r);
    if (r->at == r->end || *r->at != c)
        return false;
    r->at++;
    return true;
}

/* "expected WHAT, found 'x'" where the reader stands. */
static mu_err fail_expected(reader *r, const char *what)
{
    mu_pos pos = pos_of(r, r->at);
    if (r->at == r->end)
        return MU_FAIL_AT(pos, "expected %s, found the end of the text", what);
    int bytes = mu_utf8_length(r->at, (size_t)(r->end - r->at));
    unsigned char c = (unsigned char)*r->at;
    if (c < 0x20 || c == 0x7f)
        MU_FAIL_AT(pos, "expected %s, found the byte 0x%02x", what, c);
    else
        MU_FAIL_AT(pos, "expected %s, found '%.*s'", what, bytes, r->at);
    if (c == '\'')
        return mu_error_hint("JSON has double quotes only");
    if (c == '/' || c == '#')
        return mu_error_hint("JSON has no comments");
    if (r->at > r->text && (c == ']' || c == '}')) {
        const char *before = r->at - 1;
        while (before > r->text && strchr(" \t\r\n", *before))
            before--;
        if (*before == ',')
            return mu_error_hint("take out the comma before it");
    }
    return MU_ERR_CONFIG;
}

static bool hex4(const char *s, const char *end, unsigned *out)
{
    unsigned x = 0;
    if (end - s < 4)
        return false;
    for (int i = 0; i < 4; i++) {
        static const char all[] = "0123456789abcdef";
        const char *digit = s[i] ? strchr(all, s[i] >= 'A' && s[i] <= 'F' ? s[i] + 32 : s[i]) : NULL;
        if (!digit)
            return false;
        x = x << 4 | (unsigned)(digit - all);
    }
    *out = x;
    return true;
}

static void append_character(mu_text *text, unsigned c)
{
    char s[4];
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = n - 1; i > 0; i--, c >>= 6)
        s[i] = (char)(0x80 | (c & 0x3f));
    s[0] = (char)(lead[n] | c);
    mu_text_append_n(text, s, n);
}

/* The escape at r->at, behind the backslash. */
static mu_err read_escape(reader *r)
{
    static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    const char *known = r->at < r->end && *r->at ? strchr(letters, *r->at) : NULL;
    unsigned c, low;
    if (known) {
        mu_text_append_n(&r->string, &meanings[known - letters], 1);
        r->at++;
        return MU_OK;
    }
    if (r->at == r->end || *r->at != 'u')
        return fail_expected(r, "one of \" \\ / b f n r t u behind '\\'");
    if (!hex4(r->at + 1, r->end, &c))
        return MU_FAIL_AT(pos_of(r, r->at), "\\u needs four hexadecimal digits");
    if (c == 0)
        return MU_FAIL_AT(pos_of(r, r->at), "a string of a config cannot hold a NUL character");
    const char *start = r->at;
    r->at += 5;
    if (c >= 0xd800 && c <= 0xdfff) {
        if (c > 0xdbff || r->end - r->at < 6 || r->at[0] != '\\' || r->at[1] != 'u' || !hex4(r->at + 2, r->end, &low) ||
            low < 0xdc00 || low > 0xdfff)
            return MU_FAIL_AT(pos_of(r, start), "the surrogate \\u%04x stands alone", c);
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
        r->at += 6;
    }
    append_character(&r->string, c);
    return MU_OK;
}

/* The string at r->at, behind the opening quote: a slice of the text, or of r->string when it has escapes. */
static mu_err read_string(reader *r, const char **text, size_t *length)
{
    const char *start = r->at;
    bool escaped = false;
    r->string.length = 0;
    for (;;) {
        const char *run = r->at;
        while (r->at < r->end && *r->at != '"' && *r->at != '\\' && (unsigned char)*r->at >= 0x20)
            r->at++;
        if (r->at == r->end)
            return MU_FAIL_AT(pos_of(r, start - 1), "the string that begins here has no end");
        if ((unsigned char)*r->at < 0x20) {
            MU_FAIL_AT(pos_of(r, r->at), "the byte 0x%02x cannot stand in a string", (unsigned char)*r->at);
            return mu_error_hint("write it as an escape: \\n, \\t, \\u001b");
        }
        if (*r->at == '"' && !escaped) {
            *text = start;
            *length = (size_t)(r->at++ - start);
            return MU_OK;
        }
        mu_text_append_n(&r->string, run, (size_t)(r->at - run));
        if (*r->at++ == '"')
            break;
        escaped = true;
        MU_TRY(read_escape(r));
    }
    MU_TRY(mu_text_status(&r->string));
    *text = r->string.data;
    *length = r->string.length;
    return MU_OK;
}

static size_t digits(const reader *r, const char *s)
{
    size_t n = 0;
    while (s + n < r->end && s[n] >= '0' && s[n] <= '9')
        n++;
    return n;
}

/* -? (0 | [1-9][0-9]*) (\.[0-9]+)? ([eE][-+]?[0-9]+)? */
static mu_err read_number(reader *r, mu_pos pos, mu_cfg **out)
{
    const char *start = r->at;
    char clip[MU_CLIP_TEXT];
    r->at += *r->at == '-';
    size_t whole = digits(r, r->at);
    if (whole == 0)
        return fail_expected(r, "a digit");
    if (whole > 1 && *r->at == '0')
        return MU_FAIL_AT(pos, "a number cannot begin with a zero");
    r->at += whole;
    if (r->at < r->end && *r->at == '.') {
        r->at++;
        size_t fraction = digits(r, r->at);
        if (fraction == 0)
            return fail_expected(r, "a digit behind the point");
        r->at += fraction;
    }
    if (r->at < r->end && (*r->at == 'e' || *r->at == 'E')) {
        r->at++;
        r->at += r->at < r->end && (*r->at == '-' || *r->at == '+');
        size_t exponent = digits(r, r->at);
        if (exponent == 0)
            return fail_expected(r, "a digit of the exponent");
        r->at += exponent;
    }
    mu_scalar scalar;
    size_t length = (size_t)(r->at - start);
    const char *complaint = mu_scalar_resolve(start, length, &scalar);
    if (complaint)
        return MU_FAIL_AT(pos, "'%s' is %s", mu_text_clip(start, length, clip), complaint);
    MU_TRY(mu_scalar_new(&scalar, start, length, pos, out));
    return MU_OK;
}

static mu_err read_word(reader *r, mu_pos pos, mu_cfg **out)
{
    static const char *const words[] = {"null", "false", "true", "NaN", "Infinity", "-Infinity", "nan", "None", "True", "False"};
    size_t left = (size_t)(r->end - r->at), length, i;
    for (i = 0; i < sizeof words / sizeof *words; i++) {
        length = strlen(words[i]);
        if (left >= length && memcmp(r->at, words[i], length) == 0)
            break;
    }
    if (i == sizeof words / sizeof *words)
        return fail_expected(r, "a value");
    if (i > 2)
        return MU_FAIL_AT(pos, "JSON has no %s", words[i]);
    r->at += length;
    if (i == 0)
        MU_TRY(mu_cfg_new_null(pos, out));
    else
        MU_TRY(mu_cfg_new_bool(i == 2, pos, out));
    return MU_OK;
}

static mu_err read_scalar(reader *r, mu_pos pos, mu_cfg **out)
{
    const char *text = r->at;
    size_t length = r->builder.variables ? mu_variables_mark(text, (size_t)(r->end - r->at)) : 0;
    if (length > 0) { /* an expression in place of a value */
        r->at += length;
        MU_TRY(mu_builder_string(&r->builder, text, length, true, pos, out));
    } else if (r->at < r->end && *r->at == '"') {
        r->at++;
        MU_TRY(read_string(r, &text, &length));
        MU_TRY(mu_builder_string(&r->builder, text, length, false, pos, out));
    } else if (r->at < r->end && ((*r->at >= '0' && *r->at <= '9') || (*r->at == '-' && !(r->end - r->at > 1 && r->at[1] == 'I')))) {
        MU_TRY(read_number(r, pos, out));
    } else {
        MU_TRY(read_word(r, pos, out));
    }
    return MU_OK;
}

static mu_err read_key(reader *r)
{
    skip_blanks(r);
    mu_pos pos = pos_of(r, r->at);
    const char *text;
    size_t length;
    if (!take(r, '"'))
        return fail_expected(r, "a key in double quotes");
    MU_TRY(read_string(r, &text, &length));
    MU_TRY(mu_builder_key(&r->builder, text, length, pos));
    if (!take(r, ':'))
        return fail_expected(r, "':'");
    return MU_OK;
}

/* One scalar, or the beginning of a list or dict: sets *entered, and then *out is not owned. */
static mu_err read_value(reader *r, bool *entered)
{
    skip_blanks(r);
    mu_pos pos = pos_of(r, r->at);
    mu_cfg *value;
    *entered = r->at < r->end && (*r->at == '[' || *r->at == '{');
    if (!*entered) {
        MU_TRY(read_scalar(r, pos, &value));
        MU_TRY(mu_builder_add(&r->builder, value));
        return MU_OK;
    }
    if (*r->at++ == '[')
        MU_TRY(mu_cfg_new_list(pos, &value));
    else
        MU_TRY(mu_cfg_new_dict(pos, &value));
    MU_TRY(mu_builder_add(&r->builder, value));
    MU_TRY(mu_builder_enter(&r->builder, value));
    return MU_OK;
}

/* Behind a value: ends what ends here. *more: another item or key follows. */
static mu_err read_ends(reader *r, bool *more)
{
    *more = false;
    while (r->builder.depth > 0 && !*more) {
        bool list = mu_cfg_kind_of(mu_builder_inside(&r->builder)) == MU_CFG_LIST;
        if (take(r, ','))
            *more = true;
        else if (take(r, list ? ']' : '}'))
            mu_builder_leave(&r->builder);
        else
            return fail_expected(r, list ? "',' or ']'" : "',' or '}'");
    }
    return MU_OK;
}

static mu_err read_all(reader *r)
{
    for (bool entered, more = true; more;) {
        mu_cfg *inside = mu_builder_inside(&r->builder);
        if (inside && mu_cfg_kind_of(inside) == MU_CFG_DICT)
            MU_TRY(read_key(r));
        MU_TRY(read_value(r, &entered));
        if (entered) {
            inside = mu_builder_inside(&r->builder);
            if (!take(r, mu_cfg_kind_of(inside) == MU_CFG_LIST ? ']' : '}'))
                continue;
            mu_builder_leave(&r->builder);
        }
        MU_TRY(read_ends(r, &more));
    }
    skip_blanks(r);
    if (r->at < r->end)
        return fail_expected(r, "the end of the text behind the value");
    return MU_OK;
}

mu_err mu_json_read(const char *text, size_t length, const char *file, mu_budget *budget, mu_variables *variables, mu_cfg **out)
{
    MU_TRY(mu_reader_begin(&text, &length, file));
    reader *r;
    MU_TRY(mu_calloc(&r, 1, sizeof *r));
    r->builder = (mu_builder){.file = file, .budget = budget, .variables = variables};
    r->text = r->at = r->counted = text;
    r->end = text + length;
    r->line = r->column = 1;
    mu_err err = read_all(r);
    if (err == MU_OK) {
        *out = r->builder.root;
        r->builder.root = NULL;
    }
    mu_builder_release(&r->builder);
    mu_text_release(&r->string);
    mu_free(r);
    return err == MU_OK ? MU_OK : mu_error_trace(err, __FILE__, __LINE__, __func__);
}
