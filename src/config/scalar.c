#include "config/scalar.h"

#include "core/text.h"

#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_one_of(const char *text, size_t length, const char *const *words)
{
    for (; *words; words++)
        if (strlen(*words) == length && memcmp(*words, text, length) == 0)
            return true;
    return false;
}

static size_t digits(const char *text, size_t length)
{
    size_t n = 0;
    while (n < length && text[n] >= '0' && text[n] <= '9')
        n++;
    return n;
}

/* [-+]? (\.[0-9]+ | [0-9]+(\.[0-9]*)?) ([eE][-+]?[0-9]+)? ; sets *integral when there are digits only. */
static bool is_decimal(const char *text, size_t length, bool *integral)
{
    size_t i = length > 0 && (text[0] == '-' || text[0] == '+'), whole = digits(text + i, length - i), fraction = 0;
    i += whole;
    *integral = whole > 0 && i == length;
    if (i < length && text[i] == '.') {
        i++;
        fraction = digits(text + i, length - i);
        i += fraction;
    }
    if (whole == 0 && fraction == 0)
        return false;
    if (i < length && (text[i] == 'e' || text[i] == 'E')) {
        i++;
        i += i < length && (text[i] == '-' || text[i] == '+');
        size_t exponent = digits(text + i, length - i);
        if (exponent == 0)
            return false;
        i += exponent;
    }
    return i == length;
}

/* False beyond int64_t. The digits are checked. */
static bool parse_decimal(const char *text, size_t length, int64_t *out)
{
    bool negative = text[0] == '-';
    int64_t x = 0;
    for (size_t i = text[0] == '-' || text[0] == '+'; i < length; i++) {
        int digit = text[i] - '0';
        if (__builtin_mul_overflow(x, 10, &x) || __builtin_add_overflow(x, negative ? -digit : digit, &x))
            return false;
    }
    *out = x;
    return true;
}

/* 0o17 and 0x1f: 0 when it is none, 1 when it is, -1 beyond int64_t. */
static int parse_radix(const char *text, size_t length, int64_t *out)
{
    if (length < 3 || text[0] != '0' || (text[1] != 'x' && text[1] != 'o'))
        return 0;
    int64_t radix = text[1] == 'x' ? 16 : 8, x = 0;
    bool fits = true;
    for (size_t i = 2; i < length; i++) {
        static const char all[] = "0123456789abcdef";
        const char *at = memchr(all, text[i] >= 'A' && text[i] <= 'F' ? text[i] + 32 : text[i], (size_t)radix);
        if (!at)
            return 0;
        fits = fits && !__builtin_mul_overflow(x, radix, &x) && !__builtin_add_overflow(x, at - all, &x);
    }
    *out = x;
    return fits ? 1 : -1;
}

bool mu_float_parse(const char *text, double *out)
{
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0), old = c ? uselocale(c) : (locale_t)0;
    double x = strtod(text, NULL);
    if (c) {
        uselocale(old);
        freelocale(c);
    }
    if (isinf(x))
        return false;
    *out = x;
    return true;
}

const char *mu_scalar_resolve(const char *text, size_t length, mu_scalar *out)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL}, *const trues[] = {"true", "True", "TRUE", NULL},
                             *const falses[] = {"false", "False", "FALSE", NULL}, *const nans[] = {".nan", ".NaN", ".NAN", NULL},
                             *const infinities[] = {".inf", ".Inf", ".INF", NULL};
    static const char too_large[] = "an integer that does not fit in 64 bits";
    size_t sign = length > 0 && (text[0] == '-' || text[0] == '+');
    bool integral;
    *out = (mu_scalar){.kind = MU_CFG_STRING};
    if (is_decimal(text, length, &integral)) {
        out->kind = integral ? MU_CFG_INT : MU_CFG_FLOAT;
        if (integral)
            return parse_decimal(text, length, &out->integer) ? NULL : too_large;
        return mu_float_parse(text, &out->real) ? NULL : "a number beyond the range of a double";
    }
    int radix = parse_radix(text, length, &out->integer);
    if (radix != 0) {
        out->kind = MU_CFG_INT;
        return radix > 0 ? NULL : too_large;
    }
    if (is_one_of(text, length, nulls)) {
        out->kind = MU_CFG_NULL;
    } else if (is_one_of(text, length, trues) || is_one_of(text, length, falses)) {
        out->kind = MU_CFG_BOOL;
        out->boolean = text[0] == 't' || text[0] == 'T';
    } else if (is_one_of(text, length, nans) || is_one_of(text + sign, length - sign, infinities)) {
        out->kind = MU_CFG_FLOAT;
        out->real = is_one_of(text, length, nans) ? (double)NAN : text[0] == '-' ? -(double)INFINITY : (double)INFINITY;
    }
    return NULL;
}

mu_err mu_scalar_new(const mu_scalar *scalar, const char *text, size_t length, mu_pos pos, mu_cfg **out)
{
    switch (scalar->kind) {
    case MU_CFG_NULL: MU_TRY(mu_cfg_new_null(pos, out)); break;
    case MU_CFG_BOOL: MU_TRY(mu_cfg_new_bool(scalar->boolean, pos, out)); break;
    case MU_CFG_INT: MU_TRY(mu_cfg_new_int(scalar->integer, pos, out)); break;
    case MU_CFG_FLOAT: MU_TRY(mu_cfg_new_float(scalar->real, pos, out)); break;
    default: MU_TRY(mu_cfg_new_string(text, length, pos, out)); break;
    }
    return MU_OK;
}

const char *mu_float_format(double x, char buf[MU_FLOAT_TEXT])
{
    if (isnan(x) || isinf(x)) {
        snprintf(buf, MU_FLOAT_TEXT, "%s", isnan(x) ? ".nan" : x < 0 ? "-.inf" : ".inf");
        return buf;
    }
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0), old = c ? uselocale(c) : (locale_t)0;
    double back = 0;
    /* 15 digits give any shorter form too, but of denormal numbers. */
    for (int precision = fabs(x) < DBL_MIN ? 1 : 15; precision <= 17; precision++) {
        snprintf(buf, MU_FLOAT_TEXT, "%.*g", precision, x);
        if (mu_float_parse(buf, &back) && back == x)
            break;
    }
    if (c) {
        uselocale(old);
        freelocale(c);
    }
    if (!strchr(buf, '.')) { /* a float must not read back as an integer, also for readers of YAML 1.1 */
        size_t mantissa = strcspn(buf, "e");
        memmove(buf + mantissa + 2, buf + mantissa, strlen(buf + mantissa) + 1);
        memcpy(buf + mantissa, ".0", 2);
    }
    return buf;
}

const char *mu_text_clip(const char *text, size_t length, char buf[MU_CLIP_TEXT])
{
    enum { MOST = 40 };
    size_t n = 0;
    while (n < length) {
        int bytes = mu_utf8_length(text + n, length - n);
        if (bytes == 0 || n + (size_t)bytes > MOST)
            break;
        memcpy(buf + n, text + n, (size_t)bytes);
        if ((unsigned char)text[n] < 0x20 || text[n] == 0x7f)
            buf[n] = ' ';
        n += (size_t)bytes;
    }
    snprintf(buf + n, MU_CLIP_TEXT - n, "%s", n < length ? "..." : "");
    return buf;
}
