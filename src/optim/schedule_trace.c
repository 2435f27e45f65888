#include "optim/schedule_trace.h"

static mu_err bind(mu_optim *optim, mu_backend *backend, mu_params *params, double lr_scale)
{
    mu_optim_group group = mu_optim_default_group(optim);
    group.lr *= lr_scale;
    MU_TRY(mu_params_declare(params, "parameter", MU_TYPE(MU_F32, 1), true));
    MU_TRY(mu_params_freeze(params, true));
    MU_TRY(mu_optim_bind(optim, backend, params, NULL, &group, 1));
    return MU_OK;
}

static mu_err trace(mu_optim *optim, mu_scheduler *const *scheduler, int n, int64_t epoch_length, int64_t n_iters, double *lr,
                    double *momentum)
{
    for (int i = 0; i < n; i++)
        MU_TRY(mu_scheduler_bind(scheduler[i], optim, epoch_length));
    const mu_optim_group *group = mu_optim_group_at(optim, 0);
    for (int64_t at = 0; at < n_iters; at++) {
        lr[at] = group->lr;
        if (momentum)
            momentum[at] = group->beta1 != 0 ? group->beta1 : group->momentum;
        for (int i = 0; i < n; i++)
            mu_scheduler_step(scheduler[i], false);
        for (int i = 0; i < n && (at + 1) % epoch_length == 0; i++)
            mu_scheduler_step(scheduler[i], true);
    }
    return MU_OK;
}

mu_err mu_schedule_trace(mu_optim *optim, mu_scheduler *const *scheduler, int n_schedulers, double lr_scale,
                         int64_t epoch_length, int64_t n_iters, double *lr, double *momentum)
{
    mu_backend *backend = NULL;
    mu_params *params = NULL;
    mu_err err;
    if (epoch_length < 1 || n_iters < 0)
        return MU_FAIL(MU_ERR_USAGE, "%lld iterations in epochs of %lld cannot be traced", (long long)n_iters,
                       (long long)epoch_length);
    MU_TRY_GOTO(err, mu_backend_open("cpu:ref", &(mu_backend_options){.n_threads = 1, .cache_dir = ""}, &backend), done);
    MU_TRY_GOTO(err, mu_params_new(backend, &params), done);
    MU_TRY_GOTO(err, bind(optim, backend, params, lr_scale), done);
    MU_TRY_GOTO(err, trace(optim, scheduler, n_schedulers, epoch_length, n_iters, lr, momentum), done);
done:
    mu_optim_unbind(optim);
    mu_params_release(params);
    mu_backend_close(backend);
    return err;
}
