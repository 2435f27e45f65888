#include "core/pool.h"

#include "core/clock.h"

#include "test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

typedef struct {
    atomic_int *count;
    int number, fails;
} job;

static mu_err count_up(void *user)
{
    job *j = user;
    if (j->fails)
        return MU_FAIL(MU_ERR_IO, "job %d failed", j->number);
    atomic_fetch_add(j->count, 1);
    return MU_OK;
}

static const int thread_counts[] = {0, 1, 4};

START_TEST(all_jobs_run)
{
    mu_pool *pool;
    ck_ok(mu_pool_new(thread_counts[_i], 3, &pool));
    atomic_int count = 0;
    job j = {.count = &count};
    for (int i = 0; i < 1000; i++)
        ck_ok(mu_pool_submit(pool, count_up, &j));
    ck_ok(mu_pool_wait(pool));
    ck_assert_int_eq(count, 1000);
    for (int i = 0; i < 10; i++)
        ck_ok(mu_pool_submit(pool, count_up, &j));
    mu_pool_release(pool); /* finishes first */
    ck_assert_int_eq(count, 1010);
    mu_pool_release(NULL);
}
END_TEST

START_TEST(failures)
{
    mu_pool *pool;
    ck_ok(mu_pool_new(thread_counts[_i], 8, &pool));
    for (int round = 0; round < 50; round++) {
        atomic_int count = 0;
        job j[100];
        for (int i = 0; i < 100; i++) {
            j[i] = (job){.count = &count, .number = i, .fails = i >= 40 && i % 10 == 0};
            ck_ok(mu_pool_submit(pool, count_up, &j[i]));
        }
        /* Always the first one given, however the threads ran; all before it ran, not all after it. */
        ck_fails(mu_pool_wait(pool), MU_ERR_IO, "job 40 failed");
        ck_assert_int_ge(count, 40);
        ck_assert_int_lt(count, 96);
        ck_ok(mu_pool_wait(pool)); /* told once */
    }
    mu_pool_release(pool);
}
END_TEST

typedef struct {
    pthread_mutex_t lock;
    pthread_cond_t moved;
    int open, inside, submitted;
} gate;

static mu_err pass_gate(void *user)
{
    gate *g = user;
    pthread_mutex_lock(&g->lock);
    g->inside++;
    pthread_cond_broadcast(&g->moved);
    while (!g->open)
        pthread_cond_wait(&g->moved, &g->lock);
    pthread_mutex_unlock(&g->lock);
    return MU_OK;
}

typedef struct {
    mu_pool *pool;
    gate *g;
} producer;

static void *produce(void *user)
{
    producer *p = user;
    for (int i = 0; i < 6; i++) {
        if (mu_pool_submit(p->pool, pass_gate, p->g) != MU_OK)
            break;
        pthread_mutex_lock(&p->g->lock);
        p->g->submitted++;
        pthread_cond_broadcast(&p->g->moved);
        pthread_mutex_unlock(&p->g->lock);
    }
    return NULL;
}

/* Two threads are held in a job and two more jobs fit in the queue: the fifth submit blocks until the gate opens. */
START_TEST(back_pressure)
{
    gate g = {.lock = PTHREAD_MUTEX_INITIALIZER, .moved = PTHREAD_COND_INITIALIZER};
    producer p = {.g = &g};
    ck_ok(mu_pool_new(2, 2, &p.pool));
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, produce, &p), 0);
    pthread_mutex_lock(&g.lock);
    while (g.inside < 2 || g.submitted < 4)
        pthread_cond_wait(&g.moved, &g.lock);
    pthread_mutex_unlock(&g.lock);
    nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL); /* time for a fifth, were it not held back */
    pthread_mutex_lock(&g.lock);
    ck_assert_int_eq(g.submitted, 4);
    ck_assert_int_eq(g.inside, 2);
    g.open = 1;
    pthread_cond_broadcast(&g.moved);
    pthread_mutex_unlock(&g.lock);
    pthread_join(thread, NULL);
    ck_ok(mu_pool_wait(p.pool));
    ck_assert_int_eq(g.inside, 6);
    mu_pool_release(p.pool);
}
END_TEST

static mu_err add_index(void *user, int64_t i)
{
    atomic_fetch_add((atomic_llong *)user, i + 1);
    return MU_OK;
}

static mu_err refuse_seven(void *user, int64_t i)
{
    (void)user;
    return i == 7 ? MU_FAIL(MU_ERR_FORMAT, "index 7") : MU_OK;
}

START_TEST(parallel_for)
{
    mu_pool *pool;
    ck_ok(mu_pool_new(thread_counts[_i], 2, &pool));
    static const int64_t sizes[] = {0, 1, 3, 10000};
    for (int s = 0; s < 4; s++) {
        atomic_llong sum = 0;
        int64_t blocks = mu_mem_get_counts().total_blocks;
        ck_ok(mu_pool_for(pool, sizes[s], add_index, &sum));
        ck_assert_int_eq(sum, sizes[s] * (sizes[s] + 1) / 2);
        ck_assert_int_eq(mu_mem_get_counts().total_blocks, blocks);
    }
    ck_fails(mu_pool_for(pool, 100, refuse_seven, NULL), MU_ERR_FORMAT, "index 7");
    atomic_llong sum = 0;
    ck_ok(mu_pool_for(pool, 5, add_index, &sum));
    ck_assert_int_eq(sum, 15);
    mu_pool_release(pool);
}
END_TEST

START_TEST(creation)
{
    mu_pool *pool = NULL;
    ck_fails(mu_pool_new(-1, 1, &pool), MU_ERR_USAGE, "not -1 and 1");
    ck_fails(mu_pool_new(1, 0, &pool), MU_ERR_USAGE, "not 1 and 0");
    ck_assert_ptr_null(pool);
    ck_survives_oom(mu_pool_new(2, 4, &pool), mu_pool_release(pool));
}
END_TEST

START_TEST(time_goes_on)
{
    int64_t a = mu_clock_ns();
    nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    int64_t b = mu_clock_ns();
    ck_assert_int_ge(b - a, 2000000);
    ck_assert_double_ge(mu_clock(), (double)b * 1e-9);
    setenv("TZ", "UTC", 1);
    tzset();
    char text[32];
    ck_assert_str_eq(mu_wall_format(86400.5, "%Y-%m-%d %H:%M:%S", text, sizeof text), "1970-01-02 00:00:00");
    ck_assert_str_eq(mu_wall_format(0, "%Y-%m-%d", text, 4), "");
    ck_assert_double_gt(mu_wall_time(), 1.6e9);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pool");
    TCase *tests = tcase_create("pool");
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, all_jobs_run, 0, 3);
    tcase_add_loop_test(tests, failures, 0, 3);
    tcase_add_test(tests, back_pressure);
    tcase_add_loop_test(tests, parallel_for, 0, 3);
    tcase_add_test(tests, creation);
    tcase_add_test(tests, time_goes_on);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
