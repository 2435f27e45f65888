#include "runner/history.h"

#include "core/mem.h"

#include <math.h>

typedef struct {
    double value, count;
} entry;

/* Grows up to the capacity, then goes round. */
struct mu_history {
    entry *entries;
    size_t n, room;
    size_t oldest;
};

mu_err mu_history_new(mu_history **out)
{
    MU_TRY(mu_calloc(out, 1, sizeof **out));
    return MU_OK;
}

void mu_history_release(mu_history *history)
{
    if (!history)
        return;
    mu_free(history->entries);
    mu_free(history);
}

mu_err mu_history_add(mu_history *history, double value, double count)
{
    entry *to;
    if (history->n < MU_HISTORY_CAPACITY) {
        MU_TRY(mu_grow(&history->entries, &history->room, history->n + 1, sizeof *history->entries));
        to = &history->entries[history->n++];
    } else {
        to = &history->entries[history->oldest];
        history->oldest = (history->oldest + 1) % MU_HISTORY_CAPACITY;
    }
    *to = (entry){value, count};
    return MU_OK;
}

void mu_history_clear(mu_history *history)
{
    history->n = history->oldest = 0;
}

static entry at(const mu_history *history, size_t i)
{
    return history->entries[(history->oldest + i) % MU_HISTORY_CAPACITY];
}

void mu_history_at(const mu_history *history, int64_t i, double *value, double *count)
{
    entry e = at(history, (size_t)i);
    *value = e.value;
    *count = e.count;
}

int64_t mu_history_length(const mu_history *history)
{
    return (int64_t)history->n;
}

double mu_history_current(const mu_history *history)
{
    if (history->n == 0)
        return NAN;
    entry last = at(history, history->n - 1);
    return last.value / last.count;
}

/* The first entry of a window. */
static size_t first_of(const mu_history *history, int64_t window)
{
    return window <= 0 || (uint64_t)window >= history->n ? 0 : history->n - (size_t)window;
}

double mu_history_mean(const mu_history *history, int64_t window)
{
    double values = 0, counts = 0;
    for (size_t i = first_of(history, window); i < history->n; i++) {
        entry e = at(history, i);
        values += e.value;
        counts += e.count;
    }
    return values / counts; /* 0 / 0 is the NaN of an empty one */
}

double mu_history_min(const mu_history *history, int64_t window)
{
    double least = NAN;
    for (size_t i = first_of(history, window); i < history->n; i++) {
        entry e = at(history, i);
        double x = e.value / e.count;
        if (isnan(x))
            return x;
        least = isnan(least) || x < least ? x : least;
    }
    return least;
}

double mu_history_max(const mu_history *history, int64_t window)
{
    double most = NAN;
    for (size_t i = first_of(history, window); i < history->n; i++) {
        entry e = at(history, i);
        double x = e.value / e.count;
        if (isnan(x))
            return x;
        most = isnan(most) || x > most ? x : most;
    }
    return most;
}
