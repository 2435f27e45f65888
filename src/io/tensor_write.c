/* A snapshot to the disk: the part of it that runs in the background. */
#include "config.h"

#include "io/tensor_snapshot.h"

#include "core/mem.h"

static mu_err write_item(mu_tensor_snapshot *s, const tensor_placed *it)
{
    tensor_part *part = &s->part[it->part];
    if (!part->file)
        MU_TRY(mu_replacement_join(part->path, part->temporary, &part->file));
    return mu_replacement_write(part->file, it->data, (size_t)it->bytes, it->at);
}

static mu_err write_metadata(const mu_tensor_snapshot *s, int p)
{
    const tensor_part *part = &s->part[p];
    mu_extent *extent;
    int64_t n = 0;
    MU_TRY(mu_calloc(&extent, s->n, sizeof *extent));
    for (size_t i = 0; i < s->n; i++) {
        const tensor_placed *it = &s->item[i];
        if (it->part == p && !it->small && it->bytes > 0)
            extent[n++] = (mu_extent){it->at, it->at + it->bytes};
    }
    mu_err err = mu_scratch_copy(&part->scratch, part->bytes, extent, n, mu_replacement_fd(part->file), part->path);
    mu_free(extent);
    return err ? err : mu_replacement_resize(part->file, part->bytes);
}

static mu_err write_mine(mu_tensor_snapshot *s)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->item[i].owner == s->rank && !s->item[i].small && s->item[i].bytes > 0)
            MU_TRY(write_item(s, &s->item[i]));
    for (int p = 0; p <= s->n_shards; p++)
        if (s->part[p].lead == s->rank)
            MU_TRY(write_metadata(s, p));
    for (int p = 0; p <= s->n_shards; p++)
        if (s->part[p].file)
            MU_TRY(mu_replacement_flush(s->part[p].file));
    return MU_OK;
}

static mu_err commit(mu_tensor_snapshot *s, int first, int end)
{
    for (int p = first; p < end; p++)
        if (s->part[p].lead == s->rank)
            MU_TRY(mu_replacement_commit(s->part[p].file));
    return MU_OK;
}

/* The file at the path last: it names the shards. Those of a file that stood there before go. */
static mu_err commit_all(mu_tensor_snapshot *s, mu_comm *comm)
{
    int n = s->n_shards;
    if (n > 0)
        MU_TRY(mu_comm_agree_patiently(comm, commit(s, 0, n)));
    MU_TRY(mu_comm_agree_patiently(comm, commit(s, n, n + 1)));
    if (s->part[n].lead == s->rank)
        tensor_shards_remove(s->part[n].path, n);
    return MU_OK;
}

mu_err mu_tensor_snapshot_write(mu_tensor_snapshot *s, mu_comm *comm, int64_t *bytes)
{
    int64_t total = 0;
    MU_TRY(tensor_finish_late(s, comm));
    MU_TRY(mu_comm_agree_patiently(comm, write_mine(s)));
    MU_TRY(commit_all(s, comm));
    for (int p = 0; p <= s->n_shards; p++)
        total += s->part[p].bytes;
    if (bytes)
        *bytes = total;
    return MU_OK;
}
