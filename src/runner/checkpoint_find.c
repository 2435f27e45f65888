/* The checkpoint to go on with. */
#include "core/log.h"
#include "core/mem.h"
#include "runner/checkpoint_impl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Every checksum. */
static mu_err check_whole(const char *path)
{
    mu_tensor_file *file;
    MU_TRY(mu_tensor_file_open(path, MU_CHECKPOINT_FORMAT, MU_CHECKPOINT_VERSION, &file));
    mu_err err = MU_OK;
    for (int i = 0; !err && i < mu_tensor_file_count(file); i++)
        err = mu_tensor_file_verify(file, i);
    mu_tensor_file_release(file);
    return err;
}

static bool is_absolute(const char *path)
{
    return path[0] == '/';
}

/* The first line of last_checkpoint; *exists false when there is no such file. Whatever else has its name is not waited for. */
static mu_err read_line(const char *work_dir, char *line, size_t size, bool *exists)
{
    char *name;
    struct stat info;
    MU_TRY(mu_asprintf(&name, "%s/" CKPT_LAST, work_dir));
    int fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK), code = errno;
    mu_free(name);
    *exists = fd >= 0 || code != ENOENT;
    if (!*exists)
        return MU_OK;
    if (fd < 0)
        return MU_FAIL(MU_ERR_IO, "'%s/" CKPT_LAST "': %s", work_dir, strerror(code));
    bool regular = fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
    ssize_t n = regular ? pread(fd, line, size - 1, 0) : 0;
    code = errno;
    close(fd);
    if (!regular)
        return MU_FAIL(MU_ERR_IO, "'%s/" CKPT_LAST "' is not a regular file", work_dir);
    if (n < 0)
        return MU_FAIL(MU_ERR_IO, "'%s/" CKPT_LAST "' cannot be read: %s", work_dir, strerror(code));
    line[n] = '\0';
    line[strcspn(line, "\r\n")] = '\0';
    if (!line[0])
        return MU_FAIL(MU_ERR_FORMAT, "'%s/" CKPT_LAST "' is empty", work_dir);
    return MU_OK;
}

/* What last_checkpoint says; *out NULL when there is no such file. A path that leads nowhere from here is looked for beside it: folders are moved. */
static mu_err read_last(const char *work_dir, char **out)
{
    char *name, line[4096] = "";
    struct stat info;
    bool exists;
    *out = NULL;
    MU_TRY(read_line(work_dir, line, sizeof line, &exists));
    if (!exists)
        return MU_OK;
    if (is_absolute(line) && stat(line, &info) == 0)
        return mu_strdup(out, line);
    const char *slash = strrchr(line, '/');
    MU_TRY(mu_asprintf(&name, "%s/%s", work_dir, slash ? slash + 1 : line));
    if (stat(name, &info) != 0) {
        mu_free(name);
        return mu_strdup(out, line);
    }
    *out = name;
    return MU_OK;
}

/* epoch_N.h5, iter_N.h5 or epoch_E_iter_N.h5: N, else -1. */
static int64_t number_of(const char *name)
{
    static const char *const prefix[] = {"epoch_", "iter_"};
    for (size_t i = 0; i < 2; i++) {
        size_t n = strlen(prefix[i]);
        if (strncmp(name, prefix[i], n) != 0 || name[n] < '0' || name[n] > '9')
            continue;
        char *end;
        errno = 0;
        long long number = strtoll(name + n, &end, 10);
        if (i == 0 && strncmp(end, "_iter_", 6) == 0 && end[6] >= '0' && end[6] <= '9')
            number = strtoll(end + 6, &end, 10);
        return errno == 0 && strcmp(end, ".h5") == 0 ? number : -1;
    }
    return -1;
}

typedef struct {
    char *path;
    dev_t device;
    ino_t inode;
    struct timespec written;
    int64_t number;
} candidate;

typedef struct {
    candidate *item;
    size_t n, capacity;
} candidates;

static int newest_first(const void *a, const void *b)
{
    const candidate *x = a, *y = b;
    if (x->written.tv_sec != y->written.tv_sec)
        return x->written.tv_sec < y->written.tv_sec ? 1 : -1;
    if (x->written.tv_nsec != y->written.tv_nsec)
        return x->written.tv_nsec < y->written.tv_nsec ? 1 : -1;
    return (x->number < y->number) - (x->number > y->number);
}

/* By another name of its folder. */
static bool is_listed(const candidates *c, const struct stat *info)
{
    for (size_t i = 0; i < c->n; i++)
        if (c->item[i].inode == info->st_ino && c->item[i].device == info->st_dev)
            return true;
    return false;
}

static mu_err add_candidate(candidates *c, const char *folder, const char *name)
{
    struct stat info;
    char *path;
    int64_t number = number_of(name);
    if (number < 0)
        return MU_OK;
    MU_TRY(mu_grow(&c->item, &c->capacity, c->n + 1, sizeof *c->item));
    MU_TRY(mu_asprintf(&path, "%s/%s", folder, name));
    if (stat(path, &info) != 0 || !S_ISREG(info.st_mode) || is_listed(c, &info)) {
        mu_free(path);
        return MU_OK;
    }
    c->item[c->n++] = (candidate){path, info.st_dev, info.st_ino, info.st_mtim, number};
    return MU_OK;
}

static mu_err list_candidates(candidates *c, const char *folder)
{
    DIR *dir = opendir(folder);
    if (!dir)
        return errno == ENOENT ? MU_OK : MU_FAIL(MU_ERR_IO, "'%s' cannot be read: %s", folder, strerror(errno));
    mu_err err = MU_OK;
    for (struct dirent *entry; !err && (entry = readdir(dir));)
        err = add_candidate(c, folder, entry->d_name);
    closedir(dir);
    return err;
}

/* Of a CheckpointHook with an out_dir they lie where the last one does. */
static mu_err list_beside(candidates *c, const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder;
    if (!slash)
        return MU_OK;
    MU_TRY(mu_strndup(&folder, path, (size_t)(slash - path) + (slash == path)));
    mu_err err = list_candidates(c, folder);
    mu_free(folder);
    return err;
}

/* The newest that is whole, but for `bad`, which is known not to be (NULL: there is none). When nothing is whole but something is there it is an
 * error: starting afresh would be a surprise. */
static mu_err choose(const candidates *c, const char *work_dir, const char *bad, char **out)
{
    *out = NULL;
    for (size_t i = 0; i < c->n; i++) {
        const char *path = c->item[i].path;
        if (bad && strcmp(path, bad) == 0)
            continue;
        mu_err err = check_whole(path);
        if (!err)
            return mu_strdup(out, path);
        if (err == MU_ERR_MEMORY)
            return err;
        MU_WARN("runner", "%s is passed over: %s", path, mu_error_last()->message);
    }
    if (c->n == 0 && !bad)
        return MU_OK;
    MU_FAIL(MU_ERR_FORMAT, "no checkpoint in '%s' can be used", work_dir);
    return mu_error_hint("name a good one with --resume FILE, or remove them to begin anew");
}

static mu_err fall_back(const char *work_dir, const char *bad, char **out)
{
    candidates c = {0};
    mu_err err = list_candidates(&c, work_dir);
    if (!err && bad)
        err = list_beside(&c, bad);
    if (!err && c.n > 0)
        qsort(c.item, c.n, sizeof *c.item, newest_first);
    err = err ? err : choose(&c, work_dir, bad, out);
    for (size_t i = 0; i < c.n; i++)
        mu_free(c.item[i].path);
    mu_free(c.item);
    return err;
}

mu_err mu_checkpoint_find(const char *work_dir, char **out)
{
    char *last = NULL, *found = NULL;
    mu_err bad = read_last(work_dir, &last);
    if (!bad && last && (bad = check_whole(last)) == MU_OK) {
        *out = last;
        return MU_OK;
    }
    mu_err err = bad == MU_ERR_MEMORY ? bad : MU_OK;
    if (bad && !err)
        MU_WARN("runner", "the last checkpoint cannot be used: %s", mu_error_last()->message);
    if (!err)
        err = fall_back(work_dir, last ? last : bad ? "" : NULL, &found);
    mu_free(last);
    MU_TRY(err);
    if (bad)
        MU_WARN("runner", "going on with %s instead", found);
    *out = found;
    return MU_OK;
}
