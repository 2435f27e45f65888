#include "core/clock.h"
#include "runner/signals.h"
#include "runner/stop.h"

#include "test.h"

#include <math.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

START_TEST(first_signal_counts)
{
    static const int all[] = {SIGTERM, SIGINT, SIGUSR1, SIGUSR2};
    for (int i = 0; i < 4; i++) {
        mu_signals_watch();
        ck_assert_int_eq(mu_signals_pending(), 0);
        raise(all[i]);
        raise(all[(i + 2) % 4]);
        ck_assert_int_eq(mu_signals_pending(), all[i]);
        mu_signals_clear();
        ck_assert_int_eq(mu_signals_pending(), 0);
        mu_signals_restore();
    }
}
END_TEST

static int old_calls;
static void old_handler(int number)
{
    (void)number;
    old_calls++;
}

START_TEST(old_handlers_come_back)
{
    signal(SIGUSR1, old_handler);
    mu_signals_watch();
    mu_signals_watch(); /* once is enough */
    raise(SIGUSR1);
    ck_assert_int_eq(old_calls, 0);
    mu_signals_restore();
    raise(SIGUSR1);
    ck_assert_int_eq(old_calls, 1);
    mu_signals_restore();
    raise(SIGUSR1);
    ck_assert_int_eq(old_calls, 2);
}
END_TEST

START_TEST(ignored_signals_stay_ignored)
{
    signal(SIGINT, SIG_IGN);
    mu_signals_watch();
    raise(SIGINT);
    raise(SIGINT);
    ck_assert_int_eq(mu_signals_pending(), 0);
    mu_signals_restore();
}
END_TEST

/* How a process that gets `signals` ends. */
static int status_after(const int *signals, int n)
{
    pid_t child = fork();
    if (child == 0) {
        mu_signals_watch();
        for (int i = 0; i < n; i++)
            raise(signals[i]);
        _exit(mu_signals_pending());
    }
    int status = 0;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    return status;
}

START_TEST(second_interrupt_ends_the_process)
{
    int status = status_after((int[]){SIGINT, SIGINT}, 2);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT);
    status = status_after((int[]){SIGTERM, SIGTERM, SIGINT}, 3);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == SIGTERM);
    status = status_after((int[]){SIGTERM, SIGINT, SIGUSR2, SIGINT}, 4);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT);
}
END_TEST

START_TEST(times)
{
    mu_runner runner = {0};
    ck_assert_int_eq(mu_stop_pending(&runner), 0);
    ck_assert(!mu_stop_comes_first(&runner));
    runner.time_over = mu_clock() - 1;
    ck_assert_int_eq(mu_stop_pending(&runner), MU_STOP_MAX_TIME);
    ck_assert(mu_stop_comes_first(&runner));
    runner.time_over = mu_clock() + 1000;
    ck_assert_int_eq(mu_stop_pending(&runner), 0);
    ck_assert(!mu_stop_comes_first(&runner));
    runner.job_over = mu_clock() + 900;
    runner.end_margin = 1000;
    ck_assert_int_eq(mu_stop_pending(&runner), MU_STOP_JOB_END);
    runner.end_margin = 0;
    ck_assert_int_eq(mu_stop_pending(&runner), 0);
    runner.end_margin = -1; /* without a checkpoint so far: 30 s */
    ck_assert_int_eq(mu_stop_pending(&runner), 0);
    runner.job_over = mu_clock() + 29;
    ck_assert_int_eq(mu_stop_pending(&runner), MU_STOP_JOB_END);
    mu_signals_watch();
    raise(SIGUSR2);
    ck_assert_int_eq(mu_stop_pending(&runner), SIGUSR2);
    mu_signals_restore();
    mu_signals_clear();
}
END_TEST

START_TEST(options_of_a_run)
{
    mu_comm *comm;
    ck_ok(mu_comm_self_new(&comm));
    mu_runner runner = {.comm = comm};
    mu_stop_set(&runner, &(mu_runner_options){.end_margin = -1});
    ck_assert(runner.time_over == 0 && runner.job_over == 0);
    mu_stop_set(&runner, &(mu_runner_options){.max_time = 100, .job_end = mu_wall_time() + 200, .end_margin = 7});
    double now = mu_clock();
    ck_assert(fabs(runner.time_over - now - 100) < 5 && fabs(runner.job_over - now - 200) < 5 && runner.end_margin == 7);
    mu_stop_set(&runner, &(mu_runner_options){.job_end = 1});
    ck_assert_int_eq(mu_stop_pending(&runner), MU_STOP_JOB_END);
    mu_comm_release(comm);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("signals");
    TCase *tc = tcase_create("signals");
    tcase_add_test(tc, first_signal_counts);
    tcase_add_test(tc, old_handlers_come_back);
    tcase_add_test(tc, ignored_signals_stay_ignored);
    tcase_add_test(tc, second_interrupt_ends_the_process);
    tcase_add_test(tc, times);
    tcase_add_test(tc, options_of_a_run);
    suite_add_tcase(suite, tc);
    return test_run(suite);
}
