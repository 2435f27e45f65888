#include "cli/spin.h"

#include "core/cpus.h"

#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

void cli_limit_spinning(char **argv)
{
    char path[PATH_MAX];
    if (getenv("GOMP_SPINCOUNT") || getenv("OMP_WAIT_POLICY") || mu_cpu_count() < 2)
        return;
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    if (n < 0 || setenv("GOMP_SPINCOUNT", "1000", 0) != 0)
        return;
    path[n] = '\0';
    execv(path, argv); /* libgomp reads its settings before main. When this fails, the program goes on as it is */
}
