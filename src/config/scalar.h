/* One word of text as a value: the core schema of YAML 1.2. Private to the room. */
#ifndef MU_CONFIG_SCALAR_H
#define MU_CONFIG_SCALAR_H

#include "config/value.h"

/* `kind` is one of NULL, BOOL, INT, FLOAT, STRING; the text of a string is not kept. */
typedef struct {
    mu_cfg_kind kind;
    bool boolean;
    int64_t integer;
    double real;
} mu_scalar;

/* NULL, or what is wrong: a number that does not fit. A byte that ends the word or NUL follows the text. */
const char *mu_scalar_resolve(const char *text, size_t length, mu_scalar *out);
MU_CHECKED mu_err mu_scalar_new(const mu_scalar *scalar, const char *text, size_t length, mu_pos pos, mu_cfg **out);
/* A decimal number that starts at `text`, whatever the locale; false when beyond the range of a double. */
bool mu_float_parse(const char *text, double *out);

enum { MU_FLOAT_TEXT = 32, MU_CLIP_TEXT = 48 };
/* The shortest form that reads back as the same double, with a point: "0.1", "1.0e-05", ".inf", "-.inf", ".nan". Returns buf. */
const char *mu_float_format(double x, char buf[MU_FLOAT_TEXT]);
/* At most 40 bytes of text on one line, whole characters, with "..." when there is more. Returns buf. */
const char *mu_text_clip(const char *text, size_t length, char buf[MU_CLIP_TEXT]);

#endif
