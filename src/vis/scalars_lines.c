#include "vis/scalars_store.h"

#include "config/config.h"
#include "core/mem.h"
#include "io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The whole file, zero-ended. */
static mu_err read_all(const char *path, char **out, size_t *size)
{
    struct stat info;
    char *text = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return MU_FAIL(MU_ERR_IO, "'%s' cannot be opened: %s", path, strerror(errno));
    mu_err err = MU_OK;
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode))
        err = MU_FAIL(MU_ERR_IO, "'%s' is not a regular file", path);
    if (!err)
        err = mu_alloc(&text, (size_t)info.st_size + 1);
    if (!err)
        err = mu_pread(fd, text, (size_t)info.st_size, 0, path);
    close(fd);
    if (err) {
        mu_free(text);
        return err;
    }
    text[info.st_size] = '\0';
    *out = text;
    *size = (size_t)info.st_size;
    return MU_OK;
}

static bool is_number(const mu_cfg *value)
{
    return value && (mu_cfg_kind_of(value) == MU_CFG_INT || mu_cfg_kind_of(value) == MU_CFG_FLOAT);
}

static bool is_index(const char *key)
{
    return strcmp(key, "step") == 0 || strcmp(key, "iter") == 0 || strcmp(key, "epoch") == 0;
}

/* Saturates. */
static int64_t to_i64(double x)
{
    return x >= 0x1p63 ? INT64_MAX : x > -0x1p63 ? (int64_t)x : INT64_MIN;
}

static mu_err add_line(const mu_cfg *line, int64_t number, mu_scalars *out)
{
    const mu_cfg *step = mu_cfg_get(line, "step"), *iter = mu_cfg_get(line, "iter"), *epoch = mu_cfg_get(line, "epoch");
    mu_point p = {.time = NAN};
    p.step = is_number(step) ? to_i64(mu_cfg_float(step)) : is_number(iter) ? to_i64(mu_cfg_float(iter)) : number;
    p.epoch = is_number(epoch) ? to_i64(mu_cfg_float(epoch)) : -1;
    for (size_t i = 0; i < mu_cfg_size(line); i++) {
        const mu_cfg *value = mu_cfg_at(line, i);
        const char *key = mu_cfg_key_at(line, i);
        mu_series *series;
        bool is_null = mu_cfg_kind_of(value) == MU_CFG_NULL;
        if (is_index(key) || !(is_number(value) || is_null))
            continue;
        p.value = is_null ? NAN : mu_cfg_float(value);
        MU_TRY(mu_scalars_series(out, key, &series));
        MU_TRY(mu_series_add(series, p));
    }
    return MU_OK;
}

static bool is_blank(const char *text, size_t n)
{
    return strspn(text, " \t\r") >= n;
}

/* With what mu_cfg_parse_json said of it, which is the last error; not of a line that is something else than an object. */
static mu_err tell_line(const char *path, int64_t number, bool parsed)
{
    char why[MU_ERROR_TEXT];
    int column = 0, at = 0;
    snprintf(why, sizeof why, "%s", parsed ? "" : mu_error_last()->message);
    bool placed = sscanf(why, "line:1:%d: %n", &column, &at) == 1 && at > 0;
    if (!placed) {
        MU_FAIL(MU_ERR_FORMAT, "'%s': line %lld is no JSON object", path, (long long)number);
        return mu_error_hint("take the line out");
    }
    MU_FAIL(MU_ERR_FORMAT, "'%s': line %lld is no JSON object: at column %d, %s", path, (long long)number, column, why + at);
    return mu_error_hint("write null for a number that is not finite, or take the line out");
}

/* text[n] is NUL. *whole: it is a JSON object, or there is nothing. *parsed: it is JSON. */
static mu_err read_line(const char *text, size_t n, int64_t number, mu_scalars *out, bool *whole, bool *parsed)
{
    mu_cfg *line;
    *whole = *parsed = true;
    if (is_blank(text, n))
        return MU_OK;
    mu_err err = mu_cfg_parse_json(text, n, "line", &line);
    if (err == MU_ERR_MEMORY)
        return err;
    *parsed = !err;
    if (err || mu_cfg_kind_of(line) != MU_CFG_DICT) {
        if (!err)
            mu_cfg_release(line);
        *whole = false;
        return MU_OK;
    }
    err = add_line(line, number, out);
    mu_cfg_release(line);
    return err;
}

static mu_err read_lines(char *text, size_t size, const char *path, mu_scalars *out, int64_t *whole)
{
    int64_t number = 1;
    for (size_t at = 0; at < size; number++) {
        char *end = memchr(text + at, '\n', size - at);
        size_t n = (end ? (size_t)(end - text) : size) - at;
        bool good = memchr(text + at, '\0', n) == NULL, parsed = true;
        text[at + n] = '\0';
        if (good)
            MU_TRY(read_line(text + at, n, number, out, &good, &parsed));
        if (!good && !end)
            break;
        if (!good)
            return tell_line(path, number, parsed);
        at += n + (end != NULL);
        *whole = (int64_t)at;
    }
    return MU_OK;
}

mu_err mu_scalars_lines_read(const char *path, mu_scalars *out, int64_t *whole)
{
    char *text;
    size_t size;
    mu_scalars scalars = {0};
    int64_t bytes = 0;
    MU_TRY(read_all(path, &text, &size));
    mu_err err = read_lines(text, size, path, &scalars, &bytes);
    mu_free(text);
    if (err) {
        mu_scalars_release(&scalars);
        return err;
    }
    *out = scalars;
    *whole = bytes;
    return MU_OK;
}
