/* Scalars of a run: JSON lines as they come, and one HDF5 file that is replaced whole now and then (doc/formats.md).
 *
 * A line is {"lr": 0.01, "loss": 0.69, ..., "epoch": 1, "iter": 50, "step": 50}. In HDF5 each tag but "epoch" and "iter" is one compound
 * dataset under /scalars. A killed process leaves whole lines, and at most one that is cut, and a whole file. */
#ifndef MU_VIS_SCALARS_H
#define MU_VIS_SCALARS_H

#include "core/error.h"

#include <stddef.h>
#include <stdint.h>

typedef struct {
    const char *tag;
    double value;
} mu_scalar;

/* ---- writing; not collective: rank 0 does it, in the thread that owns HDF5 ---- */
typedef struct mu_scalars_writer mu_scalars_writer;
/* Makes DIR/scalars.jsonl and DIR/scalars.h5, or goes on with what is there. A last line that was cut is taken out. */
MU_CHECKED mu_err mu_scalars_writer_new(const char *dir, mu_scalars_writer **out);
/* Flushes; a failure then is only logged. NULL is allowed. */
void mu_scalars_writer_release(mu_scalars_writer *writer);
/* One line, given to the system at once, with the scalars in the order given and then `step`: the x axis. That is the iteration; in a
 * line without "epoch" and "iter" of a run by epochs (a validation's) the epoch. NaN and infinity become null in JSON. MU_ERR_USAGE for a
 * tag that is no path of names, or that is "step". */
MU_CHECKED mu_err mu_scalars_writer_add(mu_scalars_writer *writer, int64_t step, const mu_scalar *scalars, size_t n);
/* Replaces the HDF5 file, if there is something new, when the last time was `seconds` ago or more (0: now). */
MU_CHECKED mu_err mu_scalars_writer_flush(mu_scalars_writer *writer, double seconds);

/* ---- reading ---- */
typedef struct {
    int64_t step;
    int64_t epoch; /* the running one, from 1; -1: the line did not tell */
    double time;   /* seconds since 1970; NaN: not known */
    double value;
} mu_point;
typedef struct {
    char *tag;
    size_t n, capacity;
    mu_point *point;
} mu_series;
typedef struct {
    size_t n, capacity;
    mu_series *item; /* owned; in the order of their first appearance */
} mu_scalars;
/* A scalars.h5, a file of JSON lines, a folder with scalars.jsonl, a log folder (which has it in vis_data), or a work_dir: its newest run, and
 * before it what is left of the runs that it went on from. MU_ERR_IO when there is nothing, MU_ERR_FORMAT for what is damaged; a last line
 * that was cut is left out. */
MU_CHECKED mu_err mu_scalars_read(const char *path, mu_scalars *out);
void mu_scalars_release(mu_scalars *scalars);
const mu_series *mu_scalars_find(const mu_scalars *scalars, const char *tag);

/* ---- what to draw them over ---- */
typedef enum { MU_AXIS_STEP, MU_AXIS_EPOCH, MU_AXIS_TIME } mu_axis_kind;
typedef struct {
    mu_axis_kind kind;
    double epoch_length; /* iterations, as the points tell; 0: the run does not count epochs */
    double begin;        /* time of the first point */
} mu_axis;
/* MU_ERR_USAGE when the points know no epochs, or no times. */
MU_CHECKED mu_err mu_axis_init(mu_axis *axis, const mu_scalars *scalars, mu_axis_kind kind);
/* Iterations, epochs, or seconds since the first point. */
double mu_axis_at(const mu_axis *axis, const mu_point *point);

#endif
