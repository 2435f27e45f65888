/* A tensor file of all ranks against plain parallel writes of the same bytes into one file, both flushed, in turns; then opening and
 * reading it with every checksum:
 *   mpirun -n 2 tests/bench/ckpt_bench FOLDER [MIB [pairs]]
 * Medians of the slowest rank's seconds, and the median of the paired ratios of speed. */
#include "core/clock.h"
#include "core/mem.h"
#include "dist/launch.h"
#include "io/file.h"
#include "io/tensor_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { N_TENSORS = 160, PIECE = 1 << 20 };

static mu_comm *comm;
static char ours[512], plain[512];
static float *data; /* of the largest tensor */

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *x, int n)
{
    qsort(x, (size_t)n, sizeof *x, ascending);
    return x[n / 2];
}

/* Sizes as a network has them: tensor i has weight 1 + i % 16. */
static int64_t count_of(int i, int64_t total)
{
    return total / (N_TENSORS / 16 * 136) * (1 + i % 16);
}

static mu_err write_ours(int64_t total)
{
    mu_tensor_writer *w;
    char path[64];
    mu_err err = MU_OK;
    MU_TRY(mu_tensor_writer_new("checkpoint", 1, &w));
    for (int i = 0; !err && i < N_TENSORS; i++) {
        snprintf(path, sizeof path, "/state_dict/layer%d.weight", i);
        err = mu_tensor_writer_add(w, path, MU_TYPE(MU_F32, count_of(i, total)), NULL, data);
    }
    err = err ? err : mu_tensor_writer_write(w, comm, ours, NULL);
    mu_tensor_writer_release(w);
    return err;
}

/* Every rank a share of its own, in pieces. */
static mu_err write_plain(int64_t total)
{
    int64_t share = total * 4 / comm->size / PIECE * PIECE, at = share * comm->rank;
    int fd = open(plain, O_RDWR | O_CREAT, 0666);
    if (fd < 0)
        return MU_FAIL(MU_ERR_IO, "'%s' cannot be made", plain);
    mu_err err = MU_OK;
    for (int64_t done = 0; !err && done < share; done += PIECE)
        err = mu_pwrite(fd, (char *)data + done % (4 * count_of(15, total) - PIECE), PIECE, at + done, plain);
    if (!err && fsync(fd) != 0)
        err = MU_FAIL(MU_ERR_IO, "'%s' cannot be flushed", plain);
    close(fd);
    return err;
}

static mu_err measure(mu_err (*write)(int64_t total), int64_t total, double *out)
{
    if (comm->rank == 0) {
        unlink(ours);
        unlink(plain);
    }
    MU_TRY(mu_comm_barrier(comm));
    double begun = mu_clock();
    MU_TRY(mu_comm_agree(comm, write(total)));
    double spent = mu_clock() - begun;
    MU_TRY(mu_comm_all_reduce(comm, &spent, 1, MU_F64, MU_COMM_MAX));
    *out = spent;
    return MU_OK;
}

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

static mu_err bench(int64_t mib, int pairs)
{
    int64_t total = mib << 18;
    double *a, *b, *ratio, opened = 0, read = 0;
    MU_TRY(mu_calloc(&data, (size_t)count_of(15, total), sizeof *data));
    MU_TRY(mu_calloc(&a, (size_t)pairs, sizeof *a));
    MU_TRY(mu_calloc(&b, (size_t)pairs, sizeof *b));
    MU_TRY(mu_calloc(&ratio, (size_t)pairs, sizeof *ratio));
    for (int64_t i = 0; i < count_of(15, total); i++)
        data[i] = (float)i;
    for (int i = 0; i < pairs; i++) {
        MU_TRY(measure(i % 2 ? write_ours : write_plain, total, i % 2 ? &a[i] : &b[i]));
        MU_TRY(measure(i % 2 ? write_plain : write_ours, total, i % 2 ? &b[i] : &a[i]));
        ratio[i] = b[i] / a[i];
    }
    MU_TRY(measure(write_ours, total, &opened));
    if (comm->rank == 0) {
        MU_TRY(read_ours(&opened, &read));
        printf("%d ranks, %lld MiB: muster %.3f s, plain %.3f s, ratio of speed %.2f; opens in %.3f s, is read in %.3f s\n", comm->size,
               (long long)mib, median(a, pairs), median(b, pairs), median(ratio, pairs), opened, read);
        unlink(ours);
    }
    mu_free(ratio);
    mu_free(b);
    mu_free(a);
    mu_free(data);
    return MU_OK;
}

int main(int argc, char **argv)
{
    int64_t mib = argc > 2 ? atoll(argv[2]) : 256;
    int pairs = argc > 3 ? atoi(argv[3]) : 5;
    if (argc < 2 || mib < 64 || pairs < 1) {
        fputs("usage: ckpt_bench FOLDER [MIB (64 or more) [pairs]]\n", stderr);
        return 2;
    }
    snprintf(ours, sizeof ours, "%s/ckpt_bench.h5", argv[1]);
    snprintf(plain, sizeof plain, "%s/ckpt_bench.bin", argv[1]);
    mu_err err = mu_launch(&comm);
    err = err ? err : bench(mib, pairs);
    if (err)
        fprintf(stderr, "%s\n", mu_error_last()->message);
    mu_comm_release(comm);
    return err != MU_OK;
}
