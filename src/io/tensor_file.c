#include "config.h"

#include "io/tensor_file_impl.h"

#include "core/mem.h"
#include "core/text.h"
#include "io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

typedef tensor_item item;
typedef tensor_file_part part;

static mu_err compare(const mu_tensor_file *f, const item *it, XXH64_hash_t hash)
{
    char found[TENSOR_CHECKSUM_TEXT];
    tensor_checksum_format(hash, found);
    if (strcmp(it->checksum, found) == 0)
        return MU_OK;
    MU_FAIL(MU_ERR_FORMAT, "'%s', dataset %s: its checksum is %s instead of %s", f->part[it->part].path, it->path, found, it->checksum);
    return tensor_damaged(MU_ERR_FORMAT);
}

/* To host[bytes], or, where `keep` is false, all to the same place. Hashed while it is in the cache. */
static mu_err read_bytes(const mu_tensor_file *f, const item *it, int fd, char *host, bool keep)
{
    size_t bytes = mu_type_bytes(&it->entry.type);
    XXH3_state_t state;
    XXH3_INITSTATE(&state);
    XXH3_64bits_reset(&state);
    for (size_t done = 0, n; done < bytes; done += n) {
        n = bytes - done < TENSOR_CHUNK ? bytes - done : (size_t)TENSOR_CHUNK;
        char *to = keep ? host + done : host;
        MU_TRY(mu_pread(fd, to, n, it->entry.offset + (int64_t)done, f->part[it->part].path));
        if (it->entry.hashed)
            XXH3_64bits_update(&state, to, n);
    }
    return it->entry.hashed ? compare(f, it, XXH3_64bits_digest(&state)) : MU_OK;
}

static mu_err read_item_bytes(const mu_tensor_file *f, const item *it, void *host, bool keep)
{
    const part *p = &f->part[it->part];
    if (p->fd >= 0)
        return read_bytes(f, it, p->fd, host, keep);
    int fd = open(p->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return MU_FAIL(MU_ERR_IO, "'%s' cannot be opened: %s", p->path, strerror(errno));
    mu_err err = read_bytes(f, it, fd, host, keep);
    close(fd);
    return err;
}

mu_err tensor_read_text(const mu_tensor_file *f, int i, char **out)
{
    const item *it = &f->item[i];
    char *text;
    if (!it->entry.text)
        return MU_FAIL(MU_ERR_FORMAT, "'%s', dataset %s: it is not a text", f->part[it->part].path, it->path);
    size_t length = mu_type_bytes(&it->entry.type);
    MU_TRY(mu_alloc(&text, length + 1));
    mu_err err = read_item_bytes(f, it, text, true);
    if (err) {
        mu_free(text);
        return err;
    }
    text[length] = '\0';
    *out = text;
    return MU_OK;
}

mu_err mu_tensor_file_open(const char *path, const char *format, int64_t version, mu_tensor_file **out)
{
    mu_tensor_file *f;
    MU_TRY(mu_calloc(&f, 1, sizeof *f));
    mu_err err;
    MU_TRY_GOTO(err, mu_calloc(&f->part, 1, sizeof *f->part), fail);
    f->part[0].fd = -1;
    f->n_parts = 1;
    MU_TRY_GOTO(err, mu_strdup(&f->part[0].path, path), fail);
    MU_TRY_GOTO(err, tensor_read_structure(f, format, version), fail);
    MU_TRY_GOTO(err, tensor_check_links(f), fail);
    *out = f;
    return MU_OK;
fail:
    mu_tensor_file_release(f);
    return err;
}

void mu_tensor_file_release(mu_tensor_file *f)
{
    if (!f)
        return;
    for (size_t i = 0; i < f->n; i++)
        mu_free(f->item[i].path);
    for (size_t k = 0; k < f->n_links; k++) {
        mu_free(f->link[k].path);
        mu_free(f->link[k].file);
    }
    for (int k = 0; k < f->n_parts; k++) {
        if (f->part[k].fd >= 0)
            close(f->part[k].fd);
        mu_free(f->part[k].path);
        mu_free(f->part[k].uuid);
    }
    tensor_index_release(&f->index);
    mu_free(f->link);
    mu_free(f->item);
    mu_free(f->part);
    mu_free(f);
}

const char *mu_tensor_file_path(const mu_tensor_file *f)
{
    return f->part[0].path;
}

const char *mu_tensor_file_uuid(const mu_tensor_file *f)
{
    return f->part[0].uuid;
}

int64_t mu_tensor_file_bytes(const mu_tensor_file *f)
{
    int64_t bytes = 0;
    for (int k = 0; k < f->n_parts; k++)
        bytes += f->part[k].bytes;
    return bytes;
}

int mu_tensor_file_shards(const mu_tensor_file *f)
{
    return f->n_parts - 1;
}

int mu_tensor_file_count(const mu_tensor_file *f)
{
    return (int)f->n;
}

const mu_tensor_entry *mu_tensor_file_at(const mu_tensor_file *f, int i)
{
    return &f->item[i].entry;
}

int mu_tensor_file_find(const mu_tensor_file *f, const char *path)
{
    return tensor_index_find(&f->index, path);
}

mu_err mu_tensor_file_read(const mu_tensor_file *f, int i, void *host, size_t bytes)
{
    if (i < 0 || (size_t)i >= f->n)
        return MU_FAIL(MU_ERR_USAGE, "'%s' has %zu datasets, there is no number %d", f->part[0].path, f->n, i);
    const item *it = &f->item[i];
    if (bytes != mu_type_bytes(&it->entry.type))
        return MU_FAIL(MU_ERR_SHAPE, "'%s', dataset %s: it has %zu bytes, not %zu", f->part[it->part].path, it->path,
                       mu_type_bytes(&it->entry.type), bytes);
    return read_item_bytes(f, it, host, true);
}

mu_err mu_tensor_file_verify(const mu_tensor_file *f, int i)
{
    if (i < 0 || (size_t)i >= f->n)
        return MU_FAIL(MU_ERR_USAGE, "'%s' has %zu datasets, there is no number %d", f->part[0].path, f->n, i);
    size_t bytes = mu_type_bytes(&f->item[i].entry.type);
    void *chunk;
    MU_TRY(mu_alloc(&chunk, bytes < TENSOR_CHUNK ? bytes : (size_t)TENSOR_CHUNK));
    mu_err err = read_item_bytes(f, &f->item[i], chunk, false);
    mu_free(chunk);
    return err;
}

static mu_err not_there(const mu_tensor_file *f, const char *path)
{
    const char *nearest = NULL;
    for (size_t i = 0; i < f->n; i++)
        nearest = mu_nearest(path, (const char *[]){nearest ? nearest : f->item[i].path, f->item[i].path}, 2);
    MU_FAIL(MU_ERR_NOT_FOUND, "'%s' has no dataset '%s'", f->part[0].path, path);
    return nearest ? mu_error_hint("the nearest is '%s'", nearest) : MU_ERR_NOT_FOUND;
}

mu_err mu_tensor_file_text(const mu_tensor_file *f, const char *path, char **out)
{
    int i = mu_tensor_file_find(f, path);
    if (i < 0)
        return not_there(f, path);
    return tensor_read_text(f, i, out);
}

static mu_err read_number(const mu_tensor_file *f, const char *path, mu_dtype dtype, void *out)
{
    int i = mu_tensor_file_find(f, path);
    char value[8], found[MU_TYPE_TEXT];
    mu_type wanted = MU_SCALAR(dtype);
    if (i < 0)
        return not_there(f, path);
    const mu_tensor_entry *e = &f->item[i].entry;
    if (e->text || !mu_type_equal(&e->type, &wanted))
        return MU_FAIL(MU_ERR_FORMAT, "'%s', dataset %s: it is %s instead of one number of %s", f->part[0].path, path,
                       e->text ? "a text" : mu_type_format(&e->type, found), mu_dtype_name(dtype));
    MU_TRY(mu_tensor_file_read(f, i, value, sizeof value));
    memcpy(out, value, sizeof value);
    return MU_OK;
}

mu_err mu_tensor_file_i64(const mu_tensor_file *f, const char *path, int64_t *out)
{
    return read_number(f, path, MU_I64, out);
}

mu_err mu_tensor_file_f64(const mu_tensor_file *f, const char *path, double *out)
{
    return read_number(f, path, MU_F64, out);
}
