/* Where what was measured is kept from run to run. */
#ifndef MU_CORE_CACHE_H
#define MU_CORE_CACHE_H

#include "core/error.h"

/* "DIR/name"; DIR is `dir`, or when that is NULL $MUSTER_CACHE_DIR, $XDG_CACHE_HOME/muster or ~/.cache/muster, the first that is set. NULL where DIR
 * is "" or nothing is set: nothing is kept. Freed by mu_free. */
MU_CHECKED mu_err mu_cache_path(const char *dir, const char *name, char **out);
/* The folders that a path needs, as far as they can be made: a failure shows when the file is opened. */
void mu_cache_make_folders(char *path);

#endif
