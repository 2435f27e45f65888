/* The plan cache, and graphs as text. */
#include "toys.h"

#include "graph/plan_cache.h"
#include "graph/print.h"

static mu_backend *ref;
static mu_params *params;
static int n_built;

static void open_store(void)
{
    n_built = 0;
    ck_ok(mu_backend_open("cpu:ref", NULL, &ref));
    ck_ok(mu_params_new(ref, &params));
}

static void close_store(void)
{
    mu_params_release(params);
    mu_backend_close(ref);
    ck_assert_int_eq(mu_mem_get_counts().live_blocks, 0);
}

static mu_err trace(const mu_type *x, mu_graph **out)
{
    mu_graph *g;
    MU_TRY(mu_graph_new(&g));
    mu_value y = toy_linear(g, "fc", mu_graph_input(g, "x", *x), 3);
    mu_graph_output(g, "y", mu_relu(g, y));
    mu_value loss = mu_sum(g, y, 0, false);
    mu_graph_output(g, "loss \"q\"", loss);
    mu_graph_backward(g, loss, NULL, 0, NULL);
    mu_err err = mu_graph_status(g);
    if (err)
        mu_graph_release(g);
    else
        *out = g;
    return err;
}

static mu_err build(void *user, const mu_plan_key *key, mu_plan **out)
{
    mu_graph *g;
    (void)user;
    MU_TRY(trace(&key->inputs[0], &g));
    mu_err err = mu_plan_new(g, ref, params, NULL, out);
    mu_graph_release(g);
    n_built += err == MU_OK;
    return err;
}

static mu_plan *get(mu_plan_cache *cache, const char *mode, int64_t batch, mu_dtype autocast)
{
    mu_plan *plan = NULL;
    mu_type x = MU_TYPE(MU_F32, batch, 4);
    ck_ok(mu_plan_cache_get(cache, &(mu_plan_key){.mode = mode, .n_inputs = 1, .inputs = &x, .autocast = autocast}, build, NULL,
                            &plan));
    return plan;
}

START_TEST(the_least_recently_used_goes)
{
    mu_plan_cache *cache;
    ck_ok(mu_plan_cache_new(3, &cache));
    mu_plan *a = get(cache, "loss", 1, MU_NONE), *b = get(cache, "loss", 2, MU_NONE);
    ck_assert_ptr_eq(get(cache, "loss", 1, MU_NONE), a);
    ck_assert_int_eq(n_built, 2);
    get(cache, "predict", 1, MU_NONE);
    ck_assert_ptr_eq(get(cache, "loss", 2, MU_NONE), b);
    ck_assert_ptr_eq(get(cache, "loss", 1, MU_NONE), a);
    ck_assert_int_eq(n_built, 3);
    get(cache, "loss", 3, MU_NONE); /* "predict" goes */
    ck_assert_int_eq(mu_plan_cache_count(cache), 3);
    ck_assert_ptr_eq(get(cache, "loss", 1, MU_NONE), a);
    ck_assert_ptr_eq(get(cache, "loss", 2, MU_NONE), b);
    ck_assert_int_eq(n_built, 4);
    get(cache, "predict", 1, MU_NONE);
    ck_assert_int_eq(n_built, 5);
    ck_assert_int_eq(mu_plan_cache_count(cache), 3);
    mu_plan_cache_refresh(cache);
    mu_plan_cache_release(cache);
}
END_TEST

START_TEST(a_failed_plan_is_not_kept)
{
    mu_plan_cache *cache;
    mu_plan *plan;
    ck_fails(mu_plan_cache_new(0, &cache), MU_ERR_USAGE, "at least one");
    ck_ok(mu_plan_cache_new(1, &cache));
    get(cache, "loss", 1, MU_NONE);
    mu_plan_key key = {.mode = "loss", .n_inputs = 1, .inputs = &(mu_type){.dtype = MU_F32, .ndim = 2, .dim = {2, 5}}};
    ck_fails(mu_plan_cache_get(cache, &key, build, NULL, &plan), MU_ERR_SHAPE, "fc.weight");
    get(cache, "loss", 2, MU_NONE);
    ck_assert_int_eq(mu_plan_cache_count(cache), 1);
    mu_plan_cache_release(cache);
}
END_TEST

START_TEST(graphs_as_text)
{
    mu_graph *g;
    char *text;
    size_t size;
    ck_ok(trace(&MU_TYPE(MU_F32, 2, 4), &g));
    FILE *file = open_memstream(&text, &size);
    ck_ok(mu_graph_print(g, file));
    fclose(file);
    static const char *const parts[] = {"input x f32[2,4]\n", "param fc.weight f32[3,4]\n", " = linear(x, fc.weight, fc.bias) {",
                                        "\"fc\"\n", "\"fc\" backward\n", "gradient fc.bias = %", "output y = %"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        ck_assert_msg(strstr(text, parts[i]) != NULL, "\"%s\" is not in\n%s", parts[i], text);
    free(text);
    mu_graph_release(g);
}
END_TEST

START_TEST(graphs_as_graphviz)
{
    mu_graph *g;
    char *text;
    size_t size;
    ck_ok(trace(&MU_TYPE(MU_F32, 2, 4), &g));
    FILE *file = open_memstream(&text, &size);
    ck_ok(mu_graph_print_dot(g, file));
    fclose(file);
    ck_assert_ptr_nonnull(strstr(text, "label=\"loss \\\"q\\\"\""));
    ck_assert_str_eq(text + size - 2, "}\n");
    int quotes = 0;
    for (size_t i = 0; i < size; i++)
        quotes += text[i] == '"' && text[i - 1] != '\\';
    ck_assert_int_eq(quotes % 2, 0);
    if (system("command -v dot >/dev/null") == 0) {
        FILE *dot = popen("dot -Tplain >/dev/null", "w");
        ck_assert_ptr_nonnull(dot);
        fputs(text, dot);
        ck_assert_int_eq(pclose(dot), 0);
    }
    free(text);
    mu_graph_release(g);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cache");
    TCase *tests = tcase_create("cache");
    tcase_add_checked_fixture(tests, open_store, close_store);
    tcase_add_test(tests, the_least_recently_used_goes);
    tcase_add_test(tests, a_failed_plan_is_not_kept);
    tcase_add_test(tests, graphs_as_text);
    tcase_add_test(tests, graphs_as_graphviz);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
