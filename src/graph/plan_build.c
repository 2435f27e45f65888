/* From a graph to steps and buffers.
 *
 * Nodes are prepared in graph order. Every value has one or more copies, one per layout that some kernel wants; a copy lies in
 * a buffer, which views and in-place results share. Steps that depend on parameters, states and constants only go to a list of
 * their own when nothing in the plan changes those; they run once per refresh. */
#include "graph/params_impl.h"
#include "graph/passes/rewriter.h"
#include "graph/plan_impl.h"
#include "ops/ops.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct {
    int32_t buffer;
    const mu_layout *layout;
    int32_t next; /* copy of the same value, or -1 */
} copy;

typedef struct {
    mu_step *step;
    size_t n, capacity;
} step_list;

typedef struct {
    bool decided; /* the layout, by the store or by the first kernel that reads the parameter */
    const mu_layout *layout;
    int32_t gradient; /* buffer or -1 */
} param;

typedef struct {
    mu_plan *plan;
    const mu_graph *g;
    mu_backend *backend;
    bool evaluation; /* no gradients: parameters do not change between refreshes */
    bool gathers;    /* parameters are there only around their use */
    int32_t place;   /* the node that is being built */

    copy *copies;
    size_t n_copies, copy_capacity;
    size_t buffer_capacity;
    int32_t *first_copy; /* [n_values+1] or -1 */
    int32_t *uses_left;  /* [n_values+1] reads to come; outputs and gradients count one that never comes */
    int32_t *pending;    /* [buffers] sum of uses_left over the values in it */
    size_t pending_capacity;
    bool *once;             /* [n_values+1] */
    bool *updated;          /* [n_values+1] leaves whose contents this graph changes */
    bool *deferred;         /* [n_values+1] casts of parameters, made when the first kernel that reads them says in which layout */
    int32_t *target;        /* [n_values+1] the parameter whose gradient the value is, or 0 */
    bool *is_output;        /* [n_values+1] */
    bool *is_read;          /* [n_values+1] some kernel reads a copy */
    param *param;           /* [n_values+1] */
    step_list first, main;
} builder;

static const mu_type *type_of(const builder *b, mu_value v)
{
    return mu_graph_type(b->g, v);
}

const char *mu_plan_value_name(const mu_plan *plan, mu_value value)
{
    const mu_value_info *info = mu_graph_value(plan->graph, value);
    if (info->name)
        return info->name;
    return info->node ? info->node->name : "constant";
}

/* ---- buffers and copies ---- */

static mu_err new_buffer(builder *b, mu_buffer_kind kind, mu_value value, size_t bytes, int32_t *out)
{
    mu_plan *plan = b->plan;
    MU_TRY(mu_grow(&plan->buffers, &b->buffer_capacity, plan->n_buffers + 1, sizeof *plan->buffers));
    MU_TRY(mu_grow(&b->pending, &b->pending_capacity, plan->n_buffers + 1, sizeof *b->pending));
    plan->buffers[plan->n_buffers] = (mu_buffer){.kind = kind, .bytes = bytes, .first = INT32_MAX, .last = -1, .value = value,
                                                  .parent = -1};
    b->pending[plan->n_buffers] = 0;
    *out = (int32_t)plan->n_buffers++;
    return MU_OK;
}

static mu_err add_copy(builder *b, mu_value v, int32_t buffer, const mu_layout *layout)
{
    MU_TRY(mu_grow(&b->copies, &b->copy_capacity, b->n_copies + 1, sizeof *b->copies));
    b->copies[b->n_copies] = (copy){.buffer = buffer, .layout = layout, .next = -1};
    int32_t *link = &b->first_copy[v.id]; /* at the end: the first one stays the one that others are made from */
    while (*link >= 0)
        link = &b->copies[*link].next;
    *link = (int32_t)b->n_copies++;
    b->pending[buffer] += b->uses_left[v.id];
    return MU_OK;
}

static int32_t find_copy(const builder *b, mu_value v, const mu_layout *layout)
{
    for (int32_t c = b->first_copy[v.id]; c >= 0; c = b->copies[c].next)
        if (b->copies[c].layout == layout)
            return b->copies[c].buffer;
    return -1;
}

static void count_use(builder *b, mu_value v)
{
    if (!v.id)
        return;
    b->uses_left[v.id]--;
    for (int32_t c = b->first_copy[v.id]; c >= 0; c = b->copies[c].next)
        b->pending[b->copies[c].buffer]--;
}

static const mu_layout *layout_of(const builder *b, mu_value v)
{
    return v.id && b->first_copy[v.id] >= 0 ? b->copies[b->first_copy[v.id]].layout : NULL;
}

static mu_err make_cast(builder *b, mu_value v, const mu_layout *wish);

/* Gives a leaf its first copy. A parameter without a layout yet takes `wish`. */
static mu_err place_leaf(builder *b, mu_value v, const mu_layout *wish)
{
    const mu_value_info *info = mu_graph_value(b->g, v);
    const mu_layout *layout = NULL;
    mu_buffer_kind kind = MU_BUFFER_INPUT;
    if (b->first_copy[v.id] >= 0)
        return MU_OK;
    switch (info->kind) {
    case MU_VALUE_NODE:
        if (b->deferred[v.id])
            return make_cast(b, v, wish);
        return MU_FAIL(MU_ERR_INTERNAL, "a value of \"%s\" is read before it is made", info->node->name);
    case MU_VALUE_INPUT: break;
    case MU_VALUE_CONST: kind = MU_BUFFER_CONST; break;
    case MU_VALUE_STATE: kind = MU_BUFFER_STATE; break;
    case MU_VALUE_PARAM:
        kind = MU_BUFFER_PARAM;
        if (!b->param[v.id].decided)
            b->param[v.id].layout = wish;
        b->param[v.id].decided = true;
        layout = b->param[v.id].layout;
        break;
    }
    int32_t buffer;
    MU_TRY(new_buffer(b, kind, v, mu_layout_bytes(layout, &info->type), &buffer));
    MU_TRY(add_copy(b, v, buffer, layout));
    return MU_OK;
}

/* ---- steps ---- */

static mu_err new_step(builder *b, bool once, mu_kernel *kernel, mu_value value, const mu_node *node, mu_step **out)
{
    step_list *list = once ? &b->first : &b->main;
    int n = kernel->call.n_in + kernel->call.n_out;
    int32_t *operands = NULL;
    mu_err err;
    MU_TRY_GOTO(err, mu_calloc(&operands, (size_t)n + 1, sizeof *operands), fail);
    MU_TRY_GOTO(err, mu_grow(&list->step, &list->capacity, list->n + 1, sizeof *list->step), fail);
    for (int i = 0; i < n; i++)
        operands[i] = -1;
    mu_step *step = &list->step[list->n++];
    *step = (mu_step){.kernel = kernel, .in = operands, .out = operands + kernel->call.n_in, .scratch = -1, .value = value,
                      .node = node, .place = b->place, .once = once, .flops = node ? mu_call_flops(&kernel->call) : 0,
                      .bytes = mu_call_bytes(&kernel->call)};
    const mu_node *maker = node ? node : mu_graph_value(b->g, value)->node;
    step->backward = maker && maker->backward;
    if (kernel->scratch_bytes) {
        MU_TRY(new_buffer(b, MU_BUFFER_ARENA, MU_NO_VALUE, kernel->scratch_bytes, &step->scratch));
        b->plan->buffers[step->scratch].scratch = true;
    }
    *out = step;
    return MU_OK;
fail:
    mu_free(operands);
    mu_kernel_release(kernel);
    return err;
}

static mu_err reorder_step(builder *b, bool once, mu_value v, int32_t from, const mu_layout *from_layout, int32_t to,
                           const mu_layout *to_layout)
{
    mu_kernel *kernel;
    mu_step *step;
    mu_err err = b->backend->ops->reorder(b->backend, type_of(b, v), from_layout, to_layout, &kernel);
    if (err) {
        mu_error_context("reorder of \"%s\" from %s to %s", mu_plan_value_name(b->plan, v),
                         from_layout ? from_layout->name : "row-major", to_layout ? to_layout->name : "row-major");
        return err;
    }
    MU_TRY(new_step(b, once, kernel, v, NULL, &step));
    step->in[0] = from;
    step->out[0] = to;
    return MU_OK;
}

/* The parameter into whose gradient output v can be written in `layout`, or none: its own, or seen through views. */
static mu_value direct_target(const builder *b, mu_value v, const mu_layout **layout)
{
    mu_value p = {b->target[v.id]};
    if (!p.id)
        return MU_NO_VALUE;
    *layout = b->param[p.id].layout;
    bool same_type = mu_type_equal(type_of(b, v), type_of(b, p));
    return same_type || !*layout ? p : MU_NO_VALUE;
}

/* `wish`: the layout of output 0, unless it is a gradient. */
static mu_err prepare(builder *b, const mu_node *node, const mu_layout *wish, mu_kernel **out)
{
    mu_type types[MU_OP_VARIADIC + MU_OP_MAX_OUT];
    const mu_layout *lies[MU_OP_VARIADIC], *want[MU_OP_MAX_OUT] = {wish};
    mu_call call = mu_graph_call(b->g, node, types);
    for (int i = 0; i < node->n_in; i++) {
        const param *p = &b->param[node->in[i].id];
        lies[i] = p->decided ? p->layout : layout_of(b, node->in[i]);
    }
    for (int o = 0; o < node->n_out; o++)
        direct_target(b, node->out[o], &want[o]);
    mu_err err = b->backend->ops->prepare(b->backend, &call, lies, want, out);
    if (err)
        mu_error_context("%s \"%s\"", node->op->name, node->name);
    return err;
}

static mu_step *maker_of(const builder *b, mu_value v)
{
    for (size_t i = b->main.n; i-- > 0;)
        if (b->main.step[i].node && b->main.step[i].value.id == v.id)
            return &b->main.step[i];
    return NULL;
}

/* What nobody has read yet is made in the layout that its first reader wants, where its kernel can. */
static mu_err oblige(builder *b, mu_value v, const mu_layout *layout)
{
    mu_step *step = b->is_read[v.id] || b->target[v.id] ? NULL : maker_of(b, v);
    mu_kernel *kernel;
    if (!step || !step->kernel->any_layout)
        return MU_OK;
    MU_TRY(prepare(b, step->node, layout, &kernel));
    size_t n = (size_t)kernel->call.n_in * sizeof *kernel->in_layout;
    bool fits = kernel->out_layout[0] == layout && kernel->scratch_bytes == step->kernel->scratch_bytes &&
                memcmp(kernel->in_layout, step->kernel->in_layout, n) == 0;
    if (!fits) {
        mu_kernel_release(kernel);
        return MU_OK;
    }
    mu_kernel_release(step->kernel);
    step->kernel = kernel;
    copy *made = &b->copies[b->first_copy[v.id]];
    made->layout = layout;
    b->plan->buffers[made->buffer].bytes = mu_layout_bytes(layout, type_of(b, v));
    return MU_OK;
}

/* The buffer of the copy in this layout, made when there is none. */
static mu_err get_copy(builder *b, mu_value v, const mu_layout *layout, int32_t *out)
{
    MU_TRY(place_leaf(b, v, layout));
    if (layout_of(b, v) != layout)
        MU_TRY(oblige(b, v, layout));
    b->is_read[v.id] = true;
    *out = find_copy(b, v, layout);
    if (*out >= 0)
        return MU_OK;
    copy from = b->copies[b->first_copy[v.id]];
    MU_TRY(new_buffer(b, MU_BUFFER_ARENA, v, mu_layout_bytes(layout, type_of(b, v)), out));
    b->plan->buffers[*out].once = b->once[v.id];
    MU_TRY(reorder_step(b, b->once[v.id], v, from.buffer, from.layout, *out, layout));
    MU_TRY(add_copy(b, v, *out, layout));
    return MU_OK;
}

/* ---- gradients, which are written where the store keeps them ---- */

static mu_err gradient_buffer(builder *b, mu_value p, int32_t *out)
{
    param *info = &b->param[p.id];
    info->decided = true;
    if (info->gradient < 0)
        MU_TRY(new_buffer(b, MU_BUFFER_GRADIENT, p, mu_layout_bytes(info->layout, type_of(b, p)), &info->gradient));
    *out = info->gradient;
    return MU_OK;
}

/* Which values to compute straight into the gradient arena; through views, which keep the bytes. */
static void find_targets(builder *b)
{
    for (int i = 0; i < mu_graph_n_gradients(b->g); i++) {
        mu_value p = mu_graph_gradient_param(b->g, i), v = mu_graph_gradient(b->g, i);
        b->uses_left[v.id]++;
        if (!b->target[v.id] && mu_producer(b->g, v))
            b->target[v.id] = p.id;
    }
    for (int32_t i = mu_graph_n_nodes(b->g) - 1; i >= 0; i--) {
        const mu_node *node = mu_graph_node(b->g, i);
        if (!(node->op->flags & MU_OP_VIEW) || !b->target[node->out[0].id])
            continue;
        mu_value source = node->in[0];
        if (mu_producer(b->g, source) && !b->target[source.id])
            b->target[source.id] = b->target[node->out[0].id];
    }
}

static mu_err settle_gradient(builder *b, int i)
{
    mu_value p = mu_graph_gradient_param(b->g, i), v = mu_graph_gradient(b->g, i);
    int32_t to;
    MU_TRY(gradient_buffer(b, p, &to));
    for (int32_t c = b->first_copy[v.id]; c >= 0; c = b->copies[c].next)
        if (b->copies[c].buffer == to)
            return MU_OK;
    MU_TRY(place_leaf(b, v, NULL));
    copy from = b->copies[b->first_copy[v.id]];
    MU_TRY(reorder_step(b, false, v, from.buffer, from.layout, to, b->param[p.id].layout));
    MU_TRY(add_copy(b, v, to, b->param[p.id].layout));
    return MU_OK;
}

/* Sees to it that every gradient is in its place as soon as it is known; what was not computed there is copied: values that are two
 * gradients, and those that came out in another layout. */
static mu_err settle_gradients_of(builder *b, const mu_node *node)
{
    for (int o = 0; o < node->n_out; o++) {
        if (!node->out[o].id || !b->target[node->out[o].id])
            continue;
        for (int i = 0; i < mu_graph_n_gradients(b->g); i++)
            if (mu_graph_gradient(b->g, i).id == node->out[o].id)
                MU_TRY(settle_gradient(b, i));
    }
    return MU_OK;
}

/* The rest: leaves. */
static mu_err finish_gradients(builder *b)
{
    for (int i = 0; i < mu_graph_n_gradients(b->g); i++)
        MU_TRY(settle_gradient(b, i));
    return MU_OK;
}

/* ---- nodes ---- */

static bool runs_once(const builder *b, const mu_node *node)
{
    if ((node->op->flags & (MU_OP_EFFECT | MU_OP_RANDOM | MU_OP_HOST | MU_OP_COLLECTIVE)) || mu_node_has_updates(node))
        return false;
    for (int i = 0; i < node->n_in; i++)
        if (node->in[i].id && !b->once[node->in[i].id])
            return false;
    return true;
}

static mu_err view(builder *b, const mu_node *node)
{
    mu_value from = node->in[0], to = node->out[0];
    int32_t buffer;
    MU_TRY(get_copy(b, from, NULL, &buffer));
    count_use(b, from);
    MU_TRY(add_copy(b, to, buffer, NULL));
    return MU_OK;
}

/* The operand whose memory output o may take, or -1. */
static int inplace_operand(const builder *b, const mu_step *step, int o, size_t bytes)
{
    int i = step->kernel->inplace[o] - 1;
    if (i < 0 || i >= step->kernel->call.n_in || step->in[i] < 0 || b->plan->options.keep_all)
        return -1;
    const mu_buffer *buffer = &b->plan->buffers[step->in[i]];
    if (buffer->kind != MU_BUFFER_ARENA || b->pending[step->in[i]] > 0 || buffer->bytes != bytes ||
        (buffer->once && !step->once))
        return -1;
    for (int k = 0; k < step->kernel->call.n_in; k++)
        if (k != i && step->in[k] == step->in[i])
            return -1;
    for (int k = 0; k < o; k++)
        if (step->out[k] == step->in[i])
            return -1;
    return i;
}

/* The new contents of a state, in the state's own memory. */
static mu_err place_update(builder *b, const mu_node *node, mu_step *step, int o)
{
    int i = node->op->updates[o] - 1;
    mu_value state = i < node->n_in ? node->in[i] : MU_NO_VALUE;
    mu_value_kind kind = mu_graph_value(b->g, state)->kind;
    if (!state.id || (kind != MU_VALUE_STATE && kind != MU_VALUE_PARAM))
        return MU_FAIL(MU_ERR_USAGE, "%s \"%s\" updates its operand %d, which is neither state nor parameter", node->op->name,
                       node->name, i);
    if (step->kernel->in_layout[i] != layout_of(b, state) || step->kernel->out_layout[o] != layout_of(b, state))
        return MU_FAIL(MU_ERR_INTERNAL, "%s \"%s\": the kernel %s moves state \"%s\" to another layout", node->op->name,
                       node->name, step->kernel->impl, mu_plan_value_name(b->plan, state));
    step->out[o] = b->copies[b->first_copy[state.id]].buffer;
    b->copies[b->first_copy[state.id]].next = -1; /* copies in other layouts are stale */
    MU_TRY(add_copy(b, node->out[o], step->out[o], step->kernel->out_layout[o]));
    return MU_OK;
}

static mu_err place_output(builder *b, const mu_node *node, mu_step *step, int o)
{
    mu_value v = node->out[o];
    const mu_layout *layout = step->kernel->out_layout[o], *wanted = NULL;
    size_t bytes = mu_layout_bytes(layout, type_of(b, v));
    mu_value p = direct_target(b, v, &wanted);
    int taken = inplace_operand(b, step, o, bytes);
    if (p.id && layout == wanted && b->param[p.id].gradient < 0 && !step->once) {
        MU_TRY(gradient_buffer(b, p, &step->out[o]));
    } else if (taken >= 0) {
        step->out[o] = step->in[taken];
    } else {
        MU_TRY(new_buffer(b, MU_BUFFER_ARENA, v, bytes, &step->out[o]));
        b->plan->buffers[step->out[o]].once = step->once;
    }
    MU_TRY(add_copy(b, v, step->out[o], layout));
    return MU_OK;
}

static mu_err place_outputs(builder *b, const mu_node *node, mu_step *step)
{
    for (int o = 0; o < node->n_out; o++) {
        if (!node->out[o].id)
            continue;
        if (node->op->updates[o])
            MU_TRY(place_update(b, node, step, o));
        else
            MU_TRY(place_output(b, node, step, o));
    }
    return MU_OK;
}

static mu_err build_node(builder *b, const mu_node *node, bool once)
{
    if (node->op->flags & MU_OP_VIEW)
        return view(b, node);
    mu_kernel *kernel;
    mu_step *step;
    int32_t in[MU_OP_VARIADIC];
    MU_TRY(prepare(b, node, NULL, &kernel));
    for (int i = 0; i < node->n_in; i++) { /* reorders come first in the list of steps */
        in[i] = -1;
        mu_err err = node->in[i].id ? get_copy(b, node->in[i], kernel->in_layout[i], &in[i]) : MU_OK;
        if (err) {
            mu_kernel_release(kernel);
            return err;
        }
    }
    for (int i = 0; i < node->n_in; i++)
        count_use(b, node->in[i]);
    MU_TRY(new_step(b, once, kernel, node->out[0], node, &step));
    memcpy(step->in, in, (size_t)node->n_in * sizeof *in);
    MU_TRY(place_outputs(b, node, step));
    for (int o = 0; o < node->n_out; o++) { /* before the memory is wanted for something else */
        int32_t buffer;
        if (b->is_output[node->out[o].id])
            MU_TRY(get_copy(b, node->out[o], NULL, &buffer));
    }
    return MU_OK;
}

/* Of parameters without a layout yet; where they are gathered they stay at their places. */
static bool is_deferrable(const builder *b, const mu_node *node)
{
    mu_value p = node->in[0];
    return node->op == &mu_op_cast && !b->gathers && mu_graph_value(b->g, p)->kind == MU_VALUE_PARAM && !b->param[p.id].decided &&
           b->first_copy[p.id] < 0;
}

/* The parameter lies as its first reader wants the cast: neither it nor its gradient is reordered then. */
static mu_err make_cast(builder *b, mu_value v, const mu_layout *wish)
{
    const mu_node *node = mu_producer(b->g, v);
    param *p = &b->param[node->in[0].id];
    const mu_layout *layout = NULL;
    b->deferred[v.id] = false;
    if (wish && wish->kind != MU_LAYOUT_OPAQUE && b->backend->ops->layout) {
        mu_err err = b->backend->ops->layout(b->backend, type_of(b, node->in[0]), wish->kind, wish->block, &layout);
        if (err == MU_ERR_UNSUPPORTED)
            mu_error_clear();
        else
            MU_TRY(err);
    }
    if (!p->decided)
        *p = (param){.decided = true, .layout = layout, .gradient = p->gradient};
    MU_TRY(build_node(b, node, b->once[v.id]));
    return MU_OK;
}

/* Parameters are gathered again for backward: what was made of them for forward need not be kept. */
static void forget_copies(builder *b)
{
    for (int32_t v = 1; v <= mu_graph_n_values(b->g); v++)
        if (mu_graph_value(b->g, (mu_value){v})->kind == MU_VALUE_PARAM && b->first_copy[v] >= 0)
            b->copies[b->first_copy[v]].next = -1;
}

static mu_err build_steps(builder *b)
{
    int32_t n_nodes = mu_graph_n_nodes(b->g);
    bool forward = b->gathers;
    for (int32_t i = 0; i < n_nodes; i++) {
        const mu_node *node = mu_graph_node(b->g, i);
        b->place = i;
        bool once = runs_once(b, node);
        for (int o = 0; once && o < node->n_out; o++)
            b->once[node->out[o].id] = true;
        b->once[0] = false;
        if (once && is_deferrable(b, node))
            b->deferred[node->out[0].id] = true;
        else if (once)
            MU_TRY(build_node(b, node, true));
    }
    for (int32_t i = 0; i < n_nodes; i++) {
        const mu_node *node = mu_graph_node(b->g, i);
        b->place = i;
        if (forward && node->backward)
            forget_copies(b);
        forward = forward && !node->backward;
        if (!runs_once(b, node) && is_deferrable(b, node))
            b->deferred[node->out[0].id] = true;
        else if (!runs_once(b, node))
            MU_TRY(build_node(b, node, false));
        MU_TRY(settle_gradients_of(b, node));
    }
    b->place = n_nodes;
    MU_TRY(finish_gradients(b));
    return MU_OK;
}

/* ---- what the caller reads and writes ---- */

static mu_err build_slots(builder *b)
{
    mu_plan *plan = b->plan;
    size_t n_leaves = 0;
    MU_TRY(mu_calloc(&plan->outputs, (size_t)mu_graph_n_outputs(b->g) + 1, sizeof *plan->outputs));
    for (int i = 0; i < mu_graph_n_outputs(b->g); i++) {
        mu_value v = mu_graph_output_value(b->g, i);
        mu_plan_slot *slot = &plan->outputs[plan->n_outputs++];
        *slot = (mu_plan_slot){.name = mu_graph_output_name(b->g, i), .type = *type_of(b, v)};
        MU_TRY(get_copy(b, v, NULL, &slot->buffer));
        plan->buffers[slot->buffer].pinned = true;
    }
    for (size_t i = 0; i < plan->n_buffers; i++)
        n_leaves += plan->buffers[i].kind == MU_BUFFER_INPUT;
    MU_TRY(mu_calloc(&plan->inputs, n_leaves + 1, sizeof *plan->inputs));
    for (size_t i = 0; i < plan->n_buffers; i++) {
        if (plan->buffers[i].kind != MU_BUFFER_INPUT)
            continue;
        const mu_value_info *info = mu_graph_value(b->g, plan->buffers[i].value);
        plan->inputs[plan->n_inputs++] = (mu_plan_slot){.name = info->name, .type = info->type, .buffer = (int32_t)i};
    }
    return MU_OK;
}

/* ---- the steps of both lists become the plan's ---- */

static mu_err join_lists(builder *b)
{
    mu_plan *plan = b->plan;
    size_t n = b->first.n + b->main.n;
    MU_TRY(mu_calloc(&plan->steps, n + 1, sizeof *plan->steps));
    if (b->first.n)
        memcpy(plan->steps, b->first.step, b->first.n * sizeof *plan->steps);
    if (b->main.n)
        memcpy(plan->steps + b->first.n, b->main.step, b->main.n * sizeof *plan->steps);
    plan->n_steps = n;
    plan->n_once = b->first.n;
    b->first.n = b->main.n = 0; /* the kernels are the plan's now */
    return MU_OK;
}

/* ---- the parameter store ---- */

static mu_err declare_leaves(builder *b)
{
    mu_params *params = b->plan->params;
    for (int32_t v = 1; params && v <= mu_graph_n_values(b->g); v++) {
        const mu_value_info *info = mu_graph_value(b->g, (mu_value){v});
        if (info->kind != MU_VALUE_PARAM && info->kind != MU_VALUE_STATE)
            continue;
        if (b->plan->options.dry && !b->plan->own_store && mu_params_find(params, info->name) < 0)
            continue;
        MU_TRY(mu_params_declare(params, info->name, info->type, info->kind == MU_VALUE_PARAM));
        if (mu_params_frozen(params)) {
            b->param[v].decided = true;
            b->param[v].layout = mu_params_at(params, mu_params_find(params, info->name))->layout;
        }
    }
    return MU_OK;
}

typedef struct {
    int32_t step;
    mu_value param;
} production;

static int compare_production(const void *pa, const void *pb)
{
    const production *a = pa, *b = pb;
    if (a->step != b->step)
        return a->step < b->step ? -1 : 1;
    return a->param.id < b->param.id ? -1 : a->param.id > b->param.id;
}

/* Those with a gradient in the order in which it is ready, then the rest. */
static mu_err place_params(builder *b)
{
    production *order;
    size_t n = 0;
    mu_err err = MU_OK;
    MU_TRY(mu_calloc(&order, (size_t)mu_graph_n_values(b->g) + 1, sizeof *order));
    for (int32_t v = 1; v <= mu_graph_n_values(b->g); v++) {
        if (mu_graph_value(b->g, (mu_value){v})->kind != MU_VALUE_PARAM)
            continue;
        int32_t gradient = b->param[v].gradient;
        order[n++] = (production){gradient >= 0 ? b->plan->buffers[gradient].first : INT32_MAX, {v}};
    }
    qsort(order, n, sizeof *order, compare_production);
    for (size_t i = 0; i < n && !err; i++)
        err = mu_params_place(b->plan->params, mu_graph_value(b->g, order[i].param)->name, (int)i,
                              b->param[order[i].param.id].layout);
    mu_free(order);
    return err;
}

static mu_err settle_params(builder *b)
{
    mu_plan *plan = b->plan;
    if (plan->own_store) {
        MU_TRY(place_params(b));
        MU_TRY(mu_params_lay_out(plan->params));
    }
    if (!plan->options.dry) {
        if (!mu_params_frozen(plan->params))
            MU_TRY(place_params(b));
        MU_TRY(mu_params_freeze(plan->params, !b->evaluation));
    }
    for (int32_t v = 1; v <= mu_graph_n_values(b->g); v++) {
        const mu_value_info *info = mu_graph_value(b->g, (mu_value){v});
        size_t bytes = mu_align_up(mu_layout_bytes(b->param[v].layout, &info->type));
        if (info->kind == MU_VALUE_PARAM)
            plan->stats.param_bytes += bytes;
        if (info->kind == MU_VALUE_STATE)
            plan->stats.state_bytes += bytes;
    }
    plan->stats.gradient_bytes = b->evaluation ? 0 : plan->stats.param_bytes;
    if (plan->params && plan->params->laid_out && plan->params->sharing.size > 1) {
        plan->stats.param_bytes = mu_params_arena_bytes(plan->params, MU_SHARD_PARAMETERS);
        plan->stats.gradient_bytes = b->evaluation ? 0 : mu_params_arena_bytes(plan->params, MU_SHARD_GRADIENTS);
    }
    for (size_t i = 0; i < plan->n_buffers && !plan->options.dry; i++) {
        mu_buffer *buffer = &plan->buffers[i];
        if (buffer->kind < MU_BUFFER_PARAM)
            continue;
        int at = mu_params_find(plan->params, mu_graph_value(b->g, buffer->value)->name);
        buffer->offset = mu_params_at(plan->params, at)->offset;
    }
    return MU_OK;
}

static void sum_stats(mu_plan *plan)
{
    for (size_t s = plan->n_once; s < plan->n_steps; s++) {
        plan->stats.flops += plan->steps[s].flops;
        plan->stats.bytes += plan->steps[s].bytes;
    }
    for (size_t s = 0; s < plan->n_steps; s++)
        plan->stats.n_reorders += !plan->steps[s].node;
    plan->stats.n_steps = (int)plan->n_steps;
}

/* ---- all of it ---- */

static mu_err prepare_tables(builder *b)
{
    size_t n = (size_t)mu_graph_n_values(b->g) + 1;
    MU_TRY(mu_calloc(&b->first_copy, n, sizeof *b->first_copy));
    MU_TRY(mu_calloc(&b->deferred, n, sizeof *b->deferred));
    MU_TRY(mu_calloc(&b->uses_left, n, sizeof *b->uses_left));
    MU_TRY(mu_calloc(&b->once, n, sizeof *b->once));
    MU_TRY(mu_calloc(&b->updated, n, sizeof *b->updated));
    MU_TRY(mu_calloc(&b->target, n, sizeof *b->target));
    MU_TRY(mu_calloc(&b->is_output, n, sizeof *b->is_output));
    MU_TRY(mu_calloc(&b->is_read, n, sizeof *b->is_read));
    MU_TRY(mu_calloc(&b->param, n, sizeof *b->param));
    for (size_t v = 0; v < n; v++) {
        b->first_copy[v] = -1;
        b->param[v].gradient = -1;
    }
    for (int32_t i = 0; i < mu_graph_n_nodes(b->g); i++) {
        const mu_node *node = mu_graph_node(b->g, i);
        for (int k = 0; k < node->n_in; k++)
            b->uses_left[node->in[k].id]++;
        for (int k = 0; k < node->n_out; k++)
            if (node->op->updates[k] && node->op->updates[k] <= node->n_in)
                b->updated[node->in[node->op->updates[k] - 1].id] = true;
    }
    for (int i = 0; i < mu_graph_n_outputs(b->g); i++) {
        b->is_output[mu_graph_output_value(b->g, i).id] = true;
        b->uses_left[mu_graph_output_value(b->g, i).id]++;
    }
    find_targets(b);
    b->evaluation = mu_graph_n_gradients(b->g) == 0;
    const mu_params_sharing *sharing = b->plan->params ? mu_params_sharing_of(b->plan->params) : NULL;
    b->gathers = sharing && sharing->stage >= MU_SHARD_PARAMETERS;
    for (size_t v = 1; v < n; v++) {
        mu_value_kind kind = mu_graph_value(b->g, (mu_value){(int32_t)v})->kind;
        b->once[v] = kind == MU_VALUE_CONST ||
                     (b->evaluation && !b->updated[v] && (kind == MU_VALUE_STATE || (kind == MU_VALUE_PARAM && !b->gathers)));
    }
    return MU_OK;
}

static mu_err build(builder *b)
{
    mu_plan *plan = b->plan;
    MU_TRY(prepare_tables(b));
    MU_TRY(declare_leaves(b));
    MU_TRY(build_steps(b));
    MU_TRY(build_slots(b));
    MU_TRY(join_lists(b));
    mu_plan_find_lifetimes(plan);
    MU_TRY(settle_params(b));
    MU_TRY(mu_plan_add_units(plan, &b->buffer_capacity));
    MU_TRY(mu_plan_lay_out(plan));
    sum_stats(plan);
    return MU_OK;
}

static void release_list(step_list *list)
{
    for (size_t i = 0; i < list->n; i++) {
        mu_kernel_release(list->step[i].kernel);
        mu_free(list->step[i].in);
    }
    mu_free(list->step);
}

mu_err mu_plan_build(mu_plan *plan)
{
    builder b = {.plan = plan, .g = plan->graph, .backend = plan->backend};
    mu_err err = build(&b);
    release_list(&b.first);
    release_list(&b.main);
    mu_free(b.copies);
    mu_free(b.first_copy);
    mu_free(b.uses_left);
    mu_free(b.pending);
    mu_free(b.once);
    mu_free(b.updated);
    mu_free(b.deferred);
    mu_free(b.target);
    mu_free(b.is_output);
    mu_free(b.is_read);
    mu_free(b.param);
    return err;
}
