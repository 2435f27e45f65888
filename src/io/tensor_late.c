/* What of a snapshot came after it was taken: bytes from a device, and their checksums, which HDF5 left room for. */
#include "config.h"

#include "io/tensor_snapshot.h"

#include "core/mem.h"

#include <string.h>

static mu_err wait_and_hash(mu_tensor_snapshot *s)
{
    MU_TRY(s->wait(s->wait_user));
    for (size_t i = 0; i < s->n; i++)
        if (s->item[i].late && s->item[i].owner == s->rank)
            s->item[i].hash = XXH3_64bits(s->item[i].data, (size_t)s->item[i].bytes);
    return MU_OK;
}

/* Those of late items of part p; zeros for others. */
static mu_err write_checksums(const mu_tensor_snapshot *s, const uint64_t *hash, int p)
{
    const tensor_part *part = &s->part[p];
    char *text;
    size_t bytes = s->n * TENSOR_CHECKSUM_TEXT;
    if (!part->checksums)
        return MU_OK;
    MU_TRY(mu_alloc(&text, bytes));
    for (size_t i = 0; i < s->n; i++) {
        char *line = text + i * TENSOR_CHECKSUM_TEXT;
        tensor_checksum_format(s->item[i].part == p ? hash[i] : 0, line);
        line[TENSOR_CHECKSUM_TEXT - 1] = '\n';
    }
    mu_err err = mu_pwrite(part->scratch.fd, text, bytes, part->checksums, TENSOR_CHECKSUMS);
    mu_free(text);
    return err;
}

static mu_err write_late(const mu_tensor_snapshot *s, const uint64_t *hash)
{
    for (size_t i = 0; i < s->n; i++) {
        const tensor_placed *it = &s->item[i];
        if (it->late && it->small && it->owner == s->rank && it->bytes > 0)
            MU_TRY(mu_pwrite(s->part[it->part].scratch.fd, it->data, (size_t)it->bytes, it->at, "the layout"));
    }
    for (int p = 0; p <= s->n_shards; p++)
        if (s->part[p].lead == s->rank)
            MU_TRY(write_checksums(s, hash, p));
    return MU_OK;
}

mu_err tensor_finish_late(mu_tensor_snapshot *s, mu_comm *comm)
{
    uint64_t *hash = NULL;
    if (!s->late)
        return MU_OK;
    mu_err err = wait_and_hash(s);
    MU_TRY(mu_comm_agree_patiently(comm, err ? err : mu_calloc(&hash, s->n, sizeof *hash)));
    for (size_t i = 0; i < s->n; i++)
        hash[i] = s->item[i].late && s->item[i].owner == s->rank ? s->item[i].hash : 0;
    err = mu_comm_all_reduce(comm, hash, (int64_t)s->n, MU_I64, MU_COMM_SUM);
    err = err ? err : mu_comm_agree_patiently(comm, write_late(s, hash));
    mu_free(hash);
    return err;
}
