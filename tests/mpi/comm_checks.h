/* What comm_test.c runs, a file for each kind of operation. Every check is collective over `world`. */
#ifndef MU_TESTS_MPI_COMM_CHECKS_H
#define MU_TESTS_MPI_COMM_CHECKS_H

#include "mpi/ranks.h"

enum { MAX_COUNT = 1000, MAX_RANKS = 8 };

/* ---- comm_values.c: element i of a rank's buffer, and what a reduction makes of them ---- */
double value(int rank, int64_t i, mu_dtype dtype);
double combine(double a, double b, mu_dtype dtype, mu_comm_op op);
double expected(int64_t i, mu_dtype dtype, mu_comm_op op);
bool allowed(mu_dtype dtype, mu_comm_op op);
void fill(void *data, int rank, int64_t count, mu_dtype dtype);
double rounding(mu_dtype dtype);
void compare(const void *data, int64_t count, mu_dtype dtype, mu_comm_op op);

/* ---- comm_reduce.c ---- */
void check_all_reduce(void);
void check_long_sums(void);
void check_nan(void);
void check_requests(void);
void check_slices(void);
void check_many_on_their_way(void);
void check_large_slices(void);
void check_fixed_order(void);
/* Whose ranks combine first: those of a color, where a hierarchy is at work. */
extern int color_of[MAX_RANKS];
extern bool hierarchical, even;

/* ---- comm_move.c ---- */
void check_broadcast_gather(void);
void check_bytes(int seed);
void check_broadcast_blob(void);
void check_arguments(void);
void check_split(void);

/* ---- comm_dist.c ---- */
void check_agreement(void);
void check_seed(void);
void check_dict(void);
void check_params(void);
void check_tensors(void);
void check_on_main(void);
void check_objects(void);
void check_collect(void);

/* ---- comm_memory.c ---- */
void check_out_of_memory(void);

/* ---- comm_threads.c ---- */
void check_notes(void);
void check_start_broadcast(void);
void check_doing(void);
void check_threads(void);
void check_delay(void);
void check_environment(void);

#endif
