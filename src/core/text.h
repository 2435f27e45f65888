/* A growing string, and small text helpers. */
#ifndef MU_CORE_TEXT_H
#define MU_CORE_TEXT_H

#include "core/error.h"

#include <stdbool.h>
#include <stddef.h>

/* Zero-initialised is empty. Errors are sticky: the first failed append is kept and told by mu_text_status. */
typedef struct {
    char *data; /* NULL or terminated */
    size_t length, capacity;
    mu_err err;
} mu_text;

void mu_text_append(mu_text *text, const char *s);
void mu_text_append_n(mu_text *text, const char *s, size_t n);
void mu_text_printf(mu_text *text, const char *format, ...) MU_PRINTF(2, 3);
MU_CHECKED mu_err mu_text_status(const mu_text *text);
/* Hands the string over (never NULL on success); freed by mu_free. The text is empty again. */
MU_CHECKED mu_err mu_text_take(mu_text *text, char **out);
void mu_text_release(mu_text *text);
/* "s" with the escapes of JSON, quotes included. */
void mu_text_append_json(mu_text *text, const char *s, size_t n);

/* Length of the valid UTF-8 sequence at s (at most n bytes left): 1..4, or 0. No surrogates, no overlong forms. */
int mu_utf8_length(const char *s, size_t n);

/* The candidate with the least edit distance (Damerau, case folded) to `word`, or NULL when none is near: the distance
 * may be at most a third of the word's length, rounded up. Of several the first. */
const char *mu_nearest(const char *word, const char *const *candidates, size_t n);

/* "a" or "an", as the noun wants it. */
const char *mu_article(const char *noun);

#endif
