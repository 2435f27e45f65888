/* Values of every operation, forward and backward, on every backend and dtype against ref in f64 fed with the same
 * rounded operands. Usage: conform_test [--op NAME] [--slice I/N] [--backend NAME] [--dtype NAME] [--verbose]; one line per
 * operation and backend. A slice is every N-th operation, from the I-th on (0 to N-1). */
#include "ops/suite.h"
#include "test.h"

#include <float.h>
#include <math.h>

enum { MAX_PROBLEMS = 6, PERTURBATIONS = 6 };

static const char *only_op, *only_backend, *only_dtype;
static int slice, n_slices = 1;
static bool verbose;
static const mu_dtype dtypes[] = {MU_F32, MU_BF16, MU_F16};

typedef struct {
    const mu_op *op;
    const char *device;
    mu_backend *backend, *ref;
    mu_dtype dtype;
    int calls, skips, bad;
    double worst; /* error as a part of what is allowed */
    char worst_case[160];
    const char *why_skipped;
    char place[512];
} report;

static double unit_roundoff(mu_dtype dtype)
{
    switch (dtype) {
    case MU_F64: return 0x1p-53;
    case MU_BF16: return 0x1p-8;
    case MU_F16: return 0x1p-11;
    default: return 0x1p-24;
    }
}

static void complain(report *r, const char *how, const char *format, ...)
{
    if (r->bad++ >= MAX_PROBLEMS)
        return;
    va_list args;
    va_start(args, format);
    printf("  FAIL %s %s %s (%s): ", r->op->name, r->device, mu_dtype_name(r->dtype), how);
    vprintf(format, args);
    printf("\n       in %s\n", r->place);
    va_end(args);
}

/* ---- bounds ---- */

static void abs_of(tensor *t)
{
    for (int64_t i = 0; mu_dtype_is_float(t->type.dtype) && i < mu_type_count(&t->type); i++)
        tensor_set(t, i, fabs(tensor_get(t, i)));
}

/* Switches the fused activation off: the bound is that of the sum before it (slopes are 1.13 at most). */
static void without_activation(const mu_op *op, void *attrs)
{
    for (const mu_attr *a = op->attrs; a && a->name; a++)
        if (strcmp(a->name, "activation") == 0)
            *(int *)((char *)attrs + a->offset) = 0;
}

typedef struct {
    const mu_call *call;
    const tensor *in;                                 /* as the backend gets them */
    tensor want[MU_OP_MAX_OUT], scale[MU_OP_MAX_OUT]; /* f64 */
} expectation;

static void new_outputs(const mu_call *call, tensor *out, bool as_is)
{
    for (int o = 0; o < call->n_out; o++) {
        mu_type t = call->out[o];
        if (!as_is && mu_dtype_is_float(t.dtype))
            t.dtype = MU_F64;
        tensor_new(&out[o], t);
        memset(out[o].data, 0, mu_type_bytes(&t));
    }
}

static bool scale_by_terms(report *r, expectation *e)
{
    tensor in[MU_OP_VARIADIC];
    char attrs[sizeof(mu_chain_attrs) + 512], problem[512];
    mu_call call = *e->call;
    ck_assert_uint_le(call.op->attrs_size, sizeof attrs);
    if (call.attrs) {
        memcpy(attrs, call.attrs, call.op->attrs_size);
        without_activation(call.op, attrs);
        call.attrs = attrs;
    }
    for (int i = 0; i < call.n_in; i++) {
        in[i] = tensor_as(&e->in[i], MU_F64);
        abs_of(&in[i]);
    }
    bool ok = suite_run_ref(r->ref, &call, in, e->scale, problem, sizeof problem);
    for (int i = 0; i < call.n_in; i++)
        tensor_release(&in[i]);
    return ok;
}

/* The size of each element plus its largest change under relative changes of all operands by +-d, divided by d. */
static bool scale_by_condition(report *r, expectation *e, double floor)
{
    const mu_call *call = e->call;
    const double d = 0x1p-26;
    char problem[512];
    bool ok = true;
    uint64_t signs = 0;
    tensor base[MU_OP_MAX_OUT];
    for (int o = 0; o < call->n_out; o++) {
        base[o] = tensor_as(&e->want[o], MU_F64);
        abs_of(&base[o]);
    }
    for (int k = 0; k < PERTURBATIONS && ok; k++) {
        tensor in[MU_OP_VARIADIC], moved[MU_OP_MAX_OUT];
        for (int i = 0; i < call->n_in; i++) {
            in[i] = tensor_as(&e->in[i], MU_F64);
            for (int64_t j = 0; mu_dtype_is_float(in[i].type.dtype) && j < mu_type_count(&in[i].type); j++) {
                tensor_set(&in[i], j, tensor_get(&in[i], j) * (1 + d * suite_sign(&signs)));
            }
        }
        new_outputs(call, moved, false);
        ok = suite_run_ref(r->ref, call, in, moved, problem, sizeof problem);
        for (int o = 0; o < call->n_out; o++)
            for (int64_t j = 0; mu_dtype_is_float(moved[o].type.dtype) && j < mu_type_count(&moved[o].type); j++) {
                double change = fabs(tensor_get(&moved[o], j) - tensor_get(&e->want[o], j)) / d;
                change += tensor_get(&base[o], j) + floor;
                if (change > tensor_get(&e->scale[o], j))
                    tensor_set(&e->scale[o], j, change);
            }
        for (int i = 0; i < call->n_in; i++)
            tensor_release(&in[i]);
        for (int o = 0; o < call->n_out; o++)
            tensor_release(&moved[o]);
    }
    for (int o = 0; o < call->n_out; o++)
        tensor_release(&base[o]);
    return ok;
}

static bool expect(report *r, const op_rule *rule, expectation *e)
{
    char problem[512];
    bool applies;
    bool ok = rule->bound == BOUND_AS_IS
                  ? suite_run_call(r->ref, e->call, e->in, e->want, RUN_PLAIN, &applies, problem, sizeof problem)
                  : suite_run_ref(r->ref, e->call, e->in, e->want, problem, sizeof problem);
    if (!ok) {
        complain(r, "ref in f64", "%s", problem);
        return false;
    }
    if (rule->bound == BOUND_TERMS && !scale_by_terms(r, e))
        complain(r, "ref in f64", "no sum of absolute values");
    if (rule->bound == BOUND_COND && !scale_by_condition(r, e, rule->floor))
        complain(r, "ref in f64", "no condition");
    return true;
}

/* ---- comparison ---- */

/* Error as a part of what is allowed; infinite when it is of the wrong kind. */
static double error_of(const op_rule *rule, mu_dtype dtype, double got, double want, double scale)
{
    double tiniest = dtype == MU_F64 ? 0 : dtype == MU_F16 ? 0x1p-24 : 0x1p-126, u = unit_roundoff(dtype), rounded = want;
    tensor cell;
    tensor_new(&cell, MU_SCALAR(dtype));
    tensor_set(&cell, 0, want);
    rounded = tensor_get(&cell, 0);
    tensor_release(&cell);
    if (isnan(rounded) || isnan(got))
        return isnan(rounded) && isnan(got) ? 0 : INFINITY;
    if (got == rounded)
        return 0;
    if (rule->bound == BOUND_EXACT || rule->bound == BOUND_AS_IS)
        return fabs(rounded) < tiniest && got == 0 ? 0 : INFINITY; /* denormals may be flushed */
    if (isinf(want) || isinf(scale))
        return isinf(got) && !isinf(scale) ? INFINITY : isinf(want) ? INFINITY : 0;
    if (isinf(rounded) || isinf(got)) /* at the end of the range, on either side of the overflow */
        return fabs(want) > 0.99 * (dtype == MU_F16 ? 65504 : dtype == MU_BF16 ? 3.38e38 : FLT_MAX) ? 0 : INFINITY;
    return fabs(got - want) / (1.01 * u * fabs(want) + rule->c * fmin(u, 0x1p-24) * scale + tiniest);
}

static void compare(report *r, const op_rule *rule, const expectation *e, const tensor *got, const char *how)
{
    for (int o = 0; o < e->call->n_out; o++) {
        const mu_type *t = &e->call->out[o];
        for (int64_t i = 0; i < mu_type_count(t); i++) {
            double g = tensor_get(&got[o], i), w = tensor_get(&e->want[o], i), s = tensor_get(&e->scale[o], i);
            double error = mu_dtype_is_float(t->dtype) ? error_of(rule, t->dtype, g, w, s) : g == w ? 0 : INFINITY;
            if (error > r->worst) {
                r->worst = error;
                snprintf(r->worst_case, sizeof r->worst_case, "%.120s, %s", r->place, how);
            }
            if (error > 1) {
                char text[MU_TYPE_TEXT];
                complain(r, how, "output %d %s element %lld is %.9g, expected %.9g (scale %.3g, %.3g times the bound)",
                         o, mu_type_format(t, text), (long long)i, g, w, s, error);
                return;
            }
        }
    }
}

/* ---- one call, every way of running it ---- */

static void check_call(report *r, const mu_call *call, const tensor *in)
{
    const op_rule *rule = suite_rule(call->op);
    expectation e = {.call = call, .in = in};
    const char *why = NULL;
    if (!r->backend->ops->supports(r->backend, call, &why)) {
        r->skips++;
        r->why_skipped = why;
        return;
    }
    new_outputs(call, e.want, rule->bound == BOUND_AS_IS);
    new_outputs(call, e.scale, false);
    if (expect(r, rule, &e)) {
        r->calls++;
        for (run_how how = RUN_PLAIN; how < RUN_COUNT; how++) {
            tensor got[MU_OP_MAX_OUT];
            char problem[2048];
            bool applies = true;
            new_outputs(call, got, true);
            if (!suite_run_call(r->backend, call, in, got, how, &applies, problem, sizeof problem))
                complain(r, run_how_names[how], "%s", problem);
            else if (applies)
                compare(r, rule, &e, got, run_how_names[how]);
            for (int o = 0; o < call->n_out; o++)
                tensor_release(&got[o]);
        }
    }
    for (int o = 0; o < call->n_out; o++) {
        tensor_release(&e.want[o]);
        tensor_release(&e.scale[o]);
    }
}

/* ---- one graph ---- */

/* The outputs of a node by ref in f64, rounded to their dtypes: the operands of later nodes. */
static bool evaluate(report *r, const mu_call *call, const tensor *in, tensor *out)
{
    tensor want[MU_OP_MAX_OUT];
    char problem[512];
    bool ok, applies, as_is = suite_rule(call->op)->bound == BOUND_AS_IS;
    if (call->op->flags & MU_OP_VIEW) {
        memcpy(out[0].data, in[0].data, mu_type_bytes(&call->out[0]));
        return true;
    }
    new_outputs(call, want, as_is);
    ok = as_is ? suite_run_call(r->ref, call, in, want, RUN_PLAIN, &applies, problem, sizeof problem)
               : suite_run_ref(r->ref, call, in, want, problem, sizeof problem);
    if (!ok)
        complain(r, "operands from ref in f64", "%s: %s", call->op->name, problem);
    for (int o = 0; o < call->n_out; o++) {
        mu_convert(out[o].data, out[o].type.dtype, want[o].data, want[o].type.dtype, mu_type_count(&out[o].type));
        tensor_release(&want[o]);
    }
    return ok;
}

static bool is_loss_node(const mu_node *node)
{
    return strcmp(node->name, "loss") == 0;
}

static void check_graph(report *r, suite_graph *s)
{
    int32_t n = mu_graph_n_values(s->graph);
    tensor *value = calloc((size_t)n + 1, sizeof *value);
    bool ok = true;
    for (int32_t id = 1; id <= n; id++) {
        const mu_value_info *info = mu_graph_value(s->graph, (mu_value){id});
        tensor_new(&value[id], info->type);
        if (info->kind == MU_VALUE_CONST)
            memcpy(value[id].data, info->constant, mu_type_bytes(&info->type));
    }
    for (int i = 0; i < s->n_in; i++)
        if (s->in[i].id)
            memcpy(value[s->in[i].id].data, s->data[i].data, mu_type_bytes(&s->data[i].type));
    if (s->r.id)
        memcpy(value[s->r.id].data, s->r_data.data, mu_type_bytes(&s->r_data.type));
    for (int32_t k = 0; k < mu_graph_n_nodes(s->graph) && ok; k++) {
        const mu_node *node = mu_graph_node(s->graph, k);
        mu_type types[MU_OP_VARIADIC + MU_OP_MAX_OUT];
        tensor in[MU_OP_VARIADIC], out[MU_OP_MAX_OUT];
        mu_call call = mu_graph_call(s->graph, node, types);
        for (int i = 0; i < node->n_in; i++)
            in[i] = value[node->in[i].id];
        for (int o = 0; o < node->n_out; o++)
            out[o] = value[node->out[o].id];
        if (node->op == r->op && !is_loss_node(node) && !(node->op->flags & MU_OP_VIEW))
            check_call(r, &call, in);
        ok = evaluate(r, &call, in, out);
    }
    for (int32_t id = 0; id <= n; id++)
        tensor_release(&value[id]);
    free(value);
}

/* ---- which cases reach an operation ---- */

typedef struct {
    const op_case *c;
    uint64_t ops[4]; /* a bit for each built-in operation */
} reach;

static reach *reaches;
static int n_reaches, n_ops;

static int op_index(const mu_op *op)
{
    for (int i = 0; i < n_ops; i++)
        if (mu_op_builtins()[i] == op)
            return i;
    return -1;
}

static void find_reaches(void)
{
    n_reaches = suite_n_cases();
    reaches = calloc((size_t)n_reaches, sizeof *reaches);
    for (int i = 0; i < n_reaches; i++) {
        suite_graph s;
        const char *why;
        reaches[i].c = suite_case(i);
        if (!mu_op_find(reaches[i].c->op) || !suite_build(reaches[i].c, MU_F32, SUITE_BACKWARD, &s, &why))
            continue;
        for (int32_t k = 0; k < mu_graph_n_nodes(s.graph); k++) {
            int o = op_index(mu_graph_node(s.graph, k)->op);
            if (!is_loss_node(mu_graph_node(s.graph, k)))
                reaches[i].ops[o / 64] |= (uint64_t)1 << (o % 64);
        }
        suite_graph_release(&s);
    }
}

static bool reached(const reach *c, int op)
{
    return c->ops[op / 64] >> (op % 64) & 1;
}

/* ---- tests ---- */

START_TEST(every_operation_has_a_case)
{
    char missing[2048] = "";
    for (int o = 0; o < n_ops; o++) {
        bool found = false;
        for (int i = 0; i < n_reaches && !found; i++)
            found = reached(&reaches[i], o);
        if (!found)
            snprintf(missing + strlen(missing), sizeof missing - strlen(missing), " %s", mu_op_builtins()[o]->name);
        suite_rule(mu_op_builtins()[o]);
    }
    ck_assert_msg(!*missing, "no case in tests/ops/cases reaches:%s", missing);
}
END_TEST

START_TEST(every_case_is_traced_in_f32)
{
    for (int i = 0; i < n_reaches; i++) {
        suite_graph s;
        const char *why = NULL;
        if (only_op && strcmp(only_op, reaches[i].c->op) != 0)
            continue;
        ck_assert_msg(mu_op_find(reaches[i].c->op) != NULL, "there is no operation %s", reaches[i].c->op);
        ck_assert_msg(suite_build(reaches[i].c, MU_F32, SUITE_BACKWARD, &s, &why), "%s(%s): %s", reaches[i].c->op,
                      reaches[i].c->in, why);
        suite_graph_release(&s);
    }
}
END_TEST

static void print_report(const report *r)
{
    if (r->calls + r->skips == 0 || (r->calls == 0 && r->dtype != MU_F32 && !verbose))
        return;
    printf("%-26s %-11s %-5s %4d calls %4d skipped  max error %-8.3g of the bound", r->op->name, r->device,
           mu_dtype_name(r->dtype), r->calls, r->skips, r->worst);
    if (r->bad)
        printf("  %d FAILED", r->bad);
    if (r->skips)
        printf("  (%s)", r->why_skipped);
    if (verbose && r->worst > 0)
        printf("\n    worst in %s", r->worst_case);
    printf("\n");
    fflush(stdout);
}

static void check_op(const mu_op *op, const char *device, mu_backend *backend, mu_backend *ref, mu_dtype dtype,
                     int *bad)
{
    report r = {.op = op, .device = device, .backend = backend, .ref = ref, .dtype = dtype};
    for (int i = 0; i < n_reaches; i++) {
        suite_graph s;
        const char *why;
        if (!reached(&reaches[i], op_index(op)) || (dtype != MU_F32 && reaches[i].c->flags & CASE_F32_ONLY))
            continue;
        suite_case_format(reaches[i].c, r.place, sizeof r.place);
        if (!suite_build(reaches[i].c, dtype, SUITE_BACKWARD, &s, &why)) {
            r.skips++;
            r.why_skipped = why;
            continue;
        }
        check_graph(&r, &s);
        suite_graph_release(&s);
    }
    print_report(&r);
    *bad += r.bad;
    /* in f32 nothing may be missing: a model that runs on one backend runs on all */
    if (dtype == MU_F32 && r.skips) {
        printf("  FAIL %s %s f32: %s\n", op->name, device, r.why_skipped);
        (*bad)++;
    }
}

START_TEST(values)
{
    const mu_op *op = mu_op_builtins()[_i];
    int bad = 0;
    if ((only_op && strcmp(only_op, op->name) != 0) || _i % n_slices != slice)
        return;
    mu_backend *ref;
    mu_backend_info info;
    ck_ok(mu_backend_open("cpu:ref", NULL, &ref));
    for (int i = 0; mu_backend_at(i, &info); i++) {
        const char *device = info.device;
        mu_backend *backend;
        if (only_backend && strcmp(only_backend, info.name) != 0 && strcmp(only_backend, device) != 0)
            continue;
        if (info.why_off) {
            printf("%-26s %-11s skipped: %s\n", op->name, device, info.why_off);
            continue;
        }
        ck_ok(mu_backend_open(device, &(mu_backend_options){.cache_dir = "", .deterministic = true}, &backend));
        for (size_t d = 0; d < sizeof dtypes / sizeof *dtypes; d++)
            if (!only_dtype || strcmp(only_dtype, mu_dtype_name(dtypes[d])) == 0)
                check_op(op, device, backend, ref, dtypes[d], &bad);
        mu_backend_close(backend);
    }
    mu_backend_close(ref);
    ck_assert_msg(bad == 0, "%s: %d values out of bounds (lines above; MU_TEST_SEED=%llu)", op->name, bad,
                  (unsigned long long)suite_seed);
}
END_TEST

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--verbose") == 0)
            verbose = true;
        else if (i + 1 < argc && strcmp(argv[i], "--op") == 0)
            only_op = argv[++i];
        else if (i + 1 < argc && strcmp(argv[i], "--slice") == 0 && sscanf(argv[i + 1], "%d/%d", &slice, &n_slices) == 2 && n_slices > 0)
            i++;
        else if (i + 1 < argc && strcmp(argv[i], "--backend") == 0)
            only_backend = argv[++i];
        else if (i + 1 < argc && strcmp(argv[i], "--dtype") == 0)
            only_dtype = argv[++i];
    }
    if (getenv("MU_TEST_SEED"))
        suite_seed = strtoull(getenv("MU_TEST_SEED"), NULL, 10);
    setenv("MU_FALLBACK", "error", 1); /* what a device lacks is missing */
    printf("seed %llu (MU_TEST_SEED)\n", (unsigned long long)suite_seed);
    fflush(stdout);
    while (mu_op_builtins()[n_ops])
        n_ops++;
    Suite *suite = suite_create("operations");
    TCase *tests = tcase_create("values on every backend");
    tcase_set_timeout(tests, 120);
    tcase_add_unchecked_fixture(tests, find_reaches, NULL);
    tcase_add_test(tests, every_operation_has_a_case);
    tcase_add_test(tests, every_case_is_traced_in_f32);
    tcase_add_loop_test(tests, values, 0, n_ops);
    suite_add_tcase(suite, tests);
    int status = test_run(suite);
    free(reaches);
    return status;
}
