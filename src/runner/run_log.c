#include "runner/run_log.h"

#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct mu_run_log {
    char *path;
    int fd; /* -1: none */
    int rank, size;
    bool torn, told; /* the last line in the file is not whole; the console knows that the file fails */
};

static pthread_mutex_t bar_lock = PTHREAD_MUTEX_INITIALIZER;
static void (*bar_clear)(void *user);
static void *bar_user;
static mu_log_level console_level = MU_LOG_TRACE;

void mu_run_log_before_line(void (*clear)(void *user), void *user)
{
    pthread_mutex_lock(&bar_lock);
    bar_clear = clear;
    bar_user = user;
    pthread_mutex_unlock(&bar_lock);
}

void mu_run_log_set_console(mu_log_level level)
{
    pthread_mutex_lock(&bar_lock);
    console_level = level;
    pthread_mutex_unlock(&bar_lock);
}

enum { LINE = 4096 + 256 }; /* a line of core/log.h and what stands before it */

/* "11/22 02:45:51 - muster - INFO - rank 1/2: graph: text\n"; returns its length. */
static size_t format(const mu_run_log *log, const char *clock, mu_log_level level, const char *room, const char *text,
                     char line[LINE])
{
    static const char *const names[] = {"ERROR", "WARNING", "INFO", "DEBUG", "TRACE"};
    char when[32], rank[48] = "";
    bool own = strcmp(room, "run") == 0 || strcmp(room, "runner") == 0;
    mu_wall_format(mu_wall_time(), clock, when, sizeof when);
    if (log->rank > 0)
        snprintf(rank, sizeof rank, "rank %d/%d: ", log->rank, log->size);
    int n = snprintf(line, LINE - 1, "%s - muster - %s - %s%s%s%s", when, names[level], rank, own ? "" : room,
                     own ? "" : ": ", text);
    size_t length = n < 0 ? 0 : n < LINE - 1 ? (size_t)n : LINE - 2;
    line[length] = '\n';
    return length + 1;
}

static void to_console(const mu_run_log *log, mu_log_level level, const char *room, const char *text)
{
    char line[LINE];
    size_t n = format(log, "%m/%d %H:%M:%S", level, room, text, line);
    pthread_mutex_lock(&bar_lock);
    if (level <= console_level) {
        if (bar_clear)
            bar_clear(bar_user);
        fwrite(line, 1, n, stderr);
        fflush(stderr);
    }
    pthread_mutex_unlock(&bar_lock);
}

/* 0, or errno. */
static int write_whole(int fd, const char *data, size_t n, size_t *done)
{
    for (*done = 0; *done < n;) {
        ssize_t m = write(fd, data + *done, n - *done);
        if (m < 0 && errno != EINTR)
            return errno;
        *done += m > 0 ? (size_t)m : 0;
    }
    return 0;
}

static void to_file(mu_run_log *log, mu_log_level level, const char *room, const char *text)
{
    char line[LINE + 1];
    line[0] = '\n';
    size_t n = format(log, "%Y/%m/%d %H:%M:%S", level, room, text, line + 1), done;
    const char *from = log->torn ? line : line + 1;
    n += log->torn;
    int code = write_whole(log->fd, from, n, &done);
    if (done > 0)
        log->torn = done < n;
    if (code == 0 || log->told)
        return;
    char why[512];
    snprintf(why, sizeof why, "the log file '%.300s' cannot be written: %s; the run goes on without it", log->path,
             strerror(code));
    log->told = true;
    to_console(log, MU_LOG_WARNING, "run", why);
}

static void sink(void *user, mu_log_level level, const char *room, const char *text)
{
    mu_run_log *log = user;
    to_console(log, level, room, text);
    if (log->fd >= 0)
        to_file(log, level, room, text);
}

mu_err mu_run_log_open(const char *path, int rank, int size, mu_run_log **out)
{
    mu_run_log *log;
    MU_TRY(mu_calloc(&log, 1, sizeof *log));
    log->fd = -1;
    log->rank = rank;
    log->size = size;
    mu_err err = MU_OK;
    if (path) {
        MU_TRY_GOTO(err, mu_strdup(&log->path, path), fail);
        log->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
        if (log->fd < 0) {
            err = MU_FAIL(MU_ERR_IO, "the log file '%s' cannot be opened: %s", path, strerror(errno));
            goto fail;
        }
    }
    mu_log_set_sink(sink, log);
    *out = log;
    return MU_OK;
fail:
    mu_run_log_release(log);
    return err;
}

void mu_run_log_release(mu_run_log *log)
{
    if (!log)
        return;
    mu_log_set_sink(NULL, NULL); /* waits for a line on its way */
    if (log->fd >= 0)
        close(log->fd);
    mu_free(log->path);
    mu_free(log);
}
