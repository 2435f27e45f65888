/* Bytes from rank to rank: broadcasts, gathers, parts of a communicator; wrong arguments. */
#include "mpi/comm_checks.h"

#include "core/mem.h"
#include "dist/collect.h"

void check_broadcast_gather(void)
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
void check_bytes(int seed)
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

void check_broadcast_blob(void)
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

void check_arguments(void)
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

void check_split(void)
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
