#include "config.h"

#include "io/tensor_file.h"

#include "core/mem.h"
#include "core/uuid.h"
#include "io/file.h"
#include "io/scratch.h"
#include "io/tensor_format.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct {
    char *path;
    mu_type type; /* of a text: u8 [length], at least 1 */
    bool text, pinned; /* pinned: to `rank` */
    int rank;
    char *owned; /* bytes of a text or a number; NULL for tensors */
    mu_tensor_source *source;
    void *user;
} item;

struct mu_tensor_writer {
    char *format;
    int64_t version;
    item *item;
    size_t n, capacity;
    tensor_index index;
};

static const char *item_path(const void *user, int i)
{
    const mu_tensor_writer *w = user;
    return w->item[i].path;
}

mu_err mu_tensor_writer_new(const char *format, int64_t version, mu_tensor_writer **out)
{
    mu_tensor_writer *w;
    MU_TRY(mu_calloc(&w, 1, sizeof *w));
    w->version = version;
    w->index.path = item_path;
    w->index.user = w;
    mu_err err = mu_strdup(&w->format, format);
    if (err) {
        mu_free(w);
        return err;
    }
    *out = w;
    return MU_OK;
}

void mu_tensor_writer_release(mu_tensor_writer *w)
{
    if (!w)
        return;
    for (size_t i = 0; i < w->n; i++) {
        mu_free(w->item[i].path);
        mu_free(w->item[i].owned);
    }
    tensor_index_release(&w->index);
    mu_free(w->item);
    mu_free(w->format);
    mu_free(w);
}

/* Takes owned over, also on failure. */
static mu_err add(mu_tensor_writer *w, const char *path, const item *what)
{
    mu_err err;
    char *name = NULL;
    MU_TRY_GOTO(err, tensor_path_check(path), fail);
    if (w->n >= TENSOR_MAX_COUNT) {
        err = MU_FAIL(MU_ERR_USAGE, "a file has at most %d datasets", TENSOR_MAX_COUNT);
        goto fail;
    }
    MU_TRY_GOTO(err, mu_grow(&w->item, &w->capacity, w->n + 1, sizeof *w->item), fail);
    MU_TRY_GOTO(err, mu_strdup(&name, path), fail);
    w->item[w->n] = *what;
    w->item[w->n].path = name;
    MU_TRY_GOTO(err, tensor_index_add(&w->index, (int)w->n), fail);
    w->n++;
    return MU_OK;
fail:
    mu_free(name);
    mu_free(what->owned);
    return err;
}

mu_err mu_tensor_writer_text(mu_tensor_writer *w, const char *path, const char *text)
{
    size_t length = strlen(text);
    item it = {.text = true};
    if (length > INT32_MAX)
        return MU_FAIL(MU_ERR_OVERFLOW, "the text '%s' has %zu bytes; at most %d are possible", path, length, INT32_MAX);
    MU_TRY(mu_strdup(&it.owned, text));
    it.type = MU_TYPE(MU_U8, length ? (int64_t)length : 1);
    return add(w, path, &it);
}

static mu_err add_number(mu_tensor_writer *w, const char *path, mu_dtype dtype, const void *value)
{
    item it = {.type = MU_SCALAR(dtype)};
    MU_TRY(mu_alloc(&it.owned, mu_dtype_size(dtype)));
    memcpy(it.owned, value, mu_dtype_size(dtype));
    return add(w, path, &it);
}

mu_err mu_tensor_writer_i64(mu_tensor_writer *w, const char *path, int64_t value)
{
    return add_number(w, path, MU_I64, &value);
}

mu_err mu_tensor_writer_f64(mu_tensor_writer *w, const char *path, double value)
{
    return add_number(w, path, MU_F64, &value);
}

static mu_err add_tensor(mu_tensor_writer *w, const char *path, mu_type type, item *it)
{
    if (type.dtype == MU_NONE)
        return MU_FAIL(MU_ERR_USAGE, "'%s' has no dtype", path);
    MU_TRY(mu_type_init(&it->type, type.dtype, type.ndim, type.dim));
    return add(w, path, it);
}

mu_err mu_tensor_writer_add(mu_tensor_writer *w, const char *path, mu_type type, mu_tensor_source *source, void *user)
{
    return add_tensor(w, path, type, &(item){.source = source, .user = user});
}

mu_err mu_tensor_writer_add_on(mu_tensor_writer *w, const char *path, mu_type type, int rank, mu_tensor_source *source,
                               void *user)
{
    return add_tensor(w, path, type, &(item){.source = source, .user = user, .pinned = true, .rank = rank});
}

/* ---- one file on its way ---- */
typedef struct {
    const mu_tensor_writer *writer;
    mu_comm *comm;
    const char *path;
    int64_t bytes;  /* of the file */
    char *temporary; /* its name until it is whole; NULL on rank 0 */
    int64_t *at;    /* [n] where each item lies */
    int *owner;     /* [n] the rank that writes it */
    uint64_t *hash; /* [n] of the items of this rank; 0 elsewhere */
    mu_replacement *file;
    mu_scratch scratch; /* of rank 0 */
    hid_t *dataset;     /* [n] of rank 0, open until the hashes are noted */
} job;

static size_t item_bytes(const item *it)
{
    return mu_type_bytes(&it->type);
}

/* What lies among the metadata, which rank 0 writes: all but the tensors of a page and more, so that ranks do not write to one page,
 * and those that others bring. Texts may differ from rank to rank. */
static bool is_small(const item *it)
{
    return it->owned || (item_bytes(it) < TENSOR_PAGE && (!it->pinned || it->rank == 0));
}

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

/* The largest first, each to the rank that has the least so far. The same on all ranks. */
static mu_err share_out(job *j)
{
    const mu_tensor_writer *w = j->writer;
    weight *order = NULL;
    int64_t *load = NULL;
    mu_err err;
    MU_TRY_GOTO(err, mu_calloc(&order, w->n, sizeof *order), done);
    MU_TRY_GOTO(err, mu_calloc(&load, (size_t)j->comm->size, sizeof *load), done);
    for (size_t i = 0; i < w->n; i++)
        order[i] = (weight){is_small(&w->item[i]) ? 0 : (int64_t)item_bytes(&w->item[i]), (int)i};
    qsort(order, w->n, sizeof *order, by_weight);
    for (size_t k = 0; k < w->n; k++) {
        const item *it = &w->item[order[k].i];
        int rank = it->pinned ? it->rank : 0;
        for (int r = 1; r < j->comm->size && !is_small(it) && !it->pinned; r++)
            rank = load[r] < load[rank] ? r : rank;
        j->owner[order[k].i] = rank;
        load[rank] += order[k].bytes;
    }
done:
    mu_free(load);
    mu_free(order);
    return err;
}

/* About what HDF5 needs for names, shapes and attributes. */
static int64_t metadata_bytes(const mu_tensor_writer *w)
{
    int64_t bytes = 8192;
    for (size_t i = 0; i < w->n; i++)
        bytes += 512 + 2 * (int64_t)strlen(w->item[i].path);
    return bytes;
}

/* Refuses what cannot be kept before anything is begun. */
static mu_err reserve(const job *j)
{
    int64_t bytes = 2 * metadata_bytes(j->writer);
    for (size_t i = 0; i < j->writer->n; i++)
        if (__builtin_add_overflow(bytes, (int64_t)item_bytes(&j->writer->item[i]) + TENSOR_PAGE, &bytes))
            return MU_FAIL(MU_ERR_OVERFLOW, "'%s' would have too many bytes", j->path);
    return mu_replacement_reserve(j->file, bytes);
}

static mu_err note_checksum(hid_t dataset, uint64_t hash)
{
    char text[TENSOR_CHECKSUM_TEXT];
    tensor_checksum_format(hash, text);
    return mu_h5_set_text(dataset, TENSOR_CHECKSUM, text);
}

/* Room for a checksum is made now, so that noting it later changes bytes in place. */
static mu_err place_item(job *j, size_t i)
{
    const item *it = &j->writer->item[i];
    MU_TRY(mu_h5_groups_create(j->scratch.file, it->path));
    if (it->text)
        MU_TRY(mu_h5_text_create(j->scratch.file, it->path, item_bytes(it), &j->dataset[i]));
    else
        MU_TRY(mu_h5_dataset_create(j->scratch.file, it->path, &it->type, &j->dataset[i]));
    MU_TRY(note_checksum(j->dataset[i], 0));
    MU_TRY(mu_h5_set_i64(j->dataset[i], TENSOR_ORDER, (int64_t)i));
    return mu_h5_dataset_offset(j->dataset[i], (int64_t)item_bytes(it), &j->at[i]);
}

/* Small things first: large ones then begin and end at pages of their own. */
static mu_err lay_out(job *j)
{
    const mu_tensor_writer *w = j->writer;
    char uuid[MU_UUID_TEXT];
    MU_TRY(mu_uuid_make(uuid));
    MU_TRY(mu_scratch_open(&j->scratch, TENSOR_PAGE, metadata_bytes(w)));
    MU_TRY(mu_h5_set_text(j->scratch.file, "muster_format", w->format));
    MU_TRY(mu_h5_set_i64(j->scratch.file, "muster_version", w->version));
    MU_TRY(mu_h5_set_text(j->scratch.file, "uuid", uuid));
    MU_TRY(mu_calloc(&j->dataset, w->n, sizeof *j->dataset));
    for (int large = 0; large <= 1; large++)
        for (size_t i = 0; i < w->n; i++)
            if (is_small(&w->item[i]) != large)
                MU_TRY(place_item(j, i));
    return MU_OK;
}

static mu_err begin(job *j)
{
    if (!mu_comm_is_main(j->comm))
        return MU_OK;
    MU_TRY(mu_replacement_new(j->path, &j->file));
    MU_TRY(reserve(j));
    return lay_out(j);
}

/* Collective: rank 0 tells where everything lies and what the file is called until it is whole. */
static mu_err tell_places(job *j)
{
    bool main = mu_comm_is_main(j->comm);
    void *name = main ? (void *)mu_replacement_temporary(j->file) : NULL;
    size_t length = main ? strlen(name) : 0;
    MU_TRY(mu_comm_broadcast(j->comm, j->at, (int64_t)j->writer->n, MU_I64, 0));
    MU_TRY(mu_comm_broadcast_blob(j->comm, &name, &length, 0));
    j->temporary = main ? NULL : name;
    return MU_OK;
}


static mu_err write_bytes(job *j, size_t i, const char *data)
{
    const item *it = &j->writer->item[i];
    int fd = is_small(it) ? j->scratch.fd : mu_replacement_fd(j->file);
    size_t bytes = item_bytes(it);
    XXH3_state_t state;
    XXH3_INITSTATE(&state);
    XXH3_64bits_reset(&state);
    for (size_t done = 0, n; done < bytes; done += n) {
        n = bytes - done < TENSOR_CHUNK ? bytes - done : (size_t)TENSOR_CHUNK;
        XXH3_64bits_update(&state, data + done, n);
        MU_TRY(mu_pwrite(fd, data + done, n, j->at[i] + (int64_t)done, j->path));
    }
    j->hash[i] = XXH3_64bits_digest(&state);
    return MU_OK;
}

static mu_err write_item(job *j, size_t i, char **buffer, size_t *capacity)
{
    const item *it = &j->writer->item[i];
    if (it->owned || !it->source)
        return write_bytes(j, i, it->owned ? it->owned : it->user);
    MU_TRY(mu_grow(buffer, capacity, item_bytes(it), 1));
    mu_err err = it->source(it->user, it->path, &it->type, *buffer);
    if (err) {
        mu_error_context("'%s', dataset %s", j->path, it->path);
        return err;
    }
    return write_bytes(j, i, *buffer);
}

static mu_err write_mine(job *j)
{
    char *buffer = NULL;
    size_t capacity = 0;
    mu_err err = mu_comm_is_main(j->comm) ? MU_OK : mu_replacement_join(j->path, j->temporary, &j->file);
    for (size_t i = 0; !err && i < j->writer->n; i++)
        if (j->owner[i] == j->comm->rank)
            err = write_item(j, i, &buffer, &capacity);
    mu_free(buffer);
    return err ? err : mu_replacement_flush(j->file);
}

static mu_err note_checksums(job *j)
{
    for (size_t i = 0; i < j->writer->n; i++) {
        MU_TRY(note_checksum(j->dataset[i], j->hash[i]));
        mu_h5_close(j->dataset[i]);
    }
    mu_free(j->dataset);
    j->dataset = NULL;
    return mu_scratch_finish(&j->scratch, &j->bytes);
}

static mu_err copy_metadata(job *j)
{
    const mu_tensor_writer *w = j->writer;
    mu_extent *extent;
    int64_t n = 0;
    MU_TRY(mu_calloc(&extent, w->n, sizeof *extent));
    for (size_t i = 0; i < w->n; i++)
        if (!is_small(&w->item[i]))
            extent[n++] = (mu_extent){j->at[i], j->at[i] + (int64_t)item_bytes(&w->item[i])};
    mu_err err = mu_scratch_copy(&j->scratch, j->bytes, extent, n, mu_replacement_fd(j->file), j->path);
    mu_free(extent);
    return err;
}

static mu_err finish(job *j)
{
    if (!mu_comm_is_main(j->comm))
        return MU_OK;
    MU_TRY(note_checksums(j));
    MU_TRY(copy_metadata(j));
    MU_TRY(mu_replacement_resize(j->file, j->bytes));
    return mu_replacement_commit(j->file);
}

static mu_err write_all(job *j)
{
    mu_comm *comm = j->comm;
    int64_t n = (int64_t)j->writer->n;
    MU_TRY(mu_comm_agree(comm, begin(j)));
    MU_TRY(tell_places(j));
    MU_TRY(mu_comm_agree(comm, write_mine(j)));
    MU_TRY(mu_comm_all_reduce(comm, j->hash, n, MU_I64, MU_COMM_SUM));
    MU_TRY(mu_comm_agree(comm, finish(j)));
    return mu_comm_broadcast_bytes(comm, &j->bytes, sizeof j->bytes, 0);
}

static mu_err job_init(job *j)
{
    size_t n = j->writer->n;
    for (size_t i = 0; i < n; i++)
        if (j->writer->item[i].rank < 0 || j->writer->item[i].rank >= j->comm->size)
            return MU_FAIL(MU_ERR_USAGE, "'%s': there is no rank %d", j->writer->item[i].path, j->writer->item[i].rank);
    MU_TRY(mu_calloc(&j->at, n, sizeof *j->at));
    MU_TRY(mu_calloc(&j->owner, n, sizeof *j->owner));
    MU_TRY(mu_calloc(&j->hash, n, sizeof *j->hash));
    return share_out(j);
}

static void job_release(job *j)
{
    mu_free(j->dataset); /* what is open is closed with the file */
    mu_scratch_close(&j->scratch);
    mu_replacement_release(j->file);
    mu_free(j->temporary);
    mu_free(j->hash);
    mu_free(j->owner);
    mu_free(j->at);
}

/* Names, shapes and kinds: texts and numbers may differ, rank 0's count. */
static uint64_t fingerprint(const mu_tensor_writer *w)
{
    XXH3_state_t state;
    XXH3_INITSTATE(&state);
    XXH3_64bits_reset(&state);
    for (size_t i = 0; i < w->n; i++) {
        const item *it = &w->item[i];
        int64_t shape[MU_MAX_NDIM + 3] = {it->type.dtype, it->text, it->rank};
        memcpy(shape + 3, it->type.dim, it->text ? 0 : (size_t)it->type.ndim * sizeof *shape);
        XXH3_64bits_update(&state, it->path, strlen(it->path) + 1);
        XXH3_64bits_update(&state, shape, sizeof shape);
    }
    return XXH3_64bits_digest(&state);
}

mu_err mu_tensor_writer_write(mu_tensor_writer *w, mu_comm *comm, const char *path, int64_t *bytes)
{
    job j = {.writer = w, .comm = comm, .path = path, .scratch = MU_SCRATCH_NONE};
    mu_err err = mu_comm_agree(comm, job_init(&j));
    err = err ? err : mu_comm_check_same(comm, "what is to be written", fingerprint(w));
    err = err ? err : write_all(&j);
    job_release(&j);
    if (err)
        return err;
    if (bytes)
        *bytes = j.bytes;
    return MU_OK;
}
