#include "config.h"

#include "runner/work_dir.h"

#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { LOCK_TEXT = 512, MAX_LOG_DIRS = 10000 };

struct mu_work_dir {
    char *timestamp, *log_dir;
    int lock; /* descriptor of .lock; the system gives the lock back with it, however the process ends */
};

static mu_err make_failed(const char *path, int code)
{
    MU_FAIL(MU_ERR_IO, "folder '%s' cannot be made: %s", path, strerror(code));
    if (code == EACCES || code == EPERM || code == EROFS)
        return mu_error_hint("choose a work_dir that you may write to: --work-dir DIR, or work_dir in the config");
    if (code == ENOSPC || code == EDQUOT)
        return mu_error_hint("free some space, or choose another work_dir");
    return MU_ERR_IO;
}

/* One level; it may be there already. */
static mu_err make_dir(const char *path)
{
    struct stat info;
    if (mkdir(path, 0777) == 0)
        return MU_OK;
    int code = errno;
    if (stat(path, &info) != 0)
        return make_failed(path, code);
    if (!S_ISDIR(info.st_mode)) {
        MU_FAIL(MU_ERR_IO, "'%s' is a file, and a folder is to be made there", path);
        return mu_error_hint("move the file away, or choose another work_dir");
    }
    return MU_OK;
}

static mu_err make_dirs(char *path)
{
    for (char *slash = path + strspn(path, "/"); (slash = strchr(slash, '/')); slash += strspn(slash, "/")) {
        *slash = '\0';
        mu_err err = make_dir(path);
        *slash = '/';
        MU_TRY(err);
    }
    MU_TRY(make_dir(path));
    return MU_OK;
}

mu_err mu_make_dirs(const char *path)
{
    char *copy;
    if (!*path)
        return MU_FAIL(MU_ERR_USAGE, "the name of a folder is empty");
    if (strchr(path, '\n')) {
        MU_FAIL(MU_ERR_USAGE, "the name of folder '%s' has a line break", path);
        return mu_error_hint("choose another name: lists of checkpoints have a line for each");
    }
    MU_TRY(mu_strdup(&copy, path));
    for (size_t n = strlen(copy); n > 1 && copy[n - 1] == '/'; n--)
        copy[n - 1] = '\0';
    mu_err err = make_dirs(copy);
    mu_free(copy);
    MU_TRY(err);
    return MU_OK;
}

/* What stands in the lock's file, on one line, "" when nothing does. */
static void read_owner(int fd, char owner[LOCK_TEXT])
{
    ssize_t n = pread(fd, owner, LOCK_TEXT - 1, 0);
    owner[n > 0 ? n : 0] = '\0';
    owner[strcspn(owner, "\n")] = '\0';
}

/* Whoever has just taken the lock may not have written its name yet: the text that was there before is waited for to change. */
static mu_err taken(const char *path, int fd, const char *earlier)
{
    char owner[LOCK_TEXT];
    struct timespec pause = {.tv_nsec = 10000000};
    for (int i = 0; i < 20; i++) {
        read_owner(fd, owner);
        if (owner[0] && strcmp(owner, earlier) != 0)
            break;
        nanosleep(&pause, NULL);
    }
    MU_FAIL(MU_ERR_USAGE, "work_dir '%s' is in use by another run: %s", path, owner[0] ? owner : "which has not told its name");
    return mu_error_hint("wait for it, stop it, or choose another folder: --work-dir DIR");
}

static mu_err write_owner(int fd, const char *path)
{
    char host[256] = "", when[32], text[LOCK_TEXT];
    gethostname(host, sizeof host - 1);
    mu_wall_format(mu_wall_time(), "%Y-%m-%d %H:%M:%S", when, sizeof when);
    int n = snprintf(text, sizeof text, "process %ld on %s, since %s\n", (long)getpid(), host, when);
    if (pwrite(fd, text, (size_t)n, 0) != n || ftruncate(fd, n) != 0) {
        MU_FAIL(MU_ERR_IO, "'%s' cannot be written: %s", path, strerror(errno));
        return mu_error_hint("free some space, or choose another work_dir");
    }
    return MU_OK;
}

/* The lock of an open file description: it is not lost when another descriptor of the file is closed, and threads hold it
 * together. */
static mu_err take_lock(int fd, const char *path, const char *file)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    char earlier[LOCK_TEXT];
    read_owner(fd, earlier);
    if (fcntl(fd, F_OFD_SETLK, &whole) != 0) {
        if (errno == EAGAIN || errno == EACCES)
            return taken(path, fd, earlier);
        MU_WARN("runner", "work_dir '%s' cannot be locked (%s): see that no other run uses it", path, strerror(errno));
    }
    MU_TRY(write_owner(fd, file));
    return MU_OK;
}

static mu_err lock(mu_work_dir *dir, const char *path)
{
    char *file;
    MU_TRY(mu_asprintf(&file, "%s/.lock", path));
    mu_err err;
    dir->lock = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (dir->lock < 0) {
        MU_FAIL(MU_ERR_IO, "'%s' cannot be opened for writing: %s", file, strerror(errno));
        err = mu_error_hint("choose a work_dir that you may write to: --work-dir DIR, or work_dir in the config");
    } else {
        err = take_lock(dir->lock, path, file);
    }
    mu_free(file);
    MU_TRY(err);
    return MU_OK;
}

/* PATH/TIMESTAMP[_n], which was not there before; *exists: it was. */
static mu_err try_log_dir(mu_work_dir *dir, const char *path, const char *timestamp, int n, bool *exists)
{
    char number[16] = "";
    if (n > 0)
        snprintf(number, sizeof number, "_%d", n);
    MU_TRY(mu_asprintf(&dir->timestamp, "%s%s", timestamp, number));
    MU_TRY(mu_asprintf(&dir->log_dir, "%s/%s", path, dir->timestamp));
    int failed = mkdir(dir->log_dir, 0777), code = errno;
    *exists = failed && code == EEXIST;
    if (failed && !*exists)
        return make_failed(dir->log_dir, code);
    return MU_OK;
}

static mu_err make_log_dir(mu_work_dir *dir, const char *path, const char *timestamp)
{
    bool exists = true;
    for (int n = 0; n < MAX_LOG_DIRS; n++) {
        MU_TRY(try_log_dir(dir, path, timestamp, n, &exists));
        if (!exists)
            return MU_OK;
        mu_free(dir->timestamp);
        mu_free(dir->log_dir);
        dir->timestamp = dir->log_dir = NULL;
    }
    return MU_FAIL(MU_ERR_IO, "'%s' has no free name for the log folder %s", path, timestamp);
}

/* Of a checkpoint (io/tensor_file.h), of the file that names the last one, and of the scalars (io/file.h): what only runs write that have
 * the lock. */
#define DIGITS "[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]"
#define CHECKPOINT_PART "*.h5." DIGITS ".part"
#define LAST_CHECKPOINT_PART "last_checkpoint." DIGITS ".tmp"
#define SCALARS_PART "scalars.h5." DIGITS ".tmp"

static void remove_scalars_left(int work_dir, const char *log_dir)
{
    char name[NAME_MAX + sizeof "/vis_data"];
    snprintf(name, sizeof name, "%s/vis_data", log_dir);
    int fd = openat(work_dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir) {
        if (fd >= 0)
            close(fd);
        return;
    }
    for (struct dirent *entry; (entry = readdir(dir));)
        if (fnmatch(SCALARS_PART, entry->d_name, 0) == 0)
            unlinkat(fd, entry->d_name, 0);
    closedir(dir);
}

/* Files that a killed run was writing: nobody will give them their names. */
static void remove_leftovers(const char *path)
{
    DIR *dir = opendir(path);
    if (!dir)
        return;
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (fnmatch(CHECKPOINT_PART, entry->d_name, 0) == 0 || fnmatch(LAST_CHECKPOINT_PART, entry->d_name, 0) == 0)
            unlinkat(dirfd(dir), entry->d_name, 0);
        else if (entry->d_name[0] != '.' && (entry->d_type == DT_DIR || entry->d_type == DT_UNKNOWN))
            remove_scalars_left(dirfd(dir), entry->d_name);
    }
    closedir(dir);
}

mu_err mu_work_dir_open(const char *path, const char *timestamp, bool locked, mu_work_dir **out)
{
    mu_work_dir *dir;
    MU_TRY(mu_make_dirs(path));
    MU_TRY(mu_calloc(&dir, 1, sizeof *dir));
    dir->lock = -1;
    mu_err err;
    if (locked) {
        MU_TRY_GOTO(err, lock(dir, path), fail);
        remove_leftovers(path);
    }
    MU_TRY_GOTO(err, make_log_dir(dir, path, timestamp), fail);
    *out = dir;
    return MU_OK;
fail:
    mu_work_dir_release(dir);
    return err;
}

/* The file stays: removing it would let two runs lock two files of one name. */
void mu_work_dir_release(mu_work_dir *dir)
{
    if (!dir)
        return;
    if (dir->lock >= 0)
        close(dir->lock);
    mu_free(dir->timestamp);
    mu_free(dir->log_dir);
    mu_free(dir);
}

const char *mu_work_dir_timestamp(const mu_work_dir *dir)
{
    return dir->timestamp;
}

const char *mu_work_dir_log_dir(const mu_work_dir *dir)
{
    return dir->log_dir;
}
