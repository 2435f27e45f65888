#include "test.h"

#include "graph/offsets.h"

static uint64_t state;

static uint32_t draw(uint32_t n)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33) % n;
}

/* Every pair that is alive at one step is apart, and everything is inside. */
static void check_placement(const mu_block *b, int n, size_t total)
{
    for (int i = 0; i < n; i++) {
        ck_assert_uint_eq(b[i].offset % MU_ALIGN, 0);
        ck_assert_uint_le(b[i].offset + b[i].bytes, total);
        for (int j = 0; j < i; j++) {
            int meet = b[i].first <= b[j].last && b[j].first <= b[i].last && b[i].bytes && b[j].bytes;
            ck_assert_msg(!meet || b[i].offset + b[i].bytes <= b[j].offset || b[j].offset + b[j].bytes <= b[i].offset,
                          "blocks %d and %d overlap", i, j);
        }
    }
}

START_TEST(random_lifetimes_never_overlap)
{
    state = (uint64_t)_i + 1;
    mu_block b[300];
    int n = (int)draw(300) + 1;
    for (int i = 0; i < n; i++) {
        int32_t first = (int32_t)draw(100);
        b[i] = (mu_block){.bytes = draw(8) ? draw(5000) : 0, .first = first, .last = first + (int32_t)draw(_i % 2 ? 5 : 60)};
    }
    size_t total, bound;
    ck_ok(mu_offsets_assign(b, n, &total));
    ck_ok(mu_offsets_lower_bound(b, n, &bound));
    check_placement(b, n, total);
    ck_assert_uint_ge(total, bound);
    ck_assert_msg((double)total <= 1.35 * (double)bound + 64 * 300, "seed %d: %zu for a bound of %zu", _i, total, bound);
}
END_TEST

START_TEST(a_stack_is_placed_without_waste)
{
    /* Forward activations kept until backward: block i lives from i to 2n-1-i, temporaries in between. */
    enum { N = 64 };
    mu_block b[3 * N];
    size_t total, bound;
    for (int i = 0; i < N; i++) {
        b[i] = (mu_block){.bytes = 6400, .first = i, .last = 2 * N - 1 - i};
        b[N + i] = (mu_block){.bytes = 3200, .first = i, .last = i};
        b[2 * N + i] = (mu_block){.bytes = 12800, .first = 2 * N - 1 - i, .last = 2 * N - i};
    }
    ck_ok(mu_offsets_assign(b, 3 * N, &total));
    ck_ok(mu_offsets_lower_bound(b, 3 * N, &bound));
    check_placement(b, 3 * N, total);
    ck_assert_uint_eq(total, bound);
}
END_TEST

START_TEST(nothing_and_too_much)
{
    size_t total = 1, bound = 1;
    ck_ok(mu_offsets_assign(NULL, 0, &total));
    ck_ok(mu_offsets_lower_bound(NULL, 0, &bound));
    ck_assert_uint_eq(total, 0);
    ck_assert_uint_eq(bound, 0);
    mu_block b[2] = {{.bytes = SIZE_MAX / 2, .first = 0, .last = 1}, {.bytes = SIZE_MAX / 2 + 2, .first = 1, .last = 1}};
    ck_fails(mu_offsets_assign(b, 2, &total), MU_ERR_OVERFLOW, "does not fit");
    mu_block one = {.bytes = 100, .first = 3, .last = 3};
    ck_survives_oom(mu_offsets_assign(&one, 1, &total), (void)0);
    ck_assert_uint_eq(total, 128);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("offsets");
    TCase *tests = tcase_create("offsets");
    tcase_add_loop_test(tests, random_lifetimes_never_overlap, 0, 60);
    tcase_add_test(tests, a_stack_is_placed_without_waste);
    tcase_add_test(tests, nothing_and_too_much);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
