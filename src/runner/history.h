/* Histories of scalars, as the message hub fills them. Private to the room. */
#ifndef MU_RUNNER_HISTORY_H
#define MU_RUNNER_HISTORY_H

#include "runner/message_hub.h"

MU_CHECKED mu_err mu_history_new(mu_history **out);
void mu_history_release(mu_history *history); /* NULL is allowed */
/* Beyond MU_HISTORY_CAPACITY the oldest entry goes. */
MU_CHECKED mu_err mu_history_add(mu_history *history, double value, double count);
void mu_history_clear(mu_history *history);
/* Entry i of those kept, the oldest first. */
void mu_history_at(const mu_history *history, int64_t i, double *value, double *count);

#endif
