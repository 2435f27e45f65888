#include "config/variables.h"

#include "config/literal.h"
#include "config/reader.h"
#include "config/scalar.h"
#include "core/mem.h"
#include "core/text.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A mark is MARK_OPEN, the index of the expression in hexadecimal MARK_DIGITs, MARK_CLOSE: private-use characters U+10FF00 to
 * U+10FF11 of four bytes each, of which the first three are PREFIX. */
#define PREFIX "\xf4\x8f\xbc"
enum { MARK_BYTES = 4, MARK_DIGIT = 0x80, MARK_OPEN = 0x90, MARK_CLOSE = 0x91, MAX_EXPRESSIONS = 1 << 20 };

typedef enum { DIRNAME, BASENAME, STEM, EXTNAME, ENVIRONMENT, BASE } expression_kind;

typedef struct {
    expression_kind kind;
    bool raw;                     /* {{'$NAME'}} */
    const char *name, *fallback;  /* in the text; the name of a base variable is its path */
    size_t name_length, fallback_length;
} expression;

struct mu_variables {
    const char *path;
    mu_cfg *env;
    mu_text marked;
    expression *item; /* owned */
    size_t n, capacity;
};

static size_t blanks(const char *s, const char *end)
{
    size_t n = 0;
    while (s + n < end && (s[n] == ' ' || s[n] == '\t'))
        n++;
    return n;
}

static size_t word(const char *s, const char *end, const char *also)
{
    size_t n = 0;
    while (s + n < end && ((s[n] >= 'a' && s[n] <= 'z') || (s[n] >= 'A' && s[n] <= 'Z') || (s[n] >= '0' && s[n] <= '9') ||
                           s[n] == '_' || (s[n] && strchr(also, s[n]))))
        n++;
    return n;
}

/* The inside of {{ }}, without the blanks around. False when it is none of ours: it stays as it is. */
static bool parse_expression(const char *s, const char *end, expression *out)
{
    static const char *const predefined[] = {
        [DIRNAME] = "fileDirname", [BASENAME] = "fileBasename", [STEM] = "fileBasenameNoExtension", [EXTNAME] = "fileExtname"};
    *out = (expression){0};
    if (end - s >= 2 && (*s == '\'' || *s == '"') && end[-1] == *s) {
        out->raw = true;
        s += 1 + blanks(s + 1, end - 1);
        end--;
    }
    if (s < end && *s == '$') {
        s += 1 + blanks(s + 1, end);
        out->kind = ENVIRONMENT;
        out->name = s;
        out->name_length = word(s, end, "");
        s += out->name_length;
        s += blanks(s, end);
        bool fallback = s < end && *s == ':';
        if (fallback) {
            s += 1 + blanks(s + 1, end);
            while (end > s && (end[-1] == ' ' || end[-1] == '\t'))
                end--;
            out->fallback = s;
            out->fallback_length = (size_t)(end - s);
        }
        return out->name_length > 0 && (fallback || s == end);
    }
    size_t length = word(s, end, ".-");
    out->name = s;
    out->name_length = length;
    if (out->raw || s + length != end)
        return false;
    for (out->kind = DIRNAME; out->kind <= EXTNAME; out->kind++)
        if (length == strlen(predefined[out->kind]) && memcmp(s, predefined[out->kind], length) == 0)
            return true;
    if (length <= 7 || memcmp(s, "_base_.", 7) != 0)
        return false;
    out->kind = BASE;
    out->name += 7;
    out->name_length -= 7;
    return true;
}

/* The bytes of the expression that starts with "{{" at s, or 0. It lies on one line. */
static size_t find_expression(const char *s, const char *end, expression *out)
{
    for (const char *close = s + 2; close + 1 < end && *close != '\n' && *close != '\r'; close++) {
        if (close[0] != '}' || close[1] != '}')
            continue;
        const char *from = s + 2 + blanks(s + 2, close), *to = close;
        while (to > from && (to[-1] == ' ' || to[-1] == '\t'))
            to--;
        return parse_expression(from, to, out) ? (size_t)(close + 2 - s) : 0;
    }
    return 0;
}

/* As many characters as the expression has, which are at least seven: "{{$A:}}". */
static void append_mark(mu_text *text, size_t index, const char *s, size_t bytes)
{
    size_t digits = 0;
    for (size_t i = 0; i < bytes; i++)
        digits += ((unsigned char)s[i] & 0xc0) != 0x80;
    digits = digits > 7 ? digits - 2 : 5;
    mu_text_append_n(text, PREFIX "\x90", MARK_BYTES);
    while (digits-- > 0) {
        char digit[] = PREFIX "\x80";
        digit[3] = (char)(MARK_DIGIT + (digits < 5 ? index >> (4 * digits) & 15 : 0));
        mu_text_append_n(text, digit, MARK_BYTES);
    }
    mu_text_append_n(text, PREFIX "\x91", MARK_BYTES);
}

static mu_err scan(mu_variables *v, const char *text, size_t length, const char *file)
{
    const char *end = text + length, *copied = text;
    for (const char *s = text; s < end; s++) {
        if (end - s >= 3 && memcmp(s, PREFIX, 3) == 0) {
            mu_pos pos = mu_reader_pos(text, length, file, (size_t)(s - text));
            return MU_FAIL_AT(pos, "the private-use characters U+10FF00 to U+10FF3F are reserved");
        }
        expression found;
        size_t bytes = *s == '{' && end - s > 4 && s[1] == '{' ? find_expression(s, end, &found) : 0;
        if (bytes == 0)
            continue;
        if (v->n == MAX_EXPRESSIONS)
            return MU_FAIL_AT(mu_reader_pos(text, length, file, (size_t)(s - text)), "more than %d {{ }} expressions",
                              MAX_EXPRESSIONS);
        MU_TRY(mu_grow(&v->item, &v->capacity, v->n + 1, sizeof *v->item));
        mu_text_append_n(&v->marked, copied, (size_t)(s - copied));
        append_mark(&v->marked, v->n, s, bytes);
        v->item[v->n++] = found;
        copied = s + bytes;
        s = copied - 1;
    }
    mu_text_append_n(&v->marked, copied, (size_t)(end - copied));
    MU_TRY(mu_text_status(&v->marked));
    return MU_OK;
}

mu_err mu_variables_new(const char *text, size_t length, const char *path, const char *file, mu_cfg *env, mu_variables **out)
{
    mu_variables *v;
    MU_TRY(mu_calloc(&v, 1, sizeof *v));
    v->path = path;
    v->env = env;
    mu_err err = scan(v, text, length, file);
    if (err != MU_OK) {
        mu_variables_release(v);
        return mu_error_trace(err, __FILE__, __LINE__, __func__);
    }
    *out = v;
    return MU_OK;
}

void mu_variables_release(mu_variables *variables)
{
    if (!variables)
        return;
    mu_text_release(&variables->marked);
    mu_free(variables->item);
    mu_free(variables);
}

const char *mu_variables_text(const mu_variables *variables, size_t *length)
{
    *length = variables->marked.length;
    return variables->marked.data;
}

/* The first byte of a prefix in the text, or its end. */
static size_t find_prefix(const char *text, size_t length)
{
    const char *end = text + length;
    for (const char *at = text; (at = memchr(at, PREFIX[0], (size_t)(end - at))); at++)
        if (end - at >= 3 && memcmp(at, PREFIX, 3) == 0)
            return (size_t)(at - text);
    return length;
}

/* As mu_variables_mark, with the index that the mark holds. */
static size_t read_mark(const char *text, size_t length, size_t *index)
{
    *index = 0;
    for (size_t i = 0; i + MARK_BYTES <= length && memcmp(text + i, PREFIX, 3) == 0; i += MARK_BYTES) {
        unsigned char code = (unsigned char)text[i + 3];
        if ((code == MARK_OPEN) != (i == 0))
            return 0;
        if (code == MARK_CLOSE)
            return i + MARK_BYTES;
        if (i > 0)
            *index = (*index << 4 | (code & 15u)) & (MAX_EXPRESSIONS - 1);
    }
    return 0;
}

size_t mu_variables_mark(const char *text, size_t length)
{
    size_t index;
    return read_mark(text, length, &index);
}

bool mu_variables_in(const char *text, size_t length)
{
    for (size_t i = find_prefix(text, length); i < length; i += 3 + find_prefix(text + i + 3, length - i - 3))
        if (mu_variables_mark(text + i, length - i) > 0)
            return true;
    return false;
}

/* The expression that a mark at `text` stands for and the bytes of the mark; NULL: the bytes are text. */
static const expression *expression_at(const mu_variables *v, const char *text, size_t length, size_t *bytes)
{
    size_t index;
    *bytes = read_mark(text, length, &index);
    if (*bytes > 0 && index < v->n)
        return &v->item[index];
    *bytes = length < 3 ? length : 3;
    return NULL;
}

static mu_err append_file_part(const mu_variables *v, const expression *e, mu_pos pos, mu_text *out)
{
    if (!v->path)
        return MU_FAIL_AT(pos, "{{ %.*s }} needs a file, the config comes from text", (int)e->name_length, e->name);
    const char *path = strncmp(v->path, "./", 2) == 0 ? v->path + 2 : v->path, *slash = strrchr(path, '/');
    const char *base = slash ? slash + 1 : path, *dot = strrchr(base, '.');
    size_t stem = dot && dot > base ? (size_t)(dot - base) : strlen(base);
    switch (e->kind) {
    case BASENAME: mu_text_append(out, base); break;
    case STEM: mu_text_append_n(out, base, stem); break;
    case EXTNAME: mu_text_append(out, base + stem); break;
    default:
        if (path[0] != '/') {
            char directory[PATH_MAX];
            if (!getcwd(directory, sizeof directory))
                return MU_FAIL(MU_ERR_SYSTEM, "the working directory cannot be told: %s", strerror(errno));
            mu_text_append(out, directory);
            if (slash)
                mu_text_append(out, "/");
        }
        mu_text_append_n(out, slash == path ? "/" : path, slash == path ? 1 : slash ? (size_t)(slash - path) : 0);
    }
    return MU_OK;
}

static mu_err append_environment(const mu_variables *v, const expression *e, mu_pos pos, mu_text *out)
{
    char name[256], clip[MU_CLIP_TEXT];
    if (e->name_length >= sizeof name)
        return MU_FAIL_AT(pos, "the name of an environment variable is longer than %zu bytes", sizeof name - 1);
    memcpy(name, e->name, e->name_length);
    name[e->name_length] = '\0';
    const char *value = getenv(name);
    if ((!value || !*value) && e->fallback_length == 0) {
        MU_FAIL_AT(pos, "the environment variable %s is %s and has no default", name, value ? "empty" : "not set");
        return mu_error_hint("set it, or write {{$%s:default}}", name);
    }
    if (!value || !*value) {
        mu_text_append_n(out, e->fallback, e->fallback_length);
        return MU_OK;
    }
    mu_cfg *record;
    mu_err err = mu_cfg_new_string(value, strlen(value), (mu_pos){.file = "<environment>", .line = 1, .column = 1}, &record);
    if (err == MU_ERR_FORMAT)
        return MU_FAIL_AT(pos, "the environment variable %s='%s' is not valid UTF-8", name,
                          mu_text_clip(value, strlen(value), clip));
    MU_TRY(err);
    MU_TRY(mu_cfg_set(v->env, name, (mu_pos){0}, record));
    mu_text_append(out, value);
    return MU_OK;
}

mu_err mu_variables_expand(mu_variables *v, const char *text, size_t length, bool plain, mu_pos pos, mu_cfg **out)
{
    mu_text value = {0};
    mu_err err = MU_OK;
    bool raw = false;
    for (size_t i = 0, bytes; i < length && err == MU_OK; i += bytes) {
        bytes = find_prefix(text + i, length - i);
        mu_text_append_n(&value, text + i, bytes);
        i += bytes;
        const expression *e = expression_at(v, text + i, length - i, &bytes);
        if (e && e->kind <= EXTNAME)
            err = append_file_part(v, e, pos, &value);
        else if (e && e->kind == ENVIRONMENT)
            err = append_environment(v, e, pos, &value);
        else
            mu_text_append_n(&value, text + i, bytes);
        raw = raw || (e && e->raw && bytes == length);
    }
    if (err == MU_OK)
        mu_text_append(&value, "");
    if (err == MU_OK)
        err = mu_text_status(&value);
    if (err == MU_OK)
        err = plain && raw ? mu_literal_parse(value.data, pos, out) : mu_cfg_new_string(value.data, value.length, pos, out);
    mu_text_release(&value);
    return err;
}

/* Where the path leaves the tree, and what is there instead. */
static mu_err fail_missing(const mu_cfg *at, const char *path, mu_pos pos)
{
    char clip[MU_CLIP_TEXT], found[96], part[64] = "";
    const char *rest = path;
    for (;;) {
        size_t length = strcspn(rest, ".");
        snprintf(part, sizeof part, "%.*s", (int)length, rest);
        const mu_cfg *next = rest[length] ? mu_cfg_find(at, part) : NULL;
        if (!next)
            break;
        at = next;
        rest += length + 1;
    }
    mu_pos there = mu_cfg_pos(at);
    mu_cfg_describe(at, found, sizeof found);
    MU_FAIL_AT(pos, "{{_base_.%s}} refers to nothing: '%s' is not in the %s at %s:%d:%d",
               mu_text_clip(path, strlen(path), clip), part, found, there.file, there.line, there.column);
    const char *nearest = mu_cfg_nearest_key(at, part);
    return nearest ? mu_error_hint("did you mean '%s'?", nearest) : mu_error_last()->code;
}

static mu_err find_base_value(const expression *e, const mu_cfg *base, mu_pos pos, const mu_cfg **out)
{
    char *path;
    MU_TRY(mu_strndup(&path, e->name, e->name_length));
    const mu_cfg *value = base ? mu_cfg_find(base, path) : NULL;
    mu_err err = MU_OK;
    if (!base)
        err = MU_FAIL_AT(pos, "{{_base_.%.80s}} in a file without _base_", path);
    else if (!value)
        err = fail_missing(base, path, pos);
    mu_free(path);
    *out = value;
    return err;
}

static mu_err append_value(const mu_cfg *value, const expression *e, mu_pos pos, mu_text *out)
{
    char number[MU_FLOAT_TEXT], found[96];
    switch (mu_cfg_kind_of(value)) {
    case MU_CFG_NULL: mu_text_append(out, "null"); break;
    case MU_CFG_BOOL: mu_text_append(out, mu_cfg_bool(value) ? "true" : "false"); break;
    case MU_CFG_INT: mu_text_printf(out, "%" PRId64, mu_cfg_int(value)); break;
    case MU_CFG_FLOAT: mu_text_append(out, mu_float_format(mu_cfg_float(value), number)); break;
    case MU_CFG_STRING: mu_text_append_n(out, mu_cfg_string(value), mu_cfg_string_length(value)); break;
    default:
        mu_cfg_describe(value, found, sizeof found);
        MU_FAIL_AT(pos, "{{_base_.%.*s}} is a %s and cannot stand inside a string", e->name_length < 80 ? (int)e->name_length : 80,
                   e->name, found);
        return mu_error_hint("let it be the whole value");
    }
    return MU_OK;
}

/* The new value of a string with base variables. */
static mu_err expand_string(const mu_variables *v, const mu_cfg *string, const mu_cfg *base, mu_cfg **out)
{
    const char *text = mu_cfg_string(string);
    size_t length = mu_cfg_string_length(string);
    mu_pos pos = mu_cfg_pos(string);
    mu_text joined = {0};
    mu_err err = MU_OK;
    for (size_t i = 0, bytes; i < length && err == MU_OK; i += bytes) {
        bytes = find_prefix(text + i, length - i);
        mu_text_append_n(&joined, text + i, bytes);
        i += bytes;
        const mu_cfg *value = NULL;
        const expression *e = expression_at(v, text + i, length - i, &bytes);
        if (e && e->kind == BASE)
            err = find_base_value(e, base, pos, &value);
        else
            mu_text_append_n(&joined, text + i, bytes);
        if (err == MU_OK && value && bytes == length) {
            mu_text_release(&joined);
            MU_TRY(mu_cfg_copy(value, out));
            return MU_OK;
        }
        if (err == MU_OK && value)
            err = append_value(value, e, pos, &joined);
    }
    if (err == MU_OK)
        err = mu_text_status(&joined);
    if (err == MU_OK)
        err = mu_cfg_new_string(joined.data, joined.length, pos, out);
    mu_text_release(&joined);
    return err;
}

/* Recurses at most MU_CONFIG_MAX_DEPTH levels: the tree comes from a reader. */
static mu_err expand_below(const mu_variables *v, mu_cfg *at, const mu_cfg *base, mu_budget *budget, size_t depth)
{
    for (size_t i = 0; i < mu_cfg_size(at); i++) {
        mu_cfg *child = mu_cfg_at(at, i), *value;
        mu_cfg_kind kind = mu_cfg_kind_of(child);
        if (kind == MU_CFG_LIST || kind == MU_CFG_DICT)
            MU_TRY(expand_below(v, child, base, budget, depth + 1));
        if (kind != MU_CFG_STRING || !mu_variables_in(mu_cfg_string(child), mu_cfg_string_length(child)))
            continue;
        MU_TRY(expand_string(v, child, base, &value));
        mu_err err = mu_budget_spend(budget, mu_cfg_measure(value), depth, mu_cfg_pos(child));
        if (err != MU_OK) {
            mu_cfg_release(value);
            return err;
        }
        if (mu_cfg_kind_of(at) == MU_CFG_LIST)
            MU_TRY(mu_cfg_set_at(at, i, value));
        else
            MU_TRY(mu_cfg_set(at, mu_cfg_key_at(at, i), mu_cfg_key_pos(child), value));
    }
    return MU_OK;
}

mu_err mu_variables_expand_base(const mu_variables *variables, mu_cfg *tree, const mu_cfg *base, mu_budget *budget)
{
    bool any = false;
    for (size_t i = 0; i < variables->n && !any; i++)
        any = variables->item[i].kind == BASE;
    if (any)
        MU_TRY(expand_below(variables, tree, base, budget, 1));
    return MU_OK;
}
