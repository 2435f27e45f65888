/* Checkpoints of all ranks against plain parallel writes of the same bytes, all flushed, in turns; then reading with every checksum:
 *   mpirun -n 2 tests/bench/ckpt_bench FOLDER [MIB [rounds]]
 * Each round writes a shared file and a file per rank by pwrite and fsync, then a tensor file in one piece, one in shards, and one in the
 * background; the order turns. Seconds are those of the slowest rank, and medians over the rounds; ratios of speed are medians of those of a round. */
#include "config.h"

#include "core/clock.h"
#include "core/mem.h"
#include "core/pool.h"
#include "dist/launch.h"
#include "io/file.h"
#include "io/tensor_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { N_TENSORS = 160, PIECE = 1 << 20, MAX_ROUNDS = 99 };
enum { SHARED, SPLIT, ONE, SHARDS, BACKGROUND, N_KINDS };

static mu_comm *comm, *own; /* own: of the background */
static mu_pool *pool;
static char folder[400], ours[512], plain[512];
static float *data; /* of the largest tensor */
static int64_t total; /* elements */
static mu_tensor_room room;

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(const double *x, int n)
{
    double sorted[MAX_ROUNDS];
    memcpy(sorted, x, (size_t)n * sizeof *x);
    qsort(sorted, (size_t)n, sizeof *sorted, ascending);
    return sorted[n / 2];
}

static double median_ratio(const double *x, const double *y, int n)
{
    double ratio[MAX_ROUNDS];
    for (int i = 0; i < n; i++)
        ratio[i] = x[i] / y[i];
    return median(ratio, n);
}

/* Sizes as a network has them: tensor i has weight 1 + i % 16. */
static int64_t count_of(int i)
{
    return total / (N_TENSORS / 16 * 136) * (1 + i % 16);
}

/* As parameters are copied. */
static mu_err collect(void *user, mu_comm *over, const mu_tensor_slot *slot, int n)
{
    (void)user, (void)over;
    for (int k = 0; k < n; k++)
        if (slot[k].host)
            memcpy(slot[k].host, data, mu_type_bytes(&slot[k].type));
    return MU_OK;
}

static mu_err snapshot(int n_shards, mu_tensor_snapshot **out)
{
    mu_tensor_writer *w;
    char path[64];
    MU_TRY(mu_tensor_writer_new("checkpoint", 1, &w));
    mu_err err = mu_tensor_writer_set_shards(w, n_shards);
    mu_tensor_writer_set_collect(w, collect, NULL);
    for (int i = 0; !err && i < N_TENSORS; i++) {
        snprintf(path, sizeof path, "/state_dict/layer%d.weight", i);
        err = mu_tensor_writer_add_collected(w, path, MU_TYPE(MU_F32, count_of(i)), -1, NULL);
    }
    err = err ? err : mu_tensor_writer_snapshot(w, comm, ours, &room, out);
    mu_tensor_writer_release(w);
    return err;
}

static mu_err write_job(void *user)
{
    return mu_tensor_snapshot_write(user, own, NULL);
}

/* *stall: until the snapshot stands. */
static mu_err write_ours(int n_shards, double *stall)
{
    double begun = mu_clock();
    mu_tensor_snapshot *s;
    MU_TRY(snapshot(n_shards, &s));
    *stall = mu_clock() - begun;
    mu_err err = mu_pool_submit(pool, write_job, s);
    err = err ? err : mu_pool_wait(pool);
    mu_tensor_snapshot_release(s);
    return err;
}

/* A share of every rank, in pieces: of one file, or a file of its own. */
static mu_err write_plain(bool split)
{
    int64_t share = total * 4 / comm->size / PIECE * PIECE, at = split ? 0 : share * comm->rank;
    char path[600];
    snprintf(path, sizeof path, split ? "%s.%d" : "%s", plain, comm->rank);
    int fd = open(path, O_RDWR | O_CREAT, 0666);
    if (fd < 0)
        return MU_FAIL(MU_ERR_IO, "'%s' cannot be made", path);
    mu_err err = MU_OK;
    for (int64_t done = 0; !err && done < share; done += PIECE)
        err = mu_pwrite(fd, (char *)data + done % (4 * count_of(15) - PIECE), PIECE, at + done, path);
    if (!err && fsync(fd) != 0)
        err = MU_FAIL(MU_ERR_IO, "'%s' cannot be flushed", path);
    close(fd);
    return err;
}

static void clean(void)
{
    char path[600];
    snprintf(path, sizeof path, "%s.%d", plain, comm->rank);
    unlink(path);
    if (comm->rank == 0) {
        unlink(plain);
        if (mu_tensor_file_remove(ours) != MU_OK)
            mu_error_clear();
    }
    int fd = open(folder, O_RDONLY | O_DIRECTORY);
    if (fd >= 0) { /* what was removed is not freed in the next one's time */
        syncfs(fd);
        close(fd);
    }
}

static mu_err measure(int kind, double *out, double *stall)
{
    double spent[2] = {0, 0};
    clean();
    MU_TRY(mu_comm_barrier(comm));
    double begun = mu_clock();
    mu_err err = kind == SHARED || kind == SPLIT ? write_plain(kind == SPLIT)
                                                 : write_ours(kind == SHARDS ? comm->size : 0, &spent[1]);
    MU_TRY(mu_comm_agree(comm, err));
    spent[0] = mu_clock() - begun;
    MU_TRY(mu_comm_all_reduce(comm, spent, 2, MU_F64, MU_COMM_MAX));
    *out = spent[0];
    *stall = spent[1];
    return MU_OK;
}

/* Every rank reads all of it. */
static mu_err read_ours(double *opened, double *out)
{
    mu_tensor_file *f;
    double begun = mu_clock();
    MU_TRY(mu_tensor_file_open(ours, "checkpoint", 1, &f));
    *opened = mu_clock() - begun;
    mu_err err = MU_OK;
    for (int i = 0; !err && i < mu_tensor_file_count(f); i++)
        err = mu_tensor_file_read(f, i, data, mu_type_bytes(&mu_tensor_file_at(f, i)->type));
    *out = mu_clock() - begun;
    mu_tensor_file_release(f);
    return err;
}

static mu_err bench(int64_t mib, int rounds)
{
    double t[N_KINDS][MAX_ROUNDS], stall[N_KINDS][MAX_ROUNDS], read[2] = {0, 0}, unused;
    total = mib << 18;
    MU_TRY(mu_calloc(&data, (size_t)count_of(15), sizeof *data));
    for (int64_t i = 0; i < count_of(15); i++)
        data[i] = (float)i;
    for (int i = 0; i < rounds; i++)
        for (int k = 0; k < N_KINDS; k++) {
            int kind = (i + k * (1 + i % 4)) % N_KINDS; /* after each of the others in turn */
            MU_TRY(measure(kind, &t[kind][i], &stall[kind][i]));
        }
    MU_TRY(measure(ONE, &unused, &unused));
    MU_TRY(mu_comm_agree(comm, read_ours(&read[0], &read[1])));
    MU_TRY(mu_comm_all_reduce(comm, read, 2, MU_F64, MU_COMM_MAX));
    if (comm->rank == 0)
        printf("%d ranks, %lld MiB: plain writes to one file %.3f s, to one each %.3f s\n"
               "  one file %.3f s (%.2f of plain speed), shards %.3f s (%.2f), training stands still %.3f s\n"
               "  opens in %.3f s, is read by every rank in %.3f s (from memory)\n",
               comm->size, (long long)mib, median(t[SHARED], rounds), median(t[SPLIT], rounds), median(t[ONE], rounds),
               median_ratio(t[SHARED], t[ONE], rounds), median(t[SHARDS], rounds), median_ratio(t[SPLIT], t[SHARDS], rounds),
               median(stall[BACKGROUND], rounds), read[0], read[1]);
    mu_free(room.data);
    mu_free(data);
    return MU_OK;
}

int main(int argc, char **argv)
{
    int64_t mib = argc > 2 ? atoll(argv[2]) : 256;
    int rounds = argc > 3 ? atoi(argv[3]) : 5;
    if (argc < 2 || mib < 64 || rounds < 1 || rounds > MAX_ROUNDS) {
        fputs("usage: ckpt_bench FOLDER [MIB (64 or more) [rounds]]\n", stderr);
        return 2;
    }
    snprintf(folder, sizeof folder, "%s", argv[1]);
    snprintf(ours, sizeof ours, "%s/ckpt_bench.h5", folder);
    snprintf(plain, sizeof plain, "%s/ckpt_bench.bin", folder);
    mu_err err = mu_launch(&comm);
    err = err ? err : mu_comm_split(comm, 0, comm->rank, &own);
    err = err ? err : mu_pool_new(1, 1, &pool);
    err = err ? err : bench(mib, rounds);
    if (err)
        fprintf(stderr, "%s\n", mu_error_last()->message);
    mu_pool_release(pool);
    clean();
    mu_comm_release(own);
    mu_comm_release(comm);
    return err != MU_OK;
}
