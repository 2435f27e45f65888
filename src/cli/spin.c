#include "cli/spin.h"

#include "core/pool.h"

#include <stdlib.h>
#include <unistd.h>

void cli_limit_spinning(char **argv)
{
    if (getenv("GOMP_SPINCOUNT") || getenv("OMP_WAIT_POLICY") || mu_cpu_count() < 2)
        return;
    /* libgomp reads its settings before main. When exec fails, the program goes on as it is. */
    if (setenv("GOMP_SPINCOUNT", "1000", 0) == 0)
        execv("/proc/self/exe", argv);
}
