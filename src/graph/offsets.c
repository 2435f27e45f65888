#include "graph/offsets.h"

#include "core/mem.h"

#include <stdlib.h>
#include <string.h>

/* Beyond this many blocks only the heuristics that are not quadratic are tried. */
enum { GREEDY_MAX = 8192 };

typedef struct {
    size_t offset, bytes;
} gap;

typedef struct {
    const mu_block *blocks;
    int32_t n, n_steps;
    size_t bound;
    size_t *offset, *best; /* [n] of the heuristic at work and of the best so far */
    size_t best_total;
    int32_t *order;            /* [n] */
    int32_t *bucket, *expired; /* [n_steps+1], [n]: blocks by the step at which they begin or end */
    gap *gaps;                 /* [n+1] free ranges below the top, by offset */
    size_t n_gaps;
} placer;

/* ---- in time order: a free list, best fit ---- */

static void gap_insert(placer *p, size_t offset, size_t bytes)
{
    size_t lo = 0, hi = p->n_gaps;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (p->gaps[mid].offset < offset)
            lo = mid + 1;
        else
            hi = mid;
    }
    int joins_left = lo > 0 && p->gaps[lo - 1].offset + p->gaps[lo - 1].bytes == offset;
    int joins_right = lo < p->n_gaps && offset + bytes == p->gaps[lo].offset;
    if (joins_left && joins_right) {
        p->gaps[lo - 1].bytes += bytes + p->gaps[lo].bytes;
        memmove(&p->gaps[lo], &p->gaps[lo + 1], (--p->n_gaps - lo) * sizeof *p->gaps);
    } else if (joins_left) {
        p->gaps[lo - 1].bytes += bytes;
    } else if (joins_right) {
        p->gaps[lo].offset = offset;
        p->gaps[lo].bytes += bytes;
    } else {
        memmove(&p->gaps[lo + 1], &p->gaps[lo], (p->n_gaps++ - lo) * sizeof *p->gaps);
        p->gaps[lo] = (gap){offset, bytes};
    }
}

/* The smallest gap that fits; else the top grows, using a gap that touches it. */
static size_t gap_take(placer *p, size_t bytes, size_t *top)
{
    size_t best = p->n_gaps;
    for (size_t i = 0; i < p->n_gaps; i++)
        if (p->gaps[i].bytes >= bytes && (best == p->n_gaps || p->gaps[i].bytes < p->gaps[best].bytes))
            best = i;
    size_t offset = *top;
    if (best == p->n_gaps) {
        gap *last = p->n_gaps ? &p->gaps[p->n_gaps - 1] : NULL;
        if (last && last->offset + last->bytes == *top) {
            offset = last->offset;
            p->n_gaps--;
        }
        *top = offset + bytes;
        return offset;
    }
    offset = p->gaps[best].offset;
    p->gaps[best].offset += bytes;
    p->gaps[best].bytes -= bytes;
    if (!p->gaps[best].bytes)
        memmove(&p->gaps[best], &p->gaps[best + 1], (--p->n_gaps - best) * sizeof *p->gaps);
    return offset;
}

static size_t rounded(const mu_block *b)
{
    return mu_align_up(b->bytes);
}

static int32_t begin_of(const placer *p, int32_t i, int backwards)
{
    return backwards ? p->n_steps - 1 - p->blocks[i].last : p->blocks[i].first;
}

static int32_t end_of(const placer *p, int32_t i, int backwards)
{
    return backwards ? p->n_steps - 1 - p->blocks[i].first : p->blocks[i].last;
}

static size_t place_in_time(placer *p, int backwards)
{
    /* p->order: by begin, larger blocks first (counting sort by end goes to expired). */
    int32_t *bucket = p->bucket;
    memset(bucket, 0, ((size_t)p->n_steps + 1) * sizeof *bucket);
    for (int32_t i = 0; i < p->n; i++)
        bucket[end_of(p, i, backwards) + 1]++;
    for (int32_t s = 0; s < p->n_steps; s++)
        bucket[s + 1] += bucket[s];
    for (int32_t i = 0; i < p->n; i++)
        p->expired[bucket[end_of(p, i, backwards)]++] = i;
    p->n_gaps = 0;
    size_t top = 0;
    int32_t dead = 0;
    for (int32_t k = 0; k < p->n; k++) {
        int32_t i = p->order[k];
        for (; dead < p->n && end_of(p, p->expired[dead], backwards) < begin_of(p, i, backwards); dead++)
            if (rounded(&p->blocks[p->expired[dead]]))
                gap_insert(p, p->offset[p->expired[dead]], rounded(&p->blocks[p->expired[dead]]));
        p->offset[i] = rounded(&p->blocks[i]) ? gap_take(p, rounded(&p->blocks[i]), &top) : 0;
    }
    return top;
}

/* ---- one by one, in any order: the best gap between those placed that are alive at the same time ---- */

static size_t place_greedily(placer *p)
{
    int32_t *placed = p->expired; /* by offset */
    int32_t n_placed = 0;
    size_t total = 0;
    for (int32_t k = 0; k < p->n; k++) {
        const mu_block *b = &p->blocks[p->order[k]];
        size_t bytes = rounded(b), at = 0, best = SIZE_MAX, best_waste = SIZE_MAX;
        if (!bytes) {
            p->offset[p->order[k]] = 0;
            continue;
        }
        for (int32_t i = 0; i < n_placed; i++) {
            const mu_block *other = &p->blocks[placed[i]];
            if (other->last < b->first || b->last < other->first)
                continue;
            size_t offset = p->offset[placed[i]];
            if (offset >= at && offset - at >= bytes && offset - at - bytes < best_waste) {
                best = at;
                best_waste = offset - at - bytes;
            }
            if (offset + rounded(other) > at)
                at = offset + rounded(other);
        }
        if (best == SIZE_MAX)
            best = at;
        p->offset[p->order[k]] = best;
        if (best + bytes > total)
            total = best + bytes;
        int32_t lo = 0, hi = n_placed;
        while (lo < hi) {
            int32_t mid = (lo + hi) / 2;
            if (p->offset[placed[mid]] < best)
                lo = mid + 1;
            else
                hi = mid;
        }
        memmove(&placed[lo + 1], &placed[lo], (size_t)(n_placed++ - lo) * sizeof *placed);
        placed[lo] = p->order[k];
    }
    return total;
}

/* ---- orders; qsort has no context argument, so keys are sorted along ---- */

typedef struct {
    uint64_t major, minor; /* major rising, minor falling, then id */
    int32_t id;
} sort_key;

static int compare_keys(const void *pa, const void *pb)
{
    const sort_key *a = pa, *b = pb;
    if (a->major != b->major)
        return a->major < b->major ? -1 : 1;
    if (a->minor != b->minor)
        return a->minor > b->minor ? -1 : 1;
    return a->id < b->id ? -1 : a->id > b->id;
}

typedef enum { FORWARDS, BACKWARDS, BY_SIZE, BY_AREA, N_HEURISTICS } heuristic;

static mu_err sort_blocks(placer *p, heuristic how)
{
    sort_key *keys;
    MU_TRY(mu_calloc(&keys, (size_t)p->n + 1, sizeof *keys));
    for (int32_t i = 0; i < p->n; i++) {
        const mu_block *b = &p->blocks[i];
        keys[i].id = i;
        keys[i].minor = rounded(b);
        if (how == FORWARDS || how == BACKWARDS)
            keys[i].major = (uint64_t)begin_of(p, i, how == BACKWARDS);
        else if (how == BY_AREA && __builtin_mul_overflow(rounded(b), (uint64_t)(b->last - b->first + 1), &keys[i].minor))
            keys[i].minor = UINT64_MAX;
    }
    qsort(keys, (size_t)p->n, sizeof *keys, compare_keys);
    for (int32_t i = 0; i < p->n; i++)
        p->order[i] = keys[i].id;
    mu_free(keys);
    return MU_OK;
}

static mu_err place(placer *p)
{
    size_t n = (size_t)p->n + 1;
    MU_TRY(mu_calloc(&p->offset, n, sizeof *p->offset));
    MU_TRY(mu_calloc(&p->best, n, sizeof *p->best));
    MU_TRY(mu_calloc(&p->order, n, sizeof *p->order));
    MU_TRY(mu_calloc(&p->expired, n, sizeof *p->expired));
    MU_TRY(mu_calloc(&p->bucket, (size_t)p->n_steps + 2, sizeof *p->bucket));
    MU_TRY(mu_calloc(&p->gaps, n, sizeof *p->gaps));
    p->best_total = SIZE_MAX;
    for (heuristic how = FORWARDS; how < N_HEURISTICS && p->best_total > p->bound; how++) {
        if (how >= BY_SIZE && p->n > GREEDY_MAX)
            break;
        MU_TRY(sort_blocks(p, how));
        size_t total = how < BY_SIZE ? place_in_time(p, how == BACKWARDS) : place_greedily(p);
        if (total < p->best_total) {
            p->best_total = total;
            memcpy(p->best, p->offset, n * sizeof *p->best);
        }
    }
    return MU_OK;
}

static mu_err check_sum(const mu_block *blocks, int32_t n)
{
    size_t sum = 0;
    for (int32_t i = 0; i < n; i++) {
        MU_TRY(mu_add_size(sum, blocks[i].bytes, &sum));
        MU_TRY(mu_add_size(sum, MU_ALIGN, &sum));
    }
    return MU_OK;
}

mu_err mu_offsets_assign(mu_block *blocks, int32_t n, size_t *total)
{
    placer p = {.blocks = blocks, .n = n};
    MU_TRY(check_sum(blocks, n));
    MU_TRY(mu_offsets_lower_bound(blocks, n, &p.bound));
    for (int32_t i = 0; i < n; i++)
        if (blocks[i].last >= p.n_steps)
            p.n_steps = blocks[i].last + 1;
    mu_err err = place(&p);
    if (!err) {
        for (int32_t i = 0; i < n; i++)
            blocks[i].offset = p.best[i];
        *total = p.best_total;
    }
    mu_free(p.offset);
    mu_free(p.best);
    mu_free(p.order);
    mu_free(p.expired);
    mu_free(p.bucket);
    mu_free(p.gaps);
    return err;
}

mu_err mu_offsets_lower_bound(const mu_block *blocks, int32_t n, size_t *out)
{
    int32_t n_steps = 0;
    for (int32_t i = 0; i < n; i++)
        if (blocks[i].last >= n_steps)
            n_steps = blocks[i].last + 1;
    size_t *change, now = 0, most = 0; /* wraps around on the way down, as unsigned sums may */
    MU_TRY(check_sum(blocks, n));
    MU_TRY(mu_calloc(&change, (size_t)n_steps + 1, sizeof *change));
    for (int32_t i = 0; i < n; i++) {
        change[blocks[i].first] += blocks[i].bytes;
        change[blocks[i].last + 1] -= blocks[i].bytes;
    }
    for (int32_t s = 0; s < n_steps; s++) {
        now += change[s];
        most = now > most ? now : most;
    }
    mu_free(change);
    *out = most;
    return MU_OK;
}
