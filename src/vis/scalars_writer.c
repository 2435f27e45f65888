#include "vis/scalars_store.h"

#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/text.h"
#include "io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct mu_scalars_writer {
    char *lines_path, *file_path;
    int fd;       /* of the lines */
    int64_t size; /* their bytes */
    mu_scalars scalars;
    bool changed; /* since the HDF5 file was written */
    double written; /* when, by mu_clock */
};

/* Takes what is there up; nothing is there in the beginning. */
static mu_err resume(mu_scalars_writer *w)
{
    mu_scalars timed;
    struct stat info;
    if (stat(w->lines_path, &info) != 0)
        return MU_OK;
    MU_TRY(mu_scalars_lines_read(w->lines_path, &w->scalars, &w->size));
    if (stat(w->file_path, &info) != 0)
        return MU_OK;
    mu_err err = mu_scalars_file_read(w->file_path, &timed);
    if (err == MU_ERR_MEMORY)
        return err;
    if (err) {
        MU_WARN("vis", "'%s' is written anew, without the times of what it held: %s", w->file_path, mu_error_last()->message);
        return MU_OK;
    }
    mu_scalars_take_times(&w->scalars, &timed);
    mu_scalars_release(&timed);
    return MU_OK;
}

static mu_err end_last_line(mu_scalars_writer *w)
{
    char last;
    if (ftruncate(w->fd, w->size) != 0)
        return MU_FAIL(MU_ERR_IO, "'%s' cannot be written: %s", w->lines_path, strerror(errno));
    if (w->size == 0)
        return MU_OK;
    MU_TRY(mu_pread(w->fd, &last, 1, w->size - 1, w->lines_path));
    if (last == '\n')
        return MU_OK;
    MU_TRY(mu_pwrite(w->fd, "\n", 1, w->size, w->lines_path));
    w->size++;
    return MU_OK;
}

static mu_err open_lines(mu_scalars_writer *w)
{
    w->fd = open(w->lines_path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (w->fd < 0)
        return MU_FAIL(MU_ERR_IO, "'%s' cannot be written: %s", w->lines_path, strerror(errno));
    return end_last_line(w);
}

static void release(mu_scalars_writer *w)
{
    if (w->fd >= 0)
        close(w->fd);
    mu_scalars_release(&w->scalars);
    mu_free(w->lines_path);
    mu_free(w->file_path);
    mu_free(w);
}

mu_err mu_scalars_writer_new(const char *dir, mu_scalars_writer **out)
{
    mu_scalars_writer *w;
    MU_TRY(mu_calloc(&w, 1, sizeof *w));
    w->fd = -1;
    w->changed = true;
    mu_err err;
    MU_TRY_GOTO(err, mu_asprintf(&w->lines_path, "%s/scalars.jsonl", dir), fail);
    MU_TRY_GOTO(err, mu_asprintf(&w->file_path, "%s/scalars.h5", dir), fail);
    MU_TRY_GOTO(err, resume(w), fail);
    MU_TRY_GOTO(err, open_lines(w), fail);
    MU_TRY_GOTO(err, mu_scalars_writer_flush(w, 0), fail);
    *out = w;
    return MU_OK;
fail:
    release(w);
    return err;
}

void mu_scalars_writer_release(mu_scalars_writer *w)
{
    if (!w)
        return;
    if (mu_scalars_writer_flush(w, 0) != MU_OK)
        MU_WARN("vis", "the last scalars are not in '%s': %s", w->file_path, mu_error_last()->message);
    release(w);
}

/* The shortest of the decimal forms that read back the same. */
static void append_number(mu_text *text, double x)
{
    char buf[32];
    if (!isfinite(x)) {
        mu_text_append(text, "null");
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(buf, sizeof buf, "%.*g", digits, x);
        if (strtod(buf, NULL) == x)
            break;
    }
    mu_text_append(text, x == 0 && signbit(x) ? "-0.0" : buf); /* -0 is an integer */
}

/* A path of names: it becomes one in HDF5. */
static mu_err check_tag(const char *tag)
{
    bool good = strcmp(tag, "step") != 0;
    for (const char *name = tag; good;) {
        size_t n = strcspn(name, "/");
        good = n > 0 && !(n == 1 && name[0] == '.');
        if (name[n] == '\0')
            break;
        name += n + 1;
    }
    return good ? MU_OK : MU_FAIL(MU_ERR_USAGE, "'%s' cannot be the tag of a scalar", tag);
}

static mu_err make_line(int64_t step, const mu_scalar *scalars, size_t n, mu_text *text)
{
    mu_text_append(text, "{");
    for (size_t i = 0; i < n; i++) {
        MU_TRY(check_tag(scalars[i].tag));
        for (size_t k = 0; k < i; k++)
            if (strcmp(scalars[i].tag, scalars[k].tag) == 0)
                return MU_FAIL(MU_ERR_USAGE, "'%s' stands twice among the scalars of a line", scalars[i].tag);
        mu_text_append_json(text, scalars[i].tag, strlen(scalars[i].tag));
        mu_text_append(text, ": ");
        append_number(text, scalars[i].value);
        mu_text_append(text, ", ");
    }
    mu_text_printf(text, "\"step\": %lld}\n", (long long)step);
    return mu_text_status(text);
}

/* What could not be written whole is taken out again. */
static mu_err write_line(mu_scalars_writer *w, const mu_text *text)
{
    mu_err err = mu_pwrite(w->fd, text->data, text->length, w->size, w->lines_path);
    if (!err)
        w->size += (int64_t)text->length;
    else if (ftruncate(w->fd, w->size) != 0)
        mu_error_hint("the last line of '%s' is cut", w->lines_path);
    return err;
}

static bool is_index(const char *tag)
{
    return strcmp(tag, "epoch") == 0 || strcmp(tag, "iter") == 0;
}

static mu_err keep(mu_scalars_writer *w, int64_t step, const mu_scalar *scalars, size_t n)
{
    mu_point p = {.step = step, .epoch = -1, .time = mu_wall_time()};
    for (size_t i = 0; i < n; i++)
        if (strcmp(scalars[i].tag, "epoch") == 0 && isfinite(scalars[i].value))
            p.epoch = (int64_t)scalars[i].value;
    for (size_t i = 0; i < n; i++) {
        mu_series *series;
        if (is_index(scalars[i].tag))
            continue;
        p.value = scalars[i].value;
        MU_TRY(mu_scalars_series(&w->scalars, scalars[i].tag, &series));
        MU_TRY(mu_series_add(series, p));
    }
    w->changed = true;
    return MU_OK;
}

mu_err mu_scalars_writer_add(mu_scalars_writer *w, int64_t step, const mu_scalar *scalars, size_t n)
{
    mu_text text = {0};
    mu_err err = make_line(step, scalars, n, &text);
    if (!err)
        err = write_line(w, &text);
    mu_text_release(&text);
    MU_TRY(err);
    return keep(w, step, scalars, n);
}

mu_err mu_scalars_writer_flush(mu_scalars_writer *w, double seconds)
{
    if (!w->changed || (seconds > 0 && mu_clock() - w->written < seconds))
        return MU_OK;
    MU_TRY(mu_scalars_file_write(w->file_path, &w->scalars));
    w->changed = false;
    w->written = mu_clock();
    return MU_OK;
}
