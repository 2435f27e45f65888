#include "dist/collect.h"

#include "core/mem.h"
#include "dist/doing.h"

#include <stdlib.h>

/* On the wire each record is its id and size, then its bytes, with no padding. */
typedef struct {
    int64_t id;
    uint64_t size;
} wire_header;

typedef struct {
    mu_record record;
    size_t position; /* in interleaved order */
    bool kept;
} entry;

struct mu_records {
    size_t count;
    mu_record *item;
    mu_blobs blobs; /* what the items point into */
};

void mu_records_release(mu_records *records)
{
    if (!records)
        return;
    mu_blobs_release(&records->blobs);
    mu_free(records->item);
    mu_free(records);
}

size_t mu_records_count(const mu_records *records)
{
    return records->count;
}

const mu_record *mu_records_at(const mu_records *records, size_t i)
{
    return i < records->count ? &records->item[i] : NULL;
}

static int compare_ids(const void *a, const void *b)
{
    const mu_record *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

void mu_records_sort(mu_records *records)
{
    qsort(records->item, records->count, sizeof *records->item, compare_ids);
}

static mu_err pack(const mu_record *mine, size_t n, unsigned char **out, size_t *size)
{
    size_t total;
    MU_TRY(mu_mul_size(n, sizeof(wire_header), &total));
    for (size_t i = 0; i < n; i++)
        MU_TRY(mu_add_size(total, mine[i].size, &total));
    MU_TRY(mu_alloc(out, total));
    unsigned char *at = *out;
    for (size_t i = 0; i < n; i++) {
        wire_header h = {.id = mine[i].id, .size = mine[i].size};
        memcpy(at, &h, sizeof h);
        if (mine[i].size)
            memcpy(at + sizeof h, mine[i].data, mine[i].size);
        at += sizeof h + mine[i].size;
    }
    *size = total;
    return MU_OK;
}

/* Reads the record at *at and moves on; false at the end of the rank's bytes. */
static bool next_record(const unsigned char **at, const unsigned char *end, mu_record *out)
{
    wire_header h;
    if ((size_t)(end - *at) < sizeof h)
        return false;
    memcpy(&h, *at, sizeof h);
    *out = (mu_record){.id = h.id, .data = *at + sizeof h, .size = h.size};
    *at += sizeof h + h.size;
    return true;
}

static int by_id(const void *a, const void *b)
{
    const entry *x = *(entry *const *)a, *y = *(entry *const *)b;
    if (x->record.id != y->record.id)
        return x->record.id < y->record.id ? -1 : 1;
    return x->position < y->position ? -1 : 1;
}

static size_t count_records(const mu_blobs *blobs)
{
    size_t n = 0;
    for (int r = 0; r < blobs->count; r++) {
        const unsigned char *at = blobs->data + blobs->offset[r], *end = blobs->data + blobs->offset[r + 1];
        mu_record record;
        while (next_record(&at, end, &record))
            n++;
    }
    return n;
}

/* Item j of every rank, for j = 0, 1, ...; `at` has room for one place per rank. */
static void interleave(const mu_blobs *blobs, const unsigned char **at, entry *entries)
{
    size_t n = 0;
    for (int r = 0; r < blobs->count; r++)
        at[r] = blobs->data + blobs->offset[r];
    for (bool more = true; more;) {
        more = false;
        for (int r = 0; r < blobs->count; r++)
            if (next_record(&at[r], blobs->data + blobs->offset[r + 1], &entries[n].record)) {
                entries[n].position = n;
                n++;
                more = true;
            }
    }
}

static void keep_first_of_each_id(entry *entries, entry **sorted, size_t n)
{
    for (size_t i = 0; i < n; i++)
        sorted[i] = &entries[i];
    qsort(sorted, n, sizeof *sorted, by_id);
    for (size_t i = 0; i < n; i++)
        sorted[i]->kept = i == 0 || sorted[i]->record.id != sorted[i - 1]->record.id;
}

/* Takes the blobs over on success. */
static mu_err unpack(mu_blobs *blobs, int64_t total, mu_records **out)
{
    size_t n = count_records(blobs);
    mu_records *records = NULL;
    entry *entries = NULL, **sorted = NULL;
    const unsigned char **at = NULL;
    mu_err err;
    MU_TRY_GOTO(err, mu_calloc(&records, 1, sizeof *records), done);
    MU_TRY_GOTO(err, mu_calloc(&records->item, n, sizeof *records->item), done);
    MU_TRY_GOTO(err, mu_calloc(&entries, n + 1, sizeof *entries), done); /* interleave looks one place ahead */
    MU_TRY_GOTO(err, mu_calloc(&sorted, n, sizeof *sorted), done);
    MU_TRY_GOTO(err, mu_calloc(&at, (size_t)blobs->count, sizeof *at), done);
    interleave(blobs, at, entries);
    keep_first_of_each_id(entries, sorted, n);
    for (size_t i = 0; i < n && (total < 0 || records->count < (size_t)total); i++)
        if (entries[i].kept)
            records->item[records->count++] = entries[i].record;
    records->blobs = *blobs;
    *blobs = (mu_blobs){0};
    *out = records;
    records = NULL;
done:
    mu_records_release(records);
    mu_free(entries);
    mu_free(sorted);
    mu_free(at);
    return err;
}

mu_err mu_comm_collect(mu_comm *comm, const mu_record *mine, size_t n, int64_t total, int root, mu_records **out)
{
    MU_DOING(comm, "collect");
    unsigned char *packed = NULL;
    size_t size = 0;
    mu_blobs blobs = {0};
    mu_records *records = NULL;
    if (root != MU_COLLECT_ALL && (root < 0 || root >= comm->size))
        return MU_FAIL(MU_ERR_USAGE, "collect: root %d is not a rank: expected 0 to %d, or all", root, comm->size - 1);
    mu_err err = pack(mine, n, &packed, &size);
    MU_TRY_GOTO(err, mu_comm_agree(comm, err), done);
    if (root == MU_COLLECT_ALL)
        MU_TRY_GOTO(err, mu_comm_all_gather_blobs(comm, packed, size, &blobs), done);
    else
        MU_TRY_GOTO(err, mu_comm_gather_blobs(comm, packed, size, root, &blobs), done);
    if (blobs.count > 0)
        err = unpack(&blobs, total, &records);
    MU_TRY_GOTO(err, mu_comm_agree(comm, err), done);
    *out = records;
    records = NULL;
done:
    mu_records_release(records);
    mu_blobs_release(&blobs);
    mu_free(packed);
    return err;
}
