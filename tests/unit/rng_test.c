#include "core/mt19937.h"
#include "core/philox.h"

#include "test.h"

#include <math.h>

/* Known answers of philox4x32-10 in the Random123 distribution: counter, key, output. */
START_TEST(philox_known_answers)
{
    static const uint32_t known[][10] = {
        {0, 0, 0, 0, 0, 0, 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8},
        {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0x408f276d, 0x41c83b0e, 0xa20bc7c6,
         0x6d5451fd},
        {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0, 0xd16cfe09, 0x94fdcceb, 0x5001e420,
         0x24126ea1},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        const uint32_t *k = known[i];
        mu_philox stream = {.key = {k[4], k[5]}, .stream = {k[2], k[3]}};
        mu_u32x4 block = mu_philox_block(&stream, (uint64_t)k[1] << 32 | k[0]);
        ck_assert_mem_eq(block.v, k + 6, sizeof block.v);
    }
}
END_TEST

START_TEST(philox_streams_differ)
{
    /* 2 x 2 x 16 x 16 tuples, those that differ in one bit or are swapped among them. */
    enum { N = 1024 };
    mu_philox stream[N];
    for (int i = 0; i < N; i++)
        stream[i] =
            mu_philox_key((uint64_t)i & 1, (mu_rng_purpose)(1 + (i >> 1 & 1)), (uint64_t)i >> 2 & 15, (uint64_t)i >> 6);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < i; j++) {
            ck_assert(memcmp(&stream[i], &stream[j], sizeof stream[i]) != 0);
            ck_assert(mu_philox_block(&stream[i], 0).v[0] != mu_philox_block(&stream[j], 0).v[0] ||
                      mu_philox_block(&stream[i], 0).v[1] != mu_philox_block(&stream[j], 0).v[1]);
        }
    mu_philox again = mu_philox_key(1, MU_RNG_DROPOUT, 15, 15);
    ck_assert_mem_eq(&again, &stream[N - 1], sizeof again);
}
END_TEST

/* Moments of x in [0, 1) and the correlation with the next number, each within five standard errors. */
static void check_uniform(const double *x, int n)
{
    double mean = 0, square = 0, lag = 0;
    for (int i = 0; i < n; i++) {
        ck_assert(x[i] >= 0 && x[i] < 1);
        mean += x[i] / n;
        square += x[i] * x[i] / n;
        lag += (x[i] - 0.5) * (x[(i + 1) % n] - 0.5) / n;
    }
    ck_assert_double_eq_tol(mean, 0.5, 5 * sqrt(1.0 / 12 / n));
    ck_assert_double_eq_tol(square, 1.0 / 3, 5 * sqrt(4.0 / 45 / n));
    ck_assert_double_eq_tol(lag, 0, 5 * (1.0 / 12) / sqrt(n));
}

START_TEST(philox_uniform)
{
    enum { N = 200000 };
    double *x;
    ck_ok(mu_calloc(&x, N, sizeof *x));
    mu_philox stream = mu_philox_key(7, MU_RNG_TEST, 1, 2);
    for (int i = 0; i < N; i++)
        x[i] = mu_philox_uniform_f64(&stream, (uint64_t)i);
    check_uniform(x, N);
    for (int i = 0; i < N; i++)
        x[i] = mu_philox_uniform_f32(&stream, (uint64_t)i);
    check_uniform(x, N);
    /* The first numbers of neighbouring streams are as good as one stream. */
    for (int i = 0; i < N; i++) {
        mu_philox neighbour = mu_philox_key(7, MU_RNG_TEST, 1, (uint64_t)i);
        x[i] = mu_philox_uniform_f64(&neighbour, 0);
    }
    check_uniform(x, N);
    for (int i = 0; i < N; i++) {
        mu_philox neighbour = mu_philox_key((uint64_t)i, MU_RNG_TEST, 1, 0);
        x[i] = mu_philox_uniform_f64(&neighbour, 0);
    }
    check_uniform(x, N);
    mu_free(x);
}
END_TEST

START_TEST(philox_normal)
{
    enum { N = 200000 };
    mu_philox stream = mu_philox_key(8, MU_RNG_TEST, 0, 0);
    double m1 = 0, m2 = 0, m3 = 0, m4 = 0, pair = 0;
    for (int i = 0; i < N; i++) {
        double x = mu_philox_normal(&stream, (uint64_t)i);
        ck_assert(isfinite(x));
        m1 += x / N;
        m2 += x * x / N;
        m3 += x * x * x / N;
        m4 += x * x * x * x / N;
        pair += i % 2 ? x * mu_philox_normal(&stream, (uint64_t)i - 1) / (N / 2) : 0;
    }
    ck_assert_double_eq_tol(m1, 0, 5 / sqrt(N));
    ck_assert_double_eq_tol(m2, 1, 5 * sqrt(2.0 / N));
    ck_assert_double_eq_tol(m3, 0, 5 * sqrt(15.0 / N));
    ck_assert_double_eq_tol(m4, 3, 5 * sqrt(96.0 / N));
    ck_assert_double_eq_tol(pair, 0, 5 / sqrt(N / 2.0));
}
END_TEST

START_TEST(philox_below)
{
    enum { N = 60000, SIDES = 6 };
    mu_philox stream = mu_philox_key(9, MU_RNG_TEST, 0, 0);
    int count[SIDES] = {0};
    for (int i = 0; i < N; i++) {
        uint64_t side = mu_philox_below(&stream, (uint64_t)i, SIDES);
        ck_assert_uint_lt(side, SIDES);
        count[side]++;
        ck_assert_uint_eq(mu_philox_below(&stream, (uint64_t)i, 1), 0);
        ck_assert_uint_lt(mu_philox_below(&stream, (uint64_t)i, UINT64_MAX), UINT64_MAX);
    }
    double chi2 = 0;
    for (int i = 0; i < SIDES; i++)
        chi2 += (count[i] - N / SIDES) * (double)(count[i] - N / SIDES) / (N / SIDES);
    ck_assert_double_lt(chi2, 20.5); /* 99.9 % of five degrees of freedom */
    /* The upper half of a wide range is reached. */
    int high = 0;
    for (int i = 0; i < 1000; i++)
        high += mu_philox_below(&stream, (uint64_t)i, UINT64_MAX) > UINT64_MAX / 2;
    ck_assert_int_gt(high, 400);
    ck_assert_int_lt(high, 600);
}
END_TEST

/* mt19937ar.out begins so for init_genrand(5489); the 10000th number is the C++ standard's check of std::mt19937. */
START_TEST(mt19937_known_answers)
{
    mu_mt19937 rng;
    mu_mt19937_seed(&rng, 5489);
    ck_assert_uint_eq(mu_mt19937_next(&rng), 3499211612u);
    ck_assert_uint_eq(mu_mt19937_next(&rng), 581869302u);
    uint32_t x = 0;
    for (int i = 2; i < 10000; i++)
        x = mu_mt19937_next(&rng);
    ck_assert_uint_eq(x, 4123659995u);
}
END_TEST

static const struct {
    uint64_t seed;
    int64_t n;
    int64_t first[8];
    uint64_t digest;
} golden[] = {
#include "golden/randperm.inc"
};

START_TEST(mt19937_permutations)
{
    int64_t *perm, n = golden[_i].n;
    mu_mt19937 rng;
    ck_ok(mu_calloc(&perm, (size_t)n, sizeof *perm));
    mu_mt19937_seed(&rng, golden[_i].seed);
    mu_mt19937_permutation(&rng, n, perm);
    uint64_t digest = 0xcbf29ce484222325;
    for (int64_t i = 0; i < n; i++) {
        if (i < 8)
            ck_assert_int_eq(perm[i], golden[_i].first[i]);
        digest = (digest ^ (uint64_t)perm[i]) * 0x100000001b3;
    }
    ck_assert_uint_eq(digest, golden[_i].digest);
    mu_mt19937_permutation(&rng, 0, NULL);
    mu_free(perm);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rng");
    TCase *tests = tcase_create("rng");
    tcase_add_test(tests, philox_known_answers);
    tcase_add_test(tests, philox_streams_differ);
    tcase_add_test(tests, philox_uniform);
    tcase_add_test(tests, philox_normal);
    tcase_add_test(tests, philox_below);
    tcase_add_test(tests, mt19937_known_answers);
    tcase_add_loop_test(tests, mt19937_permutations, 0, sizeof golden / sizeof golden[0]);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
