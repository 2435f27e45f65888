#include "mpi/ranks.h"

#include "core/mem.h"
#include "registry/registry.h"

#include <stdlib.h>

mu_comm *world;
int failures, checks;

void ranks_begin(void)
{
    if (mu_launch(&world) == MU_OK)
        return;
    fprintf(stderr, "%s\n", mu_error_last()->message);
    exit(1);
}

int ranks_end(void)
{
    int rank = world->rank, size = world->size;
    int64_t total = failures;
    const char *name = world->ops->name;
    mu_err err = mu_comm_all_reduce(world, &total, 1, MU_I64, MU_COMM_SUM);
    mu_comm_release(world);
    mu_registry_reset();
    int64_t left = mu_mem_get_counts().live_blocks;
    if (left != 0)
        fprintf(stderr, "rank %d/%d: %lld blocks were not freed\n", rank, size, (long long)left);
    if (rank == 0)
        printf("%s, %d ranks: %d checks on rank 0, %lld failures\n", name, size, checks, (long long)total);
    return err != MU_OK || total > 0 || left != 0;
}
