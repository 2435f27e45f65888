#include "config/file.h"

#include "core/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static mu_err check_kind(const struct stat *info, const char *path, size_t limit)
{
    if (S_ISDIR(info->st_mode))
        return MU_FAIL(MU_ERR_CONFIG, "the config '%s' is a directory", path);
    if (!S_ISREG(info->st_mode))
        return MU_FAIL(MU_ERR_CONFIG, "the config '%s' is not a regular file", path);
    if (info->st_size > (off_t)limit) {
        MU_FAIL(MU_ERR_CONFIG, "the config '%s' has %lld bytes, more than the %zu that may be read", path,
                (long long)info->st_size, limit);
        return mu_error_hint("keep large data outside the config");
    }
    return MU_OK;
}

static mu_err read_all(int fd, const char *path, size_t limit, char **text, size_t *length, mu_file_id *id)
{
    struct stat info;
    if (fstat(fd, &info) != 0)
        return MU_FAIL(MU_ERR_IO, "the config '%s' cannot be read: %s", path, strerror(errno));
    MU_TRY(check_kind(&info, path, limit));
    size_t size = (size_t)info.st_size, n = 0;
    char *buf;
    MU_TRY(mu_alloc(&buf, size + 1));
    while (n < size) {
        ssize_t got = read(fd, buf + n, size - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            mu_free(buf);
            return MU_FAIL(MU_ERR_IO, "the config '%s' cannot be read: %s", path, strerror(errno));
        }
        if (got == 0)
            break;
        n += (size_t)got;
    }
    buf[n] = '\0';
    *text = buf;
    *length = n;
    *id = (mu_file_id){.device = info.st_dev, .inode = info.st_ino};
    return MU_OK;
}

mu_err mu_file_read(const char *path, size_t limit, char **text, size_t *length, mu_file_id *id)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not block */
    if (fd < 0)
        return MU_FAIL(MU_ERR_CONFIG, "the config '%s' cannot be opened: %s", path, strerror(errno));
    mu_err err = read_all(fd, path, limit, text, length, id);
    close(fd);
    return err == MU_OK ? MU_OK : mu_error_trace(err, __FILE__, __LINE__, __func__);
}

mu_err mu_file_write(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");
    if (!file)
        return MU_FAIL(MU_ERR_IO, "'%s' cannot be opened for writing: %s", path, strerror(errno));
    bool written = fputs(text, file) >= 0;
    int why = errno;
    if (fclose(file) != 0 && written) {
        written = false;
        why = errno;
    }
    if (!written)
        return MU_FAIL(MU_ERR_IO, "'%s' cannot be written: %s", path, strerror(why));
    return MU_OK;
}
