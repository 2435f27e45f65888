/* Merging of trees, as files over their bases and overrides over a config. Private to the room. */
#ifndef MU_CONFIG_MERGE_H
#define MU_CONFIG_MERGE_H

#include "config/value.h"

/* Dicts merge key by key, all else is replaced. A dict over another kind is an error unless it has `_delete_: true`, which
 * never gets into the result. `element_keys`: keys "0", "1", ... over a list address its elements, which must exist.
 * Neither tree is deeper than MU_CONFIG_MAX_DEPTH. On failure `into` is half merged. */
MU_CHECKED mu_err mu_cfg_merge(mu_cfg *into, const mu_cfg *from, bool element_keys);

/* Takes `_delete_` out of all dicts of the tree. */
MU_CHECKED mu_err mu_cfg_strip_delete(mu_cfg *cfg);

#endif
