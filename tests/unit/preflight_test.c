#include "cli/preflight.h"

#include "io/disk.h"
#include "test.h"

#include <unistd.h>

enum { RANKS = 8 };

static preflight_facts facts[RANKS];
static mu_seat seats[RANKS];
static const mu_comm_speed world = {20e-6, 2e9}, between = {30e-6, 1e9};

/* Eight ranks on two nodes, four cores each, and nothing wrong with them. */
static void set_up(void)
{
    for (int r = 0; r < RANKS; r++) {
        facts[r] = (preflight_facts){.local_size = 4, .nodes = 2, .launcher = "srun", .slurm_tasks = 8, .slurm_nodes = 2,
                                     .binary = 11, .versions_hash = 22, .versions = "MPI 4", .config = 33,
                                     .batch = 16, .samples = 1000, .needs = 1 << 20, .checkpoint = 1 << 20,
                                     .memory = INT64_C(8) << 30, .limit_files = 4096, .limit_core = 0, .limit_memlock = -1,
                                     .write = 1e8 + r, .read = 2e8, .seen = 0.01, .file_system = "lustre", .network_files = true,
                                     .disk_free = INT64_C(10) << 30, .clock_error = 1e-5, .inside = {2e-6, 8e9}};
        seats[r] = (mu_seat){.node_index = r / 4, .cores = 1, .threads = 1, .node_cores = 4};
        snprintf(seats[r].node, sizeof seats[r].node, "n%d", r / 4 + 1);
        mu_cpus_add(&seats[r].cpus, r % 4);
    }
}

/* The report on the first n ranks, and whether it failed. */
static char *report_on(int n, bool json, bool *failed)
{
    preflight_report report = {.json = json};
    char *text;
    preflight_judge(facts, seats, n, true, &world, &between, "work", &report);
    ck_ok(mu_text_take(&report.text, &text));
    *failed = report.failed;
    return text;
}

/* The report has a line that begins with "WORD NAME" and holds `part`; it fails when the word is FAIL. */
static void says(int n, const char *word, const char *name, const char *part)
{
    char start[64];
    bool failed, found = false;
    char *text = report_on(n, false, &failed);
    snprintf(start, sizeof start, "%-5s %-10s ", word, name);
    for (char *line = text, *end; line && *line && !found; line = end ? end + 1 : NULL) {
        end = strchr(line, '\n');
        char *at = strstr(line, part);
        found = strncmp(line, start, strlen(start)) == 0 && at && (!end || at < end);
    }
    ck_assert_msg(found, "no line '%s%s' in:\n%s", start, part, text);
    ck_assert_msg(failed == (strcmp(word, "FAIL") == 0), "failed is wrong:\n%s", text);
    mu_free(text);
}

START_TEST(all_is_well)
{
    bool failed;
    char *text = report_on(RANKS, false, &failed);
    ck_assert(!failed);
    ck_assert_ptr_null(strstr(text, "WARN"));
    ck_assert_ptr_null(strstr(text, "FAIL"));
    mu_free(text);
    says(RANKS, "ok", "tasks", "8 ranks on 2 nodes, 4 on each, started by srun");
    says(RANKS, "ok", "batch", "16 a rank, 128 together, of 1000 samples");
    says(RANKS, "ok", "binding", "node n1: rank 0 core 0, rank 1 core 1, rank 2 core 2, rank 3 core 3; 1 more node alike, up to n2 with rank 7");
    says(RANKS, "ok", "files", "'work' on lustre, over the network: a rank writes 100 MB/s or more (together 800), reads 200");
    says(RANKS, "ok", "space", "10.7 GB free, a checkpoint takes 1.0 MB");
    says(RANKS, "ok", "network", "all ranks: an all-reduce of 8 bytes takes 20 us, of 16 MiB it does 2.00 GB/s");
    says(RANKS, "ok", "network", "inside the slowest node (n1): an all-reduce of 8 bytes takes 2 us, of 16 MiB it does 8.00 GB/s");
    says(RANKS, "ok", "network", "between nodes: an all-reduce of 8 bytes takes 30 us");
    says(RANKS, "ok", "memory", "2.1 GB or more free for a rank (n1), a training step takes 1.0 MB");
    says(RANKS, "ok", "limits", "4096 open files, unlimited bytes of locked memory, 0 bytes of core files");
    text = report_on(1, true, &failed);
    ck_assert_int_eq(strncmp(text, "\n  {\"check\": \"tasks\", \"status\": \"", 30), 0);
    mu_free(text);
}
END_TEST

START_TEST(tasks)
{
    facts[0].slurm_tasks = 4;
    says(1, "FAIL", "tasks", "one process, though the job has 4 tasks: start it with srun --mpi=pmix");
    says(RANKS, "WARN", "tasks", "8 ranks, though Slurm counts 4 tasks");
    facts[0].slurm_tasks = 8, facts[0].slurm_nodes = 3;
    says(RANKS, "WARN", "tasks", "8 ranks on 2 nodes, though the job has 3");
    facts[0].slurm_nodes = 2, facts[7].local_size = 3;
    says(RANKS, "WARN", "tasks", "unevenly: 3 to 4 on a node");
}
END_TEST

START_TEST(odd_ones)
{
    facts[5].binary = 12;
    says(RANKS, "FAIL", "program", "rank 5 (n2): another muster program, and not as the others; install the same one on all nodes");
    /* Rank 0 may be the odd one. */
    facts[5].binary = 11, facts[0].versions_hash = 1;
    says(RANKS, "FAIL", "libraries", "rank 0 (n1): other versions of libraries");
    facts[0].versions_hash = 22;
    for (int r = 2; r < RANKS; r++)
        facts[r].config = 34;
    says(RANKS, "FAIL", "config", "rank 0 (n1), rank 1 (n1): another config");
    /* None has a majority: what rank 0 has counts. */
    for (int r = 0; r < RANKS; r++)
        facts[r].config = (uint64_t)r;
    says(RANKS, "FAIL", "config", "rank 1 (n1), rank 2 (n1), rank 3 (n1), rank 4 (n2) and 3 more: another config, and not as the other;");
}
END_TEST

START_TEST(config_and_data)
{
    snprintf(facts[3].config_error, sizeof facts[3].config_error, "a.yaml:1:2: model.depth");
    says(RANKS, "FAIL", "config", "rank 3 (n1): a.yaml:1:2: model.depth");
    facts[3].config_error[0] = '\0';
    snprintf(facts[6].data_error, sizeof facts[6].data_error, "'train.h5' cannot be opened");
    says(RANKS, "FAIL", "data", "rank 6 (n2): 'train.h5' cannot be opened");
    facts[6].data_error[0] = '\0';
    facts[0].base_batch = 256;
    says(RANKS, "WARN", "batch", "128 samples of all ranks, though lr is meant for 256");
    facts[0].base_batch = 128, facts[0].samples = 100;
    says(RANKS, "WARN", "batch", "128 samples of all ranks are more than the training set has: 100");
}
END_TEST

START_TEST(cores)
{
    seats[1].threads = 2;
    says(RANKS, "WARN", "cores", "node n1: 4 ranks with 5 threads in all on 4 cores");
    seats[1].threads = 1;
    /* Two ranks on core 0. */
    seats[1].cpus = seats[0].cpus;
    seats[0].overlap = seats[1].overlap = true;
    says(RANKS, "WARN", "cores", "rank 0 (n1) is bound to cores that another rank is bound to, while others are idle");
    for (int r = 0; r < 4; r++)
        seats[r].node_cores = 3;
    says(RANKS, "WARN", "cores", "node n1: 4 ranks with 4 threads in all on 3 cores");
    set_up();
    facts[4].quota = 2.5;
    says(RANKS, "WARN", "quota", "node n2: its control group allows 2.5 cores' worth of time for 4 ranks");
}
END_TEST

START_TEST(files)
{
    snprintf(facts[2].file_error, sizeof facts[2].file_error, "Read-only file system");
    says(RANKS, "FAIL", "files", "rank 2 (n1): Read-only file system; --work-dir says where");
    facts[2].file_error[0] = '\0';
    facts[4].seen = facts[5].seen = -1;
    says(RANKS, "FAIL", "files", "rank 4 (n2), rank 5 (n2): no sight of a file that rank 0 made in 'work'");
    facts[4].seen = 3, facts[5].seen = 0;
    says(RANKS, "WARN", "files", "sees others' files after 3.00 s");
    facts[4].seen = 0;
    facts[0].checkpoint = INT64_C(6) << 30;
    says(RANKS, "WARN", "space", "10.7 GB free, a checkpoint takes 6.4 GB");
    facts[0].checkpoint = INT64_C(11) << 30;
    says(RANKS, "FAIL", "space", "10.7 GB free, a checkpoint takes 11.8 GB");
}
END_TEST

START_TEST(clocks_memory_limits)
{
    facts[6].clock_offset = -1.5;
    says(RANKS, "WARN", "clocks", "at most 1500.00 ms apart from rank 0's (rank 6, n2; known to 0.01 ms): times of files and logs will mislead");
    /* As far off, but perhaps only for the network's slowness. */
    facts[6].clock_error = 0.6;
    says(RANKS, "ok", "clocks", "at most 1500.00 ms apart from rank 0's (rank 6, n2; known to 600.00 ms)");
    set_up();
    facts[4].memory = INT64_C(1) << 30;
    facts[0].needs = INT64_C(1) << 29;
    says(RANKS, "FAIL", "memory", "268.4 MB or more free for a rank (n2), a training step takes 536.9 MB");
    facts[0].needs = 0;
    says(RANKS, "WARN", "memory", "268.4 MB or more free for a rank (n2)");
    set_up();
    facts[3].memory_limit = INT64_C(1) << 31, facts[0].needs = 0;
    says(RANKS, "ok", "memory", "536.9 MB or more free for a rank (n1)");
    facts[5].limit_files = 256;
    says(RANKS, "WARN", "limits", "rank 5 (n2) may open 256 files only: ulimit -n");
    facts[5].limit_files = -1, facts[2].limit_memlock = 65536;
    says(RANKS, "WARN", "limits", "rank 2 (n1) may lock 65536 bytes of memory only");
}
END_TEST

START_TEST(clock_arithmetic)
{
    double offset, error;
    /* The second look took least: there and back in 20 ms, the other clock 3 s ahead. */
    const mu_clock_look looks[] = {{100, 103.9, 101}, {200, 203.01, 200.02}, {300, 303.4, 300.5}};
    mu_clock_offset(looks, 3, &offset, &error);
    ck_assert_double_eq_tol(offset, 3, 1e-9);
    ck_assert_double_eq_tol(error, 0.01, 1e-9);
    mu_clock_offset(looks, 1, &offset, &error);
    ck_assert_double_eq_tol(offset, 3.4, 1e-9);
    ck_assert_double_eq_tol(error, 0.5, 1e-9);
    const mu_clock_look behind = {10, 4, 10.5};
    mu_clock_offset(&behind, 1, &offset, &error);
    ck_assert_double_eq_tol(offset, -6.25, 1e-9);
}
END_TEST

START_TEST(one_rank_probes)
{
    mu_comm *comm;
    mu_comm_speed speed;
    double offset = 1, error = -1;
    ck_ok(mu_comm_self_new(&comm));
    ck_ok(mu_comm_clock_offsets(comm, &offset, &error));
    ck_assert_double_le(offset < 0 ? -offset : offset, error + 1e-9);
    ck_ok(mu_comm_measure(comm, 1 << 16, &speed));
    ck_assert_double_gt(speed.bandwidth, 0);
    ck_survives_oom(mu_comm_clock_offsets(comm, &offset, &error), (void)0);
    ck_survives_oom(mu_comm_measure(comm, 1 << 10, &speed), (void)0);
    mu_comm_release(comm);
}
END_TEST

START_TEST(disk)
{
    char folder[] = "/tmp/muster-preflight-XXXXXX", path[64];
    mu_disk probed;
    ck_assert_ptr_nonnull(mkdtemp(folder));
    ck_ok(mu_disk_probe(folder, "probe", 1 << 20, &probed));
    ck_assert_double_gt(probed.write, 0);
    ck_assert_double_gt(probed.read, 0);
    ck_assert_int_gt(probed.free, 0);
    ck_assert_str_ne(probed.type, "");
    snprintf(path, sizeof path, "%s/probe", folder);
    ck_assert_int_ne(access(path, F_OK), 0);
    ck_survives_oom(mu_disk_probe(folder, "probe", 1 << 10, &probed), (void)0);
    /* What is there is left alone. */
    fclose(fopen(path, "w"));
    ck_fails(mu_disk_probe(folder, "probe", 1 << 10, &probed), MU_ERR_IO, "cannot be made: File exists");
    ck_assert_int_eq(access(path, F_OK), 0);
    ck_fails(mu_disk_probe("/dev", "full", 1 << 10, &probed), MU_ERR_IO, "cannot be made");
    unlink(path);
    rmdir(folder);
    ck_fails(mu_disk_probe(folder, "probe", 1 << 10, &probed), MU_ERR_IO, "No such file");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("preflight");
    TCase *tests = tcase_create("preflight");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, set_up, NULL);
    tcase_add_test(tests, all_is_well);
    tcase_add_test(tests, tasks);
    tcase_add_test(tests, odd_ones);
    tcase_add_test(tests, config_and_data);
    tcase_add_test(tests, cores);
    tcase_add_test(tests, files);
    tcase_add_test(tests, clocks_memory_limits);
    tcase_add_test(tests, clock_arithmetic);
    tcase_add_test(tests, one_rank_probes);
    tcase_add_test(tests, disk);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
