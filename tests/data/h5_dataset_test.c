#include "data/h5_dataset.h"
#include "io/hdf5.h"

#include "test.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { N = 40, H = 5, W = 3, SIDE = H * W, NOTES = 202 };

/* HDF5 1.10 loses memory of its own when metadata are damaged. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libhdf5";
}

static char folder[64], path[96], other[96];
static const char meta[] = "{\"classes\": [\"cat\", \"dog\", \"k\\u00e4fer {{ x }}\"], \"source\": \"made up\"}";

static void setup(void)
{
    snprintf(folder, sizeof folder, "/tmp/muster-data-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/set.h5", folder);
    snprintf(other, sizeof other, "%s/other.h5", folder);
}

static void teardown(void)
{
    chmod(folder, 0700);
    unlink(path);
    unlink(other);
    ck_assert_int_eq(rmdir(folder), 0); /* no temporary file is left */
}

/* Sample i: pixels, a label, a vector, a text of (i * 7) % 11 bytes. */
static void fill_image(uint8_t *image, int i)
{
    for (int k = 0; k < SIDE; k++)
        image[k] = (uint8_t)(i * 31 + k * 7);
}

static size_t fill_text(char *text, int i)
{
    size_t n = (size_t)(i * 7 % 11);
    memset(text, 'a' + i % 26, n);
    return n;
}

static const mu_h5_field fields[] = {
    {.name = "images", .sample = {.dtype = MU_U8, .ndim = 3, .dim = {1, H, W}}},
    {.name = "labels", .sample = {.dtype = MU_I64}},
    {.name = "notes", .sample = {.dtype = MU_U8}, .variable = true, .bytes = NOTES},
    {.name = "vectors", .sample = {.dtype = MU_F32, .ndim = 1, .dim = {2}}},
};

static mu_err fill(mu_h5_writer *w)
{
    uint8_t image[SIDE];
    char text[16];
    for (int i = 0; i < N; i++) {
        fill_image(image, i);
        MU_TRY(mu_h5_writer_append(w, 0, image, sizeof image));
        MU_TRY(mu_h5_writer_append(w, 1, &(int64_t){i % 3}, sizeof(int64_t)));
        MU_TRY(mu_h5_writer_append(w, 2, text, fill_text(text, i)));
    }
    for (int i = 0; i < N; i += 4) { /* several at once */
        float v[8];
        for (int k = 0; k < 8; k++)
            v[k] = (float)(i * 2 + k) / 4;
        MU_TRY(mu_h5_writer_append(w, 3, v, sizeof v));
    }
    return mu_h5_writer_finish(w);
}

static mu_err write_set(const char *to)
{
    mu_h5_writer *w;
    MU_TRY(mu_h5_writer_new(to, fields, 4, N, meta, &w));
    mu_err err = fill(w);
    mu_h5_writer_release(w);
    return err;
}

static void check_sample(const mu_h5_dataset *d, int i)
{
    uint8_t image[SIDE], wanted[SIDE];
    char text[16], wanted_text[16];
    int64_t label;
    float v[2];
    size_t n;
    fill_image(wanted, i);
    ck_ok(mu_h5_dataset_read(d, 0, i, image, sizeof image));
    ck_assert_mem_eq(image, wanted, sizeof image);
    ck_ok(mu_h5_dataset_read(d, 1, i, &label, sizeof label));
    ck_assert_int_eq(label, i % 3);
    ck_ok(mu_h5_dataset_sample_bytes(d, 2, i, &n));
    ck_assert_uint_eq(n, fill_text(wanted_text, i));
    ck_ok(mu_h5_dataset_read(d, 2, i, text, n));
    ck_assert_mem_eq(text, wanted_text, n);
    ck_ok(mu_h5_dataset_read(d, 3, i, v, sizeof v));
    ck_assert(v[0] == (float)(2 * i) / 4 && v[1] == (float)(2 * i + 1) / 4);
}

START_TEST(round_trip)
{
    mu_h5_dataset *d;
    ck_ok(write_set(path));
    ck_ok(mu_h5_dataset_open(path, &d));
    ck_assert_str_eq(mu_h5_dataset_path(d), path);
    ck_assert_int_eq(mu_h5_dataset_count(d), N);
    ck_assert_int_eq(mu_h5_dataset_n_classes(d), 3);
    ck_assert_str_eq(mu_h5_dataset_class(d, 2), "k\xc3\xa4" "fer {{ x }}");
    ck_assert_str_eq(mu_h5_dataset_meta(d), meta);
    ck_assert_uint_eq(strlen(mu_h5_dataset_uuid(d)), 36);
    ck_assert_int_eq(mu_h5_dataset_n_fields(d), 4);
    for (int i = 0; i < 4; i++) {
        const mu_h5_field *f = mu_h5_dataset_field(d, i);
        int at;
        ck_assert_str_eq(f->name, fields[i].name);
        ck_assert(mu_type_equal(&f->sample, &fields[i].sample));
        ck_assert_int_eq(f->variable, fields[i].variable);
        ck_ok(mu_h5_dataset_find(d, f->name, &at));
        ck_assert_int_eq(at, i);
        ck_ok(mu_h5_dataset_verify(d, i, NULL, NULL));
    }
    ck_assert_int_eq(mu_h5_dataset_field(d, 2)->bytes, NOTES);
    for (int i = N - 1; i >= 0; i--)
        check_sample(d, i);
    mu_h5_dataset_release(d);
}
END_TEST

START_TEST(wrong_asks)
{
    mu_h5_dataset *d;
    char buffer[64];
    size_t n;
    int at;
    ck_ok(write_set(path));
    ck_ok(mu_h5_dataset_open(path, &d));
    ck_fails(mu_h5_dataset_find(d, "image", &at), MU_ERR_NOT_FOUND, "images, labels, notes, vectors");
    ck_fails(mu_h5_dataset_read(d, 0, N, buffer, SIDE), MU_ERR_USAGE, "there is no sample 40");
    ck_fails(mu_h5_dataset_read(d, 0, -1, buffer, SIDE), MU_ERR_USAGE, "there is no sample -1");
    ck_fails(mu_h5_dataset_read(d, 4, 0, buffer, SIDE), MU_ERR_USAGE, "there is no field 4");
    ck_fails(mu_h5_dataset_read(d, 0, 0, buffer, SIDE + 1), MU_ERR_SHAPE, "has 15 bytes, not 16");
    ck_fails(mu_h5_dataset_sample_bytes(d, 2, N, &n), MU_ERR_USAGE, "40 samples");
    ck_fails(mu_h5_dataset_verify(d, 7, NULL, NULL), MU_ERR_USAGE, "no field 7");
    mu_h5_dataset_release(d);
}
END_TEST

START_TEST(every_dtype)
{
    for (mu_dtype dtype = MU_NONE + 1; dtype < MU_DTYPE_COUNT; dtype++) {
        mu_h5_field f = {.name = "x", .sample = MU_SCALAR(dtype)};
        mu_h5_writer *w;
        mu_h5_dataset *d;
        uint8_t bytes[8] = {1, 0, 0, 0, 0, 0, 0, 0}, found[8];
        size_t size = mu_dtype_size(dtype);
        ck_ok(mu_h5_writer_new(path, &f, 1, 1, "{}", &w));
        ck_ok(mu_h5_writer_append(w, 0, bytes, size));
        ck_ok(mu_h5_writer_finish(w));
        mu_h5_writer_release(w);
        ck_ok(mu_h5_dataset_open(path, &d));
        ck_assert_int_eq(mu_h5_dataset_field(d, 0)->sample.dtype, dtype);
        ck_assert_int_eq(mu_h5_dataset_n_classes(d), 0);
        ck_ok(mu_h5_dataset_read(d, 0, 0, found, size));
        ck_assert_mem_eq(found, bytes, size);
        mu_h5_dataset_release(d);
    }
}
END_TEST

START_TEST(no_samples)
{
    mu_h5_writer *w;
    mu_h5_dataset *d;
    mu_h5_field none[] = {fields[0], fields[2]};
    none[1].bytes = 0;
    ck_ok(mu_h5_writer_new(path, none, 2, 0, "{}", &w));
    ck_ok(mu_h5_writer_finish(w));
    mu_h5_writer_release(w);
    ck_ok(mu_h5_dataset_open(path, &d));
    ck_assert_int_eq(mu_h5_dataset_count(d), 0);
    ck_ok(mu_h5_dataset_verify(d, 0, NULL, NULL));
    ck_ok(mu_h5_dataset_verify(d, 1, NULL, NULL));
    mu_h5_dataset_release(d);
}
END_TEST

START_TEST(wrong_writes)
{
    mu_h5_writer *w = NULL;
    mu_h5_field bad = {.name = "a/b", .sample = MU_SCALAR(MU_U8)}, twice[] = {fields[1], fields[1]};
    ck_fails(mu_h5_writer_new(path, &bad, 1, 1, "{}", &w), MU_ERR_USAGE, "a/b");
    bad.name = "x_offsets";
    ck_fails(mu_h5_writer_new(path, &bad, 1, 1, "{}", &w), MU_ERR_USAGE, "x_offsets");
    ck_fails(mu_h5_writer_new(path, twice, 2, 1, "{}", &w), MU_ERR_USAGE, "two fields");
    ck_fails(mu_h5_writer_new(path, fields, 0, 1, "{}", &w), MU_ERR_USAGE, "1 to 64 fields");
    ck_fails(mu_h5_writer_new(path, fields, 4, -1, "{}", &w), MU_ERR_USAGE, "negative");
    ck_fails(mu_h5_writer_new(path, fields, 4, N, "{", &w), MU_ERR_FORMAT, "metainfo");
    ck_fails(mu_h5_writer_new(path, fields, 4, N, "[]", &w), MU_ERR_FORMAT, "JSON object");
    ck_fails(mu_h5_writer_new(path, fields, 4, N, "{\"classes\": [1]}", &w), MU_ERR_FORMAT, "class 0");
    ck_fails(mu_h5_writer_new(folder, fields, 4, N, "{}", &w), MU_ERR_IO, "not a regular file");
    ck_fails(mu_h5_writer_new("/nowhere/at/all.h5", fields, 4, N, "{}", &w), MU_ERR_IO, "must exist and be writable");
    ck_fails(mu_h5_writer_new(path, fields, 1, INT64_MAX / 4, "{}", &w), MU_ERR_OVERFLOW, "");
    ck_ok(mu_h5_writer_new(path, fields, 2, 2, meta, &w));
    ck_fails(mu_h5_writer_append(w, 0, "abc", 3), MU_ERR_SHAPE, "3 bytes are no whole samples of 15");
    ck_fails(mu_h5_writer_append(w, 2, "abc", 3), MU_ERR_USAGE, "no field 2");
    ck_fails(mu_h5_writer_append(w, 1, &(int64_t){3}, 8), MU_ERR_FORMAT, "sample 0 has label 3, outside of its 3 classes");
    ck_fails(mu_h5_writer_append(w, 1, (int64_t[]){2, -1}, 16), MU_ERR_FORMAT, "sample 1 has label -1");
    ck_ok(mu_h5_writer_append(w, 1, (int64_t[]){2, 1}, 16));
    ck_fails(mu_h5_writer_append(w, 1, (int64_t[]){2}, 8), MU_ERR_USAGE, "is full");
    ck_fails(mu_h5_writer_finish(w), MU_ERR_USAGE, "'images'");
    mu_h5_writer_release(w);
    ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

static char *slurp(const char *from, size_t *size)
{
    FILE *file = fopen(from, "rb");
    ck_assert_ptr_nonnull(file);
    static char buffer[1 << 18];
    *size = fread(buffer, 1, sizeof buffer, file);
    fclose(file);
    return buffer;
}

static void spill(const char *to, const char *data, size_t size)
{
    unlink(to); /* writing over a file makes ext4 flush it */
    FILE *file = fopen(to, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(data, 1, size, file), size);
    ck_assert_int_eq(fclose(file), 0);
}

/* Opening and verifying all fields, as `muster data verify` does; reads every sample on the way. */
static mu_err examine(const char *from)
{
    mu_h5_dataset *d;
    MU_TRY(mu_h5_dataset_open(from, &d));
    mu_err err = MU_OK;
    for (int i = 0; !err && i < mu_h5_dataset_n_fields(d); i++)
        for (int64_t k = 0; !err && k < mu_h5_dataset_count(d); k++) {
            size_t n = 0;
            char *sample = NULL;
            err = mu_h5_dataset_sample_bytes(d, i, k, &n);
            err = err ? err : mu_alloc(&sample, n);
            err = err ? err : mu_h5_dataset_read(d, i, k, sample, n);
            mu_free(sample);
        }
    for (int i = 0; !err && i < mu_h5_dataset_n_fields(d); i++)
        err = mu_h5_dataset_verify(d, i, NULL, NULL);
    mu_h5_dataset_release(d);
    return err;
}

/* Whatever is cut off, some part is missing. */
START_TEST(truncated)
{
    size_t size;
    ck_ok(write_set(other));
    char *data = slurp(other, &size);
    for (size_t cut = 0; cut < size; cut += cut < 600 ? 1 : 37) {
        spill(path, data, cut);
        mu_err err = examine(path);
        ck_assert_msg(err == MU_ERR_FORMAT || err == MU_ERR_IO, "cut at %zu of %zu: %s", cut, size,
                      err ? test_error_text() : "success");
        ck_assert_msg(strstr(test_error_text(), path) != NULL, "cut at %zu: %s", cut, test_error_text());
    }
    spill(path, data, size - 1);
    ck_assert_int_ne(examine(path), MU_OK);
}
END_TEST

/* A flipped byte is noticed, or lies where nothing is stored: then every sample is what it was. */
START_TEST(flipped)
{
    size_t size, noticed = 0, tried = 0;
    ck_ok(write_set(other));
    char *data = slurp(other, &size);
    for (size_t at = 0; at < size; at += 1 + at % 3) {
        data[at] ^= (char)(1 << at % 8);
        spill(path, data, size);
        data[at] ^= (char)(1 << at % 8);
        tried++;
        mu_err err = examine(path);
        noticed += err != MU_OK;
        if (err)
            continue;
        mu_h5_dataset *d;
        ck_ok(mu_h5_dataset_open(path, &d));
        ck_assert_str_eq(mu_h5_dataset_meta(d), meta);
        ck_assert_int_eq(mu_h5_dataset_count(d), N);
        for (int i = 0; i < N; i++)
            check_sample(d, i);
        mu_h5_dataset_release(d);
    }
    printf("%zu of %zu flips noticed, file of %zu bytes\n", noticed, tried, size);
    ck_assert_uint_ge(noticed, (N * (SIDE + 8 + 8 + 8) + NOTES) / 3);
}
END_TEST

/* Where the bytes of a dataset lie. */
static int64_t place_of(const char *name, int64_t bytes)
{
    hid_t file, dataset;
    int64_t at;
    ck_ok(mu_h5_open(path, false, &file));
    ck_ok(MU_H5(dataset = H5Dopen2(file, name, H5P_DEFAULT)));
    ck_ok(mu_h5_dataset_offset(dataset, bytes, &at));
    mu_h5_close(dataset);
    mu_h5_close(file);
    return at;
}

static void poke(int64_t at, const void *data, size_t n)
{
    FILE *file = fopen(path, "r+b");
    ck_assert_int_eq(fseek(file, (long)at, SEEK_SET), 0);
    ck_assert_uint_eq(fwrite(data, 1, n, file), n);
    fclose(file);
}

START_TEST(damage_is_named)
{
    mu_h5_dataset *d;
    int64_t label;
    static const char *const names[] = {"/data/images", "/data/labels", "/data/notes", "/data/vectors"};
    static const int64_t bytes[] = {N * SIDE, N * 8, NOTES, N * 8};
    for (int i = 0; i < 4; i++) {
        ck_ok(write_set(path));
        poke(place_of(names[i], bytes[i]) + bytes[i] / 2, "\x55\x57", 2);
        ck_ok(mu_h5_dataset_open(path, &d));
        for (int k = 0; k < 4; k++)
            if (k == i)
                ck_fails(mu_h5_dataset_verify(d, k, NULL, NULL), MU_ERR_FORMAT, names[i]);
            else
                ck_ok(mu_h5_dataset_verify(d, k, NULL, NULL));
        mu_h5_dataset_release(d);
    }
    ck_ok(write_set(path));
    poke(place_of("/data/labels", N * 8) + 7 * 8, &(int64_t){3}, 8);
    ck_ok(mu_h5_dataset_open(path, &d));
    ck_fails(mu_h5_dataset_read(d, 1, 7, &label, 8), MU_ERR_FORMAT, "sample 7 has label 3");
    mu_h5_dataset_release(d);
    ck_ok(write_set(path));
    poke(place_of("/data/notes_offsets", (N + 1) * 8) + 8 * 8, &(int64_t){5000}, 8);
    ck_fails(mu_h5_dataset_open(path, &d), MU_ERR_FORMAT, "/data/notes: offset 9 is below");
    poke(place_of("/data/notes_offsets", (N + 1) * 8) + N * 8, &(int64_t){INT64_MAX}, 8);
    ck_fails(mu_h5_dataset_open(path, &d), MU_ERR_FORMAT, "offsets run from 0 to 9223372036854775807");
    ck_ok(write_set(path));
    poke(place_of("/meta", (int64_t)strlen(meta)) + 3, "?", 1);
    ck_fails(mu_h5_dataset_open(path, &d), MU_ERR_FORMAT, "dataset /meta: its checksum is");
}
END_TEST

/* A label that is wrong from the start has a right checksum. */
START_TEST(wrong_labels)
{
    mu_h5_writer *w;
    mu_h5_dataset *d;
    hid_t file, text;
    ck_ok(mu_h5_writer_new(path, &fields[1], 1, 3, "{}           ", &w));
    ck_ok(mu_h5_writer_append(w, 0, (int64_t[]){0, 4, 1}, 24));
    ck_ok(mu_h5_writer_finish(w));
    mu_h5_writer_release(w);
    ck_ok(mu_h5_open(path, true, &file));
    ck_ok(MU_H5(H5Ldelete(file, "meta", H5P_DEFAULT)));
    ck_ok(mu_h5_text_create(file, "meta", 22, &text));
    hid_t type = H5Dget_type(text);
    ck_ok(MU_H5(H5Dwrite(text, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, "{\"classes\":[\"a\", \"b\"]}")));
    H5Tclose(type);
    mu_h5_close(text);
    ck_ok(MU_H5(H5Fclose(file)));
    ck_ok(mu_h5_dataset_open(path, &d));
    ck_fails(mu_h5_dataset_verify(d, 0, NULL, NULL), MU_ERR_FORMAT, "sample 1 has label 4, outside of its 2 classes");
    mu_h5_dataset_release(d);
}
END_TEST

/* A file that `change` alters after HDF5 opened it for writing. */
static mu_err altered(void (*change)(hid_t file))
{
    hid_t file;
    mu_h5_dataset *d;
    ck_ok(write_set(path));
    ck_ok(mu_h5_open(path, true, &file));
    change(file);
    ck_ok(MU_H5(H5Fclose(file)));
    return mu_h5_dataset_open(path, &d);
}

static void no_format(hid_t file) { ck_ok(MU_H5(H5Adelete(file, "muster_format"))); }
static void checkpoint(hid_t file)
{
    no_format(file);
    ck_ok(mu_h5_set_text(file, "muster_format", "checkpoint"));
}
static void number_format(hid_t file)
{
    no_format(file);
    ck_ok(mu_h5_set_i64(file, "muster_format", 7));
}
static void version(hid_t file) { ck_ok(mu_h5_set_i64(file, "muster_version", 2)); }
static void no_uuid(hid_t file) { ck_ok(MU_H5(H5Adelete(file, "uuid"))); }
static void variable_meta(hid_t file)
{
    hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate(H5S_SCALAR), dataset;
    ck_ok(MU_H5(H5Tset_size(type, H5T_VARIABLE)));
    ck_ok(MU_H5(H5Ldelete(file, "meta", H5P_DEFAULT)));
    ck_ok(MU_H5(dataset = H5Dcreate2(file, "meta", type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT)));
    mu_h5_close(dataset);
    mu_h5_close(space);
    mu_h5_close(type);
}
static void no_version(hid_t file) { ck_ok(MU_H5(H5Adelete(file, "muster_version"))); }
static void no_meta(hid_t file) { ck_ok(MU_H5(H5Ldelete(file, "meta", H5P_DEFAULT))); }
static void no_data(hid_t file) { ck_ok(MU_H5(H5Ldelete(file, "data", H5P_DEFAULT))); }
static void empty_data(hid_t file)
{
    no_data(file);
    H5Gclose(H5Gcreate2(file, "data", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
}
static void add(hid_t file, const char *name, mu_type type)
{
    hid_t dataset;
    ck_ok(mu_h5_dataset_create(file, name, &type, &dataset));
    mu_h5_close(dataset);
}
static void other_count(hid_t file) { add(file, "data/more", MU_TYPE(MU_F32, N - 1, 2)); }
static void scalar_field(hid_t file) { add(file, "data/more", MU_SCALAR(MU_F32)); }
static void bad_offsets(hid_t file) { add(file, "data/images_offsets", MU_TYPE(MU_I64, N + 1)); }
static void other_offsets(hid_t file)
{
    ck_ok(MU_H5(H5Ldelete(file, "data/notes_offsets", H5P_DEFAULT)));
    add(file, "data/notes_offsets", MU_TYPE(MU_I32, N + 1));
}
static void subgroup(hid_t file) { H5Gclose(H5Gcreate2(file, "data/more", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT)); }
static void dangling(hid_t file) { ck_ok(MU_H5(H5Lcreate_soft("/nowhere", file, "data/more", H5P_DEFAULT, H5P_DEFAULT))); }
static void foreign_dataset(hid_t file, hid_t type, bool chunked)
{
    hid_t space = H5Screate_simple(2, (hsize_t[]){N, 2}, NULL), properties = H5Pcreate(H5P_DATASET_CREATE);
    if (chunked)
        H5Pset_chunk(properties, 2, (hsize_t[]){4, 2});
    H5Dclose(H5Dcreate2(file, "data/more", type, space, H5P_DEFAULT, properties, H5P_DEFAULT));
    H5Pclose(properties);
    H5Sclose(space);
}
static void chunked_field(hid_t file) { foreign_dataset(file, H5T_IEEE_F32LE, true); }
static void big_endian(hid_t file) { foreign_dataset(file, H5T_IEEE_F32BE, false); }
static void unwritten(hid_t file) { foreign_dataset(file, H5T_IEEE_F32LE, false); } /* HDF5 allocates it late */

START_TEST(foreign)
{
    mu_h5_dataset *d;
    ck_fails(mu_h5_dataset_open(path, &d), MU_ERR_IO, "No such file");
    ck_fails(mu_h5_dataset_open(path, &d), MU_ERR_IO, "muster data pack");
    ck_fails(mu_h5_dataset_open(folder, &d), MU_ERR_IO, "not a regular file");
    spill(path, "", 0);
    ck_fails(mu_h5_dataset_open(path, &d), MU_ERR_FORMAT, "it is empty");
    spill(path, "<html>not found, and a little more</html>", 41);
    ck_fails(mu_h5_dataset_open(path, &d), MU_ERR_FORMAT, "it is not an HDF5 file");
    ck_fails(altered(no_format), MU_ERR_FORMAT, "lacks the attribute muster_format");
    ck_fails(altered(checkpoint), MU_ERR_FORMAT, "its muster_format is 'checkpoint'");
    ck_fails(altered(number_format), MU_ERR_FORMAT, "is not text");
    ck_fails(altered(version), MU_ERR_FORMAT, "is a dataset of version 2");
    ck_fails(altered(no_version), MU_ERR_NOT_FOUND, "muster_version");
    ck_fails(altered(no_uuid), MU_ERR_NOT_FOUND, "': there is no attribute 'uuid'");
    ck_assert_ptr_nonnull(strstr(mu_error_last()->message, path));
    ck_fails(altered(variable_meta), MU_ERR_FORMAT, "/meta: it is not one text of fixed length");
    ck_assert_ptr_nonnull(strstr(mu_error_last()->hint, "numpy.bytes_"));
    ck_fails(altered(no_meta), MU_ERR_IO, "/meta");
    ck_fails(altered(no_data), MU_ERR_FORMAT, "lacks the group /data");
    ck_fails(altered(empty_data), MU_ERR_FORMAT, "holds no field");
    ck_fails(altered(other_count), MU_ERR_FORMAT, "/data/more: it has 39 samples, /data/images has 40");
    ck_fails(altered(scalar_field), MU_ERR_FORMAT, "no dimension of samples");
    ck_fails(altered(bad_offsets), MU_ERR_FORMAT, "must be a u8 array of one dimension");
    ck_fails(altered(other_offsets), MU_ERR_FORMAT, "offsets must be i64");
    ck_fails(altered(subgroup), MU_ERR_IO, "/data/more");
    ck_fails(altered(dangling), MU_ERR_IO, "/data/more");
    ck_fails(altered(chunked_field), MU_ERR_FORMAT, "h5repack -l CONTI");
    ck_fails(altered(big_endian), MU_ERR_FORMAT, "of a type that Muster lacks");
    ck_fails(altered(unwritten), MU_ERR_FORMAT, "do not lie in one piece");
}
END_TEST

/* A limit stands in for a full disk. What was there before is whole, and nothing is left beside it. */
START_TEST(disk_full)
{
    static const rlim_t limits[] = {0, 100, 3000, (1 << 16), (1 << 16) + 3000, 120000, 400000};
    mu_h5_field big[] = {fields[0], {.name = "vectors", .sample = MU_TYPE(MU_F32, 1000)}};
    ck_ok(write_set(path));
    signal(SIGXFSZ, SIG_IGN);
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        struct rlimit old, limit;
        mu_h5_writer *w = NULL;
        ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &old), 0);
        limit = (struct rlimit){.rlim_cur = limits[i], .rlim_max = old.rlim_max};
        ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
        mu_err err = mu_h5_writer_new(path, big, 2, 1000, meta, &w);
        ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &old), 0);
        ck_assert_msg(err == MU_ERR_IO, "limit %lld: %s", (long long)limits[i], err ? test_error_text() : "success");
        ck_assert_msg(strstr(test_error_text(), "free some space") != NULL, "%s", test_error_text());
        ck_ok(examine(path));
    }
    ck_ok(write_set(other)); /* HDF5 works on */
    ck_ok(examine(other));
}
END_TEST

/* The disk fills up after space was reserved, as on file systems that cannot reserve. */
START_TEST(disk_full_later)
{
    struct rlimit old, limit;
    mu_h5_writer *w;
    uint8_t image[SIDE] = {0};
    ck_ok(write_set(path));
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &old), 0);
    limit = (struct rlimit){.rlim_cur = 1000, .rlim_max = old.rlim_max};
    ck_ok(mu_h5_writer_new(path, fields, 1, 2, meta, &w));
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    ck_ok(mu_h5_writer_append(w, 0, image, SIDE));
    ck_ok(mu_h5_writer_append(w, 0, image, SIDE));
    mu_err err = mu_h5_writer_finish(w);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &old), 0);
    ck_assert_int_eq(err, MU_ERR_IO);
    mu_h5_writer_release(w);
    ck_ok(examine(path));
}
END_TEST

typedef struct {
    const mu_h5_dataset *dataset;
    int from;
    mu_err err;
} reader;

static void *read_all(void *user)
{
    reader *r = user;
    uint8_t image[SIDE], wanted[SIDE];
    for (int k = 0; k < 2000 && !r->err; k++) {
        int i = (k * 7 + r->from) % N;
        r->err = mu_h5_dataset_read(r->dataset, 0, i, image, SIDE);
        fill_image(wanted, i);
        if (!r->err && memcmp(image, wanted, SIDE) != 0)
            r->err = MU_ERR_INTERNAL;
    }
    return NULL;
}

START_TEST(two_threads)
{
    mu_h5_dataset *d;
    pthread_t thread[2];
    ck_ok(write_set(path));
    ck_ok(mu_h5_dataset_open(path, &d));
    reader r[2] = {{.dataset = d, .from = 0}, {.dataset = d, .from = 13}};
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(pthread_create(&thread[i], NULL, read_all, &r[i]), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(thread[i], NULL);
    ck_assert(r[0].err == MU_OK && r[1].err == MU_OK);
    mu_h5_dataset_release(d);
}
END_TEST

START_TEST(no_memory)
{
    mu_h5_dataset *d;
    ck_survives_oom(write_set(path), (void)0);
    ck_survives_oom(mu_h5_dataset_open(path, &d), mu_h5_dataset_release(d));
    ck_survives_oom(examine(path), (void)0);
}
END_TEST

/* HDF5's own printing stays as its owner set it. */
START_TEST(silence)
{
    H5E_auto2_t before, after;
    void *data;
    mu_h5_dataset *d;
    H5Eget_auto2(H5E_DEFAULT, &before, &data);
    ck_assert_int_ne(before == NULL, 1);
    spill(path, "\211HDF\r\n\032\n garbage follows here", 30);
    ck_fails(mu_h5_dataset_open(path, &d), MU_ERR_IO, "HDF5: H5Fopen");
    H5Eget_auto2(H5E_DEFAULT, &after, &data);
    ck_assert(before == after);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("h5_dataset");
    TCase *tcase = tcase_create("h5_dataset");
    tcase_set_timeout(tcase, 120);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, round_trip);
    tcase_add_test(tcase, wrong_asks);
    tcase_add_test(tcase, every_dtype);
    tcase_add_test(tcase, no_samples);
    tcase_add_test(tcase, wrong_writes);
    tcase_add_test(tcase, truncated);
    tcase_add_test(tcase, flipped);
    tcase_add_test(tcase, damage_is_named);
    tcase_add_test(tcase, wrong_labels);
    tcase_add_test(tcase, foreign);
    tcase_add_test(tcase, disk_full);
    tcase_add_test(tcase, disk_full_later);
    tcase_add_test(tcase, two_threads);
    tcase_add_test(tcase, no_memory);
    tcase_add_test(tcase, silence);
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}
