#include "core/pool.h"

#include "core/mem.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

typedef struct {
    mu_job_fn *run;
    void *user;
} job;

struct mu_pool {
    pthread_mutex_t lock;
    pthread_cond_t not_empty, not_full, idle;
    pthread_t *thread;
    int n_threads;
    bool closing;

    job *ring; /* jobs first .. next-1 wait, at their number modulo capacity */
    int64_t capacity, first, next;
    int running;

    int64_t
        failed; /* number of the failed job that was given first, or -1: jobs start in order, so all before it ran */
    mu_error error;
};

/* Runs a job without the lock, notes its failure with it. */
static void run_locked(mu_pool *pool, job todo, int64_t number)
{
    if (pool->failed >= 0)
        return;
    pool->running++;
    pthread_mutex_unlock(&pool->lock);
    mu_err err = todo.run(todo.user);
    pthread_mutex_lock(&pool->lock);
    pool->running--;
    if (err && (pool->failed < 0 || number < pool->failed)) {
        pool->failed = number;
        pool->error = *mu_error_last();
        pool->error.code = err;
    }
}

static void *work(void *user)
{
    mu_pool *pool = user;
    pthread_mutex_lock(&pool->lock);
    for (;;) {
        while (pool->first == pool->next && !pool->closing)
            pthread_cond_wait(&pool->not_empty, &pool->lock);
        if (pool->first == pool->next)
            break;
        int64_t number = pool->first++;
        job todo = pool->ring[number % pool->capacity];
        pthread_cond_signal(&pool->not_full);
        run_locked(pool, todo, number);
        if (pool->first == pool->next && pool->running == 0)
            pthread_cond_broadcast(&pool->idle);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

/* Threads start with all signals blocked: handlers run in the program's own threads. */
static mu_err start_threads(mu_pool *pool, int n_threads)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int status = 0;
    while (pool->n_threads < n_threads && status == 0) {
        status = pthread_create(&pool->thread[pool->n_threads], NULL, work, pool);
        pool->n_threads += status == 0;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (status) {
        MU_FAIL(MU_ERR_SYSTEM, "thread %d of %d could not be started: %s", pool->n_threads + 1, n_threads,
                strerror(status));
        return mu_error_hint("ask for fewer threads, or raise the limit (ulimit -u)");
    }
    return MU_OK;
}

mu_err mu_pool_new(int n_threads, int capacity, mu_pool **out)
{
    if (n_threads < 0 || capacity < 1)
        return MU_FAIL(MU_ERR_USAGE, "a pool has 0 or more threads and room for 1 or more jobs, not %d and %d",
                       n_threads, capacity);
    mu_pool *pool;
    mu_err err;
    MU_TRY(mu_calloc(&pool, 1, sizeof *pool));
    pool->capacity = capacity;
    pool->failed = -1;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->not_empty, NULL);
    pthread_cond_init(&pool->not_full, NULL);
    pthread_cond_init(&pool->idle, NULL);
    MU_TRY_GOTO(err, mu_calloc(&pool->thread, (size_t)n_threads, sizeof *pool->thread), fail);
    MU_TRY_GOTO(err, mu_calloc(&pool->ring, (size_t)capacity, sizeof *pool->ring), fail);
    MU_TRY_GOTO(err, start_threads(pool, n_threads), fail);
    *out = pool;
    return MU_OK;
fail:
    mu_pool_release(pool);
    return err;
}

void mu_pool_release(mu_pool *pool)
{
    if (!pool)
        return;
    pthread_mutex_lock(&pool->lock);
    pool->closing = true;
    pthread_cond_broadcast(&pool->not_empty);
    pthread_mutex_unlock(&pool->lock);
    for (int i = 0; i < pool->n_threads; i++)
        pthread_join(pool->thread[i], NULL);
    pthread_cond_destroy(&pool->idle);
    pthread_cond_destroy(&pool->not_full);
    pthread_cond_destroy(&pool->not_empty);
    pthread_mutex_destroy(&pool->lock);
    mu_free(pool->ring);
    mu_free(pool->thread);
    mu_free(pool);
}

mu_err mu_pool_submit(mu_pool *pool, mu_job_fn *run, void *user)
{
    job todo = {.run = run, .user = user};
    pthread_mutex_lock(&pool->lock);
    if (pool->n_threads == 0) {
        pool->first++;
        run_locked(pool, todo, pool->next++);
    } else {
        while (pool->next - pool->first >= pool->capacity)
            pthread_cond_wait(&pool->not_full, &pool->lock);
        pool->ring[pool->next++ % pool->capacity] = todo;
        pthread_cond_signal(&pool->not_empty);
    }
    pthread_mutex_unlock(&pool->lock);
    return MU_OK;
}

mu_err mu_pool_wait(mu_pool *pool)
{
    mu_err err = MU_OK;
    pthread_mutex_lock(&pool->lock);
    while (pool->first != pool->next || pool->running)
        pthread_cond_wait(&pool->idle, &pool->lock);
    if (pool->failed >= 0) {
        err = mu_error_restore(&pool->error);
        pool->failed = -1;
    }
    pthread_mutex_unlock(&pool->lock);
    MU_TRY(err);
    return MU_OK;
}

typedef struct {
    mu_err (*body)(void *user, int64_t i);
    void *user;
    int64_t n;
    atomic_llong next;
} for_loop;

static mu_err for_share(void *user)
{
    for_loop *loop = user;
    for (int64_t i; (i = atomic_fetch_add(&loop->next, 1)) < loop->n;) {
        mu_err err = loop->body(loop->user, i);
        if (err) {
            atomic_store(&loop->next, loop->n); /* the others stop at their next index */
            return err;
        }
    }
    return MU_OK;
}

mu_err mu_pool_for(mu_pool *pool, int64_t n, mu_err (*body)(void *user, int64_t i), void *user)
{
    for_loop loop = {.body = body, .user = user, .n = n};
    mu_err err = MU_OK;
    int64_t shares = pool->n_threads > 1 ? pool->n_threads : 1;
    for (int64_t i = 0; i < shares && i < n && !err; i++)
        err = mu_pool_submit(pool, for_share, &loop);
    mu_err waited = mu_pool_wait(pool); /* also after a failed submit: `loop` lives here */
    MU_TRY(err);
    MU_TRY(waited);
    return MU_OK;
}
