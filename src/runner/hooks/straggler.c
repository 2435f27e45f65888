#include "runner/hooks/straggler.h"

#include <stdlib.h>

#define WORTH_TELLING 1e-3 /* s */
#define WORSE 1.5

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median_of(const mu_rank_time *time, int n, double *scratch)
{
    for (int r = 0; r < n; r++)
        scratch[r] = time[r].own;
    qsort(scratch, (size_t)n, sizeof *scratch, ascending);
    return scratch[(n - 1) / 2];
}

mu_straggler mu_straggler_judge(const mu_rank_time *time, int n, double factor, mu_rank_record *record, double *scratch)
{
    mu_straggler out = {.rank = -1, .median = median_of(time, n, scratch)};
    double caught_up = (1 + factor) / 2;
    int stragglers = 0;
    for (int r = 0; r < n; r++) {
        double own = time[r].own;
        bool slow = own > factor * out.median && own > out.median + WORTH_TELLING;
        if (!slow && own < caught_up * out.median)
            record[r].told = 0;
        if (!slow)
            continue;
        stragglers++;
        record[r].slow++;
        if (record[r].told > 0 && own < WORSE * record[r].told)
            continue;
        record[r].told = own;
        if (out.rank < 0 || own > time[out.rank].own)
            out.rank = r;
    }
    out.others = out.rank < 0 ? 0 : stragglers - 1;
    return out;
}

int mu_straggler_worst(const mu_rank_record *record, int n, int64_t windows, int *others)
{
    int worst = -1, count = 0;
    for (int r = 0; r < n; r++) {
        if (2 * record[r].slow <= windows)
            continue;
        count++;
        if (worst < 0 || record[r].slow > record[worst].slow)
            worst = r;
    }
    *others = worst < 0 ? 0 : count - 1;
    return worst;
}
