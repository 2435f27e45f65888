#include "cli/amount.h"
#include "cli/bench.h"

#include "core/clock.h"
#include "core/mem.h"
#include "core/text.h"
#include "io/file.h"
#include "runner/network.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Bytes of the all-reduces: blocking ones, as errors and losses travel; started ones, as gradients do. */
static const double sizes[] = {8, 64, 512, 4096, 16384, 1 << 20, 2 << 20, 4 << 20, 8 << 20, 16 << 20, 24 << 20};
enum { N_SHORT = 5, N_SIZES = sizeof sizes / sizeof sizes[0], ROUNDS = 15, MOST_REPEATS = 200, COPY_BYTES = 32 << 20,
       DATA_BYTES = 2 * COPY_BYTES };

typedef struct {
    int members; /* 0: not measured */
    double seconds[N_SIZES];
    mu_link fitted;
} link_result;

typedef struct {
    const char *out, *folder;
    int64_t mib; /* of a rank's file */
    bool json;

    mu_comm *comm;
    char *data, *copy; /* DATA_BYTES, of which copy is the second half */
    int64_t nodes;
    link_result inside, between;
    mu_network network;
} bench;

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Of times on a machine that others may use, too: below the median. */
static double quartile(double *x, int n)
{
    qsort(x, (size_t)n, sizeof *x, ascending);
    return x[n / 4];
}

/* ---- links ---- */

static mu_err reduce(mu_comm *comm, void *data, double bytes, bool started)
{
    mu_request request = {0};
    int64_t count = (int64_t)bytes / (int64_t)sizeof(float);
    if (!started)
        return mu_comm_all_reduce(comm, data, count, MU_F32, MU_COMM_MAX);
    MU_TRY(mu_comm_start_all_reduce(comm, data, count, MU_F32, MU_COMM_SUM, &request));
    return mu_request_wait(&request);
}

/* Seconds of one, of the slowest rank, averaged over `repeats`. Started ones walk through the data: gradients come from memory, not from caches. */
static mu_err time_reduces(mu_comm *comm, char *data, double bytes, bool started, int repeats, size_t *at, double *out)
{
    MU_TRY(mu_comm_barrier(comm));
    double begun = mu_clock();
    for (int i = 0; i < repeats; i++) {
        if (!started || *at + (size_t)bytes > DATA_BYTES)
            *at = 0;
        MU_TRY(reduce(comm, data + *at, bytes, started));
        *at += (size_t)bytes;
    }
    double spent = (mu_clock() - begun) / repeats;
    MU_TRY(mu_comm_all_reduce(comm, &spent, 1, MU_F64, MU_COMM_MAX));
    *out = spent;
    return MU_OK;
}

/* Collective over `comm`: the ranks of a node, or one rank of each. */
static mu_err measure_link(mu_comm *comm, char *data, link_result *out)
{
    size_t at = 0;
    memset(data, 0, DATA_BYTES);
    for (int s = 0; s < N_SIZES; s++) {
        double round[ROUNDS], once;
        bool started = s >= N_SHORT;
        MU_TRY(time_reduces(comm, data, sizes[s], started, 3, &at, &once));
        int repeats = 2e-3 / once < 1 ? 1 : 2e-3 / once > MOST_REPEATS ? MOST_REPEATS : (int)(2e-3 / once);
        for (int i = 0; i < ROUNDS; i++)
            MU_TRY(time_reduces(comm, data, sizes[s], started, repeats, &at, &round[i]));
        out->seconds[s] = quartile(round, ROUNDS);
    }
    out->members = comm->size;
    out->fitted = mu_link_fit(comm->size, sizes, out->seconds, N_SHORT, N_SIZES - N_SHORT);
    return MU_OK;
}

/* Collective. All nodes at the same time; rank 0 tells of its own. */
static mu_err measure_inside(bench *b)
{
    mu_comm *local;
    MU_TRY(mu_comm_split_local(b->comm, &local));
    b->network.ranks_per_node = local->size;
    mu_err err = local->size > 1 ? measure_link(local, b->data, &b->inside) : MU_OK;
    mu_comm_release(local);
    MU_TRY(err);
    b->inside.fitted.by_cores = true;
    return mu_comm_barrier(b->comm);
}

/* Collective. One rank of each node; the others wait. */
static mu_err measure_between(bench *b)
{
    mu_comm *first;
    MU_TRY(mu_comm_split(b->comm, b->comm->local_rank == 0 ? 0 : -1, 0, &first));
    b->nodes = first ? first->size : 0;
    mu_err err = first && first->size > 1 ? measure_link(first, b->data, &b->between) : MU_OK;
    mu_comm_release(first);
    MU_TRY(err);
    return mu_comm_barrier(b->comm);
}

/* ---- memory and files ---- */

/* Collective. All at the same time, the slowest. */
static mu_err measure_copy(bench *b)
{
    double best = 0;
    for (int i = 0; i < 5; i++) {
        MU_TRY(mu_comm_barrier(b->comm));
        double begun = mu_clock();
        memcpy(b->copy, b->data, COPY_BYTES);
        best = fmax(best, COPY_BYTES / (mu_clock() - begun));
        b->data[i] = b->copy[i + 1];
    }
    MU_TRY(mu_comm_all_reduce(b->comm, &best, 1, MU_F64, MU_COMM_MIN));
    b->network.copy_bandwidth = best;
    return MU_OK;
}

/* This rank's part of the file, written and flushed, or read from the disk. */
static mu_err transfer(const bench *b, int fd, const char *path, int part, bool write)
{
    int64_t bytes = b->mib << 20, at = part * bytes;
    for (int64_t done = 0; done < bytes; done += COPY_BYTES) {
        size_t piece = (size_t)(bytes - done < COPY_BYTES ? bytes - done : COPY_BYTES);
        MU_TRY(write ? mu_pwrite(fd, b->data, piece, at + done, path) : mu_pread(fd, b->copy, piece, at + done, path));
    }
    if (write && fsync(fd) != 0)
        return MU_FAIL(MU_ERR_IO, "'%s' cannot be flushed: %s", path, strerror(errno));
    return MU_OK;
}

/* Collective. Bytes a second of the ranks up to `ranks` together. */
static mu_err time_transfer(const bench *b, int fd, const char *path, int ranks, bool write, double *out)
{
    mu_err err = MU_OK;
    if (!write)
        (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    MU_TRY(mu_comm_barrier(b->comm));
    double begun = mu_clock();
    if (b->comm->rank < ranks)
        err = transfer(b, fd, path, b->comm->rank, write);
    double spent = mu_clock() - begun;
    MU_TRY(mu_comm_agree(b->comm, err));
    MU_TRY(mu_comm_all_reduce(b->comm, &spent, 1, MU_F64, MU_COMM_MAX));
    *out = (double)ranks * (double)(b->mib << 20) / spent;
    return MU_OK;
}

static mu_err time_files(bench *b, int fd, const char *path)
{
    mu_network *n = &b->network;
    MU_TRY(time_transfer(b, fd, path, b->comm->size, true, &n->write_bandwidth));
    MU_TRY(time_transfer(b, fd, path, b->comm->size, false, &n->read_bandwidth));
    MU_TRY(time_transfer(b, fd, path, 1, true, &n->rank_write_bandwidth));
    return time_transfer(b, fd, path, 1, false, &n->rank_read_bandwidth);
}

static mu_err open_file(const char *path, int flags, int *out)
{
    *out = open(path, flags | O_CLOEXEC, 0600);
    if (*out >= 0)
        return MU_OK;
    (void)MU_FAIL(MU_ERR_IO, "'%s' cannot be opened: %s", path, strerror(errno));
    return mu_error_hint("give a folder with --folder that all ranks can write in");
}

/* Collective. One file of all ranks, as checkpoints are. */
static mu_err measure_files(bench *b)
{
    char path[4096] = "";
    bool first = mu_comm_is_main(b->comm);
    int fd = -1;
    mu_err err = MU_OK;
    if (first)
        snprintf(path, sizeof path, "%s/muster_bench_%ld", b->folder, (long)getpid());
    MU_TRY(mu_comm_broadcast_bytes(b->comm, path, sizeof path, 0));
    double begun = mu_clock();
    if (first)
        err = open_file(path, O_RDWR | O_CREAT | O_EXCL, &fd);
    if (first && !err && fsync(fd) != 0)
        err = MU_FAIL(MU_ERR_IO, "'%s' cannot be flushed: %s", path, strerror(errno));
    b->network.open_latency = mu_clock() - begun;
    err = mu_comm_agree(b->comm, err);
    if (!err)
        err = mu_comm_agree(b->comm, first ? MU_OK : open_file(path, O_RDWR, &fd));
    if (!err)
        err = time_files(b, fd, path);
    if (fd >= 0)
        close(fd);
    if (first && fd >= 0)
        unlink(path);
    return err;
}

static mu_err measure(bench *b)
{
    MU_TRY(mu_comm_agree(b->comm, mu_calloc(&b->data, DATA_BYTES, 1)));
    b->copy = b->data + COPY_BYTES;
    MU_TRY(measure_inside(b));
    MU_TRY(measure_between(b));
    MU_TRY(measure_copy(b));
    b->network.cores_per_node = sysconf(_SC_NPROCESSORS_ONLN);
    return b->folder ? measure_files(b) : MU_OK;
}

/* ---- telling ---- */

static void print_link(const char *name, const link_result *link)
{
    char a[32], b[32], c[32], d[32];
    if (!link->members)
        return;
    printf("\n%s, %d ranks: %s a step, %s/s; short messages: %s, %s/s\n", name, link->members, cli_duration(link->fitted.latency, a),
           cli_amount(link->fitted.bandwidth, "B", 1000, b), cli_duration(link->fitted.small_latency, c),
           cli_amount(link->fitted.small_bandwidth, "B", 1000, d));
    printf("%14s %12s %12s\n", "all-reduce of", "measured", "fitted");
    for (int i = 0; i < N_SIZES; i++)
        printf("%14s %12s %12s\n", cli_amount(sizes[i], "B", 1024, a), cli_duration(link->seconds[i], b),
               cli_duration(mu_link_all_reduce(&link->fitted, i < N_SHORT ? MU_DOUBLING : MU_TREE | MU_PAIRS, link->members, sizes[i]), c));
}

static void print(const bench *b)
{
    char x[4][32];
    const mu_network *n = &b->network;
    printf("%d %s on %lld %s of %lld cores\n", b->comm->size, b->comm->size == 1 ? "rank" : "ranks", (long long)b->nodes,
           b->nodes == 1 ? "node" : "nodes", (long long)n->cores_per_node);
    if (b->comm->size == 1)
        puts("one rank has nobody to talk to: start it with mpirun or srun for the network");
    print_link("inside a node", &b->inside);
    print_link("between nodes", &b->between);
    printf("\nmemory to memory: %s/s of a rank\n", cli_amount(n->copy_bandwidth, "B", 1000, x[0]));
    if (b->folder)
        printf("%s: written %s/s by all, %s/s by one; read %s/s by all, %s/s by one\n", b->folder, cli_amount(n->write_bandwidth, "B", 1000, x[0]),
               cli_amount(n->rank_write_bandwidth, "B", 1000, x[1]), cli_amount(n->read_bandwidth, "B", 1000, x[2]),
               cli_amount(n->rank_read_bandwidth, "B", 1000, x[3]));
}

static void add_number(mu_text *t, const char *key, double x, bool json, const char *after)
{
    mu_text_printf(t, json ? "\"%s\": " : "%s: ", key);
    if (isfinite(x))
        mu_text_printf(t, "%.6g%s", x, after);
    else
        mu_text_printf(t, "%s%s", json ? "null" : ".inf", after);
}

/* "{latency: 1e-6, ...}" */
static void add_link(mu_text *t, const char *name, const link_result *link, bool json)
{
    const mu_link *f = &link->fitted;
    if (!link->members)
        return;
    mu_text_printf(t, json ? ",\n \"%s\": {" : "%s: {", name);
    add_number(t, "latency", f->latency, json, ", ");
    add_number(t, "bandwidth", f->bandwidth, json, ", ");
    add_number(t, "small_latency", f->small_latency, json, ", ");
    add_number(t, "small_bandwidth", f->small_bandwidth, json, ", ");
    mu_text_printf(t, json ? "\"by_cores\": %s, \"members\": %d, \"all_reduce\": [" : "by_cores: %s}\n", f->by_cores ? "true" : "false",
                   link->members);
    for (int i = 0; json && i < N_SIZES; i++)
        mu_text_printf(t, "%s{\"bytes\": %.0f, \"seconds\": %.6g}", i ? ", " : "", sizes[i], link->seconds[i]);
    if (json)
        mu_text_append(t, "]}");
}

static void add_files(mu_text *t, const mu_network *n, bool json)
{
    if (n->write_bandwidth == 0)
        return;
    mu_text_append(t, json ? ",\n \"file_system\": {" : "file_system: {");
    add_number(t, "write_bandwidth", n->write_bandwidth, json, ", ");
    add_number(t, "read_bandwidth", n->read_bandwidth, json, ", ");
    add_number(t, "rank_write_bandwidth", n->rank_write_bandwidth, json, ", ");
    add_number(t, "rank_read_bandwidth", n->rank_read_bandwidth, json, ", ");
    add_number(t, "open_latency", n->open_latency, json, json ? "}" : "}\n");
}

static void add_json(mu_text *t, const bench *b)
{
    mu_text_printf(t, "{\"ranks\": %d, \"nodes\": %lld, \"ranks_per_node\": %lld, \"cores_per_node\": %lld", b->comm->size, (long long)b->nodes,
                   (long long)b->network.ranks_per_node, (long long)b->network.cores_per_node);
    add_link(t, "inside", &b->inside, true);
    add_link(t, "between", &b->between, true);
    mu_text_append(t, ",\n ");
    add_number(t, "copy_bandwidth", b->network.copy_bandwidth, true, "");
    add_files(t, &b->network, true);
    mu_text_append(t, "}\n");
}

/* What muster check --net reads. */
static void add_yaml(mu_text *t, const bench *b)
{
    char host[256] = "", when[32];
    gethostname(host, sizeof host - 1);
    mu_text_printf(t, "# Written by muster bench comm on %s, %s, by %d %s on %lld %s. Seconds, bytes a second.\n", host,
                   mu_wall_format(mu_wall_time(), "%Y-%m-%d %H:%M", when, sizeof when), b->comm->size, b->comm->size == 1 ? "rank" : "ranks",
                   (long long)b->nodes, b->nodes == 1 ? "node" : "nodes");
    mu_text_printf(t, "ranks_per_node: %lld\ncores_per_node: %lld\n", (long long)b->network.ranks_per_node, (long long)b->network.cores_per_node);
    add_link(t, "inside", &b->inside, false);
    add_link(t, "between", &b->between, false);
    add_number(t, "copy_bandwidth", b->network.copy_bandwidth, false, "\n");
    add_files(t, &b->network, false);
}

static mu_err write_file(const char *path, const mu_text *text)
{
    mu_replacement *r;
    MU_TRY(mu_replacement_new(path, &r));
    mu_err err = mu_pwrite(mu_replacement_fd(r), text->data, text->length, 0, path);
    err = err ? err : mu_replacement_commit(r);
    mu_replacement_release(r);
    MU_TRY(err);
    return MU_OK;
}

static mu_err tell(const bench *b)
{
    mu_text text = {0};
    mu_err err = MU_OK;
    if (b->json) {
        add_json(&text, b);
        err = mu_text_status(&text);
        if (!err)
            fputs(text.data, stdout);
    } else {
        print(b);
    }
    mu_text_release(&text);
    if (err || !b->out)
        return err;
    add_yaml(&text, b);
    err = mu_text_status(&text);
    err = err ? err : write_file(b->out, &text);
    mu_text_release(&text);
    return err;
}

/* Collective. */
static int bench_comm(bench *b)
{
    mu_err err = cli_comm(&b->comm);
    bool agreed = err != MU_OK;
    if (!err) {
        err = measure(b);
        agreed = err != MU_OK;
        if (!err && mu_comm_is_main(b->comm))
            err = tell(b);
    }
    mu_free(b->data);
    return cli_end(b->comm, err, agreed);
}

static int run(const cli_command *command, int argc, char **argv)
{
    bench b = {.mib = 64};
    const char *size = "64";
    const cli_option options[] = {
        {.name = "out", .letter = 'o', .value = "FILE", .text = &b.out, .help = "write what muster check --net reads"},
        {.name = "folder", .value = "DIR", .text = &b.folder, .help = "measure writing and reading a file in it, too"},
        {.name = "size", .value = "MIB", .text = &size, .help = "of each rank's part of that file (default: 64)"},
        {.name = "json", .flag = &b.json, .help = "print a JSON object"},
        {.name = NULL},
    };
    int n, status = cli_parse(command, options, argc, argv, 0, 0, NULL, &n);
    if (status != CLI_GO)
        return status;
    char *end;
    long long mib = strtoll(size, &end, 10);
    if (end == size || *end || mib < 1 || mib > 1 << 20)
        return cli_misuse(command->name, "--size takes MiB from 1 to %d, not '%s'", 1 << 20, size);
    b.mib = mib;
    return bench_comm(&b);
}

const cli_command cli_bench_comm = {
    .name = "bench comm",
    .operands = "",
    .summary = "Measure all-reduces between ranks, copies and files",
    .details = "Under mpirun or srun: ranks of one node, then one rank of each node. All-reduces of 8 bytes to 24 MiB are timed, and latency\n"
               "and bandwidth fitted to the times; with --folder the ranks also write and read one file. It takes some seconds.",
    .run = run,
};
