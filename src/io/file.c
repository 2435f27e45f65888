#include "config.h"

#include "io/file.h"

#include "core/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

mu_err mu_pread(int fd, void *out, size_t size, int64_t offset, const char *path)
{
    char *to = out;
    while (size > 0) {
        ssize_t n = pread(fd, to, size, offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return MU_FAIL(MU_ERR_IO, "'%s' cannot be read at byte %lld: %s", path, (long long)offset, strerror(errno));
        if (n == 0) {
            MU_FAIL(MU_ERR_IO, "'%s' ends at byte %lld, %zu bytes too early", path, (long long)offset, size);
            return mu_error_hint("it was cut, or changed while it was read");
        }
        to += n;
        size -= (size_t)n;
        offset += n;
    }
    return MU_OK;
}

static mu_err write_failed(const char *path)
{
    int code = errno;
    MU_FAIL(MU_ERR_IO, "'%s' cannot be written: %s", path, strerror(code));
    if (code == ENOSPC || code == EDQUOT || code == EFBIG)
        return mu_error_hint("free some space, or raise the limit (quota, ulimit -f); what was there before is untouched");
    return MU_ERR_IO;
}

mu_err mu_pwrite(int fd, const void *data, size_t size, int64_t offset, const char *path)
{
    const char *from = data;
    while (size > 0) {
        ssize_t n = pwrite(fd, from, size, offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return write_failed(path);
        from += n;
        size -= (size_t)n;
        offset += n;
    }
    return MU_OK;
}

struct mu_replacement {
    char *path, *temporary;
    int fd;
    bool keep; /* committed, or another's */
};

static mu_err cannot_make(const mu_replacement *r, int code)
{
    MU_FAIL(MU_ERR_IO, "'%s' cannot be written: %s", r->path, strerror(code));
    return mu_error_hint("the file is first written under another name in the same folder; it must exist and be writable");
}

/* The name is new, so that two runs in one folder do not meet. */
static mu_err open_temporary(mu_replacement *r)
{
    for (int attempt = 0; attempt < 16; attempt++) {
        uint32_t random;
        if (getrandom(&random, sizeof random, 0) != sizeof random)
            return MU_FAIL(MU_ERR_SYSTEM, "no random numbers: %s", strerror(errno));
        char *name;
        MU_TRY(mu_asprintf(&name, "%s.%08x.tmp", r->path, random));
        r->fd = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (r->fd >= 0) {
            r->temporary = name;
            return MU_OK;
        }
        int code = errno;
        mu_free(name);
        if (code != EEXIST)
            return cannot_make(r, code);
    }
    return MU_FAIL(MU_ERR_IO, "no free temporary name beside '%s'", r->path);
}

static mu_err open_as(mu_replacement *r, const char *temporary)
{
    char *name;
    MU_TRY(mu_strdup(&name, temporary));
    r->fd = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (r->fd >= 0) {
        r->temporary = name;
        return MU_OK;
    }
    int code = errno;
    mu_free(name);
    return cannot_make(r, code);
}

/* temporary NULL: any. */
static mu_err make(const char *path, const char *temporary, mu_replacement **out)
{
    mu_replacement *r;
    struct stat info;
    if (stat(path, &info) == 0 && !S_ISREG(info.st_mode))
        return MU_FAIL(MU_ERR_IO, "'%s' is not a regular file and is not replaced", path);
    MU_TRY(mu_calloc(&r, 1, sizeof *r));
    r->fd = -1;
    mu_err err;
    MU_TRY_GOTO(err, mu_strdup(&r->path, path), fail);
    MU_TRY_GOTO(err, temporary ? open_as(r, temporary) : open_temporary(r), fail);
    *out = r;
    return MU_OK;
fail:
    mu_replacement_release(r);
    return err;
}

mu_err mu_replacement_new(const char *path, mu_replacement **out)
{
    return make(path, NULL, out);
}

mu_err mu_replacement_new_as(const char *path, const char *temporary, mu_replacement **out)
{
    return make(path, temporary, out);
}

mu_err mu_replacement_join(const char *path, const char *temporary, mu_replacement **out)
{
    mu_replacement *r;
    MU_TRY(mu_calloc(&r, 1, sizeof *r));
    r->keep = true;
    r->fd = -1;
    mu_err err;
    MU_TRY_GOTO(err, mu_strdup(&r->path, path), fail);
    MU_TRY_GOTO(err, mu_strdup(&r->temporary, temporary), fail);
    r->fd = open(temporary, O_RDWR | O_CLOEXEC);
    if (r->fd < 0) {
        MU_FAIL(MU_ERR_IO, "'%s' cannot be written: '%s', which another rank has made, cannot be opened: %s", path, temporary,
                strerror(errno));
        err = mu_error_hint("all ranks must see the folder: is it on a shared file system?");
        goto fail;
    }
    *out = r;
    return MU_OK;
fail:
    mu_replacement_release(r);
    return err;
}

const char *mu_replacement_temporary(const mu_replacement *r)
{
    return r->temporary;
}

int mu_replacement_fd(const mu_replacement *r)
{
    return r->fd;
}

/* Asked first, so that the limit's signal stays away. */
static bool over_limit(int64_t bytes)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY && (rlim_t)bytes > limit.rlim_cur;
}

mu_err mu_replacement_reserve(mu_replacement *r, int64_t bytes)
{
    int failed;
    if (over_limit(bytes)) {
        failed = -1;
        errno = EFBIG;
    } else {
        while ((failed = fallocate(r->fd, 0, 0, bytes)) != 0 && errno == EINTR)
            ;
    }
    if (failed && errno != EOPNOTSUPP && errno != ENOSYS) {
        write_failed(r->path);
        mu_error_context("%lld bytes are needed", (long long)bytes);
        return MU_ERR_IO;
    }
    return MU_OK;
}

mu_err mu_replacement_resize(mu_replacement *r, int64_t bytes)
{
    return ftruncate(r->fd, bytes) == 0 ? MU_OK : write_failed(r->path);
}

/* The new name survives a crash only once the folder is flushed; file systems that refuse that keep names in order. */
static void flush_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    char folder[4096];
    if (!slash)
        snprintf(folder, sizeof folder, ".");
    else if ((size_t)snprintf(folder, sizeof folder, "%.*s/", (int)(slash - path), path) >= sizeof folder)
        return;
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    fsync(fd);
    close(fd);
}

/* In pieces: the disk is at work from the first one on. */
mu_err mu_replacement_write(mu_replacement *r, const void *data, size_t size, int64_t offset)
{
    enum { PIECE = 2 << 20 };
    const char *from = data;
    for (size_t n; size > 0; from += n, offset += (int64_t)n, size -= n) {
        n = size < PIECE ? size : PIECE;
        MU_TRY(mu_pwrite(r->fd, from, n, offset, r->path));
#ifdef SYNC_FILE_RANGE_WRITE
        sync_file_range(r->fd, offset, (int64_t)n, SYNC_FILE_RANGE_WRITE); /* a hint: what fails shows in the flush */
#endif
    }
    return MU_OK;
}

mu_err mu_replacement_flush(mu_replacement *r)
{
    return fsync(r->fd) == 0 ? MU_OK : write_failed(r->path);
}

mu_err mu_replacement_commit(mu_replacement *r)
{
    MU_TRY(mu_replacement_flush(r));
    if (rename(r->temporary, r->path) != 0) {
        write_failed(r->path);
        return mu_error_hint("its folder must stay where it is while it is written");
    }
    r->keep = true;
    flush_folder(r->path);
    return MU_OK;
}

void mu_replacement_release(mu_replacement *r)
{
    if (!r)
        return;
    if (r->fd >= 0)
        close(r->fd);
    if (r->temporary && !r->keep)
        unlink(r->temporary);
    mu_free(r->temporary);
    mu_free(r->path);
    mu_free(r);
}
