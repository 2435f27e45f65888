/* A checkpoint on its way to the disk, in the background where ranks can talk there. */
#include "config.h"

#include "backend/lanes.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/pool.h"
#include "runner/checkpoint_impl.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum { TELL_AFTER_MS = 100 }; /* shorter waits are not worth a line */

struct mu_checkpoint_saver {
    mu_comm *comm; /* the background's own; NULL: there is no background */
    mu_pool *pool; /* one thread */
    mu_tensor_room room; /* kept: it is wanted again, at the same time of a run */
    ckpt_copy *copy; /* from a device with lanes; else NULL */
    bool busy;     /* a job was given and is not waited for; this, and all above, are the main thread's */

    /* Of the job, which has them until it is waited for. */
    mu_comm *over;
    mu_tensor_snapshot *snapshot;
    bool last;
    char *path, *work_dir, *obsolete, *obsolete_is, *said;
    double begun, stalled;
    int64_t bytes;

    atomic_bool failed;
    _Atomic double seconds; /* of the longest that is whole; < 0: none */
};

/* ---- the job ---- */

static void remove_obsolete(const mu_checkpoint_saver *s)
{
    for (char *path = s->obsolete; path && *path;) {
        char *end = path + strcspn(path, "\n"), *next = *end ? end + 1 : end;
        *end = '\0';
        mu_err err = mu_tensor_file_remove(path);
        if (!err && s->obsolete_is)
            MU_INFO("run", "%s %s is removed", s->obsolete_is, path);
        else if (err && err != MU_ERR_NOT_FOUND) /* in nobody's way */
            MU_WARN("run", "the old checkpoint is left: %s", mu_error_last()->message);
        path = next;
    }
}

/* Rank 0. The new one is whole before an old one goes. */
static void tell(const mu_checkpoint_saver *s, double seconds)
{
    const char *slash = strrchr(s->path, '/');
    MU_INFO("run", "%s is saved: %.1f MB in %.2f s, of which training waited %.2f s", slash ? slash + 1 : s->path, (double)s->bytes / 1e6,
            seconds, s->stalled);
    if (s->said)
        MU_INFO("run", "%s", s->said);
    remove_obsolete(s);
}

static mu_err save(mu_checkpoint_saver *s)
{
    bool main = mu_comm_is_main(s->over);
    mu_err err = mu_tensor_snapshot_write(s->snapshot, s->over, &s->bytes);
    mu_tensor_snapshot_release(s->snapshot);
    s->snapshot = NULL;
    MU_TRY(err);
    if (s->last)
        MU_TRY(mu_comm_agree_patiently(s->over, main ? ckpt_write_last(s->work_dir, s->path) : MU_OK));
    double seconds = mu_clock() - s->begun;
    if (main)
        tell(s, seconds);
    if (seconds > atomic_load(&s->seconds))
        atomic_store(&s->seconds, seconds);
    return MU_OK;
}

static mu_err run_job(void *user)
{
    mu_checkpoint_saver *s = user;
    mu_err err = save(s);
    if (err)
        atomic_store(&s->failed, true);
    return err;
}

static void forget_job(mu_checkpoint_saver *s)
{
    mu_tensor_snapshot_release(s->snapshot);
    mu_free(s->path);
    mu_free(s->work_dir);
    mu_free(s->obsolete);
    mu_free(s->obsolete_is);
    mu_free(s->said);
    s->snapshot = NULL;
    s->path = s->work_dir = s->obsolete = s->obsolete_is = s->said = NULL;
}

static mu_err copy_text(char **out, const char *text)
{
    return text ? mu_strdup(out, text) : MU_OK;
}

static mu_err note_sequel(mu_checkpoint_saver *s, const char *path, const char *work_dir, const mu_checkpoint_sequel *sequel)
{
    s->last = sequel->last;
    MU_TRY(copy_text(&s->path, path));
    MU_TRY(copy_text(&s->work_dir, work_dir));
    MU_TRY(copy_text(&s->obsolete, sequel->obsolete));
    MU_TRY(copy_text(&s->obsolete_is, sequel->obsolete_is));
    return copy_text(&s->said, sequel->said);
}

/* ---- the saver ---- */

static void release(mu_checkpoint_saver *s)
{
    if (!s)
        return;
    mu_pool_release(s->pool); /* ends what it has begun */
    forget_job(s);
    ckpt_copy_release(s->copy);
    mu_comm_release(s->comm);
    mu_tensor_room_release(&s->room);
    mu_free(s);
}

static mu_err pinned_new(void *backend, size_t bytes, void **out)
{
    return mu_host_room_new(backend, bytes, out);
}

static void pinned_release(void *backend, void *data)
{
    mu_host_room_release(backend, data);
}

/* Copies from a device go to memory that it reaches beside its kernels. */
static mu_err make_copy(mu_checkpoint_saver *s, const mu_runner *runner)
{
    MU_TRY(ckpt_copy_new(runner->backend, mu_model_params(runner->model), &s->copy));
    if (s->copy)
        s->room = (mu_tensor_room){.alloc = pinned_new, .dealloc = pinned_release, .user = runner->backend};
    return MU_OK;
}

/* Collective. */
static mu_err make(const mu_runner *runner, mu_checkpoint_saver **out)
{
    mu_comm *comm = runner->comm;
    mu_checkpoint_saver *s;
    mu_err err = mu_calloc(&s, 1, sizeof *s);
    if (!err) {
        atomic_init(&s->seconds, -1);
        err = comm->threads ? mu_pool_new(1, 1, &s->pool) : MU_OK;
        err = err ? err : make_copy(s, runner);
    }
    err = mu_comm_agree(comm, err);
    if (!err && comm->threads)
        err = mu_comm_agree(comm, mu_comm_split(comm, 0, comm->rank, &s->comm));
    if (err) {
        release(s);
        return err;
    }
    *out = s;
    return MU_OK;
}

bool mu_checkpoint_failed(const mu_runner *runner)
{
    if (runner->saver)
        ckpt_copy_tidy(runner->saver->copy);
    return runner->saver && atomic_load(&runner->saver->failed);
}

double mu_checkpoint_longest_seconds(const mu_runner *runner)
{
    return runner->saver ? atomic_load(&runner->saver->seconds) : -1;
}

mu_err mu_checkpoint_wait(mu_runner *runner)
{
    mu_checkpoint_saver *s = runner->saver;
    if (!s || !s->busy)
        return MU_OK;
    double begun = mu_clock();
    mu_watch_phase before = mu_watch_enter(runner->watch, MU_WATCH_CHECKPOINT);
    mu_watch_note(runner->watch, "wait for a checkpoint", NULL, runner->iters_done);
    mu_watch_follow(runner->watch, s->comm);
    mu_err err = mu_pool_wait(s->pool);
    mu_watch_follow(runner->watch, NULL);
    mu_watch_enter(runner->watch, before);
    double waited = mu_clock() - begun;
    if (waited * 1e3 > TELL_AFTER_MS && mu_runner_is_main(runner))
        MU_INFO("run", "waited %.2f s for the checkpoint on its way", waited);
    s->busy = false;
    atomic_store(&s->failed, false);
    forget_job(s);
    ckpt_copy_end(s->copy);
    return mu_runner_agreed(runner, err);
}

void mu_checkpoint_close(mu_runner *runner)
{
    release(runner->saver);
    runner->saver = NULL;
}

/* Collective. */
static mu_err begin(mu_runner *runner, const char *path, mu_checkpoint_parts parts, const mu_checkpoint_sequel *sequel, bool background)
{
    mu_checkpoint_saver *s = runner->saver;
    double begun = mu_clock();
    mu_err err = mu_comm_agree(runner->comm, note_sequel(s, path, runner->work_dir, sequel));
    err = err ? err : ckpt_snapshot(runner, path, parts, &s->room, s->copy, &s->snapshot);
    if (err) {
        forget_job(s);
        ckpt_copy_end(s->copy);
        return err;
    }
    s->begun = begun;
    s->over = background ? s->comm : runner->comm;
    s->stalled = mu_clock() - begun;
    if (background) {
        s->busy = true;
        return mu_pool_submit(s->pool, run_job, s);
    }
    err = save(s);
    forget_job(s);
    ckpt_copy_end(s->copy);
    return err;
}

mu_err mu_checkpoint_begin(mu_runner *runner, const char *path, mu_checkpoint_parts parts, const mu_checkpoint_sequel *sequel,
                           bool background)
{
    MU_TRY(mu_checkpoint_wait(runner));
    if (!runner->saver)
        MU_TRY(mu_runner_agreed(runner, make(runner, &runner->saver)));
    mu_watch_phase before = mu_watch_enter(runner->watch, MU_WATCH_CHECKPOINT);
    mu_watch_note(runner->watch, "write checkpoint", NULL, runner->iters_done);
    mu_err err = begin(runner, path, parts, sequel, background && runner->saver->comm);
    mu_watch_enter(runner->watch, before);
    return mu_runner_agreed(runner, err);
}
