/* The folder of a run: made, locked against a second run, with a log folder of its own for each start. */
#ifndef MU_RUNNER_WORK_DIR_H
#define MU_RUNNER_WORK_DIR_H

#include "core/error.h"

#include <stdbool.h>

typedef struct mu_work_dir mu_work_dir;

/* Makes the folder and those above it, checks that it can be written to, and when `lock`, takes `.lock` in it for as long as the process
 * lives: MU_ERR_USAGE names host, process and start of the run that has it; and removes what a killed run left half written:
 * *.h5.XXXXXXXX.part, last_checkpoint.XXXXXXXX.tmp, and in its log folders vis_data/scalars.h5.XXXXXXXX.tmp. `timestamp` is what the log
 * folder is called; _1, _2, ... is put behind it when that is taken. Not collective: rank 0 does it. */
MU_CHECKED mu_err mu_work_dir_open(const char *path, const char *timestamp, bool lock, mu_work_dir **out);
void mu_work_dir_release(mu_work_dir *dir); /* gives the lock back; NULL is allowed */
const char *mu_work_dir_timestamp(const mu_work_dir *dir); /* what it has become */
const char *mu_work_dir_log_dir(const mu_work_dir *dir);   /* PATH/timestamp */

/* mkdir -p. MU_ERR_USAGE for a name without characters, or with a line break. */
MU_CHECKED mu_err mu_make_dirs(const char *path);

#endif
