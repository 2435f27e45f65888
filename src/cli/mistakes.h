/* Mistakes of a config, told on stderr. */
#ifndef MU_CLI_MISTAKES_H
#define MU_CLI_MISTAKES_H

#include "config/diagnostic.h"

/* Sorts them; a line each, then their number. */
MU_CHECKED mu_err cli_tell_mistakes(const char *config, mu_diagnostics *list);

#endif
