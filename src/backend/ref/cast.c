#include "backend/ref/ref.h"

mu_err REF(cast)(const mu_call *call, void *const *in, void *const *out, const mu_run *run)
{
    (void)run;
    mu_convert(out[0], call->out[0].dtype, in[0], call->in[0].dtype, mu_type_count(&call->out[0]));
    return MU_OK;
}
