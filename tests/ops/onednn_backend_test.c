/* The oneDNN backend's own promises: interned layouts, reorders, the cache of measured choices, no primitive after preparation. */
#include "config.h"

#include "backend/onednn/onednn.h"
#include "backend/onednn/tune.h"
#include "onednn_run.h"

#include <sys/stat.h>
#include <unistd.h>

static mu_backend *dnn;
static char dir[64];

static void open_all(void)
{
    mu_backend_options options = {.n_threads = 1, .cache_dir = ""};
    ck_ok(mu_backend_open("cpu:onednn", &options, &dnn));
    snprintf(dir, sizeof dir, "/tmp/muster-onednn-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
}

static void close_all(void)
{
    char command[128];
    mu_backend_close(dnn);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    ck_assert_int_eq(system(command), 0);
}

START_TEST(test_layouts_are_interned)
{
    mu_type t = MU_TYPE(MU_F32, 2, 19, 3, 5), other = MU_TYPE(MU_F32, 2, 19, 3, 6);
    const mu_layout *a, *b, *c, *last, *rows = &(mu_layout){.bytes = 1};
    ck_ok(dnn->ops->layout(dnn, &t, MU_LAYOUT_CHANNELS_BLOCKED, 16, &a));
    ck_ok(dnn->ops->layout(dnn, &t, MU_LAYOUT_CHANNELS_BLOCKED, 16, &b));
    ck_ok(dnn->ops->layout(dnn, &other, MU_LAYOUT_CHANNELS_BLOCKED, 16, &c));
    ck_ok(dnn->ops->layout(dnn, &t, MU_LAYOUT_CHANNELS_LAST, 0, &last));
    ck_ok(dnn->ops->layout(dnn, &t, MU_LAYOUT_ROW_MAJOR, 0, &rows));
    ck_assert_ptr_eq(a, b);
    ck_assert_ptr_ne(a, c);
    ck_assert_ptr_null(rows);
    ck_assert_int_eq(a->kind, MU_LAYOUT_CHANNELS_BLOCKED);
    ck_assert_int_eq(a->block, 16);
    ck_assert(a->padded);
    ck_assert_uint_eq(a->bytes, 2 * 32 * 15 * 4);
    ck_assert_str_eq(a->name, "aBcd16b");
    ck_assert_int_eq(last->kind, MU_LAYOUT_CHANNELS_LAST);
    ck_assert(!last->padded);
    ck_assert_str_eq(last->name, "acdb");
    /* Channels last with one channel is row-major. */
    ck_ok(dnn->ops->layout(dnn, &MU_TYPE(MU_F32, 2, 1, 3, 5), MU_LAYOUT_CHANNELS_LAST, 0, &last));
    ck_assert_ptr_null(last);
    ck_fails(dnn->ops->layout(dnn, &MU_TYPE(MU_I64, 2, 19, 3, 5), MU_LAYOUT_CHANNELS_LAST, 0, &last),
             MU_ERR_UNSUPPORTED, "i64[2,19,3,5]");
    ck_fails(dnn->ops->layout(dnn, &t, MU_LAYOUT_CHANNELS_BLOCKED, 5, &last), MU_ERR_UNSUPPORTED, "block 5");
    ck_fails(dnn->ops->layout(dnn, &t, MU_LAYOUT_OPAQUE, 0, &last), MU_ERR_UNSUPPORTED, "no layout");
}
END_TEST

/* There and back over every pair of layouts, odd channels included; padding is zero. */
START_TEST(test_reorders)
{
    static const int64_t shapes[][4] = {{2, 19, 3, 5}, {1, 16, 1, 1}, {3, 1, 4, 4}, {2, 33, 7, 1}, {0, 8, 2, 2}};
    static const mu_dtype dtypes[] = {MU_F32, MU_BF16, MU_I32, MU_U8};
    mu_type t;
    ck_ok(mu_type_init(&t, dtypes[_i % 4], 4, shapes[_i / 4]));
    size_t bytes = mu_type_bytes(&t);
    unsigned char *x;
    const mu_layout *layouts[5] = {NULL};
    ck_ok(dnn->ops->layout(dnn, &t, MU_LAYOUT_CHANNELS_LAST, 0, &layouts[1]));
    for (int i = 0; i < 3; i++)
        ck_ok(dnn->ops->layout(dnn, &t, MU_LAYOUT_CHANNELS_BLOCKED, 4 << i, &layouts[2 + i]));
    ck_ok(mu_alloc(&x, bytes + 1));
    for (size_t i = 0; i < bytes; i++)
        x[i] = (unsigned char)(i * 37 % 120);
    for (int i = 0; i < 5; i++)
        for (int j = 0; j < 5; j++) {
            void *a = run_reorder(dnn, &t, x, NULL, layouts[i]), *b = run_reorder(dnn, &t, a, layouts[i], layouts[j]);
            void *c = run_reorder(dnn, &t, b, layouts[j], NULL);
            run_check_padding(layouts[j], b);
            ck_assert_mem_eq(c, x, bytes);
            mu_free(a);
            mu_free(b);
            mu_free(c);
        }
    mu_free(x);
}
END_TEST

static const char *choice_of(mu_onednn_tune *tune, const char *key)
{
    const char *choice;
    ck_ok(mu_choices_get(tune, key, &choice));
    return choice;
}

START_TEST(test_cache_is_kept)
{
    mu_onednn_tune *tune;
    char sub[128];
    snprintf(sub, sizeof sub, "%s/not/yet/there", dir);
    ck_ok(mu_onednn_tune_open(sub, 3, &tune));
    ck_assert_ptr_nonnull(strstr(mu_choices_path(tune), "-t3.txt"));
    ck_assert_ptr_null(choice_of(tune, "a b"));
    ck_ok(mu_choices_put(tune, "a b", "direct", 1.5e-3));
    ck_ok(mu_choices_put(tune, "c", "winograd", 2e-3));
    ck_ok(mu_choices_put(tune, "a b", "winograd", 1e-3));

    mu_onednn_tune *other; /* another process */
    ck_ok(mu_onednn_tune_open(sub, 3, &other));
    ck_assert_str_eq(choice_of(other, "a b"), "winograd");
    ck_assert_str_eq(choice_of(other, "c"), "winograd");
    ck_ok(mu_choices_put(other, "d", "direct", 1));
    ck_assert_str_eq(choice_of(tune, "d"), "direct"); /* what one rank measures the others take */
    ck_ok(mu_choices_put(tune, "e", "direct", 1)); /* does not lose d */
    mu_choices_close(other);
    mu_choices_close(tune);
    ck_ok(mu_onednn_tune_open(sub, 3, &tune));
    ck_assert_str_eq(choice_of(tune, "d"), "direct");
    ck_assert_str_eq(choice_of(tune, "e"), "direct");
    mu_choices_close(tune);
    ck_ok(mu_onednn_tune_open(sub, 4, &tune)); /* other threads, other choices */
    ck_assert_ptr_null(choice_of(tune, "d"));
    mu_choices_close(tune);
}
END_TEST

static const char *const broken[] = {
    "\n",
    "nonsense\n",
    "muster oneDNN choices 2\nkey without a choice\n",
    "muster oneDNN choices 2\nk\tdirect\tsoon\n",
    "muster oneDNN choices 2\nk\tdirect\t1.0\nk2\tdir",
    "muster oneDNN choices 2\n\tdirect\t1.0\n",
    "muster oneDNN choices 0\nk\tdirect\t1.0\n",
    "muster oneDNN choices 2\nk\tdirect\t-1.0\n",
    "\1\2\3\377",
};

START_TEST(test_cache_is_broken)
{
    mu_onednn_tune *tune;
    ck_ok(mu_onednn_tune_open(dir, 7, &tune));
    char path[512];
    snprintf(path, sizeof path, "%s", mu_choices_path(tune));
    mu_choices_close(tune);
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs(broken[_i], file);
    fclose(file);
    ck_ok(mu_onednn_tune_open(dir, 7, &tune));
    ck_assert_ptr_null(choice_of(tune, "k"));
    ck_ok(mu_choices_put(tune, "k", "direct", 1e-3)); /* replaces it */
    mu_choices_close(tune);
    ck_ok(mu_onednn_tune_open(dir, 7, &tune));
    ck_assert_str_eq(choice_of(tune, "k"), "direct");
    mu_choices_close(tune);
}
END_TEST

START_TEST(test_cache_cannot_be_written)
{
    mu_onednn_tune *tune;
    ck_ok(mu_onednn_tune_open("/proc/no/such/place", 1, &tune));
    ck_ok(mu_choices_put(tune, "k", "direct", 1e-3));
    ck_assert_str_eq(choice_of(tune, "k"), "direct");
    mu_choices_close(tune);
    int64_t live = mu_mem_get_counts().live_blocks;
    ck_ok(mu_onednn_tune_open("", 1, &tune));
    ck_assert_ptr_null(mu_choices_path(tune));
    ck_ok(mu_choices_put(tune, "k", "direct", 1e-3));
    mu_choices_close(tune);
    ck_assert_int_eq(mu_mem_get_counts().live_blocks, live);
    ck_assert_int_eq(setenv("MUSTER_CACHE_DIR", dir, 1), 0);
    ck_ok(mu_onednn_tune_open(NULL, 1, &tune));
    ck_assert_int_eq(strncmp(mu_choices_path(tune), dir, strlen(dir)), 0);
    mu_choices_close(tune);
}
END_TEST

/* Two that share a file: each has what the other has put, however many there are. */
START_TEST(test_choices_are_shared)
{
    mu_choices *a, *b;
    char key[16];
    ck_ok(mu_choices_open(dir, "shared.txt", "# choices", &a));
    ck_ok(mu_choices_open(dir, "shared.txt", "# choices", &b));
    for (int i = 0; i < 300; i++) {
        snprintf(key, sizeof key, "k%d", i);
        ck_assert_ptr_null(choice_of(b, key));
        ck_ok(mu_choices_put(i % 2 ? a : b, key, i % 3 ? "direct" : "winograd", 1e-3));
    }
    for (int i = 0; i < 300; i++) {
        snprintf(key, sizeof key, "k%d", i);
        ck_assert_str_eq(choice_of(a, key), i % 3 ? "direct" : "winograd");
        ck_assert_str_eq(choice_of(b, key), i % 3 ? "direct" : "winograd");
    }
    ck_ok(mu_choices_put(a, "k7", "winograd", 1e-3));
    mu_choices_close(b);
    ck_ok(mu_choices_open(dir, "shared.txt", "# choices", &b));
    ck_assert_str_eq(choice_of(b, "k7"), "winograd");
    mu_choices_close(a);
    mu_choices_close(b);
}
END_TEST

static const mu_conv2d_attrs conv_attrs = {.stride = {1, 1}, .padding = {1, 1, 1, 1}, .dilation = {1, 1}, .groups = 1};
static const mu_type conv_in[2] = {MU_TYPE(MU_F32, 2, 32, 9, 9), MU_TYPE(MU_F32, 48, 32, 3, 3)};
static const mu_type conv_out = MU_TYPE(MU_F32, 2, 48, 9, 9);

static mu_call conv_call(void)
{
    return (mu_call){.op = &mu_op_conv2d, .attrs = &conv_attrs, .n_in = 2, .n_out = 1, .in = conv_in, .out = &conv_out,
                     .name = "conv1"};
}

/* A choice in the file is taken without measuring; one that this version does not know is measured anew. */
START_TEST(test_choice_comes_from_the_file)
{
    mu_backend *b;
    mu_kernel *kernel;
    const mu_layout *rows[2] = {NULL};
    mu_backend_options options = {.n_threads = 1, .cache_dir = dir};
    mu_call call = conv_call();
    char line[512] = "", path[512], key[512] = "";
    ck_ok(mu_backend_open("cpu:onednn", &options, &b));
    ck_ok(b->ops->prepare(b, &call, rows, rows, &kernel));
    mu_kernel_release(kernel);
    snprintf(path, sizeof path, "%s", mu_choices_path(((mu_onednn *)b)->tune));
    mu_backend_close(b);
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    ck_assert_ptr_nonnull(fgets(line, sizeof line, file));
    ck_assert_ptr_nonnull(fgets(key, sizeof key, file));
    fclose(file);
    *strchr(key, '\t') = '\0';

    static const char *const names[] = {"direct", "made up"};
    for (int i = 0; i < 2; i++) {
        file = fopen(path, "w");
        fprintf(file, "%s%s\t%s\t0.0010\n", line, key, names[i]);
        fclose(file);
        ck_ok(mu_backend_open("cpu:onednn", &options, &b));
        int64_t before = mu_onednn_created(b);
        ck_ok(b->ops->prepare(b, &call, rows, rows, &kernel));
        if (i == 0)
            ck_assert_int_eq(mu_onednn_created(b), before + 1);
        else
            ck_assert_str_ne(choice_of(((mu_onednn *)b)->tune, key), "made up");
        mu_kernel_release(kernel);
        mu_backend_close(b);
    }
}
END_TEST

START_TEST(test_options)
{
    mu_backend *b;
    mu_kernel *kernel;
    const mu_layout *rows[2] = {NULL};
    mu_call call = conv_call();
    mu_backend_options options = {.n_threads = 1, .cache_dir = "", .deterministic = true};
    ck_ok(mu_backend_open("cpu:onednn", &options, &b));
    ck_ok(b->ops->prepare(b, &call, rows, rows, &kernel));
    ck_assert_ptr_null(strstr(kernel->impl, "wino"));
    ck_assert_int_eq(mu_onednn_created(b), 1); /* nothing was measured */
    mu_kernel_release(kernel);
    mu_backend_close(b);
    options = (mu_backend_options){.n_threads = 1, .cache_dir = "", .direct_convolution = true};
    ck_ok(mu_backend_open("cpu:onednn", &options, &b));
    ck_ok(b->ops->prepare(b, &call, rows, rows, &kernel));
    ck_assert_ptr_null(strstr(kernel->impl, "wino"));
    mu_kernel_release(kernel);
    mu_backend_close(b);
}
END_TEST

START_TEST(test_steady_state)
{
    static const mu_run run;
    mu_kernel *kernel;
    const mu_layout *rows[2] = {NULL};
    mu_call call = conv_call();
    ck_ok(dnn->ops->prepare(dnn, &call, rows, rows, &kernel));
    void *in[2], *out, *scratch;
    for (int i = 0; i < 2; i++) {
        ck_ok(mu_alloc(&in[i], mu_layout_bytes(kernel->in_layout[i], &conv_in[i])));
        memset(in[i], 0, mu_layout_bytes(kernel->in_layout[i], &conv_in[i]));
    }
    ck_ok(mu_alloc(&out, mu_layout_bytes(kernel->out_layout[0], &conv_out)));
    ck_ok(mu_alloc(&scratch, kernel->scratch_bytes + 1));
    ck_ok(mu_kernel_bind(kernel, in, &out, scratch));
    int64_t created = mu_onednn_created(dnn), blocks = mu_mem_get_counts().total_blocks;
    for (int i = 0; i < 10; i++)
        ck_ok(mu_kernel_run(kernel, &run));
    ck_assert_int_gt(created, 0);
    ck_assert_int_eq(mu_onednn_created(dnn), created);
    ck_assert_int_eq(mu_mem_get_counts().total_blocks, blocks);
    mu_kernel_release(kernel);
    mu_free(in[0]);
    mu_free(in[1]);
    mu_free(out);
    mu_free(scratch);
}
END_TEST

/* Binding must not touch memory: another plan's values may live there. */
START_TEST(test_bind_does_not_write)
{
    mu_type t = MU_TYPE(MU_F32, 1, 3, 2, 2);
    const mu_layout *blocked;
    mu_kernel *kernel;
    unsigned char x[64 * 4 * 4] __attribute__((aligned(64))), y[64 * 4 * 4] __attribute__((aligned(64)));
    memset(x, 0xab, sizeof x);
    memset(y, 0xab, sizeof y);
    ck_ok(dnn->ops->layout(dnn, &t, MU_LAYOUT_CHANNELS_BLOCKED, 16, &blocked));
    ck_ok(dnn->ops->reorder(dnn, &t, blocked, NULL, &kernel));
    void *in = x, *out = y;
    ck_ok(mu_kernel_bind(kernel, &in, &out, NULL));
    for (size_t i = 0; i < sizeof x; i++)
        ck_assert(x[i] == 0xab && y[i] == 0xab);
    mu_kernel_release(kernel);
}
END_TEST

START_TEST(test_errors)
{
    mu_type h = MU_TYPE(MU_F16, 2, 2), y;
    mu_matmul_attrs attrs = {0};
    mu_call call = {.op = &mu_op_matmul, .attrs = &attrs, .n_in = 2, .n_out = 1, .in = (mu_type[]){h, h}, .out = &y};
    const char *why = NULL;
    mu_kernel *kernel;
    ck_ok(mu_op_matmul.infer(&call, &y));
    ck_assert(!dnn->ops->supports(dnn, &call, &why));
    ck_assert_ptr_nonnull(why);
    ck_fails(dnn->ops->prepare(dnn, &call, NULL, NULL, &kernel), MU_ERR_UNSUPPORTED, "matmul");
    ck_assert_int_eq(mu_onednn_fail(dnnl_invalid_arguments, "dnnl_call()", "f.c", 1, "f"), MU_ERR_BACKEND);
    ck_assert_ptr_nonnull(strstr(test_error_text(), "invalid_arguments in dnnl_call()"));
    char text[64];
    ck_assert_ptr_nonnull(strstr(mu_onednn_describe(text, sizeof text), "oneDNN "));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("onednn_backend");
    TCase *tc = tcase_create("backend");
    tcase_set_timeout(tc, 60);
    tcase_add_unchecked_fixture(tc, open_all, close_all);
    tcase_add_test(tc, test_layouts_are_interned);
    tcase_add_loop_test(tc, test_reorders, 0, 20);
    tcase_add_test(tc, test_cache_is_kept);
    tcase_add_loop_test(tc, test_cache_is_broken, 0, sizeof broken / sizeof *broken);
    tcase_add_test(tc, test_cache_cannot_be_written);
    tcase_add_test(tc, test_choices_are_shared);
    tcase_add_test(tc, test_choice_comes_from_the_file);
    tcase_add_test(tc, test_options);
    tcase_add_test(tc, test_steady_state);
    tcase_add_test(tc, test_bind_does_not_write);
    tcase_add_test(tc, test_errors);
    suite_add_tcase(suite, tc);
    return test_run(suite);
}
