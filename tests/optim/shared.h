/* The parallel wrapper of a test: parameters shared by the ranks of a communicator, opened and bound. */
#ifndef MU_TESTS_OPTIM_SHARED_H
#define MU_TESTS_OPTIM_SHARED_H

#include "config/config.h"
#include "optim/wrapper.h"

#include <string.h>

/* Collective. `options`: JSON, "" or ", \"bucket_cap_mb\": 1". *cfg is freed after *out (mu_destroy). sharing may be NULL. */
static inline mu_err shared_open(mu_comm *comm, const char *options, mu_cfg **cfg, mu_parallel **out, mu_params_sharing *sharing)
{
    char text[256];
    mu_params_sharing ignored;
    void *object;
    int n = snprintf(text, sizeof text, "{\"type\": \"MMDistributedDataParallel\"%s}", options);
    MU_TRY(mu_cfg_parse_json(text, (size_t)n, "<test>", cfg));
    mu_err err = mu_build("model_wrapper", *cfg, NULL, "model_wrapper_cfg", &object);
    if (!err) {
        err = mu_parallel_open(object, comm, 0, false, sharing ? sharing : &ignored);
        if (err)
            mu_destroy(object);
    }
    if (err)
        mu_cfg_release(*cfg);
    MU_TRY(err);
    *out = object;
    return MU_OK;
}

/* What the training loop does once the gradients of a batch are there. */
static inline mu_err shared_update(mu_parallel *parallel, mu_optim_wrapper *wrapper, mu_update_info *info)
{
    int64_t batches;
    mu_parallel_begin(parallel, mu_optim_wrapper_updates(wrapper));
    MU_TRY(mu_parallel_end_run(parallel, MU_OK));
    MU_TRY(mu_parallel_finish(parallel, &batches));
    MU_TRY(mu_optim_wrapper_update(wrapper, batches, info));
    MU_TRY(mu_parallel_publish(parallel));
    return MU_OK;
}

#endif
