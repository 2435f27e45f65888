#include "runner/checkpoint.h"
#include "runner/own.h"
#include "runner/stop.h"

/* What a rank brings: the worst counts. */
enum { WELL, NOT_FINITE, FAILED };

static int32_t outcome(const mu_runner *runner, mu_err err)
{
    bool found = err == MU_ERR_NUMERIC && runner->own && runner->own->trouble.known;
    return !err ? WELL : found ? NOT_FINITE : FAILED;
}

mu_err mu_runner_agree(mu_runner *runner, mu_err err)
{
    if (runner->agreed)
        return err;
    int32_t word[5] = {outcome(runner, err), mu_stop_pending(runner), runner->stop_requested, mu_checkpoint_failed(runner),
                       mu_stop_comes_first(runner)};
    mu_err sent = mu_comm_all_reduce(runner->comm, word, 5, MU_I32, MU_COMM_MAX);
    if (sent) {
        runner->agreed = true;
        return sent;
    }
    if (!runner->stop_reason)
        runner->stop_reason = word[1];
    runner->stop_comes_first = word[4];
    runner->stopping = runner->stopping || word[2];
    if (word[0] == WELL)
        return word[3] ? mu_checkpoint_wait(runner) : MU_OK;
    runner->agreed = true;
    return word[0] == NOT_FINITE ? mu_explain_found(runner, err) : mu_comm_agree(runner->comm, err);
}

mu_err mu_runner_call(mu_runner *runner, mu_hook_point point, const mu_hook_event *event)
{
    static const mu_hook_event nothing;
    bool in_iteration = point == MU_BEFORE_TRAIN_ITER || point == MU_AFTER_TRAIN_ITER;
    for (int i = 0; i < runner->n_hooks; i++) {
        const mu_component *component = mu_component_of(runner->hook[i]);
        mu_hook_fn *at = ((const mu_hook_ops *)component->ops)->at[point];
        if (at)
            mu_watch_note(runner->watch, component->name, mu_hook_point_name(point), runner->iter + in_iteration);
        mu_err err = at ? at(runner->hook[i], runner, event ? event : &nothing) : MU_OK;
        if (err && !runner->agreed && !(runner->own && runner->own->trouble.known))
            mu_error_context("%s, %s", component->name, mu_hook_point_name(point));
        MU_TRY(err);
        if (point == MU_AFTER_VAL_EPOCH && runner->val_left)
            break; /* the hook was to evaluate again: the others hear of all of it, or of nothing */
    }
    return MU_OK;
}
