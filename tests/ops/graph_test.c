/* Every operation as a whole graph: traced with a loss, differentiated, planned with and without fusion on every
 * backend. The output and all gradients against the same graph run node by node on ref in f64. Usage: graph_test [--op
 * NAME] [--backend NAME]. */
#include "ops/oracle.h"
#include "test.h"

#include <math.h>

static const char *only_op, *only_backend;

/* Fixed dtypes are conform_test's; values at kinks have no condition; arenas have no graph. */
static bool is_checked(const op_case *c, const mu_op *op)
{
    return strcmp(c->op, op->name) == 0 && !(c->flags & (CASE_NO_FD | CASE_NO_PLAN)) && !strstr(c->in, "f32[") &&
           !strstr(c->in, "f64[") && !strstr(c->in, "f16[") && !strstr(c->in, ":special");
}

START_TEST(whole_graphs)
{
    const mu_op *op = mu_op_builtins()[_i];
    mu_backend *ref;
    mu_backend_info info;
    if (only_op && strcmp(only_op, op->name) != 0)
        return;
    ck_ok(mu_backend_open("cpu:ref", NULL, &ref));
    for (int b = 0; mu_backend_at(b, &info); b++) {
        const char *device = info.device;
        mu_backend *backend;
        int n = 0;
        double worst = 0;
        if (info.why_off && !only_backend)
            printf("%-26s %-11s skipped: %s\n", op->name, device, info.why_off);
        if (info.why_off || (only_backend && strcmp(only_backend, info.name) != 0 && strcmp(only_backend, device) != 0))
            continue;
        ck_ok(mu_backend_open(device, &(mu_backend_options){.cache_dir = "", .deterministic = true}, &backend));
        for (int i = 0; i < suite_n_cases(); i++) {
            const op_case *c = suite_case(i);
            oracle o = {0};
            if (!is_checked(c, op))
                continue;
            oracle_build(&o, c, ref);
            worst = fmax(worst, oracle_check_plan(&o, device, backend, false));
            worst = fmax(worst, oracle_check_plan(&o, device, backend, true));
            oracle_release(&o);
            n++;
        }
        mu_backend_close(backend);
        if (n)
            printf("%-26s %-11s %3d graphs  max error %-8.3g of the bound\n", op->name, device, n, worst);
        fflush(stdout);
    }
    mu_backend_close(ref);
}
END_TEST

int main(int argc, char **argv)
{
    int n_ops = 0;
    for (int i = 1; i + 1 < argc; i += 2)
        *(strcmp(argv[i], "--op") == 0 ? &only_op : &only_backend) = argv[i + 1];
    if (getenv("MU_TEST_SEED"))
        suite_seed = strtoull(getenv("MU_TEST_SEED"), NULL, 10);
    printf("seed %llu (MU_TEST_SEED)\n", (unsigned long long)suite_seed);
    fflush(stdout);
    while (mu_op_builtins()[n_ops])
        n_ops++;
    Suite *suite = suite_create("graphs");
    TCase *tests = tcase_create("whole graphs");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, whole_graphs, 0, n_ops);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
