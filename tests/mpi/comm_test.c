/* The conformance of a communicator: run by itself (one rank) and under mpirun by comm_test.sh. A word chooses what is
 * done: nothing (all checks), "die" (the last rank kills itself), "fail" (the last rank fails, all leave), "size". */
#include "mpi/comm_checks.h"

#include "core/mem.h"
#include "dist/delay.h"
#include "dist/hierarchy.h"

#include <signal.h>

/* What every communicator does alike. */
static void check_conformance(void)
{
    const int64_t chunk = world->chunk;
    check_arguments();
    for (int64_t limit = 0; limit <= 48; limit += 48) { /* bytes of a message; 0: the real limit */
        world->chunk = limit ? limit : chunk;
        check_all_reduce();
        check_nan();
        check_requests();
        check_slices();
        check_many_on_their_way();
        check_start_broadcast();
        check_fixed_order();
        check_broadcast_gather();
        check_bytes(0);
        check_bytes(64);
        check_broadcast_blob();
        check_split();
        check_collect();
    }
    world->chunk = chunk;
    check_long_sums();
    check_large_slices();
    check_doing();
    check_threads();
    check_out_of_memory();
}

/* The same over a communicator that is made of the launched one. */
static void check_wrapped(mu_comm *wrapped)
{
    mu_comm *plain = world;
    world = wrapped;
    check_conformance();
    mu_comm_release(world);
    world = plain;
}

/* Nodes made up: of two ranks, of two and the rest, all, one each, in turns. */
static void check_hierarchy(void)
{
    for (int variant = 0; variant < 5; variant++) {
        int r = world->rank, color[] = {r / 2, r == 1, 3, r, r % 2};
        mu_comm *inner, *wrapped;
        OK(mu_comm_split(world, 0, 0, &inner));
        OK(mu_comm_hierarchy_of(inner, color[variant], &wrapped));
        CHECK(wrapped->node == color[variant]);
        int size = wrapped->local_size, most[2] = {size, -size};
        OK(mu_comm_all_gather(world, &color[variant], 1, MU_I32, color_of));
        OK(mu_comm_all_reduce(world, most, 2, MU_I32, MU_COMM_MAX));
        hierarchical = most[0] > 1 && most[0] < world->size;
        even = most[0] == -most[1];
        check_wrapped(wrapped);
        hierarchical = false;
        mu_comm_release(inner);
    }
    mu_comm *wrapped = NULL;
    OK(mu_comm_hierarchy_new(world, &wrapped));
    CHECK(wrapped->local_rank == world->local_rank && wrapped->local_size == world->local_size);
    mu_comm_release(wrapped);
    FAILS(mu_comm_hierarchy_of(world, world->rank == world->size - 1 ? -1 : 0, &wrapped), MU_ERR_USAGE, "color -1");
}

static void check_all(void)
{
    mu_comm *inner, *wrapped;
    check_conformance();
    check_agreement();
    check_seed();
    check_dict();
    check_params();
    check_tensors();
    check_on_main();
    check_objects();
    check_delay();
    check_environment();
    check_notes();
    OK(mu_comm_split(world, 0, 0, &inner));
    OK(mu_comm_delay_new(inner, 0, 0, &wrapped));
    check_wrapped(wrapped);
    check_hierarchy();
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "all";
    ranks_begin();
    bool last = world->rank == world->size - 1;
    if (strcmp(what, "die") == 0) {
        if (last)
            raise(SIGKILL);
        mu_err err = mu_comm_barrier(world);
        mu_comm_abort(world, 1);
        return err == MU_OK ? 0 : 1;
    }
    if (strcmp(what, "abort") == 0) {
        if (last)
            mu_comm_abort(world, 7);
        return mu_comm_barrier(world) == MU_OK ? 0 : 7;
    }
    if (strcmp(what, "fail") == 0) {
        mu_err err = mu_comm_agree(world, last ? MU_FAIL(MU_ERR_IO, "no disk") : MU_OK);
        if (world->rank == 0)
            fprintf(stderr, "%s\n", mu_error_last()->message);
        mu_comm_release(world);
        return mu_err_exit_status(err);
    }
    if (strcmp(what, "size") == 0)
        printf("%s %d\n", world->ops->name, world->size);
    else
        check_all();
    return ranks_end();
}
