#include "config.h"

#include "core/mem.h"
#include "core/uuid.h"
#include "data/h5_format.h"
#include "io/file.h"
#include "io/scratch.h"


/* HDF5 lays the file out in memory; samples go to their places on disk through buffers; HDF5 notes the checksums;
 * what lies between the samples is copied from memory. */
typedef struct {
    mu_h5_field field;
    char *name; /* owned */
    size_t sample_bytes;
    int64_t at, done_bytes, done; /* byte in the file; bytes and samples before the next one */
    int64_t taken_bytes, taken;   /* by this rank */
    char *buffer;                 /* [H5_CHUNK] the last `pending` bytes */
    size_t pending;
    int64_t *offsets; /* [n_samples + 1] of a variable one */
    int64_t offsets_at;
    XXH3_state_t *state;
} writer_column;

struct mu_h5_writer {
    char *path;
    mu_comm *comm;      /* NULL: one rank alone */
    bool main, hashing; /* lays the file out; hashes samples as they come, as it sees them all */
    mu_replacement *file;
    mu_scratch scratch; /* HDF5's file: all but the samples and their offsets */
    int64_t n_samples, n_classes;
    int n_columns;
    writer_column column[MU_H5_MAX_FIELDS];
};

static mu_err check_name(const char *name)
{
    size_t n = strlen(name), m = strlen(H5_OFFSETS);
    if (n == 0 || n > 200 || name[0] == '.' ||
        strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") != n ||
        (n >= m && strcmp(name + n - m, H5_OFFSETS) == 0))
        return MU_FAIL(MU_ERR_USAGE, "'%s' cannot be the name of a field", name);
    return MU_OK;
}

/* Copies the field, and works out how many bytes it comes to. */
static mu_err column_init(mu_h5_writer *w, writer_column *c, const mu_h5_field *field)
{
    MU_TRY(check_name(field->name));
    for (const writer_column *other = w->column; other < c; other++)
        if (strcmp(other->name, field->name) == 0)
            return MU_FAIL(MU_ERR_USAGE, "two fields are called '%s'", field->name);
    MU_TRY(mu_strdup(&c->name, field->name));
    c->field = *field;
    c->field.name = c->name;
    MU_TRY(mu_type_init(&c->field.sample, field->sample.dtype, field->sample.ndim, field->sample.dim));
    if (field->variable && (field->sample.dtype != MU_U8 || field->sample.ndim != 0 || field->bytes < 0))
        return MU_FAIL(MU_ERR_USAGE, "field '%s': samples of variable size are u8, and their bytes are told", c->name);
    if (!field->variable && field->sample.ndim + 1 > MU_MAX_NDIM)
        return MU_FAIL(MU_ERR_SHAPE, "field '%s': samples have at most %d dimensions", c->name, MU_MAX_NDIM - 1);
    c->sample_bytes = mu_type_bytes(&c->field.sample);
    if (!field->variable)
        MU_TRY(mu_mul_i64((int64_t)c->sample_bytes, w->n_samples, &c->field.bytes));
    if (field->variable)
        MU_TRY(mu_calloc(&c->offsets, (size_t)w->n_samples + 1, sizeof *c->offsets));
    MU_TRY(mu_alloc(&c->buffer, H5_CHUNK));
    MU_TRY(mu_alloc(&c->state, sizeof *c->state));
    XXH3_INITSTATE(c->state);
    XXH3_64bits_reset(c->state);
    return MU_OK;
}

/* Room for a checksum, so that noting it later changes bytes in place. */
static mu_err place_dataset(hid_t dataset, int64_t bytes, int64_t *at)
{
    MU_TRY(mu_h5_set_text(dataset, H5_CHECKSUM, "----------------"));
    return mu_h5_dataset_offset(dataset, bytes, at);
}

static mu_err place_array(hid_t group, const char *name, const mu_type *type, int64_t *at)
{
    hid_t dataset;
    MU_TRY(mu_h5_dataset_create(group, name, type, &dataset));
    mu_err err = place_dataset(dataset, (int64_t)mu_type_bytes(type), at);
    mu_h5_close(dataset);
    return err;
}

static mu_err place_column(mu_h5_writer *w, hid_t group, writer_column *c)
{
    mu_type all;
    int64_t dim[MU_MAX_NDIM];
    dim[0] = c->field.variable ? c->field.bytes : w->n_samples;
    for (int i = 0; i < c->field.sample.ndim; i++)
        dim[i + 1] = c->field.sample.dim[i];
    MU_TRY(mu_type_init(&all, c->field.sample.dtype, c->field.sample.ndim + 1, dim));
    MU_TRY(place_array(group, c->name, &all, &c->at));
    if (!c->field.variable)
        return MU_OK;
    char name[256];
    snprintf(name, sizeof name, "%s" H5_OFFSETS, c->name);
    return place_array(group, name, &MU_TYPE(MU_I64, w->n_samples + 1), &c->offsets_at);
}

static mu_err put_meta(mu_h5_writer *w, const char *meta)
{
    hid_t dataset;
    char checksum[H5_CHECKSUM_TEXT];
    int64_t at = 0;
    size_t length = strlen(meta);
    h5_checksum_format(XXH3_64bits(meta, length), checksum);
    MU_TRY(mu_h5_text_create(w->scratch.file, "meta", length, &dataset));
    mu_err err = mu_h5_set_text(dataset, H5_CHECKSUM, checksum);
    err = err ? err : mu_h5_dataset_offset(dataset, (int64_t)length, &at);
    mu_h5_close(dataset);
    return err ? err : mu_pwrite(w->scratch.fd, meta, length, at, w->path);
}

/* The least that HDF5 needs beside the samples. */
static int64_t metadata_bytes(const mu_h5_writer *w, const char *meta)
{
    return (1 << 16) + 4096 * w->n_columns + (int64_t)strlen(meta);
}

static mu_err reserve(mu_h5_writer *w, const char *meta)
{
    int64_t bytes = metadata_bytes(w, meta);
    for (int i = 0; i < w->n_columns; i++) {
        const writer_column *c = &w->column[i];
        int64_t offsets = c->offsets ? (w->n_samples + 1) * (int64_t)sizeof *c->offsets : 0;
        if (__builtin_add_overflow(bytes, c->field.bytes, &bytes) || __builtin_add_overflow(bytes, offsets, &bytes))
            return MU_FAIL(MU_ERR_OVERFLOW, "'%s' would have too many bytes", w->path);
    }
    return mu_replacement_reserve(w->file, bytes);
}

static mu_err lay_out(mu_h5_writer *w, const char *meta)
{
    hid_t group;
    char uuid[MU_UUID_TEXT];
    MU_TRY(mu_scratch_open(&w->scratch, 1, 2048 + 512 * w->n_columns));
    MU_TRY(mu_uuid_make(uuid));
    MU_TRY(mu_h5_set_text(w->scratch.file, "muster_format", H5_FORMAT));
    MU_TRY(mu_h5_set_i64(w->scratch.file, "muster_version", MU_H5_DATASET_VERSION));
    MU_TRY(mu_h5_set_text(w->scratch.file, "uuid", uuid));
    MU_TRY(put_meta(w, meta));
    MU_TRY(mu_h5_groups_create(w->scratch.file, "/data/"));
    MU_TRY_H5(group = H5Gopen2(w->scratch.file, "data", H5P_DEFAULT));
    mu_err err = MU_OK;
    for (int i = 0; !err && i < w->n_columns; i++)
        err = place_column(w, group, &w->column[i]);
    mu_h5_close(group);
    return err;
}

static mu_err read_classes(mu_h5_writer *w, const char *meta)
{
    mu_cfg *tree;
    const mu_cfg *classes;
    if (!*meta)
        return MU_FAIL(MU_ERR_USAGE, "the metainfo is empty; {} says nothing");
    MU_TRY(h5_meta_parse(meta, strlen(meta), w->path, &tree, &classes));
    w->n_classes = classes ? (int64_t)mu_cfg_size(classes) : 0;
    mu_cfg_release(tree);
    return MU_OK;
}

/* What one rank can do alone. */
static mu_err prepare(mu_h5_writer *w, const char *path, const mu_h5_field *field, int n_fields, const char *meta)
{
    MU_TRY(mu_strdup(&w->path, path));
    MU_TRY(read_classes(w, meta));
    for (int i = 0; i < n_fields; i++) {
        w->n_columns++;
        MU_TRY(column_init(w, &w->column[i], &field[i]));
    }
    if (!w->main)
        return MU_OK;
    MU_TRY(mu_replacement_new(path, &w->file));
    MU_TRY(reserve(w, meta));
    return lay_out(w, meta);
}

/* Collective. Tells the other ranks where everything lies. */
static mu_err share_places(mu_h5_writer *w)
{
    int64_t place[2 * MU_H5_MAX_FIELDS];
    void *name = w->main ? (void *)(uintptr_t)mu_replacement_temporary(w->file) : NULL;
    size_t size = name ? strlen(name) : 0;
    for (int i = 0; i < w->n_columns; i++) {
        place[2 * i] = w->column[i].at;
        place[2 * i + 1] = w->column[i].offsets_at;
    }
    MU_TRY(mu_comm_broadcast(w->comm, place, 2 * w->n_columns, MU_I64, 0));
    MU_TRY(mu_comm_broadcast_blob(w->comm, &name, &size, 0));
    for (int i = 0; i < w->n_columns; i++) {
        w->column[i].at = place[2 * i];
        w->column[i].offsets_at = place[2 * i + 1];
    }
    mu_err err = MU_OK;
    if (!w->main) {
        err = mu_replacement_join(w->path, name, &w->file);
        mu_free(name);
    }
    return mu_comm_agree(w->comm, err);
}

static mu_err writer_new(mu_comm *comm, const char *path, const mu_h5_field *field, int n_fields, int64_t n_samples,
                         const char *meta, mu_h5_writer **out)
{
    mu_h5_writer *w = NULL;
    mu_err err = mu_calloc(&w, 1, sizeof *w);
    if (!err) {
        w->comm = comm;
        w->main = !comm || mu_comm_is_main(comm);
        w->hashing = !comm || comm->size == 1;
        w->n_samples = n_samples;
        w->scratch = MU_SCRATCH_NONE;
        err = prepare(w, path, field, n_fields, meta);
    }
    if (comm)
        err = mu_comm_agree(comm, err);
    if (comm && !err)
        err = share_places(w);
    if (err) {
        mu_h5_writer_release(w);
        return err;
    }
    *out = w;
    return MU_OK;
}

static mu_err check_counts(int n_fields, int64_t n_samples)
{
    if (n_fields < 1 || n_fields > MU_H5_MAX_FIELDS || n_samples < 0)
        return MU_FAIL(MU_ERR_USAGE, "a dataset has 1 to %d fields and no negative number of samples", MU_H5_MAX_FIELDS);
    return MU_OK;
}

mu_err mu_h5_writer_new(const char *path, const mu_h5_field *field, int n_fields, int64_t n_samples, const char *meta,
                        mu_h5_writer **out)
{
    MU_TRY(check_counts(n_fields, n_samples));
    return writer_new(NULL, path, field, n_fields, n_samples, meta, out);
}

mu_err mu_h5_writer_new_shared(mu_comm *comm, const char *path, const mu_h5_field *field, int n_fields, int64_t n_samples,
                               const char *meta, mu_h5_writer **out)
{
    MU_TRY(check_counts(n_fields, n_samples));
    return writer_new(comm, path, field, n_fields, n_samples, meta, out);
}

void mu_h5_writer_release(mu_h5_writer *w)
{
    if (!w)
        return;
    for (int i = 0; i < w->n_columns; i++) {
        mu_free(w->column[i].name);
        mu_free(w->column[i].buffer);
        mu_free(w->column[i].offsets);
        mu_free(w->column[i].state);
    }
    mu_scratch_close(&w->scratch);
    mu_replacement_release(w->file);
    mu_free(w->path);
    mu_free(w);
}

static mu_err flush(mu_h5_writer *w, writer_column *c)
{
    int64_t at = c->at + c->done_bytes - (int64_t)c->pending;
    MU_TRY(mu_pwrite(mu_replacement_fd(w->file), c->buffer, c->pending, at, w->path));
    c->pending = 0;
    return MU_OK;
}

static mu_err put(mu_h5_writer *w, writer_column *c, const char *data, size_t bytes)
{
    if (w->hashing)
        XXH3_64bits_update(c->state, data, bytes);
    while (bytes > 0) {
        size_t room = H5_CHUNK - c->pending, n = bytes < room ? bytes : room;
        memcpy(c->buffer + c->pending, data, n);
        c->pending += n;
        c->done_bytes += (int64_t)n;
        data += n;
        bytes -= n;
        if (c->pending == H5_CHUNK)
            MU_TRY(flush(w, c));
    }
    return MU_OK;
}

static mu_err check_sample(const mu_h5_writer *w, const writer_column *c, const void *data, size_t bytes, int64_t *n)
{
    int64_t samples = 1;
    if (!c->field.variable) {
        if (c->sample_bytes == 0 || bytes == 0 || bytes % c->sample_bytes != 0)
            return MU_FAIL(MU_ERR_SHAPE, "field '%s' of '%s': %zu bytes are no whole samples of %zu", c->name, w->path, bytes,
                           c->sample_bytes);
        samples = (int64_t)(bytes / c->sample_bytes);
    }
    if (samples > w->n_samples - c->done || (int64_t)bytes > c->field.bytes - c->done_bytes)
        return MU_FAIL(MU_ERR_USAGE, "field '%s' of '%s' is full: %lld samples, %lld bytes", c->name, w->path,
                       (long long)w->n_samples, (long long)c->field.bytes);
    *n = samples;
    return h5_is_label(&c->field, w->n_classes) ? h5_check_labels(data, samples, c->done, w->n_classes, w->path) : MU_OK;
}

mu_err mu_h5_writer_begin_at(mu_h5_writer *w, int field, int64_t sample, int64_t byte)
{
    if (field < 0 || field >= w->n_columns)
        return MU_FAIL(MU_ERR_USAGE, "'%s' has no field %d", w->path, field);
    writer_column *c = &w->column[field];
    bool fits = sample >= 0 && sample <= w->n_samples && byte >= 0 && byte <= c->field.bytes;
    if (!fits || c->taken || (w->hashing && sample) || (!c->offsets && byte != sample * (int64_t)c->sample_bytes))
        return MU_FAIL(MU_ERR_USAGE, "field '%s' of '%s' cannot be begun at sample %lld, byte %lld", c->name, w->path,
                       (long long)sample, (long long)byte);
    c->done = sample;
    c->done_bytes = byte;
    return MU_OK;
}

mu_err mu_h5_writer_append(mu_h5_writer *w, int field, const void *data, size_t bytes)
{
    if (field < 0 || field >= w->n_columns)
        return MU_FAIL(MU_ERR_USAGE, "'%s' has no field %d", w->path, field);
    writer_column *c = &w->column[field];
    int64_t n = 0;
    MU_TRY(check_sample(w, c, data, bytes, &n));
    MU_TRY(put(w, c, data, bytes));
    c->done += n;
    c->taken += n;
    c->taken_bytes += (int64_t)bytes;
    if (c->offsets)
        c->offsets[c->done] = c->done_bytes;
    return MU_OK;
}

static mu_err note_checksum(hid_t group, const char *name, XXH64_hash_t hash)
{
    char text[H5_CHECKSUM_TEXT];
    hid_t dataset;
    h5_checksum_format(hash, text);
    MU_TRY_H5(dataset = H5Dopen2(group, name, H5P_DEFAULT));
    mu_err err = mu_h5_set_text(dataset, H5_CHECKSUM, text);
    mu_h5_close(dataset);
    return err;
}

static mu_err note_column(const mu_h5_writer *w, hid_t group, const writer_column *c)
{
    MU_TRY(note_checksum(group, c->name, XXH3_64bits_digest(c->state)));
    if (!c->offsets)
        return MU_OK;
    char name[256];
    snprintf(name, sizeof name, "%s" H5_OFFSETS, c->name);
    return note_checksum(group, name, XXH3_64bits(c->offsets, (size_t)(w->n_samples + 1) * sizeof *c->offsets));
}

static mu_err note_checksums(mu_h5_writer *w)
{
    hid_t group;
    MU_TRY_H5(group = H5Gopen2(w->scratch.file, "data", H5P_DEFAULT));
    mu_err err = MU_OK;
    for (int i = 0; !err && i < w->n_columns; i++)
        err = note_column(w, group, &w->column[i]);
    mu_h5_close(group);
    return err;
}

static int written_extents(const mu_h5_writer *w, mu_extent e[2 * MU_H5_MAX_FIELDS])
{
    int n = 0;
    for (int i = 0; i < w->n_columns; i++) {
        const writer_column *c = &w->column[i];
        if (c->field.bytes)
            e[n++] = (mu_extent){c->at, c->at + c->field.bytes};
        if (c->offsets)
            e[n++] = (mu_extent){c->offsets_at, c->offsets_at + (w->n_samples + 1) * (int64_t)sizeof *c->offsets};
    }
    return n;
}

static mu_err copy_metadata(mu_h5_writer *w)
{
    mu_extent e[2 * MU_H5_MAX_FIELDS];
    int n = written_extents(w, e);
    int64_t bytes = 0;
    MU_TRY(mu_scratch_finish(&w->scratch, &bytes));
    MU_TRY(mu_scratch_copy(&w->scratch, bytes, e, n, mu_replacement_fd(w->file), w->path));
    return mu_replacement_resize(w->file, bytes);
}

/* Collective. Whether the ranks together have taken everything. */
static mu_err check_complete(mu_h5_writer *w)
{
    int64_t sum[2 * MU_H5_MAX_FIELDS];
    for (int i = 0; i < w->n_columns; i++) {
        sum[2 * i] = w->column[i].taken;
        sum[2 * i + 1] = w->column[i].taken_bytes;
    }
    if (w->comm)
        MU_TRY(mu_comm_all_reduce(w->comm, sum, 2 * w->n_columns, MU_I64, MU_COMM_SUM));
    for (int i = 0; i < w->n_columns; i++) {
        const writer_column *c = &w->column[i];
        if (sum[2 * i] != w->n_samples || sum[2 * i + 1] != c->field.bytes)
            return MU_FAIL(MU_ERR_USAGE, "field '%s' of '%s' got %lld of %lld samples, %lld of %lld bytes", c->name, w->path,
                           (long long)sum[2 * i], (long long)w->n_samples, (long long)sum[2 * i + 1],
                           (long long)c->field.bytes);
    }
    return MU_OK;
}

static mu_err flush_all(mu_h5_writer *w)
{
    for (int i = 0; i < w->n_columns; i++)
        MU_TRY(flush(w, &w->column[i]));
    return w->main ? MU_OK : mu_replacement_flush(w->file);
}

/* What the ranks wrote, in one go: XXH3 cannot be put together from parts. */
static mu_err hash_column(mu_h5_writer *w, writer_column *c)
{
    for (int64_t done = 0; done < c->field.bytes;) {
        int64_t left = c->field.bytes - done;
        size_t n = left < H5_CHUNK ? (size_t)left : (size_t)H5_CHUNK;
        MU_TRY(mu_pread(mu_replacement_fd(w->file), c->buffer, n, c->at + done, w->path));
        XXH3_64bits_update(c->state, c->buffer, n);
        done += (int64_t)n;
    }
    return MU_OK;
}

/* On the rank that made the file, when all samples are in it. */
static mu_err complete(mu_h5_writer *w)
{
    for (int i = 0; i < w->n_columns; i++) {
        writer_column *c = &w->column[i];
        if (!w->hashing)
            MU_TRY(hash_column(w, c));
        if (c->offsets)
            MU_TRY(mu_pwrite(mu_replacement_fd(w->file), c->offsets, (size_t)(w->n_samples + 1) * sizeof *c->offsets,
                             c->offsets_at, w->path));
    }
    MU_TRY(note_checksums(w));
    MU_TRY(copy_metadata(w));
    return mu_replacement_commit(w->file);
}

mu_err mu_h5_writer_finish(mu_h5_writer *w)
{
    return mu_h5_writer_finish_shared(w, MU_OK);
}

mu_err mu_h5_writer_finish_shared(mu_h5_writer *w, mu_err err)
{
    mu_comm *comm = w->comm;
    err = err ? err : flush_all(w);
    if (comm)
        err = mu_comm_agree(comm, err);
    MU_TRY(err);
    MU_TRY(check_complete(w));
    for (int i = 0; comm && i < w->n_columns; i++) /* elsewhere they are 0 */
        if (w->column[i].offsets)
            MU_TRY(mu_comm_all_reduce(comm, w->column[i].offsets, w->n_samples + 1, MU_I64, MU_COMM_SUM));
    err = w->main ? complete(w) : MU_OK;
    return comm ? mu_comm_agree(comm, err) : err;
}
