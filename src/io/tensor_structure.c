/* The structure of a tensor file: what parts it has, and which items are in them, as HDF5 tells. */
#include "config.h"

#include "io/tensor_file_impl.h"

#include "config/config.h"
#include "core/mem.h"
#include "core/text.h"
#include "io/file.h"
#include "io/hdf5.h"
#include "io/tensor_tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

typedef tensor_item item;
typedef tensor_file_part part;
typedef tensor_shard_link shard_link;

enum { MAX_OPEN = 64 }; /* files beyond are not kept open */

static const char *item_path(const void *user, int i)
{
    const mu_tensor_file *f = user;
    return f->item[i].path;
}

/* What a format's files are made by. */
static mu_err foreign(mu_err err, const char *format)
{
    if (strcmp(format, "checkpoint") == 0)
        mu_error_hint("checkpoints are made by: muster train");
    return err;
}

mu_err tensor_damaged(mu_err err)
{
    mu_error_hint("the file is damaged: copy it again, or use another one");
    return err;
}

static mu_err open_bytes(part *f, const char *format)
{
    struct stat info;
    f->fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (f->fd < 0)
        return MU_FAIL(MU_ERR_IO, "the %s file '%s' cannot be opened: %s", format, f->path, strerror(errno));
    if (fstat(f->fd, &info) != 0 || !S_ISREG(info.st_mode))
        return MU_FAIL(MU_ERR_IO, "the %s file '%s' is not a regular file", format, f->path);
    f->bytes = info.st_size;
    return MU_OK;
}

/* HDF5's superblock of version 2 or 3, as we write it: where the file was to end stands in it. Other files that begin otherwise, after a
 * user block for instance, are left to HDF5. */
static mu_err check_beginning(const part *f, const char *format)
{
    static const char signature[] = "\211HDF\r\n\032\n";
    struct {
        char signature[8];
        uint8_t version, offset_bytes, length_bytes, flags;
        int32_t base[2], extension[2];
        uint32_t end[2]; /* low half first */
    } head;
    if (f->bytes < (int64_t)sizeof head)
        return foreign(MU_FAIL(MU_ERR_FORMAT, "'%s' is not a %s file: it is %s", f->path, format, f->bytes ? "too short" : "empty"),
                       format);
    MU_TRY(mu_pread(f->fd, &head, sizeof head, 0, f->path));
    if (memcmp(head.signature, signature, sizeof head.signature) != 0)
        return foreign(MU_FAIL(MU_ERR_FORMAT, "'%s' is not a %s file: it is not an HDF5 file", f->path, format), format);
    uint64_t end = head.end[0] | (uint64_t)head.end[1] << 32;
    if ((head.version == 2 || head.version == 3) && head.offset_bytes == 8 && end < INT64_MAX && (int64_t)end > f->bytes) {
        MU_FAIL(MU_ERR_FORMAT, "'%s' is cut off at byte %lld of %lld", f->path, (long long)f->bytes, (long long)end);
        return tensor_damaged(MU_ERR_FORMAT);
    }
    return MU_OK;
}

static mu_err check_format(const part *f, hid_t file, const char *format)
{
    char *found = NULL;
    mu_err err = mu_h5_get_text(file, "muster_format", &found);
    if (err == MU_ERR_NOT_FOUND) {
        MU_FAIL(MU_ERR_FORMAT, "'%s' is not a %s file: it lacks the attribute muster_format", f->path, format);
        return mu_error_hint("it is an HDF5 file of another program");
    }
    MU_TRY(mu_h5_of_file(f->path, err));
    if (strcmp(found, format) != 0)
        err = foreign(MU_FAIL(MU_ERR_FORMAT, "'%s' is %s %.40s file, not a %s file", f->path, mu_article(found), found, format),
                      format);
    mu_free(found);
    return err;
}

static mu_err read_identity(part *f, hid_t file, const char *format, int64_t version)
{
    int64_t found = 0;
    MU_TRY(check_format(f, file, format));
    MU_TRY(mu_h5_of_file(f->path, mu_h5_get_i64(file, "muster_version", &found)));
    if (found < 1 || found > version) {
        MU_FAIL(MU_ERR_FORMAT, "'%s' is a %s file of version %lld; this Muster reads up to version %lld", f->path, format,
                (long long)found, (long long)version);
        return mu_error_hint("use a Muster that knows it");
    }
    return mu_h5_of_file(f->path, mu_h5_get_text(file, "uuid", &f->uuid));
}

static bool is_text(hid_t dataset)
{
    hid_t type;
    if (MU_H5(type = H5Dget_type(dataset)) != MU_OK)
        return false;
    bool text = H5Tget_class(type) == H5T_STRING;
    mu_h5_close(type);
    return text;
}

static mu_err read_type(hid_t dataset, mu_tensor_entry *e)
{
    size_t length;
    e->text = is_text(dataset);
    if (!e->text)
        return mu_h5_dataset_type(dataset, &e->type);
    MU_TRY(mu_h5_text_length(dataset, &length));
    e->type = MU_TYPE(MU_U8, (int64_t)length);
    return MU_OK;
}

static mu_err read_checksum(hid_t dataset, item *it)
{
    char *text;
    mu_err err = mu_h5_get_text(dataset, TENSOR_CHECKSUM, &text);
    if (err == MU_ERR_NOT_FOUND)
        return MU_OK;
    MU_TRY(err);
    it->entry.hashed = true;
    snprintf(it->checksum, sizeof it->checksum, "%s", text);
    mu_free(text);
    return MU_OK;
}

static mu_err read_item(const part *f, item *it, hid_t dataset)
{
    MU_TRY(read_type(dataset, &it->entry));
    int64_t bytes = (int64_t)mu_type_bytes(&it->entry.type);
    MU_TRY(mu_h5_dataset_offset(dataset, bytes, &it->entry.offset));
    if (it->entry.offset > f->bytes || bytes > f->bytes - it->entry.offset)
        return MU_FAIL(MU_ERR_FORMAT, "it ends at byte %llu, but the file has %lld",
                       (unsigned long long)it->entry.offset + (unsigned long long)bytes, (long long)f->bytes);
    mu_err err = mu_h5_get_i64(dataset, TENSOR_ORDER, &it->order);
    if (err == MU_ERR_NOT_FOUND)
        it->order = INT64_MAX;
    else
        MU_TRY(err);
    return read_checksum(dataset, it);
}

static mu_err visit(void *user, const char *path, hid_t dataset)
{
    mu_tensor_file *f = user;
    MU_TRY(mu_grow(&f->item, &f->capacity, f->n + 1, sizeof *f->item));
    item *it = &f->item[f->n];
    *it = (item){.part = f->reading};
    MU_TRY(mu_strdup(&it->path, path));
    f->n++;
    mu_err err = read_item(&f->part[f->reading], it, dataset);
    if (err)
        mu_error_context("dataset %s", path);
    return err;
}

static mu_err note_link(void *user, const char *path, const char *file)
{
    mu_tensor_file *f = user;
    MU_TRY(mu_grow(&f->link, &f->link_capacity, f->n_links + 1, sizeof *f->link));
    shard_link *l = &f->link[f->n_links];
    *l = (shard_link){0};
    f->n_links++;
    MU_TRY(mu_strdup(&l->path, path));
    return mu_strdup(&l->file, file);
}

static int by_order(const void *a, const void *b)
{
    const item *x = a, *y = b;
    if (x->order != y->order)
        return x->order < y->order ? -1 : 1;
    return strcmp(x->path, y->path);
}

static mu_err make_index(mu_tensor_file *f)
{
    if (f->n > 0)
        qsort(f->item, f->n, sizeof *f->item, by_order);
    f->index.path = item_path;
    f->index.user = f;
    for (size_t i = 0; i < f->n; i++) {
        f->item[i].entry.path = f->item[i].path;
        f->item[i].entry.file = f->part[f->item[i].part].path;
        mu_err err = tensor_index_add(&f->index, (int)i);
        if (err == MU_ERR_USAGE) {
            mu_error_context("'%s'", f->part[0].path);
            return tensor_damaged(mu_error_recode(MU_ERR_FORMAT));
        }
        MU_TRY(err);
    }
    return MU_OK;
}

/* Part k, whose path is set. */
static mu_err read_part(mu_tensor_file *f, int k, const char *format, int64_t version)
{
    part *p = &f->part[k];
    hid_t file;
    mu_err err = open_bytes(p, format);
    if (err)
        return k == 0 ? mu_error_hint("see that the path is right, from here and on every node") : err;
    MU_TRY(check_beginning(p, format));
    err = mu_h5_open(p->path, false, &file);
    if (err)
        return tensor_damaged(err);
    f->reading = k;
    err = read_identity(p, file, format, version);
    if (!err) {
        err = tensor_tree_walk(file, visit, k == 0 ? note_link : NULL, f);
        if (err) {
            mu_error_context("'%s'", p->path);
            tensor_damaged(err);
        }
    }
    mu_h5_close(file);
    if (k >= MAX_OPEN) {
        close(p->fd);
        p->fd = -1;
    }
    return err;
}

/* ---- the shards of an index ---- */

/* A shard that is not what it should be, or is not there. */
static mu_err bad_shard(const mu_tensor_file *f, mu_err err)
{
    mu_error_context("a shard of '%s'", f->part[0].path);
    mu_error_hint("bring all its shards from where it was written to the folder of the index, or use another checkpoint");
    return err;
}

static mu_err bad_list(const mu_tensor_file *f)
{
    MU_FAIL(MU_ERR_FORMAT, "'%s', dataset " TENSOR_SHARDS ": it does not tell the shards", f->part[0].path);
    return tensor_damaged(MU_ERR_FORMAT);
}

static const char *string_in(const mu_cfg *entry, const char *key)
{
    const mu_cfg *value = mu_cfg_kind_of(entry) == MU_CFG_DICT ? mu_cfg_get(entry, key) : NULL;
    return value && mu_cfg_kind_of(value) == MU_CFG_STRING ? mu_cfg_string(value) : NULL;
}

/* The path of a name beside the index. */
static mu_err beside(const mu_tensor_file *f, const char *name, char **out)
{
    const char *path = f->part[0].path, *slash = strrchr(path, '/');
    return mu_asprintf(out, "%.*s%s", slash ? (int)(slash - path) + 1 : 0, path, name);
}

static mu_err read_shard(mu_tensor_file *f, int k, const mu_cfg *entry, const char *format, int64_t version)
{
    part *p = &f->part[k];
    const char *name = string_in(entry, "file"), *uuid = string_in(entry, "uuid");
    const mu_cfg *bytes = mu_cfg_kind_of(entry) == MU_CFG_DICT ? mu_cfg_get(entry, "bytes") : NULL;
    if (!name || !name[0] || strchr(name, '/') || !uuid || !bytes || mu_cfg_kind_of(bytes) != MU_CFG_INT)
        return bad_list(f);
    MU_TRY(beside(f, name, &p->path));
    mu_err err = read_part(f, k, format, version);
    if (err)
        return err == MU_ERR_MEMORY ? err : bad_shard(f, err);
    if (strcmp(p->uuid, uuid) != 0) {
        MU_FAIL(MU_ERR_FORMAT, "'%s' belongs to another one: its uuid is %.40s instead of %.40s", p->path, p->uuid, uuid);
        return bad_shard(f, MU_ERR_FORMAT);
    }
    if (p->bytes != mu_cfg_int(bytes)) {
        MU_FAIL(MU_ERR_FORMAT, "'%s' has %lld bytes instead of %lld", p->path, (long long)p->bytes, (long long)mu_cfg_int(bytes));
        return bad_shard(f, MU_ERR_FORMAT);
    }
    return MU_OK;
}

static mu_err read_shards(mu_tensor_file *f, const mu_cfg *list, const char *format, int64_t version)
{
    size_t n = mu_cfg_kind_of(list) == MU_CFG_LIST ? mu_cfg_size(list) : 0;
    char *of = NULL;
    if (n == 0 || n > TENSOR_MAX_SHARDS)
        return bad_list(f);
    MU_TRY(mu_realloc(&f->part, (n + 1) * sizeof *f->part));
    MU_TRY(tensor_shard_format(format, &of));
    mu_err err = MU_OK;
    for (size_t i = 0; !err && i < n; i++) {
        f->part[f->n_parts] = (part){.fd = -1};
        f->n_parts++;
        err = read_shard(f, f->n_parts - 1, mu_cfg_at(list, i), of, version);
    }
    mu_free(of);
    return err;
}

/* Every link leads to a dataset of a shard, and every one of these has its link. */
mu_err tensor_check_links(const mu_tensor_file *f)
{
    size_t in_shards = 0;
    for (size_t i = 0; i < f->n; i++)
        in_shards += f->item[i].part > 0;
    for (size_t k = 0; k < f->n_links; k++) {
        int i = tensor_index_find(&f->index, f->link[k].path);
        const char *path = i >= 0 && f->item[i].part > 0 ? f->item[i].entry.file : "", *slash = strrchr(path, '/');
        if (strcmp(slash ? slash + 1 : path, f->link[k].file) != 0) {
            MU_FAIL(MU_ERR_FORMAT, "'%s', dataset %s: it is a link to '%.200s', where it is not", f->part[0].path, f->link[k].path,
                    f->link[k].file);
            return tensor_damaged(MU_ERR_FORMAT);
        }
    }
    if (in_shards == f->n_links)
        return MU_OK;
    MU_FAIL(MU_ERR_FORMAT, "'%s' has %zu links to the %zu datasets of its shards", f->part[0].path, f->n_links, in_shards);
    return tensor_damaged(MU_ERR_FORMAT);
}

/* The list is not one of the datasets. NULL: there is none. Freed by mu_free. */
static mu_err take_list(mu_tensor_file *f, char **out)
{
    size_t i = 0;
    *out = NULL;
    while (i < f->n && strcmp(f->item[i].path, TENSOR_SHARDS) != 0)
        i++;
    if (i == f->n)
        return MU_OK;
    f->item[i].entry.path = f->item[i].path;
    MU_TRY(tensor_read_text(f, (int)i, out));
    mu_free(f->item[i].path);
    f->item[i] = f->item[--f->n];
    return MU_OK;
}

/* Checksums that a file keeps beside its datasets; that, too, is not one of them. */
static mu_err take_checksums(mu_tensor_file *f, size_t at)
{
    char *text;
    int of = f->item[at].part;
    f->item[at].entry.path = f->item[at].path;
    MU_TRY(tensor_read_text(f, (int)at, &text));
    int64_t n = (int64_t)(mu_type_bytes(&f->item[at].entry.type) / TENSOR_CHECKSUM_TEXT);
    mu_free(f->item[at].path);
    f->item[at] = f->item[--f->n];
    for (size_t i = 0; i < f->n; i++) {
        item *it = &f->item[i];
        if (it->part != of || it->entry.hashed || it->order < 0 || it->order >= n)
            continue;
        memcpy(it->checksum, text + it->order * TENSOR_CHECKSUM_TEXT, TENSOR_CHECKSUM_TEXT - 1);
        it->checksum[TENSOR_CHECKSUM_TEXT - 1] = '\0';
        it->entry.hashed = true;
    }
    mu_free(text);
    return MU_OK;
}

static mu_err take_all_checksums(mu_tensor_file *f)
{
    for (size_t i = f->n; i-- > 0;)
        if (strcmp(f->item[i].path, TENSOR_CHECKSUMS) == 0)
            MU_TRY(take_checksums(f, i));
    return MU_OK;
}

mu_err tensor_read_structure(mu_tensor_file *f, const char *format, int64_t version)
{
    char *text = NULL;
    mu_cfg *list = NULL;
    MU_TRY(read_part(f, 0, format, version));
    MU_TRY(take_list(f, &text));
    if (!text) {
        MU_TRY(take_all_checksums(f));
        return make_index(f);
    }
    mu_err err = mu_cfg_parse_json(text, strlen(text), f->part[0].path, &list);
    if (err && err != MU_ERR_MEMORY)
        err = bad_list(f);
    err = err ? err : read_shards(f, list, format, version);
    mu_cfg_release(list);
    mu_free(text);
    err = err ? err : take_all_checksums(f);
    return err ? err : make_index(f);
}
