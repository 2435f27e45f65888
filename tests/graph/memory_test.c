/* Peak memory of plans against the liveness lower bound, on whole networks; nothing of their size is allocated. */
#include "toys.h"

#include "train/models.h"

static void check_model(const char *name, model_fn *fn, mu_type images, model_mode mode, bool no_fusion)
{
    mu_backend *ref;
    mu_graph *g;
    mu_plan *plan;
    mu_value loss;
    ck_ok(mu_backend_open("cpu:ref", NULL, &ref));
    ck_ok(model_graph(fn, images, 10, mode, &g, &loss));
    if (mode == MODEL_TRAIN)
        mu_graph_backward(g, loss, NULL, 0, NULL);
    ck_ok(mu_plan_new(g, ref, NULL, &(mu_plan_options){.dry = true, .no_fusion = no_fusion}, &plan));
    mu_plan_stats st = mu_plan_get_stats(plan);
    printf("%-10s %s%s: %d steps, arena %.1f MiB, lower bound %.1f MiB (%.4f)\n", name, mode == MODEL_TRAIN ? "train" : "eval",
           no_fusion ? " unfused" : "", st.n_steps, (double)st.arena_bytes / (1 << 20),
           (double)st.lower_bound_bytes / (1 << 20), (double)st.arena_bytes / (double)st.lower_bound_bytes);
    ck_assert_uint_ge(st.arena_bytes, st.lower_bound_bytes);
    ck_assert_msg((double)st.arena_bytes <= 1.1 * (double)st.lower_bound_bytes, "%s", name);
    toy_check_memory(plan);
    mu_plan_release(plan);
    mu_graph_release(g);
    mu_backend_close(ref);
    ck_assert_int_eq(mu_mem_get_counts().live_blocks, 0);
}

START_TEST(close_to_the_lower_bound)
{
    for (int i = 0; i < 4; i++) {
        model_mode mode = i & 1 ? MODEL_EVAL : MODEL_TRAIN;
        check_model("resnet18", model_resnet18, MU_TYPE(MU_F32, 64, 3, 32, 32), mode, i & 2);
        check_model("resnet50", model_resnet50, MU_TYPE(MU_F32, 8, 3, 224, 224), mode, i & 2);
        check_model("lenet", model_lenet, MU_TYPE(MU_F32, 128, 1, 28, 28), mode, i & 2);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("memory");
    TCase *tests = tcase_create("memory");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, close_to_the_lower_bound);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
