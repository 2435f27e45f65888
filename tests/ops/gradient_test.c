/* The gradient of every differentiable operation and operand against central differences in f64 on ref.
 * Usage: gradient_test [--op NAME]. */
#include "ops/program.h"
#include "test.h"

#include <math.h>

enum { ELEMENTS = 48 }; /* per operand; more are sampled */

static const char *only_op;
static const double step = 2e-4, allowed = 1e-6;

/* d(loss)/d(x[i]): central differences with steps h and h/2, extrapolated (Richardson). */
static double difference(program *p, double *x)
{
    double kept = *x, h = step * fmax(1, fabs(kept)), d[2];
    for (int k = 0; k < 2; k++, h /= 2) {
        *x = kept + h;
        double width = *x, up = program_run(p, p->n_forward);
        *x = kept - h;
        width -= *x;
        d[k] = (up - program_run(p, p->n_forward)) / width;
    }
    *x = kept;
    return (4 * d[1] - d[0]) / 3;
}

/* The largest error of the operand's gradient, relative to the size of gradients there. */
static double check_operand(program *p, int i)
{
    tensor *x = &p->value[p->s.in[i].id];
    mu_value g = p->s.din[i];
    int64_t n = mu_type_count(&x->type), stride = n / ELEMENTS + 1;
    double worst = 0, scale = 0;
    for (int64_t k = 0; g.id && k < n; k++)
        scale = fmax(scale, fabs(tensor_get(&p->value[g.id], k)));
    for (int64_t k = 0; k < n; k += stride) {
        double want = difference(p, (double *)x->data + k), got = g.id ? tensor_get(&p->value[g.id], k) : 0;
        double error = fabs(got - want) / fmax(scale, 1e-3);
        ck_assert_msg(error <= allowed,
                      "%s(%s): gradient of operand %d element %lld is %.12g, differences give %.12g (%.3g of %.3g)",
                      p->s.c->op, p->s.c->in, i, (long long)k, got, want, error, scale);
        worst = fmax(worst, error);
    }
    return worst;
}

static bool is_checked(const op_case *c, const suite_graph *s, int i)
{
    const mu_op *op = mu_op_find(c->op);
    return s->in[i].id && s->loss.id && mu_graph_type(s->graph, s->in[i])->dtype == MU_F64 &&
           mu_graph_value(s->graph, s->in[i])->kind == MU_VALUE_INPUT && !(suite_rule(op)->no_grad >> i & 1);
}

START_TEST(differences)
{
    const mu_op *op = mu_op_builtins()[_i];
    int n_cases = 0, n_operands = 0;
    double worst = 0;
    mu_backend *ref;
    if (only_op && strcmp(only_op, op->name) != 0)
        return;
    ck_ok(mu_backend_open("cpu:ref", NULL, &ref));
    for (int i = 0; i < suite_n_cases(); i++) {
        const op_case *c = suite_case(i);
        program p = {0};
        if (strcmp(c->op, op->name) != 0 || c->flags & (CASE_FORWARD | CASE_NO_FD))
            continue;
        program_build(&p, c, ref);
        if (p.s.loss.id) {
            program_run(&p, mu_graph_n_nodes(p.s.graph));
            n_cases++;
            for (int k = 0; k < p.s.n_in; k++)
                if (is_checked(c, &p.s, k)) {
                    worst = fmax(worst, check_operand(&p, k));
                    n_operands++;
                }
        }
        program_release(&p);
    }
    mu_backend_close(ref);
    if (n_cases) {
        printf("%-26s %3d cases %3d operands  max error %.2g\n", op->name, n_cases, n_operands, worst);
        fflush(stdout);
    }
    /* a gradient rule that no case reaches proves nothing; a cast between two dtypes has no difference in f64 */
    ck_assert_msg(!op->gradient || op == &mu_op_cast || n_operands > 0,
                  "no case in tests/ops/cases checks the gradient of %s", op->name);
}
END_TEST

int main(int argc, char **argv)
{
    int n_ops = 0;
    if (argc == 3 && strcmp(argv[1], "--op") == 0)
        only_op = argv[2];
    if (getenv("MU_TEST_SEED"))
        suite_seed = strtoull(getenv("MU_TEST_SEED"), NULL, 10);
    printf("seed %llu (MU_TEST_SEED)\n", (unsigned long long)suite_seed);
    fflush(stdout);
    while (mu_op_builtins()[n_ops])
        n_ops++;
    Suite *suite = suite_create("gradients");
    TCase *tests = tcase_create("finite differences in f64");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, differences, 0, n_ops);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
