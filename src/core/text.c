#include "core/text.h"

#include "core/mem.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Makes room for n more bytes and the terminator. */
static mu_err reserve(mu_text *text, size_t n)
{
    size_t want;
    MU_TRY(mu_add_size(text->length, n, &want));
    MU_TRY(mu_add_size(want, 1, &want));
    MU_TRY(mu_grow(&text->data, &text->capacity, want, 1));
    return MU_OK;
}

void mu_text_append_n(mu_text *text, const char *s, size_t n)
{
    if (text->err || (text->err = reserve(text, n)))
        return;
    memcpy(text->data + text->length, s, n);
    text->length += n;
    text->data[text->length] = '\0';
}

void mu_text_append(mu_text *text, const char *s)
{
    mu_text_append_n(text, s, strlen(s));
}

void mu_text_printf(mu_text *text, const char *format, ...)
{
    if (text->err)
        return;
    va_list args;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0) {
        text->err = MU_FAIL(MU_ERR_INTERNAL, "text could not be formatted: %s", format);
        return;
    }
    if ((text->err = reserve(text, (size_t)n)))
        return;
    va_start(args, format);
    vsnprintf(text->data + text->length, (size_t)n + 1, format, args);
    va_end(args);
    text->length += (size_t)n;
}

mu_err mu_text_status(const mu_text *text)
{
    return text->err;
}

mu_err mu_text_take(mu_text *text, char **out)
{
    mu_text_append_n(text, "", 0);
    MU_TRY(text->err);
    *out = text->data;
    *text = (mu_text){0};
    return MU_OK;
}

void mu_text_release(mu_text *text)
{
    mu_free(text->data);
    *text = (mu_text){0};
}

void mu_text_append_json(mu_text *text, const char *s, size_t n)
{
    mu_text_append_n(text, "\"", 1);
    for (size_t i = 0; i < n;) {
        unsigned char c = (unsigned char)s[i];
        static const char escaped[] = "\"\\\b\f\n\r\t", letter[] = "\"\\bfnrt";
        const char *at = c ? strchr(escaped, c) : NULL;
        int length = mu_utf8_length(s + i, n - i);
        if (at)
            mu_text_append_n(text, (char[]){'\\', letter[at - escaped]}, 2);
        else if (c < 0x20 || c == 0x7f)
            mu_text_printf(text, "\\u%04x", c);
        else if (length == 0)
            mu_text_append(text, "\xef\xbf\xbd"); /* U+FFFD stands for a byte that is not UTF-8 */
        else
            mu_text_append_n(text, s + i, (size_t)length);
        i += length ? (size_t)length : 1;
    }
    mu_text_append_n(text, "\"", 1);
}

int mu_utf8_length(const char *s, size_t n)
{
    const unsigned char *u = (const unsigned char *)s;
    if (n == 0)
        return 0;
    if (u[0] < 0x80)
        return 1;
    int length = u[0] >= 0xf0 ? 4 : u[0] >= 0xe0 ? 3 : 2;
    if (u[0] < 0xc2 || u[0] > 0xf4 || n < (size_t)length)
        return 0;
    /* The second byte rules out overlong forms, surrogates and what lies beyond U+10FFFF. */
    unsigned low = u[0] == 0xe0 ? 0xa0 : u[0] == 0xf0 ? 0x90 : 0x80;
    unsigned high = u[0] == 0xed ? 0x9f : u[0] == 0xf4 ? 0x8f : 0xbf;
    if (u[1] < low || u[1] > high)
        return 0;
    for (int i = 2; i < length; i++)
        if ((u[i] & 0xc0) != 0x80)
            return 0;
    return length;
}

enum { MAX_WORD = 64 };

/* Edit distance with swaps of neighbours, case folded (optimal string alignment). Words have at most MAX_WORD bytes. */
static size_t edit_distance(const char *a, size_t na, const char *b, size_t nb)
{
    size_t rows[3][MAX_WORD + 1];
    size_t *before = rows[0], *above = rows[1], *row = rows[2];
    for (size_t j = 0; j <= nb; j++)
        above[j] = j;
    for (size_t i = 1; i <= na; i++) {
        row[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            int ca = tolower((unsigned char)a[i - 1]), cb = tolower((unsigned char)b[j - 1]);
            size_t best = above[j - 1] + (ca != cb);
            best = above[j] + 1 < best ? above[j] + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            if (i > 1 && j > 1 && ca == tolower((unsigned char)b[j - 2]) && tolower((unsigned char)a[i - 2]) == cb &&
                before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            row[j] = best;
        }
        size_t *spare = before;
        before = above;
        above = row;
        row = spare;
    }
    return above[nb];
}

const char *mu_nearest(const char *word, const char *const *candidates, size_t n)
{
    size_t length = strlen(word), least = (length + 2) / 3 + 1;
    const char *nearest = NULL;
    if (length > MAX_WORD)
        return NULL;
    for (size_t i = 0; i < n; i++) {
        size_t other = strlen(candidates[i]);
        if (other > MAX_WORD)
            continue;
        size_t distance = edit_distance(word, length, candidates[i], other);
        if (distance < least) {
            least = distance;
            nearest = candidates[i];
        }
    }
    return nearest;
}

const char *mu_article(const char *noun)
{
    return noun[0] && strchr("aeio", noun[0]) ? "an" : "a";
}
