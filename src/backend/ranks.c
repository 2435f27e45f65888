#include "backend/ranks.h"

#include "dist/comm.h"

int mu_ranks_count(const mu_comm *comm)
{
    return comm ? comm->size : 1;
}

static int64_t message_length(int64_t channels)
{
    return 1 + 2 * channels;
}

static bool alone(const mu_comm *comm, const mu_run *run)
{
    return !comm || comm->size == 1 || run->presence == MU_ALONE;
}

size_t mu_ranks_bytes(const mu_comm *comm, int64_t channels)
{
    int n = mu_ranks_count(comm);
    size_t size = n > 1 ? (size_t)n : 0;
    return (1 + size) * (size_t)message_length(channels) * sizeof(double);
}

mu_err mu_ranks_check_count(double n)
{
    if (n != 1)
        return MU_OK;
    (void)MU_FAIL(MU_ERR_SHAPE, "training needs more than one value per channel, the batches of all ranks together have one");
    return mu_error_hint("use a larger batch, larger images, or evaluation mode for this layer");
}

static void add_moments(double *to, const double *from, int64_t channels)
{
    double n = to[0], m = from[0], total = n + m;
    if (m == 0)
        return;
    to[0] = total;
    for (int64_t c = 1; c <= channels; c++) {
        double d = from[c] - to[c];
        to[c] += d * (m / total);
        to[channels + c] += from[channels + c] + d * d * (n * m / total);
    }
}

mu_err mu_ranks_join_moments(mu_comm *comm, const mu_run *run, int64_t channels, double *message)
{
    int64_t length = message_length(channels);
    double *all = message + length;
    if (alone(comm, run))
        return MU_OK;
    MU_TRY(mu_comm_all_gather(comm, message, length, MU_F64, all));
    memset(message, 0, (size_t)length * sizeof *message);
    for (int r = 0; r < comm->size; r++)
        add_moments(message, all + r * length, channels);
    MU_TRY(mu_ranks_check_count(message[0]));
    return MU_OK;
}

mu_err mu_ranks_join_sums(mu_comm *comm, const mu_run *run, int64_t channels, double *message)
{
    if (alone(comm, run))
        return MU_OK;
    MU_TRY(mu_comm_all_reduce(comm, message, message_length(channels), MU_F64, MU_COMM_SUM));
    return MU_OK;
}
