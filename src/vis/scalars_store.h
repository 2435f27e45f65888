/* Scalars in memory, and their HDF5 file. Private to the room. */
#ifndef MU_VIS_SCALARS_STORE_H
#define MU_VIS_SCALARS_STORE_H

#include "vis/scalars.h"

enum { MU_SCALARS_VERSION = 1 };
#define MU_SCALARS_FORMAT "scalars"

/* The series of a tag, made when absent. */
MU_CHECKED mu_err mu_scalars_series(mu_scalars *scalars, const char *tag, mu_series **out);
MU_CHECKED mu_err mu_series_add(mu_series *series, mu_point point);

/* Replaces the file at `path`. */
MU_CHECKED mu_err mu_scalars_file_write(const char *path, const mu_scalars *scalars);
MU_CHECKED mu_err mu_scalars_file_read(const char *path, mu_scalars *out);

/* The lines of a file: adds their points, and tells how many bytes whole lines take. */
MU_CHECKED mu_err mu_scalars_lines_read(const char *path, mu_scalars *out, int64_t *whole);
/* Puts the times of `from` into the points of `to` that are the same, as far as they agree. */
void mu_scalars_take_times(mu_scalars *to, const mu_scalars *from);

#endif
