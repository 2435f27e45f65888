#include "config.h"

#include "io/scratch.h"

#include "io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* In memory where there is room, else in /tmp. memfd_create would not do: HDF5 asks for the file's real name. */
static mu_err open_file(int64_t needed, char name[32], int *fd)
{
    static const char *const folders[] = {"/dev/shm", "/tmp"};
    struct statvfs space;
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        if (statvfs(folders[i], &space) != 0 || space.f_bavail * space.f_frsize < 2 * (uint64_t)needed)
            continue;
        snprintf(name, 32, "%s/muster-XXXXXX", folders[i]);
        *fd = mkostemp(name, O_CLOEXEC);
        if (*fd >= 0)
            return MU_OK;
    }
    return MU_FAIL(MU_ERR_SYSTEM, "no room for a temporary file of %lld bytes in /dev/shm or /tmp", 2 * (long long)needed);
}

mu_err mu_scratch_open(mu_scratch *scratch, int64_t alignment, int64_t metadata_bytes)
{
    char name[32];
    *scratch = MU_SCRATCH_NONE;
    MU_TRY(open_file(metadata_bytes, name, &scratch->fd));
    mu_err err = mu_h5_create_aligned(name, alignment, metadata_bytes, &scratch->file);
    unlink(name);
    if (err)
        mu_scratch_close(scratch);
    return err;
}

mu_err mu_scratch_finish(mu_scratch *scratch, int64_t *bytes)
{
    hid_t file = scratch->file;
    struct stat info;
    scratch->file = H5I_INVALID_HID;
    MU_TRY_H5(H5Fclose(file));
    if (fstat(scratch->fd, &info) != 0)
        return MU_FAIL(MU_ERR_SYSTEM, "a file in memory has no size: %s", strerror(errno));
    *bytes = info.st_size;
    return MU_OK;
}

void mu_scratch_close(mu_scratch *scratch)
{
    mu_h5_close(scratch->file);
    if (scratch->fd >= 0)
        close(scratch->fd);
    *scratch = MU_SCRATCH_NONE;
}

static int by_place(const void *a, const void *b)
{
    const mu_extent *x = a, *y = b;
    return (x->at > y->at) - (x->at < y->at);
}

static mu_err copy_bytes(const mu_scratch *scratch, int64_t at, int64_t end, int fd, const char *path)
{
    char buffer[16384];
    while (at < end) {
        size_t n = end - at < (int64_t)sizeof buffer ? (size_t)(end - at) : sizeof buffer;
        MU_TRY(mu_pread(scratch->fd, buffer, n, at, "the layout"));
        MU_TRY(mu_pwrite(fd, buffer, n, at, path));
        at += (int64_t)n;
    }
    return MU_OK;
}

mu_err mu_scratch_copy(const mu_scratch *scratch, int64_t bytes, mu_extent *extent, int64_t n, int fd, const char *path)
{
    int64_t at = 0;
    if (n > 0)
        qsort(extent, (size_t)n, sizeof *extent, by_place);
    for (int64_t i = 0; i < n; at = extent[i++].end)
        MU_TRY(copy_bytes(scratch, at, extent[i].at, fd, path));
    return copy_bytes(scratch, at, bytes, fd, path);
}
