/* All-reduce of f32 through the communicator against a bare MPI_Allreduce of the same bytes, in turns:
 *   mpirun -n 2 tests/bench/comm_bench [pairs]
 * Per size the median time of a call, of either, and the median of the paired ratios (of the slowest rank's times): a pair is two
 * short runs, one straight after the other, in alternating order. */
#include "core/clock.h"
#include "core/mem.h"
#include "dist/launch.h"

#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

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

/* Seconds of one call, averaged over `repeat`, of the slowest rank. */
static mu_err measure(mu_comm *comm, bool bare, float *data, int64_t count, int repeat, double *out)
{
    MU_TRY(mu_comm_barrier(comm));
    double begun = mu_clock();
    for (int i = 0; i < repeat; i++)
        if (bare)
            MPI_Allreduce(MPI_IN_PLACE, data, (int)count, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
        else
            MU_TRY(mu_comm_all_reduce(comm, data, count, MU_F32, MU_COMM_SUM));
    double spent = (mu_clock() - begun) / repeat;
    MU_TRY(mu_comm_all_reduce(comm, &spent, 1, MU_F64, MU_COMM_MAX));
    *out = spent;
    return MU_OK;
}

static mu_err bench(mu_comm *comm, int pairs)
{
    enum { MOST = 1 << 24 };
    float *data;
    double *ours, *theirs, *ratio;
    MU_TRY(mu_calloc(&data, MOST, sizeof *data));
    MU_TRY(mu_calloc(&ours, (size_t)pairs, sizeof *ours));
    MU_TRY(mu_calloc(&theirs, (size_t)pairs, sizeof *theirs));
    MU_TRY(mu_calloc(&ratio, (size_t)pairs, sizeof *ratio));
    for (int64_t count = 2; count <= MOST; count *= count < 256 ? 128 : 16) {
        int repeat = count < 10000 ? 50 : 1;
        if (count > 1 << 20)
            pairs = (pairs + 2) / 3;
        for (int i = 0; i < pairs; i++) {
            for (int k = 0; k < 2; k++) {
                bool bare = (i + k) % 2;
                MU_TRY(measure(comm, bare, data, count, repeat, bare ? &theirs[i] : &ours[i]));
            }
            ratio[i] = ours[i] / theirs[i];
        }
        if (comm->rank == 0)
            printf("%10lld bytes  muster %10.3f us  MPI_Allreduce %10.3f us  ratio %.3f\n", (long long)count * 4,
                   median(ours, pairs) * 1e6, median(theirs, pairs) * 1e6, median(ratio, pairs));
    }
    mu_free(data);
    mu_free(ours);
    mu_free(theirs);
    mu_free(ratio);
    return MU_OK;
}

int main(int argc, char **argv)
{
    int pairs = argc > 1 ? atoi(argv[1]) : 31;
    mu_comm *comm;
    if (mu_launch(&comm) != MU_OK || strcmp(comm->ops->name, "mpi") != 0) {
        fprintf(stderr, "comm_bench: run it as mpirun -n 2 tests/bench/comm_bench\n");
        return 1;
    }
    mu_err err = bench(comm, pairs > 0 ? pairs : 1);
    if (err != MU_OK) {
        fprintf(stderr, "comm_bench: %s\n", mu_error_last()->message);
        mu_comm_abort(comm, 1);
        return 1;
    }
    mu_comm_release(comm);
    return 0;
}
