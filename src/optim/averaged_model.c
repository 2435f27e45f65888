#include "optim/averaged_model.h"

#include "core/mem.h"
#include "graph/flat_kernel.h"
#include "ops/ops.h"
#include "optim/optim.h"

/* Neighbours of one dtype, padding between them included: places in the store's arena and in the average's. */
typedef struct {
    bool state;
    mu_dtype dtype;
    size_t model, average, bytes;
    mu_kernel *update; /* NULL: integers are only copied */
} range;

typedef struct mu_averaged_state {
    mu_backend *backend; /* borrowed */
    mu_params *params;   /* retained */
    void *arena, *states; /* states NULL: they are not averaged */
    range *ranges;
    size_t n_ranges, range_capacity;
    double *scalars; /* of the device [MU_UPDATE_SCALARS] */
    double weight;   /* that they hold */
    void *scratch, *room;
    int64_t steps;
    bool swapped;
} binding;

enum { ROOM_BYTES = 1 << 20 };

static void release(binding *b)
{
    const mu_backend_ops *ops = b->backend->ops;
    void *blocks[] = {b->scalars, b->scratch, b->room};
    for (size_t i = 0; i < b->n_ranges; i++)
        mu_kernel_release(b->ranges[i].update);
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
        if (blocks[i])
            ops->dealloc(b->backend, blocks[i]);
    mu_params_arena_release(b->params, b->arena);
    mu_params_arena_release(b->params, b->states);
    mu_params_release(b->params);
    mu_free(b->ranges);
    mu_free(b);
}

void mu_averaged_model_destroy(void *object)
{
    mu_averaged_model *average = object;
    if (average->state)
        release(average->state);
    average->state = NULL;
}

/* ---- binding ---- */

static bool is_averaged(const binding *b, const mu_param_info *info)
{
    return info->trainable || (b->states && mu_param_is_weight(info->name));
}

/* Appends to the last range, or begins one. */
static mu_err add_to_ranges(binding *b, const mu_param_info *info, const mu_param_piece *piece, bool follows)
{
    range *last = b->n_ranges ? &b->ranges[b->n_ranges - 1] : NULL;
    bool state = !info->trainable;
    if (follows && last && last->state == state && last->dtype == info->type.dtype &&
        piece->data - last->model == piece->state - last->average) {
        last->bytes = piece->state + piece->bytes - last->average;
        return MU_OK;
    }
    MU_TRY(mu_grow(&b->ranges, &b->range_capacity, b->n_ranges + 1, sizeof *b->ranges));
    b->ranges[b->n_ranges++] = (range){.state = state, .dtype = info->type.dtype, .model = piece->data, .average = piece->state, .bytes = piece->bytes};
    return MU_OK;
}

static mu_err find_ranges(binding *b)
{
    bool follows = false;
    for (int i = 0; i < mu_params_count(b->params); i++) {
        const mu_param_info *info = mu_params_at(b->params, i);
        mu_param_piece piece = mu_params_piece(b->params, i);
        bool wanted = is_averaged(b, info);
        if (piece.bytes == 0)
            continue;
        if (wanted)
            MU_TRY(add_to_ranges(b, info, &piece, follows));
        follows = wanted;
    }
    return MU_OK;
}

static void *model_of(const binding *b, const range *r)
{
    return (char *)(r->state ? mu_params_states(b->params, NULL) : mu_params_data(b->params, NULL)) + r->model;
}

static void *average_of(const binding *b, const range *r)
{
    return (char *)(r->state ? b->states : b->arena) + r->average;
}

/* average - weight * (average - model): a step of descent, whose gradient is -1 * model and whose decay is 1. */
static mu_err prepare(binding *b, range *r, size_t *scratch)
{
    mu_type values = MU_TYPE(r->dtype, (int64_t)(r->bytes / mu_dtype_size(r->dtype)));
    mu_type in[] = {values, values, {.dtype = MU_NONE}, MU_TYPE(MU_F64, MU_UPDATE_SCALARS)};
    if (!mu_dtype_is_float(r->dtype))
        return MU_OK;
    MU_TRY(mu_flat_kernel_new(b->backend, &mu_op_sgd, &(mu_update_attrs){0}, in, sizeof in / sizeof *in, &r->update));
    *scratch = r->update->scratch_bytes > *scratch ? r->update->scratch_bytes : *scratch;
    return MU_OK;
}

static mu_err bind(binding *b, range *r)
{
    void *average = average_of(b, r), *in[] = {average, model_of(b, r), NULL, b->scalars}, *out[] = {average, NULL};
    if (r->update)
        MU_TRY(mu_kernel_bind(r->update, in, out, b->scratch));
    return MU_OK;
}

static mu_err fill(binding *b, bool update_buffers)
{
    size_t scratch = 0, state_bytes;
    mu_params_states(b->params, &state_bytes);
    MU_TRY(mu_params_arena_new(b->params, "the average of the parameters", &b->arena));
    if (update_buffers && state_bytes)
        MU_TRY(mu_params_states_new(b->params, "the average of the states", &b->states));
    MU_TRY(find_ranges(b));
    for (size_t i = 0; i < b->n_ranges; i++)
        MU_TRY(prepare(b, &b->ranges[i], &scratch));
    MU_TRY(b->backend->ops->alloc(b->backend, MU_UPDATE_SCALARS * sizeof *b->scalars, (void **)&b->scalars));
    MU_TRY(b->backend->ops->alloc(b->backend, ROOM_BYTES, &b->room));
    if (scratch)
        MU_TRY(b->backend->ops->alloc(b->backend, scratch, &b->scratch));
    for (size_t i = 0; i < b->n_ranges; i++)
        MU_TRY(bind(b, &b->ranges[i]));
    return MU_OK;
}

mu_err mu_averaged_model_bind(mu_averaged_model *average, mu_backend *backend, mu_params *params)
{
    binding *b;
    if (!mu_params_frozen(params) || average->state)
        return MU_FAIL(MU_ERR_USAGE, "an average is bound once, to parameters that are laid out");
    MU_TRY(mu_calloc(&b, 1, sizeof *b));
    b->backend = backend;
    b->params = mu_params_retain(params);
    mu_err err = fill(b, average->update_buffers);
    if (err) {
        release(b);
        return err;
    }
    average->state = b;
    return MU_OK;
}

/* ---- values ---- */

mu_err mu_averaged_model_copy(mu_averaged_model *average)
{
    binding *b = average->state;
    for (size_t i = 0; i < b->n_ranges; i++)
        MU_TRY(mu_flat_copy(b->backend, average_of(b, &b->ranges[i]), model_of(b, &b->ranges[i]), b->ranges[i].bytes));
    return MU_OK;
}

static mu_err set_weight(binding *b, double weight)
{
    double scalars[MU_UPDATE_SCALARS] = {[MU_UPDATE_LR] = weight, [MU_UPDATE_WEIGHT_DECAY] = 1, [MU_UPDATE_GRADIENT_SCALE] = -1};
    if (weight == b->weight)
        return MU_OK;
    MU_TRY(b->backend->ops->upload(b->backend, b->scalars, scalars, sizeof scalars));
    b->weight = weight;
    return MU_OK;
}

mu_err mu_averaged_model_update(mu_averaged_model *average)
{
    binding *b = average->state;
    const mu_averaged_model_ops *ops = mu_component_of(average)->ops;
    if (b->steps == 0) {
        MU_TRY(mu_averaged_model_copy(average));
    } else if (b->steps % average->interval == 0) {
        MU_TRY(set_weight(b, ops->weight(average, b->steps)));
        for (size_t i = 0; i < b->n_ranges; i++)
            if (b->ranges[i].update)
                MU_TRY(mu_kernel_run(b->ranges[i].update, &(mu_run){0}));
    }
    b->steps++;
    return MU_OK;
}

static mu_err swap_range(binding *b, const range *r)
{
    char *model = model_of(b, r), *average = average_of(b, r);
    for (size_t at = 0; at < r->bytes; at += ROOM_BYTES) {
        size_t n = r->bytes - at < ROOM_BYTES ? r->bytes - at : ROOM_BYTES;
        MU_TRY(mu_flat_copy(b->backend, b->room, model + at, n));
        MU_TRY(mu_flat_copy(b->backend, model + at, average + at, n));
        MU_TRY(mu_flat_copy(b->backend, average + at, b->room, n));
    }
    return MU_OK;
}

mu_err mu_averaged_model_swap(mu_averaged_model *average)
{
    binding *b = average->state;
    for (size_t i = 0; b->steps > 0 && i < b->n_ranges; i++)
        MU_TRY(swap_range(b, &b->ranges[i]));
    b->swapped = !b->swapped;
    return MU_OK;
}

bool mu_averaged_model_is_swapped(const mu_averaged_model *average)
{
    return average->state && average->state->swapped;
}

int64_t mu_averaged_model_steps(const mu_averaged_model *average)
{
    return average->state->steps;
}

void mu_averaged_model_set_steps(mu_averaged_model *average, int64_t steps)
{
    average->state->steps = steps;
}

static void *arena_of(const binding *b, int i, bool store)
{
    const mu_param_info *info = mu_params_at(b->params, i);
    bool apart = !store && b->steps > 0 && is_averaged(b, info);
    return !apart ? NULL : info->trainable ? b->arena : b->states;
}

void *mu_averaged_model_arena(const mu_averaged_model *average, int i)
{
    return arena_of(average->state, i, average->state->swapped);
}

void *mu_averaged_model_own_arena(const mu_averaged_model *average, int i)
{
    return arena_of(average->state, i, !average->state->swapped);
}
