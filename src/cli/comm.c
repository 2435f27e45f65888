#include "cli/comm.h"

#include "cli/cli.h"
#include "core/log.h"
#include "dist/binding.h"
#include "dist/launch.h"

#include <stdlib.h>

static mu_comm *comm;
static int cores = 1;

mu_err cli_comm(mu_comm **out)
{
    if (!comm) {
        MU_TRY(mu_launch(&comm));
        MU_TRY(mu_log_configure(comm->rank, comm->size));
        MU_TRY(mu_binding_apply(comm, &cores));
    }
    *out = comm;
    return MU_OK;
}

int cli_threads(void)
{
    const char *wish = getenv("OMP_NUM_THREADS");
    int wanted = wish ? atoi(wish) : 0;
    return wanted > 0 ? wanted : cores;
}

void cli_comm_release(void)
{
    mu_comm_release(comm);
    comm = NULL;
}

int cli_end(mu_comm *c, mu_err err, bool agreed)
{
    if (c && !agreed)
        err = mu_comm_agree(c, err);
    if (!err)
        return 0;
    int status = mu_err_exit_status(err);
    if (err == MU_ERR_COMM || !c) {
        cli_fail(err);
        if (c)
            mu_comm_abort(c, status);
        return status;
    }
    if (mu_comm_is_main(c))
        cli_fail(err);
    return status;
}
