/* Replaying a plan allocates nothing: neither through the library's allocator nor through malloc, which is wrapped here.
 * What OpenMP's runtime (a team per region on one thread) and oneDNN (its argument tables) take for themselves inside a call
 * is counted apart and printed: it is not ours to avoid. */
#define _GNU_SOURCE
#include "toys.h"

#include "train/models.h"

#include <dlfcn.h>
#include <malloc.h>
#include <stdatomic.h>

static atomic_long n_own, n_foreign;
static atomic_bool counting;

#if defined(__SANITIZE_ADDRESS__)
enum { WRAPPED = 0 }; /* the sanitizer has wrapped it already */
#else
enum { WRAPPED = 1 };

static void note(const void *caller)
{
    Dl_info info;
    if (!atomic_load(&counting))
        return;
    bool foreign = dladdr(caller, &info) && info.dli_fname &&
                   (strstr(info.dli_fname, "libgomp") || strstr(info.dli_fname, "libdnnl") || strstr(info.dli_fname, "libstdc++"));
    atomic_fetch_add(foreign ? &n_foreign : &n_own, 1);
}

/* glibc's own entry points. */
extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t n, size_t bytes);
extern void *__libc_realloc(void *block, size_t bytes);
extern void *__libc_memalign(size_t alignment, size_t bytes);

void *malloc(size_t bytes)
{
    note(__builtin_return_address(0));
    return __libc_malloc(bytes);
}

void *calloc(size_t n, size_t bytes)
{
    note(__builtin_return_address(0));
    return __libc_calloc(n, bytes);
}

void *realloc(void *block, size_t bytes)
{
    note(__builtin_return_address(0));
    return __libc_realloc(block, bytes);
}

void *memalign(size_t alignment, size_t bytes)
{
    note(__builtin_return_address(0));
    return __libc_memalign(alignment, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
    note(__builtin_return_address(0));
    return __libc_memalign(alignment, bytes);
}

int posix_memalign(void **out, size_t alignment, size_t bytes)
{
    note(__builtin_return_address(0));
    *out = __libc_memalign(alignment, bytes);
    return *out ? 0 : 12;
}
#endif

static void check_backend(const char *device, model_mode mode)
{
    mu_backend *backend;
    mu_graph *g;
    mu_params *params;
    mu_plan *plan;
    mu_value loss;
    float y[4 * 10];
    if (mu_backend_open(device, &(mu_backend_options){.n_threads = 1, .direct_convolution = true, .cache_dir = ""}, &backend)) {
        printf("%s: not here\n", device);
        return;
    }
    ck_ok(model_graph(model_tiny, MU_TYPE(MU_F32, 4, 1, 8, 8), 10, mode, &g, &loss));
    if (mode == MODEL_TRAIN)
        mu_graph_backward(g, loss, NULL, 0, NULL);
    ck_ok(mu_params_new(backend, &params));
    ck_ok(model_init(g, params));
    ck_ok(mu_plan_new(g, backend, params, NULL, &plan));
    toy_inputs(g, plan);
    mu_graph_release(g);
    for (int i = 0; i < 3; i++) /* warm up: thread teams, error records */
        ck_ok(mu_plan_run(plan, NULL));
    int64_t blocks = mu_mem_get_counts().total_blocks;
    mu_err err = MU_OK;
    atomic_store(&counting, true);
    for (int i = 0; i < 20 && !err; i++) {
        err = mu_plan_run(plan, &(mu_run){.step = i});
        if (!err)
            err = mode == MODEL_TRAIN ? mu_plan_read(plan, "loss", y, sizeof *y) : mu_plan_read(plan, "logits", y, sizeof y);
    }
    atomic_store(&counting, false);
    ck_ok(err);
    ck_assert_int_eq(mu_mem_get_counts().total_blocks, blocks);
    printf("%s %s: %ld allocations in 20 runs, %ld by OpenMP and oneDNN\n", device, mode == MODEL_TRAIN ? "train" : "eval",
           atomic_load(&n_own), atomic_load(&n_foreign));
    ck_assert_int_eq(atomic_load(&n_own), 0);
    if (strcmp(device, "cpu:ref") == 0)
        ck_assert_int_eq(atomic_load(&n_foreign), 0);
    atomic_store(&counting, true); /* the wrapper is in place */
    void *volatile block = malloc(1);
    atomic_store(&counting, false);
    free(block);
    ck_assert_int_eq(atomic_load(&n_own), WRAPPED);
    mu_plan_release(plan);
    mu_params_release(params);
    mu_backend_close(backend);
    ck_assert_int_eq(mu_mem_get_counts().live_blocks, 0);
}

START_TEST(runs_allocate_nothing)
{
    static const char *const devices[] = {"cpu:ref", "cpu:simd", "cpu"};
    check_backend(devices[_i / 2], _i % 2 ? MODEL_EVAL : MODEL_TRAIN);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("steady state");
    TCase *tests = tcase_create("steady state");
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, runs_allocate_nothing, 0, 6);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
