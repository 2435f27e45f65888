/* For programs that check themselves on every rank, alone and under mpirun. */
#ifndef MU_TESTS_MPI_RANKS_H
#define MU_TESTS_MPI_RANKS_H

#include "dist/launch.h"

#include <stdio.h>
#include <string.h>

extern mu_comm *world;
extern int failures, checks; /* of this rank */

/* Launches, or ends the program. */
void ranks_begin(void);
/* Collective. Sums up, releases everything, and gives the program's status: 0 when no check failed on any rank and no block of memory is left. */
int ranks_end(void);

/* The first failures of a rank are printed. */
#define CHECK(condition, ...)                                                                                          \
    do {                                                                                                               \
        checks++;                                                                                                      \
        if (!(condition) && failures++ < 3) {                                                                          \
            fprintf(stderr, "rank %d/%d: line %d: %s:", world->rank, world->size, __LINE__, #condition);               \
            fprintf(stderr, " " __VA_ARGS__);                                                                          \
            fputc('\n', stderr);                                                                                       \
        }                                                                                                              \
    } while (0)
#define OK(expr) CHECK((expr) == MU_OK, "%s", mu_error_last()->message)
#define FAILS(expr, code, part)                                                                                        \
    do {                                                                                                               \
        mu_err fails_ = (expr);                                                                                        \
        CHECK(fails_ == (code), "%s: %s", mu_err_name(fails_), mu_error_last()->message);                              \
        CHECK(strstr(mu_error_last()->message, (part)), "\"%s\" lacks \"%s\"", mu_error_last()->message, (part));      \
    } while (0)

#endif
