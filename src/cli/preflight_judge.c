#include "cli/preflight.h"

#include <stdio.h>
#include <string.h>

enum { NAMED = 4 };
static const double SKEW_LIMIT = 1, SLOW_SIGHT = 2; /* s */
static const int64_t FEW_FILES = 1024, LITTLE_MEMLOCK = INT64_C(1) << 30, LITTLE_MEMORY = INT64_C(1) << 29;

void preflight_line(preflight_report *report, preflight_status status, const char *name, const char *format, ...)
{
    static const char *const words[] = {"ok", "WARN", "FAIL"};
    char text[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    report->failed |= status == PREFLIGHT_FAIL;
    if (report->json) {
        mu_text_printf(&report->text, "%s\n  {\"check\": \"%s\", \"status\": \"%s\", \"text\": ", report->lines ? "," : "", name,
                       words[status]);
        mu_text_append_json(&report->text, text, strlen(text));
        mu_text_append(&report->text, "}");
    } else {
        mu_text_printf(&report->text, "%-5s %-10s %s\n", words[status], name, text);
    }
    report->lines++;
}

/* What all checks look at. */
typedef struct {
    const preflight_facts *facts;
    const mu_seat *seats;
    int n;
    preflight_report *report;
} flight;

/* "rank 3 (n2), rank 5 (n2) and 7 more": those for which odd[r]. */
static int name_ranks(const flight *f, bool (*odd)(const preflight_facts *facts, const void *user), const void *user, char *text, size_t size)
{
    int count = 0;
    size_t used = 0;
    text[0] = '\0';
    for (int r = 0; r < f->n; r++)
        if (odd(&f->facts[r], user) && ++count <= NAMED && used < size)
            used += (size_t)snprintf(text + used, size - used, "%srank %d (%s)", count > 1 ? ", " : "", r, f->seats[r].node);
    if (count > NAMED && used < size)
        snprintf(text + used, size - used, " and %d more", count - NAMED);
    return count;
}

/* A field of the facts that is a hash. */
typedef struct {
    size_t offset;
    uint64_t usual;
} hash_field;

static uint64_t hash_of(const preflight_facts *facts, size_t offset)
{
    uint64_t hash;
    memcpy(&hash, (const char *)facts + offset, sizeof hash);
    return hash;
}

static bool is_unusual(const preflight_facts *facts, const void *user)
{
    const hash_field *field = user;
    return hash_of(facts, field->offset) != field->usual;
}

/* The value that more than half have, if any has it (Boyer and Moore 1981); else that of rank 0. */
static uint64_t usual_of(const flight *f, size_t offset)
{
    uint64_t candidate = 0;
    int lead = 0, count = 0;
    for (int r = 0; r < f->n; r++) {
        uint64_t hash = hash_of(&f->facts[r], offset);
        if (lead == 0)
            candidate = hash;
        lead += hash == candidate ? 1 : -1;
    }
    for (int r = 0; r < f->n; r++)
        count += hash_of(&f->facts[r], offset) == candidate;
    return 2 * count > f->n ? candidate : hash_of(&f->facts[0], offset);
}

/* True: all ranks have the same. Else a FAIL line that names the others. */
static bool same(const flight *f, const char *name, size_t offset, const char *what, const char *advice)
{
    char ranks[512];
    const hash_field field = {offset, usual_of(f, offset)};
    int odd = name_ranks(f, is_unusual, &field, ranks, sizeof ranks);
    if (odd)
        preflight_line(f->report, PREFLIGHT_FAIL, name, "%s: %s, and not as the other%s; %s", ranks, what, f->n - odd == 1 ? "" : "s", advice);
    return odd == 0;
}

static const char *plural(int64_t n)
{
    return n == 1 ? "" : "s";
}

static void judge_tasks(const flight *f)
{
    const preflight_facts *first = &f->facts[0];
    int least = first->local_size, most = least;
    for (int r = 1; r < f->n; r++) {
        least = f->facts[r].local_size < least ? f->facts[r].local_size : least;
        most = f->facts[r].local_size > most ? f->facts[r].local_size : most;
    }
    if (f->n == 1 && first->slurm_tasks > 1)
        preflight_line(f->report, PREFLIGHT_FAIL, "tasks", "one process, though the job has %d tasks: start it with srun --mpi=pmix",
                       first->slurm_tasks);
    else if (first->slurm_tasks > 0 && first->slurm_tasks != f->n)
        preflight_line(f->report, PREFLIGHT_WARN, "tasks", "%d ranks, though Slurm counts %d tasks", f->n, first->slurm_tasks);
    else if (first->slurm_nodes > 0 && first->slurm_nodes != first->nodes)
        preflight_line(f->report, PREFLIGHT_WARN, "tasks", "%d rank%s on %d node%s, though the job has %d", f->n, plural(f->n), first->nodes,
                       plural(first->nodes), first->slurm_nodes);
    else if (least != most)
        preflight_line(f->report, PREFLIGHT_WARN, "tasks", "%d ranks on %d nodes, unevenly: %d to %d on a node", f->n, first->nodes, least,
                       most);
    else
        preflight_line(f->report, PREFLIGHT_OK, "tasks", "%d rank%s on %d node%s, %d on each, started by %s", f->n, plural(f->n),
                       first->nodes, plural(first->nodes), most, first->launcher[0] ? first->launcher : "nobody");
}

static void judge_binary(const flight *f)
{
    if (same(f, "program", offsetof(preflight_facts, binary), "another muster program", "install the same one on all nodes"))
        preflight_line(f->report, PREFLIGHT_OK, "program", "the same on all ranks: %016llx", (unsigned long long)f->facts[0].binary);
    if (same(f, "libraries", offsetof(preflight_facts, versions_hash), "other versions of libraries", "install the same ones on all nodes"))
        preflight_line(f->report, PREFLIGHT_OK, "libraries", "%s", f->facts[0].versions);
}

static bool has_config_error(const preflight_facts *facts, const void *user)
{
    (void)user;
    return facts->config_error[0] != '\0';
}

static bool has_data_error(const preflight_facts *facts, const void *user)
{
    (void)user;
    return facts->data_error[0] != '\0';
}

static bool has_file_error(const preflight_facts *facts, const void *user)
{
    (void)user;
    return facts->file_error[0] != '\0';
}

static bool is_blind(const preflight_facts *facts, const void *user)
{
    (void)user;
    return facts->seen < 0;
}

/* The first text that `odd` is about. */
static const preflight_facts *first_of(const flight *f, bool (*odd)(const preflight_facts *facts, const void *user))
{
    int r = 0;
    while (r < f->n - 1 && !odd(&f->facts[r], NULL))
        r++;
    return &f->facts[r];
}

static void judge_config(const flight *f)
{
    char ranks[512];
    const preflight_facts *first = &f->facts[0];
    if (name_ranks(f, has_config_error, NULL, ranks, sizeof ranks)) {
        preflight_line(f->report, PREFLIGHT_FAIL, "config", "%s: %s", ranks, first_of(f, has_config_error)->config_error);
        return;
    }
    if (!same(f, "config", offsetof(preflight_facts, config), "another config", "start all ranks with the same file and options"))
        return;
    preflight_line(f->report, PREFLIGHT_OK, "config", "the same on all ranks: %016llx", (unsigned long long)first->config);
    if (name_ranks(f, has_data_error, NULL, ranks, sizeof ranks))
        preflight_line(f->report, PREFLIGHT_FAIL, "data", "%s: %s", ranks, first_of(f, has_data_error)->data_error);
    else if (first->batch) {
        int64_t global = first->batch * f->n;
        if (first->base_batch && first->base_batch != global)
            preflight_line(f->report, PREFLIGHT_WARN, "batch",
                           "%lld samples of all ranks, though lr is meant for %lld: set auto_scale_lr.enable or the batch of a rank",
                           (long long)global, (long long)first->base_batch);
        else if (first->samples && first->samples < global)
            preflight_line(f->report, PREFLIGHT_WARN, "batch", "%lld samples of all ranks are more than the training set has: %lld",
                           (long long)global, (long long)first->samples);
        else
            preflight_line(f->report, PREFLIGHT_OK, "batch", "%lld a rank, %lld together, of %lld samples", (long long)first->batch,
                           (long long)global, (long long)first->samples);
    }
}

static void judge_binding(const flight *f)
{
    mu_text map = {0}, crowding = {0};
    mu_binding_map(f->seats, f->n, &map);
    mu_binding_crowding(f->seats, f->n, &crowding);
    for (char *line = map.data, *rest; line; line = rest) {
        rest = strchr(line, '\n');
        if (rest)
            *rest++ = '\0';
        preflight_line(f->report, PREFLIGHT_OK, "binding", "%s", line);
    }
    int r = 0;
    while (r < f->n - 1 && !(f->seats[r].overlap && f->seats[r].cores < f->seats[r].node_cores))
        r++;
    if (crowding.data)
        preflight_line(f->report, PREFLIGHT_WARN, "cores", "%s", crowding.data);
    else if (f->n > 1 && f->seats[r].overlap && f->seats[r].cores < f->seats[r].node_cores)
        preflight_line(f->report, PREFLIGHT_WARN, "cores", "rank %d (%s) is bound to cores that another rank is bound to, while others are idle",
                       r, f->seats[r].node);
    else
        preflight_line(f->report, PREFLIGHT_OK, "cores", "%d thread%s a rank, no more than cores", f->seats[0].threads,
                       plural(f->seats[0].threads));
    for (r = 0; r < f->n; r++)
        if (f->facts[r].quota > 0 && f->facts[r].quota < f->seats[r].threads * f->facts[r].local_size) {
            preflight_line(f->report, PREFLIGHT_WARN, "quota", "node %s: its control group allows %.1f cores' worth of time for %d ranks",
                           f->seats[r].node, f->facts[r].quota, f->facts[r].local_size);
            break;
        }
    mu_text_release(&map);
    mu_text_release(&crowding);
}

/* "1.5 GB". */
static const char *bytes_text(int64_t bytes, char *buf, size_t size)
{
    static const char *const units[] = {"bytes", "kB", "MB", "GB", "TB"};
    double value = (double)bytes;
    int unit = 0;
    for (; value >= 1000 && unit < 4; unit++)
        value /= 1000;
    snprintf(buf, size, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
    return buf;
}

static void judge_files(const flight *f, const char *folder)
{
    char ranks[512];
    double write = f->facts[0].write, read = f->facts[0].read, seen = 0, together = 0;
    const preflight_facts *first = &f->facts[0];
    if (name_ranks(f, has_file_error, NULL, ranks, sizeof ranks)) {
        preflight_line(f->report, PREFLIGHT_FAIL, "files", "%s: %s; --work-dir says where checkpoints go", ranks,
                       first_of(f, has_file_error)->file_error);
        return;
    }
    for (int r = 0; r < f->n; r++) {
        write = f->facts[r].write < write ? f->facts[r].write : write;
        read = f->facts[r].read < read ? f->facts[r].read : read;
        seen = f->facts[r].seen > seen ? f->facts[r].seen : seen;
        together += f->facts[r].write;
    }
    if (name_ranks(f, is_blind, NULL, ranks, sizeof ranks))
        preflight_line(f->report, PREFLIGHT_FAIL, "files", "%s: no sight of a file that rank 0 made in '%s': it must be a folder that all nodes share",
                       ranks, folder);
    else
        preflight_line(f->report, seen > SLOW_SIGHT ? PREFLIGHT_WARN : PREFLIGHT_OK, "files",
                       "'%s' on %s%s: a rank writes %.0f MB/s or more (together %.0f), reads %.0f, sees others' files after %.2f s", folder,
                       first->file_system, first->network_files ? ", over the network" : "", write * 1e-6, together * 1e-6, read * 1e-6,
                       seen);
    char disk[32], checkpoint[32];
    bytes_text(first->disk_free, disk, sizeof disk);
    bytes_text(first->checkpoint, checkpoint, sizeof checkpoint);
    if (!first->checkpoint)
        preflight_line(f->report, PREFLIGHT_OK, "space", "%s free", disk);
    else
        preflight_line(f->report,
                       first->checkpoint > first->disk_free       ? PREFLIGHT_FAIL
                       : first->checkpoint > first->disk_free / 2 ? PREFLIGHT_WARN
                                                                  : PREFLIGHT_OK,
                       "space", "%s free, a checkpoint takes %s", disk, checkpoint);
}

static void judge_clocks(const flight *f)
{
    int worst = 0;
    for (int r = 1; r < f->n; r++) {
        double a = f->facts[r].clock_offset, b = f->facts[worst].clock_offset;
        worst = (a < 0 ? -a : a) > (b < 0 ? -b : b) ? r : worst;
    }
    double offset = f->facts[worst].clock_offset, error = f->facts[worst].clock_error, size = offset < 0 ? -offset : offset;
    if (f->n > 1)
        preflight_line(f->report, size - error >= SKEW_LIMIT ? PREFLIGHT_WARN : PREFLIGHT_OK, "clocks",
                       "at most %.2f ms apart from rank 0's (rank %d, %s; known to %.2f ms)%s", size * 1e3, worst, f->seats[worst].node,
                       error * 1e3, size - error >= SKEW_LIMIT ? ": times of files and logs will mislead; let all nodes ask a time server" : "");
}

static void tell_speed(const flight *f, const char *where, const mu_comm_speed *speed)
{
    preflight_line(f->report, PREFLIGHT_OK, "network", "%s: an all-reduce of 8 bytes takes %.0f us, of 16 MiB it does %.2f GB/s", where,
                   speed->latency * 1e6, speed->bandwidth * 1e-9);
}

static void judge_network(const flight *f, const mu_comm_speed *world, const mu_comm_speed *between)
{
    int slowest = -1;
    char where[128];
    if (f->n == 1)
        return;
    for (int r = 0; r < f->n; r++)
        if (f->facts[r].inside.bandwidth > 0 && (slowest < 0 || f->facts[r].inside.bandwidth < f->facts[slowest].inside.bandwidth))
            slowest = r;
    tell_speed(f, "all ranks", world);
    if (f->facts[0].nodes > 1 && slowest >= 0) {
        snprintf(where, sizeof where, "inside the slowest node (%s)", f->seats[slowest].node);
        tell_speed(f, where, &f->facts[slowest].inside);
    }
    if (f->facts[0].nodes > 1)
        tell_speed(f, "between nodes", between);
}

static void judge_memory(const flight *f)
{
    int64_t least = INT64_MAX;
    int at = 0;
    for (int r = 0; r < f->n; r++) {
        int64_t all = f->facts[r].memory, limit = f->facts[r].memory_limit;
        all = limit > 0 && limit < all ? limit : all;
        if (all / f->facts[r].local_size < least) {
            least = all / f->facts[r].local_size;
            at = r;
        }
    }
    int64_t needs = f->facts[0].needs;
    char there[32], step[32];
    bytes_text(least, there, sizeof there);
    if (needs)
        preflight_line(f->report, needs > least ? PREFLIGHT_FAIL : PREFLIGHT_OK, "memory",
                       "%s or more free for a rank (%s), a training step takes %s", there, f->seats[at].node,
                       bytes_text(needs, step, sizeof step));
    else
        preflight_line(f->report, least < LITTLE_MEMORY ? PREFLIGHT_WARN : PREFLIGHT_OK, "memory", "%s or more free for a rank (%s)", there,
                       f->seats[at].node);
}

static const char *limit_text(int64_t limit, char *buf, size_t size)
{
    if (limit < 0)
        snprintf(buf, size, "unlimited");
    else
        snprintf(buf, size, "%lld", (long long)limit);
    return buf;
}

static void judge_limits(const flight *f)
{
    char files[32], locked[32], core[32];
    for (int r = 0; r < f->n; r++) {
        const preflight_facts *facts = &f->facts[r];
        bool few = facts->limit_files >= 0 && facts->limit_files < FEW_FILES;
        bool little = facts->nodes > 1 && facts->limit_memlock >= 0 && facts->limit_memlock < LITTLE_MEMLOCK;
        limit_text(facts->limit_files, files, sizeof files);
        limit_text(facts->limit_memlock, locked, sizeof locked);
        if (few)
            preflight_line(f->report, PREFLIGHT_WARN, "limits", "rank %d (%s) may open %s files only: ulimit -n", r, f->seats[r].node, files);
        if (little)
            preflight_line(f->report, PREFLIGHT_WARN, "limits", "rank %d (%s) may lock %s bytes of memory only: fast networks want more (ulimit -l)",
                           r, f->seats[r].node, locked);
        if (few || little)
            return;
    }
    limit_text(f->facts[0].limit_core, core, sizeof core);
    preflight_line(f->report, PREFLIGHT_OK, "limits", "%s open files, %s bytes of locked memory, %s bytes of core files",
                   limit_text(f->facts[0].limit_files, files, sizeof files), limit_text(f->facts[0].limit_memlock, locked, sizeof locked), core);
}

void preflight_judge(const preflight_facts *facts, const mu_seat *seats, int n, bool has_config, const mu_comm_speed *world,
                     const mu_comm_speed *between, const char *folder, preflight_report *report)
{
    const flight f = {facts, seats, n, report};
    judge_tasks(&f);
    judge_binary(&f);
    if (has_config)
        judge_config(&f);
    judge_binding(&f);
    judge_files(&f, folder);
    judge_clocks(&f);
    judge_network(&f, world, between);
    judge_memory(&f);
    judge_limits(&f);
}
