#include "core/mem.h"
#include "dist/comm.h"
#include "dist/doing.h"

void mu_blobs_release(mu_blobs *blobs)
{
    mu_free(blobs->offset);
    mu_free(blobs->data);
    *blobs = (mu_blobs){0};
}

/* Running sums of the sizes and room for all bytes. */
static mu_err lay_out(const size_t *sizes, mu_blobs *blobs)
{
    blobs->offset[0] = 0;
    for (int r = 0; r < blobs->count; r++)
        MU_TRY(mu_add_size(blobs->offset[r], sizes[r], &blobs->offset[r + 1]));
    MU_TRY(mu_alloc(&blobs->data, blobs->offset[blobs->count]));
    return MU_OK;
}

/* root < 0: to all. */
static mu_err gather_blobs(mu_comm *comm, const void *data, size_t size, int root, mu_blobs *out)
{
    mu_blobs blobs = {0};
    size_t *sizes = NULL;
    bool receives = root < 0 || comm->rank == root;
    mu_err err = MU_OK;
    if (receives) {
        blobs.count = comm->size;
        err = mu_calloc(&sizes, (size_t)comm->size, sizeof *sizes);
        if (err == MU_OK)
            err = mu_calloc(&blobs.offset, (size_t)comm->size + 1, sizeof *blobs.offset);
    }
    MU_TRY_GOTO(err, mu_comm_agree(comm, err), failed);
    if (root < 0)
        MU_TRY_GOTO(err, comm->ops->all_gather(comm, &size, sizeof size, sizes), failed);
    else
        MU_TRY_GOTO(err, comm->ops->gather(comm, &size, sizeof size, sizes, root), failed);
    if (receives)
        err = lay_out(sizes, &blobs);
    MU_TRY_GOTO(err, mu_comm_agree(comm, err), failed);
    if (root < 0)
        MU_TRY_GOTO(err, comm->ops->all_gather_bytes(comm, data, size, blobs.data, sizes), failed);
    else
        MU_TRY_GOTO(err, comm->ops->gather_bytes(comm, data, size, blobs.data, sizes, root), failed);
    mu_free(sizes);
    *out = blobs;
    return MU_OK;
failed:
    mu_free(sizes);
    mu_blobs_release(&blobs);
    return err;
}

mu_err mu_comm_all_gather_blobs(mu_comm *comm, const void *data, size_t size, mu_blobs *out)
{
    MU_DOING(comm, "all_gather_blobs");
    MU_TRY(gather_blobs(comm, data, size, -1, out));
    return MU_OK;
}

mu_err mu_comm_gather_blobs(mu_comm *comm, const void *data, size_t size, int root, mu_blobs *out)
{
    MU_DOING(comm, "gather_blobs");
    if (root < 0 || root >= comm->size)
        return MU_FAIL(MU_ERR_USAGE, "gather_blobs: root %d is not a rank: expected 0 to %d", root, comm->size - 1);
    MU_TRY(gather_blobs(comm, data, size, root, out));
    return MU_OK;
}

mu_err mu_comm_broadcast_blob(mu_comm *comm, void **data, size_t *size, int root)
{
    MU_DOING(comm, "broadcast_blob");
    size_t n = *size, room;
    unsigned char *block = *data;
    MU_TRY(mu_comm_broadcast_bytes(comm, &n, sizeof n, root));
    mu_err err = MU_OK;
    if (comm->rank != root) {
        block = NULL;
        err = mu_add_size(n, 1, &room);
        if (err == MU_OK)
            err = mu_alloc(&block, room);
        if (err == MU_OK)
            block[n] = 0;
    }
    MU_TRY_GOTO(err, mu_comm_agree(comm, err), failed);
    MU_TRY_GOTO(err, mu_comm_broadcast_bytes(comm, block, n, root), failed);
    *data = block;
    *size = n;
    return MU_OK;
failed:
    if (comm->rank != root)
        mu_free(block);
    return err;
}
