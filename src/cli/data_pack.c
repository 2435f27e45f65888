#include "cli/data_pack.h"

#include "cli/data.h"
#include "cli/progress.h"

#include "core/mem.h"
#include "core/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_SIDE = 65535 }; /* pixels */

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

mu_err pack_set_images(pack *p, const mu_type *own, const char *where)
{
    char wanted[MU_TYPE_TEXT];
    mu_type *sample = &p->field[PACK_IMAGES].sample;
    *sample = *own;
    if (!p->shape)
        return MU_OK;
    MU_TRY(parse_shape(p->shape, own->dtype, sample));
    if (mu_type_count(sample) != mu_type_count(own))
        return MU_FAIL(MU_ERR_SHAPE, "--shape %s has %lld elements, a sample of '%s' has %lld", mu_shape_format(sample, wanted),
                       (long long)mu_type_count(sample), where, (long long)mu_type_count(own));
    return MU_OK;
}

/* "0::5": a part that is left out is the whole. Returns where it ends, or NULL. */
static const char *parse_range(const char *s, pack_range *out)
{
    int64_t part[3] = {0, INT64_MAX, 1};
    for (int i = 0; i < 3; i++) {
        char *end;
        if (*s >= '0' && *s <= '9') {
            errno = 0;
            part[i] = strtoll(s, &end, 10);
            s = end;
            if (errno)
                return NULL;
        }
        if (*s == '\0' || *s == ',') {
            *out = (pack_range){part[0], part[1], part[2]};
            return i > 0 && part[2] > 0 ? s : NULL;
        }
        if (*s++ != ':')
            return NULL;
    }
    return NULL;
}

/* "0::5,1::10" */
static bool parse_ranges(const char *s, pack *p)
{
    for (p->n_ranges = 0; p->n_ranges < PACK_RANGES; s++) {
        s = parse_range(s, &p->range[p->n_ranges++]);
        if (!s || *s == '\0')
            return s != NULL;
    }
    return false;
}

/* "64x48" */
static bool parse_size(const char *s, pack *p)
{
    char *end;
    long long width = strtoll(s, &end, 10), height = *s >= '1' && *s <= '9' && *end == 'x' ? strtoll(end + 1, &end, 10) : 0;
    p->width = width;
    p->height = height;
    return *end == '\0' && width >= 1 && height >= 1 && width <= MAX_SIDE && height <= MAX_SIDE;
}

bool pack_takes(const pack *p, int64_t i)
{
    bool inside = false;
    for (int r = 0; r < p->n_ranges && !inside; r++)
        inside = i >= p->range[r].start && i < p->range[r].stop && (i - p->range[r].start) % p->range[r].step == 0;
    return p->n_ranges == 0 || inside == !p->skip;
}

int64_t pack_count(const pack *p, int64_t n)
{
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++)
        count += pack_takes(p, i);
    return count;
}

mu_err pack_append(pack *p, int64_t label, const void *image)
{
    MU_TRY(mu_h5_writer_append(p->writer, PACK_LABELS, &label, sizeof label));
    return mu_h5_writer_append(p->writer, PACK_IMAGES, image, mu_type_bytes(&p->field[PACK_IMAGES].sample));
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

/* Collective. The ranks share out samples of one size evenly; a source of others moves the borders. */
static mu_err open_writer(pack *p)
{
    mu_text meta = {0};
    p->field[PACK_LABELS] = (mu_h5_field){.name = "labels", .sample = MU_SCALAR(MU_I64)};
    mu_err err = mu_comm_agree(p->comm, write_meta(p, &meta));
    err = err ? err : mu_h5_writer_new_shared(p->comm, p->out, p->field, PACK_FIELDS, p->n, meta.data, &p->writer);
    mu_text_release(&meta);
    MU_TRY(err);
    if (p->field[PACK_IMAGES].variable)
        return MU_OK;
    int64_t size = p->comm->size, rank = p->comm->rank, share = p->n / size, rest = p->n % size;
    p->first = rank * share + (rank < rest ? rank : rest);
    p->end = p->first + share + (rank < rest);
    return MU_OK;
}

static mu_err begin_share(pack *p)
{
    if (p->field[PACK_IMAGES].variable)
        return MU_OK;
    MU_TRY(mu_h5_writer_begin_at(p->writer, PACK_LABELS, p->first, p->first * (int64_t)sizeof(int64_t)));
    return mu_h5_writer_begin_at(p->writer, PACK_IMAGES, p->first,
                                 p->first * (int64_t)mu_type_bytes(&p->field[PACK_IMAGES].sample));
}

/* Collective. */
static mu_err pack_all(pack *p)
{
    void *state = NULL;
    p->field[PACK_IMAGES].name = "images";
    mu_err err = p->source->scan(p, &state);
    if (!err && p->n == 0) {
        MU_FAIL(MU_ERR_FORMAT, "there is nothing to pack");
        err = p->n_ranges ? mu_error_hint("--select or --skip leaves no sample") : MU_ERR_FORMAT;
    }
    err = err ? err : open_writer(p);
    if (!err) {
        err = begin_share(p);
        err = err ? err : p->source->write(p, state);
        err = mu_h5_writer_finish_shared(p->writer, err);
    }
    mu_h5_writer_release(p->writer);
    p->source->close(state);
    cli_progress_end();
    return err;
}

static int check_use(const cli_command *command, pack *p, const char *on_corrupt, const char *size)
{
    int sources = !!p->csv + !!p->images + !!p->folder;
    const char *range = p->select ? p->select : p->skip;
    if (sources != 1)
        return cli_misuse(command->name, "what is packed? --images and --labels, or --csv, or --folder");
    if (!p->images != !p->labels)
        return cli_misuse(command->name, "--images and --labels go together");
    if (!p->csv && (p->label_column || p->dtype))
        return cli_misuse(command->name, "--label-column and --dtype go with --csv");
    if (p->dtype && strcmp(p->dtype, "u8") != 0 && strcmp(p->dtype, "f32") != 0)
        return cli_misuse(command->name, "--dtype is u8 or f32, not '%s'", p->dtype);
    if (!p->folder && (p->list || p->decode || on_corrupt || size))
        return cli_misuse(command->name, "--list, --decode, --size and --on-corrupt go with --folder");
    if (size && !parse_size(size, p))
        return cli_misuse(command->name, "--size takes width and height as in 64x48, not '%s'", size);
    p->decode = p->decode || size;
    if (p->folder && p->shape)
        return cli_misuse(command->name, "--shape does not go with --folder");
    if (on_corrupt && strcmp(on_corrupt, "error") != 0 && strcmp(on_corrupt, "skip") != 0)
        return cli_misuse(command->name, "--on-corrupt is error or skip, not '%s'", on_corrupt);
    p->skip_corrupt = on_corrupt && strcmp(on_corrupt, "skip") == 0;
    if (p->select && p->skip)
        return cli_misuse(command->name, "--select and --skip exclude each other");
    if (range && !parse_ranges(range, p))
        return cli_misuse(command->name, "'%s' is no list of ranges such as 0:1000, 5: or 0::5,1::5", range);
    p->source = p->csv ? &pack_csv : p->folder ? &pack_folder : &pack_idx;
    return CLI_GO;
}

static int run(const cli_command *command, int argc, char **argv)
{
    pack p = {0};
    const char *on_corrupt = NULL, *size = NULL;
    const cli_option options[] = {
        {.name = "images", .value = "FILE", .text = &p.images, .help = "IDX file of images (MNIST and its family), or of it by gzip"},
        {.name = "labels", .value = "FILE", .text = &p.labels, .help = "IDX file of their labels"},
        {.name = "csv", .value = "FILE", .text = &p.csv, .help = "instead: CSV file, a sample a line, or of it by gzip"},
        {.name = "label-column", .value = "NAME|N", .text = &p.label_column,
         .help = "CSV: the column of the label, by name or from 0 (default: 'label', without names 0)"},
        {.name = "dtype", .value = "u8|f32", .text = &p.dtype, .help = "CSV: type of the values (default: u8)"},
        {.name = "shape", .value = "C,H,W", .text = &p.shape,
         .help = "shape of a sample (default: 1,H,W of IDX images; one row of the CSV file)"},
        {.name = "folder", .value = "DIR", .text = &p.folder,
         .help = "instead: images (.jpg, .jpeg, .png) in DIR/CLASS/, at any depth below it"},
        {.name = "list", .value = "FILE", .text = &p.list, .help = "folder: only the images that it names, 'path label' a line"},
        {.name = "decode", .flag = &p.decode, .help = "folder: store pixels, of images of one size (default: the files' bytes)"},
        {.name = "size", .value = "WxH", .text = &size,
         .help = "folder: store pixels, of images brought to this size (means of areas to shrink, else bilinear)"},
        {.name = "on-corrupt", .value = "error|skip", .text = &on_corrupt,
         .help = "folder: end at an image that cannot be decoded, or leave it out (default: error)"},
        {.name = "classes", .value = "NAME", .list = &p.classes, .help = "names of the classes (default: their folders or numbers)"},
        {.name = "select", .value = "RANGES", .text = &p.select,
         .help = "only these samples: START:STOP:STEP,... from 0, as 0:1000, or 0::5 for every fifth"},
        {.name = "skip", .value = "RANGES", .text = &p.skip, .help = "all samples but these"},
        {.name = NULL},
    };
    int n, status = cli_parse(command, options, argc, argv, 1, 1, &p.out, &n);
    status = status == CLI_GO ? check_use(command, &p, on_corrupt, size) : status;
    if (status == CLI_GO) {
        mu_err err = cli_comm(&p.comm);
        err = err ? err : pack_all(&p);
        status = cli_end(p.comm, err, true);
    }
    cli_list_release(&p.classes);
    return status;
}

const cli_command cli_data_pack = {
    .name = "data pack",
    .operands = "OUT.h5",
    .summary = "Make a dataset file of IDX files, a CSV file or folders of images",
    .details = "OUT.h5 gets the fields images and labels. It is replaced once the new one is whole and on disk.\n"
               "A CSV file's other columns are the values, in their order; a first line of names is known by itself.\n"
               "Classes of folders are numbered in the order of their names. Every image is decoded once, to find corrupt ones.\n"
               "Under mpirun the ranks share the work out; the file is the same.",
    .run = run,
};
