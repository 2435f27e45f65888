/* From a node to its step: reorders of the operands before it, memory of the outputs, casts of parameters. */
#include "graph/passes/rewriter.h"
#include "graph/planner.h"
#include "ops/ops.h"

static mu_err view(mu_planner *pl, const mu_node *node)
{
    mu_value from = node->in[0], to = node->out[0];
    int32_t buffer;
    MU_TRY(mu_planner_get_copy(pl, from, NULL, &buffer));
    mu_planner_count_use(pl, from);
    MU_TRY(mu_planner_add_copy(pl, to, buffer, NULL));
    return MU_OK;
}

/* The operand whose memory output o may take, or -1. */
static int inplace_operand(const mu_planner *pl, const mu_step *step, int o, size_t bytes)
{
    int i = step->kernel->inplace[o] - 1;
    if (i < 0 || i >= step->kernel->call.n_in || step->in[i] < 0 || pl->plan->options.keep_all)
        return -1;
    const mu_buffer *buffer = &pl->plan->buffers[step->in[i]];
    if (buffer->kind != MU_BUFFER_ARENA || pl->pending[step->in[i]] > 0 || buffer->bytes != bytes ||
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
static mu_err place_update(mu_planner *pl, const mu_node *node, mu_step *step, int o)
{
    int i = node->op->updates[o] - 1;
    mu_value state = i < node->n_in ? node->in[i] : MU_NO_VALUE;
    mu_value_kind kind = mu_graph_value(pl->g, state)->kind;
    if (!state.id || (kind != MU_VALUE_STATE && kind != MU_VALUE_PARAM))
        return MU_FAIL(MU_ERR_USAGE, "%s \"%s\" updates its operand %d, which is neither state nor parameter", node->op->name,
                       node->name, i);
    if (step->kernel->in_layout[i] != mu_planner_layout(pl, state) || step->kernel->out_layout[o] != mu_planner_layout(pl, state))
        return MU_FAIL(MU_ERR_INTERNAL, "%s \"%s\": the kernel %s moves state \"%s\" to another layout", node->op->name,
                       node->name, step->kernel->impl, mu_plan_value_name(pl->plan, state));
    step->out[o] = pl->copies[pl->first_copy[state.id]].buffer;
    pl->copies[pl->first_copy[state.id]].next = -1; /* copies in other layouts are stale */
    MU_TRY(mu_planner_add_copy(pl, node->out[o], step->out[o], step->kernel->out_layout[o]));
    return MU_OK;
}

static mu_err place_output(mu_planner *pl, const mu_node *node, mu_step *step, int o)
{
    mu_value v = node->out[o];
    const mu_layout *layout = step->kernel->out_layout[o], *wanted = NULL;
    size_t bytes = mu_layout_bytes(layout, mu_planner_type(pl, v));
    mu_value p = mu_planner_target(pl, v, &wanted);
    int taken = inplace_operand(pl, step, o, bytes);
    if (p.id && layout == wanted && pl->param[p.id].gradient < 0 && !step->once) {
        MU_TRY(mu_planner_gradient(pl, p, &step->out[o]));
    } else if (taken >= 0) {
        step->out[o] = step->in[taken];
    } else {
        MU_TRY(mu_planner_add_buffer(pl, MU_BUFFER_ARENA, v, bytes, &step->out[o]));
        pl->plan->buffers[step->out[o]].once = step->once;
    }
    MU_TRY(mu_planner_add_copy(pl, v, step->out[o], layout));
    return MU_OK;
}

static mu_err place_outputs(mu_planner *pl, const mu_node *node, mu_step *step)
{
    for (int o = 0; o < node->n_out; o++) {
        if (!node->out[o].id)
            continue;
        if (node->op->updates[o])
            MU_TRY(place_update(pl, node, step, o));
        else
            MU_TRY(place_output(pl, node, step, o));
    }
    return MU_OK;
}

mu_err mu_planner_add_node(mu_planner *pl, const mu_node *node, bool once)
{
    if (node->op->flags & MU_OP_VIEW)
        return view(pl, node);
    mu_kernel *kernel;
    mu_step *step;
    int32_t in[MU_OP_VARIADIC];
    MU_TRY(mu_planner_prepare(pl, node, NULL, &kernel));
    for (int i = 0; i < node->n_in; i++) { /* reorders come first in the list of steps */
        in[i] = -1;
        mu_err err = node->in[i].id ? mu_planner_get_copy(pl, node->in[i], kernel->in_layout[i], &in[i]) : MU_OK;
        if (err) {
            mu_kernel_release(kernel);
            return err;
        }
    }
    for (int i = 0; i < node->n_in; i++)
        mu_planner_count_use(pl, node->in[i]);
    MU_TRY(mu_planner_add_step(pl, once, kernel, node->out[0], node, &step));
    memcpy(step->in, in, (size_t)node->n_in * sizeof *in);
    MU_TRY(place_outputs(pl, node, step));
    for (int o = 0; o < node->n_out; o++) { /* before the memory is wanted for something else */
        int32_t buffer;
        if (pl->is_output[node->out[o].id])
            MU_TRY(mu_planner_get_copy(pl, node->out[o], NULL, &buffer));
    }
    return MU_OK;
}

bool mu_planner_defers(const mu_planner *pl, const mu_node *node)
{
    mu_value p = node->in[0];
    return node->op == &mu_op_cast && !pl->gathers && mu_graph_value(pl->g, p)->kind == MU_VALUE_PARAM && !pl->param[p.id].decided &&
           pl->first_copy[p.id] < 0;
}

mu_err mu_planner_make_cast(mu_planner *pl, mu_value v, const mu_layout *wish)
{
    const mu_node *node = mu_producer(pl->g, v);
    mu_placed_param *p = &pl->param[node->in[0].id];
    const mu_layout *layout = NULL;
    pl->deferred[v.id] = false;
    if (wish && wish->kind != MU_LAYOUT_OPAQUE && pl->backend->ops->layout) {
        mu_err err = pl->backend->ops->layout(pl->backend, mu_planner_type(pl, node->in[0]), wish->kind, wish->block, &layout);
        if (err == MU_ERR_UNSUPPORTED)
            mu_error_clear();
        else
            MU_TRY(err);
    }
    if (!p->decided)
        *p = (mu_placed_param){.decided = true, .layout = layout, .gradient = p->gradient};
    MU_TRY(mu_planner_add_node(pl, node, pl->once[v.id]));
    return MU_OK;
}
