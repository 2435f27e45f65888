/* Options over a config. Private to the room. */
#ifndef MU_CONFIG_OVERRIDE_H
#define MU_CONFIG_OVERRIDE_H

#include "config/value.h"

/* A copy of `root` into which `options` is merged, a dict the keys of which may be dotted paths. */
MU_CHECKED mu_err mu_override_apply(const mu_cfg *root, const mu_cfg *options, bool list_keys, mu_cfg **out);
/* {key: value} of "key=value"; `ordinal` becomes the line. */
MU_CHECKED mu_err mu_override_parse(const char *assignment, int ordinal, mu_cfg **out);

#endif
