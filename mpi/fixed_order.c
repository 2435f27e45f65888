/* Each rank reduces its own slice of a block, in ascending order of ranks, and hands the result to all. */
#include "comm_mpi.h"

#include "core/mem.h"
#include "dist/reduce.h"

enum { FIXED_BLOCK = 1 << 20 }; /* bytes */

mu_err mpi_fixed_order_set(mu_comm *comm, bool on)
{
    comm_mpi *self = (comm_mpi *)comm;
    mu_err err = MU_OK;
    for (int i = 0; on && i < 2 && err == MU_OK; i++)
        if (!self->block[i])
            err = mu_alloc(&self->block[i], FIXED_BLOCK + (size_t)comm->size * sizeof(int64_t));
    MU_TRY(mu_comm_agree(comm, err));
    self->fixed_order = on;
    return MU_OK;
}

mu_err mpi_fixed_order_reduce(comm_mpi *self, unsigned char *data, int64_t count, mu_dtype dtype, mu_comm_op op)
{
    size_t width = mu_dtype_size(dtype);
    int64_t most = FIXED_BLOCK / (int64_t)width, ranks = self->base.size;
    for (int64_t n; count > 0; count -= n, data += (size_t)n * width) {
        n = count < most ? count : most;
        int64_t each = (n + ranks - 1) / ranks;
        size_t slice = (size_t)each * width, used = (size_t)n * width;
        unsigned char *all = self->block[0], *mine = self->block[1];
        memcpy(all, data, used);
        memset(all + used, 0, slice * (size_t)ranks - used);
        MU_TRY_MPI(MPI_Alltoall(all, (int)slice, MPI_BYTE, mine, (int)slice, MPI_BYTE, self->comm));
        for (int64_t r = 1; r < ranks; r++)
            mu_reduce(mine, mine + (size_t)r * slice, each, dtype, op);
        MU_TRY_MPI(MPI_Allgather(mine, (int)slice, MPI_BYTE, all, (int)slice, MPI_BYTE, self->comm));
        memcpy(data, all, used);
    }
    return MU_OK;
}
