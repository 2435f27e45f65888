#include "core/log.h"

#include "core/text.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_RULES = 32, MAX_ROOM = 32 };

static const char *const level_names[] = {"error", "warning", "info", "debug", "trace"};
enum { N_LEVELS = sizeof level_names / sizeof level_names[0] };

typedef struct {
    char room[MAX_ROOM];
    mu_log_level level;
} rule;

typedef struct {
    int rank, size;
    mu_log_level level; /* of rooms without a rule */
    bool fixed;         /* MU_LOG says so, or the rank is silent */
    rule rules[MAX_RULES];
    int n_rules;
} settings;

static settings active = {.rank = 0, .size = 1, .level = MU_LOG_INFO};
static mu_log_sink *sink;
static void *sink_user;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* keeps lines whole */

static mu_err parse_level(const char *text, size_t n, mu_log_level *out)
{
    for (int i = 0; i < N_LEVELS; i++)
        if (strlen(level_names[i]) == n && memcmp(level_names[i], text, n) == 0) {
            *out = (mu_log_level)i;
            return MU_OK;
        }
    char word[MAX_ROOM];
    snprintf(word, sizeof word, "%.*s", (int)(n < sizeof word ? n : sizeof word), text);
    const char *nearest = mu_nearest(word, level_names, N_LEVELS);
    MU_FAIL(MU_ERR_USAGE, "MU_LOG: \"%s\" is not a level: expected error, warning, info, debug or trace%s%s%s", word,
            nearest ? "; did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?" : "");
    return mu_error_hint("MU_LOG=LEVEL[:ROOM][,LEVEL:ROOM...], as in MU_LOG=info,debug:graph");
}

static mu_err parse_rules(const char *text, settings *s)
{
    for (; *text; text += *text == ',') {
        size_t n = strcspn(text, ","), n_level = strcspn(text, ":,");
        mu_log_level level = MU_LOG_INFO;
        MU_TRY(parse_level(text, n_level, &level));
        if (n_level == n) {
            s->level = level;
            s->fixed = true;
        } else {
            size_t n_room = n - n_level - 1;
            if (n_room == 0 || n_room >= MAX_ROOM || s->n_rules == MAX_RULES)
                return MU_FAIL(MU_ERR_USAGE, "MU_LOG: \"%.*s\": a room is a folder of src/ (at most %d rules)", (int)n,
                               text, MAX_RULES);
            rule *r = &s->rules[s->n_rules++];
            r->level = level;
            memcpy(r->room, text + n_level + 1, n_room);
        }
        text += n;
    }
    return MU_OK;
}

/* Does MU_LOG_RANKS ("all", "0,2") name this rank? size 0: any number may be one. */
static mu_err parse_ranks(const char *text, int rank, int size, bool *out)
{
    bool all = strcmp(text, "all") == 0, found = all;
    for (const char *at = text; !all && *at; at += *at == ',') {
        char *end;
        long r = strtol(at, &end, 10);
        if (end == at || (*end && *end != ',') || r < 0)
            return MU_FAIL(MU_ERR_USAGE, "MU_LOG_RANKS: \"%s\": expected all, or ranks as in 0,2", text);
        if (size > 0 && r >= size)
            return MU_FAIL(MU_ERR_USAGE, "MU_LOG_RANKS: \"%s\": expected all, or ranks from 0 to %d as in 0,2", text,
                           size - 1);
        found |= r == rank;
        at = end;
    }
    *out = found;
    return MU_OK;
}

mu_err mu_log_configure(int rank, int size)
{
    settings s = {.rank = rank, .size = size, .level = MU_LOG_INFO};
    const char *rules = getenv("MU_LOG"), *ranks = getenv("MU_LOG_RANKS");
    bool speaks = false;
    MU_TRY(parse_rules(rules ? rules : "", &s));
    MU_TRY(parse_ranks(ranks ? ranks : "0", rank, size, &speaks));
    if (!speaks) {
        s.n_rules = 0;
        s.level = s.level < MU_LOG_WARNING ? s.level : MU_LOG_WARNING;
        s.fixed = true;
    }
    pthread_mutex_lock(&lock);
    active = s;
    pthread_mutex_unlock(&lock);
    return MU_OK;
}

void mu_log_set_level(mu_log_level level)
{
    pthread_mutex_lock(&lock);
    if (!active.fixed)
        active.level = level;
    pthread_mutex_unlock(&lock);
}

void mu_log_set_sink(mu_log_sink *new_sink, void *user)
{
    pthread_mutex_lock(&lock);
    sink = new_sink;
    sink_user = user;
    pthread_mutex_unlock(&lock);
}

int mu_log_enabled(mu_log_level level, const char *room)
{
    for (int i = active.n_rules - 1; i >= 0; i--)
        if (strcmp(active.rules[i].room, room) == 0)
            return level <= active.rules[i].level;
    return level <= active.level;
}

/* "muster: rank 3/8: warning: graph: text"; the rank only where there are several. */
static void to_stderr(mu_log_level level, const char *room, const char *line)
{
    char rank[48] = "";
    if (active.size > 1)
        snprintf(rank, sizeof rank, "rank %d/%d: ", active.rank, active.size);
    fprintf(stderr, "muster: %s%s: %s: %s\n", rank, level_names[level], room, line);
}

void mu_log_write(mu_log_level level, const char *room, const char *format, ...)
{
    char text[4096];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (n < 0)
        return;
    if (n >= (int)sizeof text)
        memcpy(text + sizeof text - 4, "...", 4);
    pthread_mutex_lock(&lock);
    for (char *line = text, *rest; line && *line; line = rest) {
        rest = strchr(line, '\n');
        if (rest)
            *rest++ = '\0';
        if (sink)
            sink(sink_user, level, room, line);
        else
            to_stderr(level, room, line);
    }
    pthread_mutex_unlock(&lock);
}
