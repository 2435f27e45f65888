#include "runner/values.h"

#include "backend/readback.h"
#include "core/log.h"
#include "core/mem.h"
#include "runner/own.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One that is not told yet; kept by the number of its post. */
typedef struct {
    int64_t iter, epoch;
    bool updated;
} posted;

struct mu_values {
    mu_readback *readback;
    posted posted[MU_VALUES_DEPTH];
    int64_t n_posts;
    int64_t n_skipped[MU_MAX_PARTS]; /* updates, as told so far */
};

bool mu_values_are_late(const mu_runner *runner)
{
    const char *late = getenv("MU_LATE");
    return !runner->backend->host_memory && !(late && strcmp(late, "0") == 0);
}

mu_err mu_values_tell(mu_runner *runner, int64_t iter, const mu_log_vars *vars, double grad_norm)
{
    for (int i = 0; i < runner->n_hooks; i++) {
        const mu_component *component = mu_component_of(runner->hook[i]);
        const mu_hook_ops *ops = component->ops;
        mu_err err = ops->values ? ops->values(runner->hook[i], runner, iter, vars, grad_norm) : MU_OK;
        if (err)
            mu_error_context("%s, values of iteration %lld", component->name, (long long)iter + 1);
        MU_TRY(err);
    }
    return MU_OK;
}

/* "loss" is the sum of the parts' losses, and the rest comes one part after the other; the norm is that of all gradients. */
mu_err mu_values_merge(const mu_runner *runner, const mu_log_vars *part, double part_norm, mu_log_vars *all, double *grad_norm)
{
    const char *model = mu_component_of(runner->model)->name;
    if (all->n == 0)
        all->item[all->n++] = (mu_log_var){.name = part->item[0].name};
    all->item[0].value += part->item[0].value;
    for (int i = 1; i < part->n; i++) {
        for (int k = 1; k < all->n; k++)
            if (strcmp(all->item[k].name, part->item[i].name) == 0)
                return MU_FAIL(MU_ERR_CONFIG, "two parts of %s record \"%s\"", model, part->item[i].name);
        if (all->n == MU_MAX_LOSSES)
            return MU_FAIL(MU_ERR_OVERFLOW, "the parts of %s record more than %d losses", model, MU_MAX_LOSSES - 1);
        all->item[all->n++] = part->item[i];
    }
    if (!isnan(part_norm))
        *grad_norm = isnan(*grad_norm) ? part_norm : hypot(*grad_norm, part_norm);
    return MU_OK;
}

/* ---- late ones ---- */

static int n_parts(const mu_runner *runner)
{
    return runner->n_parts ? runner->n_parts : 1;
}

/* The losses of every part, then the control block of its optimizer. */
static void find_spans(const mu_runner *runner, mu_span *span)
{
    for (int i = 0; i < n_parts(runner); i++) {
        mu_type type;
        const void *losses = mu_model_losses(runner->model, i, &type);
        span[2 * i] = (mu_span){losses, mu_type_bytes(&type)};
        span[2 * i + 1].device = mu_optim_control(mu_optim_wrapper_optim(mu_runner_wrapper(runner, i)), &span[2 * i + 1].bytes);
    }
}

static mu_err open_values(mu_runner *runner, const mu_span *span)
{
    mu_values *values;
    size_t bytes = 0;
    for (int i = 0; i < 2 * n_parts(runner); i++)
        bytes += span[i].bytes;
    MU_TRY(mu_calloc(&values, 1, sizeof *values));
    mu_err err = mu_readback_new(runner->backend, bytes, MU_VALUES_DEPTH, &values->readback);
    if (err) {
        mu_free(values);
        return err;
    }
    runner->own->values = values;
    return MU_OK;
}

void mu_values_release(mu_values *values)
{
    if (!values)
        return;
    mu_readback_release(values->readback);
    mu_free(values);
}

/* Where gradients were not finite the device has let the update be. */
static mu_err judge_update(mu_runner *runner, const posted *at, int part, const double *control)
{
    int64_t *told = &runner->own->values->n_skipped[part], skipped = (int64_t)control[MU_CONTROL_SKIPPED];
    if (control[MU_CONTROL_STOPPED] > 0)
        return MU_FAIL(MU_ERR_NUMERIC, "the gradients are not finite");
    if (skipped > *told && mu_runner_is_main(runner))
        MU_INFO("run", "iteration %lld: the gradients are not finite and left; the loss scale is %g now", (long long)at->iter + 1,
                control[MU_CONTROL_LOSS_SCALE]);
    *told = skipped;
    return MU_OK;
}

static mu_err judge_loss(double loss)
{
    if (!isfinite(loss))
        return MU_FAIL(MU_ERR_NUMERIC, "the loss is %s", isnan(loss) ? "NaN" : loss > 0 ? "infinite" : "-infinite");
    return MU_OK;
}

typedef struct {
    mu_log_vars vars;
    double control[MU_CONTROL_N];
} part_values;

/* Was this part to be updated in this iteration? */
static bool updates(const mu_runner *runner, int part, int64_t iter)
{
    return (iter + 1) % mu_runner_wrapper(runner, part)->accumulative_counts == 0 || iter + 1 == runner->max_iters;
}

static void note_trouble(mu_runner *runner, const posted *at, const part_values *of, int part, bool gradients)
{
    mu_trouble *trouble = &runner->own->trouble;
    *trouble = (mu_trouble){.known = true, .gradients = gradients, .part = part, .iter = at->iter};
    for (int i = 0; i < n_parts(runner); i++) {
        bool later = i >= part && updates(runner, i, at->iter) && of[i].control[MU_CONTROL_UPDATED] > 0;
        trouble->updates += (int64_t)of[i].control[MU_CONTROL_STEPS] - later;
    }
    mu_explain_where(at->epoch, at->iter);
    if (runner->n_parts)
        mu_error_context("part \"%s\"", runner->part[part].name);
}

static mu_err judge(mu_runner *runner, const posted *at, const part_values *of)
{
    for (int i = 0; i < n_parts(runner); i++) {
        mu_err loss = judge_loss(of[i].vars.item[0].value);
        mu_err err = loss ? loss : judge_update(runner, at, i, of[i].control);
        if (err)
            note_trouble(runner, at, of, i, !loss);
        MU_TRY(err);
    }
    return MU_OK;
}

static mu_err tell_one(mu_runner *runner, const posted *at, const char *bytes)
{
    part_values of[MU_MAX_PARTS];
    mu_log_vars all = {0};
    double grad_norm = NAN;
    for (int i = 0; i < n_parts(runner); i++) {
        bytes += mu_model_read_losses(runner->model, i, bytes, &of[i].vars);
        memcpy(of[i].control, bytes, sizeof of[i].control);
        bytes += sizeof of[i].control;
    }
    MU_TRY(judge(runner, at, of));
    for (int i = 0; i < n_parts(runner); i++) {
        double norm = at->updated && mu_optim_wrapper_clips_norm(mu_runner_wrapper(runner, i)) ? of[i].control[MU_CONTROL_NORM] : NAN;
        if (!runner->n_parts) {
            all = of[i].vars;
            grad_norm = norm;
        } else {
            MU_TRY(mu_values_merge(runner, &of[i].vars, norm, &all, &grad_norm));
        }
    }
    MU_TRY(mu_values_tell(runner, at->iter, &all, grad_norm));
    return MU_OK;
}

mu_err mu_values_post(mu_runner *runner, bool updated)
{
    mu_span span[2 * MU_MAX_PARTS];
    find_spans(runner, span);
    if (!runner->own->values)
        MU_TRY(open_values(runner, span));
    mu_values *values = runner->own->values;
    while (mu_readback_pending(values->readback) == MU_VALUES_DEPTH)
        MU_TRY(mu_values_look(runner, true));
    MU_TRY(mu_readback_post(values->readback, span, 2 * n_parts(runner), values->n_posts));
    values->posted[values->n_posts++ % MU_VALUES_DEPTH] = (posted){runner->iter, runner->epoch, updated};
    return MU_OK;
}

mu_err mu_values_look(mu_runner *runner, bool wait)
{
    mu_values *values = runner->own ? runner->own->values : NULL;
    while (values && mu_readback_pending(values->readback) > 0) {
        const void *bytes;
        int64_t number;
        MU_TRY(mu_readback_take(values->readback, wait, &number, &bytes));
        if (!bytes)
            break;
        MU_TRY(tell_one(runner, &values->posted[number % MU_VALUES_DEPTH], bytes));
    }
    return MU_OK;
}

mu_err mu_runner_values(mu_runner *runner)
{
    MU_TRY(mu_values_look(runner, true));
    return MU_OK;
}
