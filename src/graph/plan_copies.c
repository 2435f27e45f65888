/* Where values lie while a plan is built: buffers, and the copies of a value, one per layout that some kernel wants. */
#include "graph/planner.h"

mu_err mu_planner_add_buffer(mu_planner *pl, mu_buffer_kind kind, mu_value value, size_t bytes, int32_t *out)
{
    mu_plan *plan = pl->plan;
    MU_TRY(mu_grow(&plan->buffers, &pl->buffer_capacity, plan->n_buffers + 1, sizeof *plan->buffers));
    MU_TRY(mu_grow(&pl->pending, &pl->pending_capacity, plan->n_buffers + 1, sizeof *pl->pending));
    plan->buffers[plan->n_buffers] = (mu_buffer){.kind = kind, .bytes = bytes, .first = INT32_MAX, .last = -1, .value = value,
                                                  .parent = -1};
    pl->pending[plan->n_buffers] = 0;
    *out = (int32_t)plan->n_buffers++;
    return MU_OK;
}

mu_err mu_planner_add_copy(mu_planner *pl, mu_value v, int32_t buffer, const mu_layout *layout)
{
    MU_TRY(mu_grow(&pl->copies, &pl->copy_capacity, pl->n_copies + 1, sizeof *pl->copies));
    pl->copies[pl->n_copies] = (mu_copy){.buffer = buffer, .layout = layout, .next = -1};
    int32_t *link = &pl->first_copy[v.id]; /* at the end: the first one stays the one that others are made from */
    while (*link >= 0)
        link = &pl->copies[*link].next;
    *link = (int32_t)pl->n_copies++;
    pl->pending[buffer] += pl->uses_left[v.id];
    return MU_OK;
}

static int32_t find_copy(const mu_planner *pl, mu_value v, const mu_layout *layout)
{
    for (int32_t c = pl->first_copy[v.id]; c >= 0; c = pl->copies[c].next)
        if (pl->copies[c].layout == layout)
            return pl->copies[c].buffer;
    return -1;
}

void mu_planner_count_use(mu_planner *pl, mu_value v)
{
    if (!v.id)
        return;
    pl->uses_left[v.id]--;
    for (int32_t c = pl->first_copy[v.id]; c >= 0; c = pl->copies[c].next)
        pl->pending[pl->copies[c].buffer]--;
}

const mu_layout *mu_planner_layout(const mu_planner *pl, mu_value v)
{
    return v.id && pl->first_copy[v.id] >= 0 ? pl->copies[pl->first_copy[v.id]].layout : NULL;
}

mu_err mu_planner_place_leaf(mu_planner *pl, mu_value v, const mu_layout *wish)
{
    const mu_value_info *info = mu_graph_value(pl->g, v);
    const mu_layout *layout = NULL;
    mu_buffer_kind kind = MU_BUFFER_INPUT;
    if (pl->first_copy[v.id] >= 0)
        return MU_OK;
    switch (info->kind) {
    case MU_VALUE_NODE:
        if (pl->deferred[v.id])
            return mu_planner_make_cast(pl, v, wish);
        return MU_FAIL(MU_ERR_INTERNAL, "a value of \"%s\" is read before it is made", info->node->name);
    case MU_VALUE_INPUT: break;
    case MU_VALUE_CONST: kind = MU_BUFFER_CONST; break;
    case MU_VALUE_STATE: kind = MU_BUFFER_STATE; break;
    case MU_VALUE_PARAM:
        kind = MU_BUFFER_PARAM;
        if (!pl->param[v.id].decided)
            pl->param[v.id].layout = wish;
        pl->param[v.id].decided = true;
        layout = pl->param[v.id].layout;
        break;
    }
    int32_t buffer;
    MU_TRY(mu_planner_add_buffer(pl, kind, v, mu_layout_bytes(layout, &info->type), &buffer));
    MU_TRY(mu_planner_add_copy(pl, v, buffer, layout));
    return MU_OK;
}

static mu_step *maker_of(const mu_planner *pl, mu_value v)
{
    for (size_t i = pl->main.n; i-- > 0;)
        if (pl->main.step[i].node && pl->main.step[i].value.id == v.id)
            return &pl->main.step[i];
    return NULL;
}

/* What nobody has read yet is made in the layout that its first reader wants, where its kernel can. */
static mu_err oblige(mu_planner *pl, mu_value v, const mu_layout *layout)
{
    mu_step *step = pl->is_read[v.id] || pl->target[v.id] ? NULL : maker_of(pl, v);
    mu_kernel *kernel;
    if (!step || !step->kernel->any_layout)
        return MU_OK;
    MU_TRY(mu_planner_prepare(pl, step->node, layout, &kernel));
    size_t n = (size_t)kernel->call.n_in * sizeof *kernel->in_layout;
    bool fits = kernel->out_layout[0] == layout && kernel->scratch_bytes == step->kernel->scratch_bytes &&
                memcmp(kernel->in_layout, step->kernel->in_layout, n) == 0;
    if (!fits) {
        mu_kernel_release(kernel);
        return MU_OK;
    }
    mu_kernel_release(step->kernel);
    step->kernel = kernel;
    mu_copy *made = &pl->copies[pl->first_copy[v.id]];
    made->layout = layout;
    pl->plan->buffers[made->buffer].bytes = mu_layout_bytes(layout, mu_planner_type(pl, v));
    return MU_OK;
}

mu_err mu_planner_get_copy(mu_planner *pl, mu_value v, const mu_layout *layout, int32_t *out)
{
    MU_TRY(mu_planner_place_leaf(pl, v, layout));
    if (mu_planner_layout(pl, v) != layout)
        MU_TRY(oblige(pl, v, layout));
    pl->is_read[v.id] = true;
    *out = find_copy(pl, v, layout);
    if (*out >= 0)
        return MU_OK;
    mu_copy from = pl->copies[pl->first_copy[v.id]];
    MU_TRY(mu_planner_add_buffer(pl, MU_BUFFER_ARENA, v, mu_layout_bytes(layout, mu_planner_type(pl, v)), out));
    pl->plan->buffers[*out].once = pl->once[v.id];
    MU_TRY(mu_planner_add_reorder(pl, pl->once[v.id], v, from.buffer, from.layout, *out, layout));
    MU_TRY(mu_planner_add_copy(pl, v, *out, layout));
    return MU_OK;
}

void mu_planner_forget_copies(mu_planner *pl)
{
    for (int32_t v = 1; v <= mu_graph_n_values(pl->g); v++)
        if (mu_graph_value(pl->g, (mu_value){v})->kind == MU_VALUE_PARAM && pl->first_copy[v] >= 0)
            pl->copies[pl->first_copy[v]].next = -1;
}
