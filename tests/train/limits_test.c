/* Whole networks at their limits: memory that runs out while tracing, planning or running, sizes that overflow, shapes
 * that do not fit; and how near a training plan's memory is to the least possible, on every backend. */
#include "config.h"

#include "graph/autodiff.h"
#include "train/trainer.h"
#include "test.h"

#if defined(__SANITIZE_ADDRESS__)
/* The sanitizer's allocator ends the process when too much is asked for; here it is to say no. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}
#endif

static mu_err train_two_steps(const char *device)
{
    trainer t;
    double loss;
    MU_TRY(trainer_new(&t, device, model_tiny, MU_TYPE(MU_F32, 4, 3, 9, 9), 5, NULL));
    mu_err err = trainer_step(&t);
    if (err == MU_OK)
        err = trainer_step(&t);
    if (err == MU_OK)
        err = trainer_loss(&t, &loss);
    trainer_release(&t);
    return err;
}

/* As ck_survives_oom, but not every allocation: each try plans anew. */
static int survive(const char *device)
{
    for (int64_t n = 1;; n += 1 + n / 12) {
        int64_t live = mu_mem_get_counts().live_blocks;
        mu_mem_fail_at(n);
        mu_err err = train_two_steps(device);
        mu_mem_fail_at(0);
        ck_assert_msg(mu_mem_get_counts().live_blocks == live, "%s: allocation %lld failing leaks %lld blocks", device,
                      (long long)n, (long long)(mu_mem_get_counts().live_blocks - live));
        if (err == MU_OK)
            return (int)n;
        ck_assert_msg(err == MU_ERR_MEMORY, "%s: allocation %lld failing gives %s", device, (long long)n,
                      test_error_text());
    }
}

START_TEST(out_of_memory)
{
    mu_backend_info info;
    mu_registry *root;
    ck_ok(mu_registry_root(&root)); /* made once, kept */
    for (int b = 0; mu_backend_at(b, &info); b++)
        if (!info.why_off)
            printf("%s: fewer than %d allocations to plan and train\n", info.device, survive(info.device));
    mu_registry_reset();
}
END_TEST

START_TEST(shapes_that_do_not_fit)
{
    mu_graph *g;
    ck_fails(model_graph(model_lenet, MU_TYPE(MU_F32, 8, 1, 1, 1), 10, MODEL_TRAIN, &g, NULL), MU_ERR_SHAPE,
             "max_pool2d");
    ck_fails(model_graph(model_resnet18, MU_TYPE(MU_F32, 8, 3, 32), 10, MODEL_TRAIN, &g, NULL), MU_ERR_SHAPE, "conv1");
    ck_fails(model_graph(model_resnet18, MU_TYPE(MU_I32, 8, 3, 32, 32), 10, MODEL_TRAIN, &g, NULL), MU_ERR_SHAPE,
             "conv1");
    ck_assert_int_eq(mu_mem_get_counts().live_blocks, 0);
}
END_TEST

START_TEST(sizes_that_overflow)
{
    mu_graph *g;
    mu_value loss;
    mu_backend *ref;
    mu_params *params;
    mu_plan *plan;
    ck_fails(model_graph(model_resnet50, MU_TYPE(MU_F32, INT64_MAX / 4, 3, 224, 224), 10, MODEL_TRAIN, &g, NULL),
             MU_ERR_OVERFLOW, "");
    /* every value fits in 63 bits, their sum or this machine's memory does not hold them */
    ck_ok(model_graph(model_resnet50, MU_TYPE(MU_F32, (int64_t)1 << 40, 3, 224, 224), 10, MODEL_TRAIN, &g, &loss));
    mu_graph_backward(g, loss, NULL, 0, NULL);
    ck_ok(mu_graph_status(g));
    ck_ok(mu_backend_open("cpu:ref", NULL, &ref));
    ck_ok(mu_params_new(ref, &params));
    mu_err err = mu_plan_new(g, ref, params, NULL, &plan);
    ck_assert_msg(err == MU_ERR_OVERFLOW || err == MU_ERR_MEMORY, "%s", err ? test_error_text() : "success");
    mu_params_release(params);
    mu_graph_release(g);
    mu_backend_close(ref);
    ck_assert_int_eq(mu_mem_get_counts().live_blocks, 0);
}
END_TEST

START_TEST(memory_of_resnet18)
{
    mu_backend_info info;
    for (int b = 0; mu_backend_at(b, &info); b++) {
        mu_graph *g;
        mu_value loss;
        mu_backend *backend;
        mu_plan *plan;
        if (info.why_off)
            continue;
#ifdef HAVE_CUDA_EMULATED
        if (strcmp(info.name, "cuda") == 0) { /* kernels are tried when they are prepared */
            printf("ResNet-18, batch 64, on %s skipped: too slow\n", info.device);
            continue;
        }
#endif
        ck_ok(mu_backend_open_ops(info.ops, &(mu_backend_options){.cache_dir = "", .deterministic = true}, &backend));
        ck_ok(model_graph(model_resnet18, MU_TYPE(MU_F32, 64, 3, 32, 32), 10, MODEL_TRAIN, &g, &loss));
        mu_graph_backward(g, loss, NULL, 0, NULL);
        ck_ok(mu_plan_new(g, backend, NULL, &(mu_plan_options){.dry = true}, &plan));
        mu_plan_stats s = mu_plan_get_stats(plan);
        double ratio = (double)s.arena_bytes / (double)s.lower_bound_bytes;
        printf("ResNet-18, batch 64, training on %s: arena %.1f MiB, lower bound %.1f MiB (%.4f)\n", info.device,
               (double)s.arena_bytes / (1 << 20), (double)s.lower_bound_bytes / (1 << 20), ratio);
        fflush(stdout);
        ck_assert_msg(ratio >= 1 && ratio <= 1.1, "%s: %.4f times the lower bound", info.device, ratio);
        mu_plan_release(plan);
        mu_graph_release(g);
        mu_backend_close(backend);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("limits");
    TCase *tests = tcase_create("limits");
    tcase_set_timeout(tests, 240);
    tcase_add_test(tests, out_of_memory);
    tcase_add_test(tests, shapes_that_do_not_fit);
    tcase_add_test(tests, sizes_that_overflow);
    tcase_add_test(tests, memory_of_resnet18);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
