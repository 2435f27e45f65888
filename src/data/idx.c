#include "data/idx.h"

#include "core/mem.h"

#include <errno.h>
#include <zlib.h>

struct mu_idx {
    char *path;
    gzFile file;
    mu_type type;
};

static mu_err too_short(const mu_idx *idx, size_t wanted, long long got)
{
    int code = Z_OK;
    const char *why = gzerror(idx->file, &code);
    if (got < 0 || code != Z_OK)
        MU_FAIL(MU_ERR_FORMAT, "'%s' cannot be read: %s", idx->path, code == Z_ERRNO ? strerror(errno) : why);
    else
        MU_FAIL(MU_ERR_FORMAT, "'%s' ends too early: %lld of %zu bytes", idx->path, got, wanted);
    return mu_error_hint("the file was cut or damaged: fetch it again");
}

mu_err mu_idx_read(mu_idx *idx, void *out, size_t bytes)
{
    char *to = out;
    for (size_t done = 0; done < bytes;) {
        size_t left = bytes - done;
        int n = gzread(idx->file, to + done, left < 1 << 20 ? (unsigned)left : 1 << 20);
        if (n <= 0)
            return too_short(idx, bytes, n < 0 ? n : (long long)done);
        done += (size_t)n;
    }
    return MU_OK;
}

mu_err mu_idx_finish(mu_idx *idx)
{
    char one;
    int n = gzread(idx->file, &one, 1);
    if (n < 0)
        return too_short(idx, 0, n);
    if (n > 0)
        return MU_FAIL(MU_ERR_FORMAT, "'%s' goes on after its array", idx->path);
    return MU_OK;
}

static mu_err read_header(mu_idx *idx)
{
    unsigned char magic[4], size[4];
    int64_t dim[MU_MAX_NDIM];
    MU_TRY(mu_idx_read(idx, magic, sizeof magic));
    if (magic[0] != 0 || magic[1] != 0 || magic[3] == 0 || magic[3] > MU_MAX_NDIM)
        return MU_FAIL(MU_ERR_FORMAT, "'%s' is not an IDX file: it begins with bytes %02x %02x %02x %02x", idx->path, magic[0],
                       magic[1], magic[2], magic[3]);
    if (magic[2] != 0x08) {
        MU_FAIL(MU_ERR_UNSUPPORTED, "'%s' holds elements of IDX type 0x%02x", idx->path, magic[2]);
        return mu_error_hint("only unsigned bytes (0x08) are read");
    }
    for (int i = 0; i < magic[3]; i++) {
        MU_TRY(mu_idx_read(idx, size, sizeof size));
        dim[i] = (int64_t)size[0] << 24 | size[1] << 16 | size[2] << 8 | size[3];
    }
    return mu_type_init(&idx->type, MU_U8, magic[3], dim);
}

mu_err mu_idx_open(const char *path, mu_idx **out)
{
    mu_idx *idx;
    MU_TRY(mu_calloc(&idx, 1, sizeof *idx));
    mu_err err;
    MU_TRY_GOTO(err, mu_strdup(&idx->path, path), fail);
    errno = ENOMEM;
    idx->file = gzopen(path, "rb");
    if (!idx->file) {
        err = MU_FAIL(MU_ERR_IO, "'%s' cannot be opened: %s", path, strerror(errno));
        goto fail;
    }
    MU_TRY_GOTO(err, read_header(idx), fail);
    *out = idx;
    return MU_OK;
fail:
    mu_idx_release(idx);
    return err;
}

void mu_idx_release(mu_idx *idx)
{
    if (!idx)
        return;
    if (idx->file)
        gzclose(idx->file);
    mu_free(idx->path);
    mu_free(idx);
}

const mu_type *mu_idx_type(const mu_idx *idx)
{
    return &idx->type;
}
