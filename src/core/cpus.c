#include "config.h" /* _GNU_SOURCE */

#include "core/cpus.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS = MU_MAX_CPUS / 64 };

void mu_cpus_add(mu_cpus *cpus, int cpu)
{
    if (cpu >= 0 && cpu < MU_MAX_CPUS)
        cpus->word[cpu / 64] |= UINT64_C(1) << (cpu % 64);
}

bool mu_cpus_has(const mu_cpus *cpus, int cpu)
{
    return cpu >= 0 && cpu < MU_MAX_CPUS && (cpus->word[cpu / 64] >> (cpu % 64) & 1);
}

int mu_cpus_count(const mu_cpus *cpus)
{
    int n = 0;
    for (int i = 0; i < WORDS; i++)
        n += __builtin_popcountll(cpus->word[i]);
    return n;
}

bool mu_cpus_equal(const mu_cpus *a, const mu_cpus *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

bool mu_cpus_meet(const mu_cpus *a, const mu_cpus *b)
{
    for (int i = 0; i < WORDS; i++)
        if (a->word[i] & b->word[i])
            return true;
    return false;
}

void mu_cpus_join(mu_cpus *a, const mu_cpus *b)
{
    for (int i = 0; i < WORDS; i++)
        a->word[i] |= b->word[i];
}

const char *mu_cpus_format(const mu_cpus *cpus, char *buf, size_t size)
{
    size_t used = 0;
    if (size)
        buf[0] = '\0';
    for (int first = 0; first < MU_MAX_CPUS && used < size; first++) {
        if (!mu_cpus_has(cpus, first))
            continue;
        int last = first;
        while (mu_cpus_has(cpus, last + 1))
            last++;
        used += (size_t)snprintf(buf + used, size - used, last > first ? "%s%d-%d" : "%s%d", used ? "," : "", first, last);
        first = last;
    }
    return buf;
}

mu_err mu_cpus_parse(const char *list, mu_cpus *out)
{
    mu_cpus cpus = {0};
    for (const char *at = list; *at && *at != '\n';) {
        char *end;
        long first = strtol(at, &end, 10), last = first;
        bool ok = end != at;
        if (ok && *end == '-') {
            at = end + 1;
            last = strtol(at, &end, 10);
            ok = end != at;
        }
        if (!ok || first < 0 || last < first || last >= MU_MAX_CPUS || !strchr(",\n", *end))
            return MU_FAIL(MU_ERR_FORMAT, "'%s' is no list of processors as in 0-3,8", list);
        for (long cpu = first; cpu <= last; cpu++)
            mu_cpus_add(&cpus, (int)cpu);
        at = end + (*end == ',');
    }
    *out = cpus;
    return MU_OK;
}

bool mu_cpus_allowed(int pid, mu_cpus *out)
{
    cpu_set_t mask[MU_MAX_CPUS / CPU_SETSIZE];
    if (sched_getaffinity(pid, sizeof mask, mask) != 0)
        return false;
    *out = (mu_cpus){0};
    for (int cpu = 0; cpu < MU_MAX_CPUS; cpu++)
        if (CPU_ISSET_S(cpu, sizeof mask, mask))
            mu_cpus_add(out, cpu);
    return true;
}

mu_err mu_cpus_bind(const mu_cpus *cpus)
{
    cpu_set_t mask[MU_MAX_CPUS / CPU_SETSIZE];
    CPU_ZERO_S(sizeof mask, mask);
    for (int cpu = 0; cpu < MU_MAX_CPUS; cpu++)
        if (mu_cpus_has(cpus, cpu))
            CPU_SET_S(cpu, sizeof mask, mask);
    if (sched_setaffinity(0, sizeof mask, mask) != 0)
        return MU_FAIL(MU_ERR_SYSTEM, "this process cannot be bound to cores: %s", strerror(errno));
    /* The threads that are there already: those of the MPI library. One that has ended meanwhile needs nothing. */
    DIR *tasks = opendir("/proc/self/task");
    for (struct dirent *entry; tasks && (entry = readdir(tasks));)
        if (entry->d_name[0] != '.')
            (void)!sched_setaffinity(atoi(entry->d_name), sizeof mask, mask);
    if (tasks)
        closedir(tasks);
    return MU_OK;
}

/* The first line of a file; false: there is none. */
static bool first_line(const char *path, char *line, int size)
{
    FILE *file = fopen(path, "r");
    bool ok = file && fgets(line, size, file);
    if (file)
        fclose(file);
    return ok;
}

int mu_cpus_cores(const mu_cpus *cpus, const char *folder)
{
    mu_cpus counted = {0};
    int n = 0;
    for (int cpu = 0; cpu < MU_MAX_CPUS; cpu++) {
        char path[PATH_MAX], line[4096];
        mu_cpus siblings;
        if (!mu_cpus_has(cpus, cpu) || mu_cpus_has(&counted, cpu))
            continue;
        n++;
        snprintf(path, sizeof path, "%s/cpu%d/topology/thread_siblings_list", folder ? folder : "/sys/devices/system/cpu", cpu);
        if (first_line(path, line, sizeof line) && mu_cpus_parse(line, &siblings) == MU_OK)
            mu_cpus_join(&counted, &siblings);
    }
    return n;
}

/* Files cpu.max, or those of version 1; 0: none, as below. */
static double quota_of(const char *folder)
{
    char path[PATH_MAX + 32], line[256];
    double quota = 0, period = 0;
    snprintf(path, sizeof path, "%s/cpu.max", folder);
    if (!first_line(path, line, sizeof line) || sscanf(line, "%lf %lf", &quota, &period) != 2) {
        snprintf(path, sizeof path, "%s/cpu.cfs_quota_us", folder);
        quota = first_line(path, line, sizeof line) ? atof(line) : 0;
        snprintf(path, sizeof path, "%s/cpu.cfs_period_us", folder);
        period = first_line(path, line, sizeof line) ? atof(line) : 0;
    }
    return quota > 0 && period > 0 ? quota / period : 0;
}

/* memory.max, or that of version 1, where a number near 2^63 means none. */
static double memory_of(const char *folder)
{
    char path[PATH_MAX + 32], line[256];
    snprintf(path, sizeof path, "%s/memory.max", folder);
    bool there = first_line(path, line, sizeof line);
    if (!there) {
        snprintf(path, sizeof path, "%s/memory.limit_in_bytes", folder);
        there = first_line(path, line, sizeof line);
    }
    double bytes = there ? atof(line) : 0; /* "max" is 0 */
    return bytes > 0 && bytes < 0x1p60 ? bytes : 0;
}

/* The least of a group and those above it. */
static double least_above(const char *mount, const char *group, double (*limit_of)(const char *folder))
{
    char folder[PATH_MAX];
    double least = 0;
    snprintf(folder, sizeof folder, "%s%s", mount, strcmp(group, "/") == 0 ? "" : group);
    while (strlen(folder) >= strlen(mount)) {
        double limit = limit_of(folder);
        if (limit > 0 && (least == 0 || limit < least))
            least = limit;
        char *slash = strrchr(folder, '/');
        if (!slash)
            break;
        *slash = '\0';
    }
    return least;
}

/* The least of the groups that this process is in; of those of version 1 that of the controller. */
static double least_limit(const char *root, const char *controller, double (*limit_of)(const char *folder))
{
    char path[PATH_MAX], line[PATH_MAX];
    double least = 0;
    size_t n = strlen(controller);
    root = root ? root : "";
    snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file)) {
        /* "0::/path" of version 2, "4:cpu,cpuacct:/path" of version 1 */
        char *controllers = strchr(line, ':'), *group = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!group)
            continue;
        *group++ = '\0';
        group[strcspn(group, "\n")] = '\0';
        const char *name = controllers + 1;
        bool unified = *name == '\0';
        if (!unified && (strncmp(name, controller, n) != 0 || (name[n] != '\0' && name[n] != ',')))
            continue;
        snprintf(path, sizeof path, "%s/sys/fs/cgroup%s%s", root, unified ? "" : "/", unified ? "" : controller);
        double limit = least_above(path, group, limit_of);
        if (limit > 0 && (least == 0 || limit < least))
            least = limit;
    }
    if (file)
        fclose(file);
    return least;
}

double mu_cpu_quota(const char *root)
{
    return least_limit(root, "cpu", quota_of);
}

int64_t mu_memory_limit(const char *root)
{
    return (int64_t)least_limit(root, "memory", memory_of);
}

int mu_cpu_count(void)
{
    mu_cpus mask;
    if (!mu_cpus_allowed(0, &mask))
        return 1;
    double quota = mu_cpu_quota(NULL);
    int n = mu_cpus_cores(&mask, NULL);
    if (quota > 0 && quota < n)
        n = (int)ceil(quota);
    return n > 1 ? n : 1;
}
