#include "data/sampler.h"

#include "config/config.h"

#include "test.h"

static mu_config *config;

static mu_sampler *build(const char *yaml)
{
    mu_sampler *sampler;
    ck_ok(mu_config_parse(yaml, strlen(yaml), "yaml", &config));
    ck_ok(mu_build("sampler", mu_config_root(config), NULL, "sampler", (void **)&sampler));
    return sampler;
}

static void drop(mu_sampler *sampler)
{
    mu_destroy(sampler);
    mu_config_release(config);
    mu_registry_reset();
}

static uint64_t fnv(uint64_t h, int64_t v)
{
    return (h ^ (uint64_t)v) * 0x100000001b3u;
}

typedef struct {
    unsigned seed;
    int64_t epoch, n;
    int world, rank, round_up;
    int64_t length, first, second;
    uint64_t digest;
} golden;

static const golden default_cases[] = {
#define DEFAULT(...) {__VA_ARGS__},
#define INFINITE(...)
#include "golden/sampler.inc"
#undef DEFAULT
#undef INFINITE
};

static const golden infinite_cases[] = {
#define DEFAULT(...)
#define INFINITE(seed_, n_, world_, rank_, ...) {seed_, 0, n_, world_, rank_, 0, __VA_ARGS__},
#include "golden/sampler.inc"
#undef DEFAULT
#undef INFINITE
};

static void check_list(mu_sampler *s, const golden *g)
{
    uint64_t digest = 0xcbf29ce484222325u;
    int64_t index, first = -1, second = -1;
    for (int64_t i = 0; i < g->length; i++) {
        ck_assert(mu_sampler_next(s, &index));
        first = i == 0 ? index : first;
        second = i == 1 ? index : second;
        digest = fnv(digest, index);
    }
    ck_assert_int_eq(first, g->first);
    ck_assert_int_eq(second, g->second);
    ck_assert_uint_eq(digest, g->digest);
}

START_TEST(default_order)
{
    const golden *g = &default_cases[_i];
    char yaml[128];
    snprintf(yaml, sizeof yaml, "{type: DefaultSampler, seed: %u, round_up: %s}", g->seed,
             g->round_up ? "true" : "false");
    mu_sampler *s = build(yaml);
    ck_ok(mu_sampler_bind(s, g->n, g->rank, g->world, 99));
    for (int again = 0; again < 2; again++) { /* an epoch in between leaves no trace */
        int64_t index;
        mu_sampler_set_epoch(s, g->epoch);
        ck_assert_int_eq(mu_sampler_length(s), g->length);
        check_list(s, g);
        ck_assert(!mu_sampler_next(s, &index));
        ck_assert_int_eq(mu_sampler_length(s), g->length);
        mu_sampler_set_epoch(s, g->epoch + 1);
    }
    drop(s);
}
END_TEST

START_TEST(infinite_order)
{
    const golden *g = &infinite_cases[_i];
    char yaml[128];
    snprintf(yaml, sizeof yaml, "{type: InfiniteSampler}");
    mu_sampler *s = build(yaml);
    ck_ok(mu_sampler_bind(s, g->n, g->rank, g->world, g->seed)); /* the shared seed, as none is set */
    ck_assert_int_eq(mu_sampler_length(s), (g->n + g->world - 1) / g->world);
    check_list(s, g);
    ck_ok(mu_sampler_seek(s, (mu_cursor){0}));
    mu_sampler_set_epoch(s, 5); /* does nothing to the order */
    check_list(s, g);
    drop(s);
}
END_TEST

START_TEST(in_order)
{
    static const char *const yaml[] = {"{type: DefaultSampler, shuffle: false}", "{type: InfiniteSampler, shuffle: false}"};
    for (int kind = 0; kind < 2; kind++) {
        mu_sampler *s = build(yaml[kind]);
        int64_t index;
        ck_ok(mu_sampler_bind(s, 5, 1, 2, 0));
        for (int i = 0; i < 3; i++) {
            ck_assert(mu_sampler_next(s, &index));
            ck_assert_int_eq(index, (1 + 2 * i) % 5);
        }
        ck_assert_int_eq(mu_sampler_next(s, &index), kind);
        ck_assert_int_eq(s->order == NULL, 1);
        drop(s);
    }
}
END_TEST

/* A run at `before` ranks takes `steps` samples on each, the next at `after` ranks the rest; every sample comes once, and
 * what is more is padding: the first ones of the epoch's order. */
static void check_resume(int64_t n, int before, int64_t steps, int after, bool round_up)
{
    char yaml[128];
    int *seen;
    ck_ok(mu_calloc(&seen, (size_t)n, sizeof *seen));
    snprintf(yaml, sizeof yaml, "{type: DefaultSampler, seed: 3, round_up: %s}", round_up ? "true" : "false");
    mu_cursor cursor = {0};
    int64_t index, total = 0, length = -1;
    for (int r = 0; r < before; r++) {
        mu_sampler *s = build(yaml);
        ck_ok(mu_sampler_bind(s, n, r, before, 0));
        mu_sampler_set_epoch(s, 4);
        for (int64_t i = 0; i < steps; i++, total++) {
            ck_assert(mu_sampler_next(s, &index));
            seen[index]++;
        }
        mu_sampler_next(s, &index); /* prefetched, never used */
        cursor = mu_sampler_cursor(s, steps);
        drop(s);
    }
    ck_assert_int_eq(cursor.epoch, 4);
    ck_assert_int_eq(cursor.position, total);
    for (int r = 0; r < after; r++) {
        mu_sampler *s = build(yaml);
        ck_ok(mu_sampler_bind(s, n, r, after, 0));
        ck_ok(mu_sampler_seek(s, cursor));
        int64_t left = mu_sampler_length(s);
        ck_assert(!round_up || length < 0 || length == left);
        length = left;
        for (int64_t i = 0; i < left; i++, total++) {
            ck_assert(mu_sampler_next(s, &index));
            seen[index]++;
        }
        ck_assert(!mu_sampler_next(s, &index));
        ck_assert_int_eq(mu_sampler_cursor(s, left).position >= n - after, 1);
        mu_sampler_set_epoch(s, 5); /* the next epoch is whole again */
        ck_assert_int_ge(mu_sampler_length(s), n / after);
        drop(s);
    }
    int64_t padding = total - n;
    ck_assert_int_ge(padding, 0);
    ck_assert(round_up ? padding < after : padding == 0);
    mu_sampler *s = build(yaml);
    ck_ok(mu_sampler_bind(s, n, 0, 1, 0));
    mu_sampler_set_epoch(s, 4);
    for (int64_t i = 0; mu_sampler_next(s, &index); i++)
        ck_assert_int_eq(seen[index], 1 + (i < padding));
    drop(s);
    mu_free(seen);
}

START_TEST(resume_at_other_sizes)
{
    for (int round_up = 0; round_up < 2; round_up++)
        for (int before = 1; before <= 4; before++)
            for (int after = 1; after <= 5; after++)
                for (int64_t steps = 0; steps * before <= 37 && steps < 12; steps += 3)
                    check_resume(37, before, steps, after, round_up);
    check_resume(10, 4, 2, 3, true);
}
END_TEST

START_TEST(resume_continues_exactly)
{
    static const char *const yaml[] = {"{type: DefaultSampler, seed: 8}", "{type: InfiniteSampler, seed: 8}"};
    for (int kind = 0; kind < 2; kind++)
        for (int64_t cut = 0; cut <= (kind ? 90 : 10); cut++) {
            mu_sampler *straight = build(yaml[kind]);
            mu_config *first = config;
            mu_sampler *resumed = build(yaml[kind]);
            int64_t a, b;
            ck_ok(mu_sampler_bind(straight, 29, 2, 3, 0));
            ck_ok(mu_sampler_bind(resumed, 29, 2, 3, 0));
            mu_sampler_set_epoch(straight, 6);
            for (int64_t i = 0; i < cut; i++)
                ck_assert(mu_sampler_next(straight, &a));
            ck_ok(mu_sampler_seek(resumed, mu_sampler_cursor(straight, cut)));
            for (int i = 0; i < 70; i++) {
                bool more = mu_sampler_next(straight, &a);
                ck_assert(mu_sampler_next(resumed, &b) == more);
                ck_assert(!more || a == b);
            }
            mu_destroy(straight);
            mu_config_release(first);
            drop(resumed);
        }
}
END_TEST

/* The union of three ranks continues the stream of four. */
START_TEST(infinite_at_another_size)
{
    mu_sampler *one = build("{type: InfiniteSampler, seed: 1}");
    mu_config *kept = config;
    int64_t stream[400];
    ck_ok(mu_sampler_bind(one, 23, 0, 1, 0));
    for (int i = 0; i < 400; i++)
        ck_assert(mu_sampler_next(one, &stream[i]));
    for (int r = 0; r < 3; r++) {
        mu_sampler *s = build("{type: InfiniteSampler, seed: 1}");
        ck_ok(mu_sampler_bind(s, 23, r, 3, 0));
        ck_ok(mu_sampler_seek(s, (mu_cursor){.position = 31 * 4}));
        for (int i = 0; i < 80; i++) {
            int64_t index;
            ck_assert(mu_sampler_next(s, &index));
            ck_assert_int_eq(index, stream[31 * 4 + r + 3 * i]);
        }
        mu_destroy(s);
        mu_config_release(config);
    }
    mu_destroy(one);
    mu_config_release(kept);
    mu_registry_reset();
}
END_TEST

START_TEST(more_ranks_than_samples)
{
    for (int round_up = 0; round_up < 2; round_up++)
        for (int r = 0; r < 8; r++) {
            int64_t index;
            mu_sampler *s = build(round_up ? "{type: DefaultSampler, shuffle: false}"
                                           : "{type: DefaultSampler, shuffle: false, round_up: false}");
            ck_ok(mu_sampler_bind(s, 3, r, 8, 0));
            ck_assert_int_eq(mu_sampler_length(s), round_up || r < 3);
            ck_assert_int_eq(mu_sampler_next(s, &index), round_up || r < 3);
            ck_assert(!(round_up || r < 3) || index == r % 3);
            drop(s);
        }
}
END_TEST

START_TEST(wrong_use)
{
    mu_sampler *s = build("{type: DefaultSampler}");
    ck_fails(mu_sampler_bind(s, 0, 0, 1, 0), MU_ERR_CONFIG, "the dataset is empty");
    ck_fails(mu_sampler_bind(s, 3, 2, 2, 0), MU_ERR_USAGE, "rank 2 of 2");
    ck_fails(mu_sampler_bind(s, 3, -1, 2, 0), MU_ERR_USAGE, "rank -1");
    ck_ok(mu_sampler_bind(s, 3, 0, 1, 0));
    ck_fails(mu_sampler_bind(s, 3, 0, 1, 0), MU_ERR_USAGE, "bound already");
    ck_fails(mu_sampler_seek(s, (mu_cursor){.position = 4}), MU_ERR_CONFIG, "3 samples");
    ck_fails(mu_sampler_seek(s, (mu_cursor){.position = -1}), MU_ERR_CONFIG, "sample -1");
    ck_fails(mu_sampler_seek(s, (mu_cursor){.epoch = -1}), MU_ERR_CONFIG, "epoch -1");
    ck_ok(mu_sampler_seek(s, (mu_cursor){.position = 3}));
    ck_assert_int_eq(mu_sampler_length(s), 0);
    drop(s);
    s = build("{type: DefaultSampler}");
    drop(s); /* never bound */
    ck_ok(mu_config_parse("{type: DefaultSampler, seed: -2, roundup: true}", 47, "yaml", &config));
    ck_fails(mu_build("sampler", mu_config_root(config), NULL, "sampler", (void **)&s), MU_ERR_CONFIG, "round_up");
    mu_config_release(config);
    mu_registry_reset();
}
END_TEST

static mu_err build_and_bind(mu_sampler **out)
{
    MU_TRY(mu_build("sampler", mu_config_root(config), NULL, "sampler", (void **)out));
    mu_err err = mu_sampler_bind(*out, 50, 0, 2, 1);
    if (err)
        mu_destroy(*out);
    return err;
}

START_TEST(no_memory)
{
    mu_registry *root;
    ck_ok(mu_registry_root(&root));
    ck_ok(mu_config_parse("{type: InfiniteSampler}", 23, "yaml", &config));
    mu_sampler *s;
    ck_survives_oom(build_and_bind(&s), mu_destroy(s));
    mu_config_release(config);
    mu_registry_reset();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sampler");
    TCase *tcase = tcase_create("sampler");
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, default_order, 0, sizeof default_cases / sizeof default_cases[0]);
    tcase_add_loop_test(tcase, infinite_order, 0, sizeof infinite_cases / sizeof infinite_cases[0]);
    tcase_add_test(tcase, in_order);
    tcase_add_test(tcase, resume_at_other_sizes);
    tcase_add_test(tcase, resume_continues_exactly);
    tcase_add_test(tcase, infinite_at_another_size);
    tcase_add_test(tcase, more_ranks_than_samples);
    tcase_add_test(tcase, wrong_use);
    tcase_add_test(tcase, no_memory);
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}
