/* CSV files, row by row, plain or compressed by gzip: cells between commas, "..." around one that holds a comma, "" for a
 * quote in it. Empty lines are skipped, and so is a byte order mark; a cell does not span lines. */
#ifndef MU_DATA_CSV_H
#define MU_DATA_CSV_H

#include "core/error.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct mu_csv mu_csv;

MU_CHECKED mu_err mu_csv_open(const char *path, mu_csv **out);
void mu_csv_release(mu_csv *csv); /* NULL is allowed */
/* *more: whether there was a row. MU_ERR_FORMAT with file:line for a wrong one. */
MU_CHECKED mu_err mu_csv_next(mu_csv *csv, bool *more);
/* Starts over. */
MU_CHECKED mu_err mu_csv_rewind(mu_csv *csv);
/* Of the row: its line from 1, its cells, without blanks around them; valid until the next row. */
int64_t mu_csv_line(const mu_csv *csv);
size_t mu_csv_n_cells(const mu_csv *csv);
const char *mu_csv_cell(const mu_csv *csv, size_t i);

#endif
