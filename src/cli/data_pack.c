#include "cli/data.h"
#include "cli/progress.h"

#include "core/mem.h"
#include "core/text.h"
#include "data/csv.h"
#include "data/h5_dataset.h"
#include "data/idx.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The options, and what packing makes of them. */
typedef struct {
    const char *out, *images, *labels, *csv, *label_column, *shape, *dtype;
    cli_list classes;
    mu_type sample;
    int64_t n, n_classes;
    mu_h5_writer *writer;
} pack;

enum { IMAGES, LABELS };

/* "1,28,28" */
static mu_err parse_shape(const char *text, mu_dtype dtype, mu_type *out)
{
    int64_t dim[MU_MAX_NDIM];
    int ndim = 0;
    const char *s = text;
    for (;; s++) {
        char *end;
        errno = 0;
        long long x = strtoll(s, &end, 10);
        if (end == s || errno || x < 1 || ndim == MU_MAX_NDIM - 1 || (*end != ',' && *end != '\0'))
            return MU_FAIL(MU_ERR_USAGE, "--shape '%s' is no list of sizes such as 1,28,28", text);
        dim[ndim++] = x;
        s = end;
        if (*s == '\0')
            return mu_type_init(out, dtype, ndim, dim);
    }
}

/* The shape of a sample of `count` elements: as asked, else `own`. */
static mu_err choose_shape(pack *p, const mu_type *own, const char *where)
{
    char wanted[MU_TYPE_TEXT];
    p->sample = *own;
    if (!p->shape)
        return MU_OK;
    MU_TRY(parse_shape(p->shape, own->dtype, &p->sample));
    if (mu_type_count(&p->sample) != mu_type_count(own))
        return MU_FAIL(MU_ERR_SHAPE, "--shape %s has %lld elements, a sample of '%s' has %lld",
                       mu_shape_format(&p->sample, wanted), (long long)mu_type_count(&p->sample), where,
                       (long long)mu_type_count(own));
    return MU_OK;
}

/* {"classes": [...]}: as named, else by their numbers. */
static mu_err write_meta(const pack *p, mu_text *meta)
{
    char number[24];
    mu_text_append(meta, "{\"classes\": [");
    for (int64_t i = 0; i < p->n_classes; i++) {
        const char *name = number;
        snprintf(number, sizeof number, "%lld", (long long)i);
        if (p->classes.n)
            name = p->classes.v[i];
        mu_text_append(meta, i ? ", " : "");
        mu_text_append_json(meta, name, strlen(name));
    }
    mu_text_append(meta, "]}");
    return mu_text_status(meta);
}

static mu_err open_writer(pack *p)
{
    mu_text meta = {0};
    mu_h5_field fields[] = {{.name = "images", .sample = p->sample}, {.name = "labels", .sample = MU_SCALAR(MU_I64)}};
    mu_err err = write_meta(p, &meta);
    err = err ? err : mu_h5_writer_new(p->out, fields, 2, p->n, meta.data, &p->writer);
    mu_text_release(&meta);
    return err;
}

static mu_err check_class(const pack *p, int64_t label, const char *where, int64_t at)
{
    if (label >= 0 && (p->classes.n == 0 || label < (int64_t)p->classes.n))
        return MU_OK;
    MU_FAIL(MU_ERR_FORMAT, "'%s': sample %lld has label %lld", where, (long long)at, (long long)label);
    return mu_error_hint("labels count from 0 to one less than the number of classes");
}

/* An array of labels, u8[n], to i64 in the file. */
static mu_err pack_idx_labels(pack *p, mu_idx *labels)
{
    uint8_t *label;
    MU_TRY(mu_alloc(&label, (size_t)p->n));
    mu_err err = mu_idx_read(labels, label, (size_t)p->n);
    err = err ? err : mu_idx_finish(labels);
    for (int64_t i = 0; !err && i < p->n; i++) {
        err = check_class(p, label[i], p->labels, i);
        p->n_classes = label[i] >= p->n_classes ? label[i] + 1 : p->n_classes;
    }
    p->n_classes = p->classes.n ? (int64_t)p->classes.n : p->n_classes;
    err = err ? err : open_writer(p);
    for (int64_t i = 0; !err && i < p->n; i++)
        err = mu_h5_writer_append(p->writer, LABELS, &(int64_t){label[i]}, sizeof(int64_t));
    mu_free(label);
    return err;
}

static mu_err pack_idx_images(pack *p, mu_idx *images)
{
    size_t bytes = mu_type_bytes(&p->sample);
    uint8_t *sample;
    MU_TRY(mu_alloc(&sample, bytes));
    mu_err err = MU_OK;
    for (int64_t i = 0; !err && i < p->n; i++) {
        err = mu_idx_read(images, sample, bytes);
        err = err ? err : mu_h5_writer_append(p->writer, IMAGES, sample, bytes);
        if (i % 1024 == 0 || i + 1 == p->n)
            cli_progress_update("images", i + 1, p->n, NULL);
    }
    mu_free(sample);
    return err ? err : mu_idx_finish(images);
}

static mu_err pack_idx_open(pack *p, mu_idx *images, mu_idx *labels)
{
    const mu_type *type = mu_idx_type(images), *label_type = mu_idx_type(labels);
    mu_type own;
    char text[MU_TYPE_TEXT];
    if (type->ndim < 2)
        return MU_FAIL(MU_ERR_SHAPE, "'%s' holds %s, not images", p->images, mu_type_format(type, text));
    if (label_type->ndim != 1 || label_type->dim[0] != type->dim[0]) {
        MU_FAIL(MU_ERR_SHAPE, "'%s' holds %s instead of a label for each of the %lld images", p->labels,
                mu_type_format(label_type, text), (long long)type->dim[0]);
        return mu_error_hint("do the two files belong together?");
    }
    p->n = type->dim[0];
    if (type->ndim == 3)
        MU_TRY(mu_type_init(&own, MU_U8, 3, (int64_t[]){1, type->dim[1], type->dim[2]}));
    else
        MU_TRY(mu_type_init(&own, MU_U8, type->ndim - 1, type->dim + 1));
    MU_TRY(choose_shape(p, &own, p->images));
    if (mu_type_count(&p->sample) == 0)
        return MU_FAIL(MU_ERR_SHAPE, "the images of '%s' are empty", p->images);
    MU_TRY(pack_idx_labels(p, labels));
    return pack_idx_images(p, images);
}

static mu_err pack_idx(pack *p)
{
    mu_idx *images, *labels;
    MU_TRY(mu_idx_open(p->images, &images));
    mu_err err = mu_idx_open(p->labels, &labels);
    if (!err) {
        err = pack_idx_open(p, images, labels);
        mu_idx_release(labels);
    }
    mu_idx_release(images);
    return err;
}

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
        if (p->sample.dtype == MU_F32) {
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

/* The first row is a header unless all of it is numbers, or names of classes. *column is that of the label. */
static mu_err csv_header(const pack *p, const mu_csv *csv, bool *header, size_t *column)
{
    double x;
    char *end;
    bool found = false;
    *header = false;
    for (size_t i = 0; i < mu_csv_n_cells(csv); i++) {
        bool known = parse_number(mu_csv_cell(csv, i), &x);
        for (size_t k = 0; k < p->classes.n && !known; k++)
            known = strcmp(p->classes.v[k], mu_csv_cell(csv, i)) == 0;
        *header = *header || !known;
    }
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
    return MU_OK;
}

typedef struct {
    bool header;
    size_t column, n_cells;
} csv_form;

/* Counts the rows and classes. */
static mu_err scan_csv(pack *p, mu_csv *csv, csv_form *form)
{
    bool more;
    MU_TRY(mu_csv_next(csv, &more));
    if (!more)
        return MU_FAIL(MU_ERR_FORMAT, "'%s' is empty", p->csv);
    MU_TRY(csv_header(p, csv, &form->header, &form->column));
    form->n_cells = mu_csv_n_cells(csv);
    if (form->header)
        MU_TRY(mu_csv_next(csv, &more));
    while (more) {
        int64_t label = 0;
        if (mu_csv_n_cells(csv) != form->n_cells)
            return MU_FAIL(MU_ERR_FORMAT, "%s:%lld: %zu columns instead of %zu", p->csv, (long long)mu_csv_line(csv),
                           mu_csv_n_cells(csv), form->n_cells);
        MU_TRY(csv_label(p, csv, form->column, &label));
        p->n_classes = label >= p->n_classes ? label + 1 : p->n_classes;
        p->n++;
        MU_TRY(mu_csv_next(csv, &more));
    }
    p->n_classes = p->classes.n ? (int64_t)p->classes.n : p->n_classes;
    return mu_csv_rewind(csv);
}

static mu_err pack_rows(pack *p, mu_csv *csv, const csv_form *form, void *sample)
{
    bool more;
    if (form->header)
        MU_TRY(mu_csv_next(csv, &more));
    for (int64_t i = 0; i < p->n; i++) {
        int64_t label = 0;
        MU_TRY(mu_csv_next(csv, &more));
        if (!more || mu_csv_n_cells(csv) != form->n_cells)
            return MU_FAIL(MU_ERR_IO, "'%s' changed while it was read", p->csv);
        MU_TRY(csv_label(p, csv, form->column, &label));
        MU_TRY(csv_values(p, csv, form->column, sample));
        MU_TRY(mu_h5_writer_append(p->writer, LABELS, &label, sizeof label));
        MU_TRY(mu_h5_writer_append(p->writer, IMAGES, sample, mu_type_bytes(&p->sample)));
        if (i % 1024 == 0 || i + 1 == p->n)
            cli_progress_update("rows", i + 1, p->n, NULL);
    }
    return MU_OK;
}

static mu_err pack_open_csv(pack *p, mu_csv *csv)
{
    csv_form form = {0};
    void *sample;
    MU_TRY(scan_csv(p, csv, &form));
    if (form.n_cells < 2)
        return MU_FAIL(MU_ERR_SHAPE, "'%s' has no column besides the label", p->csv);
    mu_type own = MU_TYPE(p->dtype && strcmp(p->dtype, "f32") == 0 ? MU_F32 : MU_U8, (int64_t)form.n_cells - 1);
    MU_TRY(choose_shape(p, &own, p->csv));
    MU_TRY(open_writer(p));
    MU_TRY(mu_alloc(&sample, mu_type_bytes(&p->sample)));
    mu_err err = pack_rows(p, csv, &form, sample);
    mu_free(sample);
    return err;
}

static mu_err pack_csv(pack *p)
{
    mu_csv *csv;
    MU_TRY(mu_csv_open(p->csv, &csv));
    mu_err err = pack_open_csv(p, csv);
    mu_csv_release(csv);
    return err;
}

static int check_use(const cli_command *command, const pack *p)
{
    if (!p->csv == !p->images)
        return cli_misuse(command->name, "what is packed? --images and --labels, or --csv");
    if (!p->images != !p->labels)
        return cli_misuse(command->name, "--images and --labels go together");
    if (p->images && (p->label_column || p->dtype))
        return cli_misuse(command->name, "--label-column and --dtype go with --csv");
    if (p->dtype && strcmp(p->dtype, "u8") != 0 && strcmp(p->dtype, "f32") != 0)
        return cli_misuse(command->name, "--dtype is u8 or f32, not '%s'", p->dtype);
    return CLI_GO;
}

static int run(const cli_command *command, int argc, char **argv)
{
    pack p = {0};
    const cli_option options[] = {
        {.name = "images", .value = "FILE", .text = &p.images, .help = "IDX file of images (MNIST and its family), or of it by gzip"},
        {.name = "labels", .value = "FILE", .text = &p.labels, .help = "IDX file of their labels"},
        {.name = "csv", .value = "FILE", .text = &p.csv, .help = "instead: CSV file, a sample a line, or of it by gzip"},
        {.name = "label-column", .value = "NAME|N", .text = &p.label_column,
         .help = "CSV: the column of the label, by name or from 0 (default: 'label', without names 0)"},
        {.name = "dtype", .value = "u8|f32", .text = &p.dtype, .help = "CSV: type of the values (default: u8)"},
        {.name = "shape", .value = "C,H,W", .text = &p.shape,
         .help = "shape of a sample (default: 1,H,W of IDX images; one row of the CSV file)"},
        {.name = "classes", .value = "NAME", .list = &p.classes, .help = "names of the classes (default: their numbers)"},
        {.name = NULL},
    };
    int n, status = cli_parse(command, options, argc, argv, 1, 1, &p.out, &n);
    status = status == CLI_GO ? check_use(command, &p) : status;
    if (status == CLI_GO) {
        mu_err err = p.csv ? pack_csv(&p) : pack_idx(&p);
        err = err ? err : mu_h5_writer_finish(p.writer);
        mu_h5_writer_release(p.writer);
        cli_progress_end();
        status = err ? cli_fail(err) : 0;
    }
    cli_list_release(&p.classes);
    return status;
}

const cli_command cli_data_pack = {
    .name = "data pack",
    .operands = "OUT.h5",
    .summary = "Make a dataset file of IDX or CSV files",
    .details = "OUT.h5 gets the fields images and labels. It is replaced once the new one is whole and on disk.\n"
               "A CSV file's other columns are the values, in their order; a first line of names is known by itself.",
    .run = run,
};
