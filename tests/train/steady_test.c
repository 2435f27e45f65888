/* The steady state: after a warm-up, training steps allocate nothing, make no oneDNN primitive and look up no string.
 *
 * The functions below stand before those of libc and libdnnl in this process; while `watching`, they note who called.
 * What third-party libraries do is printed, and is theirs. */
#include "config.h"

#include "train/trainer.h"
#include "test.h"

#include <dlfcn.h>
#include <stdatomic.h>

#if defined(__SANITIZE_ADDRESS__)

int main(void)
{
    puts("skipped: the address sanitizer has an allocator of its own");
    return 77;
}

#else

typedef enum { ALLOCATION, COMPARISON, PRIMITIVE, KINDS } kind;
static const char *const kind_names[KINDS] = {"allocations", "string comparisons", "oneDNN primitives"};

enum { MOST = 1 << 16, STEPS = 20, WARM_UP = 4 };

static atomic_bool watching;
static atomic_int n_calls;
static struct {
    kind kind;
    const void *caller;
} calls[MOST];

static void note(kind what, const void *caller)
{
    if (!watching)
        return;
    int i = n_calls++;
    if (i < MOST) {
        calls[i].kind = what;
        calls[i].caller = caller;
    }
}

#define CALLER __builtin_return_address(0)

extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t count, size_t bytes);
extern void *__libc_realloc(void *block, size_t bytes);
extern void *__libc_memalign(size_t alignment, size_t bytes);

void *malloc(size_t bytes)
{
    note(ALLOCATION, CALLER);
    return __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes)
{
    note(ALLOCATION, CALLER);
    return __libc_calloc(count, bytes);
}

void *realloc(void *block, size_t bytes)
{
    note(ALLOCATION, CALLER);
    return __libc_realloc(block, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
    note(ALLOCATION, CALLER);
    return __libc_memalign(alignment, bytes);
}

int posix_memalign(void **out, size_t alignment, size_t bytes)
{
    note(ALLOCATION, CALLER);
    void *block = __libc_memalign(alignment, bytes);
    if (!block)
        return 12; /* ENOMEM */
    *out = block;
    return 0;
}

int strcmp(const char *a, const char *b)
{
    note(COMPARISON, CALLER);
    while (*a && *a == *b)
        a++, b++;
    return (unsigned char)*a - (unsigned char)*b;
}

int strncmp(const char *a, const char *b, size_t n)
{
    note(COMPARISON, CALLER);
    for (; n && *a && *a == *b; n--)
        a++, b++;
    return n ? (unsigned char)*a - (unsigned char)*b : 0;
}

int memcmp(const void *a, const void *b, size_t n)
{
    const unsigned char *p = a, *q = b;
    note(COMPARISON, CALLER);
    for (; n && *p == *q; n--)
        p++, q++;
    return n ? *p - *q : 0;
}

int dnnl_primitive_create(void **out, const void *desc);
int dnnl_primitive_create(void **out, const void *desc)
{
    static int (*next)(void **out, const void *desc);
    note(PRIMITIVE, CALLER);
    if (!next)
        next = (int (*)(void **, const void *))dlsym(RTLD_NEXT, "dnnl_primitive_create");
    return next(out, desc);
}

/* The device under test is in libmuster itself: of that, only functions that it exports are looked at. */
static bool emulated;

/* The shared object that a code address lies in, without its folder. */
static const char *object_of(const void *address)
{
    Dl_info info;
    if (!dladdr(address, &info) || !info.dli_fname)
        return "?";
    if (emulated && (!info.dli_sname || strncmp(info.dli_sname, "mu_", 3) != 0))
        return "the emulated device";
    const char *slash = strrchr(info.dli_fname, '/');
    return slash ? slash + 1 : info.dli_fname;
}

/* Calls from the library; others are counted by object and printed. */
static int report(const char *what, int *primitives)
{
    struct {
        const char *object;
        int count[KINDS];
    } row[32] = {{0}};
    int ours = 0, n = n_calls < MOST ? n_calls : MOST;
    *primitives = 0;
    for (int i = 0; i < n; i++) {
        const char *object = object_of(calls[i].caller);
        int r = 0;
        while (row[r].object && strcmp(row[r].object, object) != 0 && r < 31)
            r++;
        row[r].object = object;
        row[r].count[calls[i].kind]++;
        *primitives += calls[i].kind == PRIMITIVE;
        if (strncmp(object, "libmuster", 9) == 0 && ours++ < 5) {
            Dl_info info;
            printf("  %s: %s asks for %s\n", what,
                   dladdr(calls[i].caller, &info) && info.dli_sname ? info.dli_sname : "?", kind_names[calls[i].kind]);
        }
    }
    printf("%s: %d steps", what, STEPS);
    for (int r = 0; r < 32 && row[r].object; r++)
        for (int k = 0; k < KINDS; k++)
            if (row[r].count[k])
                printf("; %s: %d %s", row[r].object, row[r].count[k], kind_names[k]);
    printf("%s\n", n ? "" : "; nobody asks for anything");
    fflush(stdout);
    return ours;
}

static void check_steady(const char *device, const char *name, model_fn *fn, mu_type x)
{
    trainer t;
    char what[128];
    int primitives;
    snprintf(what, sizeof what, "%s on %s", name, device);
#ifdef HAVE_CUDA_EMULATED
    emulated = strcmp(device, "cuda") == 0;
#endif
    ck_ok(trainer_new(&t, device, fn, x, 5, NULL));
    for (int i = 0; i < WARM_UP; i++)
        ck_ok(trainer_step(&t));
    int64_t blocks = mu_mem_get_counts().total_blocks;
    mu_err err = MU_OK;
    n_calls = 0;
    watching = true;
    for (int i = 0; i < STEPS && err == MU_OK; i++)
        err = trainer_step(&t);
    watching = false;
    ck_ok(err);
    ck_assert_msg(mu_mem_get_counts().total_blocks == blocks, "%s: %lld blocks were allocated", what,
                  (long long)(mu_mem_get_counts().total_blocks - blocks));
    ck_assert_msg(report(what, &primitives) == 0, "%s: libmuster allocates or compares strings (lines above)", what);
    emulated = false;
    ck_assert_msg(primitives == 0, "%s: %d primitives were made", what, primitives);
    trainer_release(&t);
}

static void on_every_backend(const char *name, model_fn *fn, mu_type x, bool ref_too)
{
    mu_backend_info info;
    for (int b = 0; mu_backend_at(b, &info); b++) {
        const char *device = info.device;
        bool slow = strcmp(info.name, "ref") == 0;
#ifdef HAVE_CUDA_EMULATED
        slow |= strcmp(info.name, "cuda") == 0;
#endif
        if (!info.why_off && (ref_too || !slow))
            check_steady(device, name, fn, x);
        else
            printf("%s on %s skipped: %s\n", name, device, info.why_off ? info.why_off : "too slow");
    }
}

/* The watchers work: what the test itself does is seen. */
START_TEST(watchers_see)
{
    n_calls = 0;
    watching = true;
    void *volatile block = malloc(10);
    volatile int same = strcmp(kind_names[0], "allocations");
    watching = false;
    free(block);
    ck_assert_int_eq(same, 0);
    ck_assert_int_eq(n_calls, 2);
    ck_assert_int_eq(calls[0].kind, ALLOCATION);
    ck_assert_int_eq(calls[1].kind, COMPARISON);
    int64_t *more;
    n_calls = 0;
    watching = true;
    mu_err err = mu_alloc(&more, 8);
    watching = false;
    ck_ok(err);
    mu_free(more);
    ck_assert_int_ge(n_calls, 1);
    ck_assert_msg(strncmp(object_of(calls[0].caller), "libmuster", 9) == 0, "%s", object_of(calls[0].caller));
}
END_TEST

START_TEST(test_network)
{
    on_every_backend("the test network", model_tiny, MU_TYPE(MU_F32, 16, 3, 9, 9), true);
}
END_TEST

START_TEST(residual_blocks)
{
    on_every_backend("ResNet-18", model_resnet18, MU_TYPE(MU_F32, 2, 3, 8, 8), false);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("steady");
    TCase *tests = tcase_create("steady state");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, watchers_see);
    tcase_add_test(tests, test_network);
    tcase_add_test(tests, residual_blocks);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}

#endif
