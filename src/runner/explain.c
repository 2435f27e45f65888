#include "runner/explain.h"

#include "core/log.h"
#include "core/mem.h"
#include "runner/own.h"
#include "runner/values.h"

/* Of gradients that are sums over many batches, the last ones are run again. A look is at most so many iterations behind the loader. */
enum { MOST_BATCHES = 256, BEHIND = MU_VALUES_DEPTH + 2, N_PLACES = MOST_BATCHES + BEHIND };

typedef struct {
    int64_t iter, epoch;
    mu_cursor cursor; /* of the loader, before the batch */
} place;

struct mu_trail {
    int64_t n;             /* batches so far */
    place place[N_PLACES]; /* batch i at [i % N_PLACES] */
};

mu_err mu_explain_note_batch(mu_runner *runner)
{
    struct mu_runner_own *own = runner->own;
    if (runner->backend->host_memory)
        return MU_OK;
    if (!own->trail)
        MU_TRY(mu_calloc(&own->trail, 1, sizeof *own->trail));
    own->trail->place[own->trail->n++ % N_PLACES] =
        (place){.iter = runner->iter, .epoch = runner->epoch, .cursor = mu_loader_cursor(runner->train_loader)};
    return MU_OK;
}

void mu_explain_release(mu_runner *runner)
{
    mu_free(runner->own->trail);
    runner->own->trail = NULL;
}

static const place *find_place(const struct mu_trail *trail, int64_t iter)
{
    for (int64_t i = trail ? trail->n : 0; i > 0 && i > trail->n - N_PLACES; i--)
        if (trail->place[(i - 1) % N_PLACES].iter == iter)
            return &trail->place[(i - 1) % N_PLACES];
    return NULL;
}

void mu_explain_where(int64_t epoch, int64_t iter)
{
    mu_error_context("training, epoch %lld, iteration %lld", (long long)epoch + 1, (long long)iter + 1);
}

/* The part that is being trained. */
static int current_part(const mu_runner *runner)
{
    int part = 0;
    while (part + 1 < runner->n_parts && runner->part[part].optim != runner->optim)
        part++;
    return part;
}

static void name_place(const mu_runner *runner, int part, int64_t epoch, int64_t iter)
{
    mu_explain_where(epoch, iter);
    if (runner->n_parts)
        mu_error_context("part \"%s\"", runner->part[part].name);
}

/* Collective. What an operation is found to be to blame for (found, with its record, on any rank) is told, else what is known without: err, with `own`. */
static mu_err conclude(mu_runner *runner, mu_err found, mu_err err, const mu_error *own)
{
    runner->agreed = true;
    MU_TRY(mu_comm_agree(runner->comm, found));
    return mu_comm_agree(runner->comm, err ? mu_error_restore(own) : MU_OK);
}

/* What went wrong while looking is no news: training ends for another reason. */
static mu_err only_numbers(mu_err err)
{
    if (!err || err == MU_ERR_NUMERIC)
        return err;
    MU_WARN("run", "which operation is to blame cannot be told: %s", mu_error_last()->message);
    mu_error_clear();
    return MU_OK;
}

mu_err mu_explain_loaded(mu_runner *runner, mu_err err)
{
    mu_error own = *mu_error_last();
    mu_parallel_drain(runner->parallel);
    mu_err found = err == MU_ERR_NUMERIC ? only_numbers(mu_model_explain(runner->model, runner->seed, runner->iter)) : err;
    if (err && !found)
        (void)mu_error_restore(&own);
    if (err)
        name_place(runner, current_part(runner), runner->epoch, runner->iter);
    own = *mu_error_last();
    return conclude(runner, found, err, &own);
}

/* ---- what was found on devices ---- */

/* Applied so far; -1: not known. Waits for the device. */
static int64_t count_updates(const mu_runner *runner)
{
    int64_t n = 0;
    for (int i = 0; i == 0 || i < runner->n_parts; i++) {
        double control[MU_CONTROL_N];
        if (mu_optim_read_control(mu_optim_wrapper_optim(mu_runner_wrapper(runner, i)), control) != MU_OK) {
            mu_error_clear();
            return -1;
        }
        n += (int64_t)control[MU_CONTROL_STEPS];
    }
    return n;
}

void mu_explain_note_update(mu_runner *runner)
{
    runner->own->trouble = (mu_trouble){.known = !runner->backend->host_memory, .gradients = true, .part = current_part(runner),
                                        .iter = runner->iter, .updates = INT64_MAX};
    mu_explain_where(runner->epoch, runner->iter);
}

/* MU_ERR_NUMERIC names the operation. */
static mu_err run_again(mu_runner *runner, const place *at, int part)
{
    const mu_batch *batch;
    mu_watch_enter(runner->watch, MU_WATCH_STEP);
    mu_watch_note(runner->watch, "look for the operation", NULL, at->iter + 1);
    MU_TRY(mu_loader_seek(runner->train_loader, at->cursor));
    MU_TRY(mu_loader_next(runner->train_loader, &batch));
    if (!batch)
        return MU_FAIL(MU_ERR_INTERNAL, "the loader does not find the batch of iteration %lld again", (long long)at->iter + 1);
    MU_TRY(mu_model_load_train(runner->model, batch));
    mu_model_select_part(runner->model, part);
    return mu_model_explain(runner->model, runner->seed, at->iter);
}

/* An iteration, or those whose gradients were added up. Parameters may have moved on where the loss alone was not finite, or under a loss scale. */
static mu_err look(mu_runner *runner, const mu_trouble *what)
{
    int64_t first = what->iter, counts = mu_runner_wrapper(runner, what->part)->accumulative_counts, now = count_updates(runner);
    if (what->gradients)
        first -= first % counts < MOST_BATCHES ? first % counts : MOST_BATCHES - 1;
    for (int64_t iter = first; iter <= what->iter; iter++) {
        const place *at = find_place(runner->own->trail, iter);
        mu_err err = at ? run_again(runner, at, what->part) : MU_OK;
        if (err == MU_ERR_NUMERIC && now > what->updates)
            mu_error_context("looked at after %lld more update%s", (long long)(now - what->updates), now - what->updates == 1 ? "" : "s");
        if (err == MU_ERR_NUMERIC)
            name_place(runner, what->part, at->epoch, iter);
        if (err)
            return err;
    }
    return MU_OK;
}

/* Collective. The first trouble of all ranks: iteration, part, loss before gradients. */
static mu_err agree_on(mu_runner *runner, mu_trouble *what)
{
    const mu_trouble *own = &runner->own->trouble;
    int64_t key = own->known ? (own->iter * MU_MAX_PARTS + own->part) * 2 + own->gradients : INT64_MAX, first = key;
    MU_TRY(mu_comm_all_reduce(runner->comm, &first, 1, MU_I64, MU_COMM_MIN));
    *what = (mu_trouble){.known = true, .gradients = first % 2, .part = (int)(first / 2 % MU_MAX_PARTS), .iter = first / 2 / MU_MAX_PARTS,
                         .updates = first == key ? own->updates : INT64_MAX};
    return MU_OK;
}

/* Completes the record of what is known without the operation. */
static void say_what_is_known(const mu_runner *runner, bool can_look)
{
    static const char advice[] = "a smaller learning rate, a warm-up or clip_grad often help; look at the data first";
    mu_error own = *mu_error_last();
    if (can_look) {
        mu_error_hint("%s%s", advice, runner->late ? "; MU_LATE=0 names the operation" : "");
        return;
    }
    (void)MU_FAIL(MU_ERR_NUMERIC, "%s: which operation is to blame cannot be told: the parameters are in pieces", own.message);
    mu_error_hint("%s; sharding_strategy: SHARD_GRAD_OP leaves the parameters whole", advice);
}

mu_err mu_explain_found(mu_runner *runner, mu_err err)
{
    mu_trouble what;
    mu_error own;
    bool can_look = runner->comm->size == 1 || mu_params_sharing_of(mu_model_params(runner->model))->stage < MU_SHARD_PARAMETERS;
    runner->agreed = true;
    if (!err)
        err = mu_values_look(runner, true);
    if (err == MU_ERR_NUMERIC)
        say_what_is_known(runner, can_look);
    own = *mu_error_last();
    MU_TRY(agree_on(runner, &what));
    if (can_look && mu_runner_is_main(runner))
        MU_INFO("run", "iteration %lld: numbers are not finite; it is run again, operation by operation", (long long)what.iter + 1);
    mu_parallel_drain(runner->parallel);
    mu_err found = MU_OK;
    if (err && err != MU_ERR_NUMERIC)
        found = mu_error_restore(&own);
    else if (can_look)
        found = only_numbers(look(runner, &what));
    return conclude(runner, found, err, &own);
}
