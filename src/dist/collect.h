/* Results of all ranks brought together: one record per sample. */
#ifndef MU_DIST_COLLECT_H
#define MU_DIST_COLLECT_H

#include "dist/comm.h"

typedef struct {
    int64_t id; /* of the sample */
    const void *data;
    size_t size; /* bytes; 0 is a result as good as any other */
} mu_record;

typedef struct mu_records mu_records;

enum { MU_COLLECT_ALL = -1 };

/* Collective. Interleaves the ranks' lists item by item (item j of rank 0, of rank 1, ...), keeps the first record of each id
 * (a sampler that rounds up repeats samples) and at most `total` records (< 0: all). Lists may differ in length. *out is
 * owned by the caller on `root`, NULL elsewhere; with MU_COLLECT_ALL every rank gets it. Records are copied. */
MU_CHECKED mu_err mu_comm_collect(mu_comm *comm, const mu_record *mine, size_t n, int64_t total, int root,
                                  mu_records **out);
size_t mu_records_count(const mu_records *records);
const mu_record *mu_records_at(const mu_records *records, size_t i);
/* Puts them in the order of their ids. */
void mu_records_sort(mu_records *records);
void mu_records_release(mu_records *records);

#endif
