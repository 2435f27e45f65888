/* Spans on a device: what is the same each time is given at one call, what is not comes out as if nothing had ever been recorded. */
#include "backend/host.h"
#include "backend/repeat.h"
#include "graph/flat_kernel.h"
#include "ops/ops.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>

enum { N = 16, BLOCKS = 8, ROUNDS = 60 };

/* sum: 2 = 0 + 1, 3 = 2 + 0, 6 = 5 + 2. */
typedef struct {
    mu_backend_ops ops;
    mu_backend *backend;
    mu_repeat *repeat;
    char *room; /* on the device, BLOCKS of N floats */
    mu_kernel *sum[3];
    mu_mark *kernels, *ranks, *before;
    float want[BLOCKS][N]; /* what the device should have */
    float *pinned;
    int n_replays, refusals;
} run;

static const int operands[3][3] = {{0, 1, 2}, {2, 0, 3}, {5, 2, 6}};

static void *block_of(const run *r, int i)
{
    return r->room + (size_t)i * N * sizeof(float);
}

static void bind_sum(run *r, int k, const int *at)
{
    void *in[] = {block_of(r, at[0]), block_of(r, at[1])}, *out = block_of(r, at[2]);
    ck_ok(mu_kernel_bind(r->sum[k], in, &out, NULL));
}

static const mu_backend_ops *real;
static run *running;

static mu_err count_replay(mu_backend *b, mu_recording *recording)
{
    running->n_replays++;
    return real->replay(b, recording);
}

static mu_err refuse_record(mu_backend *b)
{
    (void)b;
    running->refusals++;
    return MU_FAIL(MU_ERR_BACKEND, "no recordings today");
}

static void begin(run *r, bool records)
{
    *r = (run){.n_replays = 0};
    running = r;
    ck_ok(mu_backend_open("cuda", &(mu_backend_options){.cache_dir = ""}, &r->backend));
    real = r->backend->ops;
    r->ops = *real;
    r->ops.replay = count_replay;
    if (!records)
        r->ops.record_begin = refuse_record;
    r->backend->ops = &r->ops;
    ck_ok(real->alloc(r->backend, sizeof r->want, (void **)&r->room));
    ck_ok(real->upload(r->backend, r->room, r->want, sizeof r->want));
    ck_ok(real->alloc_host(r->backend, N * sizeof(float), (void **)&r->pinned));
    for (int k = 0; k < 3; k++) {
        mu_type in[] = {MU_TYPE(MU_F32, N), MU_TYPE(MU_F32, N)};
        ck_ok(mu_flat_kernel_new(r->backend, &mu_op_add, NULL, in, 2, &r->sum[k]));
        bind_sum(r, k, operands[k]);
    }
    ck_ok(real->mark_new(r->backend, &r->kernels));
    ck_ok(real->mark_new(r->backend, &r->ranks));
    ck_ok(real->mark_new(r->backend, &r->before));
    ck_ok(mu_repeat_new(r->backend, &r->repeat));
}

static void end(run *r)
{
    mu_repeat_release(r->repeat);
    for (int k = 0; k < 3; k++)
        mu_kernel_release(r->sum[k]);
    real->mark_release(r->backend, r->kernels);
    real->mark_release(r->backend, r->ranks);
    real->mark_release(r->backend, r->before);
    real->dealloc(r->backend, r->room);
    real->dealloc_host(r->backend, r->pinned);
    mu_backend_close(r->backend);
    ck_assert_int_eq(mu_mem_get_counts().live_blocks, 0);
}

/* ---- orders, and what they should do ---- */

static void upload(run *r, int to, float value)
{
    for (int i = 0; i < N; i++)
        r->want[to][i] = value + (float)i;
    ck_ok(r->backend->ops->upload(r->backend, block_of(r, to), r->want[to], sizeof r->want[to]));
}

static void sum_at(run *r, int k, const int *at)
{
    ck_ok(mu_backend_run(r->backend, r->sum[k], &(mu_run){0}));
    for (int i = 0; i < N; i++)
        r->want[at[2]][i] = r->want[at[0]][i] + r->want[at[1]][i];
}

static void sum(run *r, int k)
{
    sum_at(r, k, operands[k]);
}

static void copy(run *r, mu_lane lane, int to, int from)
{
    ck_ok(r->backend->ops->copy(r->backend, lane, block_of(r, to), block_of(r, from), sizeof r->want[0]));
    memcpy(r->want[to], r->want[from], sizeof r->want[0]);
}

/* A copy in another lane, beside kernels. */
static void fork_and_join(run *r)
{
    const mu_backend_ops *ops = r->backend->ops;
    ck_ok(ops->mark(r->backend, r->kernels, MU_LANE_KERNELS));
    ck_ok(ops->follow(r->backend, MU_LANE_RANKS, r->kernels));
    copy(r, MU_LANE_RANKS, 5, 3);
    ck_ok(ops->mark(r->backend, r->ranks, MU_LANE_RANKS));
    upload(r, 4, 1);
    ck_ok(ops->follow(r->backend, MU_LANE_KERNELS, r->ranks));
}

static void check(run *r)
{
    float found[BLOCKS][N];
    ck_ok(real->download(r->backend, found, r->room, sizeof found));
    for (int b = 0; b < BLOCKS; b++)
        for (int i = 0; i < N; i++)
            ck_assert_msg(found[b][i] == r->want[b][i], "block %d, element %d: %g instead of %g", b, i, (double)found[b][i], (double)r->want[b][i]);
}

/* ---- spans ---- */

typedef enum { PLAIN, SHORTER, FORKED, LONGER, AFTER_MARK, LOOKS, ALLOCATES, BINDS, FAILS, N_KINDS } span_kind;

/* What another lane brings before the span, which follows it. */
static void bring(run *r, int value)
{
    ck_ok(real->synchronize(r->backend));
    for (int i = 0; i < N; i++)
        r->want[5][i] = r->pinned[i] = (float)(value * 3 + i);
    ck_ok(real->copy(r->backend, MU_LANE_IN, block_of(r, 5), r->pinned, sizeof r->want[5]));
    ck_ok(real->mark(r->backend, r->before, MU_LANE_IN));
}

static void give_orders(run *r, span_kind kind, int value)
{
    static const int other[] = {0, 1, 7};
    const mu_backend_ops *ops = r->backend->ops;
    float seen[N];
    void *block;
    upload(r, 0, (float)value);
    upload(r, 1, (float)value * 2);
    sum(r, 0);
    if (kind == SHORTER)
        return;
    sum(r, 1);
    if (kind == AFTER_MARK)
        ck_ok(ops->follow(r->backend, MU_LANE_KERNELS, r->before));
    if (kind == FORKED || kind == LONGER || kind == BINDS)
        fork_and_join(r);
    if (kind == AFTER_MARK || kind == FORKED || kind == LONGER)
        sum(r, 2);
    if (kind == LONGER)
        copy(r, MU_LANE_KERNELS, 7, 6);
    if (kind == LOOKS) {
        ck_ok(ops->download(r->backend, seen, block_of(r, 3), sizeof seen));
        ck_assert_mem_eq(seen, r->want[3], sizeof seen);
    }
    if (kind == ALLOCATES) {
        ck_ok(ops->alloc(r->backend, 64, &block));
        ops->dealloc(r->backend, block);
    }
    if (kind == BINDS) { /* it has run in this span with other operands */
        bind_sum(r, 0, other);
        sum_at(r, 0, other);
        bind_sum(r, 0, operands[0]);
    }
}

static void span(run *r, span_kind kind, int value)
{
    if (kind == AFTER_MARK)
        bring(r, value);
    mu_repeat_begin(r->repeat);
    give_orders(r, kind, value);
    mu_err err = kind == FAILS ? MU_FAIL(MU_ERR_USAGE, "not today") : MU_OK;
    ck_assert_int_eq(mu_repeat_end(r->repeat, err), err);
    if (err)
        ck_assert_str_eq(mu_error_last()->message, "not today");
    ck_assert_ptr_eq(r->backend->ops, &r->ops);
}

/* The first two give their orders, the second is recorded, the others are replayed, whatever they upload. */
START_TEST(the_same_again)
{
    for (int kind = 0; kind < N_KINDS; kind++) {
        bool repeats = kind <= AFTER_MARK;
        run r;
        begin(&r, true);
        for (int i = 0; i < ROUNDS; i++) {
            int64_t blocks = mu_mem_get_counts().total_blocks;
            span(&r, kind, i);
            if (repeats && i > 1)
                ck_assert_int_eq(mu_mem_get_counts().total_blocks, blocks);
            ck_assert_int_eq(r.n_replays, repeats && i > 1 ? i - 1 : 0);
            if (i % 20 < 3) /* else many are on their way */
                check(&r);
        }
        check(&r);
        ck_assert_int_eq(mu_repeat_get_stats(r.repeat).recorded, repeats);
        end(&r);
    }
}
END_TEST

/* Any order of kinds; those that come often are known, however they begin. */
START_TEST(one_or_another)
{
    static const span_kind often[] = {PLAIN, FORKED, LONGER, SHORTER};
    for (int records = 0; records < 2; records++) {
        run r;
        unsigned random = 7 + (unsigned)_i;
        begin(&r, records);
        for (int i = 0; i < 4 * ROUNDS; i++) {
            random = random * 1664525u + 1013904223u; /* Knuth's linear congruential generator */
            span(&r, random >> 28 == 0 ? (span_kind)((random >> 8) % N_KINDS) : often[(random >> 20) % 4], i);
            if (random >> 16 & 1)
                check(&r);
        }
        check(&r);
        ck_assert_msg(records ? r.n_replays > 2 * ROUNDS : r.n_replays == 0, "%d replays", r.n_replays);
        ck_assert(records || r.refusals > 0);
        end(&r);
    }
}
END_TEST

/* A kernel that is bound anew, or gone, between spans. */
START_TEST(other_kernels)
{
    static const int other[] = {1, 1, 2};
    mu_type in[] = {MU_TYPE(MU_F32, N), MU_TYPE(MU_F32, N)};
    run r;
    begin(&r, true);
    for (int i = 0; i < 5; i++)
        span(&r, FORKED, i);
    ck_assert_int_eq(r.n_replays, 3);
    bind_sum(&r, 0, other);
    mu_repeat_begin(r.repeat);
    upload(&r, 0, 5);
    upload(&r, 1, 7);
    sum_at(&r, 0, other);
    ck_ok(mu_repeat_end(r.repeat, MU_OK));
    check(&r);
    mu_kernel_release(r.sum[0]);
    ck_ok(mu_flat_kernel_new(r.backend, &mu_op_add, NULL, in, 2, &r.sum[0]));
    bind_sum(&r, 0, operands[0]);
    for (int i = 0; i < 5; i++) {
        span(&r, FORKED, i);
        check(&r);
    }
    ck_assert_int_eq(r.n_replays, 6);
    end(&r);
}
END_TEST

/* Kernels that take part in nothing, or wait, run at once, behind those that were held back. */
START_TEST(what_cannot_be_held_back)
{
    run r;
    begin(&r, true);
    for (int i = 0; i < 8; i++) {
        if (i >= 4)
            r.sum[1]->waits = true;
        span(&r, PLAIN, i);
        check(&r);
    }
    ck_assert_int_eq(r.n_replays, 2);
    r.sum[1]->waits = false;
    mu_repeat_begin(r.repeat);
    upload(&r, 0, 1);
    upload(&r, 1, 1);
    ck_ok(mu_backend_run(r.backend, r.sum[0], &(mu_run){.presence = MU_ALONE}));
    ck_ok(mu_repeat_end(r.repeat, MU_OK));
    ck_assert_int_eq(r.n_replays, 2);
    end(&r);
}
END_TEST

/* A span in a span is part of it, and none is fine, too. */
START_TEST(spans_in_spans)
{
    run r;
    mu_repeat *inner;
    begin(&r, true);
    ck_ok(mu_repeat_new(r.backend, &inner));
    for (int i = 0; i < 6; i++) {
        mu_repeat_begin(r.repeat);
        mu_repeat_begin(inner);
        give_orders(&r, PLAIN, i);
        ck_ok(mu_repeat_end(inner, MU_OK));
        mu_repeat_begin(NULL);
        fork_and_join(&r);
        ck_ok(mu_repeat_end(NULL, MU_OK));
        ck_ok(mu_repeat_end(r.repeat, MU_OK));
        check(&r);
    }
    ck_assert_int_eq(r.n_replays, 4);
    ck_assert_int_eq(mu_repeat_get_stats(inner).replayed + mu_repeat_get_stats(inner).recorded, 0);
    mu_repeat_release(inner);
    mu_repeat_release(NULL);
    end(&r);
}
END_TEST

/* On host memory, and where nothing may be recorded, spans do nothing. */
START_TEST(nothing_to_record)
{
    mu_backend *b;
    mu_repeat *repeat;
    ck_ok(mu_backend_open("cpu:ref", NULL, &b));
    const mu_backend_ops *ops = b->ops;
    ck_ok(mu_repeat_new(b, &repeat));
    mu_repeat_begin(repeat);
    ck_assert_ptr_eq(b->ops, ops);
    ck_ok(mu_repeat_end(repeat, MU_OK));
    mu_repeat_release(repeat);
    mu_backend_close(b);
    setenv("MU_RECORD", "0", 1);
    run r;
    begin(&r, true);
    for (int i = 0; i < 5; i++)
        span(&r, FORKED, i);
    check(&r);
    ck_assert_int_eq(r.n_replays, 0);
    end(&r);
    unsetenv("MU_RECORD");
}
END_TEST

static mu_err spans_within(void *user)
{
    run *r = user;
    for (int i = 0; i < 4; i++) {
        mu_repeat_begin(r->repeat);
        float v[N] = {0};
        mu_err err = r->backend->ops->upload(r->backend, block_of(r, 0), v, sizeof v);
        if (!err)
            err = mu_backend_run(r->backend, r->sum[0], &(mu_run){0});
        MU_TRY(mu_repeat_end(r->repeat, err));
    }
    return MU_OK;
}

/* Without memory a span fails, or is not recorded; nothing is lost. */
START_TEST(out_of_memory)
{
    run r;
    begin(&r, true);
    for (int fail = 1; fail < 40; fail++) {
        mu_mem_fail_at(fail);
        mu_err err = spans_within(&r);
        mu_mem_fail_at(0);
        ck_assert(err == MU_OK || err == MU_ERR_MEMORY);
        ck_assert_ptr_eq(r.backend->ops, &r.ops);
        mu_repeat_release(r.repeat);
        ck_ok(mu_repeat_new(r.backend, &r.repeat));
    }
    end(&r);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("repeat");
    TCase *tests = tcase_create("repeat");
    mu_backend *b;
    if (mu_backend_open("cuda", NULL, &b) != MU_OK) {
        printf("no CUDA device: %s\n", test_error_text());
        return 77;
    }
    mu_backend_close(b);
    tcase_add_test(tests, the_same_again);
    tcase_add_loop_test(tests, one_or_another, 0, 4);
    tcase_add_test(tests, other_kernels);
    tcase_add_test(tests, what_cannot_be_held_back);
    tcase_add_test(tests, spans_in_spans);
    tcase_add_test(tests, nothing_to_record);
    tcase_add_test(tests, out_of_memory);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
