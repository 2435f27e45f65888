/* The suite's small cases against numbers from PyTorch (tests/golden/ops.json, made by tests/golden/ops.py in f64): ref
 * in f64 to 1e-10, then every backend in f32. `golden_test --dump FILE` writes the cases for the script. */
#include "ops/oracle.h"
#include "test.h"

#include <jansson.h>
#include <math.h>

enum { MOST_NUMBERS = 700, MOST_CASES = 4 }; /* in a case; of an operation */

static const double allowed = 1e-10;
static const char *dump_to;
static json_t *golden;
static bool *chosen; /* [cases] */

/* Cases of one node, small, in the floating dtype under test. */
static bool is_golden(const op_case *c)
{
    suite_graph s;
    const char *why;
    int64_t count = 0;
    if (c->flags & (CASE_NO_PLAN | CASE_NO_FD) || strstr(c->in, "f32[") || strstr(c->in, "special") ||
        strstr(c->in, "[0") || strstr(c->in, ",0") || strcmp(c->op, "host") == 0 || strcmp(c->op, "chain") == 0 ||
        strcmp(c->op, "dropout") == 0)
        return false;
    if (!suite_build(c, MU_F64, 0, &s, &why)) {
        fprintf(stderr, "%s(%s): %s\n", c->op, c->in, why);
        return false;
    }
    bool one = mu_graph_n_nodes(s.graph) == 1;
    for (int32_t id = 1; id <= mu_graph_n_values(s.graph); id++)
        count += mu_type_count(mu_graph_type(s.graph, (mu_value){id}));
    suite_graph_release(&s);
    return one && count <= MOST_NUMBERS;
}

/* The first few of each operation. */
static void choose(void)
{
    chosen = calloc((size_t)suite_n_cases(), sizeof *chosen);
    for (int i = 0; i < suite_n_cases(); i++) {
        int before = 0;
        for (int k = 0; k < i; k++)
            before += chosen[k] && strcmp(suite_case(k)->op, suite_case(i)->op) == 0;
        chosen[i] = before < MOST_CASES && is_golden(suite_case(i));
    }
}

static json_t *numbers(const tensor *t)
{
    json_t *list = json_array();
    for (int64_t i = 0; i < mu_type_count(&t->type); i++) {
        double x = tensor_get(t, i);
        json_array_append_new(list,
                              mu_dtype_is_float(t->type.dtype) ? json_real((float)x) : json_integer((json_int_t)x));
    }
    return list;
}

static json_t *describe(const tensor *t)
{
    json_t *shape = json_array();
    if (t->type.dtype == MU_NONE)
        return json_null();
    for (int d = 0; d < t->type.ndim; d++)
        json_array_append_new(shape, json_integer(t->type.dim[d]));
    return json_pack("{s:s, s:o, s:o}", "dtype", mu_dtype_name(t->type.dtype), "shape", shape, "data", numbers(t));
}

START_TEST(dump)
{
    json_t *list = json_array();
    choose();
    for (int i = 0; i < suite_n_cases(); i++) {
        const op_case *c = suite_case(i);
        suite_graph s;
        const char *why;
        char key[512], attrs[512];
        if (!chosen[i] || !suite_build(c, MU_F64, SUITE_BACKWARD, &s, &why))
            continue;
        json_t *in = json_array(), *wants = json_array();
        for (int k = 0; k < s.n_in; k++) {
            json_array_append_new(in, describe(&s.data[k]));
            json_array_append_new(wants, json_boolean(s.din[k].id != 0));
        }
        const mu_node *node = mu_graph_node(s.graph, 0);
        suite_case_format(c, key, sizeof key);
        mu_attrs_format(node->op, node->attrs, attrs, sizeof attrs);
        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:i}", "key", key, "op", c->op, "attrs", attrs,
                                        "in", in, "grad", wants, "r", s.r.id ? describe(&s.r_data) : json_null(), "out",
                                        s.out.id == node->out[0].id ? 0 : 1));
        suite_graph_release(&s);
    }
    ck_assert_int_eq(json_dump_file(list, dump_to, JSON_COMPACT), 0);
    json_decref(list);
    free(chosen);
}
END_TEST

/* Compares with PyTorch's and puts its numbers in place of ref's. */
static double check_result(const char *key, oracle_result *r, const json_t *list)
{
    double worst = 0;
    ck_assert_msg(json_array_size(list) == (size_t)mu_type_count(&r->want.type), "%s: %s: %zu numbers, not %lld", key,
                  r->name, json_array_size(list), (long long)mu_type_count(&r->want.type));
    for (int64_t i = 0; i < mu_type_count(&r->want.type); i++) {
        double want = json_number_value(json_array_get(list, (size_t)i)), got = tensor_get(&r->want, i);
        double error = fabs(got - want) / fmax(r->scale, 1);
        ck_assert_msg(error <= allowed, "%s: %s element %lld is %.15g, PyTorch has %.15g", key, r->name, (long long)i,
                      got, want);
        worst = fmax(worst, error);
        tensor_set(&r->want, i, want);
    }
    return worst;
}

/* As the script saw the operands: a sum over all of them. */
static double operand_sum(const suite_graph *s)
{
    double sum = 0;
    for (int k = 0; k <= s->n_in; k++) {
        const tensor *t = k < s->n_in ? &s->data[k] : &s->r_data;
        for (int64_t i = 0; t->type.dtype != MU_NONE && i < mu_type_count(&t->type); i++)
            sum += mu_dtype_is_float(t->type.dtype) ? (float)tensor_get(t, i) : tensor_get(t, i);
    }
    return sum;
}

static void check_case(const op_case *c, mu_backend *ref, const char *key, double *worst, double *worst_f32)
{
    oracle o = {0};
    mu_backend_info info;
    const json_t *entry = json_object_get(golden, key);
    ck_assert_msg(entry != NULL, "%s has no numbers: run tests/golden/ops.py", key);
    if (json_is_null(entry)) {
        printf("skipped, PyTorch has no such form: %s\n", key);
        return;
    }
    oracle_build(&o, c, ref);
    ck_assert_msg(fabs(operand_sum(&o.p.s) - json_number_value(json_object_get(entry, "in_sum"))) < 1e-6,
                  "%s: the operands have changed: run tests/golden/ops.py", key);
    for (int k = 0; k < o.n; k++) {
        const json_t *list = json_object_get(entry, o.result[k].name);
        ck_assert_msg(list != NULL, "%s: PyTorch has no %s", key, o.result[k].name);
        *worst = fmax(*worst, check_result(key, &o.result[k], list));
    }
    for (int b = 0; mu_backend_at(b, &info); b++) {
        mu_backend *backend;
        const char *device = info.device;
        if (info.why_off)
            continue;
        ck_ok(mu_backend_open(device, &(mu_backend_options){.cache_dir = "", .deterministic = true}, &backend));
        *worst_f32 = fmax(*worst_f32, oracle_check_plan(&o, device, backend, true));
        mu_backend_close(backend);
    }
    oracle_release(&o);
}

START_TEST(as_pytorch)
{
    const mu_op *op = mu_op_builtins()[_i];
    mu_backend *ref;
    double worst = 0, worst_f32 = 0;
    int n = 0;
    ck_ok(mu_backend_open("cpu:ref", NULL, &ref));
    for (int i = 0; i < suite_n_cases(); i++) {
        char key[512];
        if (strcmp(suite_case(i)->op, op->name) != 0 || !chosen[i])
            continue;
        check_case(suite_case(i), ref, suite_case_format(suite_case(i), key, sizeof key), &worst, &worst_f32);
        n++;
    }
    mu_backend_close(ref);
    if (n)
        printf("%-26s %2d cases  ref f64 off by %-8.2g  f32 backends by %-8.2g of the bound\n", op->name, n, worst,
               worst_f32);
    fflush(stdout);
}
END_TEST

static void load(void)
{
    json_error_t error;
    choose();
    golden = json_load_file(MU_TEST_SRCDIR "/golden/ops.json", 0, &error);
    ck_assert_msg(golden != NULL, "%s: %s", error.source, error.text);
}

static void unload(void)
{
    json_decref(golden);
    free(chosen);
}

int main(int argc, char **argv)
{
    int n_ops = 0;
    if (argc == 3 && strcmp(argv[1], "--dump") == 0)
        dump_to = argv[2];
    while (mu_op_builtins()[n_ops])
        n_ops++;
    Suite *suite = suite_create("golden");
    TCase *tests = tcase_create("PyTorch's numbers");
    tcase_set_timeout(tests, 120);
    if (dump_to) {
        tcase_add_test(tests, dump);
    } else {
        tcase_add_unchecked_fixture(tests, load, unload);
        tcase_add_loop_test(tests, as_pytorch, 0, n_ops);
    }
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
