#include "dist/binding.h"

#include <stdio.h>
#include <string.h>

enum { SINGLE_RANKS = 8 };

static void append_numa(mu_text *text, uint64_t numa)
{
    mu_cpus nodes = {.word = {numa}};
    char list[64];
    if (numa)
        mu_text_printf(text, " (NUMA %s)", mu_cpus_format(&nodes, list, sizeof list));
}

static void append_cores(mu_text *text, const mu_cpus *cpus, int cores, uint64_t numa)
{
    char list[256];
    int n = mu_cpus_count(cpus);
    mu_cpus_format(cpus, list, sizeof list);
    if (n == cores)
        mu_text_printf(text, "core%s %s", cores == 1 ? "" : "s", list);
    else
        mu_text_printf(text, "%d core%s (processors %s)", cores, cores == 1 ? "" : "s", list);
    append_numa(text, numa);
}

/* Ranks first .. first+n-1 in one phrase. */
static void append_ranks(mu_text *text, const mu_seat *seat, int first, int n)
{
    mu_cpus all = {0};
    uint64_t numa = 0;
    int least = seat[0].cores, most = seat[0].cores;
    bool same = true;
    for (int r = 0; r < n; r++) {
        mu_cpus_join(&all, &seat[r].cpus);
        numa |= seat[r].numa;
        least = seat[r].cores < least ? seat[r].cores : least;
        most = seat[r].cores > most ? seat[r].cores : most;
        same &= mu_cpus_equal(&seat[r].cpus, &seat[0].cpus);
    }
    mu_text_printf(text, "ranks %d-%d ", first, first + n - 1);
    if (same)
        mu_text_append(text, "all on ");
    else if (least == most)
        mu_text_printf(text, "with %d core%s each of ", least, least == 1 ? "" : "s");
    else
        mu_text_printf(text, "with %d to %d cores each of ", least, most);
    append_cores(text, &all, seat[0].node_cores, numa);
}

/* How many of the n ranks from `first` on are on its node; those of a node follow each other as launchers place them, else a node has
 * several lines. */
static int ranks_here(const mu_seat *seat, int first, int n)
{
    int end = first + 1;
    while (end < n && seat[end].node_index == seat[first].node_index)
        end++;
    return end - first;
}

static bool alike(const mu_seat *a, const mu_seat *b, int n)
{
    for (int r = 0; r < n; r++)
        if (!mu_cpus_equal(&a[r].cpus, &b[r].cpus) || a[r].cores != b[r].cores || a[r].numa != b[r].numa)
            return false;
    return true;
}

void mu_binding_map(const mu_seat *seat, int n, mu_text *text)
{
    for (int first = 0; first < n;) {
        int here = ranks_here(seat, first, n), end = first + here, nodes = 1;
        bool same = true;
        for (int r = first + 1; r < end; r++)
            same &= mu_cpus_equal(&seat[r].cpus, &seat[first].cpus);
        while (end < n && ranks_here(seat, end, n) == here && alike(&seat[first], &seat[end], here)) {
            end += here;
            nodes++;
        }
        mu_text_printf(text, "%snode %s: ", first ? "\n" : "", seat[first].node);
        if (here > SINGLE_RANKS || (same && here > 1))
            append_ranks(text, &seat[first], first, here);
        else
            for (int r = first; r < first + here; r++) {
                mu_text_printf(text, "%srank %d ", r > first ? ", " : "", r);
                append_cores(text, &seat[r].cpus, seat[r].cores, seat[r].numa);
            }
        if (nodes > 1)
            mu_text_printf(text, "; %d more node%s alike, up to %s with rank %d", nodes - 1, nodes == 2 ? "" : "s",
                           seat[end - 1].node, end - 1);
        first = end;
    }
}

void mu_binding_crowding(const mu_seat *seat, int n, mu_text *text)
{
    int nodes = 0;
    for (int first = 0, here; first < n; first += here) {
        int threads = 0;
        here = ranks_here(seat, first, n);
        for (int r = first; r < first + here; r++)
            threads += seat[r].threads;
        if (threads <= seat[first].node_cores || nodes++)
            continue;
        mu_text_printf(text, "node %s: %d rank%s with %d threads in all on %d core%s", seat[first].node, here, here == 1 ? "" : "s",
                       threads, seat[first].node_cores, seat[first].node_cores == 1 ? "" : "s");
    }
    if (nodes > 1)
        mu_text_printf(text, ", and %d more nodes like that", nodes - 1);
    if (nodes)
        mu_text_append(text, ": start fewer ranks, set OMP_NUM_THREADS, or give the job more cores (mpirun --bind-to, srun --cpus-per-task)");
}
