/* The conformance of a communicator: run by itself (one rank) and under mpirun by comm_test.sh. A word chooses what is
 * done: nothing (all checks), "die" (the last rank kills itself), "fail" (the last rank fails, all leave), "size". */
#include "config/collect.h"
#include "config/config.h"
#include "core/clock.h"
#include "core/mem.h"
#include "dist/collect.h"
#include "dist/delay.h"
#include "dist/hierarchy.h"
#include "dist/launch.h"

#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_COUNT = 1000, MAX_RANKS = 8 };

static mu_comm *world;
static int failures, checks;

#define CHECK(condition, ...)                                                                                          \
    do {                                                                                                               \
        checks++;                                                                                                      \
        if (!(condition) && failures++ < 3) {                                                                          \
            fprintf(stderr, "rank %d/%d: line %d: %s:", world->rank, world->size, __LINE__, #condition);               \
            fprintf(stderr, " " __VA_ARGS__);                                                                          \
            fputc('\n', stderr);                                                                                       \
        }                                                                                                              \
    } while (0)
#define OK(expr) CHECK((expr) == MU_OK, "%s", mu_error_last()->message)
#define FAILS(expr, code, part)                                                                                        \
    do {                                                                                                               \
        mu_err fails_ = (expr);                                                                                        \
        CHECK(fails_ == (code), "%s: %s", mu_err_name(fails_), mu_error_last()->message);                              \
        CHECK(strstr(mu_error_last()->message, (part)), "\"%s\" lacks \"%s\"", mu_error_last()->message, (part));      \
    } while (0)

/* Small whole numbers that every dtype holds; for u8 large enough that sums wrap around. */
static double value(int rank, int64_t i, mu_dtype dtype)
{
    int v = (int)((i * 7 + rank * 5) % 5);
    if (dtype == MU_BOOL)
        return (i + rank) % 3 == 0;
    return dtype == MU_U8 ? v * 50 : v - 2;
}

static double combine(double a, double b, mu_dtype dtype, mu_comm_op op)
{
    switch (op) {
    case MU_COMM_SUM:
    case MU_COMM_MEAN: return dtype == MU_BOOL ? a || b : a + b;
    case MU_COMM_PRODUCT: return a * b;
    case MU_COMM_MIN: return fmin(a, b);
    case MU_COMM_MAX: return fmax(a, b);
    case MU_COMM_BAND: return (double)((int64_t)a & (int64_t)b);
    case MU_COMM_BOR: return (double)((int64_t)a | (int64_t)b);
    case MU_COMM_BXOR: return (double)((int64_t)a ^ (int64_t)b);
    default: return NAN;
    }
}

static double expected(int64_t i, mu_dtype dtype, mu_comm_op op)
{
    double v = value(0, i, dtype);
    for (int r = 1; r < world->size; r++) {
        v = combine(v, value(r, i, dtype), dtype, op);
        if (dtype == MU_U8)
            v = fmod(v, 256);
    }
    return op == MU_COMM_MEAN ? v / world->size : v;
}

static bool allowed(mu_dtype dtype, mu_comm_op op)
{
    bool bits = op == MU_COMM_BAND || op == MU_COMM_BOR || op == MU_COMM_BXOR;
    return mu_dtype_is_float(dtype) ? !bits : op != MU_COMM_MEAN;
}

static void fill(void *data, int rank, int64_t count, mu_dtype dtype)
{
    double wide[MAX_COUNT];
    for (int64_t i = 0; i < count; i++)
        wide[i] = value(rank, i, dtype);
    mu_convert(data, dtype, wide, MU_F64, count);
}

/* The largest relative error of a mean; sums of small whole numbers are exact. */
static double rounding(mu_dtype dtype)
{
    return dtype == MU_BF16 ? 1.0 / 256 : dtype == MU_F16 ? 1.0 / 2048 : dtype == MU_F32 ? 6e-8 : 2e-16;
}

static void compare(const void *data, int64_t count, mu_dtype dtype, mu_comm_op op)
{
    double got[MAX_COUNT];
    mu_convert(got, MU_F64, data, dtype, count);
    for (int64_t i = 0; i < count; i++) {
        double want = expected(i, dtype, op), allow = op == MU_COMM_MEAN ? fabs(want) * rounding(dtype) : 0;
        CHECK(fabs(got[i] - want) <= allow, "%s of %s, element %lld of %lld: %g instead of %g", mu_comm_op_name(op),
              mu_dtype_name(dtype), (long long)i, (long long)count, got[i], want);
    }
}

/* Every operation on every dtype, blocking and not, with a guard behind the data. */
static void check_all_reduce(void)
{
    static const int64_t counts[] = {0, 1, 7, MAX_COUNT};
    for (mu_dtype dtype = MU_NONE + 1; dtype < MU_DTYPE_COUNT; dtype++)
        for (mu_comm_op op = 0; op < MU_COMM_OP_COUNT; op++)
            for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
                int64_t n = counts[c];
                size_t bytes = (size_t)n * mu_dtype_size(dtype);
                unsigned char data[MAX_COUNT * 8 + 8];
                memset(data, 0x5a, sizeof data);
                if (!allowed(dtype, op)) {
                    FAILS(mu_comm_all_reduce(world, data, n, dtype, op), MU_ERR_UNSUPPORTED, mu_dtype_name(dtype));
                    continue;
                }
                fill(data, world->rank, n, dtype);
                OK(mu_comm_all_reduce(world, data, n, dtype, op));
                compare(data, n, dtype, op);
                fill(data, world->rank, n, dtype);
                mu_request request = {0};
                OK(mu_comm_start_all_reduce(world, data, n, dtype, op, &request));
                OK(mu_request_wait(&request));
                compare(data, n, dtype, op);
                for (int g = 0; g < 8; g++)
                    CHECK(data[bytes + (size_t)g] == 0x5a);
            }
}

/* On both sides of the size from which started sums go in pairs; neither divides among 3 ranks. Short ones are on their way with them. */
static void check_long_sums(void)
{
    enum { BORDER = (1 << 20) / sizeof(float), MOST = 2 * BORDER + 3 };
    static const int64_t counts[] = {BORDER - 1, BORDER, MOST};
    float *data;
    OK(mu_calloc(&data, (size_t)MOST + 1, sizeof *data));
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
        float little[2] = {(float)world->rank, 1};
        mu_request request[2] = {0};
        for (int64_t i = 0; i < counts[c]; i++)
            data[i] = (float)(i % 1001 + world->rank);
        data[counts[c]] = -1;
        OK(mu_comm_start_all_reduce(world, data, counts[c], MU_F32, MU_COMM_SUM, &request[0]));
        OK(mu_comm_start_all_reduce(world, little, 2, MU_F32, MU_COMM_SUM, &request[1]));
        OK(mu_request_wait(&request[1]));
        OK(mu_request_wait(&request[0]));
        int64_t wrong = 0, ranks = world->size, of_ranks = ranks * (ranks - 1) / 2;
        for (int64_t i = 0; i < counts[c]; i++)
            wrong += data[i] != (float)(i % 1001 * ranks + of_ranks);
        CHECK(wrong == 0, "%lld of %lld", (long long)wrong, (long long)counts[c]);
        CHECK(data[counts[c]] == -1 && little[0] == (float)of_ranks && little[1] == (float)ranks);
    }
    mu_free(data);
}

static void check_nan(void)
{
    for (int who = 0; who < world->size; who++) {
        float f[2] = {world->rank == who ? NAN : (float)world->rank, 1};
        double d[2] = {f[0], 1};
        uint16_t b[2] = {mu_f32_to_bf16(f[0]), mu_f32_to_bf16(1)};
        OK(mu_comm_all_reduce(world, f, 2, MU_F32, MU_COMM_MIN));
        OK(mu_comm_all_reduce(world, d, 2, MU_F64, MU_COMM_MAX));
        OK(mu_comm_all_reduce(world, b, 2, MU_BF16, MU_COMM_MAX));
        CHECK(isnan(f[0]) && isnan(d[0]) && isnan(mu_bf16_to_f32(b[0])));
        CHECK(f[1] == 1 && d[1] == 1 && mu_bf16_to_f32(b[1]) == 1);
    }
}

static void check_requests(void)
{
    float data[3][MAX_COUNT];
    mu_request request[3] = {0};
    bool done = false;
    for (int k = 0; k < 3; k++) {
        fill(data[k], world->rank, MAX_COUNT, MU_F32);
        OK(mu_comm_start_all_reduce(world, data[k], MAX_COUNT, MU_F32, k == 1 ? MU_COMM_MAX : MU_COMM_MEAN,
                                    &request[k]));
    }
    FAILS(mu_comm_start_all_reduce(world, data[0], 1, MU_F32, MU_COMM_SUM, &request[0]), MU_ERR_USAGE, "on its way");
    OK(mu_request_wait(&request[2]));
    while (!done && failures == 0)
        OK(mu_request_test(&request[0], &done));
    OK(mu_request_wait(&request[1]));
    for (int k = 0; k < 3; k++)
        compare(data[k], MAX_COUNT, MU_F32, k == 1 ? MU_COMM_MAX : MU_COMM_MEAN);
    OK(mu_request_wait(&request[1]));
    OK(mu_request_test(&request[1], &done));
    CHECK(done);
}

static void compare_slice(const void *data, int64_t first, int64_t count, mu_dtype dtype, mu_comm_op op)
{
    double got[MAX_COUNT];
    mu_convert(got, MU_F64, data, dtype, count);
    for (int64_t i = 0; i < count; i++) {
        double want = expected(first + i, dtype, op), allow = op == MU_COMM_MEAN ? fabs(want) * rounding(dtype) : 0;
        CHECK(fabs(got[i] - want) <= allow, "%s of %s, element %lld: %g instead of %g", mu_comm_op_name(op),
              mu_dtype_name(dtype), (long long)(first + i), got[i], want);
    }
}

/* Slices of count elements: in their place in the larger buffer, apart, and gathered again. */
static void check_slices(void)
{
    static const int64_t counts[] = {0, 1, 7, 100};
    for (mu_dtype dtype = MU_NONE + 1; dtype < MU_DTYPE_COUNT; dtype++)
        for (mu_comm_op op = 0; op < MU_COMM_OP_COUNT; op++)
            for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
                int64_t n = counts[c], first = n * world->rank;
                size_t bytes = (size_t)n * mu_dtype_size(dtype), at = bytes * (size_t)world->rank,
                       all = bytes * (size_t)world->size;
                unsigned char data[MAX_RANKS * 100 * 8 + 8], before[sizeof data], apart[100 * 8 + 8],
                    whole[sizeof data];
                mu_request request = {0};
                memset(data, 0x5a, sizeof data);
                memset(apart, 0x5a, sizeof apart);
                memset(whole, 0x5a, sizeof whole);
                if (!allowed(dtype, op)) {
                    FAILS(mu_comm_reduce_scatter(world, data, apart, n, dtype, op), MU_ERR_UNSUPPORTED,
                          mu_dtype_name(dtype));
                    continue;
                }
                fill(data, world->rank, n * world->size, dtype);
                memcpy(before, data, sizeof data);
                OK(mu_comm_start_reduce_scatter(world, data, apart, n, dtype, op, &request));
                OK(mu_request_wait(&request));
                compare_slice(apart, first, n, dtype, op);
                CHECK(memcmp(data, before, sizeof data) == 0, "what was sent is as it was");
                OK(mu_comm_reduce_scatter(world, data, data + at, n, dtype, op));
                CHECK(memcmp(data + at, apart, bytes) == 0);
                memcpy(before + at, data + at, bytes);
                CHECK(memcmp(data, before, sizeof data) == 0, "the other slices are as they were");
                OK(mu_comm_start_all_gather(world, apart, whole, n, dtype, &request));
                OK(mu_request_wait(&request));
                compare_slice(whole, 0, n * world->size, dtype, op);
                OK(mu_comm_start_all_gather(world, data + at, data, n, dtype, &request));
                OK(mu_request_wait(&request));
                CHECK(memcmp(data, whole, all) == 0);
                fill(data, world->rank, n * world->size, dtype);
                fill(whole, world->rank, n * world->size, dtype);
                OK(mu_comm_all_gather(world, data + at, n, dtype, data));
                OK(mu_comm_all_gather(world, whole + at, n, dtype, before));
                CHECK(memcmp(data, before, all) == 0);
                for (int g = 0; g < 8; g++)
                    CHECK(data[all + (size_t)g] == 0x5a && whole[all + (size_t)g] == 0x5a &&
                          apart[bytes + (size_t)g] == 0x5a);
            }
}

/* Several at once, more than there were jobs for, waited for in another order on each rank, a blocking call in between.
 */
static void check_many_on_their_way(void)
{
    enum { N = 6, EACH = 100 };
    float data[N][MAX_RANKS * EACH], slice[N][EACH];
    mu_request request[N] = {0};
    for (int round = 0; round < 3; round++) {
        for (int k = 0; k < N; k++) {
            fill(data[k], world->rank, EACH * world->size, MU_F32);
            if (k % 3 == 0)
                OK(mu_comm_start_reduce_scatter(world, data[k], slice[k], EACH, MU_F32, MU_COMM_MAX, &request[k]));
            else if (k % 3 == 1)
                OK(mu_comm_start_all_gather(world, data[k], data[k], 0, MU_F32, &request[k]));
            else
                OK(mu_comm_start_all_reduce(world, data[k], EACH * world->size, MU_F32, MU_COMM_SUM, &request[k]));
        }
        int64_t sum = 1;
        if (round == 1)
            OK(mu_comm_all_reduce(world, &sum, 1, MU_I64, MU_COMM_SUM));
        CHECK(sum == (round == 1 ? world->size : 1));
        for (int k = 0; k < N; k++)
            OK(mu_request_wait(&request[world->rank % 2 ? N - 1 - k : k]));
        for (int k = 0; k < N; k++)
            if (k % 3 == 0)
                compare_slice(slice[k], EACH * world->rank, EACH, MU_F32, MU_COMM_MAX);
            else if (k % 3 == 2)
                compare_slice(data[k], 0, EACH * world->size, MU_F32, MU_COMM_SUM);
    }
}

/* More than one block, and pieces of blocks. */
static void check_large_slices(void)
{
    int64_t n = 300001;
    int32_t *data, *slice;
    OK(mu_alloc(&data, (size_t)n * (size_t)world->size * sizeof *data));
    OK(mu_alloc(&slice, (size_t)n * sizeof *slice));
    for (int64_t i = 0; i < n * world->size; i++)
        data[i] = (int32_t)(i * (world->rank + 1));
    OK(mu_comm_reduce_scatter(world, data, slice, n, MU_I32, MU_COMM_SUM));
    int64_t wrong = 0, weight = (int64_t)world->size * (world->size + 1) / 2;
    for (int64_t i = 0; i < n; i++)
        wrong += slice[i] != (int32_t)((n * world->rank + i) * weight);
    CHECK(wrong == 0, "%lld wrong", (long long)wrong);
    mu_request request = {0};
    OK(mu_comm_start_all_gather(world, slice, data, n, MU_I32, &request));
    for (bool done = false; !done && failures == 0;)
        OK(mu_request_test(&request, &done));
    for (int64_t i = 0; i < n * world->size; i++)
        wrong += data[i] != (int32_t)(i * weight);
    CHECK(wrong == 0, "%lld wrong", (long long)wrong);
    mu_free(data);
    mu_free(slice);
}

/* Whose ranks combine first: those of a color, where a hierarchy is at work. */
static int color_of[MAX_RANKS];
static bool hierarchical, even;

static float in_order(const float *all, int i)
{
    float total = 0;
    int n = 0;
    for (int c = 0; c < world->size; c++)
        n += color_of[c] == color_of[0];
    if (!hierarchical || (even && i >= MAX_COUNT / n * n)) {
        total = all[i];
        for (int r = 1; r < world->size; r++)
            total += all[r * MAX_COUNT + i];
        return total;
    }
    for (int c = 0; c < world->size; c++) {
        float sum = all[c * MAX_COUNT + i];
        bool first = true;
        for (int r = 0; r < c; r++)
            first &= color_of[r] != color_of[c];
        if (!first)
            continue;
        for (int r = c + 1; r < world->size; r++)
            if (color_of[r] == color_of[c])
                sum += all[r * MAX_COUNT + i];
        total = c == 0 ? sum : total + sum;
    }
    return total;
}

/* A sum whose value depends on its order equals the fold in ascending order, bit by bit. */
static void check_fixed_order(void)
{
    float mine[MAX_COUNT], all[MAX_RANKS * MAX_COUNT];
    for (int i = 0; i < MAX_COUNT; i++)
        mine[i] = (float)sin(i * 12.9898 + world->rank * 78.233) * (float)(1 << (i + 5 * world->rank) % 24);
    OK(mu_comm_all_gather(world, mine, MAX_COUNT, MU_F32, all));
    OK(mu_comm_set_fixed_order(world, true));
    OK(mu_comm_all_reduce(world, mine, MAX_COUNT, MU_F32, MU_COMM_SUM));
    for (int i = 0; i < MAX_COUNT; i++) {
        float want = in_order(all, i);
        CHECK(mine[i] == want, "element %d: %.9g instead of %.9g", i, mine[i], want);
    }
    int each = MAX_COUNT / world->size, first = each * world->rank;
    mu_request request = {0};
    mu_comm *part;
    memcpy(mine, &all[world->rank * MAX_COUNT], sizeof mine);
    OK(mu_comm_split(world, 0, -world->rank, &part));
    OK(mu_comm_start_all_reduce(part, mine, MAX_COUNT, MU_F32, MU_COMM_SUM, &request));
    OK(mu_request_wait(&request));
    for (int i = 0; i < MAX_COUNT; i++) {
        float want = all[(world->size - 1) * MAX_COUNT + i];
        for (int r = world->size - 2; r >= 0; r--)
            want += all[r * MAX_COUNT + i];
        CHECK(mine[i] == want, "split, element %d: %.9g instead of %.9g", i, mine[i], want);
    }
    mu_comm_release(part);
    memcpy(mine, &all[world->rank * MAX_COUNT], sizeof mine);
    OK(mu_comm_reduce_scatter(world, mine, &mine[first], each, MU_F32, MU_COMM_SUM));
    for (int i = first; i < first + each; i++) {
        float want = all[i];
        for (int r = 1; r < world->size; r++)
            want += all[r * MAX_COUNT + i];
        CHECK(mine[i] == want, "slice, element %d: %.9g instead of %.9g", i, mine[i], want);
    }
    check_all_reduce();
    check_slices();
    check_many_on_their_way();
    OK(mu_comm_set_fixed_order(world, false));
}

static void check_broadcast_gather(void)
{
    for (mu_dtype dtype = MU_NONE + 1; dtype < MU_DTYPE_COUNT; dtype++)
        for (int root = 0; root < world->size; root++)
            for (int64_t n = 0; n <= 13; n += 13) {
                size_t bytes = (size_t)n * mu_dtype_size(dtype);
                unsigned char data[13 * 8], want[13 * 8], all[MAX_RANKS * 13 * 8 + 1];
                fill(want, root, n, dtype);
                fill(data, world->rank, n, dtype);
                memset(all, 0x5a, sizeof all);
                OK(mu_comm_gather(world, data, n, dtype, world->rank == root ? all : NULL, root));
                for (int r = 0; world->rank == root && r < world->size; r++) {
                    unsigned char theirs[13 * 8];
                    fill(theirs, r, n, dtype);
                    CHECK(memcmp(all + (size_t)r * bytes, theirs, bytes) == 0, "gather from %d", r);
                }
                CHECK(all[(size_t)world->size * bytes] == 0x5a);
                memset(all, 0x5a, sizeof all);
                OK(mu_comm_all_gather(world, data, n, dtype, all));
                for (int r = 0; r < world->size; r++) {
                    unsigned char theirs[13 * 8];
                    fill(theirs, r, n, dtype);
                    CHECK(memcmp(all + (size_t)r * bytes, theirs, bytes) == 0, "all_gather from %d", r);
                }
                CHECK(all[(size_t)world->size * bytes] == 0x5a);
                OK(mu_comm_broadcast(world, data, n, dtype, root));
                CHECK(memcmp(data, want, bytes) == 0, "broadcast from %d", root);
            }
    OK(mu_comm_barrier(world));
}

/* Rank r has (r * 37 + seed) % 101 bytes; some have none. */
static void check_bytes(int seed)
{
    unsigned char mine[101], all[MAX_RANKS * 101];
    size_t sizes[MAX_RANKS] = {0}, total = 0;
    for (int r = 0; r < world->size; r++)
        total += sizes[r] = (size_t)((r * 37 + seed) % 101);
    size_t n = sizes[world->rank];
    for (size_t i = 0; i < n; i++)
        mine[i] = (unsigned char)(world->rank * 41 + (int)i);
    for (int root = -1; root < world->size; root++) {
        memset(all, 0, sizeof all);
        if (root < 0)
            OK(mu_comm_all_gather_bytes(world, mine, n, all, sizes));
        else
            OK(mu_comm_gather_bytes(world, mine, n, all, world->rank == root ? sizes : NULL, root));
        mu_blobs blobs = {0};
        if (root < 0)
            OK(mu_comm_all_gather_blobs(world, mine, n, &blobs));
        else
            OK(mu_comm_gather_blobs(world, mine, n, root, &blobs));
        bool receives = root < 0 || world->rank == root;
        CHECK(blobs.count == (receives ? world->size : 0));
        size_t at = 0;
        for (int r = 0; receives && r < world->size; at += sizes[r++]) {
            CHECK(blobs.offset[r] == at && blobs.offset[r + 1] == at + sizes[r]);
            for (size_t i = 0; i < sizes[r]; i++) {
                CHECK(all[at + i] == (unsigned char)(r * 41 + (int)i));
                CHECK(blobs.data[at + i] == (unsigned char)(r * 41 + (int)i));
            }
        }
        mu_blobs_release(&blobs);
    }
    CHECK(total < sizeof all);
}

static void check_broadcast_blob(void)
{
    for (int root = 0; root < world->size; root++)
        for (size_t n = 0; n <= 50; n += 50) {
            char text[51] = "";
            void *data = text;
            size_t size = world->rank == root ? n : 12345;
            if (world->rank == root)
                memset(text, 'a' + root, n);
            OK(mu_comm_broadcast_blob(world, &data, &size, root));
            CHECK(size == n && strlen(data) == n && (n == 0 || *(char *)data == 'a' + root));
            if (world->rank != root)
                mu_free(data);
        }
}

static void check_arguments(void)
{
    float x[MAX_RANKS] = {0}, slice[1] = {0};
    size_t sizes[MAX_RANKS] = {0};
    FAILS(mu_comm_broadcast(world, x, 1, MU_F32, world->size), MU_ERR_USAGE, "is not a rank");
    FAILS(mu_comm_gather(world, x, 1, MU_F32, x, -1), MU_ERR_USAGE, "root -1");
    FAILS(mu_comm_gather_blobs(world, x, 1, -1, &(mu_blobs){0}), MU_ERR_USAGE, "root -1");
    FAILS(mu_comm_all_reduce(world, x, -1, MU_F32, MU_COMM_SUM), MU_ERR_USAGE, "-1 elements");
    FAILS(mu_comm_all_reduce(world, x, 1, MU_NONE, MU_COMM_SUM), MU_ERR_USAGE, "no dtype");
    FAILS(mu_comm_all_reduce(world, x, 1, MU_F32, MU_COMM_OP_COUNT), MU_ERR_USAGE, "no operation");
    mu_request request = {0};
    FAILS(mu_comm_start_reduce_scatter(world, x, x, -1, MU_F32, MU_COMM_SUM, &request), MU_ERR_USAGE, "-1 elements");
    FAILS(mu_comm_start_reduce_scatter(world, x, slice, 1, MU_F32, MU_COMM_BOR, &request), MU_ERR_UNSUPPORTED,
          "bit operations");
    FAILS(mu_comm_start_all_gather(world, slice, x, INT64_MAX, MU_F32, &request), MU_ERR_OVERFLOW, "does not fit");
    FAILS(mu_comm_start_all_gather(world, (char *)x + 1, x, 1, MU_F32, &request), MU_ERR_USAGE,
          "1 bytes into the larger");
    CHECK(request.comm == NULL);
    FAILS(mu_comm_broadcast(world, x, INT64_MAX, MU_F32, 0), MU_ERR_OVERFLOW, "does not fit");
    FAILS(mu_comm_all_gather_bytes(world, x, 4, x, sizes), MU_ERR_USAGE, "sends 4 bytes");
    FAILS(mu_comm_collect(world, NULL, 0, -1, world->size, &(mu_records *){NULL}), MU_ERR_USAGE, "is not a rank");
}

static void check_split(void)
{
    mu_comm *part = NULL, *local = NULL;
    OK(mu_comm_split(world, world->rank % 2, -world->rank, &part));
    int same = (world->size + 1 - world->rank % 2) / 2;
    CHECK(part->size == same && part->rank == same - 1 - world->rank / 2, "%d of %d", part->rank, part->size);
    int64_t sum = world->rank, want = 0;
    for (int r = world->rank % 2; r < world->size; r += 2)
        want += r;
    OK(mu_comm_all_reduce(part, &sum, 1, MU_I64, MU_COMM_SUM));
    CHECK(sum == want);
    mu_comm_release(part);
    OK(mu_comm_split(world, world->rank == 0 ? -1 : 3, 0, &part));
    CHECK((part == NULL) == (world->rank == 0));
    mu_comm_release(part);
    OK(mu_comm_split_local(world, &local));
    CHECK(local->size == world->local_size && local->rank == world->local_rank);
    mu_comm_release(local);
}

static void check_agreement(void)
{
    int size = world->size, last = size - 1;
    char text[64];
    OK(mu_comm_agree(world, MU_OK));
    for (int who = 0; who < size; who++) {
        mu_err err = MU_OK;
        if (world->rank == who) {
            err = MU_FAIL(MU_ERR_IO, "disk %d is full", who);
            mu_error_hint("make room");
        }
        snprintf(text, sizeof text, size == 1 ? "disk %d is full" : "rank %d/%d: disk %d is full", who, size, who);
        FAILS(mu_comm_agree(world, err), MU_ERR_IO, size == 1 ? "disk 0 is full" : text);
        CHECK(strcmp(mu_error_last()->hint, "make room") == 0);
    }
    FAILS(mu_comm_agree(world, MU_FAIL(MU_ERR_CONFIG, "no such key")), MU_ERR_CONFIG, "no such key");
    CHECK(strcmp(mu_error_last()->message, "no such key") == 0, "%s", mu_error_last()->message);

    mu_err err = world->rank == last ? MU_FAIL(MU_ERR_SHAPE, "odd shape") : MU_FAIL(MU_ERR_IO, "disk is full");
    err = mu_comm_agree(world, err);
    CHECK(err == (size == 1 ? MU_ERR_SHAPE : MU_ERR_IO));
    CHECK(mu_error_last()->code == err);
    const char *message = mu_error_last()->message, *disk = strstr(message, "disk is full");
    CHECK(strstr(message, "odd shape") != NULL);
    if (size > 1) {
        CHECK(disk && strstr(disk + 1, "disk is full") == NULL, "%s", message);
        snprintf(text, sizeof text, "rank %d/%d: odd shape", last, size);
        CHECK(strstr(message, text) != NULL, "%s", message);
    }
    if (size > 2) {
        snprintf(text, sizeof text, "rank 0/%d and %d more: disk is full", size, size - 2);
        CHECK(strstr(message, text) != NULL, "%s", message);
        /* Agreeing on what was agreed changes nothing. */
        char before[MU_ERROR_TEXT];
        snprintf(before, sizeof before, "%s", message);
        CHECK(mu_comm_agree(world, err) == MU_ERR_IO);
        CHECK(strcmp(mu_error_last()->message, before) == 0, "%s", mu_error_last()->message);
    }
    /* A message as long as can be keeps its end; a code without a record has the code's text. */
    mu_error_clear();
    FAILS(mu_comm_agree(world, MU_ERR_PLUGIN), MU_ERR_PLUGIN, size == 1 ? "" : mu_err_text(MU_ERR_PLUGIN));
    mu_error_clear();
    OK(mu_comm_check_same(world, "the config", 42));
    if (size > 1) {
        snprintf(text, sizeof text, "rank %d/%d: the config", last, size);
        FAILS(mu_comm_check_same(world, "the config", world->rank == last), MU_ERR_USAGE, text);
    }
}

static void check_seed(void)
{
    uint32_t seed = UINT32_MAX, main_rank;
    OK(mu_comm_sync_random_seed(world, &seed));
    CHECK(seed < 1u << 31);
    main_rank = seed;
    OK(mu_comm_broadcast(world, &main_rank, 1, MU_I32, 0));
    CHECK(seed == main_rank);
}

static void check_dict(void)
{
    mu_named_value a = {"loss", world->rank + 1.0}, b = {"acc", world->rank * 10.0}, extra = {"zeta", 1};
    mu_named_value values[3] = {world->rank % 2 ? a : b, world->rank % 2 ? b : a, extra};
    double n = world->size;
    OK(mu_comm_all_reduce_dict(world, values, 2, MU_COMM_SUM));
    CHECK(values[world->rank % 2 ? 0 : 1].value == n * (n + 1) / 2);
    CHECK(values[world->rank % 2 ? 1 : 0].value == 10 * n * (n - 1) / 2);
    CHECK(strcmp(values[0].name, world->rank % 2 ? "loss" : "acc") == 0);
    OK(mu_comm_all_reduce_dict(world, values, 0, MU_COMM_SUM));
    values[0] = a, values[1] = b;
    OK(mu_comm_all_reduce_dict(world, values, 2, MU_COMM_MEAN));
    CHECK(fabs(values[0].value - (n + 1) / 2) < 1e-12);
    bool last = world->rank == world->size - 1;
    if (world->size > 1) {
        FAILS(mu_comm_all_reduce_dict(world, values, last ? 3 : 2, MU_COMM_SUM), MU_ERR_USAGE, "rank 0 lacks \"zeta\"");
        FAILS(mu_comm_all_reduce_dict(world, values, last ? 1 : 2, MU_COMM_SUM), MU_ERR_USAGE, "\"acc\" is missing");
    }
    values[2] = a;
    FAILS(mu_comm_all_reduce_dict(world, values, last ? 3 : 2, MU_COMM_SUM), MU_ERR_USAGE, "\"loss\" comes twice");
}

/* Rank r's tensor k of the dtype: value(r, i + k, dtype). */
enum { N_TENSORS = 9 };

static void make_tensors(mu_tensor tensor[N_TENSORS], unsigned char data[N_TENSORS][800], const mu_dtype *dtypes,
                         int n_dtypes)
{
    static const int64_t counts[] = {7, 0, 100, 1, 30, 3, 2, 64, 5};
    for (int k = 0; k < N_TENSORS; k++) {
        double wide[100];
        for (int64_t i = 0; i < counts[k]; i++)
            wide[i] = value(world->rank, i + k, dtypes[k % n_dtypes]);
        memset(data[k], 0x5a, 800);
        mu_convert(data[k], dtypes[k % n_dtypes], wide, MU_F64, counts[k]);
        tensor[k] = (mu_tensor){.type = MU_TYPE(dtypes[k % n_dtypes], counts[k]), .data = data[k]};
    }
}

static void compare_tensors(const mu_tensor *tensor, mu_comm_op op)
{
    for (int k = 0; k < N_TENSORS; k++) {
        mu_dtype dtype = tensor[k].type.dtype;
        double got[100];
        int64_t count = mu_type_count(&tensor[k].type);
        mu_convert(got, MU_F64, tensor[k].data, dtype, count);
        for (int64_t i = 0; i < count; i++)
            CHECK(fabs(got[i] - expected(i + k, dtype, op)) <= (op == MU_COMM_MEAN ? rounding(dtype) * 2 : 0),
                  "tensor %d", k);
        if (mu_type_bytes(&tensor[k].type) < 800)
            CHECK(((unsigned char *)tensor[k].data)[mu_type_bytes(&tensor[k].type)] == 0x5a);
    }
}

static void check_params(void)
{
    static const mu_dtype floats[] = {MU_F32, MU_BF16, MU_F32, MU_F64},
                          mixed[] = {MU_F16, MU_I64, MU_BOOL, MU_I32, MU_U8};
    static const size_t buckets[] = {0, 1, 64, 300, SIZE_MAX};
    mu_tensor tensor[N_TENSORS];
    unsigned char data[N_TENSORS][800];
    for (size_t b = 0; b < sizeof buckets / sizeof *buckets; b++) {
        make_tensors(tensor, data, floats, 4);
        OK(mu_comm_all_reduce_params(world, tensor, N_TENSORS, MU_COMM_MEAN, buckets[b]));
        compare_tensors(tensor, MU_COMM_MEAN);
        make_tensors(tensor, data, mixed, 5);
        OK(mu_comm_all_reduce_params(world, tensor, N_TENSORS, MU_COMM_SUM, buckets[b]));
        compare_tensors(tensor, MU_COMM_SUM);
    }
    OK(mu_comm_all_reduce_params(world, NULL, 0, MU_COMM_SUM, SIZE_MAX));
    make_tensors(tensor, data, mixed, 5);
    unsigned char before[sizeof data];
    memcpy(before, data, sizeof data);
    FAILS(mu_comm_all_reduce_params(world, tensor, N_TENSORS, MU_COMM_MEAN, SIZE_MAX), MU_ERR_UNSUPPORTED,
          "mean of i64");
    CHECK(memcmp(before, data, sizeof data) == 0);
}

/* The same by name, in another order on each rank. */
static void check_tensors(void)
{
    static const mu_dtype dtypes[] = {MU_F32, MU_I64};
    static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i"};
    mu_tensor tensor[N_TENSORS], turned[N_TENSORS];
    unsigned char data[N_TENSORS][800];
    bool last = world->rank == world->size - 1;
    make_tensors(tensor, data, dtypes, 2);
    for (int k = 0; k < N_TENSORS; k++) {
        tensor[k].name = names[k];
        turned[(k + world->rank) % N_TENSORS] = tensor[k];
    }
    OK(mu_comm_all_reduce_tensors(world, turned, N_TENSORS, MU_COMM_SUM));
    compare_tensors(tensor, MU_COMM_SUM);
    OK(mu_comm_all_reduce_tensors(world, NULL, 0, MU_COMM_SUM));
    if (world->size > 1) {
        char text[64];
        FAILS(mu_comm_all_reduce_tensors(world, tensor, last ? 8 : 9, MU_COMM_SUM), MU_ERR_USAGE, "\"i\" is missing");
        tensor[2].type.dim[0] = last ? 99 : 100;
        FAILS(mu_comm_all_reduce_tensors(world, tensor, N_TENSORS, MU_COMM_SUM), MU_ERR_USAGE,
              "\"c\" is f32[99], on rank 0 it is f32[100]");
        snprintf(text, sizeof text, "rank %d/%d: ", world->size - 1, world->size);
        CHECK(strstr(mu_error_last()->message, text) != NULL, "%s", mu_error_last()->message);
    }
    if (last)
        tensor[3].name = "a";
    FAILS(mu_comm_all_reduce_tensors(world, tensor, N_TENSORS, MU_COMM_SUM), MU_ERR_USAGE, "\"a\" comes twice");
}

static mu_err count_up(void *user)
{
    ++*(int *)user;
    return *(int *)user < 2 ? MU_OK : MU_FAIL(MU_ERR_IO, "two are too many");
}

static void check_on_main(void)
{
    int calls = 0, is_main = mu_comm_is_main(world);
    OK(mu_comm_on_main(world, count_up, &calls));
    CHECK(calls == is_main);
    FAILS(mu_comm_on_main(world, count_up, &calls), MU_ERR_IO, "two are too many");
    CHECK(calls == 2 * is_main);
}

static mu_cfg *tree_of(int rank)
{
    char text[200];
    mu_cfg *tree = NULL;
    snprintf(text, sizeof text,
             "{\"rank\": %d, \"x\": [1.5, 0.1, 1e300, null, true, \"true\", \"{{x}}\"], \"name\": \"r\u00fcck %d\\n\", "
             "\"d\": {}}",
             rank, rank);
    OK(mu_cfg_parse_json(text, strlen(text), "<test>", &tree));
    mu_cfg *x = mu_cfg_get(tree, "x"), *number;
    OK(mu_cfg_new_float(NAN, (mu_pos){0}, &number));
    OK(mu_cfg_append(x, number));
    OK(mu_cfg_new_float(-INFINITY, (mu_pos){0}, &number));
    OK(mu_cfg_append(x, number));
    return tree;
}

static void check_objects(void)
{
    mu_cfg *mine = tree_of(world->rank), *all, *scalar;
    for (int root = -1; root < world->size; root++) {
        all = NULL;
        if (root < 0)
            OK(mu_comm_all_gather_object(world, mine, &all));
        else
            OK(mu_comm_gather_object(world, mine, root, &all));
        CHECK((all != NULL) == (root < 0 || root == world->rank));
        for (int r = 0; all && r < world->size; r++) {
            mu_cfg *theirs = tree_of(r);
            CHECK(mu_cfg_size(all) == (size_t)world->size && mu_cfg_equal(mu_cfg_at(all, (size_t)r), theirs),
                  "rank %d's", r);
            mu_cfg_release(theirs);
        }
        mu_cfg_release(all);
    }
    for (int root = 0; root < world->size; root++) {
        mu_cfg *object = root == world->rank ? mine : NULL, *theirs = tree_of(root);
        OK(mu_comm_broadcast_object(world, &object, root));
        CHECK(mu_cfg_equal(object, theirs));
        if (object != mine)
            mu_cfg_release(object);
        mu_cfg_release(theirs);
    }
    OK(mu_cfg_new_int(world->rank, (mu_pos){0}, &scalar));
    OK(mu_comm_all_gather_object(world, scalar, &all));
    for (int r = 0; r < world->size; r++)
        CHECK(mu_cfg_int(mu_cfg_at(all, (size_t)r)) == r);
    mu_cfg_release(all);
    mu_cfg_release(scalar);
    FAILS(mu_comm_gather_object(world, mine, world->size, &all), MU_ERR_USAGE, "is not a rank");
    FAILS(mu_comm_broadcast_object(world, &mine, -1), MU_ERR_USAGE, "root -1");
    mu_cfg_release(mine);
}

/* Records of `samples` samples dealt out in turns; with padding every rank has as many, else the last ones may have
 * fewer. The record of sample s has s % 4 bytes of value s; padding has another content, which must not win. */
static size_t deal(int samples, bool padding, mu_record *record, unsigned char bytes[][4])
{
    int each = (samples + world->size - 1) / world->size;
    size_t n = 0;
    for (int k = 0; k < each; k++) {
        int place = k * world->size + world->rank;
        if (place >= samples && (!padding || samples == 0))
            break;
        int s = place % samples;
        memset(bytes[n], place < samples ? s : 0xee, 4);
        record[n] = (mu_record){.id = s, .data = s % 4 ? bytes[n] : NULL, .size = (size_t)(s % 4)};
        n++;
    }
    return n;
}

static void check_collect(void)
{
    enum { MOST = 40 };
    mu_record record[MOST];
    unsigned char bytes[MOST][4];
    for (int samples = 0; samples < MOST; samples = samples < 9 ? samples + 1 : samples + 7)
        for (int root = MU_COLLECT_ALL; root < world->size; root++)
            for (int variant = 0; variant < 3; variant++) {
                size_t n = deal(samples, variant > 0, record, bytes);
                int64_t total = variant == 2 ? samples / 2 : variant == 1 ? samples : -1;
                size_t want = (size_t)(variant == 2 ? samples / 2 : samples);
                mu_records *all = NULL;
                OK(mu_comm_collect(world, record, n, total, root, &all));
                CHECK((all != NULL) == (root < 0 || world->rank == root));
                if (!all)
                    continue;
                CHECK(mu_records_count(all) == want, "%zu of %zu", mu_records_count(all), want);
                for (size_t s = 0; s < want && s < mu_records_count(all); s++) {
                    const mu_record *r = mu_records_at(all, s);
                    unsigned char same[4];
                    memset(same, (int)s, 4);
                    CHECK(r->id == (int64_t)s && r->size == s % 4 && memcmp(r->data, same, r->size) == 0);
                }
                CHECK(mu_records_at(all, want) == NULL);
                mu_records_release(all);
            }
    /* Lists of any length: rank r has r records; items of one turn stand together. */
    size_t n = 0, at = 0;
    for (int j = 0; j < world->rank; j++)
        record[n++] = (mu_record){.id = world->rank * 100 + j};
    mu_records *all = NULL;
    OK(mu_comm_collect(world, record, n, -1, 0, &all));
    for (int j = 0; all && j < world->size; j++)
        for (int r = j + 1; r < world->size; r++) {
            CHECK(mu_records_at(all, at) && mu_records_at(all, at)->id == r * 100 + j);
            at++;
        }
    CHECK(!all || mu_records_count(all) == at);
    mu_records_release(all);
}

static mu_err try_collect(void)
{
    mu_record record = {.id = world->rank, .data = "abc", .size = 3};
    mu_records *all = NULL;
    MU_TRY(mu_comm_collect(world, &record, 1, -1, MU_COLLECT_ALL, &all));
    mu_records_release(all);
    return MU_OK;
}

static mu_err try_blob(void)
{
    char text[] = "text";
    void *data = text;
    size_t size = 4;
    MU_TRY(mu_comm_broadcast_blob(world, &data, &size, 0));
    if (world->rank != 0)
        mu_free(data);
    return MU_OK;
}

static mu_err try_dict(void)
{
    mu_named_value values[] = {{"a", 1}, {"b", 2}};
    MU_TRY(mu_comm_all_reduce_dict(world, values, 2, MU_COMM_SUM));
    return MU_OK;
}

static mu_err try_objects(void)
{
    mu_cfg *mine = NULL, *all = NULL, *copy = NULL;
    mu_err err = mu_comm_agree(world, mu_cfg_new_string("text", 4, (mu_pos){0}, &mine));
    if (err == MU_OK)
        err = mu_comm_all_gather_object(world, mine, &all);
    if (world->rank == 0)
        copy = mine;
    if (err == MU_OK)
        err = mu_comm_broadcast_object(world, &copy, 0);
    mu_cfg_release(mine);
    mu_cfg_release(all);
    if (copy != mine)
        mu_cfg_release(copy);
    return err;
}

static mu_err try_split(void)
{
    mu_comm *part = NULL;
    MU_TRY(mu_comm_split(world, 0, 0, &part));
    mu_err err = mu_comm_set_fixed_order(part, true);
    mu_comm_release(part);
    return err;
}

static mu_err try_slices(void)
{
    float data[MAX_RANKS] = {0}, slice[2];
    mu_request request[2] = {0};
    mu_comm *part = NULL;
    MU_TRY(mu_comm_split(world, 0, 0, &part));
    mu_err err = mu_comm_start_reduce_scatter(part, data, &slice[0], 1, MU_F32, MU_COMM_SUM, &request[0]);
    if (err == MU_OK)
        err = mu_comm_start_reduce_scatter(part, data, &slice[1], 1, MU_F32, MU_COMM_SUM, &request[1]);
    for (int i = 0; i < 2 && err == MU_OK; i++)
        err = mu_request_wait(&request[i]);
    mu_comm_release(part);
    return err;
}

static mu_err try_hierarchy(void)
{
    mu_comm *made = NULL;
    MU_TRY(mu_comm_hierarchy_of(world, world->rank / 2, &made));
    mu_comm_release(made);
    return MU_OK;
}

/* One rank's allocations fail in turn: all ranks hear of it, and nothing is left behind. */
static void check_out_of_memory(void)
{
    static mu_err (*const calls[])(void) = {try_collect, try_blob,      try_dict,   try_split,
                                            try_slices,  try_hierarchy, try_objects};
    for (size_t c = 0; c < sizeof calls / sizeof *calls; c++)
        for (int who = 0; who<world->size; who += world->size> 1 ? world->size - 1 : 1) {
            mu_err err = MU_ERR_MEMORY;
            int64_t live = mu_mem_get_counts().live_blocks;
            for (int64_t n = 1; err != MU_OK && n < 100; n++) {
                if (world->rank == who)
                    mu_mem_fail_at(n);
                err = calls[c]();
                mu_mem_fail_at(0);
                CHECK(err == MU_OK || err == MU_ERR_MEMORY, "%s", mu_error_last()->message);
                char text[32];
                snprintf(text, sizeof text, "rank %d/%d: ", who, world->size);
                if (calls[c] == try_hierarchy) /* it may be the ranks of a part that agree first */
                    snprintf(text, sizeof text, ": out of memory");
                CHECK(err == MU_OK || world->size == 1 || strstr(mu_error_last()->message, text) != NULL, "%s",
                      mu_error_last()->message);
                CHECK(mu_mem_get_counts().live_blocks == live, "call %zu, allocation %lld", c, (long long)n);
            }
            CHECK(err == MU_OK);
        }
}

/* Every rank writes to every other, twice; what comes from one rank comes in order. */
static void check_notes(void)
{
    int64_t note[4], seen[MAX_RANKS] = {0};
    int from, me = world->rank, n = world->size;
    mu_comm *own;
    OK(mu_comm_split(world, 0, me, &own));
    for (int i = 0; i < 2 * n; i++) {
        int64_t words[4] = {me, i / n, i % n, 99};
        if (i % n != me)
            OK(mu_comm_post(own, words, sizeof words, i % n));
    }
    for (int left = 2 * (n - 1); left > 0;) {
        OK(mu_comm_poll(own, note, sizeof note, &from));
        if (from < 0)
            continue;
        CHECK(note[0] == from && note[1] == seen[from] && note[2] == me && note[3] == 99);
        seen[from]++;
        left--;
    }
    OK(mu_comm_poll(own, note, sizeof note, &from));
    CHECK(from == -1);
    OK(mu_comm_barrier(world));
    FAILS(mu_comm_post(own, note, sizeof note, n), MU_ERR_USAGE, "is not a rank");
    FAILS(mu_comm_post(own, note, sizeof note, me), MU_ERR_USAGE, "to another rank");
    FAILS(mu_comm_post(own, note, MU_NOTE_BYTES + 1, 0), MU_ERR_USAGE, "2049 bytes");
    mu_comm_release(own);
}

static void check_start_broadcast(void)
{
    enum { N = 100 };
    int32_t data[2][N];
    mu_request request[2] = {0};
    for (int root = 0; root < world->size; root++) {
        for (int k = 0; k < 2; k++) {
            for (int i = 0; i < N; i++)
                data[k][i] = world->rank * 1000 + i + k;
            OK(mu_comm_start_broadcast(world, data[k], N, MU_I32, root, &request[k]));
        }
        OK(mu_request_wait(&request[1]));
        OK(mu_request_wait(&request[0]));
        for (int i = 0; i < N; i++)
            CHECK(data[0][i] == root * 1000 + i && data[1][i] == root * 1000 + i + 1);
    }
    OK(mu_comm_start_broadcast(world, NULL, 0, MU_I32, 0, &request[0]));
    OK(mu_request_wait(&request[0]));
    FAILS(mu_comm_start_broadcast(world, data, 1, MU_I32, world->size, &request[0]), MU_ERR_USAGE, "is not a rank");
}

/* Sees what another thread is doing and lets the last rank go on; then sees the end. */
typedef struct {
    mu_comm *side;
    const char *seen;
    mu_err err;
} watcher;

static void *watch(void *user)
{
    watcher *w = user;
    while (!(w->seen = atomic_load(&world->doing)))
        sched_yield();
    w->err = mu_comm_barrier(w->side);
    while (atomic_load(&world->doing))
        sched_yield();
    return NULL;
}

/* Who waits for the last rank can be seen to, by the name of the outermost call. */
static void check_doing(void)
{
    static const char *const names[] = {"barrier", "all_reduce_dict", "agree", "all_reduce"};
    mu_comm *side;
    CHECK(world->doing == NULL);
    OK(mu_comm_split(world, 0, 0, &side));
    for (int call = 0; call < 4 && world->size > 1 && world->threads; call++) {
        pthread_t thread;
        watcher w = {.side = side};
        mu_named_value loss = {"loss", 1};
        float data[2] = {1, 1};
        mu_request request = {0};
        bool last = world->rank == world->size - 1;
        if (call < 3 && !last)
            CHECK(pthread_create(&thread, NULL, watch, &w) == 0);
        if (call < 3 && last)
            OK(mu_comm_barrier(side));
        if (call == 0)
            OK(mu_comm_barrier(world));
        else if (call == 1)
            OK(mu_comm_all_reduce_dict(world, &loss, 1, MU_COMM_SUM));
        else if (call == 2)
            OK(mu_comm_agree(world, MU_OK));
        if (call == 3 && last)
            OK(mu_comm_barrier(side));
        if (call == 3)
            OK(mu_comm_start_all_reduce(world, data, 2, MU_F32, MU_COMM_SUM, &request));
        if (call == 3 && !last)
            CHECK(pthread_create(&thread, NULL, watch, &w) == 0);
        OK(mu_request_wait(&request));
        if (!last) {
            pthread_join(thread, NULL);
            CHECK(w.err == MU_OK && w.seen && strcmp(w.seen, names[call]) == 0, "%s instead of %s", w.seen,
                  names[call]);
        }
        CHECK(world->doing == NULL);
    }
    mu_comm_release(side);
}

/* Two threads, two communicators: each gets its own sums. */
typedef struct {
    mu_comm *comm;
    int64_t wrong;
} worker;

static void *work(void *user)
{
    worker *w = user;
    for (int k = 0; k < 200; k++) {
        int64_t x[3] = {w->comm->rank, k, 1}, size = w->comm->size, *slice = &x[1], whole[MAX_RANKS];
        mu_request request = {0};
        w->wrong += mu_comm_all_reduce(w->comm, x, 3, MU_I64, MU_COMM_SUM) != MU_OK;
        w->wrong += x[0] != size * (size - 1) / 2 || x[1] != k * size || x[2] != size;
        w->wrong += mu_comm_start_all_gather(w->comm, slice, whole, 1, MU_I64, &request) != MU_OK;
        w->wrong += mu_request_wait(&request) != MU_OK;
        for (int64_t r = 0; r < size; r++)
            w->wrong += whole[r] != k * size;
    }
    return NULL;
}

static void check_threads(void)
{
    pthread_t thread;
    worker here = {.comm = world}, there = {0};
    if (!world->threads)
        return;
    OK(mu_comm_split(world, 0, -world->rank, &there.comm));
    CHECK(pthread_create(&thread, NULL, work, &there) == 0);
    work(&here);
    pthread_join(thread, NULL);
    CHECK(here.wrong == 0 && there.wrong == 0, "%lld, %lld wrong", (long long)here.wrong, (long long)there.wrong);
    mu_comm_release(there.comm);
}

static void check_delay(void)
{
    const double latency = 0.02;
    mu_comm *inner, *slow, *part;
    mu_request request[2] = {0};
    float data[2] = {1, 1};
    bool done;
    OK(mu_comm_split(world, 0, 0, &inner));
    FAILS(mu_comm_delay_new(inner, -1, 0, &slow), MU_ERR_USAGE, "-1 s");
    OK(mu_comm_delay_new(inner, latency, 0, &slow));
    OK(mu_comm_split(slow, 0, 0, &part));
    CHECK(slow->rank == world->rank && slow->size == world->size && slow->local_size == world->local_size);
    double begun = mu_clock();
    for (int k = 0; k < 2; k++)
        OK(mu_comm_start_all_reduce(slow, &data[k], 1, MU_F32, MU_COMM_SUM, &request[k]));
    OK(mu_request_test(&request[1], &done));
    CHECK(done == (world->size == 1) || mu_clock() - begun >= 2 * latency);
    OK(mu_request_wait(&request[1]));
    CHECK(world->size == 1 || mu_clock() - begun >= 2 * latency, "the second is behind the first: %g s",
          mu_clock() - begun);
    OK(mu_request_test(&request[0], &done));
    CHECK(done && data[0] == (float)world->size && data[1] == data[0]);
    begun = mu_clock();
    OK(mu_comm_barrier(slow));
    OK(mu_comm_barrier(part));
    CHECK(world->size == 1 || mu_clock() - begun >= 2 * latency, "%g s", mu_clock() - begun);
    mu_comm_release(slow);
    mu_comm_release(part);

    OK(mu_comm_split(world, 0, 0, &inner));
    OK(mu_comm_delay_new(inner, 0, latency * 1024, &slow)); /* of 1 KiB */
    char kilobyte[1024] = "";
    begun = mu_clock();
    OK(mu_comm_broadcast_bytes(slow, kilobyte, sizeof kilobyte, 0));
    CHECK(world->size == 1 || mu_clock() - begun >= latency, "%g s", mu_clock() - begun);
    mu_comm_release(slow);
}

static void check_environment(void)
{
    static const char *const wrong[] = {"fast", "-1", "1,", "1,2,3", "nan", "5us"};
    mu_comm *comm;
    OK(mu_comm_split(world, 0, 0, &comm));
    mu_comm *plain = comm;
    OK(mu_comm_delay_from_environment(&comm));
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        setenv("MUSTER_COMM_DELAY", wrong[i], 1);
        FAILS(mu_comm_delay_from_environment(&comm), MU_ERR_USAGE, wrong[i]);
        CHECK(comm == plain);
    }
    setenv("MUSTER_COMM_DELAY", "0,0", 1);
    OK(mu_comm_delay_from_environment(&comm));
    CHECK(comm == plain);
    setenv("MUSTER_COMM_DELAY", "1.5,20", 1);
    OK(mu_comm_delay_from_environment(&comm));
    CHECK(strcmp(comm->ops->name, "delay") == 0);
    unsetenv("MUSTER_COMM_DELAY");
    mu_comm_release(comm);
}

/* What every communicator does alike. */
static void check_conformance(void)
{
    const int64_t chunk = world->chunk;
    check_arguments();
    for (int64_t limit = 0; limit <= 48; limit += 48) { /* bytes of a message; 0: the real limit */
        world->chunk = limit ? limit : chunk;
        check_all_reduce();
        check_nan();
        check_requests();
        check_slices();
        check_many_on_their_way();
        check_start_broadcast();
        check_fixed_order();
        check_broadcast_gather();
        check_bytes(0);
        check_bytes(64);
        check_broadcast_blob();
        check_split();
        check_collect();
    }
    world->chunk = chunk;
    check_long_sums();
    check_large_slices();
    check_doing();
    check_threads();
    check_out_of_memory();
}

/* The same over a communicator that is made of the launched one. */
static void check_wrapped(mu_comm *wrapped)
{
    mu_comm *plain = world;
    world = wrapped;
    check_conformance();
    mu_comm_release(world);
    world = plain;
}

/* Nodes made up: of two ranks, of two and the rest, all, one each, in turns. */
static void check_hierarchy(void)
{
    for (int variant = 0; variant < 5; variant++) {
        int r = world->rank, color[] = {r / 2, r == 1, 3, r, r % 2};
        mu_comm *inner, *wrapped;
        OK(mu_comm_split(world, 0, 0, &inner));
        OK(mu_comm_hierarchy_of(inner, color[variant], &wrapped));
        CHECK(wrapped->node == color[variant]);
        int size = wrapped->local_size, most[2] = {size, -size};
        OK(mu_comm_all_gather(world, &color[variant], 1, MU_I32, color_of));
        OK(mu_comm_all_reduce(world, most, 2, MU_I32, MU_COMM_MAX));
        hierarchical = most[0] > 1 && most[0] < world->size;
        even = most[0] == -most[1];
        check_wrapped(wrapped);
        hierarchical = false;
        mu_comm_release(inner);
    }
    mu_comm *wrapped = NULL;
    OK(mu_comm_hierarchy_new(world, &wrapped));
    CHECK(wrapped->local_rank == world->local_rank && wrapped->local_size == world->local_size);
    mu_comm_release(wrapped);
    FAILS(mu_comm_hierarchy_of(world, world->rank == world->size - 1 ? -1 : 0, &wrapped), MU_ERR_USAGE, "color -1");
}

static void check_all(void)
{
    mu_comm *inner, *wrapped;
    check_conformance();
    check_agreement();
    check_seed();
    check_dict();
    check_params();
    check_tensors();
    check_on_main();
    check_objects();
    check_delay();
    check_environment();
    check_notes();
    OK(mu_comm_split(world, 0, 0, &inner));
    OK(mu_comm_delay_new(inner, 0, 0, &wrapped));
    check_wrapped(wrapped);
    check_hierarchy();
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "all";
    mu_err err = mu_launch(&world);
    if (err != MU_OK) {
        fprintf(stderr, "%s\n", mu_error_last()->message);
        return 1;
    }
    int rank = world->rank, size = world->size;
    bool last = rank == size - 1;
    if (strcmp(what, "die") == 0) {
        if (last)
            raise(SIGKILL);
        err = mu_comm_barrier(world);
        mu_comm_abort(world, 1);
        return err == MU_OK ? 0 : 1;
    }
    if (strcmp(what, "abort") == 0) {
        if (last)
            mu_comm_abort(world, 7);
        return mu_comm_barrier(world) == MU_OK ? 0 : 7;
    }
    if (strcmp(what, "fail") == 0) {
        err = mu_comm_agree(world, last ? MU_FAIL(MU_ERR_IO, "no disk") : MU_OK);
        if (rank == 0)
            fprintf(stderr, "%s\n", mu_error_last()->message);
        mu_comm_release(world);
        return mu_err_exit_status(err);
    }
    if (strcmp(what, "size") == 0)
        printf("%s %d\n", world->ops->name, size);
    else
        check_all();
    const char *name = world->ops->name;
    int64_t total = failures;
    err = mu_comm_all_reduce(world, &total, 1, MU_I64, MU_COMM_SUM);
    mu_comm_release(world);
    int64_t left = mu_mem_get_counts().live_blocks;
    if (left != 0)
        fprintf(stderr, "rank %d/%d: %lld blocks were not freed\n", rank, size, (long long)left);
    if (strcmp(what, "all") == 0 && rank == 0)
        printf("%s, %d ranks: %d checks on rank 0, %lld failures\n", name, size, checks, (long long)total);
    return err != MU_OK || total > 0 || left != 0;
}
