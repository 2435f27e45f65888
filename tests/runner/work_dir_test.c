#include "runner/work_dir.h"

#include "test.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char root[64], path[128];

static void begin(void)
{
    strcpy(root, "work_dir_test.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(root));
    snprintf(path, sizeof path, "%s/a/b//run", root);
}

static void end(void)
{
    char command[160];
    snprintf(command, sizeof command, "chmod -R u+rwx '%s'; rm -rf '%s'", root, root);
    ck_assert_int_eq(system(command), 0);
    ck_assert_int_eq(mu_mem_get_counts().live_blocks, 0);
}

static bool is_dir(const char *name)
{
    struct stat info;
    return stat(name, &info) == 0 && S_ISDIR(info.st_mode);
}

static void touch(const char *name)
{
    int fd = open(name, O_WRONLY | O_CREAT, 0666);
    ck_assert_int_ge(fd, 0);
    close(fd);
}

START_TEST(opens)
{
    mu_work_dir *dir;
    char expected[256];
    ck_ok(mu_work_dir_open(path, "20261122_024551", true, &dir));
    snprintf(expected, sizeof expected, "%s/20261122_024551", path);
    ck_assert_str_eq(mu_work_dir_log_dir(dir), expected);
    ck_assert_str_eq(mu_work_dir_timestamp(dir), "20261122_024551");
    ck_assert(is_dir(expected));
    mu_work_dir_release(dir);
    mu_work_dir_release(NULL);

    /* The same second again, twice. */
    for (int i = 1; i <= 2; i++) {
        ck_ok(mu_work_dir_open(path, "20261122_024551", true, &dir));
        snprintf(expected, sizeof expected, "20261122_024551_%d", i);
        ck_assert_str_eq(mu_work_dir_timestamp(dir), expected);
        ck_assert(is_dir(mu_work_dir_log_dir(dir)));
        mu_work_dir_release(dir);
    }
}
END_TEST

START_TEST(is_locked)
{
    mu_work_dir *dir, *other = NULL;
    char process[64];
    ck_ok(mu_work_dir_open(path, "t", true, &dir));
    snprintf(process, sizeof process, "in use by another run: process %ld on ", (long)getpid());
    ck_fails(mu_work_dir_open(path, "t", true, &other), MU_ERR_USAGE, process); /* also within one process */
    ck_fails(mu_work_dir_open(path, "t", true, &other), MU_ERR_USAGE, ", since 20");
    ck_fails(mu_work_dir_open(path, "t", true, &other), MU_ERR_USAGE, "--work-dir DIR");
    ck_assert_ptr_null(other);
    ck_ok(mu_work_dir_open(path, "t", false, &other)); /* only to look at what is there */
    ck_assert_str_eq(mu_work_dir_timestamp(other), "t_1");
    mu_work_dir_release(other);
    ck_fails(mu_work_dir_open(path, "t", true, &other), MU_ERR_USAGE, process);
    mu_work_dir_release(dir);
    ck_ok(mu_work_dir_open(path, "t", true, &dir));
    mu_work_dir_release(dir);
}
END_TEST

/* Closing another descriptor of the lock's file (an editor, a copy) does not give the lock back. */
START_TEST(lock_outlives_other_descriptors)
{
    mu_work_dir *dir, *other;
    char file[192];
    ck_ok(mu_work_dir_open(path, "t", true, &dir));
    snprintf(file, sizeof file, "%s/.lock", path);
    touch(file);
    ck_fails(mu_work_dir_open(path, "t", true, &other), MU_ERR_USAGE, "in use by another run: process ");
    mu_work_dir_release(dir);
}
END_TEST

enum { RUNNERS = 8 };

/* Many start at once: exactly one has it, the others are told by whom. */
START_TEST(race)
{
    int gate[2], result[2];
    pid_t child[RUNNERS];
    ck_assert_int_eq(pipe(gate) | pipe(result), 0);
    for (int i = 0; i < RUNNERS; i++) {
        child[i] = fork();
        if (child[i] == 0) {
            char c;
            mu_work_dir *dir;
            close(gate[1]);
            if (read(gate[0], &c, 1) != 0) /* until the gate opens */
                _exit(9);
            mu_err err = mu_work_dir_open(path, "t", true, &dir);
            const char *text = err ? test_error_text() : "";
            c = err == MU_OK ? 'w' : err == MU_ERR_USAGE && strstr(text, "another run: process ") ? 'l' : '?';
            if (write(result[1], &c, 1) != 1)
                _exit(9);
            pause();
        }
    }
    close(gate[0]);
    close(gate[1]);
    int won = 0, lost = 0;
    for (int i = 0; i < RUNNERS; i++) {
        char c = 0;
        ck_assert_int_eq(read(result[0], &c, 1), 1);
        won += c == 'w';
        lost += c == 'l';
    }
    for (int i = 0; i < RUNNERS; i++) { /* killed, winner and all */
        kill(child[i], SIGKILL);
        waitpid(child[i], NULL, 0);
    }
    close(result[0]);
    close(result[1]);
    ck_assert_int_eq(won, 1);
    ck_assert_int_eq(lost, RUNNERS - 1);
    mu_work_dir *dir;
    ck_ok(mu_work_dir_open(path, "t", true, &dir)); /* no lock is left */
    ck_assert_str_eq(mu_work_dir_timestamp(dir), "t_1");
    mu_work_dir_release(dir);
}
END_TEST

START_TEST(files_in_the_way)
{
    char name[160];
    mu_work_dir *dir;
    snprintf(name, sizeof name, "%s/a", root);
    touch(name);
    ck_fails(mu_work_dir_open(path, "t", true, &dir), MU_ERR_IO, "/a' is a file, and a folder is to be made there");
    snprintf(name, sizeof name, "%s/c", root);
    touch(name);
    ck_fails(mu_work_dir_open(name, "t", true, &dir), MU_ERR_IO, "/c' is a file");
    snprintf(name, sizeof name, "%s/d/.lock", root);
    ck_ok(mu_make_dirs(name));
    snprintf(name, sizeof name, "%s/d", root);
    ck_fails(mu_work_dir_open(name, "t", true, &dir), MU_ERR_IO, "/d/.lock' cannot be opened for writing: Is a directory");
}
END_TEST

START_TEST(makes_folders)
{
    char name[400];
    ck_fails(mu_make_dirs(""), MU_ERR_USAGE, "empty");
    ck_ok(mu_make_dirs("/"));
    ck_ok(mu_make_dirs("."));
    snprintf(name, sizeof name, "%s/x/../x/y///", root);
    ck_ok(mu_make_dirs(root));
    ck_ok(mu_make_dirs(name)); /* x is made before x/.. is looked at */
    snprintf(name, sizeof name, "%s/x/y///", root);
    ck_ok(mu_make_dirs(name));
    ck_assert(is_dir(name));
    ck_ok(mu_make_dirs(name));
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    ck_fails(mu_make_dirs(name), MU_ERR_IO, "File name too long");
    snprintf(name, sizeof name, "%s/two\nlines", root);
    ck_fails(mu_make_dirs(name), MU_ERR_USAGE, "has a line break");
    ck_assert(!is_dir(name));
    ck_fails(mu_make_dirs("/proc/muster"), MU_ERR_IO, "folder '/proc/muster' cannot be made");
}
END_TEST

/* What a killed run was writing goes, when the folder is locked; what is somebody else's stays. */
START_TEST(removes_leftovers)
{
    static const char *const gone[] = {"epoch_3.h5.0123abcd.part", "epoch_3-00000-of-00002.h5.deadbeef.part", "last_checkpoint.00ff00ff.tmp",
                                       "killed/vis_data/scalars.h5.00112233.tmp"};
    static const char *const kept[] = {"epoch_3.h5",           "last_checkpoint",           "epoch_3.h5.part",   "epoch_3.h5.notahexn.part",
                                       "notes.0123abcd.tmp",   "results.h5.0123abcd.tmp",   "killed/scalars.h5", "killed/scalars.h5.00112233.tmp",
                                       "killed/vis_data/a.png.00112233.tmp"};
    mu_work_dir *dir;
    char name[256];
    snprintf(name, sizeof name, "%s/killed/vis_data", path);
    ck_ok(mu_make_dirs(name));
    ck_ok(mu_work_dir_open(path, "t", false, &dir));
    mu_work_dir_release(dir);
    for (int locked = 0; locked < 2; locked++) {
        for (size_t i = 0; i < sizeof gone / sizeof *gone; i++) {
            snprintf(name, sizeof name, "%s/%s", path, gone[i]);
            touch(name);
        }
        for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
            snprintf(name, sizeof name, "%s/%s", path, kept[i]);
            touch(name);
        }
        ck_ok(mu_work_dir_open(path, "t", locked, &dir));
        mu_work_dir_release(dir);
        for (size_t i = 0; i < sizeof gone / sizeof *gone; i++) {
            snprintf(name, sizeof name, "%s/%s", path, gone[i]);
            ck_assert_msg((access(name, F_OK) != 0) == locked, "%s", name);
        }
        for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
            snprintf(name, sizeof name, "%s/%s", path, kept[i]);
            ck_assert_msg(access(name, F_OK) == 0, "%s", name);
        }
    }
}
END_TEST

START_TEST(unwritable)
{
    mu_work_dir *dir;
    if (geteuid() == 0)
        return; /* root may write anywhere; makes_folders asks /proc */
    ck_assert_int_eq(chmod(root, 0555), 0);
    ck_fails(mu_work_dir_open(path, "t", true, &dir), MU_ERR_IO, "Permission denied");
    ck_fails(mu_work_dir_open(path, "t", true, &dir), MU_ERR_IO, "choose a work_dir that you may write to");
    ck_fails(mu_work_dir_open(root, "t", true, &dir), MU_ERR_IO, "/.lock' cannot be opened for writing: Permission denied");
}
END_TEST

START_TEST(memory)
{
    mu_work_dir *dir;
    ck_survives_oom(mu_work_dir_open(path, "t", true, &dir), mu_work_dir_release(dir));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("work_dir");
    TCase *tc = tcase_create("work_dir");
    tcase_add_checked_fixture(tc, begin, end);
    tcase_add_test(tc, opens);
    tcase_add_test(tc, is_locked);
    tcase_add_test(tc, lock_outlives_other_descriptors);
    tcase_add_test(tc, race);
    tcase_add_test(tc, files_in_the_way);
    tcase_add_test(tc, makes_folders);
    tcase_add_test(tc, removes_leftovers);
    tcase_add_test(tc, unwritable);
    tcase_add_test(tc, memory);
    suite_add_tcase(suite, tc);
    return test_run(suite);
}
