#include "io/hdf5.h"
#include "io/tensor_file.h"

#include "test.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BIG = 3000, VERSION = 2 };
#define FORMAT "checkpoint"

/* HDF5 1.10 loses memory of its own when metadata are damaged. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libhdf5";
}

static char folder[64], path[96], other[96];
static float big[BIG];
static mu_comm *comm;

static void setup(void)
{
    snprintf(folder, sizeof folder, "/tmp/tensor_file_test.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/a.h5", folder);
    snprintf(other, sizeof other, "%s/b.h5", folder);
    for (int i = 0; i < BIG; i++)
        big[i] = (float)i / 7;
    ck_ok(mu_comm_self_new(&comm));
}

static void teardown(void)
{
    char command[128];
    mu_comm_release(comm);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    ck_assert_int_eq(system(command), 0);
}

/* Counts up, so that what it is asked for shows. */
static mu_err count_up(void *user, const char *name, const mu_type *type, void *host)
{
    int *calls = user;
    ck_assert_str_eq(name, "/state/counted");
    int32_t *out = host;
    for (int64_t i = 0; i < mu_type_count(type); i++)
        out[i] = (int32_t)i;
    ++*calls;
    return MU_OK;
}

static mu_err refuse(void *user, const char *name, const mu_type *type, void *host)
{
    (void)user, (void)name, (void)type, (void)host;
    return MU_FAIL(MU_ERR_BACKEND, "the device is gone");
}

static int calls;

static mu_err declare(mu_tensor_writer *w)
{
    static const bool flags[3] = {true, false, true};
    static const uint16_t half[2] = {0x3f80, 0x4000};
    MU_TRY(mu_tensor_writer_text(w, "/meta/config", "lr: 0.1 # \xc3\xa9\n"));
    MU_TRY(mu_tensor_writer_text(w, "/meta/nothing", ""));
    MU_TRY(mu_tensor_writer_i64(w, "/meta/epoch", -3));
    MU_TRY(mu_tensor_writer_f64(w, "/meta/lr", 0.1));
    MU_TRY(mu_tensor_writer_add(w, "/state/z.weight", MU_TYPE(MU_F32, 30, 100), NULL, big));
    MU_TRY(mu_tensor_writer_add(w, "/state/a.bias", MU_TYPE(MU_F32, 5), NULL, big));
    MU_TRY(mu_tensor_writer_add(w, "/state/counted", MU_TYPE(MU_I32, 2048), count_up, &calls));
    MU_TRY(mu_tensor_writer_add(w, "/state/none", MU_TYPE(MU_F64, 0, 3), NULL, big));
    MU_TRY(mu_tensor_writer_add(w, "/state/flags", MU_TYPE(MU_BOOL, 3), NULL, (void *)flags));
    return mu_tensor_writer_add(w, "/state/half", MU_TYPE(MU_BF16, 2), NULL, (void *)half);
}

static mu_err write_file(const char *to)
{
    mu_tensor_writer *w;
    MU_TRY(mu_tensor_writer_new(FORMAT, VERSION, &w));
    mu_err err = declare(w);
    err = err ? err : mu_tensor_writer_write(w, comm, to, NULL);
    mu_tensor_writer_release(w);
    return err;
}

static mu_err write_sharded(const char *to, int n)
{
    mu_tensor_writer *w;
    MU_TRY(mu_tensor_writer_new(FORMAT, VERSION, &w));
    mu_err err = declare(w);
    err = err ? err : mu_tensor_writer_set_shards(w, n);
    err = err ? err : mu_tensor_writer_write(w, comm, to, NULL);
    mu_tensor_writer_release(w);
    return err;
}

/* "a-00001-of-00002.h5" */
static const char *shard(int i, int n)
{
    static char name[128];
    snprintf(name, sizeof name, "%s/a-%05d-of-%05d.h5", folder, i, n);
    return name;
}

/* Opens and reads everything, comparing checksums. */
static mu_err read_file(const char *from)
{
    mu_tensor_file *f;
    MU_TRY(mu_tensor_file_open(from, FORMAT, VERSION, &f));
    mu_err err = MU_OK;
    for (int i = 0; !err && i < mu_tensor_file_count(f); i++) {
        size_t bytes = mu_type_bytes(&mu_tensor_file_at(f, i)->type);
        void *data;
        err = mu_alloc(&data, bytes);
        if (!err) {
            err = mu_tensor_file_read(f, i, data, bytes);
            mu_free(data);
        }
    }
    mu_tensor_file_release(f);
    return err;
}

static unsigned char *slurp(const char *from, size_t *size)
{
    FILE *file = fopen(from, "rb");
    ck_assert_ptr_nonnull(file);
    struct stat info;
    fstat(fileno(file), &info);
    unsigned char *bytes = malloc((size_t)info.st_size);
    *size = fread(bytes, 1, (size_t)info.st_size, file);
    fclose(file);
    return bytes;
}

static void spill(const char *to, const void *bytes, size_t size)
{
    FILE *file = fopen(to, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(bytes, 1, size, file), size);
    fclose(file);
}

START_TEST(round_trip)
{
    static const char *const paths[] = {"/meta/config", "/meta/nothing", "/meta/epoch", "/meta/lr", "/state/z.weight",
                                        "/state/a.bias", "/state/counted", "/state/none", "/state/flags", "/state/half"};
    mu_tensor_writer *w;
    mu_tensor_file *f;
    int64_t bytes = 0, epoch = 0;
    double lr = 0;
    char *text, uuid[64];
    float weight[BIG];
    int32_t counted[2048];
    struct stat info;
    ck_ok(mu_tensor_writer_new(FORMAT, VERSION, &w));
    ck_ok(declare(w));
    calls = 0;
    ck_ok(mu_tensor_writer_write(w, comm, path, &bytes));
    ck_assert_int_eq(calls, 1);
    ck_assert_int_eq(stat(path, &info), 0);
    ck_assert_int_eq(info.st_size, bytes);

    ck_ok(mu_tensor_file_open(path, FORMAT, VERSION, &f));
    ck_assert_str_eq(mu_tensor_file_path(f), path);
    ck_assert_int_eq(mu_tensor_file_bytes(f), bytes);
    ck_assert_uint_eq(strlen(mu_tensor_file_uuid(f)), 36);
    snprintf(uuid, sizeof uuid, "%s", mu_tensor_file_uuid(f));
    ck_assert_int_eq(mu_tensor_file_count(f), 10);
    for (int i = 0; i < 10; i++) {
        ck_assert_str_eq(mu_tensor_file_at(f, i)->path, paths[i]);
        ck_assert(mu_tensor_file_at(f, i)->hashed);
        ck_assert_int_eq(mu_tensor_file_find(f, paths[i]), i);
    }
    ck_assert(mu_type_equal(&mu_tensor_file_at(f, 4)->type, &MU_TYPE(MU_F32, 30, 100)));
    ck_assert(mu_type_equal(&mu_tensor_file_at(f, 7)->type, &MU_TYPE(MU_F64, 0, 3)));
    ck_assert_int_eq(mu_tensor_file_at(f, 8)->type.dtype, MU_BOOL);
    ck_assert_int_eq(mu_tensor_file_at(f, 9)->type.dtype, MU_BF16);
    ck_assert_int_eq(mu_tensor_file_at(f, 4)->offset % 4096, 0);
    ck_assert_int_eq(mu_tensor_file_at(f, 6)->offset % 4096, 0);
    ck_ok(mu_tensor_file_read(f, 4, weight, sizeof weight));
    ck_assert_mem_eq(weight, big, sizeof weight);
    ck_ok(mu_tensor_file_read(f, 6, counted, sizeof counted));
    ck_assert_int_eq(counted[2047], 2047);
    ck_ok(mu_tensor_file_read(f, 7, NULL, 0));
    ck_fails(mu_tensor_file_read(f, 4, weight, 8), MU_ERR_SHAPE, "it has 12000 bytes, not 8");
    ck_fails(mu_tensor_file_read(f, 10, weight, 8), MU_ERR_USAGE, "no number 10");

    ck_ok(mu_tensor_file_text(f, "/meta/config", &text));
    ck_assert_str_eq(text, "lr: 0.1 # \xc3\xa9\n");
    mu_free(text);
    ck_ok(mu_tensor_file_text(f, "/meta/nothing", &text));
    ck_assert_str_eq(text, "");
    mu_free(text);
    ck_ok(mu_tensor_file_i64(f, "/meta/epoch", &epoch));
    ck_assert_int_eq(epoch, -3);
    ck_ok(mu_tensor_file_f64(f, "/meta/lr", &lr));
    ck_assert_double_eq(lr, 0.1);
    ck_fails(mu_tensor_file_i64(f, "/meta/epok", &epoch), MU_ERR_NOT_FOUND, "'/meta/epoch'");
    ck_fails(mu_tensor_file_i64(f, "/meta/lr", &epoch), MU_ERR_FORMAT, "it is f64[] instead of one number of i64");
    ck_fails(mu_tensor_file_text(f, "/meta/lr", &text), MU_ERR_FORMAT, "not a text");
    ck_fails(mu_tensor_file_f64(f, "/meta/config", &lr), MU_ERR_FORMAT, "it is a text");
    mu_tensor_file_release(f);

    /* The same writer once more: another uuid. */
    ck_ok(mu_tensor_writer_write(w, comm, path, NULL));
    mu_tensor_writer_release(w);
    ck_ok(mu_tensor_file_open(path, FORMAT, VERSION, &f));
    ck_assert_str_ne(mu_tensor_file_uuid(f), uuid);
    mu_tensor_file_release(f);
}
END_TEST

/* Numbers from 1 on, in all slots at once, the last slot first. */
static mu_err bring(void *user, mu_comm *over, const mu_tensor_slot *slot, int n)
{
    ck_assert_ptr_eq(over, comm);
    if (n != 2)
        return MU_FAIL(MU_ERR_BACKEND, "there are %d slots", n);
    for (int k = n; k > 0; k--) {
        const mu_tensor_slot *s = &slot[k - 1];
        ck_assert_int_eq(s->owner, 0);
        for (int64_t i = 0; i < mu_type_count(&s->type); i++)
            ((float *)s->host)[i] = *(float *)s->tag + (float)i;
    }
    ++*(int *)user;
    return MU_OK;
}

/* What happens to the sources after a snapshot does not reach the file. */
START_TEST(snapshots)
{
    mu_tensor_writer *w;
    mu_tensor_snapshot *snapshot;
    mu_tensor_file *f;
    float first[2] = {1, 5000}, given[3] = {7, 8, 9}, found[2000];
    int64_t bytes, before = mu_mem_get_counts().live_bytes;
    calls = 0;
    ck_ok(mu_tensor_writer_new(FORMAT, VERSION, &w));
    ck_ok(mu_tensor_writer_add_collected(w, "/a", MU_TYPE(MU_F32, 2000), -1, &first[0]));
    ck_ok(mu_tensor_writer_add(w, "/given", MU_TYPE(MU_F32, 3), NULL, given));
    ck_ok(mu_tensor_writer_add_collected(w, "/b", MU_TYPE(MU_F32, 2), 0, &first[1]));
    ck_fails(mu_tensor_writer_snapshot(w, comm, path, NULL, &snapshot), MU_ERR_USAGE, "nobody was named");
    mu_tensor_writer_set_collect(w, bring, &calls);
    ck_ok(mu_tensor_writer_snapshot(w, comm, path, NULL, &snapshot));
    mu_tensor_writer_release(w);
    ck_assert_int_eq(calls, 1);
    ck_assert_int_lt(mu_mem_get_counts().live_bytes - before, 8000 + 4096);
    memset(first, 0, sizeof first);
    memset(given, 0, sizeof given);
    ck_assert_int_ne(access(path, F_OK), 0);
    ck_ok(mu_tensor_snapshot_write(snapshot, comm, &bytes));
    mu_tensor_snapshot_release(snapshot);
    ck_ok(mu_tensor_file_open(path, FORMAT, VERSION, &f));
    ck_assert_int_eq(mu_tensor_file_bytes(f), bytes);
    ck_ok(mu_tensor_file_read(f, 0, found, sizeof found));
    ck_assert_float_eq(found[1999], 2000);
    ck_ok(mu_tensor_file_read(f, 1, found, 12));
    ck_assert_float_eq(found[2], 9);
    ck_ok(mu_tensor_file_read(f, 2, found, 8));
    ck_assert_float_eq(found[1], 5001);
    mu_tensor_file_release(f);

    /* One that is never written leaves nothing, but the room for the next. */
    char command[128];
    mu_tensor_room room = {0};
    ck_ok(mu_tensor_file_remove(path));
    ck_fails(mu_tensor_file_remove(path), MU_ERR_NOT_FOUND, "cannot be removed");
    ck_ok(mu_tensor_writer_new(FORMAT, VERSION, &w));
    ck_ok(mu_tensor_writer_add(w, "/given", MU_TYPE(MU_F32, 3), NULL, given));
    for (int i = 0; i < 2; i++) {
        void *data = room.data;
        ck_ok(mu_tensor_writer_snapshot(w, comm, path, &room, &snapshot));
        mu_tensor_snapshot_release(snapshot);
        ck_assert(room.bytes >= 12 && (!i || room.data == data));
    }
    mu_tensor_writer_release(w);
    mu_free(room.data);
    snprintf(command, sizeof command, "test -z \"$(ls %s)\"", folder);
    ck_assert_int_eq(system(command), 0);
}
END_TEST

START_TEST(empty_file)
{
    mu_tensor_writer *w;
    mu_tensor_file *f;
    ck_ok(mu_tensor_writer_new(FORMAT, 1, &w));
    ck_ok(mu_tensor_writer_write(w, comm, path, NULL));
    mu_tensor_writer_release(w);
    ck_ok(mu_tensor_file_open(path, FORMAT, VERSION, &f));
    ck_assert_int_eq(mu_tensor_file_count(f), 0);
    mu_tensor_file_release(f);
}
END_TEST

START_TEST(many_datasets)
{
    mu_tensor_writer *w;
    mu_tensor_file *f;
    char name[64];
    int64_t value = 0;
    ck_ok(mu_tensor_writer_new(FORMAT, 1, &w));
    for (int i = 0; i < 3000; i++) {
        snprintf(name, sizeof name, "/g%d/a long enough name of a number.%d", i % 3, i);
        ck_ok(mu_tensor_writer_i64(w, name, i));
    }
    ck_ok(mu_tensor_writer_write(w, comm, path, NULL));
    mu_tensor_writer_release(w);
    ck_ok(mu_tensor_file_open(path, FORMAT, VERSION, &f));
    ck_assert_int_eq(mu_tensor_file_count(f), 3000);
    for (int i = 0; i < 3000; i += 7) {
        snprintf(name, sizeof name, "/g%d/a long enough name of a number.%d", i % 3, i);
        ck_assert_int_eq(mu_tensor_file_find(f, name), i);
        ck_ok(mu_tensor_file_i64(f, name, &value));
        ck_assert_int_eq(value, i);
    }
    mu_tensor_file_release(f);
}
END_TEST

START_TEST(wrong_declarations)
{
    static const char *const bad[] = {"a", "", "/", "//a", "/a//b", "/a/", "/.", "/a/../b", "/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18"};
    mu_tensor_writer *w;
    char *long_path = calloc(1, 2000);
    memset(long_path, 'x', 1999);
    long_path[0] = '/';
    ck_ok(mu_tensor_writer_new(FORMAT, 1, &w));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_fails(mu_tensor_writer_i64(w, bad[i], 1), MU_ERR_USAGE, "cannot be a path");
    ck_fails(mu_tensor_writer_i64(w, long_path, 1), MU_ERR_USAGE, "at most");
    ck_ok(mu_tensor_writer_i64(w, "/a/b", 1));
    ck_fails(mu_tensor_writer_text(w, "/a/b", "x"), MU_ERR_USAGE, "given twice");
    ck_fails(mu_tensor_writer_i64(w, "/a", 1), MU_ERR_USAGE, "'/a/b' is below it");
    ck_fails(mu_tensor_writer_i64(w, "/a/b/c", 1), MU_ERR_USAGE, "'/a/b' is a dataset");
    ck_ok(mu_tensor_writer_i64(w, "/a/bc", 1));
    ck_ok(mu_tensor_writer_i64(w, "/a/b.c", 1));
    ck_fails(mu_tensor_writer_add(w, "/n", MU_SCALAR(MU_NONE), NULL, big), MU_ERR_USAGE, "no dtype");
    ck_fails(mu_tensor_writer_add(w, "/n", MU_TYPE(MU_F32, -1), NULL, big), MU_ERR_SHAPE, "");
    ck_ok(mu_tensor_writer_write(w, comm, path, NULL));
    mu_tensor_writer_release(w);
    ck_ok(read_file(path));
    free(long_path);
}
END_TEST

/* What stood there is still there, and nothing lies beside it. */
static void check_untouched(const unsigned char *before, size_t size)
{
    char command[192];
    size_t now;
    unsigned char *after = slurp(path, &now);
    ck_assert_uint_eq(now, size);
    ck_assert_mem_eq(before, after, size);
    free(after);
    snprintf(command, sizeof command, "test \"$(ls %s)\" = a.h5", folder);
    ck_assert_int_eq(system(command), 0);
}

START_TEST(failures_keep_the_old_file)
{
    mu_tensor_writer *w;
    size_t size;
    ck_ok(write_file(path));
    unsigned char *before = slurp(path, &size);

    ck_ok(mu_tensor_writer_new(FORMAT, VERSION, &w));
    ck_ok(mu_tensor_writer_add(w, "/x", MU_TYPE(MU_F32, 4), refuse, NULL));
    ck_fails(mu_tensor_writer_write(w, comm, path, NULL), MU_ERR_BACKEND, "dataset /x: the device is gone");
    mu_tensor_writer_release(w);
    check_untouched(before, size);

    signal(SIGXFSZ, SIG_IGN);
    struct rlimit limit, unlimited;
    getrlimit(RLIMIT_FSIZE, &unlimited);
    for (rlim_t at = 0; at < (rlim_t)size; at += 3000) {
        limit = (struct rlimit){at, unlimited.rlim_max};
        setrlimit(RLIMIT_FSIZE, &limit);
        mu_err err = write_file(path);
        setrlimit(RLIMIT_FSIZE, &unlimited);
        ck_assert_int_eq(err, MU_ERR_IO);
        ck_assert_ptr_nonnull(strstr(test_error_text(), "free some space"));
        check_untouched(before, size);
    }
    free(before);
    ck_ok(write_file(path));
    ck_fails(write_file("/nowhere/at/all.h5"), MU_ERR_IO, "'/nowhere/at/all.h5' cannot be written");
    ck_fails(write_file(folder), MU_ERR_IO, "not a regular file");
}
END_TEST

START_TEST(truncations_are_found)
{
    size_t size;
    char part[64];
    ck_ok(write_file(path));
    unsigned char *bytes = slurp(path, &size);
    for (size_t cut = 0; cut < size; cut += cut < 200 ? 1 : 97) {
        spill(other, bytes, cut);
        ck_assert_int_eq(read_file(other), MU_ERR_FORMAT);
        snprintf(part, sizeof part, "is cut off at byte %zu of %zu", cut, size);
        ck_assert_ptr_nonnull(strstr(test_error_text(), cut == 0 ? "it is empty" : cut < 48 ? "" : part));
    }
    free(bytes);
}
END_TEST

/* A flipped bit is found, or it lies in bytes that mean nothing: then all reads as before. */
START_TEST(flips_are_found)
{
    size_t size, found = 0, flips = 0;
    ck_ok(write_file(path));
    unsigned char *bytes = slurp(path, &size);
    for (size_t at = 0; at < size; at += at < 6000 ? 3 : 61, flips++) {
        bytes[at] ^= (unsigned char)(1 << (at % 8));
        spill(other, bytes, size);
        bytes[at] ^= (unsigned char)(1 << (at % 8));
        mu_err err = read_file(other);
        ck_assert_msg(err == MU_OK || err == MU_ERR_FORMAT || err == MU_ERR_IO, "byte %zu: %s", at, test_error_text());
        found += err != MU_OK;
    }
    ck_assert_uint_gt(found, flips / 2);

    mu_tensor_file *f;
    ck_ok(mu_tensor_file_open(path, FORMAT, VERSION, &f));
    for (int i = 0; i < mu_tensor_file_count(f); i++) {
        const mu_tensor_entry *e = mu_tensor_file_at(f, i);
        size_t n = mu_type_bytes(&e->type);
        for (size_t k = 0; k < n; k += 1 + n / 5) {
            char part[64];
            bytes[(size_t)e->offset + k] ^= 0x10;
            spill(other, bytes, size);
            bytes[(size_t)e->offset + k] ^= 0x10;
            snprintf(part, sizeof part, "dataset %s: its checksum is ", e->path);
            ck_fails(read_file(other), MU_ERR_FORMAT, part);
        }
    }
    mu_tensor_file_release(f);
    free(bytes);
}
END_TEST

START_TEST(other_files)
{
    mu_tensor_file *f;
    ck_fails(mu_tensor_file_open(path, FORMAT, VERSION, &f), MU_ERR_IO, "cannot be opened: No such file");
    ck_fails(mu_tensor_file_open(folder, FORMAT, VERSION, &f), MU_ERR_IO, "not a regular file");
    spill(path, "what is this, a text of more than fifty bytes? Yes, it is just that.", 69);
    ck_fails(mu_tensor_file_open(path, FORMAT, VERSION, &f), MU_ERR_FORMAT, "it is not an HDF5 file");
    ck_ok(write_file(path));
    ck_fails(mu_tensor_file_open(path, "results", VERSION, &f), MU_ERR_FORMAT, "is a checkpoint file, not a results file");
    ck_fails(mu_tensor_file_open(path, FORMAT, 1, &f), MU_ERR_FORMAT, "version 2; this Muster reads up to version 1");
    hid_t file;
    ck_ok(mu_h5_open(path, true, &file));
    ck_ok(MU_H5(H5Adelete(file, "uuid")));
    ck_ok(MU_H5(H5Fclose(file)));
    ck_fails(mu_tensor_file_open(path, FORMAT, VERSION, &f), MU_ERR_NOT_FOUND, "there is no attribute 'uuid'");
    ck_assert_ptr_nonnull(strstr(mu_error_last()->message, path));
}
END_TEST

static void *read_many(void *user)
{
    static _Thread_local float weight[BIG];
    intptr_t failed = 0;
    for (int k = 0; k < 200; k++)
        failed += mu_tensor_file_read(user, 4, weight, sizeof weight) != MU_OK || weight[BIG - 1] != big[BIG - 1];
    return (void *)failed;
}

static void check_same(const char *x, const char *y)
{
    mu_tensor_file *f, *g;
    ck_ok(mu_tensor_file_open(x, FORMAT, VERSION, &f));
    ck_ok(mu_tensor_file_open(y, FORMAT, VERSION, &g));
    ck_assert_int_eq(mu_tensor_file_count(f), mu_tensor_file_count(g));
    for (int i = 0; i < mu_tensor_file_count(f); i++) {
        const mu_tensor_entry *d = mu_tensor_file_at(f, i), *e = mu_tensor_file_at(g, i);
        static char a[16384], b[16384];
        size_t n = mu_type_bytes(&d->type);
        ck_assert_str_eq(d->path, e->path);
        ck_assert(mu_type_equal(&d->type, &e->type) && d->text == e->text && e->hashed);
        ck_ok(mu_tensor_file_read(f, i, a, n));
        ck_ok(mu_tensor_file_read(g, i, b, n));
        ck_assert_mem_eq(a, b, n);
    }
    mu_tensor_file_release(f);
    mu_tensor_file_release(g);
}

/* Shards of the file hold what is large, the index the rest; together they read as one file does. */
START_TEST(shards)
{
    static const int counts[] = {1, 2, 3, 70};
    int n = counts[_i];
    mu_tensor_file *f;
    struct stat info;
    ck_ok(write_sharded(path, n));
    ck_ok(mu_tensor_file_open(path, FORMAT, VERSION, &f));
    ck_assert_int_eq(mu_tensor_file_shards(f), n);
    int64_t bytes = 0;
    for (int i = 0; i < n; i++) {
        ck_assert_int_eq(stat(shard(i, n), &info), 0);
        bytes += info.st_size;
    }
    ck_assert_int_eq(stat(path, &info), 0);
    ck_assert_int_eq(mu_tensor_file_bytes(f), bytes + info.st_size);
    ck_assert_ptr_nonnull(strstr(mu_tensor_file_at(f, mu_tensor_file_find(f, "/state/z.weight"))->file, "-of-"));
    ck_assert_str_eq(mu_tensor_file_at(f, mu_tensor_file_find(f, "/meta/lr"))->file, path);
    ck_assert_int_eq(mu_tensor_file_find(f, "/muster_shards"), -1);
    mu_tensor_file_release(f);
    ck_ok(write_file(other));
    check_same(other, path);

    /* Another number, or one file, in its place: no shard is left behind. */
    char command[192];
    snprintf(command, sizeof command, "test $(ls %s/a* | wc -l) -eq 6", folder);
    ck_ok(write_sharded(path, 5));
    ck_assert_int_eq(system(command), 0);
    check_same(other, path);
    ck_ok(mu_tensor_file_remove(path));
    snprintf(command, sizeof command, "test \"$(ls %s)\" = b.h5", folder);
    ck_assert_int_eq(system(command), 0);
    ck_ok(write_sharded(path, n));
    ck_ok(write_file(path));
    snprintf(command, sizeof command, "test $(ls %s/a* | wc -l) -eq 1", folder);
    ck_assert_int_eq(system(command), 0);
}
END_TEST

START_TEST(bad_shards)
{
    mu_tensor_file *f;
    mu_tensor_writer *w;
    size_t size;
    char part[256];
    ck_ok(mu_tensor_writer_new(FORMAT, VERSION, &w));
    ck_fails(mu_tensor_writer_set_shards(w, -1), MU_ERR_USAGE, "not -1");
    ck_fails(mu_tensor_writer_set_shards(w, 100000), MU_ERR_USAGE, "not 100000");
    mu_tensor_writer_release(w);

    ck_ok(write_sharded(path, 2));
    unsigned char *bytes = slurp(shard(1, 2), &size);
    ck_fails(mu_tensor_file_open(shard(1, 2), FORMAT, VERSION, &f), MU_ERR_FORMAT, "is a checkpoint shard file, not a checkpoint file");
    ck_assert_int_eq(unlink(shard(1, 2)), 0);
    ck_fails(mu_tensor_file_open(path, FORMAT, VERSION, &f), MU_ERR_IO, "a-00001-of-00002.h5' cannot be opened");
    ck_assert_ptr_nonnull(strstr(test_error_text(), "a shard of '"));
    spill(shard(1, 2), bytes, size - 1);
    snprintf(part, sizeof part, "a-00001-of-00002.h5' is cut off at byte %zu of %zu", size - 1, size);
    ck_fails(mu_tensor_file_open(path, FORMAT, VERSION, &f), MU_ERR_FORMAT, part);
    bytes = realloc(bytes, size + 1);
    spill(shard(1, 2), bytes, size + 1);
    ck_fails(mu_tensor_file_open(path, FORMAT, VERSION, &f), MU_ERR_FORMAT, "a-00001-of-00002.h5' has ");
    spill(shard(1, 2), bytes, size);
    ck_ok(read_file(path));
    bytes[size - 100] ^= 1;
    spill(shard(1, 2), bytes, size);
    ck_fails(read_file(path), MU_ERR_FORMAT, "a-00001-of-00002.h5', dataset /state/");
    bytes[size - 100] ^= 1;

    /* Of another save. */
    ck_ok(write_sharded(path, 2));
    spill(shard(1, 2), bytes, size);
    ck_fails(mu_tensor_file_open(path, FORMAT, VERSION, &f), MU_ERR_FORMAT, "a-00001-of-00002.h5' belongs to another one: its uuid is ");
    free(bytes);

    /* A full disk in a shard: what stood there stays. */
    ck_ok(write_sharded(path, 2));
    bytes = slurp(path, &size);
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit unlimited;
    getrlimit(RLIMIT_FSIZE, &unlimited);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){9000, unlimited.rlim_max});
    mu_err err = write_sharded(path, 2);
    setrlimit(RLIMIT_FSIZE, &unlimited);
    ck_fails(err, MU_ERR_IO, "free some space");
    ck_ok(read_file(path));
    size_t now;
    unsigned char *after = slurp(path, &now);
    ck_assert_mem_eq(after, bytes, size);
    free(bytes);
    free(after);
}
END_TEST

START_TEST(threads_read)
{
    pthread_t thread[3];
    mu_tensor_file *f;
    ck_ok(write_file(path));
    ck_ok(mu_tensor_file_open(path, FORMAT, VERSION, &f));
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(pthread_create(&thread[i], NULL, read_many, f), 0);
    for (int i = 0; i < 3; i++) {
        void *failed;
        pthread_join(thread[i], &failed);
        ck_assert_ptr_null(failed);
    }
    mu_tensor_file_release(f);
}
END_TEST

START_TEST(no_memory)
{
    mu_tensor_file *f = NULL;
    char *text;
    ck_survives_oom(write_file(path), (void)0);
    ck_survives_oom(mu_tensor_file_open(path, FORMAT, VERSION, &f), mu_tensor_file_release(f));
    ck_survives_oom(write_sharded(other, 2), (void)0);
    ck_survives_oom(mu_tensor_file_open(other, FORMAT, VERSION, &f), mu_tensor_file_release(f));
    ck_ok(mu_tensor_file_open(path, FORMAT, VERSION, &f));
    ck_survives_oom(mu_tensor_file_text(f, "/meta/config", &text), mu_free(text));
    mu_tensor_file_release(f);
}
END_TEST

/* h5py, where it is installed, reads it without knowing Muster, and writes what is then named as bad or read. */
START_TEST(h5py)
{
    char command[2048];
    snprintf(command, sizeof command, "%s -c 'import h5py' 2>/dev/null", getenv("MUSTER_PYTHON") ? getenv("MUSTER_PYTHON") : "python3");
    if (system(command) != 0) {
        puts("h5py: skipped, MUSTER_PYTHON names no Python that has it");
        return;
    }
    ck_ok(write_file(path));
    snprintf(command, sizeof command,
             "%s -c \"\nimport h5py, numpy as np\n"
             "f = h5py.File('%s')\n"
             "assert f.attrs['muster_format'] == b'checkpoint' and f.attrs['muster_version'] == 2\n"
             "assert f['meta/config'][()].decode() == 'lr: 0.1 # \\u00e9\\n' and f['meta/nothing'][()] == b''\n"
             "assert f['meta/epoch'][()] == -3 and f['meta/lr'][()] == 0.1\n"
             "assert f['state/z.weight'].shape == (30, 100) and f['state/z.weight'][29, 99] == np.float32(2999) / np.float32(7)\n"
             "assert list(f['state/flags'][()]) == [True, False, True] and f['state/flags'].dtype == bool\n"
             "assert f['state/none'].shape == (0, 3) and f['state/counted'][2047] == 2047\n"
             "g = h5py.File('%s', 'w', libver='latest')\n"
             "g.attrs['muster_format'] = 'checkpoint'; g.attrs['muster_version'] = 1; g.attrs['uuid'] = 'x'\n"
             "g.create_dataset('w/a', data=np.arange(6.).reshape(2, 3)); g.close()\n\"",
             getenv("MUSTER_PYTHON") ? getenv("MUSTER_PYTHON") : "python3", path, other);
    ck_assert_int_eq(system(command), 0);
    ck_ok(write_sharded(path, 2));
    snprintf(command, sizeof command,
             "cd / && %s -c \"\nimport h5py, json, numpy as np\n"
             "f = h5py.File('%s')\n"
             "assert f['state/z.weight'][29, 99] == np.float32(2999) / np.float32(7) and f['state/counted'][2047] == 2047\n"
             "assert f['meta/lr'][()] == 0.1 and len(json.loads(f['muster_shards'][()])) == 2\n\"",
             getenv("MUSTER_PYTHON") ? getenv("MUSTER_PYTHON") : "python3", path);
    ck_assert_int_eq(system(command), 0);
    mu_tensor_file *f;
    double value[6];
    ck_ok(mu_tensor_file_open(other, FORMAT, VERSION, &f));
    ck_assert_int_eq(mu_tensor_file_count(f), 1);
    ck_assert(!mu_tensor_file_at(f, 0)->hashed);
    ck_ok(mu_tensor_file_read(f, 0, value, sizeof value));
    ck_assert_double_eq(value[5], 5);
    mu_tensor_file_release(f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tensor_file");
    TCase *tcase = tcase_create("tensor_file");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, round_trip);
    tcase_add_test(tcase, snapshots);
    tcase_add_test(tcase, empty_file);
    tcase_add_test(tcase, many_datasets);
    tcase_add_test(tcase, wrong_declarations);
    tcase_add_test(tcase, failures_keep_the_old_file);
    tcase_add_test(tcase, truncations_are_found);
    tcase_add_test(tcase, flips_are_found);
    tcase_add_test(tcase, other_files);
    tcase_add_loop_test(tcase, shards, 0, 4);
    tcase_add_test(tcase, bad_shards);
    tcase_add_test(tcase, threads_read);
    tcase_add_test(tcase, no_memory);
    tcase_add_test(tcase, h5py);
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}
