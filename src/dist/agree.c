#include "config.h"

#include "dist/comm.h"
#include "dist/doing.h"

#include <stdio.h>
#include <sys/random.h>
#include <time.h>

enum { MAX_TOLD = 8 }; /* distinct messages */

typedef struct {
    int code;
    char message[MU_ERROR_TEXT], hint[MU_ERROR_TEXT];
} report;

static report report_of(mu_err err)
{
    report r = {.code = err};
    const mu_error *last = mu_error_last();
    bool ours = err != MU_OK && last->code == err;
    snprintf(r.message, sizeof r.message, "%s", ours && last->message[0] ? last->message : mu_err_text(err));
    snprintf(r.hint, sizeof r.hint, "%s", ours ? last->hint : "");
    return r;
}

static void tell(mu_error *all, const report *r, int rank, int size, int64_t alike)
{
    size_t at = strlen(all->message), room = sizeof all->message - at;
    char *end = all->message + at;
    const char *newline = at ? "\n" : "";
    if (alike == size && r->code == MU_ERR_NUMERIC) /* where it was is of interest, even if it was everywhere */
        snprintf(end, room, "all %d ranks: %s", size, r->message);
    else if (alike == size)
        snprintf(end, room, "%s", r->message);
    else if (alike == 1)
        snprintf(end, room, "%srank %d/%d: %s", newline, rank, size, r->message);
    else
        snprintf(end, room, "%srank %d/%d and %lld more: %s", newline, rank, size, (long long)alike - 1, r->message);
    if (!all->hint[0])
        memcpy(all->hint, r->hint, sizeof all->hint);
}

mu_err mu_comm_agree(mu_comm *comm, mu_err err)
{
    if (comm->size == 1)
        return err;
    MU_DOING(comm, "agree");
    const report mine = report_of(err);
    mu_error all = {0};
    if (err != MU_OK)
        all = *mu_error_last();
    all.message[0] = all.hint[0] = '\0';

    bool told = err == MU_OK;
    int64_t failing = told ? 0 : 1, first = told ? comm->size : comm->rank;
    MU_TRY(mu_comm_all_reduce(comm, &first, 1, MU_I64, MU_COMM_MIN));
    if (first == comm->size)
        return MU_OK;

    /* The lowest rank with something new to say speaks; those who would say the same are told with it. */
    MU_TRY(mu_comm_all_reduce(comm, &failing, 1, MU_I64, MU_COMM_SUM));
    for (int i = 0; i < MAX_TOLD && first < comm->size; i++) {
        report r = mine;
        int speaker = (int)first;
        MU_TRY(mu_comm_broadcast_bytes(comm, &r, sizeof r, speaker));
        bool same = !told && r.code == mine.code && strcmp(r.message, mine.message) == 0;
        told |= same;
        int64_t alike = same;
        first = told ? comm->size : comm->rank;
        MU_TRY(mu_comm_all_reduce(comm, &alike, 1, MU_I64, MU_COMM_SUM));
        MU_TRY(mu_comm_all_reduce(comm, &first, 1, MU_I64, MU_COMM_MIN));
        if (i == 0)
            all.code = (mu_err)r.code;
        tell(&all, &r, speaker, comm->size, alike);
        failing -= alike;
    }
    if (failing > 0) {
        size_t at = strlen(all.message);
        snprintf(all.message + at, sizeof all.message - at, "\n%lld more ranks failed", (long long)failing);
    }
    mu_error_restore(&all);
    return mu_error_trace(all.code, __FILE__, __LINE__, __func__);
}

mu_err mu_comm_agree_patiently(mu_comm *comm, mu_err err)
{
    struct timespec pause = {.tv_nsec = 1000000};
    mu_request request = {0};
    int32_t failed = err != MU_OK;
    bool done = false;
    if (comm->size == 1)
        return err;
    MU_TRY(mu_comm_start_all_reduce(comm, &failed, 1, MU_I32, MU_COMM_MAX, &request));
    while (!done) {
        MU_TRY(mu_request_test(&request, &done));
        if (!done)
            nanosleep(&pause, NULL);
    }
    return failed ? mu_comm_agree(comm, err) : MU_OK;
}

mu_err mu_comm_on_main(mu_comm *comm, mu_err (*fn)(void *user), void *user)
{
    MU_TRY(mu_comm_agree(comm, comm->rank == 0 ? fn(user) : MU_OK));
    return MU_OK;
}

mu_err mu_comm_check_same(mu_comm *comm, const char *what, uint64_t fingerprint)
{
    MU_DOING(comm, "check_same");
    uint64_t main_rank = fingerprint;
    MU_TRY(mu_comm_broadcast_bytes(comm, &main_rank, sizeof main_rank, 0));
    mu_err err = MU_OK;
    if (main_rank != fingerprint)
        err = MU_FAIL(MU_ERR_USAGE, "%s: not the same as on rank 0 (%016llx instead of %016llx)", what,
                      (unsigned long long)fingerprint, (unsigned long long)main_rank);
    MU_TRY(mu_comm_agree(comm, err));
    return MU_OK;
}

mu_err mu_comm_sync_random_seed(mu_comm *comm, uint32_t *out)
{
    MU_DOING(comm, "sync_random_seed");
    uint32_t seed = 0;
    mu_err err = MU_OK;
    if (comm->rank == 0 && getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed)
        err = MU_FAIL(MU_ERR_SYSTEM, "a random seed could not be drawn: getrandom failed");
    MU_TRY(mu_comm_agree(comm, err));
    MU_TRY(mu_comm_broadcast_bytes(comm, &seed, sizeof seed, 0));
    *out = seed & 0x7fffffff;
    return MU_OK;
}
