#include "test.h"

#include "dist/launch.h"

static const char *const variables[] = {"OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK",
                                        "PMI_SIZE", "SLURM_STEP_ID", "SLURM_STEP_NUM_TASKS", "SLURM_PROCID",
                                        "SLURM_JOB_ID", "MUSTER_LAUNCHER"};

static void clear(void)
{
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        unsetenv(variables[i]);
}

static void set(const char *name, const char *value)
{
    ck_assert_int_eq(setenv(name, value, 1), 0);
}

static void expect(const char *name, int rank, int size, bool wired)
{
    mu_launcher l = mu_launch_detect();
    ck_assert_pstr_eq(l.name, name);
    ck_assert_int_eq(l.rank, rank);
    ck_assert_int_eq(l.size, size);
    ck_assert_int_eq(l.wired, wired);
}

static bool wants(void)
{
    mu_launcher l = mu_launch_detect();
    bool out = false;
    ck_ok(mu_launch_wants_mpi(&l, &out));
    return out;
}

START_TEST(nobody)
{
    expect(NULL, 0, 1, false);
    ck_assert(!wants());
    set("OMPI_COMM_WORLD_SIZE", "four");
    expect(NULL, 0, 1, false);
    set("MUSTER_LAUNCHER", "mpi");
    ck_assert(wants());
}
END_TEST

START_TEST(mpirun)
{
    set("OMPI_COMM_WORLD_SIZE", "4");
    set("OMPI_COMM_WORLD_RANK", "3");
    set("PMIX_RANK", "3");
    set("SLURM_STEP_ID", "0"); /* mpirun inside an allocation starts its daemons by srun */
    set("SLURM_STEP_NUM_TASKS", "2");
    set("SLURM_PROCID", "1");
    expect("mpirun", 3, 4, true);
    ck_assert(wants());
    set("MUSTER_LAUNCHER", "none");
    ck_assert(!wants());
}
END_TEST

START_TEST(srun)
{
    bool out;
    set("SLURM_JOB_ID", "12");
    set("SLURM_STEP_ID", "0");
    set("SLURM_STEP_NUM_TASKS", "8");
    set("SLURM_PROCID", "5");
    expect("srun", 5, 8, false);
    mu_launcher l = mu_launch_detect();
    ck_fails(mu_launch_wants_mpi(&l, &out), MU_ERR_USAGE, "srun started 8 tasks");
    ck_fails(mu_launch_wants_mpi(&l, &out), MU_ERR_USAGE, "srun --mpi=pmix");
    set("SLURM_STEP_NUM_TASKS", "1");
    set("SLURM_PROCID", "0");
    ck_assert(!wants());
    set("PMIX_RANK", "0");
    expect("srun", 0, 1, true);
    ck_assert(wants());
}
END_TEST

START_TEST(batch_script)
{
    set("SLURM_JOB_ID", "12");
    set("SLURM_PROCID", "0");
    expect(NULL, 0, 1, false);
    set("SLURM_STEP_ID", "4294967291");
    set("SLURM_STEP_NUM_TASKS", "1");
    expect(NULL, 0, 1, false);
    ck_assert(!wants());
}
END_TEST

START_TEST(others)
{
    set("PMIX_RANK", "2");
    expect("pmix", 2, 0, true);
    set("PMI_RANK", "1");
    set("PMI_SIZE", "3");
    expect("pmi", 1, 3, true);
    ck_assert(wants());
}
END_TEST

START_TEST(wrong_wish)
{
    mu_launcher l = mu_launch_detect();
    bool out;
    set("MUSTER_LAUNCHER", "mpy");
    ck_fails(mu_launch_wants_mpi(&l, &out), MU_ERR_USAGE, "expected auto, mpi or none; did you mean \"mpi\"?");
}
END_TEST

START_TEST(plain_program)
{
    mu_comm *comm = NULL;
    ck_ok(mu_launch(&comm));
    ck_assert_str_eq(comm->ops->name, "self");
    mu_comm_release(comm);
    ck_survives_oom(mu_launch(&comm), mu_comm_release(comm));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("launch");
    TCase *tcase = tcase_create("environment");
    tcase_add_checked_fixture(tcase, clear, NULL);
    tcase_add_test(tcase, nobody);
    tcase_add_test(tcase, mpirun);
    tcase_add_test(tcase, srun);
    tcase_add_test(tcase, batch_script);
    tcase_add_test(tcase, others);
    tcase_add_test(tcase, wrong_wish);
    tcase_add_test(tcase, plain_program);
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}
