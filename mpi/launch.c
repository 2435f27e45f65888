#include "comm_mpi.h"

#include "core/log.h"
#include "core/mem.h"
#include "dist/launch.h"

#include <stdio.h>

static mu_err init(mpi_runtime *runtime)
{
    int up = 0, level = MPI_THREAD_SINGLE;
    MU_TRY_MPI(MPI_Initialized(&up));
    if (up) {
        MU_TRY_MPI(MPI_Query_thread(&level));
    } else {
        MU_TRY_MPI(MPI_Init_thread(NULL, NULL, MPI_THREAD_MULTIPLE, &level));
        runtime->finalize = true;
    }
    runtime->threads = level == MPI_THREAD_MULTIPLE;
    return MU_OK;
}

static mu_err check_size(const mu_launcher *launcher)
{
    int size = 0;
    MU_TRY_MPI(MPI_Comm_size(MPI_COMM_WORLD, &size));
    if (launcher->size > 0 && size != launcher->size) {
        char version[128];
        MU_FAIL(MU_ERR_COMM, "%s started %d processes, but MPI sees %d", launcher->name ? launcher->name : "nobody",
                launcher->size, size);
        return mu_error_hint("this muster was built with %s; start it with the mpirun or srun --mpi=... of the same MPI",
                             mu_launch_mpi_version(version, sizeof version));
    }
    return MU_OK;
}

/* All ranks hear whether any failed, without a communicator of ours. */
static mu_err agree_plainly(MPI_Comm comm, mu_err err)
{
    int worst = err;
    MU_TRY_MPI(MPI_Allreduce(MPI_IN_PLACE, &worst, 1, MPI_INT, MPI_MAX, comm));
    if (err == MU_OK && worst != MU_OK)
        return MU_FAIL((mu_err)worst, "another rank could not start: %s", mu_err_text((mu_err)worst));
    return err;
}

static mu_err open_world(mpi_runtime *runtime, mu_comm **out)
{
    MPI_Comm world;
    comm_mpi *self = NULL;
    int size = 0;
    MU_TRY(mpi_runtime_init_ops(runtime));
    MU_TRY_MPI(MPI_Comm_size(MPI_COMM_WORLD, &size));
    MU_TRY_MPI(MPI_Comm_dup(MPI_COMM_WORLD, &world));
    mu_err err = mpi_comm_alloc(runtime, size, &self);
    err = agree_plainly(world, err);
    if (err == MU_OK) {
        err = mpi_comm_fill(self, world);
    } else {
        MPI_Comm_free(&world);
    }
    if (err != MU_OK) {
        mpi_comm_free(self);
        return mu_error_trace(err, __FILE__, __LINE__, __func__);
    }
    *out = &self->base;
    return MU_OK;
}

mu_err mu_launch_plain(mu_comm **out)
{
    mu_launcher launcher = mu_launch_detect();
    bool wanted = false;
    MU_TRY(mu_launch_wants_mpi(&launcher, &wanted));
    if (!wanted) {
        MU_TRY(mu_comm_self_new(out));
        return MU_OK;
    }
    mpi_runtime *runtime;
    MU_TRY(mu_calloc(&runtime, 1, sizeof *runtime));
    runtime->users = 1; /* this call, until the communicator is up */
    mu_err err = init(runtime);
    if (err == MU_OK && launcher.name)
        err = check_size(&launcher);
    if (err == MU_OK)
        err = open_world(runtime, out);
    if (err == MU_OK && !runtime->threads && (*out)->rank == 0)
        MU_WARN("mpi", "this MPI gives no MPI_THREAD_MULTIPLE: communication does not overlap with computing");
    mpi_runtime_release(runtime);
    MU_TRY(err);
    return MU_OK;
}

const char *mu_launch_mpi_version(char *buf, size_t size)
{
    char library[MPI_MAX_LIBRARY_VERSION_STRING] = "";
    int length = 0, version = 0, subversion = 0;
    MPI_Get_library_version(library, &length);
    MPI_Get_version(&version, &subversion);
    snprintf(buf, size, "%.*s, MPI-%d.%d", (int)strcspn(library, ",\n"), library, version, subversion);
    return buf;
}
