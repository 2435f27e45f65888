/* What a monitor concludes from reports, and a watch of one rank. Ranks that hang or vanish: tests/run/hang_test.sh. */
#include "test.h"

#include "dist/verdict.h"

#include <stdatomic.h>
#include <time.h>

static const mu_watch_options options = {.limit = {100, 10, 50, 0}, .limits = "watch_cfg"};

static mu_report at_step(int rank, float seconds, const char *waits)
{
    mu_report r = {.rank = rank, .pid = 1000 + rank, .phase = MU_WATCH_STEP, .state = 'S', .in_phase = seconds, .in_operation = seconds / 2,
                   .overdue = seconds > 10, .iteration = 57};
    snprintf(r.what, sizeof r.what, "load batch");
    snprintf(r.waits, sizeof r.waits, "%s", waits);
    return r;
}

static mu_summary node_of(const char *host, const mu_report *reports, int n)
{
    mu_summary s = {0};
    snprintf(s.host, sizeof s.host, "%s", host);
    for (int i = 0; i < n; i++)
        mu_summary_add(&s, &reports[i]);
    return s;
}

#define HANGS(summaries, n) mu_verdict_hang(&options, 4, (summaries), (n), NULL, 0, &v)

START_TEST(names_the_rank_that_does_not_wait)
{
    mu_verdict v;
    mu_report r[] = {at_step(0, 12, "all_reduce"), at_step(1, 12, "all_reduce"), at_step(2, 12, ""), at_step(3, 12, "all_reduce")};
    mu_summary s = node_of("n1", r, 4);
    ck_assert_int_eq(s.n, 1);
    ck_assert(HANGS(&s, 1));
    ck_assert_str_eq(v.message, "rank 2/4 (host n1, pid 1002) hangs: for 6.0 s in load batch, iteration 57; 3 ranks wait for it in all_reduce");
    ck_assert_str_eq(v.hint, "the limit of a step is 10 s: watch_cfg.step raises it, 0 means none");
}
END_TEST

START_TEST(leaves_who_is_within_the_limit)
{
    mu_verdict v;
    mu_report r[] = {at_step(0, 12, "all_reduce"), at_step(1, 8, "")};
    mu_summary s = node_of("n1", r, 2);
    ck_assert(s.overdue && !HANGS(&s, 1)); /* the one waits for the other, which has time left */
    r[1].phase = MU_WATCH_EVALUATION;
    r[1].in_phase = 1e6f; /* no limit */
    s = node_of("n1", r, 2);
    ck_assert(!HANGS(&s, 1));
    mu_report quick[] = {at_step(0, 1, "all_reduce"), at_step(1, 1, "all_reduce")};
    s = node_of("n1", quick, 2);
    ck_assert(!HANGS(&s, 1));
}
END_TEST

START_TEST(tells_stopped_and_silent)
{
    mu_verdict v;
    mu_report r[] = {at_step(0, 12, "barrier"), at_step(1, 12, "barrier"), at_step(2, 12, "")};
    r[1].silent = true; /* what it waited in when it was stopped does not count */
    r[1].state = 'T';
    r[2].silent = true;
    mu_summary s = node_of("n1", r, 3);
    ck_assert(HANGS(&s, 1));
    ck_assert_ptr_nonnull(strstr(v.message, "rank 1/4 (host n1, pid 1001) is stopped, by SIGSTOP or a debugger: "));
    ck_assert_ptr_nonnull(strstr(v.message, "\nrank 2/4 (host n1, pid 1002) does not answer: "));
    ck_assert_ptr_nonnull(strstr(v.message, "; 1 rank waits for them in barrier"));
    r[1].silent = false;
    r[1].waits[0] = '\0';
    r[1].state = 'D';
    s = node_of("n1", r, 2);
    ck_assert(HANGS(&s, 1));
    ck_assert_ptr_nonnull(strstr(v.message, "iteration 57; it waits for a disk or a network file system; 1 rank waits for it"));
}
END_TEST

START_TEST(tells_a_deadlock)
{
    mu_verdict v;
    mu_report r[] = {at_step(0, 12, "all_reduce"), at_step(1, 12, "broadcast")};
    mu_summary s = node_of("n1", r, 2);
    ck_assert_int_eq(s.n, 2);
    ck_assert(HANGS(&s, 1));
    ck_assert_ptr_nonnull(strstr(v.message, "rank 0/4 (host n1, pid 1000) waits for the others in all_reduce: for 6.0 s in load batch"));
    ck_assert_ptr_nonnull(strstr(v.message, "\nrank 1/4 (host n1, pid 1001) waits for the others in broadcast"));
    ck_assert_ptr_nonnull(strstr(v.message, "\nall ranks wait for each other"));
}
END_TEST

START_TEST(looks_over_several_nodes)
{
    mu_verdict v;
    mu_report a[] = {at_step(0, 12, "all_reduce"), at_step(1, 12, "all_reduce")}, b[] = {at_step(2, 12, "all_reduce"), at_step(3, 12, "")};
    mu_summary s[] = {node_of("n1", a, 2), node_of("n2", b, 2)};
    ck_assert(HANGS(s, 2));
    ck_assert_ptr_nonnull(strstr(v.message, "rank 3/4 (host n2, pid 1003) hangs"));
    ck_assert_ptr_nonnull(strstr(v.message, "; 3 ranks wait for it in all_reduce"));
    mu_silent_node gone = {.first = 2, .ranks = 2, .host = "n2"};
    ck_assert(mu_verdict_hang(&options, 4, s, 1, &gone, 1, &v));
    ck_assert_str_eq(v.message, "the 2 ranks of host n2, from rank 2/4 on, do not answer; 2 ranks wait for them in all_reduce");
    gone = (mu_silent_node){.first = 3, .ranks = 1, .host = "n3"};
    ck_assert(mu_verdict_hang(&options, 4, s, 1, &gone, 1, &v));
    ck_assert_str_eq(v.message, "rank 3/4 (host n3) does not answer; 2 ranks wait for it in all_reduce");
}
END_TEST

START_TEST(cuts_long_lists)
{
    mu_verdict v;
    mu_report r[64];
    for (int i = 0; i < 64; i++)
        r[i] = at_step(i, i < 40 ? 1 : 12, ""); /* the overdue come last */
    mu_summary s = node_of("a-host-with-a-name-as-long-as-a-name-of-a-host-can-be.x", r, 64);
    ck_assert_int_eq(s.n, MU_REPORTS);
    ck_assert(HANGS(&s, 1));
    ck_assert_ptr_nonnull(strstr(v.message, "rank 40/4"));
    ck_assert_ptr_nonnull(strstr(v.message, "\nand 1 more"));
    mu_verdict_gone(64, "n1", r, MU_REPORTS, &v);
    ck_assert_ptr_nonnull(strstr(v.message, "rank 0/64 (host n1, pid 1000) is gone: "));
    ck_assert_ptr_nonnull(strstr(v.message, "it was in load batch, iteration 57 (step)"));
    ck_assert_ptr_nonnull(strstr(v.message, "\nand 1 more"));
}
END_TEST

typedef struct {
    char message[2048], hint[512];
    atomic_int told, ended;
} word;

static void take(void *user, const char *message, const char *hint)
{
    word *w = user;
    snprintf(w->message, sizeof w->message, "%s", message);
    snprintf(w->hint, sizeof w->hint, "%s", hint);
    atomic_fetch_add(&w->told, 1);
}

static void finish(void *user)
{
    atomic_fetch_add(&((word *)user)->ended, 1);
}

static void wait_ms(int ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L}, NULL);
}

START_TEST(watches_one_rank)
{
    word w = {0};
    mu_comm *comm;
    mu_watch *watch;
    mu_watch_options own = {.limit = {[MU_WATCH_STEP] = 0.3}, .limits = "watch_cfg", .tell = take, .end = finish, .user = &w};
    ck_ok(mu_comm_self_new(&comm));
    ck_ok(mu_watch_new(comm, &own, &watch));
    wait_ms(500);
    ck_assert_int_eq(w.ended, 0); /* setup has no limit */
    ck_assert_int_eq(mu_watch_enter(watch, MU_WATCH_STEP), MU_WATCH_SETUP);
    ck_assert_int_eq(mu_watch_enter(watch, MU_WATCH_STEP), MU_WATCH_STEP);
    mu_watch_note(watch, "an operation with a name that is far too long for it", "here", 7);
    for (int i = 0; i < 200 && !w.ended; i++)
        wait_ms(50);
    ck_assert_int_eq(w.told, 1);
    ck_assert_int_eq(w.ended, 1);
    ck_assert_ptr_nonnull(strstr(w.message, "rank 0/1 (host "));
    ck_assert_ptr_nonnull(strstr(w.message, " hangs: for "));
    ck_assert_ptr_nonnull(strstr(w.message, " s in an operation with a name that is far to, here, iteration 7"));
    ck_assert_str_eq(w.hint, "the limit of a step is 0.3 s: watch_cfg.step raises it, 0 means none");
    mu_watch_release(watch);
    mu_comm_release(comm);
}
END_TEST

START_TEST(is_quiet_while_all_is_well)
{
    word w = {0};
    mu_comm *comm;
    mu_watch *watch;
    mu_watch_options own = {.limit = {[MU_WATCH_STEP] = 2}, .limits = "watch_cfg", .tell = take, .end = finish, .user = &w};
    ck_ok(mu_comm_self_new(&comm));
    ck_ok(mu_watch_new(comm, &own, &watch));
    for (int i = 0; i < 30; i++) {
        mu_watch_enter(watch, MU_WATCH_STEP);
        wait_ms(100);
    }
    mu_watch_leave(watch);
    mu_watch_leave(watch);
    ck_assert_int_eq(w.ended, 0);
    mu_watch_release(watch);
    mu_watch_release(NULL);
    mu_watch_note(NULL, "nobody watches", NULL, 1);
    ck_assert_int_eq(mu_watch_enter(NULL, MU_WATCH_STEP), MU_WATCH_SETUP);
    mu_comm_release(comm);
}
END_TEST

START_TEST(survives_want_of_memory)
{
    mu_comm *comm;
    mu_watch *watch;
    mu_watch_options own = {.limits = "watch_cfg", .tell = take, .end = finish};
    ck_ok(mu_comm_self_new(&comm));
    ck_survives_oom(mu_watch_new(comm, &own, &watch), mu_watch_release(watch));
    mu_comm_release(comm);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("watch");
    TCase *verdict = tcase_create("verdict"), *watch = tcase_create("watch");
    tcase_add_test(verdict, names_the_rank_that_does_not_wait);
    tcase_add_test(verdict, leaves_who_is_within_the_limit);
    tcase_add_test(verdict, tells_stopped_and_silent);
    tcase_add_test(verdict, tells_a_deadlock);
    tcase_add_test(verdict, looks_over_several_nodes);
    tcase_add_test(verdict, cuts_long_lists);
    suite_add_tcase(suite, verdict);
    tcase_set_timeout(watch, 60);
    tcase_add_test(watch, watches_one_rank);
    tcase_add_test(watch, is_quiet_while_all_is_well);
    tcase_add_test(watch, survives_want_of_memory);
    suite_add_tcase(suite, watch);
    return test_run(suite);
}
