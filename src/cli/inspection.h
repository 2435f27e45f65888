/* What `muster check` tells of a sound config. */
#ifndef MU_CLI_INSPECTION_H
#define MU_CLI_INSPECTION_H

#include "core/text.h"
#include "runner/inspect.h"

/* Modules down to `depth`, data, memory. */
void cli_inspection_print(const mu_inspection *inspection, int ranks, int depth);
/* Members of an object, each with a comma before. */
void cli_inspection_json(mu_text *text, const mu_inspection *inspection);

#endif
