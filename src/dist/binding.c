#include "dist/binding.h"

#include "core/log.h"
#include "core/mem.h"
#include "dist/host.h"
#include "dist/launch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_NUMA = 64 };

/* The NUMA nodes of the cores of `mask`, in the machine's order; how many cores. */
static int cores_of(const mu_machine *machine, const mu_cpus *mask, int16_t *numa)
{
    int n = 0, last = -1;
    for (int i = 0; i < machine->n; i++) {
        const mu_place *place = &machine->place[i];
        if (!mu_cpus_has(mask, place->cpu) || place->core == last)
            continue;
        last = place->core;
        if (n < MU_MAX_CPUS)
            numa[n++] = (int16_t)(place->numa < MAX_NUMA ? place->numa : MAX_NUMA - 1);
    }
    return n;
}

/* Cores first .. end-1 of `mask`. */
static void take(const mu_machine *machine, const mu_cpus *mask, int first, int end, mu_cpus *out)
{
    int number = -1, last = -1;
    for (int i = 0; i < machine->n; i++) {
        const mu_place *place = &machine->place[i];
        if (!mu_cpus_has(mask, place->cpu))
            continue;
        if (place->core != last)
            number++;
        last = place->core;
        if (number >= first && number < end)
            mu_cpus_add(out, place->cpu);
    }
}

/* Cores first .. end-1 of n that are rank `me`'s of `ranks`. Each NUMA node takes ranks in proportion to its cores (d'Hondt), unless some
 * rank then had fewer than an even share: NUMA nodes do not count then. Cores of a NUMA node follow each other. */
static void share(const int16_t *numa, int n, int ranks, int me, int *first, int *end)
{
    int begin[MAX_NUMA + 1], got[MAX_NUMA] = {0}, nodes = 0;
    for (int i = 0; i < n; i++)
        if (i == 0 || numa[i] != numa[i - 1]) {
            if (nodes == MAX_NUMA)
                nodes = 0, i = n; /* scattered beyond reason */
            else
                begin[nodes++] = i;
        }
    begin[nodes] = n;
    for (int r = 0; r < ranks && nodes; r++) {
        int best = 0;
        for (int k = 1; k < nodes; k++)
            if ((begin[k + 1] - begin[k]) * (got[best] + 1) > (begin[best + 1] - begin[best]) * (got[k] + 1))
                best = k;
        got[best]++;
    }
    bool even = nodes > 0;
    for (int k = 0; k < nodes; k++)
        even &= got[k] > 0 && (begin[k + 1] - begin[k]) / got[k] >= n / ranks;
    for (int k = 0, r = me; even && k < nodes; r -= got[k++])
        if (r < got[k]) {
            int size = begin[k + 1] - begin[k];
            *first = begin[k] + r * size / got[k];
            *end = begin[k] + (r + 1) * size / got[k];
            return;
        }
    *first = (int)((int64_t)me * n / ranks);
    *end = (int)((int64_t)(me + 1) * n / ranks);
}

mu_binding_choice mu_binding_decide(const mu_machine *machine, const mu_cpus *may, int n, int me, mu_cpus *out)
{
    int16_t numa[MU_MAX_CPUS];
    int alike = 0, before = 0, first, end;
    *out = may[me];
    for (int r = 0; r < n; r++) {
        if (mu_cpus_equal(&may[r], &may[me])) {
            alike++;
            before += r < me;
        } else if (mu_cpus_meet(&may[r], &may[me])) {
            return MU_BINDING_OVERLAP;
        }
    }
    if (alike == 1)
        return MU_BINDING_KEPT;
    int cores = cores_of(machine, &may[me], numa);
    if (cores < alike)
        return MU_BINDING_CROWDED;
    share(numa, cores, alike, before, &first, &end);
    *out = (mu_cpus){0};
    take(machine, &may[me], first, end, out);
    return MU_BINDING_SHARED;
}

static bool is_set(const char *name)
{
    const char *value = getenv(name);
    return value && *value && strcasecmp(value, "false") != 0;
}

static mu_err wanted(bool *out)
{
    static const char *const choices[] = {"auto", "none"};
    const char *wish = getenv("MUSTER_BIND");
    *out = false;
    if (wish && *wish && strcmp(wish, "auto") != 0 && strcmp(wish, "none") != 0) {
        const char *nearest = mu_nearest(wish, choices, 2);
        return MU_FAIL(MU_ERR_USAGE, "MUSTER_BIND: \"%s\": expected auto or none%s%s%s", wish, nearest ? "; did you mean \"" : "",
                       nearest ? nearest : "", nearest ? "\"?" : "");
    }
    *out = (!wish || strcmp(wish, "none") != 0) && !is_set("OMP_PROC_BIND") && !is_set("OMP_PLACES") && !is_set("GOMP_CPU_AFFINITY");
    return MU_OK;
}

static bool chosen_by_user(void)
{
    return is_set("OMPI_MCA_hwloc_base_binding_policy") || is_set("OMPI_MCA_hwloc_base_cpu_set") ||
           is_set("OMPI_MCA_rmaps_base_mapping_policy") || is_set("OMPI_MCA_orte_rankfile");
}

/* What this rank may use: its mask. Open MPI binds even if nobody asked for it (to a single core with one or two ranks, and every mpirun of a
 * node to the same one): then the mask of mpirun's daemon, our parent. */
static mu_cpus may_use(const mu_cpus *now)
{
    mu_cpus parent;
    const mu_launcher launcher = mu_launch_detect();
    if (!launcher.name || strcmp(launcher.name, "mpirun") != 0 || chosen_by_user() || !mu_cpus_allowed((int)getppid(), &parent))
        return *now;
    mu_cpus_join(&parent, now);
    return parent;
}

/* The part of its cores that is this rank's, when those that meet it share them evenly. */
static int part_of(const mu_cpus *all, int n, int me)
{
    int sharing = 0, cores = mu_cpus_cores(&all[me], NULL);
    for (int r = 0; r < n; r++)
        sharing += mu_cpus_meet(&all[r], &all[me]);
    double quota = mu_cpu_quota(NULL) / n; /* the ranks of a node are in one control group */
    cores /= sharing > 1 ? sharing : 1;
    if (quota > 0 && quota < cores)
        cores = (int)quota;
    return cores > 1 ? cores : 1;
}

/* Collective over the ranks of a node. */
static mu_err bind_on_node(mu_comm *local, bool want, int *cores)
{
    mu_cpus mine = {0}, now = {0}, *all = NULL;
    mu_machine machine = {0};
    int64_t able = mu_cpus_allowed(0, &now) && want;
    mine = able ? may_use(&now) : now;
    mu_err err = mu_calloc(&all, (size_t)local->size, sizeof *all);
    if (!err && local->size > 1)
        err = mu_machine_read(&machine);
    able &= local->size == 1 || machine.n > 0;
    MU_TRY_GOTO(err, mu_comm_agree(local, err), done);
    MU_TRY_GOTO(err, mu_comm_all_reduce(local, &able, 1, MU_I64, MU_COMM_MIN), done);
    MU_TRY_GOTO(err, mu_comm_all_gather(local, &mine, (int64_t)sizeof mine, MU_U8, all), done);
    if (able) {
        mu_binding_decide(&machine, all, local->size, local->rank, &mine);
        if (!mu_cpus_equal(&mine, &now) && mu_cpus_bind(&mine) != MU_OK)
            MU_WARN("bind", "%s", mu_error_last()->message);
    }
    mu_cpus_allowed(0, &mine);
    MU_TRY_GOTO(err, mu_comm_all_gather(local, &mine, (int64_t)sizeof mine, MU_U8, all), done);
    *cores = part_of(all, local->size, local->rank);
done:
    mu_machine_release(&machine);
    mu_free(all);
    return err;
}

mu_err mu_binding_apply(mu_comm *comm, int *cores)
{
    bool want;
    mu_comm *local = NULL;
    mu_err err = wanted(&want);
    MU_TRY(mu_comm_agree(comm, err));
    MU_TRY(mu_comm_split_local(comm, &local));
    err = bind_on_node(local, want, cores);
    mu_comm_release(local);
    MU_TRY(mu_comm_agree(comm, err));
    return MU_OK;
}

static uint64_t numa_nodes(const mu_machine *machine, const mu_cpus *cpus)
{
    uint64_t bits = 0;
    for (int i = 0; i < machine->n; i++)
        if (mu_cpus_has(cpus, machine->place[i].cpu) && machine->place[i].numa < MAX_NUMA)
            bits |= UINT64_C(1) << machine->place[i].numa;
    return bits;
}

/* Collective over the ranks of a node: what they have in common. */
static mu_err compare_on_node(mu_comm *local, mu_seat *seat)
{
    mu_cpus *cpus = NULL, all = {0};
    MU_TRY(mu_comm_agree(local, mu_calloc(&cpus, (size_t)local->size, sizeof *cpus)));
    mu_err err = mu_comm_all_gather(local, &seat->cpus, (int64_t)sizeof seat->cpus, MU_U8, cpus);
    for (int r = 0; r < local->size && !err; r++) {
        seat->overlap |= r != local->rank && mu_cpus_meet(&cpus[r], &seat->cpus);
        mu_cpus_join(&all, &cpus[r]);
    }
    seat->node_cores = mu_cpus_cores(&all, NULL);
    mu_free(cpus);
    MU_TRY(err);
    return MU_OK;
}

mu_err mu_binding_gather(mu_comm *comm, int threads, mu_seat **out)
{
    mu_seat mine = {.node_index = comm->node, .threads = threads}, *all = NULL;
    mu_machine machine = {0};
    mu_comm *local = NULL;
    mu_host_name(mine.node, sizeof mine.node);
    mu_err err = mu_machine_read(&machine);
    if (!err && mu_comm_is_main(comm))
        err = mu_calloc(&all, (size_t)comm->size, sizeof *all);
    if (mu_cpus_allowed(0, &mine.cpus)) {
        mine.cores = mu_cpus_cores(&mine.cpus, NULL);
        mine.numa = numa_nodes(&machine, &mine.cpus);
    }
    mu_machine_release(&machine);
    MU_TRY_GOTO(err, mu_comm_agree(comm, err), fail);
    MU_TRY_GOTO(err, mu_comm_split_local(comm, &local), fail);
    err = compare_on_node(local, &mine);
    mu_comm_release(local);
    MU_TRY_GOTO(err, mu_comm_agree(comm, err), fail);
    MU_TRY_GOTO(err, mu_comm_gather(comm, &mine, (int64_t)sizeof mine, MU_U8, all, 0), fail);
    *out = all;
    return MU_OK;
fail:
    mu_free(all);
    return err;
}
