/* A plan's leaves in the parameter store: what they are, in which layout they lie, where. */
#include "graph/params_impl.h"
#include "graph/planner.h"

#include <stdlib.h>

mu_err mu_planner_declare_leaves(mu_planner *pl)
{
    mu_params *params = pl->plan->params;
    for (int32_t v = 1; params && v <= mu_graph_n_values(pl->g); v++) {
        const mu_value_info *info = mu_graph_value(pl->g, (mu_value){v});
        if (info->kind != MU_VALUE_PARAM && info->kind != MU_VALUE_STATE)
            continue;
        if (pl->plan->options.dry && !pl->plan->own_store && mu_params_find(params, info->name) < 0)
            continue;
        MU_TRY(mu_params_declare(params, info->name, info->type, info->kind == MU_VALUE_PARAM));
        if (mu_params_frozen(params)) {
            pl->param[v].decided = true;
            pl->param[v].layout = mu_params_at(params, mu_params_find(params, info->name))->layout;
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
static mu_err place_params(mu_planner *pl)
{
    production *order;
    size_t n = 0;
    mu_err err = MU_OK;
    MU_TRY(mu_calloc(&order, (size_t)mu_graph_n_values(pl->g) + 1, sizeof *order));
    for (int32_t v = 1; v <= mu_graph_n_values(pl->g); v++) {
        if (mu_graph_value(pl->g, (mu_value){v})->kind != MU_VALUE_PARAM)
            continue;
        int32_t gradient = pl->param[v].gradient;
        order[n++] = (production){gradient >= 0 ? pl->plan->buffers[gradient].first : INT32_MAX, {v}};
    }
    qsort(order, n, sizeof *order, compare_production);
    for (size_t i = 0; i < n && !err; i++)
        err = mu_params_place(pl->plan->params, mu_graph_value(pl->g, order[i].param)->name, (int)i,
                              pl->param[order[i].param.id].layout);
    mu_free(order);
    return err;
}

mu_err mu_planner_settle_params(mu_planner *pl)
{
    mu_plan *plan = pl->plan;
    if (plan->own_store) {
        MU_TRY(place_params(pl));
        MU_TRY(mu_params_lay_out(plan->params));
    }
    if (!plan->options.dry) {
        if (!mu_params_frozen(plan->params))
            MU_TRY(place_params(pl));
        MU_TRY(mu_params_freeze(plan->params, !pl->evaluation));
    }
    for (int32_t v = 1; v <= mu_graph_n_values(pl->g); v++) {
        const mu_value_info *info = mu_graph_value(pl->g, (mu_value){v});
        size_t bytes = mu_align_up(mu_layout_bytes(pl->param[v].layout, &info->type));
        if (info->kind == MU_VALUE_PARAM)
            plan->stats.param_bytes += bytes;
        if (info->kind == MU_VALUE_STATE)
            plan->stats.state_bytes += bytes;
    }
    plan->stats.gradient_bytes = pl->evaluation ? 0 : plan->stats.param_bytes;
    if (plan->params && plan->params->laid_out && plan->params->sharing.size > 1) {
        plan->stats.param_bytes = mu_params_arena_bytes(plan->params, MU_SHARD_PARAMETERS);
        plan->stats.gradient_bytes = pl->evaluation ? 0 : mu_params_arena_bytes(plan->params, MU_SHARD_GRADIENTS);
    }
    for (size_t i = 0; i < plan->n_buffers && !plan->options.dry; i++) {
        mu_buffer *buffer = &plan->buffers[i];
        if (buffer->kind < MU_BUFFER_PARAM)
            continue;
        int at = mu_params_find(plan->params, mu_graph_value(pl->g, buffer->value)->name);
        buffer->offset = mu_params_at(plan->params, at)->offset;
    }
    return MU_OK;
}
