#include "vis/scalars.h"

#include "test.h"

#include <fcntl.h>
#include <hdf5.h>
#include <math.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[64];

static void begin(void)
{
    snprintf(dir, sizeof dir, "/tmp/muster-scalars-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
}

static void end(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    ck_assert_int_eq(system(command), 0);
    ck_assert_int_eq(mu_mem_get_counts().live_blocks, 0);
}

static const char *in(const char *name)
{
    static char path[4][256];
    static int next;
    next = (next + 1) % 4;
    snprintf(path[next], sizeof path[next], "%s/%s", dir, name);
    return path[next];
}

static void put_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
    ck_assert_int_eq(fclose(file), 0);
}

static const char *text_of(const char *path)
{
    static char text[1 << 16];
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    size_t n = fread(text, 1, sizeof text - 1, file);
    text[n] = '\0';
    fclose(file);
    return text;
}

static const double values[] = {0.1, 1.0 / 3, 1e-300, 12345678901234567890.0, -0.0, 5, NAN, INFINITY};
enum { N_VALUES = sizeof values / sizeof values[0] };

/* Lines of a run by epochs of 10 iterations: all five iterations a loss, after each epoch an accuracy. */
static mu_err add_run(mu_scalars_writer *w, int first, int last)
{
    for (int iter = first; iter <= last; iter++) {
        int epoch = (iter - 1) / 10 + 1;
        const mu_scalar train[] = {{"lr", 0.01}, {"loss", values[iter % N_VALUES]}, {"epoch", epoch}, {"iter", iter}};
        const mu_scalar val[] = {{"accuracy/top1", 90 + epoch}};
        if (iter % 5 == 0)
            MU_TRY(mu_scalars_writer_add(w, iter, train, 4));
        if (iter % 10 == 0)
            MU_TRY(mu_scalars_writer_add(w, epoch, val, 1));
    }
    return MU_OK;
}

static void check_run(const mu_scalars *s, int last, bool exact)
{
    const mu_series *loss = mu_scalars_find(s, "loss"), *top1 = mu_scalars_find(s, "accuracy/top1");
    ck_assert(loss && top1 && mu_scalars_find(s, "lr") && !mu_scalars_find(s, "epoch") && s->n == 3);
    ck_assert_str_eq(s->item[0].tag, "lr");
    ck_assert_str_eq(s->item[2].tag, "accuracy/top1");
    ck_assert_uint_eq(loss->n, (size_t)last / 5);
    ck_assert_uint_eq(top1->n, (size_t)last / 10);
    for (size_t i = 0; i < loss->n; i++) {
        double wanted = values[5 * (i + 1) % N_VALUES];
        ck_assert_int_eq(loss->point[i].step, 5 * (int64_t)(i + 1));
        ck_assert_int_eq(loss->point[i].epoch, (int64_t)i / 2 + 1);
        if (isfinite(wanted) || exact)
            ck_assert(memcmp(&loss->point[i].value, &wanted, sizeof wanted) == 0);
        else
            ck_assert(isnan(loss->point[i].value));
    }
    for (size_t i = 0; i < top1->n; i++) {
        ck_assert_int_eq(top1->point[i].step, (int64_t)i + 1);
        ck_assert_int_eq(top1->point[i].epoch, -1);
        ck_assert_double_eq(top1->point[i].value, 91 + (double)i);
    }
}

START_TEST(round_trip)
{
    mu_scalars_writer *w;
    mu_scalars s;
    ck_ok(mu_scalars_writer_new(dir, &w));
    ck_ok(add_run(w, 1, 40));
    ck_ok(mu_scalars_read(in("scalars.jsonl"), &s)); /* each line is there at once */
    check_run(&s, 40, false);
    ck_assert(isnan(s.item[0].point[0].time));
    mu_scalars_release(&s);
    mu_scalars_writer_release(w);
    ck_ok(mu_scalars_read(in("scalars.h5"), &s));
    check_run(&s, 40, true);
    ck_assert(s.item[0].point[0].time > 1.6e9 && s.item[0].point[7].time >= s.item[0].point[0].time);
    mu_scalars_release(&s);
    ck_ok(mu_scalars_read(dir, &s)); /* the lines, with the times of the file */
    check_run(&s, 40, false);
    ck_assert(s.item[0].point[7].time > 1.6e9);
    mu_scalars_release(&s);
    ck_assert(strncmp(text_of(in("scalars.jsonl")), "{\"lr\": 0.01, \"loss\": 5, \"epoch\": 1, \"iter\": 5, \"step\": 5}\n", 58) == 0);
}
END_TEST

START_TEST(axes)
{
    mu_scalars_writer *w;
    mu_scalars s;
    mu_axis axis;
    ck_ok(mu_scalars_writer_new(dir, &w));
    ck_ok(add_run(w, 1, 40));
    mu_scalars_writer_release(w);
    ck_ok(mu_scalars_read(dir, &s));
    const mu_point *loss = mu_scalars_find(&s, "loss")->point, *top1 = mu_scalars_find(&s, "accuracy/top1")->point;
    ck_ok(mu_axis_init(&axis, &s, MU_AXIS_STEP));
    ck_assert(axis.epoch_length == 10);
    ck_assert(mu_axis_at(&axis, &loss[2]) == 15 && mu_axis_at(&axis, &top1[2]) == 30);
    ck_ok(mu_axis_init(&axis, &s, MU_AXIS_EPOCH));
    ck_assert(mu_axis_at(&axis, &loss[2]) == 1.5 && mu_axis_at(&axis, &top1[2]) == 3);
    ck_ok(mu_axis_init(&axis, &s, MU_AXIS_TIME));
    ck_assert(mu_axis_at(&axis, &loss[0]) == 0);
    mu_scalars_release(&s);
    put_text(in("foreign.json"), "{\"loss\": 1, \"iter\": 3}\n\n{\"loss\": null, \"name\": \"x\", \"step\": 4}\n{\"loss\": 2, \"step\": 5}");
    ck_ok(mu_scalars_read(in("foreign.json"), &s));
    ck_assert(s.n == 1 && s.item[0].n == 3 && s.item[0].point[0].step == 3 && isnan(s.item[0].point[1].value));
    ck_ok(mu_axis_init(&axis, &s, MU_AXIS_STEP));
    ck_assert(mu_axis_at(&axis, &s.item[0].point[2]) == 5);
    ck_fails(mu_axis_init(&axis, &s, MU_AXIS_EPOCH), MU_ERR_USAGE, "does not count epochs");
    ck_fails(mu_axis_init(&axis, &s, MU_AXIS_TIME), MU_ERR_USAGE, "no times");
    mu_scalars_release(&s);
}
END_TEST

START_TEST(a_run_goes_on)
{
    mu_scalars_writer *w;
    mu_scalars s;
    ck_ok(mu_scalars_writer_new(dir, &w));
    ck_ok(add_run(w, 1, 20));
    mu_scalars_writer_release(w);
    ck_ok(mu_scalars_writer_new(dir, &w));
    ck_ok(add_run(w, 21, 40));
    mu_scalars_writer_release(w);
    ck_ok(mu_scalars_read(in("scalars.jsonl"), &s));
    check_run(&s, 40, false);
    mu_scalars_release(&s);
    ck_ok(mu_scalars_read(in("scalars.h5"), &s));
    check_run(&s, 40, false);
    for (size_t i = 0; i < s.item[0].n; i++)
        ck_assert(s.item[0].point[i].time > 1.6e9); /* also of the points from before */
    mu_scalars_release(&s);
}
END_TEST

/* Any cut of the last line. */
START_TEST(a_cut_line_is_left_out)
{
    const char whole[] = "{\"loss\": 1.5, \"step\": 1}\n", last[] = "{\"loss\": 2.5, \"step\": 2}";
    char text[128];
    for (size_t n = 0; n <= strlen(last); n++) {
        mu_scalars s;
        mu_scalars_writer *w;
        snprintf(text, sizeof text, "%s%.*s", whole, (int)n, last);
        put_text(in("scalars.jsonl"), text);
        ck_ok(mu_scalars_read(in("scalars.jsonl"), &s));
        ck_assert_uint_eq(s.item[0].n, n == strlen(last) ? 2 : 1);
        mu_scalars_release(&s);
        ck_ok(mu_scalars_writer_new(dir, &w));
        ck_ok(mu_scalars_writer_add(w, 3, &(mu_scalar){"loss", 3.5}, 1));
        mu_scalars_writer_release(w);
        snprintf(text, sizeof text, "%s%s%s{\"loss\": 3.5, \"step\": 3}\n", whole, n == strlen(last) ? last : "",
                 n == strlen(last) ? "\n" : "");
        ck_assert_str_eq(text_of(in("scalars.jsonl")), text);
    }
}
END_TEST

START_TEST(what_is_damaged_is_told)
{
    mu_scalars s;
    mu_scalars_writer *w;
    put_text(in("scalars.jsonl"), "{\"loss\": 1, \"step\": 1}\n{\"loss\": \n{\"loss\": 1, \"step\": 3}\n");
    ck_fails(mu_scalars_read(dir, &s), MU_ERR_FORMAT, "scalars.jsonl': line 2 is no JSON object");
    ck_fails(mu_scalars_writer_new(dir, &w), MU_ERR_FORMAT, "line 2");
    put_text(in("scalars.jsonl"), "{\"step\": 1}\n\n{\"loss\": NaN, \"step\": 2}\n");
    ck_fails(mu_scalars_read(dir, &s), MU_ERR_FORMAT, "line 3 is no JSON object: at column 10, JSON has no NaN");
    put_text(in("scalars.jsonl"), "[1]\n");
    ck_fails(mu_scalars_read(dir, &s), MU_ERR_FORMAT, "line 1 is no JSON object");
    ck_assert_str_eq(mu_error_last()->hint, "take the line out");
    ck_assert_int_eq(unlink(in("scalars.jsonl")), 0);
    ck_fails(mu_scalars_read(dir, &s), MU_ERR_IO, "there are no scalars in");
    ck_fails(mu_scalars_read(in("nothing.jsonl"), &s), MU_ERR_IO, "nothing.jsonl");
    ck_fails(mu_scalars_read(in("nothing.h5"), &s), MU_ERR_IO, "nothing.h5");
    put_text(in("no.h5"), "this is no HDF5 file");
    ck_fails(mu_scalars_read(in("no.h5"), &s), MU_ERR_FORMAT, "no.h5");
    ck_fails(mu_scalars_writer_new(in("nowhere"), &w), MU_ERR_IO, "nowhere/scalars.jsonl' cannot be written");
    ck_ok(mu_scalars_writer_new(dir, &w));
    ck_fails(mu_scalars_writer_add(w, 1, &(mu_scalar){"step", 1}, 1), MU_ERR_USAGE, "'step' cannot be the tag");
    ck_fails(mu_scalars_writer_add(w, 1, &(mu_scalar){"a//b", 1}, 1), MU_ERR_USAGE, "'a//b' cannot be the tag");
    ck_fails(mu_scalars_writer_add(w, 1, &(mu_scalar){"./b", 1}, 1), MU_ERR_USAGE, "'./b' cannot be the tag");
    ck_fails(mu_scalars_writer_add(w, 1, (mu_scalar[]){{"a", 1}, {"a", 2}}, 2), MU_ERR_USAGE, "'a' stands twice");
    mu_scalars_writer_release(w);
    ck_assert_str_eq(text_of(in("scalars.jsonl")), "");
    /* A damaged HDF5 file is made anew: the lines have it all. */
    put_text(in("scalars.h5"), "this is no HDF5 file");
    ck_ok(mu_scalars_writer_new(dir, &w));
    ck_ok(mu_scalars_writer_add(w, 1, &(mu_scalar){"a", 1}, 1));
    mu_scalars_writer_release(w);
    ck_ok(mu_scalars_read(in("scalars.h5"), &s));
    ck_assert_uint_eq(s.n, 1);
    mu_scalars_release(&s);
}
END_TEST

/* Tags that are folders of others, in HDF5, and names that only look alike. */
START_TEST(tags_that_meet)
{
    const mu_scalar scalars[] = {{"loss", 1}, {"loss/a", 2}, {"loss_", 3}, {"loss_/b", 4}, {"\xc3\xa4 \"x\"", 5}};
    mu_scalars_writer *w;
    mu_scalars s;
    ck_ok(mu_scalars_writer_new(dir, &w));
    ck_ok(mu_scalars_writer_add(w, 7, scalars, 5));
    mu_scalars_writer_release(w);
    ck_ok(mu_scalars_read(in("scalars.h5"), &s));
    ck_assert_uint_eq(s.n, 5);
    for (size_t i = 0; i < 5; i++) {
        ck_assert_str_eq(s.item[i].tag, scalars[i].tag);
        ck_assert(s.item[i].n == 1 && s.item[i].point[0].value == scalars[i].value);
    }
    mu_scalars_release(&s);
}
END_TEST

/* h5py's view: names and types of what is in the file. */
START_TEST(the_file_is_plain_hdf5)
{
    struct {
        int64_t step;
        double value;
    } row[3];
    mu_scalars_writer *w;
    ck_ok(mu_scalars_writer_new(dir, &w));
    for (int i = 0; i < 3; i++)
        ck_ok(mu_scalars_writer_add(w, i, &(mu_scalar){"a/b", i * 1.5}, 1));
    mu_scalars_writer_release(w);
    hid_t file = H5Fopen(in("scalars.h5"), H5F_ACC_RDONLY, H5P_DEFAULT), set = H5Dopen2(file, "/scalars/a/b", H5P_DEFAULT);
    hid_t type = H5Tcreate(H5T_COMPOUND, sizeof row[0]);
    ck_assert(set >= 0 && H5Tinsert(type, "step", 0, H5T_NATIVE_INT64) >= 0 && H5Tinsert(type, "value", 8, H5T_NATIVE_DOUBLE) >= 0);
    ck_assert(H5Dread(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, row) >= 0);
    ck_assert(row[2].step == 2 && row[2].value == 3.0);
    H5Tclose(type);
    H5Dclose(set);
    H5Fclose(file);
}
END_TEST

/* A second run in the same work_dir; one that went on; one that began anew. */
START_TEST(work_dirs)
{
    static const char *const logs[] = {"20260101_000000", "20260101_000001", "20260101_000002", "20260101_000003"};
    mu_scalars_writer *w;
    mu_scalars s;
    for (int i = 0; i < 4; i++) {
        char path[128];
        ck_assert_int_eq(mkdir(in(logs[i]), 0777), 0);
        snprintf(path, sizeof path, "%s/vis_data", logs[i]);
        ck_assert_int_eq(mkdir(in(path), 0777), 0);
        if (i == 3)
            break; /* a run that had no time to write */
        ck_ok(mu_scalars_writer_new(in(path), &w));
        if (i == 0)
            ck_ok(add_run(w, 1, 60)); /* by itself */
        if (i == 1)
            ck_ok(add_run(w, 1, 30)); /* killed after iteration 30, its checkpoint is of iteration 20 */
        if (i == 2)
            ck_ok(add_run(w, 21, 40));
        mu_scalars_writer_release(w);
    }
    ck_assert_int_eq(mkdir(in("checkpoints"), 0777), 0);
    ck_ok(mu_scalars_read(dir, &s));
    check_run(&s, 40, false);
    mu_scalars_release(&s);
    ck_ok(mu_scalars_read(in("20260101_000000"), &s));
    check_run(&s, 60, false);
    mu_scalars_release(&s);
}
END_TEST

/* The writer is killed at any moment: both files can be read, and hold what was announced. */
START_TEST(killed)
{
    for (int round = 0; round < 12; round++) {
        int fd[2];
        mu_scalars s;
        char sub[32];
        snprintf(sub, sizeof sub, "run%d", round);
        ck_assert_int_eq(mkdir(in(sub), 0777), 0);
        ck_assert_int_eq(pipe(fd), 0);
        pid_t pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0) {
            mu_scalars_writer *w;
            if (mu_scalars_writer_new(in(sub), &w))
                _exit(1);
            for (int i = 1;; i++)
                if (mu_scalars_writer_add(w, i, (mu_scalar[]){{"loss", i}, {"lr", 0.1}}, 2) || mu_scalars_writer_flush(w, 0) ||
                    write(fd[1], &i, sizeof i) != sizeof i)
                    _exit(1);
        }
        int told = 0, more;
        for (int k = 0; k < 3 + 5 * round; k++)
            ck_assert_int_eq(read(fd[0], &told, sizeof told), sizeof told);
        ck_assert_int_eq(kill(pid, SIGKILL), 0);
        ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
        close(fd[1]);
        while (read(fd[0], &more, sizeof more) == sizeof more)
            told = more;
        close(fd[0]);
        for (int k = 0; k < 2; k++) {
            char path[64];
            snprintf(path, sizeof path, "%s/scalars.%s", sub, k ? "h5" : "jsonl");
            ck_ok(mu_scalars_read(in(path), &s));
            ck_assert_int_ge((int64_t)s.item[0].n, told);
            for (size_t i = 0; i < s.item[0].n; i++)
                ck_assert(s.item[0].point[i].value == (double)(i + 1));
            mu_scalars_release(&s);
        }
    }
}
END_TEST

/* A limit on the size of files stands for a full disk: what was there stays whole. */
START_TEST(disk_full)
{
    mu_scalars_writer *w;
    mu_scalars s;
    mu_err err = MU_OK;
    int i = 0;
    signal(SIGXFSZ, SIG_IGN);
    ck_ok(mu_scalars_writer_new(dir, &w));
    struct rlimit limit = {20000, RLIM_INFINITY}, none = {RLIM_INFINITY, RLIM_INFINITY};
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    while (!err)
        err = mu_scalars_writer_add(w, ++i, &(mu_scalar){"loss", i}, 1);
    ck_fails(err, MU_ERR_IO, "free some space");
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &none), 0);
    ck_ok(mu_scalars_writer_add(w, i, &(mu_scalar){"loss", i}, 1));
    mu_scalars_writer_release(w);
    ck_ok(mu_scalars_read(in("scalars.jsonl"), &s));
    ck_assert_uint_eq(s.item[0].n, (size_t)i);
    mu_scalars_release(&s);
}
END_TEST

static mu_err write_and_read(void)
{
    mu_scalars_writer *w;
    mu_scalars s = {0};
    unlink(in("scalars.jsonl"));
    unlink(in("scalars.h5"));
    MU_TRY(mu_scalars_writer_new(dir, &w));
    mu_err err = add_run(w, 1, 20);
    if (!err)
        err = mu_scalars_writer_flush(w, 0);
    mu_scalars_writer_release(w);
    MU_TRY(err);
    MU_TRY(mu_scalars_writer_new(dir, &w));
    mu_scalars_writer_release(w);
    MU_TRY(mu_scalars_read(dir, &s));
    mu_scalars_release(&s);
    return MU_OK;
}

START_TEST(out_of_memory)
{
    ck_survives_oom(write_and_read(), );
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("scalars");
    TCase *tests = tcase_create("scalars");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, round_trip);
    tcase_add_test(tests, axes);
    tcase_add_test(tests, a_run_goes_on);
    tcase_add_test(tests, a_cut_line_is_left_out);
    tcase_add_test(tests, what_is_damaged_is_told);
    tcase_add_test(tests, tags_that_meet);
    tcase_add_test(tests, the_file_is_plain_hdf5);
    tcase_add_test(tests, work_dirs);
    tcase_add_test(tests, killed);
    tcase_add_test(tests, disk_full);
    tcase_add_test(tests, out_of_memory);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
