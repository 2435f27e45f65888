/* `muster data pack` of image folders: DIR/CLASS/.../NAME.jpg, or the files that a list names. */
#include "config.h"

#include "cli/data_pack.h"
#include "cli/progress.h"

#include "core/log.h"
#include "core/mem.h"
#include "core/text.h"
#include "data/resample.h"
#include "io/file.h"
#include "io/image.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_DEPTH = 32, NOT_READABLE = -1 };

typedef struct {
    const char *path; /* below the folder */
    int64_t label;
} entry;

typedef struct {
    pack *p;
    char *blob; /* all names and paths */
    size_t blob_size;
    entry *entry;
    int64_t n, n_read;   /* entries; those that can be read */
    int64_t *size, *dim; /* [n] bytes, or NOT_READABLE; height, width and channels in one number */
    char *file;          /* bytes of one file */
    size_t file_capacity;
    uint8_t *pixels;
    size_t pixel_capacity;
    mu_sample resized;
} folder;

/* ---- finding the files: rank 0 ---- */

typedef struct {
    char **name;
    size_t n, capacity;
} names;

static void names_release(names *list)
{
    for (size_t i = 0; i < list->n; i++)
        mu_free(list->name[i]);
    mu_free(list->name);
}

static mu_err names_add(names *list, const char *name)
{
    MU_TRY(mu_grow(&list->name, &list->capacity, list->n + 1, sizeof *list->name));
    MU_TRY(mu_strdup(&list->name[list->n], name));
    list->n++;
    return MU_OK;
}

static bool is_image(const char *name)
{
    static const char *const suffixes[] = {".jpg", ".jpeg", ".png"};
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && i < sizeof suffixes / sizeof suffixes[0]; i++)
        if (strcasecmp(dot, suffixes[i]) == 0)
            return true;
    return false;
}

/* Folders first by their paths, then files by their names, by bytes: the order of torchvision's ImageFolder. */
static int by_folder(const void *a, const void *b)
{
    const char *x = *(char *const *)a, *y = *(char *const *)b;
    size_t n = (size_t)(strrchr(x, '/') - x), m = (size_t)(strrchr(y, '/') - y);
    int order = memcmp(x, y, n < m ? n : m);
    return order ? order : n != m ? (n > m) - (n < m) : strcmp(x + n, y + m);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static mu_err list_folder(const char *root, const char *below, int depth, names *folders, names *files);

/* One name in a folder: kept, or walked into where `folders` is NULL. */
static mu_err list_one(const char *root, const char *path, int depth, names *folders, names *files)
{
    struct stat info;
    char *full;
    MU_TRY(mu_asprintf(&full, "%s/%s", root, path));
    bool there = stat(full, &info) == 0;
    mu_free(full);
    if (!there)
        return MU_FAIL(MU_ERR_IO, "'%s/%s' cannot be read: %s", root, path, strerror(errno));
    if (S_ISDIR(info.st_mode))
        return folders ? names_add(folders, path) : list_folder(root, path, depth + 1, NULL, files);
    return files && S_ISREG(info.st_mode) && is_image(path) ? names_add(files, path) : MU_OK;
}

static mu_err list_entries(DIR *dir, const char *root, const char *below, int depth, names *folders, names *files)
{
    for (const struct dirent *e; (e = readdir(dir)) != NULL;) {
        char *path;
        if (e->d_name[0] == '.')
            continue;
        MU_TRY(mu_asprintf(&path, "%s%s%s", below, below[0] ? "/" : "", e->d_name));
        mu_err err = list_one(root, path, depth, folders, files);
        mu_free(path);
        MU_TRY(err);
    }
    return MU_OK;
}

static mu_err list_folder(const char *root, const char *below, int depth, names *folders, names *files)
{
    char *full;
    if (depth > MAX_DEPTH)
        return MU_FAIL(MU_ERR_IO, "'%s/%s' lies more than %d folders deep: is there a circle of links?", root, below, MAX_DEPTH);
    MU_TRY(mu_asprintf(&full, "%s/%s", root, below));
    DIR *dir = opendir(full);
    mu_err err = dir ? MU_OK : MU_FAIL(MU_ERR_IO, "the folder '%s' cannot be read: %s", full, strerror(errno));
    mu_free(full);
    MU_TRY(err);
    err = list_entries(dir, root, below, depth, folders, files);
    closedir(dir);
    return err;
}

/* Lines of the blob end in NUL: "name" of each class, an empty one, then "label path" of each file. */
static void put_file(const pack *p, mu_text *blob, int64_t label, const char *path, int64_t *seen)
{
    if (!pack_takes(p, (*seen)++))
        return;
    mu_text_printf(blob, "%lld %s", (long long)label, path);
    mu_text_append_n(blob, "", 1);
}

static mu_err put_class(const pack *p, mu_text *blob, int64_t label, const char *class, int64_t *seen)
{
    names files = {0};
    mu_err err = list_folder(p->folder, class, 1, NULL, &files);
    if (!err && files.n == 0) {
        MU_FAIL(MU_ERR_FORMAT, "the class '%s/%s' has no images (.jpg, .jpeg, .png)", p->folder, class);
        err = mu_error_hint("each folder in %s is a class; take out what is none", p->folder);
    }
    if (!err)
        qsort(files.name, files.n, sizeof *files.name, by_folder);
    for (size_t i = 0; !err && i < files.n; i++)
        put_file(p, blob, label, files.name[i], seen);
    names_release(&files);
    return err;
}

static mu_err find_classes(const pack *p, mu_text *blob)
{
    names classes = {0};
    int64_t seen = 0;
    mu_err err = list_folder(p->folder, "", 0, &classes, NULL);
    if (!err && classes.n == 0) {
        MU_FAIL(MU_ERR_FORMAT, "'%s' holds no folders of classes", p->folder);
        err = mu_error_hint("images lie in DIR/CLASS/, or --list tells the label of each");
    }
    if (!err)
        qsort(classes.name, classes.n, sizeof *classes.name, by_name);
    for (size_t i = 0; !err && i < classes.n; i++)
        mu_text_append_n(blob, classes.name[i], strlen(classes.name[i]) + 1);
    mu_text_append_n(blob, "", 1);
    for (size_t i = 0; !err && i < classes.n; i++)
        err = put_class(p, blob, (int64_t)i, classes.name[i], &seen);
    names_release(&classes);
    return err ? err : mu_text_status(blob);
}

/* "path label": the label is what follows the last blank. */
static mu_err put_line(const pack *p, mu_text *files, char *line, int64_t number, int64_t *seen, int64_t *n_classes)
{
    size_t n = strlen(line);
    while (n > 0 && strchr(" \t\r\n", line[n - 1]))
        line[--n] = '\0';
    if (n == 0)
        return MU_OK;
    char *blank = strrchr(line, ' '), *tab = strrchr(line, '\t'), *end;
    blank = !blank || (tab && tab > blank) ? tab : blank;
    errno = 0;
    long long label = blank ? strtoll(blank + 1, &end, 10) : -1;
    bool fits = blank && end != blank + 1 && *end == '\0' && !errno && label >= 0 && label < 1 << 20;
    if (!fits || (p->classes.n && label >= (long long)p->classes.n)) {
        MU_FAIL(MU_ERR_FORMAT, "%s:%lld: '%.60s' is no path and label", p->list, (long long)number, line);
        return mu_error_hint("a line is a path below %s, a blank, and the number of a class from 0", p->folder);
    }
    while (blank > line && (blank[-1] == ' ' || blank[-1] == '\t'))
        blank--;
    *blank = '\0';
    *n_classes = label >= *n_classes ? label + 1 : *n_classes;
    put_file(p, files, label, line, seen);
    return MU_OK;
}

static mu_err read_list(const pack *p, mu_text *blob)
{
    char line[8192];
    int64_t seen = 0, number = 0, n_classes = 0;
    mu_text files = {0};
    FILE *file = fopen(p->list, "r");
    if (!file)
        return MU_FAIL(MU_ERR_IO, "'%s' cannot be opened: %s", p->list, strerror(errno));
    mu_err err = MU_OK;
    while (!err && fgets(line, sizeof line, file)) {
        number++;
        err = strchr(line, '\n') || feof(file) ? put_line(p, &files, line, number, &seen, &n_classes)
                                               : MU_FAIL(MU_ERR_FORMAT, "%s:%lld: the line is too long", p->list, (long long)number);
    }
    if (!err && ferror(file))
        err = MU_FAIL(MU_ERR_IO, "'%s' cannot be read", p->list);
    fclose(file);
    for (int64_t i = 0; !err && !p->classes.n && i < n_classes; i++) {
        mu_text_printf(blob, "%lld", (long long)i);
        mu_text_append_n(blob, "", 1);
    }
    mu_text_append_n(blob, "", 1);
    if (files.length)
        mu_text_append_n(blob, files.data, files.length);
    err = err ? err : mu_text_status(&files);
    mu_text_release(&files);
    return err ? err : mu_text_status(blob);
}

/* ---- what all ranks know ---- */

static mu_err read_classes(pack *p, const char **at)
{
    const bool named = p->classes.n > 0;
    int64_t found = 0;
    for (; **at; *at += strlen(*at) + 1) {
        found++;
        if (named)
            continue;
        MU_TRY(mu_grow(&p->classes.v, &p->classes.capacity, p->classes.n + 1, sizeof *p->classes.v));
        p->classes.v[p->classes.n++] = *at;
    }
    (*at)++;
    if (named && found && (int64_t)p->classes.n != found)
        return MU_FAIL(MU_ERR_USAGE, "--classes names %zu classes, '%s' holds %lld", p->classes.n, p->folder, (long long)found);
    p->n_classes = (int64_t)p->classes.n;
    return MU_OK;
}

static mu_err read_blob(folder *f)
{
    const char *at = f->blob, *end = f->blob + f->blob_size;
    size_t capacity = 0;
    MU_TRY(read_classes(f->p, &at));
    for (; at < end; at += strlen(at) + 1) {
        char *path;
        MU_TRY(mu_grow(&f->entry, &capacity, (size_t)f->n + 1, sizeof *f->entry));
        int64_t label = strtoll(at, &path, 10);
        f->entry[f->n++] = (entry){.path = path + 1, .label = label};
    }
    MU_TRY(mu_calloc(&f->size, (size_t)f->n, sizeof *f->size));
    return mu_calloc(&f->dim, (size_t)f->n, sizeof *f->dim);
}

/* ---- the files ---- */

static mu_err read_open(folder *f, int fd, const char *path, size_t *size)
{
    struct stat info;
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode))
        return MU_FAIL(MU_ERR_IO, "'%s' is not a regular file", path);
    *size = (size_t)info.st_size;
    MU_TRY(mu_grow(&f->file, &f->file_capacity, *size, 1));
    return mu_pread(fd, f->file, *size, 0, path);
}

static mu_err read_file(folder *f, const char *below, size_t *size)
{
    char *path;
    MU_TRY(mu_asprintf(&path, "%s/%s", f->p->folder, below));
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    mu_err err = fd >= 0 ? read_open(f, fd, path, size) : MU_FAIL(MU_ERR_IO, "'%s' cannot be opened: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    mu_free(path);
    return err;
}

static mu_err decode(folder *f, const char *name, size_t size, int channels, mu_image_info *info)
{
    mu_type type;
    MU_TRY(mu_image_probe(f->file, size, name, info));
    channels = channels ? channels : info->channels;
    MU_TRY(mu_type_init(&type, MU_U8, 3, (int64_t[]){channels, info->height, info->width}));
    MU_TRY(mu_grow(&f->pixels, &f->pixel_capacity, mu_type_bytes(&type), 1));
    return mu_image_decode(f->file, size, name, info, (mu_image_channels)channels, f->pixels);
}

/* Reads and decodes a file, to find out what cannot be. */
static mu_err check_file(folder *f, int64_t i)
{
    size_t size = 0;
    mu_image_info info;
    MU_TRY(read_file(f, f->entry[i].path, &size));
    mu_err err = decode(f, f->entry[i].path, size, 0, &info);
    if (err == MU_ERR_FORMAT && f->p->skip_corrupt) {
        MU_WARN("data", "left out: %s", mu_error_last()->message);
        f->size[i] = NOT_READABLE;
        return MU_OK;
    }
    if (err == MU_ERR_FORMAT)
        return mu_error_hint("--on-corrupt skip leaves such images out");
    MU_TRY(err);
    f->size[i] = (int64_t)size;
    f->dim[i] = (int64_t)info.height << 34 | (int64_t)info.width << 4 | info.channels;
    return MU_OK;
}

static mu_err check_share(folder *f)
{
    int64_t rank = f->p->comm->rank, ranks = f->p->comm->size, first = f->n * rank / ranks, end = f->n * (rank + 1) / ranks;
    for (int64_t i = first; i < end; i++) {
        MU_TRY(check_file(f, i));
        if (rank == 0)
            cli_progress_update("checking", i + 1, end, NULL);
    }
    return MU_OK;
}

/* Takes out the entries that cannot be read. */
static void compact(folder *f)
{
    int64_t to = 0;
    for (int64_t i = 0; i < f->n; i++) {
        if (f->size[i] == NOT_READABLE)
            continue;
        f->entry[to] = f->entry[i];
        f->size[to] = f->size[i];
        f->dim[to++] = f->dim[i];
    }
    f->n_read = to;
    if (to < f->n && mu_comm_is_main(f->p->comm))
        MU_WARN("data", "%lld of %lld images are corrupt and left out", (long long)(f->n - to), (long long)f->n);
}

/* With --decode alone all images are of one size; those in grey become RGB beside others in RGB. */
static mu_err choose_type(folder *f, mu_h5_field *field)
{
    int64_t channels = 0;
    for (int64_t i = 0; i < f->n_read; i++) {
        field->bytes += f->size[i];
        channels = (f->dim[i] & 15) > channels ? f->dim[i] & 15 : channels;
        if (f->p->decode && !f->p->width && f->dim[i] >> 4 != f->dim[0] >> 4) {
            MU_FAIL(MU_ERR_SHAPE, "'%s' has %lldx%lld pixels (WxH), '%s' has %lldx%lld", f->entry[0].path,
                    (long long)(f->dim[0] >> 4 & ((1 << 30) - 1)), (long long)(f->dim[0] >> 34), f->entry[i].path,
                    (long long)(f->dim[i] >> 4 & ((1 << 30) - 1)), (long long)(f->dim[i] >> 34));
            return mu_error_hint("--decode is for images of one size: --size WxH makes them so; without both they are kept as they are");
        }
    }
    field->variable = !f->p->decode;
    field->sample = MU_SCALAR(MU_U8);
    if (field->variable || f->n_read == 0)
        return MU_OK;
    field->bytes = 0;
    int64_t height = f->p->width ? f->p->height : f->dim[0] >> 34;
    int64_t width = f->p->width ? f->p->width : f->dim[0] >> 4 & ((1 << 30) - 1);
    return mu_type_init(&field->sample, MU_U8, 3, (int64_t[]){channels, height, width});
}

/* Collective. */
static mu_err scan_all(folder *f)
{
    pack *p = f->p;
    mu_text blob = {0};
    mu_err err = MU_OK;
    if (mu_comm_is_main(p->comm))
        err = p->list ? read_list(p, &blob) : find_classes(p, &blob);
    f->blob_size = blob.length;
    f->blob = blob.data;
    MU_TRY(mu_comm_agree(p->comm, err));
    void *bytes = f->blob;
    MU_TRY(mu_comm_broadcast_blob(p->comm, &bytes, &f->blob_size, 0));
    f->blob = bytes;
    MU_TRY(mu_comm_agree(p->comm, read_blob(f)));
    MU_TRY(mu_comm_agree(p->comm, check_share(f)));
    MU_TRY(mu_comm_all_reduce(p->comm, f->size, f->n, MU_I64, MU_COMM_SUM));
    MU_TRY(mu_comm_all_reduce(p->comm, f->dim, f->n, MU_I64, MU_COMM_SUM));
    compact(f);
    p->n = f->n_read;
    return choose_type(f, &p->field[PACK_IMAGES]);
}

static mu_err scan(pack *p, void **state)
{
    folder *f = NULL;
    MU_TRY(mu_comm_agree(p->comm, mu_calloc(&f, 1, sizeof *f)));
    f->p = p;
    *state = f;
    return scan_all(f);
}

/* Borders between the ranks' samples, by bytes. */
static mu_err begin_share(folder *f)
{
    pack *p = f->p;
    int64_t total = p->field[PACK_IMAGES].bytes, ranks = p->comm->size, at = 0, first_at = 0;
    /* By __int128, as bytes times ranks may not fit. */
    int64_t from = (int64_t)((__int128)total * p->comm->rank / ranks), to = (int64_t)((__int128)total * (p->comm->rank + 1) / ranks);
    p->first = p->end = p->n;
    for (int64_t i = 0; i < p->n; at += f->size[i++]) {
        if (at >= from && p->first == p->n) {
            p->first = i;
            first_at = at;
        }
        if (at >= to && p->end == p->n)
            p->end = i;
    }
    if (p->first == p->n)
        first_at = total;
    if (p->comm->rank == ranks - 1)
        p->end = p->n;
    MU_TRY(mu_h5_writer_begin_at(p->writer, PACK_LABELS, p->first, p->first * (int64_t)sizeof(int64_t)));
    return mu_h5_writer_begin_at(p->writer, PACK_IMAGES, p->first, first_at);
}

/* Means of areas where it shrinks both ways, else bilinear. */
static mu_err append_resized(folder *f, int64_t i, int64_t channels, const mu_image_info *info)
{
    const pack *p = f->p;
    const mu_pixels view = {.dtype = MU_U8, .channels = channels, .height = info->height, .width = info->width,
                            .row = info->width, .plane = (int64_t)info->height * info->width, .data = f->pixels};
    mu_interpolation how = p->height <= info->height && p->width <= info->width ? MU_AREA : MU_BILINEAR;
    const mu_tensor *image;
    mu_sample_begin(&f->resized, i, 0, 0);
    MU_TRY(mu_pixels_resize(&f->resized, &view, p->height, p->width, how));
    MU_TRY(mu_sample_image(&f->resized, "pack", &image));
    return pack_append(f->p, f->entry[i].label, image->data);
}

static mu_err write_file(folder *f, int64_t i)
{
    pack *p = f->p;
    const mu_type *type = &p->field[PACK_IMAGES].sample;
    mu_image_info info;
    size_t size = 0;
    MU_TRY(read_file(f, f->entry[i].path, &size));
    if ((int64_t)size != f->size[i])
        return MU_FAIL(MU_ERR_IO, "'%s/%s' changed while it was packed", p->folder, f->entry[i].path);
    if (p->decode) {
        MU_TRY(decode(f, f->entry[i].path, size, (int)type->dim[0], &info));
        return p->width ? append_resized(f, i, type->dim[0], &info) : pack_append(p, f->entry[i].label, f->pixels);
    }
    MU_TRY(mu_h5_writer_append(p->writer, PACK_LABELS, &f->entry[i].label, sizeof(int64_t)));
    return mu_h5_writer_append(p->writer, PACK_IMAGES, f->file, size);
}

static mu_err write_files(pack *p, void *state)
{
    folder *f = state;
    if (!p->decode)
        MU_TRY(begin_share(f));
    for (int64_t i = p->first; i < p->end; i++) {
        MU_TRY(write_file(f, i));
        if (mu_comm_is_main(p->comm))
            cli_progress_update("packing", i + 1 - p->first, p->end - p->first, NULL);
    }
    return MU_OK;
}

static void close_folder(void *state)
{
    folder *f = state;
    if (!f)
        return;
    mu_sample_release(&f->resized);
    mu_free(f->blob);
    mu_free(f->entry);
    mu_free(f->size);
    mu_free(f->dim);
    mu_free(f->file);
    mu_free(f->pixels);
    mu_free(f);
}

const pack_source pack_folder = {.scan = scan, .write = write_files, .close = close_folder};
