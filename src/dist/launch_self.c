/* mu_launch_plain of a build without MPI. */
#include "dist/launch.h"

mu_err mu_launch_plain(mu_comm **out)
{
    mu_launcher launcher = mu_launch_detect();
    bool wanted = false;
    MU_TRY(mu_launch_wants_mpi(&launcher, &wanted));
    if (wanted && launcher.size != 1) {
        MU_FAIL(MU_ERR_UNSUPPORTED, "this build has no MPI, but %s asks for it",
                launcher.name ? launcher.name : "MUSTER_LAUNCHER");
        return mu_error_hint("install libopenmpi-dev and configure --with-mpi");
    }
    MU_TRY(mu_comm_self_new(out));
    return MU_OK;
}

const char *mu_launch_mpi_version(char *buf, size_t size)
{
    (void)buf, (void)size;
    return NULL;
}
