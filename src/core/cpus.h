/* Sets of processors as the operating system numbers them, and the cores that they belong to. */
#ifndef MU_CORE_CPUS_H
#define MU_CORE_CPUS_H

#include "core/error.h"

#include <stdbool.h>
#include <stdint.h>

enum { MU_MAX_CPUS = 4096 };

/* Zero-initialised is empty. Processors beyond MU_MAX_CPUS are never in it. */
typedef struct {
    uint64_t word[MU_MAX_CPUS / 64];
} mu_cpus;

void mu_cpus_add(mu_cpus *cpus, int cpu);
bool mu_cpus_has(const mu_cpus *cpus, int cpu);
int mu_cpus_count(const mu_cpus *cpus);
bool mu_cpus_equal(const mu_cpus *a, const mu_cpus *b);
bool mu_cpus_meet(const mu_cpus *a, const mu_cpus *b);
/* a becomes the union. */
void mu_cpus_join(mu_cpus *a, const mu_cpus *b);
/* "0-3,8" as the kernel writes it, cut at `size`. Returns buf. */
const char *mu_cpus_format(const mu_cpus *cpus, char *buf, size_t size);
MU_CHECKED mu_err mu_cpus_parse(const char *list, mu_cpus *out);

/* The affinity mask of a process (0: this thread); false when it cannot be read. */
bool mu_cpus_allowed(int pid, mu_cpus *out);
/* Binds all threads of this process, and those that it will start. */
MU_CHECKED mu_err mu_cpus_bind(const mu_cpus *cpus);

/* How many cores the processors are hardware threads of; `folder` is what the kernel tells about processors, NULL:
 * /sys/devices/system/cpu. Processors of which it tells nothing count as cores. */
int mu_cpus_cores(const mu_cpus *cpus, const char *folder);

/* Cores' worth of time that the control groups of this process allow; 0: all. `root` is before the paths /proc and /sys, NULL: "". */
double mu_cpu_quota(const char *root);
/* The same of memory, in bytes; 0: all. */
int64_t mu_memory_limit(const char *root);

/* Cores that this process may use: those of its affinity mask, within the quota, at least 1. */
int mu_cpu_count(void);

#endif
