#include "graph/plan.h"

#include "core/clock.h"
#include "graph/params_impl.h"
#include "graph/pass.h"
#include "graph/plan_impl.h"

#include <stdio.h>

enum { PROFILED_RUNS = 32 }; /* of which events are kept for the trace */

static const mu_run no_run;

/* ---- making ---- */

/* plan->graph becomes what the pass made of it. */
static mu_err take(mu_plan *plan, mu_err err, mu_graph *made)
{
    if (err)
        return err;
    mu_graph_release(plan->graph);
    plan->graph = made;
    return MU_OK;
}

static mu_err run_passes(mu_plan *plan, const mu_graph *graph)
{
    mu_graph *next = NULL;
    mu_err err;
    MU_TRY(mu_pass_simplify(graph, &plan->graph));
    if (plan->options.autocast != MU_NONE) {
        err = mu_pass_autocast(plan->graph, plan->backend, plan->options.autocast, &next);
        MU_TRY(take(plan, err, next));
    }
    if (plan->options.no_fusion)
        return MU_OK;
    if (mu_graph_n_gradients(plan->graph) == 0) {
        err = mu_pass_fold_batch_norm(plan->graph, &next);
        MU_TRY(take(plan, err, next));
    }
    err = mu_pass_fuse(plan->graph, plan->backend, &next);
    MU_TRY(take(plan, err, next));
    err = mu_pass_simplify(plan->graph, &next);
    MU_TRY(take(plan, err, next));
    return MU_OK;
}

/* Values by name, as if they had memory of their own: what is to be lowered is one of them. */
static void tell(const void *user, mu_holdings *holdings)
{
    const mu_plan *plan = user;
    char type[MU_TYPE_TEXT];
    for (size_t i = 0; i < plan->n_buffers; i++) {
        const mu_buffer *b = &plan->buffers[i];
        if (b->kind == MU_BUFFER_ARENA && !b->scratch && b->parent < 0)
            mu_holdings_note(holdings, MU_HELD_BY_PLAN, b->bytes, "%s %s", mu_plan_value_name(plan, b->value),
                             mu_type_format(mu_graph_type(plan->graph, b->value), type));
    }
    mu_holdings_note(holdings, MU_HELD_BY_PLAN, plan->constant_bytes, "constants");
    mu_holdings_note(holdings, MU_HELD_BY_PLAN, plan->input_bytes, "inputs");
}

static mu_err upload_constants(mu_plan *plan)
{
    mu_backend *backend = plan->backend;
    if (!plan->constant_bytes)
        return MU_OK;
    MU_TRY(mu_backend_alloc(backend, plan->constant_bytes, "constants", &plan->constants));
    for (size_t i = 0; i < plan->n_buffers; i++) {
        const mu_buffer *b = &plan->buffers[i];
        if (b->kind == MU_BUFFER_CONST)
            MU_TRY(backend->ops->upload(backend, (char *)plan->constants + b->offset,
                                        mu_graph_value(plan->graph, b->value)->constant, b->bytes));
    }
    return MU_OK;
}

static mu_err make_feed(mu_plan *plan)
{
    MU_TRY(mu_params_clear(plan->backend, plan->input_arena, plan->input_bytes));
    if (plan->backend->host_memory)
        return MU_OK;
    MU_TRY(mu_calloc(&plan->sent, plan->n_inputs, sizeof *plan->sent));
    MU_TRY(mu_feed_new(plan->backend, plan->input_bytes, &plan->feed));
    MU_TRY(mu_feed_slot(plan->feed, &plan->slot));
    return MU_OK;
}

static mu_err allocate(mu_plan *plan)
{
    mu_backend *backend = plan->backend;
    MU_TRY(mu_backend_alloc(backend, plan->stats.arena_bytes, "activations", &plan->arena));
    MU_TRY(upload_constants(plan));
    if (plan->input_bytes) {
        MU_TRY(mu_backend_alloc(backend, plan->input_bytes, "inputs", &plan->input_arena));
        MU_TRY(make_feed(plan));
    }
    void *base[] = {[MU_BUFFER_ARENA] = plan->arena,
                    [MU_BUFFER_INPUT] = plan->input_arena,
                    [MU_BUFFER_CONST] = plan->constants,
                    [MU_BUFFER_PARAM] = mu_params_data(plan->params, NULL),
                    [MU_BUFFER_GRADIENT] = mu_params_gradients(plan->params, NULL),
                    [MU_BUFFER_STATE] = mu_params_states(plan->params, NULL)};
    for (size_t i = 0; i < plan->n_buffers; i++) {
        mu_buffer *b = &plan->buffers[i];
        if (b->parent < 0)
            b->address = base[b->kind] ? (char *)base[b->kind] + b->offset : plan->arena; /* no base: all of them are empty */
    }
    for (size_t i = 0; i < plan->n_buffers; i++) {
        mu_buffer *b = &plan->buffers[i];
        if (b->parent >= 0)
            b->address = (char *)plan->buffers[b->parent].address + b->offset;
    }
    return MU_OK;
}

static mu_err bind(mu_plan *plan)
{
    void *in[MU_OP_VARIADIC], *out[MU_OP_MAX_OUT];
    for (size_t s = 0; s < plan->n_steps; s++) {
        mu_step *step = &plan->steps[s];
        for (int i = 0; i < step->kernel->call.n_in; i++)
            in[i] = step->in[i] >= 0 ? plan->buffers[step->in[i]].address : NULL;
        for (int o = 0; o < step->kernel->call.n_out; o++)
            out[o] = step->out[o] >= 0 ? plan->buffers[step->out[o]].address : NULL;
        mu_err err = mu_kernel_bind(step->kernel, in, out, step->scratch >= 0 ? plan->buffers[step->scratch].address : NULL);
        if (err) {
            mu_error_context("%s \"%s\"", mu_step_op(step), mu_plan_value_name(plan, step->value));
            return err;
        }
    }
    return MU_OK;
}

static mu_err make(mu_plan *plan, const mu_graph *graph)
{
    MU_TRY(run_passes(plan, graph));
    MU_TRY(mu_plan_build(plan));
    if (plan->options.dry)
        return MU_OK;
    plan->holder = (mu_holder){.tell = tell, .user = plan};
    mu_holder_add(plan->backend, &plan->holder);
    MU_TRY(allocate(plan));
    MU_TRY(bind(plan));
    if (plan->options.profile) {
        plan->event_capacity = PROFILED_RUNS * plan->n_steps + 1;
        MU_TRY(mu_calloc(&plan->events, plan->event_capacity, sizeof *plan->events));
    }
    return MU_OK;
}

static mu_err own_store(mu_plan *plan, const mu_params_sharing *sharing)
{
    plan->own_store = true;
    MU_TRY(mu_params_new(plan->backend, &plan->params));
    MU_TRY(mu_params_share(plan->params, sharing));
    return MU_OK;
}

mu_err mu_plan_new(const mu_graph *graph, mu_backend *backend, mu_params *params, const mu_plan_options *options,
                   mu_plan **out)
{
    mu_plan *plan;
    if (!params && !(options && options->dry))
        return MU_FAIL(MU_ERR_USAGE, "only a dry plan can do without a parameter store");
    MU_TRY(mu_calloc(&plan, 1, sizeof *plan));
    plan->backend = backend;
    plan->params = params ? mu_params_retain(params) : NULL;
    if (options)
        plan->options = *options;
    plan->options.sharing = NULL;
    mu_err err = !params && options->sharing ? own_store(plan, options->sharing) : MU_OK;
    if (!err)
        err = make(plan, graph);
    if (err)
        mu_plan_release(plan);
    else
        *out = plan;
    return err;
}

void mu_plan_release(mu_plan *plan)
{
    if (!plan)
        return;
    mu_backend *backend = plan->backend;
    mu_holder_remove(backend, &plan->holder);
    mu_repeat_release(plan->repeat);
    for (size_t i = 0; i < plan->n_steps; i++) {
        mu_kernel_release(plan->steps[i].kernel);
        mu_free(plan->steps[i].in);
    }
    mu_feed_release(plan->feed);
    void *blocks[] = {plan->arena, plan->constants, plan->input_arena};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
        if (blocks[i])
            backend->ops->dealloc(backend, blocks[i]);
    mu_free(plan->sent);
    mu_free(plan->steps);
    mu_free(plan->buffers);
    mu_free(plan->inputs);
    mu_free(plan->outputs);
    mu_free(plan->events);
    mu_free(plan->calls);
    mu_free(plan->gaps);
    mu_graph_release(plan->graph);
    mu_params_release(plan->params);
    mu_free(plan);
}

/* ---- running ---- */

/* What was given since the last run; the rest is on the device. The next slot was sent two runs ago, so when it is there, what the run before was given is
 * not read any more. Buffers end where the next one begins: neighbours go in one copy. */
mu_err mu_plan_send(mu_plan *plan)
{
    size_t n = 0;
    if (!plan->feed)
        return MU_OK;
    for (size_t i = 0; i < plan->n_inputs; i++) {
        const mu_buffer *b = &plan->buffers[plan->inputs[i].buffer];
        if (plan->inputs[i].filled)
            plan->sent[n++] = (mu_feed_range){.offset = b->offset, .bytes = mu_align_up(b->bytes), .from = plan->inputs[i].from};
    }
    if (n == 0)
        return MU_OK;
    MU_TRY(mu_feed_send_ranges(plan->feed, plan->input_arena, plan->sent, n));
    for (size_t i = 0; i < plan->n_inputs; i++)
        plan->inputs[i].filled = false;
    MU_TRY(mu_feed_slot(plan->feed, &plan->slot));
    return MU_OK;
}

static mu_err name_failure(mu_plan *plan, size_t s, mu_err err)
{
    mu_error_context("%s \"%s\"", mu_step_op(&plan->steps[s]), mu_plan_value_name(plan, plan->steps[s].value));
    return mu_error_trace(err, __FILE__, __LINE__, __func__);
}

/* What comes next in a run. */
typedef struct {
    size_t step, call;
} place;

static mu_err run_timed(mu_plan *plan, const mu_run *run, place *at, size_t to)
{
    while (at->step < to) {
        size_t s = at->step++;
        mu_step *step = &plan->steps[s];
        int64_t begin = mu_clock_ns();
        mu_err err = mu_backend_run(plan->backend, step->kernel, run);
        if (!err && !plan->backend->host_memory)
            err = plan->backend->ops->synchronize(plan->backend);
        int64_t end = mu_clock_ns();
        if (err)
            return name_failure(plan, s, err);
        step->seconds += (double)(end - begin) * 1e-9;
        step->runs++;
        plan->events[plan->n_events++ % plan->event_capacity] = (mu_plan_event){(int32_t)s, begin, end};
    }
    return MU_OK;
}

static mu_err run_steps(mu_plan *plan, const mu_run *run, place *at, size_t to)
{
    if (plan->options.profile)
        return run_timed(plan, run, at, to);
    while (at->step < to) {
        size_t s = at->step++;
        mu_err err = mu_backend_run(plan->backend, plan->steps[s].kernel, run);
        if (__builtin_expect(err != MU_OK, 0))
            return name_failure(plan, s, err);
    }
    return MU_OK;
}

static mu_err run_all(mu_plan *plan, const mu_run *run, place *at)
{
    while (at->call < plan->n_calls) {
        const mu_plan_call *call = &plan->calls[at->call];
        MU_TRY(run_steps(plan, run, at, (size_t)call->step));
        at->call++;
        MU_TRY(mu_plan_make_call(plan, call));
    }
    MU_TRY(run_steps(plan, run, at, plan->n_steps));
    return MU_OK;
}

/* What is collective up to a step, with nothing from this rank. Where the communicator itself has failed nobody waits for it. */
static void attend(const mu_plan *plan, const mu_run *absent, place *at, size_t to, bool *broken)
{
    for (; at->step < to; at->step++) {
        const mu_step *step = &plan->steps[at->step];
        if (!*broken && step->node && step->node->op->flags & MU_OP_COLLECTIVE)
            *broken = mu_backend_run(plan->backend, step->kernel, absent) == MU_ERR_COMM;
    }
}

/* After a failure: what the others wait for still happens, so that they go on. Whole gradients are left to whoever looks after the run
 * (exchange.h). Returns `err` with its record. */
static mu_err leave(mu_plan *plan, const mu_run *run, place at, mu_err err)
{
    mu_error kept = *mu_error_last();
    mu_run absent = *run;
    absent.presence = MU_ABSENT;
    bool broken = err == MU_ERR_COMM, waits = plan->params && mu_params_sharing_of(plan->params)->stage >= MU_SHARD_GRADIENTS;
    for (; waits && at.call < plan->n_calls; at.call++) {
        const mu_plan_call *call = &plan->calls[at.call];
        attend(plan, &absent, &at, (size_t)call->step, &broken);
        if (mu_plan_make_call(plan, call) != MU_OK)
            mu_error_clear(); /* that the run failed is known */
    }
    attend(plan, &absent, &at, plan->n_steps, &broken);
    return mu_error_restore(&kept);
}

mu_err mu_plan_begin_run(mu_plan *plan, const mu_run *run, size_t *first)
{
    MU_TRY(mu_backend_set_run(plan->backend, run));
    *first = plan->fresh ? plan->n_once : 0;
    plan->fresh = false; /* until these have run without an error */
    return MU_OK;
}

static mu_err run_whole(mu_plan *plan, const mu_run *run)
{
    place at = {0};
    mu_err err = mu_plan_begin_run(plan, run, &at.step);
    if (!err)
        err = run_all(plan, run, &at);
    return err ? leave(plan, run, at, err) : MU_OK;
}

/* Profiled kernels are waited for one by one. */
static mu_err run_in_span(mu_plan *plan, const mu_run *run)
{
    if (plan->options.profile)
        return run_whole(plan, run);
    if (!plan->repeat && !plan->backend->host_memory)
        MU_TRY(mu_repeat_new(plan->backend, &plan->repeat));
    mu_repeat_begin(plan->repeat);
    return mu_repeat_end(plan->repeat, run_whole(plan, run));
}

mu_err mu_plan_run(mu_plan *plan, const mu_run *run)
{
    if (plan->options.dry)
        return MU_FAIL(MU_ERR_USAGE, "a dry plan cannot be run");
    MU_TRY(mu_plan_send(plan));
    MU_TRY(run_in_span(plan, run ? run : &no_run));
    plan->fresh = true;
    return MU_OK;
}

void mu_plan_refresh(mu_plan *plan)
{
    plan->fresh = false;
}

/* ---- reading ---- */

static mu_plan_slot *find_slot(mu_plan_slot *slots, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(slots[i].name, name) == 0)
            return &slots[i];
    return NULL;
}

int mu_plan_find_input(const mu_plan *plan, const char *name)
{
    const mu_plan_slot *slot = find_slot(plan->inputs, plan->n_inputs, name);
    return slot ? (int)(slot - plan->inputs) : -1;
}

void *mu_plan_input(mu_plan *plan, const char *name, mu_type *type)
{
    int i = mu_plan_find_input(plan, name);
    if (i >= 0 && type)
        *type = plan->inputs[i].type;
    return mu_plan_input_at(plan, i);
}

void *mu_plan_input_at(mu_plan *plan, int i)
{
    mu_plan_slot *slot = i < 0 ? NULL : &plan->inputs[i];
    if (!slot || plan->options.dry)
        return NULL;
    slot->filled = plan->feed != NULL;
    slot->from = NULL;
    const mu_buffer *b = &plan->buffers[slot->buffer];
    return plan->feed ? (char *)plan->slot + b->offset : b->address;
}

void mu_plan_input_from(mu_plan *plan, int i, const void *host)
{
    void *to = mu_plan_input_at(plan, i);
    if (to && plan->feed)
        plan->inputs[i].from = host;
    else if (to)
        memcpy(to, host, plan->buffers[plan->inputs[i].buffer].bytes);
}

mu_err mu_plan_wait_inputs(mu_plan *plan)
{
    if (plan->feed)
        MU_TRY(mu_feed_wait(plan->feed));
    return MU_OK;
}

mu_type mu_plan_output_type(const mu_plan *plan, const char *output)
{
    const mu_plan_slot *slot = find_slot(plan->outputs, plan->n_outputs, output);
    return slot ? slot->type : (mu_type){.dtype = MU_NONE};
}

void *mu_plan_output(const mu_plan *plan, const char *output)
{
    const mu_plan_slot *slot = find_slot(plan->outputs, plan->n_outputs, output);
    return slot ? plan->buffers[slot->buffer].address : NULL;
}

mu_err mu_plan_read(mu_plan *plan, const char *output, void *host, size_t bytes)
{
    const mu_plan_slot *slot = find_slot(plan->outputs, plan->n_outputs, output);
    char text[MU_TYPE_TEXT];
    if (!slot)
        return MU_FAIL(MU_ERR_NOT_FOUND, "the plan has no output \"%s\"", output);
    if (bytes != mu_type_bytes(&slot->type))
        return MU_FAIL(MU_ERR_SHAPE, "output \"%s\" is %s, %zu bytes; the caller has room for %zu", output,
                       mu_type_format(&slot->type, text), mu_type_bytes(&slot->type), bytes);
    if (plan->options.dry)
        return MU_FAIL(MU_ERR_USAGE, "a dry plan has no output to read");
    MU_TRY(plan->backend->ops->download(plan->backend, host, plan->buffers[slot->buffer].address, bytes));
    return MU_OK;
}

mu_plan_stats mu_plan_get_stats(const mu_plan *plan)
{
    return plan->stats;
}

int mu_plan_n_steps(const mu_plan *plan)
{
    return (int)plan->n_steps;
}

mu_plan_step mu_plan_get_step(const mu_plan *plan, int i)
{
    const mu_step *step = &plan->steps[i];
    return (mu_plan_step){.name = mu_plan_value_name(plan, step->value), .op = mu_step_op(step), .impl = step->kernel->impl,
                          .backward = step->backward, .reorder = !step->node, .once = step->once, .flops = step->flops,
                          .bytes = step->bytes, .seconds = step->seconds, .runs = step->runs};
}
