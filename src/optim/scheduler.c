#include "optim/scheduler.h"

#include "core/mem.h"

static const mu_scheduler_ops *ops_of(const mu_scheduler *scheduler)
{
    return mu_component_of(scheduler)->ops;
}

mu_err mu_scheduler_check(const mu_scheduler *scheduler, bool needs_end)
{
    if (scheduler->end >= 0 && scheduler->end <= scheduler->begin)
        return MU_FAIL(MU_ERR_CONFIG, "end must lie after begin, got begin %lld and end %lld", (long long)scheduler->begin,
                       (long long)scheduler->end);
    if (scheduler->end < 0 && needs_end) {
        MU_FAIL(MU_ERR_CONFIG, "it has no end: expected the step at which the curve is complete");
        return mu_error_hint("add end: the number of epochs, or of iterations with by_epoch: false");
    }
    if (scheduler->convert_to_iter_based && !scheduler->by_epoch) {
        MU_FAIL(MU_ERR_CONFIG, "convert_to_iter_based converts epochs, but by_epoch is false");
        return mu_error_hint("leave convert_to_iter_based out, or count in epochs");
    }
    return MU_OK;
}

void mu_scheduler_destroy(void *object)
{
    mu_scheduler *scheduler = object;
    mu_free(scheduler->base);
    scheduler->base = NULL;
}

static double *field_of(const mu_scheduler *scheduler, mu_optim_group *group)
{
    return (double *)((char *)group + ops_of(scheduler)->field);
}

/* What the current step says, when it is one at which the scheduler acts. */
static void act(const mu_scheduler *scheduler)
{
    if (scheduler->step < scheduler->begin || (scheduler->end >= 0 && scheduler->step >= scheduler->end))
        return;
    int64_t t = scheduler->step - scheduler->begin, n = scheduler->end < 0 ? -1 : scheduler->end - scheduler->begin;
    for (int i = 0; i < mu_optim_n_groups(scheduler->optim); i++) {
        double *value = field_of(scheduler, mu_optim_group_at(scheduler->optim, i));
        *value = ops_of(scheduler)->value(scheduler, t, n, *value, scheduler->base[i]);
    }
}

static mu_err convert(mu_scheduler *scheduler, int64_t epoch_length)
{
    int64_t begin, end = -1;
    if (epoch_length < 1)
        return MU_FAIL(MU_ERR_CONFIG, "%s: epochs of %lld iterations cannot be turned into iterations",
                       mu_component_of(scheduler)->name, (long long)epoch_length);
    MU_TRY(mu_mul_i64(scheduler->begin, epoch_length, &begin));
    if (scheduler->end >= 0)
        MU_TRY(mu_mul_i64(scheduler->end, epoch_length, &end));
    if (ops_of(scheduler)->convert)
        MU_TRY(ops_of(scheduler)->convert(scheduler, epoch_length));
    scheduler->begin = begin;
    scheduler->end = end;
    scheduler->by_epoch = false;
    return MU_OK;
}

mu_err mu_scheduler_bind(mu_scheduler *scheduler, mu_optim *optim, int64_t epoch_length)
{
    int n = mu_optim_n_groups(optim);
    double *base;
    if (n == 0)
        return MU_FAIL(MU_ERR_USAGE, "%s: the optimizer is not bound to parameters", mu_component_of(scheduler)->name);
    MU_TRY(mu_calloc(&base, (size_t)n, sizeof *base));
    if (scheduler->convert_to_iter_based && scheduler->by_epoch) {
        mu_err err = convert(scheduler, epoch_length);
        if (err) {
            mu_free(base);
            return err;
        }
    }
    for (int i = 0; i < n; i++) {
        mu_optim_group initial = mu_optim_initial_group(optim, i);
        base[i] = *field_of(scheduler, &initial);
    }
    mu_free(scheduler->base);
    scheduler->base = base;
    scheduler->optim = optim;
    scheduler->step = 0;
    act(scheduler);
    return MU_OK;
}

void mu_scheduler_step(mu_scheduler *scheduler, bool by_epoch)
{
    if (by_epoch != scheduler->by_epoch)
        return;
    scheduler->step++;
    act(scheduler);
}

bool mu_scheduler_by_epoch(const mu_scheduler *scheduler)
{
    return scheduler->by_epoch;
}

void mu_scheduler_restore(mu_scheduler *scheduler, int64_t step, const double *base)
{
    scheduler->step = step;
    memcpy(scheduler->base, base, (size_t)mu_optim_n_groups(scheduler->optim) * sizeof *base);
}
