#include "core/mem.h"
#include "vis/scalars_store.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool is_file(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

static bool is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

static bool ends_in(const char *path, const char *end)
{
    size_t n = strlen(path), m = strlen(end);
    return n >= m && strcmp(path + n - m, end) == 0;
}

static mu_err read_lines(const char *path, mu_scalars *out)
{
    int64_t whole;
    return mu_scalars_lines_read(path, out, &whole);
}

/* The lines have it all but the times, which the HDF5 file may not have up to the end. */
static mu_err read_both(const char *lines, const char *file, mu_scalars *out)
{
    mu_scalars timed = {0};
    MU_TRY(read_lines(lines, out));
    mu_err err = is_file(file) ? mu_scalars_file_read(file, &timed) : MU_OK;
    if (err == MU_ERR_MEMORY) {
        mu_scalars_release(out);
        return err;
    }
    if (!err)
        mu_scalars_take_times(out, &timed);
    mu_scalars_release(&timed);
    return MU_OK;
}

/* The files of a run in this folder. *found: there are some. */
static mu_err read_here(const char *dir, const char *below, mu_scalars *out, bool *found)
{
    char *lines = NULL, *file = NULL;
    mu_err err;
    *found = true;
    MU_TRY_GOTO(err, mu_asprintf(&lines, "%s%s/scalars.jsonl", dir, below), done);
    MU_TRY_GOTO(err, mu_asprintf(&file, "%s%s/scalars.h5", dir, below), done);
    if (is_file(lines))
        err = read_both(lines, file, out);
    else if (is_file(file))
        err = mu_scalars_file_read(file, out);
    else
        *found = false;
done:
    mu_free(lines);
    mu_free(file);
    return err;
}

static mu_err read_run(const char *dir, mu_scalars *out, bool *found)
{
    MU_TRY(read_here(dir, "", out, found));
    if (!*found)
        MU_TRY(read_here(dir, "/vis_data", out, found));
    return MU_OK;
}

/* Iteration of the first point, -1 without points. */
static double first_step(const mu_scalars *scalars)
{
    mu_axis axis;
    double first = INFINITY;
    if (mu_axis_init(&axis, scalars, MU_AXIS_STEP) != MU_OK)
        return -1;
    for (size_t i = 0; i < scalars->n; i++)
        for (size_t k = 0; k < scalars->item[i].n; k++)
            first = fmin(first, mu_axis_at(&axis, &scalars->item[i].point[k]));
    return isfinite(first) ? first : -1;
}

/* The points of `old` that come before iteration `first`, then those of `next`, which is left as it is. */
static mu_err join_series(const mu_scalars *old, const mu_axis *axis, double first, const mu_scalars *next, mu_scalars *out)
{
    for (size_t i = 0; i < old->n; i++)
        for (size_t k = 0; k < old->item[i].n; k++) {
            mu_series *series;
            if (mu_axis_at(axis, &old->item[i].point[k]) >= first)
                continue;
            MU_TRY(mu_scalars_series(out, old->item[i].tag, &series));
            MU_TRY(mu_series_add(series, old->item[i].point[k]));
        }
    for (size_t i = 0; i < next->n; i++)
        for (size_t k = 0; k < next->item[i].n; k++) {
            mu_series *series;
            MU_TRY(mu_scalars_series(out, next->item[i].tag, &series));
            MU_TRY(mu_series_add(series, next->item[i].point[k]));
        }
    return MU_OK;
}

/* Puts what is left of an older run before a later one that went on from it. */
static mu_err put_before(const mu_scalars *old, double first, mu_scalars *scalars)
{
    mu_axis axis;
    mu_scalars joined = {0};
    MU_TRY(mu_axis_init(&axis, old, MU_AXIS_STEP));
    mu_err err = join_series(old, &axis, first, scalars, &joined);
    if (err) {
        mu_scalars_release(&joined);
        return err;
    }
    mu_scalars_release(scalars);
    *scalars = joined;
    return MU_OK;
}

/* From the newest to the oldest: a run that begins later than the one before it went on from it. */
static mu_err read_runs(char *const *dirs, size_t n, mu_scalars *out)
{
    bool found;
    size_t i = n;
    while (i > 0 && out->n == 0)
        MU_TRY(read_run(dirs[--i], out, &found));
    while (i > 0) {
        mu_scalars old = {0};
        MU_TRY(read_run(dirs[--i], &old, &found));
        double first = first_step(out), before = first_step(&old);
        bool goes_on = found && before >= 0 && before < first;
        mu_err err = goes_on ? put_before(&old, first, out) : MU_OK;
        mu_scalars_release(&old);
        MU_TRY(err);
        if (found && before >= 0 && !goes_on)
            break;
    }
    return MU_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void free_names(char **names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        mu_free(names[i]);
    mu_free(names);
}

static mu_err list_folders(DIR *dir, const char *path, char ***out, size_t *n)
{
    char **names = NULL;
    size_t capacity = 0, count = 0;
    mu_err err = MU_OK;
    for (struct dirent *entry; !err && (entry = readdir(dir)) != NULL;) {
        char *name;
        if (entry->d_name[0] == '.')
            continue;
        err = mu_asprintf(&name, "%s/%s", path, entry->d_name);
        if (err)
            break;
        bool wanted = is_folder(name);
        err = wanted ? mu_grow(&names, &capacity, count + 1, sizeof *names) : MU_OK;
        if (wanted && !err)
            names[count++] = name;
        else
            mu_free(name);
    }
    if (err) {
        free_names(names, count);
        return err;
    }
    if (count)
        qsort(names, count, sizeof *names, by_name);
    *out = names;
    *n = count;
    return MU_OK;
}

static mu_err read_work_dir(const char *path, mu_scalars *out)
{
    char **names;
    size_t n;
    DIR *dir = opendir(path);
    if (!dir)
        return MU_FAIL(MU_ERR_IO, "'%s' cannot be read: %s", path, strerror(errno));
    mu_err err = list_folders(dir, path, &names, &n);
    closedir(dir);
    MU_TRY(err);
    err = read_runs(names, n, out);
    free_names(names, n);
    return err;
}

static mu_err read_any(const char *path, mu_scalars *out)
{
    bool found;
    if (!is_folder(path))
        return ends_in(path, ".h5") ? mu_scalars_file_read(path, out) : read_lines(path, out);
    MU_TRY(read_run(path, out, &found));
    return found ? MU_OK : read_work_dir(path, out);
}

mu_err mu_scalars_read(const char *path, mu_scalars *out)
{
    mu_scalars scalars = {0};
    mu_err err = read_any(path, &scalars);
    if (!err && scalars.n == 0) {
        err = MU_FAIL(MU_ERR_IO, "there are no scalars in '%s'", path);
        mu_error_hint("name a work_dir, one of its log folders, a scalars.h5, or a file of JSON lines");
    }
    if (err) {
        mu_scalars_release(&scalars);
        return err;
    }
    *out = scalars;
    return MU_OK;
}
