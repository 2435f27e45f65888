/* Which rank holds the others up: what is concluded from the ranks' times. Nothing here talks to other ranks. */
#ifndef MU_RUNNER_HOOKS_STRAGGLER_H
#define MU_RUNNER_HOOKS_STRAGGLER_H

#include "core/error.h"

#include <stdbool.h>
#include <stdint.h>

/* Seconds of an iteration. */
typedef struct {
    double own;  /* all but waiting for other ranks */
    double data; /* of these: waiting for batches */
} mu_rank_time;

typedef struct {
    double told;  /* its own time when it was last told of; 0: not told */
    int64_t slow; /* windows in which it was a straggler */
} mu_rank_record;

typedef struct {
    int rank;     /* the slowest of those that are news; -1: none is */
    int others;   /* stragglers beside it */
    double median; /* s; of an even number of ranks the lower one, so that of two ranks one can be slow */
} mu_straggler;

/* A window's times of n ranks: a straggler takes more than `factor` times the median, and more than 1 ms longer. It is news when it was not told of,
 * or takes half as long again since; one that has caught up with the others is forgotten. scratch[n]. */
mu_straggler mu_straggler_judge(const mu_rank_time *time, int n, double factor, mu_rank_record *record, double *scratch);

/* The rank that was slow in most windows, if in more than half of them; else -1. *others: how many more were. */
int mu_straggler_worst(const mu_rank_record *record, int n, int64_t windows, int *others);

#endif
