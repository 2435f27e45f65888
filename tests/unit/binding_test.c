#include "config.h"

#include "core/mem.h"
#include "dist/binding.h"
#include "test.h"

#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

static mu_cpus list(const char *text)
{
    mu_cpus cpus;
    ck_ok(mu_cpus_parse(text, &cpus));
    return cpus;
}

/* ---- sets of processors ---- */

START_TEST(sets)
{
    char text[64];
    static const char *const lists[] = {"", "0", "3", "0-3", "0-3,8", "0,2,4-5,63-65,4095"};
    static const int counts[] = {0, 1, 1, 4, 5, 8};
    for (int i = 0; i < 6; i++) {
        mu_cpus cpus = list(lists[i]);
        ck_assert_int_eq(mu_cpus_count(&cpus), counts[i]);
        ck_assert_str_eq(mu_cpus_format(&cpus, text, sizeof text), lists[i]);
    }
    mu_cpus all = list("0,2,4-5,63-65,4095");
    mu_cpus_format(&all, text, 8);
    ck_assert_str_eq(text, "0,2,4-5");
    static const char *const wrong[] = {"a", "1-", "-1", "3-2", "1,,2", "4096", "0-4096", "1 2", "1;2"};
    for (int i = 0; i < 9; i++)
        ck_fails(mu_cpus_parse(wrong[i], &all), MU_ERR_FORMAT, "is no list of processors");
    ck_assert_int_eq(mu_cpus_count(&all), 8);
    mu_cpus a = list("0-3"), b = list("3-4"), c = list("4");
    ck_assert(mu_cpus_meet(&a, &b) && !mu_cpus_meet(&a, &c));
    mu_cpus_join(&a, &c);
    mu_cpus_add(&a, -1);
    mu_cpus_add(&a, MU_MAX_CPUS);
    b = list("0-4\n");
    ck_assert(mu_cpus_equal(&a, &b));
    ck_assert(!mu_cpus_has(&a, -1) && !mu_cpus_has(&a, 5) && mu_cpus_has(&a, 4));
}
END_TEST

/* ---- what the kernel tells, in a made folder ---- */

static char root[32];

static void make_root(void)
{
    strcpy(root, "/tmp/muster-binding-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(root));
}

/* Writes root/path with the folders above it. */
static void put(const char *path, const char *text)
{
    char full[PATH_MAX];
    snprintf(full, sizeof full, "%s/%s", root, path);
    for (char *slash = strchr(full + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(full, 0755);
        *slash = '/';
    }
    FILE *file = fopen(full, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
}

static void clear(void)
{
    char command[PATH_MAX];
    snprintf(command, sizeof command, "rm -rf '%s'", root);
    ck_assert_int_eq(system(command), 0);
}

START_TEST(cores_of_siblings)
{
    make_root();
    for (int cpu = 0; cpu < 8; cpu++) {
        char path[64], text[16];
        snprintf(path, sizeof path, "cpu%d/topology/thread_siblings_list", cpu);
        snprintf(text, sizeof text, "%d,%d\n", cpu % 4, cpu % 4 + 4);
        put(path, text);
    }
    static const char *const masks[] = {"0-7", "0-3", "4-7", "1,5", "0-1,5", "0-9", ""};
    static const int cores[] = {4, 4, 4, 1, 2, 6, 0};
    for (int i = 0; i < 7; i++) {
        mu_cpus cpus = list(masks[i]);
        ck_assert_int_eq(mu_cpus_cores(&cpus, root), cores[i]);
    }
    clear();
}
END_TEST

START_TEST(quotas)
{
    make_root();
    ck_assert_double_eq(mu_cpu_quota(root), 0);
    put("proc/self/cgroup", "0::/job/step\n");
    ck_assert_double_eq(mu_cpu_quota(root), 0);
    put("sys/fs/cgroup/job/step/cpu.max", "max 100000\n");
    ck_assert_double_eq(mu_cpu_quota(root), 0);
    put("sys/fs/cgroup/job/cpu.max", "250000 100000\n");
    ck_assert_double_eq(mu_cpu_quota(root), 2.5);
    put("sys/fs/cgroup/job/step/cpu.max", "400000 100000\n");
    ck_assert_double_eq(mu_cpu_quota(root), 2.5);
    put("sys/fs/cgroup/cpu.max", "100000 100000\n");
    ck_assert_double_eq(mu_cpu_quota(root), 1);
    put("proc/self/cgroup", "5:memory:/job\n4:cpu,cpuacct:/job\n0::/\n");
    put("sys/fs/cgroup/cpu.max", "max 100000\n");
    put("sys/fs/cgroup/cpu/job/cpu.cfs_quota_us", "-1\n");
    put("sys/fs/cgroup/cpu/job/cpu.cfs_period_us", "100000\n");
    ck_assert_double_eq(mu_cpu_quota(root), 0);
    put("sys/fs/cgroup/cpu/job/cpu.cfs_quota_us", "150000\n");
    ck_assert_double_eq(mu_cpu_quota(root), 1.5);
    ck_assert_int_eq(mu_memory_limit(root), 0);
    put("proc/self/cgroup", "4:memory:/job/step\n0::/\n");
    put("sys/fs/cgroup/memory/job/step/memory.limit_in_bytes", "9223372036854771712\n");
    ck_assert_int_eq(mu_memory_limit(root), 0);
    put("sys/fs/cgroup/memory/job/memory.limit_in_bytes", "400000000\n");
    ck_assert_int_eq(mu_memory_limit(root), 400000000);
    put("proc/self/cgroup", "0::/job/step\n");
    put("sys/fs/cgroup/job/memory.max", "300000000\n");
    put("sys/fs/cgroup/job/step/memory.max", "max\n");
    ck_assert_int_eq(mu_memory_limit(root), 300000000);
    clear();
    ck_assert_int_ge(mu_cpu_count(), 1);
}
END_TEST

START_TEST(binds_itself)
{
    mu_cpus mask, one = {0}, now;
    ck_assert(mu_cpus_allowed(0, &mask));
    int cpu = 0;
    while (!mu_cpus_has(&mask, cpu))
        cpu++;
    mu_cpus_add(&one, cpu);
    ck_ok(mu_cpus_bind(&one));
    ck_assert(mu_cpus_allowed(0, &now) && mu_cpus_equal(&now, &one));
    ck_assert_int_eq(mu_cpu_count(), 1);
    ck_ok(mu_cpus_bind(&mask));
    ck_fails(mu_cpus_bind(&(mu_cpus){0}), MU_ERR_SYSTEM, "cannot be bound");
    ck_assert(mu_cpus_allowed(0, &now) && mu_cpus_equal(&now, &mask));
}
END_TEST

/* ---- decisions ---- */

enum { MAX_PLACES = 256 };

/* As Linux numbers them: first one hardware thread of every core, then the others. */
static mu_machine made(mu_place *place, const int *cores_of_node, int nodes, int threads)
{
    int n = 0, core = 0, cores = 0;
    for (int k = 0; k < nodes; k++)
        cores += cores_of_node[k];
    for (int k = 0; k < nodes; k++)
        for (int c = 0; c < cores_of_node[k]; c++, core++)
            for (int t = 0; t < threads; t++)
                place[n++] = (mu_place){.cpu = core + t * cores, .core = core, .numa = k};
    return (mu_machine){.place = place, .n = n};
}

/* n ranks, all of which may use `may`, come to wanted[r]. */
static void shares(const mu_machine *machine, const char *may, int n, const char *const *wanted)
{
    mu_cpus all[64], out;
    char text[64];
    for (int r = 0; r < n; r++)
        all[r] = list(may);
    for (int r = 0; r < n; r++) {
        ck_assert_int_eq(mu_binding_decide(machine, all, n, r, &out), MU_BINDING_SHARED);
        ck_assert_str_eq(mu_cpus_format(&out, text, sizeof text), wanted[r]);
    }
}

START_TEST(hwloc_machine)
{
#ifdef HAVE_HWLOC
    mu_machine machine;
    setenv("HWLOC_SYNTHETIC", "node:2 core:8 pu:2", 1);
    ck_ok(mu_machine_read(&machine));
    ck_assert_int_eq(machine.n, 32);
    for (int i = 0; i < 32; i++) {
        ck_assert_int_eq(machine.place[i].cpu, i);
        ck_assert_int_eq(machine.place[i].core, i / 2);
        ck_assert_int_eq(machine.place[i].numa, i / 16);
    }
    shares(&machine, "0-31", 2, (const char *[]){"0-15", "16-31"});
    shares(&machine, "0-31", 4, (const char *[]){"0-7", "8-15", "16-23", "24-31"});
    mu_machine_release(&machine);
    ck_survives_oom(mu_machine_read(&machine), mu_machine_release(&machine));
    unsetenv("HWLOC_SYNTHETIC");
    ck_ok(mu_machine_read(&machine));
    ck_assert_int_ge(machine.n, 1);
    mu_machine_release(&machine);
    ck_assert_int_eq(machine.n, 0);
#endif
}
END_TEST

START_TEST(even_shares)
{
    mu_place place[MAX_PLACES];
    mu_machine machine = made(place, (int[]){8, 8}, 2, 2);
    shares(&machine, "0-31", 2, (const char *[]){"0-7,16-23", "8-15,24-31"});
    shares(&machine, "0-31", 4, (const char *[]){"0-3,16-19", "4-7,20-23", "8-11,24-27", "12-15,28-31"});
    /* Within NUMA nodes one of three ranks would have 8 cores and two 4: better 5, 5 and 6. */
    shares(&machine, "0-31", 3, (const char *[]){"0-4,16-20", "5-9,21-25", "10-15,26-31"});
    /* Six ranks have two or three cores each, none of both NUMA nodes. */
    shares(&machine, "0-15", 6, (const char *[]){"0-1", "2-4", "5-7", "8-9", "10-12", "13-15"});
    shares(&machine, "16-31", 2, (const char *[]){"16-23", "24-31"});
    /* Half of the first NUMA node is somebody else's. */
    shares(&machine, "4-15", 3, (const char *[]){"4-7", "8-11", "12-15"});
    machine = made(place, (int[]){12, 4}, 2, 1);
    shares(&machine, "0-15", 4, (const char *[]){"0-3", "4-7", "8-11", "12-15"});
    machine = made(place, (int[]){4, 4, 4, 4}, 4, 1);
    shares(&machine, "0-15", 2, (const char *[]){"0-7", "8-15"});
    machine = made(place, (int[]){4, 3}, 2, 1);
    shares(&machine, "0-6", 4, (const char *[]){"0-1", "2-3", "4", "5-6"});
}
END_TEST

START_TEST(other_choices)
{
    mu_place place[MAX_PLACES];
    mu_machine machine = made(place, (int[]){2, 2}, 2, 2);
    mu_cpus out, may[6];
    char text[64];
    /* Fewer cores than ranks: left alone, with eight hardware threads, too. */
    for (int r = 0; r < 5; r++)
        may[r] = list("0-7");
    ck_assert_int_eq(mu_binding_decide(&machine, may, 5, 3, &out), MU_BINDING_CROWDED);
    ck_assert(mu_cpus_equal(&out, &may[3]));
    ck_assert_int_eq(mu_binding_decide(&machine, may, 4, 3, &out), MU_BINDING_SHARED);
    ck_assert_str_eq(mu_cpus_format(&out, text, sizeof text), "3,7");
    ck_assert_int_eq(mu_binding_decide(&machine, may, 1, 0, &out), MU_BINDING_KEPT);
    ck_assert(mu_cpus_equal(&out, &may[0]));
    /* Bound one by one. */
    for (int r = 0; r < 4; r++) {
        may[r] = (mu_cpus){0};
        mu_cpus_add(&may[r], 3 - r);
    }
    for (int r = 0; r < 4; r++) {
        ck_assert_int_eq(mu_binding_decide(&machine, may, 4, r, &out), MU_BINDING_KEPT);
        ck_assert(mu_cpus_equal(&out, &may[r]));
    }
    /* Bound to NUMA nodes in turns: two ranks share each. */
    for (int r = 0; r < 4; r++)
        may[r] = list(r % 2 ? "2-3,6-7" : "0-1,4-5");
    static const char *const wanted[] = {"0,4", "2,6", "1,5", "3,7"};
    for (int r = 0; r < 4; r++) {
        ck_assert_int_eq(mu_binding_decide(&machine, may, 4, r, &out), MU_BINDING_SHARED);
        ck_assert_str_eq(mu_cpus_format(&out, text, sizeof text), wanted[r]);
    }
    /* In part the same. */
    may[0] = list("0-1"), may[1] = list("1-2"), may[2] = list("3");
    ck_assert_int_eq(mu_binding_decide(&machine, may, 3, 0, &out), MU_BINDING_OVERLAP);
    ck_assert(mu_cpus_equal(&out, &may[0]));
    ck_assert_int_eq(mu_binding_decide(&machine, may, 3, 2, &out), MU_BINDING_KEPT);
    /* Processors of which nothing is known. */
    may[0] = may[1] = list("100-110");
    ck_assert_int_eq(mu_binding_decide(&machine, may, 2, 0, &out), MU_BINDING_CROWDED);
    ck_assert(mu_cpus_equal(&out, &may[0]));
}
END_TEST

/* Whatever the machine: shares do not meet, nothing is left out, and nobody has less than an even share, rounded down. */
START_TEST(any_machine)
{
    mu_place place[MAX_PLACES];
    unsigned state = 12345 + (unsigned)_i;
    for (int round = 0; round < 400; round++) {
        int sizes[4], nodes = 1 + (int)((state = state * 1664525 + 1013904223) >> 30), cores = 0;
        for (int k = 0; k < nodes; k++)
            cores += sizes[k] = 1 + (int)((state = state * 1664525 + 1013904223) >> 28);
        mu_machine machine = made(place, sizes, nodes, 1 + round % 2);
        mu_cpus may[64] = {0}, all = {0}, out;
        int ranks = 2 + (int)((state = state * 1664525 + 1013904223) >> 27) % 20;
        for (int i = 0; i < machine.n; i++)
            mu_cpus_add(&may[0], place[i].cpu);
        for (int r = 1; r < ranks; r++)
            may[r] = may[0];
        for (int r = 0; r < ranks; r++) {
            mu_binding_choice choice = mu_binding_decide(&machine, may, ranks, r, &out);
            ck_assert_int_eq(choice, ranks > cores ? MU_BINDING_CROWDED : MU_BINDING_SHARED);
            if (ranks > cores)
                continue;
            ck_assert(!mu_cpus_meet(&all, &out));
            ck_assert_int_ge(mu_cpus_count(&out), cores / ranks * (1 + round % 2));
            mu_cpus_join(&all, &out);
        }
        ck_assert(ranks > cores || mu_cpus_equal(&all, &may[0]));
    }
}
END_TEST

/* ---- the map ---- */

static mu_seat seat(const char *node, int index, const char *cpus, int cores, int threads, int node_cores, int numa)
{
    mu_seat s = {.node_index = index, .cores = cores, .threads = threads, .node_cores = node_cores,
                 .numa = UINT64_C(1) << numa, .cpus = list(cpus)};
    snprintf(s.node, sizeof s.node, "%s", node);
    return s;
}

static void map_is(const mu_seat *seats, int n, const char *wanted, const char *crowding)
{
    mu_text map = {0}, warning = {0};
    mu_binding_map(seats, n, &map);
    mu_binding_crowding(seats, n, &warning);
    ck_ok(mu_text_status(&map));
    ck_assert_str_eq(map.data, wanted);
    if (crowding)
        ck_assert_ptr_nonnull(strstr(warning.data, crowding));
    else
        ck_assert_ptr_null(warning.data);
    mu_text_release(&map);
    mu_text_release(&warning);
}

START_TEST(maps)
{
    mu_seat s[64];
    s[0] = seat("n1", 0, "0-7", 8, 8, 16, 0), s[1] = seat("n1", 0, "8-15", 8, 8, 16, 1);
    map_is(s, 1, "node n1: rank 0 cores 0-7 (NUMA 0)", NULL);
    map_is(s, 2, "node n1: rank 0 cores 0-7 (NUMA 0), rank 1 cores 8-15 (NUMA 1)", NULL);
    s[2] = seat("n2", 1, "0-7", 8, 8, 16, 0), s[3] = seat("n2", 1, "8-15", 8, 8, 16, 1);
    map_is(s, 4, "node n1: rank 0 cores 0-7 (NUMA 0), rank 1 cores 8-15 (NUMA 1); 1 more node alike, up to n2 with rank 3", NULL);
    s[4] = seat("n3", 2, "0-3,16-19", 4, 9, 8, 0), s[5] = seat("n3", 2, "4", 1, 1, 8, 0);
    map_is(s, 6,
           "node n1: rank 0 cores 0-7 (NUMA 0), rank 1 cores 8-15 (NUMA 1); 1 more node alike, up to n2 with rank 3\n"
           "node n3: rank 4 4 cores (processors 0-3,16-19) (NUMA 0), rank 5 core 4 (NUMA 0)",
           "node n3: 2 ranks with 10 threads in all on 8 cores: start fewer ranks");
    for (int r = 0; r < 4; r++)
        s[r] = seat("vm", 0, "0-1", 2, 1, 2, 0);
    map_is(s, 4, "node vm: ranks 0-3 all on cores 0-1 (NUMA 0)", "node vm: 4 ranks with 4 threads in all on 2 cores");
    map_is(s, 2, "node vm: ranks 0-1 all on cores 0-1 (NUMA 0)", NULL);
    char name[16], cpus[16];
    for (int r = 0; r < 64; r++) {
        snprintf(name, sizeof name, "n%d", r / 16);
        snprintf(cpus, sizeof cpus, "%d-%d", r % 16 * 2, r % 16 * 2 + 1);
        s[r] = seat(name, r / 16, cpus, 2, 3, 32, r % 16 / 8);
    }
    map_is(s, 64, "node n0: ranks 0-15 with 2 cores each of cores 0-31 (NUMA 0-1); 3 more nodes alike, up to n3 with rank 63",
           "node n0: 16 ranks with 48 threads in all on 32 cores, and 3 more nodes like that");
    s[9].cores = 1;
    map_is(s, 16, "node n0: ranks 0-15 with 1 to 2 cores each of cores 0-31 (NUMA 0-1)", "48 threads");
}
END_TEST

START_TEST(one_rank)
{
    mu_comm *comm;
    mu_seat *seats;
    int cores = 0;
    mu_cpus before, after;
    ck_ok(mu_comm_self_new(&comm));
    ck_assert(mu_cpus_allowed(0, &before));
    unsetenv("MUSTER_BIND");
    ck_ok(mu_binding_apply(comm, &cores));
    ck_assert(mu_cpus_allowed(0, &after) && mu_cpus_equal(&before, &after));
    ck_assert_int_eq(cores, mu_cpu_count());
    ck_ok(mu_binding_gather(comm, 3, &seats));
    ck_assert_int_eq(seats[0].threads, 3);
    ck_assert(!seats[0].overlap && mu_cpus_equal(&seats[0].cpus, &before));
    ck_assert_int_ge((int)strlen(seats[0].node), 1);
    mu_free(seats);
    ck_survives_oom(mu_binding_gather(comm, 3, &seats), mu_free(seats));
    ck_survives_oom(mu_binding_apply(comm, &cores), (void)0);
    setenv("MUSTER_BIND", "nome", 1);
    ck_fails(mu_binding_apply(comm, &cores), MU_ERR_USAGE, "expected auto or none; did you mean \"none\"?");
    setenv("MUSTER_BIND", "none", 1);
    ck_ok(mu_binding_apply(comm, &cores));
    mu_comm_release(comm);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("binding");
    TCase *tests = tcase_create("binding");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, sets);
    tcase_add_test(tests, cores_of_siblings);
    tcase_add_test(tests, quotas);
    tcase_add_test(tests, binds_itself);
    tcase_add_test(tests, hwloc_machine);
    tcase_add_test(tests, even_shares);
    tcase_add_test(tests, other_choices);
    tcase_add_loop_test(tests, any_machine, 0, 3);
    tcase_add_test(tests, maps);
    tcase_add_test(tests, one_rank);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
