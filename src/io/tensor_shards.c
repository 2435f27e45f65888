/* The names of shards. */
#include "config.h"

#include "core/mem.h"
#include "io/tensor_file.h"
#include "io/tensor_format.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Length of a path without ".h5". */
static size_t stem(const char *path)
{
    size_t n = strlen(path);
    return n > 3 && strcmp(path + n - 3, ".h5") == 0 ? n - 3 : n;
}

mu_err tensor_shard_path(const char *path, int i, int n, char **out)
{
    return mu_asprintf(out, "%.*s-%05d-of-%05d.h5", (int)stem(path), path, i, n);
}

mu_err tensor_shard_format(const char *format, char **out)
{
    return mu_asprintf(out, "%s shard", format);
}

/* "-00000-of-00004.h5": 4, else -1. */
static int count_in(const char *ending)
{
    unsigned i, n;
    char again[32];
    if (sscanf(ending, "-%5u-of-%5u.h5", &i, &n) != 2)
        return -1;
    snprintf(again, sizeof again, "-%05u-of-%05u.h5", i, n);
    return strcmp(ending, again) == 0 ? (int)n : -1;
}

void tensor_shards_remove(const char *path, int keep)
{
    char folder[4096];
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    if ((size_t)snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".") >= sizeof folder)
        return;
    DIR *dir = opendir(folder);
    if (!dir)
        return;
    for (struct dirent *entry; (entry = readdir(dir));) {
        size_t n = stem(name);
        int count = strncmp(entry->d_name, name, n) == 0 ? count_in(entry->d_name + n) : -1;
        if (count >= 0 && count != keep)
            unlinkat(dirfd(dir), entry->d_name, 0);
    }
    closedir(dir);
}

mu_err mu_tensor_file_remove(const char *path)
{
    if (unlink(path) != 0)
        return MU_FAIL(errno == ENOENT ? MU_ERR_NOT_FOUND : MU_ERR_IO, "'%s' cannot be removed: %s", path, strerror(errno));
    tensor_shards_remove(path, 0);
    return MU_OK;
}
