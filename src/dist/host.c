#include "dist/host.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void mu_host_name(char *buf, size_t size)
{
    char name[256] = "?";
    const char *slurm = getenv("SLURMD_NODENAME");
    if (gethostname(name, sizeof name - 1) != 0)
        snprintf(name, sizeof name, "?");
    snprintf(buf, size, "%.*s", (int)size - 1, slurm && *slurm ? slurm : name);
}
