#include "data/csv.h"

#include "core/mem.h"

#include <errno.h>
#include <string.h>
#include <zlib.h>

/* In UTF-8: what spreadsheets put before the first cell. */
#define BYTE_ORDER_MARK "\xef\xbb\xbf"

struct mu_csv {
    char *path;
    gzFile file;
    int64_t line;
    char *row; /* NUL-terminated */
    size_t row_capacity;
    char **cell; /* into row */
    size_t n_cells, cell_capacity;
};

mu_err mu_csv_open(const char *path, mu_csv **out)
{
    mu_csv *csv;
    MU_TRY(mu_calloc(&csv, 1, sizeof *csv));
    mu_err err;
    MU_TRY_GOTO(err, mu_strdup(&csv->path, path), fail);
    errno = ENOMEM;
    csv->file = gzopen(path, "rb");
    if (!csv->file) {
        err = MU_FAIL(MU_ERR_IO, "'%s' cannot be opened: %s", path, strerror(errno));
        goto fail;
    }
    *out = csv;
    return MU_OK;
fail:
    mu_csv_release(csv);
    return err;
}

void mu_csv_release(mu_csv *csv)
{
    if (!csv)
        return;
    if (csv->file)
        gzclose(csv->file);
    mu_free(csv->cell);
    mu_free(csv->row);
    mu_free(csv->path);
    mu_free(csv);
}

/* A whole line into row, without its end. */
static mu_err read_line(mu_csv *csv, bool *more)
{
    size_t n = 0;
    for (;;) {
        MU_TRY(mu_grow(&csv->row, &csv->row_capacity, n + 4096, 1));
        if (!gzgets(csv->file, csv->row + n, 4096))
            break;
        n += strlen(csv->row + n);
        if (n > 0 && csv->row[n - 1] == '\n')
            break;
    }
    int code = Z_OK;
    const char *why = gzerror(csv->file, &code);
    if (code != Z_OK && code != Z_STREAM_END)
        return MU_FAIL(MU_ERR_FORMAT, "'%s' cannot be read after line %lld: %s", csv->path, (long long)csv->line,
                       code == Z_ERRNO ? strerror(errno) : why);
    *more = n > 0;
    while (n > 0 && (csv->row[n - 1] == '\n' || csv->row[n - 1] == '\r'))
        n--;
    csv->row[n] = '\0';
    if (csv->line == 0 && strncmp(csv->row, BYTE_ORDER_MARK, strlen(BYTE_ORDER_MARK)) == 0)
        memmove(csv->row, csv->row + strlen(BYTE_ORDER_MARK), n - strlen(BYTE_ORDER_MARK) + 1);
    csv->line += *more;
    return MU_OK;
}

static char *skip_blanks(char *s)
{
    return s + strspn(s, " \t");
}

/* Unquotes in place; *end is what follows the quote. */
static mu_err take_quoted(mu_csv *csv, char *s, char **end)
{
    char *to = s, *from = s + 1;
    for (; *from; from++) {
        if (*from == '"' && *++from != '"') {
            *to = '\0';
            *end = skip_blanks(from);
            return MU_OK;
        }
        *to++ = *from;
    }
    return MU_FAIL(MU_ERR_FORMAT, "%s:%lld: a quote is not closed", csv->path, (long long)csv->line);
}

static void take_plain(char *s, char **end)
{
    *end = s + strcspn(s, ",");
    char *last = *end;
    while (last > s && (last[-1] == ' ' || last[-1] == '\t'))
        last--;
    if (last < *end)
        *last = '\0';
}

static mu_err split(mu_csv *csv)
{
    csv->n_cells = 0;
    for (char *s = csv->row;;) {
        char *end;
        s = skip_blanks(s);
        MU_TRY(mu_grow(&csv->cell, &csv->cell_capacity, csv->n_cells + 1, sizeof *csv->cell));
        csv->cell[csv->n_cells++] = s;
        if (*s == '"')
            MU_TRY(take_quoted(csv, s, &end));
        else
            take_plain(s, &end);
        if (*end == '\0')
            return MU_OK;
        if (*end != ',')
            return MU_FAIL(MU_ERR_FORMAT, "%s:%lld: '%.20s' follows a closed quote", csv->path, (long long)csv->line, end);
        *end = '\0';
        s = end + 1;
    }
}

mu_err mu_csv_next(mu_csv *csv, bool *more)
{
    bool any = true;
    do {
        MU_TRY(read_line(csv, &any));
    } while (any && *skip_blanks(csv->row) == '\0');
    if (any)
        MU_TRY(split(csv));
    *more = any;
    return MU_OK;
}

mu_err mu_csv_rewind(mu_csv *csv)
{
    if (gzrewind(csv->file) != 0)
        return MU_FAIL(MU_ERR_IO, "'%s' cannot be read a second time", csv->path);
    csv->line = 0;
    return MU_OK;
}

int64_t mu_csv_line(const mu_csv *csv)
{
    return csv->line;
}

size_t mu_csv_n_cells(const mu_csv *csv)
{
    return csv->n_cells;
}

const char *mu_csv_cell(const mu_csv *csv, size_t i)
{
    return csv->cell[i];
}
