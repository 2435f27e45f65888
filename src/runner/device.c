/* Which device a rank computes on. The ranks of a node take the devices that they see by turns, and no two have one between them. */
#include "core/cpus.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/text.h"
#include "dist/host.h"
#include "runner/own.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Where a rank is, for all. */
typedef struct {
    char host[MU_HOST_CHARS];
    char visible[64]; /* CUDA_VISIBLE_DEVICES; "" when it is not set */
    int32_t node, n;  /* n: devices that the rank sees */
    int32_t index;    /* of its own among them; -1: it computes on the host */
    bool numbered;    /* the config says which */
    mu_device device;
} seat;

/* This rank's share of the cores: those it is bound to, or the node's divided by its ranks. */
static int thread_count(const mu_runner *runner)
{
    const char *wish = getenv("OMP_NUM_THREADS");
    int bound = mu_cpu_count(), wanted = wish ? atoi(wish) : 0;
    int share = (int)sysconf(_SC_NPROCESSORS_ONLN) / runner->comm->local_size;
    if (runner->own->options.n_threads > 0)
        return runner->own->options.n_threads;
    if (wanted > 0)
        return wanted;
    return share < 1 ? 1 : bound < share ? bound : share;
}

/* ---- the choice ---- */

/* This rank's own seat, as far as it can tell alone. */
static mu_err take_seat(const mu_runner *runner, const char *wish, seat *out)
{
    const char *visible = getenv("CUDA_VISIBLE_DEVICES");
    mu_backend_choice choice;
    mu_device *list;
    *out = (seat){.node = runner->comm->node, .index = -1};
    mu_host_name(out->host, sizeof out->host);
    snprintf(out->visible, sizeof out->visible, "%.60s", visible ? visible : "");
    MU_TRY(mu_backend_find(wish, NULL, &choice));
    if (!choice.ops->devices)
        return MU_OK;
    MU_TRY(choice.ops->devices(NULL, 0, &out->n));
    out->numbered = choice.numbered;
    out->index = choice.numbered ? choice.device : runner->comm->local_rank % out->n;
    MU_TRY(mu_calloc(&list, (size_t)out->index + 1, sizeof *list));
    mu_err err = choice.ops->devices(list, out->index + 1, &out->n);
    out->device = list[out->index];
    mu_free(list);
    MU_TRY(err);
    return MU_OK;
}

/* Parts of one device have its address, and a name of their own. */
static bool is_part(const seat *s)
{
    return strncmp(s->visible, "MIG-", 4) == 0;
}

static bool same_device(const seat *a, const seat *b)
{
    if (a->node != b->node || a->index < 0 || b->index < 0 || strcmp(a->device.uuid, b->device.uuid) != 0 ||
        strcmp(a->device.bus, b->device.bus) != 0)
        return false;
    return !is_part(a) || !is_part(b) || strcmp(a->visible, b->visible) == 0;
}

/* "ranks 0, 1 and 2 more of node n1" */
static void append_sharers(mu_text *text, const seat *seats, int size, int first)
{
    enum { NAMED = 4 };
    int n = 0, told = 0;
    for (int r = first; r < size; r++)
        n += same_device(&seats[first], &seats[r]);
    mu_text_append(text, "ranks ");
    for (int r = first; r < size && told < n && told < NAMED; r++)
        if (same_device(&seats[first], &seats[r])) {
            told++;
            mu_text_printf(text, "%d%s", r, told == n || told == NAMED ? "" : told == n - 1 ? " and " : ", ");
        }
    if (n > told)
        mu_text_printf(text, " and %d more", n - told);
}

static mu_err shared(const mu_runner *runner, const seat *seats, int first, int second)
{
    const seat *s = &seats[first];
    mu_text who = {0};
    int here = 0;
    for (int r = 0; r < runner->comm->size; r++)
        here += seats[r].node == s->node;
    append_sharers(&who, seats, runner->comm->size, first);
    mu_err err = mu_text_status(&who);
    if (!err)
        err = MU_FAIL(MU_ERR_USAGE, "%s would share a device: %s on node %s, %s, %s (CUDA_VISIBLE_DEVICES of rank %d is %s, of rank %d %s)", who.data,
                      s->device.name, s->host, s->device.bus, s->device.uuid, first, s->visible[0] ? s->visible : "not set", second,
                      seats[second].visible[0] ? seats[second].visible : "not set");
    mu_text_release(&who);
    if (s->n < here)
        return mu_error_hint("node %s has %d ranks, and rank %d sees %d device%s: start fewer ranks (mpirun -n, srun --ntasks-per-node), or let each "
                             "have its own (srun --gpus-per-task=1, or CUDA_VISIBLE_DEVICES of its own)", s->host, here, first, s->n, s->n == 1 ? "" : "s");
    return mu_error_hint("use device: cuda, without a number, which gives each rank its own");
}

static mu_err check_seats(const mu_runner *runner, const seat *seats)
{
    for (int r = 0; r < runner->comm->size; r++)
        for (int q = r + 1; q < runner->comm->size; q++)
            if (same_device(&seats[r], &seats[q]))
                return shared(runner, seats, r, q);
    return MU_OK;
}

/* ---- the map ---- */

static void print_map(const seat *seats, int size)
{
    enum { SHOWN = 64 };
    for (int r = 0; r < size && r < SHOWN; r++)
        if (seats[r].index >= 0)
            MU_INFO("device", "rank %d: %s, cuda:%d, %s, %s, %s", r, seats[r].host, seats[r].index, seats[r].device.name, seats[r].device.bus,
                    seats[r].device.uuid);
    if (size > SHOWN)
        MU_INFO("device", "and %d more ranks, each with a device of its own", size - SHOWN);
}

/* ---- opening ---- */

/* Collective. Where some ranks have a device and some have none, "auto" is the processor. */
static mu_err find_seat(mu_runner *runner, seat *out)
{
    const mu_cfg *wish = mu_runner_get(runner, "device");
    MU_TRY(mu_comm_agree(runner->comm, mu_strdup(&runner->device, wish ? mu_cfg_string(wish) : "auto")));
    MU_TRY(mu_comm_agree(runner->comm, take_seat(runner, runner->device, out)));
    int64_t has[2] = {out->index >= 0, out->index < 0};
    MU_TRY(mu_comm_all_reduce(runner->comm, has, 2, MU_I64, MU_COMM_MAX));
    if (!has[0] || !has[1])
        return MU_OK;
    if (mu_runner_is_main(runner))
        MU_WARN("device", "%s: some ranks have a CUDA device and some have none: all compute on their processors", runner->device);
    mu_free(runner->device);
    mu_err err = mu_strdup(&runner->device, "cpu");
    return mu_comm_agree(runner->comm, err ? err : take_seat(runner, "cpu", out));
}

/* Collective. */
static mu_err compare_seats(mu_runner *runner, const seat *mine)
{
    seat *all = NULL;
    mu_err err = mu_comm_agree(runner->comm, mu_calloc(&all, (size_t)runner->comm->size, sizeof *all));
    if (!err)
        err = mu_comm_all_gather(runner->comm, mine, sizeof *mine, MU_U8, all);
    if (!err)
        err = mu_comm_agree(runner->comm, check_seats(runner, all));
    if (!err && mu_runner_is_main(runner))
        print_map(all, runner->comm->size);
    mu_free(all);
    MU_TRY(err);
    return MU_OK;
}

mu_backend_options mu_runner_backend_options(const mu_runner *runner)
{
    const mu_cfg *algorithm = mu_runner_get(runner, "conv_algorithm"), *tf32 = mu_runner_get(runner, "env_cfg.allow_tf32");
    return (mu_backend_options){
        .n_threads = thread_count(runner),
        .direct_convolution = algorithm && strcmp(mu_cfg_string(algorithm), "direct") == 0,
        .deterministic = runner->deterministic,
        .tf32 = tf32 && mu_cfg_bool(tf32),
    };
}

static mu_err open_seat(mu_runner *runner, const seat *mine)
{
    mu_backend_options options = mu_runner_backend_options(runner);
    if (mine->index >= 0 && !mine->numbered) {
        mu_free(runner->device);
        runner->device = NULL;
        MU_TRY(mu_asprintf(&runner->device, "cuda:%d", mine->index));
    }
    return mu_backend_open(runner->device, &options, &runner->backend);
}

mu_err mu_runner_open_device(mu_runner *runner)
{
    seat mine;
    MU_TRY(find_seat(runner, &mine));
    if (mine.index >= 0) /* then all have one */
        MU_TRY(compare_seats(runner, &mine));
    return mu_comm_agree(runner->comm, open_seat(runner, &mine));
}
