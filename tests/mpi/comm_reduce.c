/* Reductions, blocking and on their way, whole and in slices, in a fixed order. */
#include "mpi/comm_checks.h"

#include "core/mem.h"

#include <math.h>

/* Every operation on every dtype, blocking and not, with a guard behind the data. */
void check_all_reduce(void)
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
void check_long_sums(void)
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

void check_nan(void)
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

void check_requests(void)
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
void check_slices(void)
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
void check_many_on_their_way(void)
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
void check_large_slices(void)
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
int color_of[MAX_RANKS];
bool hierarchical, even;

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
void check_fixed_order(void)
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
