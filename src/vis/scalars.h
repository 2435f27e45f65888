/* Scalars of a run: JSON lines as they come, and one HDF5 file that is replaced whole now and then.
 *
 * A line is {"lr": 0.01, "loss": 0.69, ..., "epoch": 1, "iter": 50, "step": 50}; in HDF5 each tag is one compound dataset (step i64,
 * time f64 in seconds since 1970, value f64) under /scalars. A killed process leaves whole lines and a whole file. */
#ifndef MU_VIS_SCALARS_H
#define MU_VIS_SCALARS_H

#include "core/error.h"

#include <stddef.h>
#include <stdint.h>

typedef struct {
    const char *tag;
    double value;
} mu_scalar;

/* ---- writing; not collective: rank 0 does it ---- */
typedef struct mu_scalars_writer mu_scalars_writer;
/* Makes DIR/scalars.jsonl (appended to, for a run that goes on) and DIR/scalars.h5. */
MU_CHECKED mu_err mu_scalars_writer_new(const char *dir, mu_scalars_writer **out);
/* Flushes. NULL is allowed. */
void mu_scalars_writer_release(mu_scalars_writer *writer);
/* One line, flushed to the system. `step` is the x axis. NaN and infinity become null in JSON. The line holds the scalars in the order given. */
MU_CHECKED mu_err mu_scalars_writer_add(mu_scalars_writer *writer, int64_t step, const mu_scalar *scalars, size_t n);
/* Replaces the HDF5 file when the last time was `seconds` ago or more (0: now). */
MU_CHECKED mu_err mu_scalars_writer_flush(mu_scalars_writer *writer, double seconds);

/* ---- reading ---- */
typedef struct {
    char *tag;
    size_t n, capacity;
    int64_t *step;
    double *time, *value; /* [n]; time is NaN where it is not known */
} mu_series;
typedef struct {
    size_t n, capacity;
    mu_series *item; /* owned; in the order of their first appearance */
} mu_scalars;
/* A scalars.h5, a .jsonl or .json of lines, a log folder, or a work_dir (its newest run; runs that it went on from first). */
MU_CHECKED mu_err mu_scalars_read(const char *path, mu_scalars *out);
void mu_scalars_release(mu_scalars *scalars);
const mu_series *mu_scalars_find(const mu_scalars *scalars, const char *tag);

#endif
