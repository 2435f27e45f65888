#include "dist/probe.h"

#include "core/clock.h"
#include "core/mem.h"

enum { LOOKS = 9, SMALL_ROUNDS = 50, LARGE_ROUNDS = 4 };

void mu_clock_offset(const mu_clock_look *look, int n, double *offset, double *error)
{
    int best = 0;
    for (int i = 1; i < n; i++)
        if (look[i].after - look[i].before < look[best].after - look[best].before)
            best = i;
    *offset = look[best].other - (look[best].before + look[best].after) / 2;
    *error = (look[best].after - look[best].before) / 2;
}

/* Between two barriers all ranks look at their clocks, and rank 0 looks before the first and after the second. */
static mu_err look_around(mu_comm *comm, mu_clock_look *mine, double *all)
{
    mine->before = mu_wall_time();
    MU_TRY(mu_comm_barrier(comm));
    mine->other = mu_wall_time();
    MU_TRY(mu_comm_barrier(comm));
    mine->after = mu_wall_time();
    return mu_comm_gather(comm, &mine->other, 1, MU_F64, all, 0);
}

mu_err mu_comm_clock_offsets(mu_comm *comm, double *offset, double *error)
{
    mu_clock_look look[LOOKS];
    double *all = NULL;
    size_t size = (size_t)comm->size;
    mu_err err = mu_comm_is_main(comm) ? mu_calloc(&all, LOOKS * size, sizeof *all) : MU_OK;
    MU_TRY(mu_comm_agree(comm, err));
    for (int i = 0; i < LOOKS && !err; i++)
        err = look_around(comm, &look[i], all ? all + (size_t)i * size : NULL);
    for (size_t r = 0; r < size && all && !err; r++) {
        for (int i = 0; i < LOOKS; i++)
            look[i].other = all[(size_t)i * size + r];
        mu_clock_offset(look, LOOKS, &offset[r], &error[r]);
    }
    mu_free(all);
    MU_TRY(err);
    return MU_OK;
}

/* Collective. Seconds of the slowest rank in the best round. */
static mu_err time_reduce(mu_comm *comm, void *data, int64_t count, mu_dtype dtype, int rounds, double *out)
{
    double best = 0;
    for (int i = 0; i < rounds; i++) {
        MU_TRY(mu_comm_barrier(comm));
        double begun = mu_clock();
        MU_TRY(mu_comm_all_reduce(comm, data, count, dtype, MU_COMM_SUM));
        double took = mu_clock() - begun;
        MU_TRY(mu_comm_all_reduce(comm, &took, 1, MU_F64, MU_COMM_MAX));
        best = i == 0 || took < best ? took : best;
    }
    *out = best;
    return MU_OK;
}

mu_err mu_comm_measure(mu_comm *comm, size_t bytes, mu_comm_speed *out)
{
    float *data = NULL;
    double small[1] = {1}, latency, large = 0;
    int64_t count = (int64_t)(bytes / sizeof *data);
    MU_TRY(mu_comm_agree(comm, mu_calloc(&data, (size_t)count, sizeof *data)));
    mu_err err = time_reduce(comm, small, 1, MU_F64, SMALL_ROUNDS, &latency);
    if (!err)
        err = time_reduce(comm, data, count, MU_F32, LARGE_ROUNDS, &large);
    mu_free(data);
    MU_TRY(err);
    *out = (mu_comm_speed){.latency = latency, .bandwidth = large > 0 ? (double)bytes / large : 0};
    return MU_OK;
}
