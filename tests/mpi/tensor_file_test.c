/* A tensor file written by all ranks: run by tensor_file_test.sh. Every rank leaves its error in a file of its own, said.RANK: mpirun may drop
 * what its ranks print once one of them has ended with an error.
 *   write PATH [SEED [SHARDS]]        writes a checkpoint of a kind
 *   fail|full|die PATH RANK           the same, but this rank fails, may write no large file, kills itself while it copies
 *   late|killed PATH RANK [SHARDS]    the same in the background: this rank may write no large file, or dies, after the snapshot */
#include "core/mem.h"
#include "core/pool.h"
#include "dist/launch.h"
#include "io/tensor_file.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { N_LARGE = 9, LARGE = 20000 };

static mu_comm *comm;
static const char *mode;
static int chosen = -1;
static float seed;
static int n_shards;

static mu_err source(void *user, const char *path, const mu_type *type, void *host)
{
    (void)path;
    int k = (int)(intptr_t)user;
    for (int64_t i = 0; i < mu_type_count(type); i++)
        ((float *)host)[i] = seed + (float)(k * 1000 + i % 977);
    if (comm->rank == chosen && strcmp(mode, "fail") == 0)
        return MU_FAIL(MU_ERR_BACKEND, "no data");
    if (comm->rank == chosen && strcmp(mode, "die") == 0)
        raise(SIGKILL);
    return MU_OK;
}

/* ---- tensors that are only begun: their bytes come when somebody waits ---- */

enum { MOST_SLOTS = 64 };
static mu_tensor_slot begun_slot[MOST_SLOTS];
static int n_begun;

static bool is(const char *what)
{
    return strcmp(mode, what) == 0;
}

static mu_err bring(void *user, mu_comm *over, const mu_tensor_slot *slot, int n)
{
    mu_err err = MU_OK;
    (void)user;
    for (int k = 0; k < n && !err; k++)
        if (slot[k].host)
            err = source(slot[k].tag, slot[k].path, &slot[k].type, slot[k].host);
    return mu_comm_agree(over, err);
}

static mu_err begin(void *user, const mu_tensor_slot *slot, int n, bool *begun)
{
    (void)user;
    *begun = false;
    if (comm->rank == chosen && is("begun-badly"))
        return MU_FAIL(MU_ERR_BACKEND, "no beginning");
    if (comm->rank == chosen && is("not-begun"))
        return MU_OK;
    if (n > MOST_SLOTS)
        return MU_FAIL(MU_ERR_BACKEND, "there are %d slots", n);
    memcpy(begun_slot, slot, (size_t)n * sizeof *slot);
    n_begun = n;
    *begun = true;
    return MU_OK;
}

static mu_err wait_for_begun(void *user)
{
    (void)user;
    if (comm->rank == chosen && is("ended-badly"))
        return MU_FAIL(MU_ERR_BACKEND, "no end");
    for (int k = 0; k < n_begun; k++)
        if (begun_slot[k].host)
            MU_TRY(source(begun_slot[k].tag, begun_slot[k].path, &begun_slot[k].type, begun_slot[k].host));
    return MU_OK;
}

static bool begins(void)
{
    return is("begun") || is("begun-badly") || is("not-begun") || is("ended-badly");
}

static mu_err add(mu_tensor_writer *w, const char *path, mu_type type, int rank, int k)
{
    void *tag = (void *)(intptr_t)k;
    if (begins())
        return mu_tensor_writer_add_collected(w, path, type, rank, tag);
    return rank < 0 ? mu_tensor_writer_add(w, path, type, source, tag) : mu_tensor_writer_add_on(w, path, type, rank, source, tag);
}

static mu_err declare(mu_tensor_writer *w)
{
    static const double lr[2] = {0.1, 0.25};
    char path[64];
    MU_TRY(mu_tensor_writer_text(w, "/meta", "{\"epoch\": 2, \"iter\": 40, \"epoch_iter\": 3, \"epoch_length\": 17, \"seed\": 5, "
                                             "\"world_size\": 2, \"batch_size\": 8, \"experiment_name\": \"toy\", "
                                             "\"time\": \"now\", \"version\": \"0\"}"));
    for (int i = 0; i < N_LARGE; i++) {
        snprintf(path, sizeof path, "/state_dict/layer%d.weight", i);
        MU_TRY(add(w, path, MU_TYPE(MU_F32, i + 1, LARGE), -1, i));
        snprintf(path, sizeof path, "/state_dict/layer%d.bias", i);
        MU_TRY(add(w, path, MU_TYPE(MU_F32, i + 1), -1, i));
    }
    MU_TRY(add(w, "/state_dict/layer0.running_mean", MU_TYPE(MU_F32, 2, LARGE), 0, 0));
    MU_TRY(mu_tensor_writer_text(w, "/optimizer/type", "SGD"));
    MU_TRY(mu_tensor_writer_i64(w, "/optimizer/steps", 40));
    return mu_tensor_writer_add(w, "/optimizer/groups/lr", MU_TYPE(MU_F64, 2), NULL, (void *)lr);
}

static void strike(const char *when)
{
    if (comm->rank != chosen || strcmp(mode, when) != 0)
        return;
    if (strcmp(when, "killed") == 0)
        raise(SIGKILL);
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){100000, RLIM_INFINITY});
}

typedef struct {
    mu_tensor_snapshot *snapshot;
    mu_comm *comm;
} task;

static mu_err write_task(void *user)
{
    const task *t = user;
    strike("late");
    strike("killed");
    return mu_tensor_snapshot_write(t->snapshot, t->comm, NULL);
}

static mu_err write_in_background(mu_tensor_writer *w, const char *path)
{
    task t;
    mu_pool *pool;
    MU_TRY(mu_pool_new(1, 1, &pool));
    mu_err err = mu_comm_split(comm, 0, comm->rank, &t.comm);
    err = err ? err : mu_tensor_writer_snapshot(w, comm, path, NULL, &t.snapshot);
    if (!err) {
        err = mu_pool_submit(pool, write_task, &t);
        mu_err talk = mu_comm_barrier(comm); /* the program goes on meanwhile */
        err = err ? err : talk;
        err = err ? err : mu_pool_wait(pool);
        mu_tensor_snapshot_release(t.snapshot);
    }
    mu_pool_release(pool);
    mu_comm_release(t.comm);
    return err;
}

static mu_err write_file(const char *path)
{
    mu_tensor_writer *w = NULL;
    bool background = is("late") || is("killed") || begins();
    mu_err err = mu_tensor_writer_new("checkpoint", 1, &w);
    err = err ? err : declare(w);
    err = err ? err : mu_tensor_writer_set_shards(w, n_shards);
    if (!err && begins()) {
        mu_tensor_writer_set_collect(w, bring, NULL);
        mu_tensor_writer_set_late(w, begin, wait_for_begun, NULL);
    }
    err = mu_comm_agree(comm, err);
    if (!err)
        err = background ? write_in_background(w, path) : mu_tensor_writer_write(w, comm, path, NULL);
    mu_tensor_writer_release(w);
    return err;
}

static bool say(mu_err err)
{
    char name[32];
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){RLIM_INFINITY, RLIM_INFINITY});
    snprintf(name, sizeof name, "said.%d", comm->rank);
    FILE *file = fopen(name, "w");
    if (!file)
        return false;
    if (err)
        fprintf(file, "rank %d: %s\n", comm->rank, mu_error_last()->message);
    return fclose(file) == 0;
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        puts("run by tensor_file_test.sh");
        return 77;
    }
    if (mu_launch(&comm) != MU_OK)
        return 99;
    mode = argv[1];
    if (strcmp(mode, "write") == 0)
        seed = argc > 3 ? strtof(argv[3], NULL) : 0;
    else
        chosen = atoi(argv[3]);
    n_shards = argc > 4 ? atoi(argv[4]) : 0;
    strike("full");
    mu_err err = write_file(argv[2]);
    bool said = say(err);
    mu_comm_release(comm);
    return !said || err != MU_OK;
}
