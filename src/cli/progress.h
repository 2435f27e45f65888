/* A line on stderr that shows how far something is, on a terminal only. For rank 0. */
#ifndef MU_CLI_PROGRESS_H
#define MU_CLI_PROGRESS_H

#include <stdint.h>

/* "label [=====>    ]  42 % 420/1000  3.1k/s  eta 0:07  tail": drawn over the line before, at most ten times a second, and once done ==
 * total. Another label begins anew. tail may be NULL. */
void cli_progress_update(const char *label, int64_t done, int64_t total, const char *tail);
/* Removes the line, so that other output may follow; the next update draws it again. */
void cli_progress_hide(void);
/* Removes the line for good. */
void cli_progress_end(void);

#endif
