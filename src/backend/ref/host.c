#include "backend/ref/ref.h"

mu_err REF(host)(const mu_call *call, void *const *in, void *const *out, const mu_run *run)
{
    (void)run;
    const mu_host_attrs *a = call->attrs;
    mu_call its = *call;
    its.n_out = (int)a->n_out;
    mu_err err = a->run(a->user, &its, (const void *const *)in, out);
    if (err != MU_OK)
        mu_error_context("host \"%s\"", call->name ? call->name : "");
    return err;
}
