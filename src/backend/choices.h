/* Measured choices: in memory, and in a text file per device, library version and whatever else changes them.
 *
 * One line per choice: key, tab, choice, tab, milliseconds. The file is replaced by a rename; one that cannot be read as such
 * is ignored with a warning, and one that cannot be written costs only the next process's measurements. */
#ifndef MU_BACKEND_CHOICES_H
#define MU_BACKEND_CHOICES_H

#include "core/error.h"

typedef struct mu_choices mu_choices;

/* cache_dir as in mu_backend_options. header: the file's first line, static; it changes with the candidates. */
MU_CHECKED mu_err mu_choices_open(const char *cache_dir, const char *name, const char *header, mu_choices **out);
void mu_choices_close(mu_choices *choices); /* NULL is allowed */
/* The choice made for a key, also one that another process has written since; *out NULL: none. Borrowed until the next put or get. */
MU_CHECKED mu_err mu_choices_get(mu_choices *choices, const char *key, const char **out);
/* Keeps a choice and writes the file. */
MU_CHECKED mu_err mu_choices_put(mu_choices *choices, const char *key, const char *choice, double seconds);
/* The file's path, or NULL when there is none. */
const char *mu_choices_path(const mu_choices *choices);

#endif
