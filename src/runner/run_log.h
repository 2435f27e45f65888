/* The log of a run: what core/log.h is told goes to stderr and into a file, line by line.
 *
 * console: "11/22 02:45:51 - muster - INFO - text"; the file has the year in front. Rooms other than "run" and "runner" are named before the text;
 * ranks other than 0 as "rank r/W: ". */
#ifndef MU_RUNNER_RUN_LOG_H
#define MU_RUNNER_RUN_LOG_H

#include "core/log.h"

typedef struct mu_run_log mu_run_log;

/* Takes the log over until the release. path: the file, appended to; NULL: none (ranks other than 0). A line that cannot be written to the file
 * is lost there, and told once on the console. */
MU_CHECKED mu_err mu_run_log_open(const char *path, int rank, int size, mu_run_log **out);
void mu_run_log_release(mu_run_log *log); /* NULL is allowed */

/* Lines below this level go to the file only. Process-wide, also before the log is opened. */
void mu_run_log_set_console(mu_log_level level);

/* Called before every line on the console, one at a time: clears a progress bar. It must not log. NULL: none. Process-wide, also before
 * the log is opened. */
void mu_run_log_before_line(void (*clear)(void *user), void *user);

#endif
