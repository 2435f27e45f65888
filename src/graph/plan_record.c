/* Runs of kernels that a device notes once and repeats at one call (CUDA graphs): what a step costs the host is then no longer a launch a kernel. */
#include "graph/plan_impl.h"

#include "core/log.h"

/* Kernels that wait, as those do that talk to other ranks by way of the host, are run every time. */
static bool can_be_recorded(const mu_step *step)
{
    return !step->kernel->waits && !(step->node && step->node->op->flags & MU_OP_HOST);
}

/* The first step from `first` on that does not follow in the same recording: it cannot be in one, or a call comes before it. */
static size_t end_of(const mu_plan *plan, size_t first)
{
    size_t end = first, call = 0;
    while (end < plan->n_steps && can_be_recorded(&plan->steps[end])) {
        end++;
        while (call < plan->n_calls && (size_t)plan->calls[call].step < end)
            call++;
        if (call < plan->n_calls && (size_t)plan->calls[call].step == end)
            break;
    }
    return end;
}

static mu_err record(mu_plan *plan, const mu_run *run, size_t first, size_t end, mu_recording **out)
{
    const mu_backend_ops *ops = plan->backend->ops;
    mu_error kept;
    *out = NULL;
    MU_TRY(ops->record_begin(plan->backend));
    mu_err err = MU_OK;
    for (size_t s = first; s < end && !err; s++)
        err = mu_kernel_run(plan->steps[s].kernel, run);
    if (err)
        kept = *mu_error_last();
    mu_err ended = ops->record_end(plan->backend, out);
    if (!err)
        return ended;
    ops->recording_release(plan->backend, *out);
    return mu_error_restore(&kept);
}

static mu_err record_all(mu_plan *plan, const mu_run *run)
{
    size_t capacity = 0;
    for (size_t first = plan->n_once, end; first < plan->n_steps; first = end > first ? end : first + 1) {
        end = end_of(plan, first);
        if (end < first + 2)
            continue;
        MU_TRY(mu_grow(&plan->recorded, &capacity, plan->n_recorded + 1, sizeof *plan->recorded));
        mu_plan_recorded *r = &plan->recorded[plan->n_recorded];
        *r = (mu_plan_recorded){.end = end};
        MU_TRY(record(plan, run, first, end, &r->recording));
        plan->steps[first].recorded = (int32_t)++plan->n_recorded;
    }
    return MU_OK;
}

void mu_plan_record(mu_plan *plan, const mu_run *run)
{
    if (plan->options.profile || !plan->backend->ops->record_begin || run->presence != MU_TOGETHER)
        return;
    if (record_all(plan, run) == MU_OK)
        return;
    MU_DEBUG("graph", "the plan's kernels are run one by one: %s", mu_error_last()->message);
    mu_error_clear();
    mu_plan_release_recorded(plan);
}

void mu_plan_release_recorded(mu_plan *plan)
{
    for (size_t i = 0; i < plan->n_recorded; i++)
        plan->backend->ops->recording_release(plan->backend, plan->recorded[i].recording);
    for (size_t s = 0; s < plan->n_steps; s++)
        plan->steps[s].recorded = 0;
    mu_free(plan->recorded);
    plan->recorded = NULL;
    plan->n_recorded = 0;
}
