#include "config/config.h"
#include "core/mem.h"
#include "core/text.h"
#include "core/uuid.h"
#include "io/file.h"
#include "io/scratch.h"
#include "vis/scalars_store.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

#define GROUP "/scalars/"

/* mu_point as it lies in memory and, on the machines that we run on, in the file. */
static mu_err point_type_new(hid_t *out)
{
    static const struct {
        const char *name;
        size_t offset;
        mu_dtype dtype;
    } member[] = {{"step", offsetof(mu_point, step), MU_I64},
                  {"epoch", offsetof(mu_point, epoch), MU_I64},
                  {"time", offsetof(mu_point, time), MU_F64},
                  {"value", offsetof(mu_point, value), MU_F64}};
    hid_t type, number;
    MU_TRY_H5(type = H5Tcreate(H5T_COMPOUND, sizeof(mu_point)));
    mu_err err = MU_OK;
    for (size_t i = 0; i < sizeof member / sizeof member[0] && !err; i++) {
        err = mu_h5_type_new(member[i].dtype, &number);
        if (!err) {
            err = MU_H5(H5Tinsert(type, member[i].name, member[i].offset, number));
            mu_h5_close(number);
        }
    }
    if (err) {
        mu_h5_close(type);
        return err;
    }
    *out = type;
    return MU_OK;
}

/* Is the path of a series taken, or a folder of another's? */
static bool is_in_the_way(const char *path, char *const *paths, const mu_scalars *scalars, size_t self)
{
    size_t n = strlen(path);
    for (size_t i = 0; i < scalars->n; i++) {
        const char *other = i < self ? paths[i] + strlen(GROUP) : scalars->item[i].tag;
        if (i != self && strncmp(other, path, n) == 0 && (other[n] == '\0' || other[n] == '/'))
            return true;
    }
    return false;
}

/* The tag under /scalars; with '_' behind it where a dataset of that name cannot be. */
static mu_err make_path(const mu_scalars *scalars, size_t i, char **paths)
{
    mu_text text = {0};
    mu_text_append(&text, GROUP);
    mu_text_append(&text, scalars->item[i].tag);
    while (!text.err && is_in_the_way(text.data + strlen(GROUP), paths, scalars, i))
        mu_text_append(&text, "_");
    mu_err err = mu_text_take(&text, &paths[i]);
    if (err)
        mu_text_release(&text);
    return err;
}

static void free_paths(char **paths, size_t n)
{
    for (size_t i = 0; paths && i < n; i++)
        mu_free(paths[i]);
    mu_free(paths);
}

static mu_err make_paths(const mu_scalars *scalars, char ***out)
{
    char **paths;
    MU_TRY(mu_calloc(&paths, scalars->n, sizeof *paths));
    for (size_t i = 0; i < scalars->n; i++) {
        mu_err err = make_path(scalars, i, paths);
        if (err) {
            free_paths(paths, scalars->n);
            return err;
        }
    }
    *out = paths;
    return MU_OK;
}

static mu_err make_index(const mu_scalars *scalars, char *const *paths, char **out)
{
    mu_text text = {0};
    mu_text_append(&text, "[");
    for (size_t i = 0; i < scalars->n; i++) {
        mu_text_append(&text, i ? ", {\"tag\": " : "{\"tag\": ");
        mu_text_append_json(&text, scalars->item[i].tag, strlen(scalars->item[i].tag));
        mu_text_append(&text, ", \"path\": ");
        mu_text_append_json(&text, paths[i], strlen(paths[i]));
        mu_text_append(&text, "}");
    }
    mu_text_append(&text, "]");
    mu_err err = mu_text_take(&text, out);
    if (err)
        mu_text_release(&text);
    return err;
}

static mu_err place(hid_t file, const char *path, hid_t type, size_t n, mu_extent *out)
{
    hid_t space = H5I_INVALID_HID, plist = H5I_INVALID_HID, dataset = H5I_INVALID_HID;
    int64_t bytes = (int64_t)(n * sizeof(mu_point)), at = 0;
    mu_err err;
    MU_TRY(mu_h5_groups_create(file, path));
    MU_TRY_GOTO(err, MU_H5(space = H5Screate_simple(1, &(hsize_t){n}, NULL)), done);
    MU_TRY_GOTO(err, MU_H5(plist = H5Pcreate(H5P_DATASET_CREATE)), done);
    MU_TRY_GOTO(err, MU_H5(H5Pset_alloc_time(plist, H5D_ALLOC_TIME_EARLY)), done);
    MU_TRY_GOTO(err, MU_H5(H5Pset_fill_time(plist, H5D_FILL_TIME_NEVER)), done);
    MU_TRY_GOTO(err, MU_H5(dataset = H5Dcreate2(file, path, type, space, H5P_DEFAULT, plist, H5P_DEFAULT)), done);
    MU_TRY_GOTO(err, mu_h5_dataset_offset(dataset, bytes, &at), done);
    *out = (mu_extent){at, at + bytes};
done:
    mu_h5_close(dataset);
    mu_h5_close(plist);
    mu_h5_close(space);
    return err;
}

static mu_err place_index(hid_t file, size_t length, mu_extent *out)
{
    hid_t dataset;
    int64_t at = 0;
    MU_TRY(mu_h5_text_create(file, "tags", length, &dataset));
    mu_err err = mu_h5_dataset_offset(dataset, (int64_t)length, &at);
    mu_h5_close(dataset);
    *out = (mu_extent){at, at + (int64_t)length};
    return err;
}

/* extent[0] is the index, then one for each series. */
static mu_err lay_out(hid_t file, const mu_scalars *scalars, char *const *paths, size_t index_length, mu_extent *extent)
{
    hid_t type;
    char uuid[MU_UUID_TEXT];
    MU_TRY(mu_uuid_make(uuid));
    MU_TRY(mu_h5_set_text(file, "muster_format", MU_SCALARS_FORMAT));
    MU_TRY(mu_h5_set_i64(file, "muster_version", MU_SCALARS_VERSION));
    MU_TRY(mu_h5_set_text(file, "uuid", uuid));
    MU_TRY(place_index(file, index_length, &extent[0]));
    MU_TRY(point_type_new(&type));
    mu_err err = MU_OK;
    for (size_t i = 0; i < scalars->n && !err; i++)
        err = place(file, paths[i], type, scalars->item[i].n, &extent[i + 1]);
    mu_h5_close(type);
    return err;
}

static mu_err write_points(int fd, const mu_scalars *scalars, const char *index, const mu_extent *extent, const char *path)
{
    MU_TRY(mu_pwrite(fd, index, strlen(index), extent[0].at, path));
    for (size_t i = 0; i < scalars->n; i++)
        MU_TRY(mu_pwrite(fd, scalars->item[i].point, scalars->item[i].n * sizeof(mu_point), extent[i + 1].at, path));
    return MU_OK;
}

static mu_err write_file(mu_scratch *scratch, const mu_scalars *scalars, const char *index, mu_extent *extent,
                         mu_replacement *file, const char *path)
{
    int64_t bytes;
    int fd = mu_replacement_fd(file);
    MU_TRY(mu_scratch_finish(scratch, &bytes));
    MU_TRY(mu_replacement_resize(file, bytes));
    MU_TRY(write_points(fd, scalars, index, extent, path));
    MU_TRY(mu_scratch_copy(scratch, bytes, extent, (int64_t)scalars->n + 1, fd, path));
    return mu_replacement_commit(file);
}

mu_err mu_scalars_file_write(const char *path, const mu_scalars *scalars)
{
    char **paths = NULL, *index = NULL;
    mu_extent *extent = NULL;
    mu_scratch scratch = MU_SCRATCH_NONE;
    mu_replacement *file = NULL;
    mu_err err;
    MU_TRY(make_paths(scalars, &paths));
    MU_TRY_GOTO(err, make_index(scalars, paths, &index), done);
    MU_TRY_GOTO(err, mu_calloc(&extent, scalars->n + 1, sizeof *extent), done);
    MU_TRY_GOTO(err, mu_scratch_open(&scratch, 1, 4096 + 1024 * (int64_t)scalars->n), done);
    MU_TRY_GOTO(err, lay_out(scratch.file, scalars, paths, strlen(index), extent), done);
    MU_TRY_GOTO(err, mu_replacement_new(path, &file), done);
    MU_TRY_GOTO(err, write_file(&scratch, scalars, index, extent, file, path), done);
done:
    mu_replacement_release(file);
    mu_scratch_close(&scratch);
    mu_free(extent);
    mu_free(index);
    free_paths(paths, scalars->n);
    return err;
}

/* What is to be read lies in the file: before memory is allocated for it. */
static mu_err check_extent(hid_t file, hid_t dataset, size_t n, size_t element)
{
    hsize_t file_bytes;
    int64_t at, bytes;
    MU_TRY_H5(H5Fget_filesize(file, &file_bytes));
    if (element > 0 && n > (size_t)file_bytes / element)
        return MU_FAIL(MU_ERR_FORMAT, "a dataset has more bytes than the file, which has %llu", (unsigned long long)file_bytes);
    bytes = (int64_t)(n * element);
    MU_TRY(mu_h5_dataset_offset(dataset, bytes, &at));
    if (at > (int64_t)file_bytes - bytes)
        return MU_FAIL(MU_ERR_FORMAT, "a dataset ends after the file, which has %llu bytes", (unsigned long long)file_bytes);
    return MU_OK;
}

static mu_err read_points(hid_t file, const char *path, mu_series *series)
{
    hid_t dataset = H5I_INVALID_HID, space = H5I_INVALID_HID, stored = H5I_INVALID_HID, type = H5I_INVALID_HID;
    hssize_t n = 0;
    mu_err err;
    MU_TRY_GOTO(err, MU_H5(dataset = H5Dopen2(file, path, H5P_DEFAULT)), done);
    MU_TRY_GOTO(err, MU_H5(stored = H5Dget_type(dataset)), done);
    MU_TRY_GOTO(err, MU_H5(space = H5Dget_space(dataset)), done);
    MU_TRY_GOTO(err, MU_H5(n = H5Sget_simple_extent_npoints(space)), done);
    MU_TRY_GOTO(err, check_extent(file, dataset, (size_t)n, H5Tget_size(stored)), done);
    MU_TRY_GOTO(err, mu_grow(&series->point, &series->capacity, (size_t)n, sizeof *series->point), done);
    for (hssize_t i = 0; i < n; i++) /* what the file does not tell */
        series->point[i] = (mu_point){.epoch = -1, .time = NAN, .value = NAN};
    MU_TRY_GOTO(err, point_type_new(&type), done);
    MU_TRY_GOTO(err, MU_H5(H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, series->point)), done);
    series->n = (size_t)n;
done:
    mu_h5_close(type);
    mu_h5_close(stored);
    mu_h5_close(space);
    mu_h5_close(dataset);
    return err;
}

static mu_err read_index(hid_t file, mu_cfg **out)
{
    hid_t dataset, type = H5I_INVALID_HID;
    size_t length = 0;
    char *text = NULL;
    MU_TRY_H5(dataset = H5Dopen2(file, "tags", H5P_DEFAULT));
    mu_err err;
    MU_TRY_GOTO(err, mu_h5_text_length(dataset, &length), done);
    MU_TRY_GOTO(err, check_extent(file, dataset, length, 1), done);
    MU_TRY_GOTO(err, mu_calloc(&text, length + 1, 1), done);
    MU_TRY_GOTO(err, MU_H5(type = H5Dget_type(dataset)), done);
    MU_TRY_GOTO(err, MU_H5(H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, text)), done);
    err = mu_cfg_parse_json(text, strlen(text), "tags", out);
    if (err == MU_ERR_CONFIG)
        err = mu_error_recode(MU_ERR_FORMAT);
done:
    mu_h5_close(type);
    mu_h5_close(dataset);
    mu_free(text);
    return err;
}

static const char *text_of(const mu_cfg *entry, const char *key)
{
    const mu_cfg *value = mu_cfg_get(entry, key);
    return value && mu_cfg_kind_of(value) == MU_CFG_STRING ? mu_cfg_string(value) : NULL;
}

static mu_err read_series(hid_t file, const mu_cfg *index, mu_scalars *out)
{
    if (mu_cfg_kind_of(index) != MU_CFG_LIST)
        return MU_FAIL(MU_ERR_FORMAT, "/tags is not a list");
    for (size_t i = 0; i < mu_cfg_size(index); i++) {
        const char *tag = text_of(mu_cfg_at(index, i), "tag"), *path = text_of(mu_cfg_at(index, i), "path");
        mu_series *series;
        if (!tag || !path || mu_scalars_find(out, tag))
            return MU_FAIL(MU_ERR_FORMAT, "entry %zu of /tags has no tag and path of its own", i);
        MU_TRY(mu_scalars_series(out, tag, &series));
        MU_TRY(read_points(file, path, series));
    }
    return MU_OK;
}

static mu_err check_format(hid_t file)
{
    char *format;
    int64_t version;
    mu_err err = mu_h5_get_text(file, "muster_format", &format);
    if (err == MU_ERR_MEMORY)
        return err;
    bool right = !err && strcmp(format, MU_SCALARS_FORMAT) == 0;
    if (!err)
        mu_free(format);
    if (!right)
        return MU_FAIL(MU_ERR_FORMAT, "it is not a scalars file");
    MU_TRY(mu_h5_get_i64(file, "muster_version", &version));
    if (version < 1 || version > MU_SCALARS_VERSION)
        return MU_FAIL(MU_ERR_FORMAT, "version %lld of the format is unknown here", (long long)version);
    return MU_OK;
}

mu_err mu_scalars_file_read(const char *path, mu_scalars *out)
{
    hid_t file;
    mu_cfg *index = NULL;
    mu_scalars scalars = {0};
    MU_TRY(mu_h5_open(path, false, &file));
    mu_err err = check_format(file);
    if (!err)
        err = read_index(file, &index);
    if (!err)
        err = read_series(file, index, &scalars);
    mu_cfg_release(index);
    mu_h5_close(file);
    if (err) {
        mu_error_context("'%s'", path);
        mu_scalars_release(&scalars);
        return err;
    }
    *out = scalars;
    return MU_OK;
}
