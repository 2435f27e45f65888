/* A value as written on the command line or in an environment variable. Private to the room. */
#ifndef MU_CONFIG_LITERAL_H
#define MU_CONFIG_LITERAL_H

#include "config/value.h"

/* Numbers, booleans and null as in YAML, None, 'quoted' and "quoted" strings; `1, 2`, `[1, [2, 3]]` and `(1, 2)` are lists; all
 * else is a string. pos.column is that of the first character. */
MU_CHECKED mu_err mu_literal_parse(const char *text, mu_pos pos, mu_cfg **out);

/* The key of a dict nearest to `word`, or NULL. */
const char *mu_cfg_nearest_key(const mu_cfg *dict, const char *word);

#endif
