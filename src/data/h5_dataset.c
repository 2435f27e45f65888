#include "config.h"

#include "data/h5_dataset.h"

#include "core/mem.h"
#include "core/text.h"
#include "data/h5_format.h"
#include "io/file.h"
#include "io/hdf5.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct {
    mu_h5_field field;
    char *name; /* owned */
    int64_t count, at; /* samples; byte in the file */
    size_t sample_bytes;
    int64_t *offsets;  /* [count + 1] of a variable one */
    char *checksum, *offsets_checksum; /* NULL: the file has none */
} h5_column;

struct mu_h5_dataset {
    char *path, *uuid, *meta_text;
    mu_cfg *meta;
    const mu_cfg *classes;
    int fd;
    int64_t file_bytes, count;
    int n_columns;
    h5_column column[MU_H5_MAX_FIELDS];
};

static mu_err not_ours(const mu_h5_dataset *d, const char *what)
{
    MU_FAIL(MU_ERR_FORMAT, "'%s' is not a Muster dataset: %s", d->path, what);
    return mu_error_hint("datasets are made by: muster data pack");
}

static mu_err open_bytes(mu_h5_dataset *d)
{
    struct stat info;
    d->fd = open(d->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (d->fd < 0) {
        int code = errno;
        MU_FAIL(MU_ERR_IO, "the dataset '%s' cannot be opened: %s", d->path, strerror(code));
        return code == ENOENT ? mu_error_hint("make it with: muster data pack") : MU_ERR_IO;
    }
    if (fstat(d->fd, &info) != 0 || !S_ISREG(info.st_mode))
        return MU_FAIL(MU_ERR_IO, "the dataset '%s' is not a regular file", d->path);
    d->file_bytes = info.st_size;
    return MU_OK;
}

/* HDF5's signature, at byte 0 as we write it or after a user block. */
static mu_err check_signature(const mu_h5_dataset *d)
{
    static const char signature[] = "\211HDF\r\n\032\n";
    for (int64_t at = 0; at + 8 <= d->file_bytes; at = at ? 2 * at : 512) {
        char found[8];
        MU_TRY(mu_pread(d->fd, found, sizeof found, at, d->path));
        if (memcmp(found, signature, sizeof found) == 0)
            return MU_OK;
    }
    return not_ours(d, d->file_bytes ? "it is not an HDF5 file" : "it is empty");
}

static mu_err read_identity(mu_h5_dataset *d, hid_t file)
{
    char *format = NULL;
    int64_t version = 0;
    mu_err err = mu_h5_get_text(file, "muster_format", &format);
    if (err == MU_ERR_NOT_FOUND)
        return not_ours(d, "it lacks the attribute muster_format");
    MU_TRY(mu_h5_of_file(d->path, err));
    bool dataset = strcmp(format, H5_FORMAT) == 0;
    if (!dataset)
        MU_FAIL(MU_ERR_FORMAT, "'%s' is not a Muster dataset: its muster_format is '%.40s'", d->path, format);
    mu_free(format);
    if (!dataset)
        return mu_error_hint("datasets are made by: muster data pack");
    MU_TRY(mu_h5_of_file(d->path, mu_h5_get_i64(file, "muster_version", &version)));
    if (version != MU_H5_DATASET_VERSION) {
        MU_FAIL(MU_ERR_FORMAT, "'%s' is a dataset of version %lld; this Muster reads version %d", d->path,
                (long long)version, MU_H5_DATASET_VERSION);
        return mu_error_hint("use a Muster that knows it, or pack the data again");
    }
    return mu_h5_of_file(d->path, mu_h5_get_text(file, "uuid", &d->uuid));
}

/* Checks that `bytes` bytes at `at` lie in the file. */
static mu_err check_extent(const mu_h5_dataset *d, int64_t at, int64_t bytes)
{
    if (at > d->file_bytes || bytes > d->file_bytes - at) {
        MU_FAIL(MU_ERR_FORMAT, "it ends at byte %llu, but the file has %lld", (unsigned long long)at + (unsigned long long)bytes,
                (long long)d->file_bytes);
        return mu_error_hint("the file was cut: copy it again, or pack the data again");
    }
    return MU_OK;
}

/* NULL when there is none. */
static mu_err read_checksum(hid_t object, char **out)
{
    mu_err err = mu_h5_get_text(object, H5_CHECKSUM, out);
    if (err == MU_ERR_NOT_FOUND) {
        *out = NULL;
        return MU_OK;
    }
    return err;
}

static mu_err read_meta_text(mu_h5_dataset *d, hid_t file, char **checksum)
{
    hid_t meta;
    size_t length = 0;
    int64_t at = 0;
    MU_TRY_H5(meta = H5Dopen2(file, "meta", H5P_DEFAULT));
    mu_err err;
    MU_TRY_GOTO(err, mu_h5_text_length(meta, &length), done);
    MU_TRY_GOTO(err, mu_h5_dataset_offset(meta, (int64_t)length, &at), done);
    MU_TRY_GOTO(err, check_extent(d, at, (int64_t)length), done);
    MU_TRY_GOTO(err, mu_calloc(&d->meta_text, length + 1, 1), done);
    MU_TRY_GOTO(err, mu_pread(d->fd, d->meta_text, length, at, d->path), done);
    MU_TRY_GOTO(err, read_checksum(meta, checksum), done);
    char found[H5_CHECKSUM_TEXT];
    h5_checksum_format(XXH3_64bits(d->meta_text, length), found);
    if (*checksum && strcmp(*checksum, found) != 0)
        err = MU_FAIL(MU_ERR_FORMAT, "its checksum is %s instead of %.16s", found, *checksum);
done:
    mu_h5_close(meta);
    return err;
}

static mu_err read_meta(mu_h5_dataset *d, hid_t file)
{
    char *checksum = NULL;
    mu_err err = read_meta_text(d, file, &checksum);
    mu_free(checksum);
    if (err) {
        mu_error_context("'%s', dataset /meta", d->path);
        mu_error_hint("the file is damaged: copy it again, or pack the data again");
        return err;
    }
    return h5_meta_parse(d->meta_text, strlen(d->meta_text), d->path, &d->meta, &d->classes);
}

/* Where the samples of an open dataset lie. */
static mu_err read_layout(mu_h5_dataset *d, h5_column *c, hid_t dataset)
{
    mu_type type;
    MU_TRY(mu_h5_dataset_type(dataset, &type));
    if (type.ndim < 1)
        return MU_FAIL(MU_ERR_FORMAT, "it has no dimension of samples");
    c->count = type.dim[0];
    c->field.bytes = (int64_t)mu_type_bytes(&type);
    MU_TRY(mu_type_init(&c->field.sample, type.dtype, type.ndim - 1, type.dim + 1));
    c->sample_bytes = mu_type_bytes(&c->field.sample);
    MU_TRY(mu_h5_dataset_offset(dataset, c->field.bytes, &c->at));
    MU_TRY(check_extent(d, c->at, c->field.bytes));
    return read_checksum(dataset, &c->checksum);
}

static mu_err check_offsets(const h5_column *c)
{
    if (c->offsets[0] != 0 || c->offsets[c->count] != c->field.bytes)
        return MU_FAIL(MU_ERR_FORMAT, "offsets run from %lld to %lld instead of 0 to the %lld bytes there are",
                       (long long)c->offsets[0], (long long)c->offsets[c->count], (long long)c->field.bytes);
    for (int64_t i = 0; i < c->count; i++)
        if (c->offsets[i] > c->offsets[i + 1])
            return MU_FAIL(MU_ERR_FORMAT, "offset %lld is below the one before it", (long long)i + 1);
    return MU_OK;
}

/* The dataset beside `c` that says where its samples begin; c becomes variable. */
static mu_err read_offsets(mu_h5_dataset *d, h5_column *c, hid_t dataset)
{
    mu_type type;
    int64_t at;
    MU_TRY(mu_h5_dataset_type(dataset, &type));
    if (type.dtype != MU_I64 || type.ndim != 1 || type.dim[0] < 1)
        return MU_FAIL(MU_ERR_FORMAT, "offsets must be i64[samples + 1]");
    if (c->field.sample.dtype != MU_U8 || c->field.sample.ndim != 0)
        return MU_FAIL(MU_ERR_FORMAT, "samples of variable size must be a u8 array of one dimension");
    size_t bytes = mu_type_bytes(&type);
    MU_TRY(mu_h5_dataset_offset(dataset, (int64_t)bytes, &at));
    MU_TRY(check_extent(d, at, (int64_t)bytes));
    MU_TRY(mu_alloc(&c->offsets, bytes));
    MU_TRY(mu_pread(d->fd, c->offsets, bytes, at, d->path));
    c->count = type.dim[0] - 1;
    c->field.variable = true;
    MU_TRY(check_offsets(c));
    return read_checksum(dataset, &c->offsets_checksum);
}

static mu_err open_column(mu_h5_dataset *d, hid_t group, h5_column *c)
{
    hid_t dataset, offsets;
    char name[512];
    htri_t exists;
    MU_TRY_H5(dataset = H5Dopen2(group, c->name, H5P_DEFAULT));
    mu_err err = read_layout(d, c, dataset);
    mu_h5_close(dataset);
    MU_TRY(err);
    if ((size_t)snprintf(name, sizeof name, "%s" H5_OFFSETS, c->name) >= sizeof name)
        return MU_FAIL(MU_ERR_FORMAT, "its name is too long");
    MU_TRY_H5(exists = H5Lexists(group, name, H5P_DEFAULT));
    if (!exists)
        return MU_OK;
    MU_TRY_H5(offsets = H5Dopen2(group, name, H5P_DEFAULT));
    err = read_offsets(d, c, offsets);
    mu_h5_close(offsets);
    return err;
}

static bool ends_in_offsets(const char *name)
{
    size_t n = strlen(name), m = strlen(H5_OFFSETS);
    return n >= m && strcmp(name + n - m, H5_OFFSETS) == 0;
}

typedef struct {
    mu_h5_dataset *dataset;
    mu_err err; /* what ended the walk; HDF5 keeps no record of ours */
} h5_names;

static mu_err add_column(mu_h5_dataset *d, const char *name)
{
    if (ends_in_offsets(name))
        return MU_OK;
    if (d->n_columns == MU_H5_MAX_FIELDS)
        return MU_FAIL(MU_ERR_FORMAT, "'%s' has more than %d fields", d->path, MU_H5_MAX_FIELDS);
    h5_column *c = &d->column[d->n_columns];
    MU_TRY(mu_strdup(&c->name, name));
    c->field.name = c->name;
    d->n_columns++;
    return MU_OK;
}

static herr_t visit_link(hid_t group, const char *name, const H5L_info_t *info, void *user)
{
    h5_names *names = user;
    (void)group, (void)info;
    names->err = add_column(names->dataset, name);
    return names->err ? -1 : 0;
}

static int by_name(const void *a, const void *b)
{
    const h5_column *x = a, *y = b;
    return strcmp(x->name, y->name);
}

/* Sorted here: for an order HDF5 1.10 first makes a table, and crashes when a damaged group ends before its table does. */
static mu_err find_columns(mu_h5_dataset *d, hid_t group)
{
    h5_names names = {.dataset = d};
    hsize_t at = 0;
    mu_h5_printer printer = mu_h5_silence();
    herr_t status = H5Literate(group, H5_INDEX_NAME, H5_ITER_NATIVE, &at, visit_link, &names);
    mu_h5_restore(printer);
    MU_TRY(names.err);
    if (status < 0)
        return MU_FAIL(MU_ERR_FORMAT, "'%s': the group /data cannot be read", d->path);
    qsort(d->column, (size_t)d->n_columns, sizeof d->column[0], by_name);
    return MU_OK;
}

static mu_err read_column(mu_h5_dataset *d, hid_t group, h5_column *c)
{
    mu_err err = open_column(d, group, c);
    if (!err && c->count != d->column[0].count)
        err = MU_FAIL(MU_ERR_FORMAT, "it has %lld samples, /data/%s has %lld", (long long)c->count, d->column[0].name,
                      (long long)d->column[0].count);
    if (err)
        mu_error_context("'%s', dataset /data/%s", d->path, c->name);
    return err;
}

static mu_err read_columns(mu_h5_dataset *d, hid_t file)
{
    hid_t group;
    if (MU_H5(group = H5Gopen2(file, "data", H5P_DEFAULT)) != MU_OK)
        return not_ours(d, "it lacks the group /data");
    mu_err err = find_columns(d, group);
    for (int i = 0; !err && i < d->n_columns; i++)
        err = read_column(d, group, &d->column[i]);
    mu_h5_close(group);
    MU_TRY(err);
    if (d->n_columns == 0)
        return not_ours(d, "the group /data holds no field");
    d->count = d->column[0].count;
    return MU_OK;
}

static mu_err read_structure(mu_h5_dataset *d)
{
    hid_t file;
    mu_err err = mu_h5_open(d->path, false, &file);
    if (err) {
        mu_error_hint("the file is damaged or was cut: copy it again, or pack the data again");
        return err;
    }
    err = read_identity(d, file);
    err = err ? err : read_meta(d, file);
    err = err ? err : read_columns(d, file);
    mu_h5_close(file);
    return err;
}

mu_err mu_h5_dataset_open(const char *path, mu_h5_dataset **out)
{
    mu_h5_dataset *d;
    MU_TRY(mu_calloc(&d, 1, sizeof *d));
    d->fd = -1;
    mu_err err;
    MU_TRY_GOTO(err, mu_strdup(&d->path, path), fail);
    MU_TRY_GOTO(err, open_bytes(d), fail);
    MU_TRY_GOTO(err, check_signature(d), fail);
    MU_TRY_GOTO(err, read_structure(d), fail);
    *out = d;
    return MU_OK;
fail:
    mu_h5_dataset_release(d);
    return err;
}

void mu_h5_dataset_release(mu_h5_dataset *d)
{
    if (!d)
        return;
    for (int i = 0; i < d->n_columns; i++) {
        mu_free(d->column[i].name);
        mu_free(d->column[i].offsets);
        mu_free(d->column[i].checksum);
        mu_free(d->column[i].offsets_checksum);
    }
    if (d->fd >= 0)
        close(d->fd);
    mu_cfg_release(d->meta);
    mu_free(d->meta_text);
    mu_free(d->uuid);
    mu_free(d->path);
    mu_free(d);
}

const char *mu_h5_dataset_path(const mu_h5_dataset *d)
{
    return d->path;
}

const char *mu_h5_dataset_uuid(const mu_h5_dataset *d)
{
    return d->uuid;
}

const char *mu_h5_dataset_meta(const mu_h5_dataset *d)
{
    return d->meta_text;
}

int64_t mu_h5_dataset_count(const mu_h5_dataset *d)
{
    return d->count;
}

int64_t mu_h5_dataset_n_classes(const mu_h5_dataset *d)
{
    return d->classes ? (int64_t)mu_cfg_size(d->classes) : 0;
}

const char *mu_h5_dataset_class(const mu_h5_dataset *d, int64_t i)
{
    return mu_cfg_string(mu_cfg_at(d->classes, (size_t)i));
}

int mu_h5_dataset_n_fields(const mu_h5_dataset *d)
{
    return d->n_columns;
}

const mu_h5_field *mu_h5_dataset_field(const mu_h5_dataset *d, int i)
{
    return &d->column[i].field;
}

mu_err mu_h5_dataset_find(const mu_h5_dataset *d, const char *name, int *out)
{
    char known[512] = "";
    for (int i = 0; i < d->n_columns; i++) {
        if (strcmp(d->column[i].name, name) == 0) {
            *out = i;
            return MU_OK;
        }
        size_t n = strlen(known);
        snprintf(known + n, sizeof known - n, "%s%s", i ? ", " : "", d->column[i].name);
    }
    MU_FAIL(MU_ERR_NOT_FOUND, "the dataset '%s' has no field '%s'", d->path, name);
    return mu_error_hint("its fields are %s", known);
}

static mu_err find_sample(const mu_h5_dataset *d, int field, int64_t index, int64_t *at, size_t *bytes)
{
    if (field < 0 || field >= d->n_columns)
        return MU_FAIL(MU_ERR_USAGE, "the dataset '%s' has %d fields, there is no field %d", d->path, d->n_columns, field);
    const h5_column *c = &d->column[field];
    if (index < 0 || index >= d->count)
        return MU_FAIL(MU_ERR_USAGE, "the dataset '%s' has %lld samples, there is no sample %lld", d->path,
                       (long long)d->count, (long long)index);
    *at = c->at + (c->offsets ? c->offsets[index] : index * (int64_t)c->sample_bytes);
    *bytes = c->offsets ? (size_t)(c->offsets[index + 1] - c->offsets[index]) : c->sample_bytes;
    return MU_OK;
}

mu_err mu_h5_dataset_sample_bytes(const mu_h5_dataset *d, int field, int64_t index, size_t *out)
{
    int64_t at;
    return find_sample(d, field, index, &at, out);
}

mu_err mu_h5_dataset_read(const mu_h5_dataset *d, int field, int64_t index, void *out, size_t size)
{
    int64_t at;
    size_t bytes;
    MU_TRY(find_sample(d, field, index, &at, &bytes));
    if (size != bytes)
        return MU_FAIL(MU_ERR_SHAPE, "sample %lld of '%s' in '%s' has %zu bytes, not %zu", (long long)index,
                       d->column[field].name, d->path, bytes, size);
    MU_TRY(mu_pread(d->fd, out, size, at, d->path));
    int64_t n_classes = mu_h5_dataset_n_classes(d);
    if (!h5_is_label(&d->column[field].field, n_classes))
        return MU_OK;
    return h5_check_labels(out, 1, index, n_classes, d->path);
}

static mu_err compare(const mu_h5_dataset *d, const char *name, const char *suffix, const char *wanted, XXH64_hash_t hash)
{
    char found[H5_CHECKSUM_TEXT];
    h5_checksum_format(hash, found);
    if (wanted && strcmp(wanted, found) == 0)
        return MU_OK;
    if (!wanted) {
        MU_FAIL(MU_ERR_FORMAT, "'%s', dataset /data/%s%s: it has no checksum", d->path, name, suffix);
        return mu_error_hint("without one damage cannot be told; pack the data with: muster data pack");
    }
    MU_FAIL(MU_ERR_FORMAT, "'%s', dataset /data/%s%s: its checksum is %s instead of %.16s", d->path, name, suffix, found,
            wanted);
    return mu_error_hint("the file is damaged: copy it again, or pack the data again");
}

static mu_err find_fixed(const mu_h5_dataset *d, int field, const h5_column **out)
{
    if (field < 0 || field >= d->n_columns)
        return MU_FAIL(MU_ERR_USAGE, "the dataset '%s' has no field %d", d->path, field);
    *out = &d->column[field];
    if ((*out)->offsets)
        return MU_FAIL(MU_ERR_USAGE, "the samples of '%s' in '%s' vary in size", (*out)->name, d->path);
    return MU_OK;
}

mu_err mu_h5_dataset_read_many(const mu_h5_dataset *d, int field, const int64_t *index, int64_t n, void *out)
{
    const h5_column *c;
    MU_TRY(find_fixed(d, field, &c));
    char *to = out;
    int64_t n_classes = mu_h5_dataset_n_classes(d);
    bool labels = h5_is_label(&c->field, n_classes);
    for (int64_t i = 0, run; i < n; i += run) {
        for (run = 1; i + run < n && index[i + run] == index[i] + run;)
            run++;
        if (index[i] < 0 || index[i] > d->count - run)
            return MU_FAIL(MU_ERR_USAGE, "the dataset '%s' has %lld samples, there is no sample %lld", d->path,
                           (long long)d->count, (long long)(index[i] < 0 ? index[i] : index[i] + run - 1));
        size_t bytes = (size_t)run * c->sample_bytes;
        MU_TRY(mu_pread(d->fd, to, bytes, c->at + index[i] * (int64_t)c->sample_bytes, d->path));
        if (labels)
            MU_TRY(h5_check_labels((const int64_t *)(const void *)to, run, index[i], n_classes, d->path));
        to += bytes;
    }
    return MU_OK;
}

mu_err mu_h5_dataset_read_all(const mu_h5_dataset *d, int field, void *out)
{
    const h5_column *c;
    MU_TRY(find_fixed(d, field, &c));
    MU_TRY(mu_pread(d->fd, out, (size_t)c->field.bytes, c->at, d->path));
    if (c->checksum)
        MU_TRY(compare(d, c->name, "", c->checksum, XXH3_64bits(out, (size_t)c->field.bytes)));
    int64_t n_classes = mu_h5_dataset_n_classes(d);
    return h5_is_label(&c->field, n_classes) ? h5_check_labels(out, d->count, 0, n_classes, d->path) : MU_OK;
}

/* All bytes of a field through a buffer whose size holds whole labels. */
static mu_err verify_bytes(const mu_h5_dataset *d, const h5_column *c, char *buffer, mu_h5_tick *tick, void *user)
{
    XXH3_state_t state;
    int64_t n_classes = mu_h5_dataset_n_classes(d);
    bool labels = h5_is_label(&c->field, n_classes);
    mu_err bad_label = MU_OK;
    mu_error record;
    XXH3_64bits_reset(&state);
    for (int64_t done = 0; done < c->field.bytes;) {
        int64_t left = c->field.bytes - done;
        size_t n = left < H5_CHUNK ? (size_t)left : (size_t)H5_CHUNK;
        MU_TRY(mu_pread(d->fd, buffer, n, c->at + done, d->path));
        XXH3_64bits_update(&state, buffer, n);
        int64_t n_labels = (int64_t)(n / sizeof(int64_t)), first = done / (int64_t)sizeof(int64_t);
        if (labels && !bad_label &&
            (bad_label = h5_check_labels((int64_t *)buffer, n_labels, first, n_classes, d->path)) != MU_OK)
            record = *mu_error_last();
        done += (int64_t)n;
        if (tick)
            tick(user, done, c->field.bytes);
    }
    /* Damage explains a bad label, not the other way round. */
    MU_TRY(compare(d, c->name, "", c->checksum, XXH3_64bits_digest(&state)));
    return bad_label ? mu_error_restore(&record) : MU_OK;
}

mu_err mu_h5_dataset_verify(const mu_h5_dataset *d, int field, mu_h5_tick *tick, void *user)
{
    if (field < 0 || field >= d->n_columns)
        return MU_FAIL(MU_ERR_USAGE, "the dataset '%s' has no field %d", d->path, field);
    const h5_column *c = &d->column[field];
    char *buffer;
    if (c->offsets)
        MU_TRY(compare(d, c->name, H5_OFFSETS, c->offsets_checksum,
                       XXH3_64bits(c->offsets, (size_t)(c->count + 1) * sizeof *c->offsets)));
    MU_TRY(mu_alloc(&buffer, H5_CHUNK));
    mu_err err = verify_bytes(d, c, buffer, tick, user);
    mu_free(buffer);
    return err;
}
