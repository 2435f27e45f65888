/* `muster data pack` of a CSV file. */
#include "cli/data_pack.h"
#include "cli/progress.h"

#include "core/mem.h"
#include "data/csv.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    mu_csv *file;
    bool header;
    size_t column, n_cells; /* of the label; of a row */
    int64_t rows;
    void *sample;
} csv_state;

/* Whether a text is a number, whole. */
static bool parse_number(const char *text, double *out)
{
    char *end;
    *out = strtod(text, &end);
    return end != text && *end == '\0';
}

static mu_err wrong_cell(const pack *p, const mu_csv *csv, size_t column, const char *wanted)
{
    return MU_FAIL(MU_ERR_FORMAT, "%s:%lld: column %zu is '%.40s'; %s was expected", p->csv, (long long)mu_csv_line(csv), column,
                   mu_csv_cell(csv, column), wanted);
}

/* The label of the row: a class by name, or its number. */
static mu_err csv_label(const pack *p, const mu_csv *csv, size_t column, int64_t *out)
{
    const char *text = mu_csv_cell(csv, column);
    double x;
    for (size_t i = 0; i < p->classes.n; i++)
        if (strcmp(p->classes.v[i], text) == 0) {
            *out = (int64_t)i;
            return MU_OK;
        }
    if (!parse_number(text, &x) || x != floor(x) || x < 0 || x >= 1 << 20 || (p->classes.n && x >= (double)p->classes.n)) {
        wrong_cell(p, csv, column, p->classes.n ? "one of the classes, or its number" : "the number of a class");
        return mu_error_hint("--label-column tells which column holds the label, --classes what the classes are called");
    }
    *out = (int64_t)x;
    return MU_OK;
}

static mu_err csv_values(const pack *p, const mu_csv *csv, size_t label_column, void *out)
{
    size_t n = 0;
    for (size_t i = 0; i < mu_csv_n_cells(csv); i++) {
        double x;
        if (i == label_column)
            continue;
        if (!parse_number(mu_csv_cell(csv, i), &x))
            return wrong_cell(p, csv, i, "a number");
        if (p->field[PACK_IMAGES].sample.dtype == MU_F32) {
            if (isfinite(x) && fabs(x) > FLT_MAX)
                return wrong_cell(p, csv, i, "a number that f32 can hold");
            ((float *)out)[n++] = (float)x;
            continue;
        }
        if (!(x >= 0 && x <= 255) || x != floor(x)) {
            wrong_cell(p, csv, i, "a whole number from 0 to 255");
            return mu_error_hint("--dtype f32 takes any numbers");
        }
        ((uint8_t *)out)[n++] = (uint8_t)x;
    }
    return MU_OK;
}

/* A number, or the name of a class. */
static bool is_known(const pack *p, const char *text)
{
    double x;
    bool known = parse_number(text, &x);
    for (size_t k = 0; k < p->classes.n && !known; k++)
        known = strcmp(p->classes.v[k], text) == 0;
    return known;
}

/* The first row is a header unless all of it is numbers, or names of classes; or its label is, where no name tells the column: then it is a row
 * with a mistake. *column is that of the label. */
static mu_err csv_header(const pack *p, const mu_csv *csv, bool *header, size_t *column)
{
    char *end;
    bool found = false;
    *header = false;
    for (size_t i = 0; i < mu_csv_n_cells(csv); i++)
        *header = *header || !is_known(p, mu_csv_cell(csv, i));
    const char *wanted = p->label_column ? p->label_column : *header ? "label" : "0";
    for (size_t i = 0; *header && i < mu_csv_n_cells(csv) && !found; i++)
        if (strcmp(mu_csv_cell(csv, i), wanted) == 0) {
            *column = i;
            found = true;
        }
    if (found)
        return MU_OK;
    errno = 0;
    unsigned long long number = strtoull(wanted, &end, 10);
    if (wanted[0] < '0' || wanted[0] > '9' || *end || errno || number >= mu_csv_n_cells(csv)) {
        MU_FAIL(MU_ERR_FORMAT, "'%s' has no column '%s'", p->csv, wanted);
        return mu_error_hint("--label-column takes a name of the first line, or a number from 0 to %zu",
                             mu_csv_n_cells(csv) - 1);
    }
    *column = (size_t)number;
    *header = *header && !is_known(p, mu_csv_cell(csv, *column));
    return MU_OK;
}

/* Counts the rows and classes, also of rows that are not taken: parts of a file have the same classes. */
static mu_err count_rows(pack *p, csv_state *s)
{
    bool more;
    MU_TRY(mu_csv_next(s->file, &more));
    if (!more)
        return MU_FAIL(MU_ERR_FORMAT, "'%s' is empty", p->csv);
    MU_TRY(csv_header(p, s->file, &s->header, &s->column));
    s->n_cells = mu_csv_n_cells(s->file);
    if (s->header)
        MU_TRY(mu_csv_next(s->file, &more));
    while (more) {
        int64_t label = 0;
        if (mu_csv_n_cells(s->file) != s->n_cells)
            return MU_FAIL(MU_ERR_FORMAT, "%s:%lld: %zu columns instead of %zu", p->csv, (long long)mu_csv_line(s->file),
                           mu_csv_n_cells(s->file), s->n_cells);
        MU_TRY(csv_label(p, s->file, s->column, &label));
        p->n_classes = label >= p->n_classes ? label + 1 : p->n_classes;
        s->rows++;
        MU_TRY(mu_csv_next(s->file, &more));
    }
    p->n_classes = p->classes.n ? (int64_t)p->classes.n : p->n_classes;
    p->n = pack_count(p, s->rows);
    return mu_csv_rewind(s->file);
}

static mu_err scan_alone(pack *p, void **state)
{
    csv_state *s;
    MU_TRY(mu_calloc(&s, 1, sizeof *s));
    *state = s;
    MU_TRY(mu_csv_open(p->csv, &s->file));
    MU_TRY(count_rows(p, s));
    if (s->n_cells < 2)
        return MU_FAIL(MU_ERR_SHAPE, "'%s' has no column besides the label", p->csv);
    mu_type own = MU_TYPE(p->dtype && strcmp(p->dtype, "f32") == 0 ? MU_F32 : MU_U8, (int64_t)s->n_cells - 1);
    MU_TRY(pack_set_images(p, &own, p->csv));
    return mu_alloc(&s->sample, mu_type_bytes(&own));
}

static mu_err scan(pack *p, void **state)
{
    return mu_comm_agree(p->comm, scan_alone(p, state));
}

static mu_err write_rows(pack *p, void *state)
{
    csv_state *s = state;
    bool more;
    int64_t taken = 0;
    if (s->header)
        MU_TRY(mu_csv_next(s->file, &more));
    for (int64_t i = 0; i < s->rows && taken < p->end; i++) {
        int64_t label = 0;
        MU_TRY(mu_csv_next(s->file, &more));
        if (!more || mu_csv_n_cells(s->file) != s->n_cells)
            return MU_FAIL(MU_ERR_IO, "'%s' changed while it was read", p->csv);
        if (!pack_takes(p, i) || taken++ < p->first)
            continue;
        MU_TRY(csv_label(p, s->file, s->column, &label));
        MU_TRY(csv_values(p, s->file, s->column, s->sample));
        MU_TRY(pack_append(p, label, s->sample));
        if (mu_comm_is_main(p->comm) && (taken % 256 == 0 || taken == p->end))
            cli_progress_update("rows", taken, p->end, NULL);
    }
    return MU_OK;
}

static void close_file(void *state)
{
    csv_state *s = state;
    if (!s)
        return;
    mu_csv_release(s->file);
    mu_free(s->sample);
    mu_free(s);
}

const pack_source pack_csv = {.scan = scan, .write = write_rows, .close = close_file};
