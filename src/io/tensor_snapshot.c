#include "config.h"

#include "io/tensor_snapshot.h"

#include "core/mem.h"

#include <stdio.h>
#include <stdlib.h>

/* What lies among the metadata, which rank 0 writes: all but the tensors of a page and more, so that ranks do not write to one page,
 * and those that others bring. Texts may differ from rank to rank. */
static bool is_small(const tensor_declared *it)
{
    return it->owned || (mu_type_bytes(&it->type) < TENSOR_PAGE && (!it->pinned || it->rank == 0));
}

/* ---- who writes what ----
 * Slots, as many as there are ranks or shards, whichever are more: neighbours share a shard, or a rank. */
typedef struct {
    int64_t bytes;
    int i;
} weight;

static int by_weight(const void *a, const void *b)
{
    const weight *x = a, *y = b;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? 1 : -1;
    return (x->i > y->i) - (x->i < y->i);
}

static int n_slots(const mu_tensor_snapshot *s)
{
    return s->n_shards > s->size ? s->n_shards : s->size;
}

static int rank_of(const mu_tensor_snapshot *s, int slot)
{
    return s->n_shards > s->size ? (int)((int64_t)slot * s->size / s->n_shards) : slot;
}

static int part_of(const mu_tensor_snapshot *s, int slot)
{
    return s->n_shards > s->size ? slot : (int)((int64_t)slot * s->n_shards / s->size); /* 0 without shards */
}

/* The slot with least so far, of those that may have it. */
static int choose(const mu_tensor_snapshot *s, const tensor_declared *it, const int64_t *load)
{
    int best = -1;
    for (int k = 0; k < n_slots(s); k++)
        if ((!it->pinned || rank_of(s, k) == it->rank) && (best < 0 || load[k] < load[best]))
            best = k;
    return best;
}

/* The largest first. The same on all ranks. */
static mu_err share_out(mu_tensor_snapshot *s, const mu_tensor_writer *w)
{
    weight *order = NULL;
    int64_t *load = NULL;
    mu_err err;
    MU_TRY_GOTO(err, mu_calloc(&order, s->n, sizeof *order), done);
    MU_TRY_GOTO(err, mu_calloc(&load, (size_t)n_slots(s), sizeof *load), done);
    for (size_t i = 0; i < s->n; i++)
        order[i] = (weight){s->item[i].small ? 0 : s->item[i].bytes, (int)i};
    qsort(order, s->n, sizeof *order, by_weight);
    for (size_t k = 0; k < s->n; k++) {
        tensor_placed *it = &s->item[order[k].i];
        int slot = it->small ? 0 : choose(s, &w->item[order[k].i], load);
        it->owner = rank_of(s, slot);
        it->part = it->small ? s->n_shards : part_of(s, slot);
        load[slot] += order[k].bytes;
    }
done:
    mu_free(load);
    mu_free(order);
    return err;
}

/* ---- making ready ---- */
static mu_err name_parts(mu_tensor_snapshot *s, const char *path)
{
    MU_TRY(mu_calloc(&s->part, (size_t)s->n_shards + 1, sizeof *s->part));
    for (int p = 0; p <= s->n_shards; p++)
        s->part[p].scratch = MU_SCRATCH_NONE;
    for (int k = n_slots(s); s->n_shards > 0 && k > 0; k--)
        s->part[part_of(s, k - 1)].lead = rank_of(s, k - 1);
    for (int p = 0; p < s->n_shards; p++)
        MU_TRY(tensor_shard_path(path, p, s->n_shards, &s->part[p].path));
    return mu_strdup(&s->part[s->n_shards].path, path);
}

static mu_err init(mu_tensor_snapshot *s, const mu_tensor_writer *w, const char *path)
{
    MU_TRY(mu_calloc(&s->item, w->n, sizeof *s->item));
    for (size_t i = 0; i < w->n; i++) {
        const tensor_declared *it = &w->item[i];
        s->item[i] = (tensor_placed){.bytes = (int64_t)mu_type_bytes(&it->type), .small = is_small(it)};
        if (it->rank < 0 || it->rank >= s->size)
            return MU_FAIL(MU_ERR_USAGE, "'%s': there is no rank %d", it->path, it->rank);
        if (it->collected && !w->collect)
            return MU_FAIL(MU_ERR_USAGE, "'%s' is to be collected, and nobody was named who does it", it->path);
    }
    MU_TRY(name_parts(s, path));
    return share_out(s, w);
}

/* Names, shapes and kinds: texts and numbers may differ, rank 0's count. */
static uint64_t fingerprint(const mu_tensor_writer *w)
{
    XXH3_state_t state;
    XXH3_INITSTATE(&state);
    XXH3_64bits_reset(&state);
    XXH3_64bits_update(&state, &w->n_shards, sizeof w->n_shards);
    for (size_t i = 0; i < w->n; i++) {
        const tensor_declared *it = &w->item[i];
        int64_t shape[MU_MAX_NDIM + 5] = {it->type.dtype, it->text, it->rank, it->pinned, it->collected};
        memcpy(shape + 5, it->type.dim, it->text ? 0 : (size_t)it->type.ndim * sizeof *shape);
        XXH3_64bits_update(&state, it->path, strlen(it->path) + 1);
        XXH3_64bits_update(&state, shape, sizeof shape);
    }
    return XXH3_64bits_digest(&state);
}

static mu_err make_uuids(char *uuid, int n)
{
    for (int p = 0; p < n; p++)
        MU_TRY(mu_uuid_make(uuid + (size_t)p * MU_UUID_TEXT));
    return MU_OK;
}

static mu_err name_temporaries(mu_tensor_snapshot *s, const char *uuid)
{
    for (int p = 0; p <= s->n_shards; p++) {
        tensor_part *part = &s->part[p];
        memcpy(part->uuid, uuid + (size_t)p * MU_UUID_TEXT, MU_UUID_TEXT);
        MU_TRY(mu_asprintf(&part->temporary, "%s.%.8s.part", part->path, part->uuid));
    }
    return MU_OK;
}

/* Collective. Rank 0 draws what tells the files, and their temporary names, from others. */
static mu_err draw_names(mu_tensor_snapshot *s, mu_comm *comm)
{
    int n = s->n_shards + 1;
    char *uuid = NULL;
    mu_err err = mu_calloc(&uuid, (size_t)n, MU_UUID_TEXT);
    if (!err && mu_comm_is_main(comm))
        err = make_uuids(uuid, n);
    err = mu_comm_agree(comm, err);
    err = err ? err : mu_comm_broadcast_bytes(comm, uuid, (size_t)n * MU_UUID_TEXT, 0);
    err = err ? err : mu_comm_agree(comm, name_temporaries(s, uuid));
    mu_free(uuid);
    return err;
}

/* ---- the copy ---- */
static bool is_copied(const tensor_declared *it, bool all)
{
    return !it->owned && (it->source || it->collected || all);
}

void mu_tensor_room_release(mu_tensor_room *room)
{
    if (room->data && room->dealloc)
        room->dealloc(room->user, room->data);
    else
        mu_free(room->data);
    room->data = NULL;
    room->bytes = 0;
}

static mu_err grow(mu_tensor_room *room, size_t bytes)
{
    if (room->data && bytes <= room->bytes)
        return MU_OK;
    mu_tensor_room_release(room);
    if (room->alloc)
        MU_TRY(room->alloc(room->user, bytes, &room->data));
    else
        MU_TRY(mu_alloc(&room->data, bytes));
    room->bytes = bytes;
    return MU_OK;
}

/* Together, for what this rank copies. */
static mu_err make_room(mu_tensor_snapshot *s, const mu_tensor_writer *w, bool all)
{
    size_t total = 0, used = 0;
    for (size_t i = 0; i < s->n; i++)
        if (s->item[i].owner == s->rank && is_copied(&w->item[i], all))
            total += mu_align_up((size_t)s->item[i].bytes);
    MU_TRY(grow(s->room, total));
    for (size_t i = 0; i < s->n; i++) {
        const tensor_declared *it = &w->item[i];
        if (s->item[i].owner != s->rank)
            continue;
        s->item[i].data = it->owned ? it->owned : it->user;
        if (is_copied(it, all)) {
            s->item[i].data = (char *)s->room->data + used;
            used += mu_align_up((size_t)s->item[i].bytes);
        }
    }
    return MU_OK;
}

static mu_err list_slots(const mu_tensor_snapshot *s, const mu_tensor_writer *w, mu_tensor_slot **out, int *n)
{
    *n = 0;
    for (size_t i = 0; i < w->n; i++)
        *n += w->item[i].collected;
    MU_TRY(mu_calloc(out, (size_t)*n, sizeof **out));
    int k = 0;
    for (size_t i = 0; i < w->n; i++) {
        const tensor_declared *it = &w->item[i];
        if (it->collected)
            (*out)[k++] = (mu_tensor_slot){.path = it->path, .type = it->type, .tag = it->user, .owner = s->item[i].owner,
                                           .host = (void *)(uintptr_t)s->item[i].data};
    }
    return MU_OK;
}

/* Not collective. Hashed while it is in the cache. */
static mu_err fill_mine(mu_tensor_snapshot *s, const mu_tensor_writer *w)
{
    const char *path = s->part[s->n_shards].path;
    for (size_t i = 0; i < s->n; i++) {
        const tensor_declared *it = &w->item[i];
        tensor_placed *to = &s->item[i];
        char *host = (char *)(uintptr_t)to->data;
        if (to->owner != s->rank || to->late)
            continue;
        mu_err err = it->source ? it->source(it->user, it->path, &it->type, host) : MU_OK;
        if (err) {
            mu_error_context("'%s', dataset %s", path, it->path);
            return err;
        }
        if (!it->source && !it->collected && !it->owned && host != it->user)
            memcpy(host, it->user, (size_t)to->bytes);
        to->hash = XXH3_64bits(host, (size_t)to->bytes);
    }
    return MU_OK;
}

/* What was begun in vain ends; the error of before stays. */
static mu_err end_begun(const mu_tensor_writer *w, mu_err err)
{
    mu_error kept = *mu_error_last();
    mu_err ended = w->wait(w->late_user);
    return err ? mu_error_restore(&kept) : ended;
}

/* Collective. Late, when all ranks have begun. */
static mu_err begin_late(mu_tensor_snapshot *s, const mu_tensor_writer *w, mu_comm *comm, const mu_tensor_slot *slot, int n)
{
    bool begun = false;
    mu_err err = mu_comm_agree(comm, w->begin(w->late_user, slot, n, &begun));
    int32_t missing = !begun;
    if (!err)
        err = mu_comm_all_reduce(comm, &missing, 1, MU_I32, MU_COMM_MAX);
    if (err)
        return begun ? end_begun(w, err) : err;
    if (missing)
        return mu_comm_agree(comm, begun ? end_begun(w, MU_OK) : MU_OK);
    s->late = true;
    s->wait = w->wait;
    s->wait_user = w->late_user;
    for (size_t i = 0; i < s->n; i++)
        s->item[i].late = w->item[i].collected;
    return MU_OK;
}

/* Collective. */
static mu_err fill(mu_tensor_snapshot *s, const mu_tensor_writer *w, mu_comm *comm, bool all)
{
    mu_tensor_slot *slot = NULL;
    int n = 0;
    mu_err err = make_room(s, w, all);
    err = mu_comm_agree(comm, err ? err : list_slots(s, w, &slot, &n));
    if (!err && n > 0 && all && w->begin)
        err = begin_late(s, w, comm, slot, n);
    if (!err && n > 0 && !s->late) {
        err = w->collect(w->collect_user, comm, slot, n);
        if (err)
            mu_error_context("'%s'", s->part[s->n_shards].path);
    }
    mu_free(slot);
    return mu_comm_agree(comm, err ? err : fill_mine(s, w));
}

/* ---- the layout ---- */

/* Collective. Every rank learns the hashes. */
static mu_err share_hashes(mu_tensor_snapshot *s, mu_comm *comm)
{
    int64_t *hash;
    mu_err err = mu_comm_agree(comm, mu_calloc(&hash, s->n, sizeof *hash));
    MU_TRY(err);
    for (size_t i = 0; i < s->n; i++)
        hash[i] = (int64_t)s->item[i].hash;
    err = mu_comm_all_reduce(comm, hash, (int64_t)s->n, MU_I64, MU_COMM_SUM);
    for (size_t i = 0; i < s->n; i++)
        s->item[i].hash = (uint64_t)hash[i];
    mu_free(hash);
    return err;
}

static mu_err lay_out(mu_tensor_snapshot *s, const mu_tensor_writer *w, int first, int end)
{
    for (int p = first; p < end; p++)
        if (s->part[p].lead == s->rank)
            MU_TRY(tensor_lay_out(s, w, p));
    return MU_OK;
}

/* Collective. Every rank learns how large the parts from `first` on are, and where in them the items lie. */
static mu_err share_places(mu_tensor_snapshot *s, mu_comm *comm, int first, int end)
{
    int64_t *place;
    size_t n = s->n + (size_t)(end - first);
    MU_TRY(mu_comm_agree(comm, mu_calloc(&place, n, sizeof *place)));
    for (size_t i = 0; i < s->n; i++)
        if (s->item[i].part >= first && s->item[i].part < end)
            place[i] = s->item[i].at;
    for (int p = first; p < end; p++)
        place[s->n + (size_t)(p - first)] = s->part[p].bytes;
    mu_err err = mu_comm_all_reduce(comm, place, (int64_t)n, MU_I64, MU_COMM_SUM);
    for (size_t i = 0; i < s->n; i++)
        if (s->item[i].part >= first && s->item[i].part < end)
            s->item[i].at = place[i];
    for (int p = first; p < end; p++)
        s->part[p].bytes = place[s->n + (size_t)(p - first)];
    mu_free(place);
    return err;
}

/* The index last: it tells how large the shards are. */
static mu_err lay_out_all(mu_tensor_snapshot *s, const mu_tensor_writer *w, mu_comm *comm)
{
    int n = s->n_shards;
    MU_TRY(mu_comm_agree(comm, lay_out(s, w, 0, n)));
    if (n > 0)
        MU_TRY(share_places(s, comm, 0, n));
    MU_TRY(mu_comm_agree(comm, lay_out(s, w, n, n + 1)));
    return share_places(s, comm, n, n + 1);
}

/* all: bytes that were given without a source are copied, too. */
static mu_err take(const mu_tensor_writer *w, mu_comm *comm, const char *path, mu_tensor_room *room, bool all, mu_tensor_snapshot **out)
{
    mu_tensor_snapshot *s;
    mu_err err = mu_comm_agree(comm, mu_calloc(&s, 1, sizeof *s));
    if (err) {
        mu_free(s);
        return err;
    }
    s->room = room ? room : &s->own;
    s->rank = comm->rank;
    s->size = comm->size;
    s->n = w->n;
    s->n_shards = w->n_shards;
    MU_TRY_GOTO(err, mu_comm_agree(comm, init(s, w, path)), fail);
    MU_TRY_GOTO(err, mu_comm_check_same(comm, "what is to be written", fingerprint(w)), fail);
    MU_TRY_GOTO(err, draw_names(s, comm), fail);
    MU_TRY_GOTO(err, fill(s, w, comm, all), fail);
    MU_TRY_GOTO(err, share_hashes(s, comm), fail);
    MU_TRY_GOTO(err, lay_out_all(s, w, comm), fail);
    *out = s;
    return MU_OK;
fail:
    mu_tensor_snapshot_release(s);
    return err;
}

mu_err mu_tensor_writer_snapshot(mu_tensor_writer *w, mu_comm *comm, const char *path, mu_tensor_room *room, mu_tensor_snapshot **out)
{
    return take(w, comm, path, room, true, out);
}

mu_err mu_tensor_writer_write(mu_tensor_writer *w, mu_comm *comm, const char *path, int64_t *bytes)
{
    mu_tensor_snapshot *s;
    MU_TRY(take(w, comm, path, NULL, false, &s));
    mu_err err = mu_tensor_snapshot_write(s, comm, bytes);
    mu_tensor_snapshot_release(s);
    return err;
}

void mu_tensor_snapshot_release(mu_tensor_snapshot *s)
{
    if (!s)
        return;
    for (int p = 0; s->part && p <= s->n_shards; p++) {
        mu_scratch_close(&s->part[p].scratch);
        mu_replacement_release(s->part[p].file);
        mu_free(s->part[p].temporary);
        mu_free(s->part[p].path);
    }
    mu_free(s->part);
    mu_free(s->item);
    mu_tensor_room_release(&s->own);
    mu_free(s);
}
