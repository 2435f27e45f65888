/* A stream that is taken up by other numbers of ranks, at every place where it can stop: the same samples in the same order, none twice, none lost. */
#include "data/loader.h"

#include "toy_set.h"

enum { MAX_WORLD = 5, LONGEST = 13, PASSES = 4 };

typedef struct {
    mu_config *config;
    mu_sampler *of[MAX_WORLD + 1][MAX_WORLD]; /* [world][rank] */
    int64_t n, end; /* samples of an epoch; of what is compared */
    bool round_up, endless;
    int64_t stream[PASSES * LONGEST]; /* as one rank sees it */
} ring;

static const char *const samplers[] = {"{type: DefaultSampler}", "{type: DefaultSampler, shuffle: false}",
                                       "{type: DefaultSampler, round_up: false}", "{type: InfiniteSampler}"};
static const int64_t lengths[] = {1, 2, 5, 12, 13};

static void setup(void)
{
    toy_register();
}

static void teardown(void)
{
    mu_registry_reset();
}

static void open_ring(ring *r, const char *yaml, int64_t n)
{
    *r = (ring){.n = n, .endless = strstr(yaml, "Infinite"), .round_up = !strstr(yaml, "round_up")};
    r->end = r->endless ? PASSES * n - MAX_WORLD : n;
    ck_ok(mu_config_parse(yaml, strlen(yaml), "yaml", &r->config));
    for (int world = 1; world <= MAX_WORLD; world++)
        for (int rank = 0; rank < world; rank++) {
            ck_ok(mu_build("sampler", mu_config_root(r->config), NULL, "sampler", (void **)&r->of[world][rank]));
            ck_ok(mu_sampler_bind(r->of[world][rank], n, rank, world, 11));
        }
    mu_sampler_set_epoch(r->of[1][0], 3);
    for (int64_t i = 0; i < (r->endless ? PASSES * n : n); i++)
        ck_assert(mu_sampler_next(r->of[1][0], &r->stream[i]));
}

static void close_ring(ring *r)
{
    for (int world = 1; world <= MAX_WORLD; world++)
        for (int rank = 0; rank < world; rank++)
            mu_destroy(r->of[world][rank]);
    mu_config_release(r->config);
}

/* All ranks of a world take `each` samples from a cursor on (as many as there are, at the end): they are those of the stream. Returns how many
 * were taken in all; *next: where the stream is then. */
static int64_t take(ring *r, int world, mu_cursor from, int64_t each, mu_cursor *next)
{
    int64_t taken = 0;
    for (int rank = 0; rank < world; rank++) {
        mu_sampler *s = r->of[world][rank];
        ck_ok(mu_sampler_seek(s, from));
        for (int64_t k = 0; k < each; k++) {
            int64_t index, place = from.position + rank + k * world;
            if (!mu_sampler_next(s, &index)) {
                ck_assert(!r->round_up && place >= r->n);
                break;
            }
            ck_assert_int_eq(index, r->stream[r->endless ? place : place % r->n]);
            taken++;
        }
        mu_cursor at = mu_sampler_cursor(s, each);
        if (rank > 0)
            ck_assert(at.epoch == next->epoch && at.position == next->position);
        *next = at;
    }
    return taken;
}

/* Steps of a world from a place to the end. */
static int64_t steps_left(const ring *r, int world, mu_cursor from)
{
    int64_t left = r->end - from.position;
    return left <= 0 ? 0 : (left + world - 1) / world;
}

static void two_changes(ring *r, const int world[3])
{
    mu_cursor start = {.epoch = r->endless ? 0 : 3}, at1, at2, at3;
    for (int64_t k1 = 0; k1 <= steps_left(r, world[0], start); k1++) {
        int64_t taken1 = take(r, world[0], start, k1, &at1);
        for (int64_t k2 = 0; k2 <= steps_left(r, world[1], at1); k2++) {
            int64_t taken2 = take(r, world[1], at1, k2, &at2), last = steps_left(r, world[2], at2);
            int64_t taken3 = take(r, world[2], at2, last, &at3), all = taken1 + taken2 + taken3;
            ck_assert_int_ge(at3.position, r->end);
            if (r->endless) { /* positions of the stream have been compared; they follow each other without a gap */
                ck_assert_int_eq(all, at3.position);
                continue;
            }
            int64_t padding = all - r->n;
            ck_assert_int_eq(at3.position, r->n);
            ck_assert_int_ge(padding, 0);
            ck_assert_int_lt(padding, r->round_up ? MAX_WORLD : 1);
        }
    }
}

START_TEST(every_stop_of_every_world)
{
    ring r;
    for (size_t l = 0; l < sizeof lengths / sizeof lengths[0]; l++) {
        open_ring(&r, samplers[_i], lengths[l]);
        for (int a = 1; a <= MAX_WORLD; a++)
            for (int b = 1; b <= MAX_WORLD; b++)
                for (int c = 1; c <= MAX_WORLD; c++)
                    if (lengths[l] < 12 || a == b || b == c || c == 1 + (a + b) % MAX_WORLD)
                        two_changes(&r, (int[3]){a, b, c});
        close_ring(&r);
    }
}
END_TEST

/* ---- the same through loaders that read ahead, with what the transforms draw ---- */
enum { N = 11 };

typedef struct {
    int times[N];
    double draw[N];
    int64_t samples, batches;
} tally;

/* All ranks take `most` batches; *next: where the loaders of all of them say that they are. */
static void run(const char *yaml, int world, const mu_cursor *from, int64_t most, tally *t, mu_cursor *next)
{
    for (int rank = 0; rank < world; rank++) {
        mu_config *config;
        mu_loader *loader;
        const mu_batch *batch;
        ck_ok(mu_config_parse(yaml, strlen(yaml), "yaml", &config));
        ck_ok(mu_loader_new(mu_config_root(config), "d", &(mu_loader_options){.rank = rank, .world_size = world, .seed = 7, .training = true},
                            &loader));
        ck_ok(from ? mu_loader_seek(loader, *from) : mu_loader_start(loader, 2));
        for (int64_t k = 0; k < most; k++) {
            ck_ok(mu_loader_next(loader, &batch));
            if (!batch)
                break;
            const double *draw = mu_tensors_find(&batch->fields, "draw")->data;
            for (int64_t i = 0; i < batch->size; i++) {
                int64_t index = batch->index[i];
                if (t->times[index]++ > 0)
                    ck_assert(t->draw[index] == draw[i]);
                t->draw[index] = draw[i];
                t->samples++;
            }
            t->batches++;
        }
        mu_cursor at = mu_loader_cursor(loader);
        if (rank > 0)
            ck_assert(at.epoch == next->epoch && at.position == next->position);
        *next = at;
        mu_loader_release(loader);
        mu_config_release(config);
    }
}

START_TEST(loaders)
{
    char yaml[160];
    snprintf(yaml, sizeof yaml, "{dataset: {type: ToySet, n: %d}, batch_size: 2, num_workers: %d}", N, _i);
    tally whole = {0};
    mu_cursor at, end;
    run(yaml, 1, NULL, 100, &whole, &at);
    for (int before = 1; before <= 4; before++)
        for (int after = 1; after <= 4; after++)
            for (int64_t stop = 0; stop <= (N + 2 * before - 1) / (2 * before); stop++) {
                tally t = {0};
                run(yaml, before, NULL, stop, &t, &at);
                int64_t first = t.samples, left = N - at.position;
                ck_assert_int_eq(at.position, 2 * stop * before < N ? 2 * stop * before : N);
                run(yaml, after, &at, 100, &t, &end);
                ck_assert_int_eq(end.position, N);
                ck_assert_int_eq(t.samples - first, (left + after - 1) / after * after);
                for (int i = 0; i < N; i++) {
                    ck_assert_int_ge(t.times[i], 1);
                    ck_assert(t.draw[i] == whole.draw[i]);
                }
            }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("elastic");
    TCase *tcase = tcase_create("elastic");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, every_stop_of_every_world, 0, sizeof samplers / sizeof samplers[0]);
    tcase_add_loop_test(tcase, loaders, 0, 2);
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}
