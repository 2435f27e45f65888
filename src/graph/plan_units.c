/* Units of a shared store in a plan: when gradients and parameters travel, and where they lie meanwhile.
 *
 * Ranks may run plans whose kernels want other layouts, and so have other steps. What they tell each other must not depend on that: it follows
 * from the nodes of the graph alone. Place i is node i, the last place is what comes after all nodes; boundary i is what lies before place i. */
#include "graph/params_impl.h"
#include "graph/passes/rewriter.h"
#include "graph/plan_impl.h"

#include <stdlib.h>

/* A stretch of places that use a unit's parameters, from one gather on. */
typedef struct {
    int32_t unit, first, last; /* places */
    int32_t buffer;
    int32_t next; /* stretch of the same unit, or -1 */
} stretch;

typedef struct {
    mu_plan *plan;
    const mu_params *params;
    const mu_params_sharing *sharing;
    size_t *buffer_capacity;
    int32_t n_places, n_units;
    int32_t *step_at; /* [n_places+1] the first step of place i or a later one */
    int32_t *root;    /* [n_values+1] what a value is a view of */
    int32_t *unit_of; /* [n_values+1] unit of a parameter, or -1 */
    int32_t *last;    /* [n_values+1] by root: last place that makes or reads it */
    int32_t *ready;   /* [n_units] last place that makes or reads its gradients; -1: there are none */

    stretch *stretches; /* in the order of their first use */
    size_t n_stretches, stretch_capacity;
    int32_t *first_stretch, *last_stretch; /* [n_units] or -1 */
    int64_t *seen;                         /* [n_units] at which change of units it was used last */
    int64_t changes;
    int32_t current;

    size_t call_capacity, gap_capacity;
} units;

static void release(units *u)
{
    mu_free(u->step_at);
    mu_free(u->root);
    mu_free(u->unit_of);
    mu_free(u->last);
    mu_free(u->ready);
    mu_free(u->stretches);
    mu_free(u->first_stretch);
    mu_free(u->last_stretch);
    mu_free(u->seen);
}

/* ---- from the graph ---- */

static mu_err make_tables(units *u)
{
    const mu_graph *g = u->plan->graph;
    size_t n_values = (size_t)mu_graph_n_values(g) + 1, n_units = (size_t)u->n_units;
    MU_TRY(mu_calloc(&u->step_at, (size_t)u->n_places + 1, sizeof *u->step_at));
    MU_TRY(mu_calloc(&u->root, n_values, sizeof *u->root));
    MU_TRY(mu_calloc(&u->unit_of, n_values, sizeof *u->unit_of));
    MU_TRY(mu_calloc(&u->last, n_values, sizeof *u->last));
    MU_TRY(mu_calloc(&u->ready, n_units, sizeof *u->ready));
    MU_TRY(mu_calloc(&u->first_stretch, n_units, sizeof *u->first_stretch));
    MU_TRY(mu_calloc(&u->last_stretch, n_units, sizeof *u->last_stretch));
    MU_TRY(mu_calloc(&u->seen, n_units, sizeof *u->seen));
    for (size_t i = 0; i < n_units; i++)
        u->ready[i] = u->first_stretch[i] = u->last_stretch[i] = -1;
    return MU_OK;
}

static void read_graph(units *u)
{
    const mu_plan *plan = u->plan;
    const mu_graph *g = plan->graph;
    size_t step = plan->n_once;
    for (int32_t p = 0; p <= u->n_places; p++) {
        while (step < plan->n_steps && plan->steps[step].place < p)
            step++;
        u->step_at[p] = (int32_t)step;
    }
    u->step_at[u->n_places] = (int32_t)plan->n_steps;
    for (int32_t v = 1; v <= mu_graph_n_values(g); v++) {
        const mu_value_info *info = mu_graph_value(g, (mu_value){v});
        u->root[v] = v;
        u->unit_of[v] = -1;
        if (info->kind == MU_VALUE_PARAM)
            u->unit_of[v] = mu_params_unit_of(u->params, mu_params_find(u->params, info->name));
        else if (info->kind == MU_VALUE_NODE && info->node->op->flags & MU_OP_VIEW)
            u->root[v] = u->root[info->node->in[0].id];
    }
    for (int32_t i = 0; i < mu_graph_n_nodes(g); i++) {
        const mu_node *node = mu_graph_node(g, i);
        for (int k = 0; k < node->n_in + node->n_out; k++)
            u->last[u->root[k < node->n_in ? node->in[k].id : node->out[k - node->n_in].id]] = i;
    }
}

/* A unit waits for those before it: all ranks tell them in ascending order. One without gradients is not told of where it would need memory. */
static void find_ready(units *u)
{
    bool whole = u->sharing->stage < MU_SHARD_GRADIENTS;
    int32_t most = -1;
    const mu_graph *g = u->plan->graph;
    for (int i = 0; i < mu_graph_n_gradients(g); i++) {
        int32_t root = u->root[mu_graph_gradient(g, i).id];
        int32_t place = mu_producer(g, (mu_value){root}) ? u->last[root] : u->n_places - 1;
        int32_t *ready = &u->ready[u->unit_of[mu_graph_gradient_param(g, i).id]];
        *ready = place > *ready ? place : *ready;
    }
    for (int32_t i = 0; i < u->n_units; i++) {
        most = u->ready[i] > most ? u->ready[i] : most;
        u->ready[i] = whole || u->ready[i] >= 0 ? most : -1;
    }
}

/* ---- calls ---- */

static mu_err add_call(units *u, mu_plan_call_kind kind, int32_t unit, int32_t order, int32_t boundary, int32_t buffer)
{
    mu_plan *plan = u->plan;
    MU_TRY(mu_grow(&plan->calls, &u->call_capacity, plan->n_calls + 1, sizeof *plan->calls));
    plan->calls[plan->n_calls++] = (mu_plan_call){.kind = kind, .unit = unit, .order = order, .boundary = boundary,
                                                  .step = u->step_at[boundary], .buffer = buffer};
    return MU_OK;
}

static int compare_calls(const void *pa, const void *pb)
{
    const mu_plan_call *a = pa, *b = pb;
    if (a->boundary != b->boundary)
        return a->boundary < b->boundary ? -1 : 1;
    int kind_a = a->kind == MU_CALL_WAIT_REDUCE ? MU_CALL_START_REDUCE : a->kind;
    int kind_b = b->kind == MU_CALL_WAIT_REDUCE ? MU_CALL_START_REDUCE : b->kind;
    if (kind_a != kind_b)
        return kind_a < kind_b ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order;
}

/* ---- memory ---- */

static mu_err add_buffer(units *u, const mu_buffer *buffer, int32_t *out)
{
    mu_plan *plan = u->plan;
    MU_TRY(mu_grow(&plan->buffers, u->buffer_capacity, plan->n_buffers + 1, sizeof *plan->buffers));
    plan->buffers[plan->n_buffers] = *buffer;
    *out = (int32_t)plan->n_buffers++;
    return MU_OK;
}

/* The memory of a unit between two boundaries. */
static mu_err add_unit_buffer(units *u, int32_t unit, int32_t first_step, int32_t end, int32_t *out)
{
    int32_t last = u->step_at[end] - 1;
    mu_buffer buffer = {.kind = MU_BUFFER_ARENA, .bytes = mu_params_unit(u->params, unit)->bytes, .first = first_step,
                        .last = last > first_step ? last : first_step, .scratch = true, .parent = -1};
    MU_TRY(add_buffer(u, &buffer, out));
    return MU_OK;
}

static int param_of(const units *u, const mu_buffer *buffer)
{
    return mu_params_find(u->params, mu_graph_value(u->plan->graph, buffer->value)->name);
}

static void make_part(const units *u, int32_t buffer, int32_t parent, int32_t unit)
{
    mu_buffer *b = &u->plan->buffers[buffer];
    b->parent = parent;
    b->offset = mu_params_at(u->params, param_of(u, b))->offset - mu_params_unit(u->params, unit)->offset;
}

/* ---- gradients ---- */

/* What of the unit this plan does not write: parameters without a path to the loss, and what lies between parameters. */
static mu_err find_gaps(units *u, int32_t unit, const bool *written, mu_plan_call *call)
{
    mu_plan *plan = u->plan;
    const mu_param_unit *range = mu_params_unit(u->params, unit);
    size_t at = range->offset;
    call->first_gap = (int32_t)plan->n_gaps;
    for (int i = range->first; i <= range->first + range->n; i++) {
        bool end = i == range->first + range->n;
        if (!end && !written[i])
            continue;
        size_t until = end ? range->offset + range->bytes : mu_params_at(u->params, i)->offset;
        if (until > at) {
            MU_TRY(mu_grow(&plan->gaps, &u->gap_capacity, plan->n_gaps + 1, sizeof *plan->gaps));
            plan->gaps[plan->n_gaps++] = (mu_plan_gap){at - range->offset, until - at};
        }
        if (!end)
            at = mu_params_at(u->params, i)->offset + mu_params_at(u->params, i)->bytes;
    }
    call->n_gaps = (int32_t)plan->n_gaps - call->first_gap;
    return MU_OK;
}

/* A unit's gradients have memory from their first one until they have left: when unit `later` goes, or at the end. */
static mu_err place_gradients(units *u, int32_t unit, int32_t later, const bool *written)
{
    mu_plan *plan = u->plan;
    int32_t first = INT32_MAX, buffer, end = later < u->n_units ? u->ready[later] + 1 : u->n_places;
    size_t n = plan->n_buffers;
    for (size_t i = 0; i < n; i++) {
        const mu_buffer *b = &plan->buffers[i];
        if (b->kind != MU_BUFFER_GRADIENT || mu_params_unit_of(u->params, param_of(u, b)) != unit)
            continue;
        if (b->pinned)
            return MU_FAIL(MU_ERR_UNSUPPORTED, "the gradient of \"%s\" is an output, but gradients are sharded",
                           mu_plan_value_name(plan, b->value));
        first = b->first < first ? b->first : first;
    }
    MU_TRY(add_unit_buffer(u, unit, first, end, &buffer));
    for (size_t i = 0; i < n; i++)
        if (plan->buffers[i].kind == MU_BUFFER_GRADIENT &&
            mu_params_unit_of(u->params, param_of(u, &plan->buffers[i])) == unit)
            make_part(u, (int32_t)i, buffer, unit);
    MU_TRY(add_call(u, MU_CALL_START_REDUCE, unit, 2 * unit, u->ready[unit] + 1, buffer));
    MU_TRY(find_gaps(u, unit, written, &plan->calls[plan->n_calls - 1]));
    MU_TRY(add_call(u, MU_CALL_WAIT_REDUCE, unit, 2 * later + 1, end, buffer));
    return MU_OK;
}

/* Waited for when as many reductions were started after it as may be on their way. */
static mu_err share_gradients(units *u)
{
    const mu_plan *plan = u->plan;
    int32_t ahead = u->sharing->exchange ? u->sharing->exchange->prefetch : 1;
    bool *written;
    mu_err err = MU_OK;
    MU_TRY(mu_calloc(&written, (size_t)mu_params_count(u->params) + 1, sizeof *written));
    for (size_t i = 0; i < plan->n_buffers; i++)
        if (plan->buffers[i].kind == MU_BUFFER_GRADIENT)
            written[param_of(u, &plan->buffers[i])] = true;
    for (int32_t i = 0; i < u->n_units && !err; i++) {
        int32_t later = i, n = 0;
        if (u->ready[i] < 0)
            continue;
        while (n < ahead && ++later < u->n_units)
            n += u->ready[later] >= 0;
        err = place_gradients(u, i, later, written);
    }
    mu_free(written);
    return err;
}

/* Whole gradients in the store. */
static mu_err tell_gradients(units *u)
{
    for (int32_t i = 0; i < u->n_units; i++)
        MU_TRY(add_call(u, MU_CALL_START_REDUCE, i, i, u->ready[i] + 1, -1));
    return MU_OK;
}

/* ---- parameters ---- */

static int32_t ahead_at(const units *u, int32_t place)
{
    const mu_graph *g = u->plan->graph;
    const mu_exchange *exchange = u->sharing->exchange;
    if (!exchange)
        return 1;
    return place < mu_graph_n_nodes(g) && !mu_graph_node(g, place)->backward ? exchange->forward_prefetch : exchange->prefetch;
}

/* A unit that is wanted again soon is kept: it would be gathered ahead at once. */
static mu_err use(units *u, int32_t unit, int32_t place)
{
    if (unit != u->current)
        u->changes++;
    u->current = unit;
    int32_t had = u->last_stretch[unit];
    if (had >= 0 && u->changes - u->seen[unit] <= ahead_at(u, place) + 1) {
        u->stretches[had].last = place;
    } else {
        MU_TRY(mu_grow(&u->stretches, &u->stretch_capacity, u->n_stretches + 1, sizeof *u->stretches));
        int32_t at = (int32_t)u->n_stretches++;
        u->stretches[at] = (stretch){.unit = unit, .first = place, .last = place, .buffer = -1, .next = -1};
        *(had >= 0 ? &u->stretches[had].next : &u->first_stretch[unit]) = at;
        u->last_stretch[unit] = at;
    }
    u->seen[unit] = u->changes;
    return MU_OK;
}

static mu_err use_value(units *u, mu_value v, int32_t place)
{
    int32_t unit = v.id ? u->unit_of[u->root[v.id]] : -1;
    if (unit >= 0)
        MU_TRY(use(u, unit, place));
    return MU_OK;
}

static mu_err find_stretches(units *u)
{
    const mu_graph *g = u->plan->graph;
    u->current = -1;
    for (int32_t i = 0; i < mu_graph_n_nodes(g); i++) {
        const mu_node *node = mu_graph_node(g, i);
        for (int k = 0; k < node->n_in; k++)
            MU_TRY(use_value(u, node->in[k], i));
    }
    for (int i = 0; i < mu_graph_n_gradients(g); i++) /* copies of parameters, made after the nodes */
        MU_TRY(use_value(u, mu_graph_gradient(g, i), u->n_places - 1));
    for (int i = 0; i < mu_graph_n_outputs(g); i++)
        MU_TRY(use_value(u, mu_graph_output_value(g, i), u->n_places - 1));
    return MU_OK;
}

static mu_err add_gathers(units *u)
{
    for (int32_t i = 0; i < (int32_t)u->n_stretches; i++) {
        stretch *s = &u->stretches[i];
        int32_t before = i - ahead_at(u, s->first), begin = before < 0 ? 0 : u->stretches[before].first;
        for (int32_t k = u->first_stretch[s->unit]; k != i; k = u->stretches[k].next) /* one at a time */
            begin = u->stretches[k].last + 1 > begin ? u->stretches[k].last + 1 : begin;
        MU_TRY(add_unit_buffer(u, s->unit, u->step_at[begin], s->last + 1, &s->buffer));
        MU_TRY(add_call(u, MU_CALL_START_GATHER, s->unit, i, begin, s->buffer));
        MU_TRY(add_call(u, MU_CALL_WAIT_GATHER, s->unit, i, s->first, s->buffer));
    }
    return MU_OK;
}

static const stretch *stretch_at(const units *u, int32_t unit, int32_t place)
{
    for (int32_t k = u->first_stretch[unit]; k >= 0; k = u->stretches[k].next)
        if (place >= u->stretches[k].first && place <= u->stretches[k].last)
            return &u->stretches[k];
    return NULL;
}

/* The part of the unit's memory at this time: the buffer itself, or a copy of it for a further stretch. */
static mu_err part_at(units *u, int32_t buffer, int32_t place, int32_t *out)
{
    mu_plan *plan = u->plan;
    int32_t unit = mu_params_unit_of(u->params, param_of(u, &plan->buffers[buffer]));
    const stretch *s = stretch_at(u, unit, place);
    if (!s)
        return MU_FAIL(MU_ERR_INTERNAL, "\"%s\" is used when it is not there",
                       mu_plan_value_name(plan, plan->buffers[buffer].value));
    if (plan->buffers[buffer].parent == s->buffer) {
        *out = buffer;
        return MU_OK;
    }
    if (plan->buffers[buffer].parent >= 0) {
        for (size_t i = (size_t)s->buffer + 1; i < plan->n_buffers; i++)
            if (plan->buffers[i].parent == s->buffer && plan->buffers[i].value.id == plan->buffers[buffer].value.id) {
                *out = (int32_t)i;
                return MU_OK;
            }
        mu_buffer again = plan->buffers[buffer];
        MU_TRY(add_buffer(u, &again, &buffer));
    }
    make_part(u, buffer, s->buffer, unit);
    *out = buffer;
    return MU_OK;
}

static mu_err place_params(units *u)
{
    mu_plan *plan = u->plan;
    for (size_t s = plan->n_once; s < plan->n_steps; s++) {
        mu_step *step = &plan->steps[s];
        for (int o = 0; o < step->kernel->call.n_out; o++)
            if (step->out[o] >= 0 && plan->buffers[step->out[o]].kind == MU_BUFFER_PARAM)
                return MU_FAIL(MU_ERR_UNSUPPORTED, "%s \"%s\" writes a parameter, but parameters are sharded", mu_step_op(step),
                               mu_plan_value_name(plan, step->value));
        for (int i = 0; i < step->kernel->call.n_in; i++)
            if (step->in[i] >= 0 && plan->buffers[step->in[i]].kind == MU_BUFFER_PARAM)
                MU_TRY(part_at(u, step->in[i], step->place, &step->in[i]));
    }
    for (size_t i = 0; i < plan->n_outputs; i++)
        if (plan->buffers[plan->outputs[i].buffer].kind == MU_BUFFER_PARAM)
            MU_TRY(part_at(u, plan->outputs[i].buffer, u->n_places - 1, &plan->outputs[i].buffer));
    return MU_OK;
}

/* A gather must not write where a reduction is still read that is waited for after it, though no step lies between. */
static void keep_apart(units *u)
{
    mu_plan *plan = u->plan;
    for (size_t i = 0; i < plan->n_calls; i++) {
        const mu_plan_call *call = &plan->calls[i];
        if (call->kind != MU_CALL_START_GATHER)
            continue;
        for (size_t k = i + 1; k < plan->n_calls && plan->calls[k].step == call->step; k++) {
            mu_buffer *buffer = &plan->buffers[call->buffer];
            if (plan->calls[k].kind == MU_CALL_WAIT_REDUCE && buffer->first == call->step && buffer->first > 0)
                buffer->first--;
        }
    }
}

static mu_err add(units *u, bool training)
{
    mu_plan *plan = u->plan;
    mu_shard_stage stage = u->sharing->stage;
    MU_TRY(make_tables(u));
    read_graph(u);
    if (training) {
        find_ready(u);
        MU_TRY(stage >= MU_SHARD_GRADIENTS ? share_gradients(u) : tell_gradients(u));
    }
    if (stage >= MU_SHARD_PARAMETERS) {
        MU_TRY(find_stretches(u));
        MU_TRY(add_gathers(u));
        MU_TRY(place_params(u));
    }
    if (plan->n_calls)
        qsort(plan->calls, plan->n_calls, sizeof *plan->calls, compare_calls);
    keep_apart(u);
    return MU_OK;
}

mu_err mu_plan_add_units(mu_plan *plan, size_t *capacity)
{
    const mu_params_sharing *sharing = plan->params ? mu_params_sharing_of(plan->params) : NULL;
    bool training = mu_graph_n_gradients(plan->graph) > 0;
    if (!sharing || (sharing->stage == MU_SHARD_NOTHING && !sharing->exchange) ||
        (!training && sharing->stage < MU_SHARD_PARAMETERS))
        return MU_OK;
    units u = {.plan = plan, .params = plan->params, .sharing = sharing, .buffer_capacity = capacity,
               .n_places = mu_graph_n_nodes(plan->graph) + 1, .n_units = mu_params_n_units(plan->params)};
    mu_err err = add(&u, training);
    release(&u);
    MU_TRY(err);
    return MU_OK;
}

/* ---- while it runs ---- */

bool mu_plan_is_alone(const mu_plan *plan)
{
    for (size_t i = 0; i < plan->n_calls; i++)
        if (plan->calls[i].kind == MU_CALL_START_GATHER)
            return false;
    return true;
}

static mu_err start_reduce(mu_plan *plan, mu_exchange *exchange, const mu_plan_call *call)
{
    char *gradients = mu_params_gradients(plan->params, NULL);
    char *unit = call->buffer >= 0 ? plan->buffers[call->buffer].address
                                   : gradients + mu_params_unit(plan->params, call->unit)->offset;
    mu_err err = MU_OK;
    for (int32_t i = call->first_gap; i < call->first_gap + call->n_gaps && !err; i++)
        err = mu_params_clear(plan->backend, unit + plan->gaps[i].offset, plan->gaps[i].bytes);
    mu_err told = exchange->ops->start_reduce(exchange, call->unit, unit);
    return err ? err : told;
}

mu_err mu_plan_make_call(mu_plan *plan, const mu_plan_call *call)
{
    mu_exchange *exchange = mu_params_sharing_of(plan->params)->exchange;
    if (!exchange)
        return MU_FAIL(MU_ERR_USAGE, "parameters are shared by %d ranks, but nothing takes them from one to the other",
                       mu_params_sharing_of(plan->params)->size);
    switch (call->kind) {
    case MU_CALL_START_REDUCE: MU_TRY(start_reduce(plan, exchange, call)); break;
    case MU_CALL_WAIT_REDUCE: MU_TRY(exchange->ops->wait_reduce(exchange, call->unit)); break;
    case MU_CALL_START_GATHER:
        MU_TRY(exchange->ops->start_gather(exchange, call->unit, plan->buffers[call->buffer].address));
        break;
    case MU_CALL_WAIT_GATHER: MU_TRY(exchange->ops->wait_gather(exchange, call->unit)); break;
    }
    return MU_OK;
}
