/* Differences of two texts line by line. Private to the room. */
#ifndef MU_CONFIG_DIFF_H
#define MU_CONFIG_DIFF_H

#include "core/error.h"

/* A unified diff with three lines of context, "" when the texts are equal; freed by mu_free. Both end with a newline. */
MU_CHECKED mu_err mu_text_diff(const char *a, const char *a_name, const char *b, const char *b_name, char **out);

#endif
