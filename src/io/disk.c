#include "config.h" /* _GNU_SOURCE */

#include "io/disk.h"

#include "core/clock.h"
#include "core/mem.h"
#include "io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

static const struct {
    uint32_t magic;
    const char *name;
    bool network;
} types[] = {
    {0xEF53, "ext4", false},        {0x58465342, "xfs", false},      {0x9123683E, "btrfs", false},
    {0x01021994, "tmpfs", false},   {0x794C7630, "overlay", false},  {0x2FC12FC1, "zfs", false},
    {0xF2F52010, "f2fs", false},    {0x858458F6, "ramfs", false},    {0x6969, "nfs", true},
    {0x0BD00BD0, "lustre", true},   {0x47504653, "gpfs", true},      {0x19830326, "beegfs", true},
    {0x00C36400, "ceph", true},     {0xFF534D42, "cifs", true},      {0xFE534D42, "smb2", true},
    {0x65735546, "fuse", true},     {0x01021997, "9p", true},        {0xAAD7AAEA, "panfs", true},
    {0x20030528, "orangefs", true}, {0x013661DE, "gfs2", true},
};

static mu_err ask(const char *folder, mu_disk *out)
{
    struct statfs fs;
    struct statvfs space;
    if (statfs(folder, &fs) != 0 || statvfs(folder, &space) != 0)
        return MU_FAIL(MU_ERR_IO, "'%s': %s", folder, strerror(errno));
    snprintf(out->type, sizeof out->type, "0x%x", (unsigned)fs.f_type);
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if ((uint32_t)fs.f_type == types[i].magic) {
            snprintf(out->type, sizeof out->type, "%s", types[i].name);
            out->network = types[i].network;
        }
    out->free = (int64_t)space.f_bavail * (int64_t)space.f_frsize;
    return MU_OK;
}

static void fill(unsigned char *data, size_t bytes, unsigned seed)
{
    for (size_t i = 0; i < bytes; i++)
        data[i] = (unsigned char)((i * 2654435761u + seed) >> 13);
}

static mu_err write_and_read(int fd, const char *path, unsigned char *data, unsigned char *back, size_t bytes, mu_disk *out)
{
    double begun = mu_clock();
    MU_TRY(mu_pwrite(fd, data, bytes, 0, path));
    if (fsync(fd) != 0)
        return MU_FAIL(MU_ERR_IO, "'%s' does not reach the disk: %s", path, strerror(errno));
    out->write = (double)bytes / (mu_clock() - begun);
    (void)!posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    begun = mu_clock();
    MU_TRY(mu_pread(fd, back, bytes, 0, path));
    out->read = (double)bytes / (mu_clock() - begun);
    if (memcmp(data, back, bytes) != 0)
        return MU_FAIL(MU_ERR_IO, "'%s': what is read is not what was written", path);
    return MU_OK;
}

static mu_err probe(const char *path, size_t bytes, mu_disk *out)
{
    unsigned char *data = NULL, *back = NULL;
    int fd = -1;
    mu_err err;
    MU_TRY_GOTO(err, mu_alloc(&data, bytes), done);
    MU_TRY_GOTO(err, mu_alloc(&back, bytes), done);
    fill(data, bytes, (unsigned)getpid());
    memset(back, 0, bytes);
    fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0)
        err = MU_FAIL(MU_ERR_IO, "'%s' cannot be made: %s", path, strerror(errno));
    else
        err = write_and_read(fd, path, data, back, bytes, out);
    if (fd >= 0) {
        close(fd);
        unlink(path);
    }
done:
    mu_free(back);
    mu_free(data);
    return err;
}

mu_err mu_disk_probe(const char *folder, const char *name, size_t bytes, mu_disk *out)
{
    mu_disk disk = {0};
    char *path;
    MU_TRY(ask(folder, &disk));
    MU_TRY(mu_asprintf(&path, "%s/%s", folder, name));
    mu_err err = probe(path, bytes, &disk);
    mu_free(path);
    MU_TRY(err);
    *out = disk;
    return MU_OK;
}
