/* A config as it is read. Private to the room. */
#ifndef MU_CONFIG_LOAD_H
#define MU_CONFIG_LOAD_H

#include "config/value.h"

/* Owned: the composed tree, the environment variables used, the text of all files. */
typedef struct {
    mu_cfg *root, *env;
    char *text;
} mu_loaded;

MU_CHECKED mu_err mu_load_file(const char *path, mu_loaded *out);
/* `format` is "yaml" or "json". */
MU_CHECKED mu_err mu_load_text(const char *text, size_t length, const char *format, mu_loaded *out);
void mu_loaded_release(mu_loaded *loaded);

/* The format by a file's extension, or NULL. */
const char *mu_config_format_of(const char *path);
/* A top-level key that configs may not have. */
bool mu_config_is_reserved(const char *key);

#endif
