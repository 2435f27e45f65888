#include "dist/launch.h"

#include "core/text.h"
#include "dist/delay.h"

#include <stdlib.h>

/* The number in an environment variable, or `otherwise`. */
static long number(const char *name, long otherwise)
{
    const char *text = getenv(name);
    char *end;
    if (!text || !*text)
        return otherwise;
    long value = strtol(text, &end, 10);
    return *end ? otherwise : value;
}

mu_launcher mu_launch_detect(void)
{
    bool pmix = getenv("PMIX_RANK") != NULL, pmi = getenv("PMI_RANK") != NULL;
    long size = number("OMPI_COMM_WORLD_SIZE", 0), rank = number("OMPI_COMM_WORLD_RANK", -1);
    if (size > 0 && rank >= 0)
        return (mu_launcher){.name = "mpirun", .rank = (int)rank, .size = (int)size, .wired = true};

    /* Batch scripts and interactive shells have a step of their own, whose number is near 2^32: nobody launched them.
     */
    size = number("SLURM_STEP_NUM_TASKS", 0), rank = number("SLURM_PROCID", -1);
    long step = number("SLURM_STEP_ID", -1);
    if (size > 0 && rank >= 0 && step >= 0 && step < 0xfffffff0L)
        return (mu_launcher){.name = "srun", .rank = (int)rank, .size = (int)size, .wired = pmix || pmi};

    if (pmi)
        return (mu_launcher){
            .name = "pmi", .rank = (int)number("PMI_RANK", 0), .size = (int)number("PMI_SIZE", 0), .wired = true};
    if (pmix)
        return (mu_launcher){.name = "pmix", .rank = (int)number("PMIX_RANK", 0), .wired = true};
    return (mu_launcher){.size = 1};
}

mu_err mu_launch_wants_mpi(const mu_launcher *launcher, bool *out)
{
    static const char *const choices[] = {"auto", "mpi", "none"};
    const char *wish = getenv("MUSTER_LAUNCHER");
    if (!wish || !*wish)
        wish = "auto";
    for (int i = 0; i < 3; i++)
        if (strcmp(wish, choices[i]) == 0) {
            if (i == 0 && launcher->name && launcher->size > 1 && !launcher->wired) {
                MU_FAIL(MU_ERR_USAGE, "%s started %d tasks that MPI cannot connect", launcher->name, launcher->size);
                return mu_error_hint(
                    "use srun --mpi=pmix, or mpirun; MUSTER_LAUNCHER=none for tasks that have nothing to "
                    "do with each other");
            }
            *out = i == 1 || (i == 0 && launcher->wired);
            return MU_OK;
        }
    const char *nearest = mu_nearest(wish, choices, 3);
    return MU_FAIL(MU_ERR_USAGE, "MUSTER_LAUNCHER: \"%s\": expected auto, mpi or none%s%s%s", wish,
                   nearest ? "; did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?" : "");
}

mu_err mu_launch(mu_comm **out)
{
    mu_comm *comm;
    MU_TRY(mu_launch_plain(&comm));
    mu_err err = mu_comm_delay_from_environment(&comm);
    if (err != MU_OK)
        mu_comm_release(comm);
    MU_TRY(err);
    *out = comm;
    return MU_OK;
}
