#include "config.h"

#include "io/tensor_writer.h"

#include "core/mem.h"

typedef tensor_declared item;

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

mu_err mu_tensor_writer_add_collected(mu_tensor_writer *w, const char *path, mu_type type, int rank, void *tag)
{
    return add_tensor(w, path, type, &(item){.collected = true, .user = tag, .pinned = rank >= 0, .rank = rank < 0 ? 0 : rank});
}

void mu_tensor_writer_set_collect(mu_tensor_writer *w, mu_tensor_collect *collect, void *user)
{
    w->collect = collect;
    w->collect_user = user;
}

void mu_tensor_writer_set_late(mu_tensor_writer *w, mu_tensor_begin *begin, mu_tensor_wait *wait, void *user)
{
    w->begin = begin;
    w->wait = wait;
    w->late_user = user;
}

mu_err mu_tensor_writer_set_shards(mu_tensor_writer *w, int n)
{
    if (n < 0 || n > TENSOR_MAX_SHARDS)
        return MU_FAIL(MU_ERR_USAGE, "a file has 0 to %d shards, not %d", TENSOR_MAX_SHARDS, n);
    w->n_shards = n;
    return MU_OK;
}

mu_err mu_tensor_writer_add_on(mu_tensor_writer *w, const char *path, mu_type type, int rank, mu_tensor_source *source,
                               void *user)
{
    return add_tensor(w, path, type, &(item){.source = source, .user = user, .pinned = true, .rank = rank});
}
