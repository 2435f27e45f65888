/* Random networks: with reuse, layouts and fusion as without, and no memory read that something else has overwritten. */
#include "toys.h"

#include <math.h>

static void compare(const mu_graph *g, mu_backend *backend, const mu_plan_options *options, const double *want, size_t n, int seed,
                    const char *what)
{
    double *got;
    size_t m;
    ck_ok(toy_run(g, backend, options, 2, &got, &m));
    ck_assert_uint_eq(m, n);
    for (size_t i = 0; i < n; i++)
        ck_assert_msg(fabs(got[i] - want[i]) <= 1e-9 * (1 + fabs(want[i])), "seed %d, %s: number %zu is %.15g, not %.15g", seed,
                      what, i, got[i], want[i]);
    mu_free(got);
}

START_TEST(plans_agree)
{
    mu_backend *ref;
    blocked_backend *blocked;
    mu_graph *g;
    double *want;
    size_t n;
    ck_ok(mu_backend_open("cpu:ref", NULL, &ref));
    ck_ok(blocked_open(&blocked));
    blocked->poison = true;
    ck_ok(toy_net((uint64_t)_i, _i % 4 != 3, &g));
    ck_ok(toy_run(g, ref, &(mu_plan_options){.no_fusion = true, .keep_all = true}, 2, &want, &n));
    for (size_t i = 0; i < n; i++)
        ck_assert_msg(isfinite(want[i]), "seed %d gives no number", _i);
    compare(g, ref, &(mu_plan_options){.no_fusion = true}, want, n, _i, "reuse");
    compare(g, ref, NULL, want, n, _i, "fusion");
    compare(g, &blocked->base, &(mu_plan_options){.no_fusion = true}, want, n, _i, "layouts");
    compare(g, &blocked->base, NULL, want, n, _i, "layouts and fusion");
    mu_free(want);
    mu_graph_release(g);
    mu_backend_close(&blocked->base);
    mu_backend_close(ref);
    ck_assert_int_eq(mu_mem_get_counts().live_blocks, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("random networks");
    TCase *tests = tcase_create("random networks");
    tcase_set_timeout(tests, 60);
    const char *more = getenv("MUSTER_TEST_SEEDS"); /* how many networks */
    tcase_add_loop_test(tests, plans_agree, 0, more ? atoi(more) : 40);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
