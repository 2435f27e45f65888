#include "optim/optim.h"

#include "core/mem.h"
#include "graph/flat_kernel.h"

#include <math.h>

/* Neighbours in the arena of one group and dtype, padding between them included. */
typedef struct {
    int group;
    mu_dtype dtype;
    size_t data, gradient, state; /* places in the arenas: the same, but where some of them are in pieces */
    int64_t count;                /* elements */
    int n_states;
    mu_kernel *update, *first_update, *square_sum, *at_most, *at_least;
} range;

typedef struct mu_optim_binding {
    mu_backend *backend; /* borrowed */
    mu_params *params;   /* retained */
    mu_optim_group *groups, *initial;
    int n_groups;
    range *ranges;
    size_t n_ranges, range_capacity;
    void *state[MU_OPTIM_MAX_STATES];
    int n_states;
    int64_t steps;
    mu_comm *pieces; /* borrowed; NULL: every rank has everything */
    /* Host copies and their device places: [n_groups] scalars; [n_ranges] sums of squares; [n_ranges] bounds {high, low}, each
     * in the dtype of its range. */
    double (*scalars)[MU_OPTIM_SCALARS], *sums, (*bounds)[2];
    double (*device_scalars)[MU_OPTIM_SCALARS], *device_sums, (*device_bounds)[2];
    void *scratch;
} binding;

static const mu_optim_ops *ops_of(const mu_optim *optim)
{
    return mu_component_of(optim)->ops;
}

mu_optim_group mu_optim_default_group(const mu_optim *optim)
{
    return ops_of(optim)->group(optim);
}

int mu_optim_n_groups(const mu_optim *optim)
{
    return optim->binding ? optim->binding->n_groups : 0;
}

mu_optim_group *mu_optim_group_at(mu_optim *optim, int i)
{
    return &optim->binding->groups[i];
}

mu_optim_group mu_optim_initial_group(const mu_optim *optim, int i)
{
    return optim->binding->initial[i];
}

int64_t mu_optim_steps(const mu_optim *optim)
{
    return optim->binding ? optim->binding->steps : 0;
}

void mu_optim_set_steps(mu_optim *optim, int64_t steps)
{
    if (optim->binding)
        optim->binding->steps = steps;
}

int mu_optim_n_states(const mu_optim *optim)
{
    return optim->binding ? optim->binding->n_states : 0;
}

const char *mu_optim_state_name(const mu_optim *optim, int i)
{
    return ops_of(optim)->state_names[i];
}

void *mu_optim_state(const mu_optim *optim, int i)
{
    return optim->binding->state[i];
}

static void dealloc(binding *b, void *block)
{
    if (block)
        b->backend->ops->dealloc(b->backend, block);
}

static void release(binding *b)
{
    for (size_t i = 0; i < b->n_ranges; i++) {
        range *r = &b->ranges[i];
        mu_kernel *kernels[] = {r->update, r->first_update, r->square_sum, r->at_most, r->at_least};
        for (size_t k = 0; k < sizeof kernels / sizeof *kernels; k++)
            mu_kernel_release(kernels[k]);
    }
    for (int i = 0; i < b->n_states; i++)
        mu_params_arena_release(b->params, b->state[i]);
    dealloc(b, b->device_scalars);
    dealloc(b, b->device_sums);
    dealloc(b, b->device_bounds);
    dealloc(b, b->scratch);
    mu_params_release(b->params);
    mu_free(b->groups);
    mu_free(b->initial);
    mu_free(b->ranges);
    mu_free(b->scalars);
    mu_free(b->sums);
    mu_free(b->bounds);
    mu_free(b);
}

void mu_optim_unbind(mu_optim *optim)
{
    if (optim->binding)
        release(optim->binding);
    optim->binding = NULL;
}

void mu_optim_destroy(void *optim)
{
    mu_optim_unbind(optim);
}

static mu_err copy_groups(binding *b, const mu_optim *optim, const mu_optim_group *groups, int n)
{
    mu_optim_group standard = mu_optim_default_group(optim);
    b->n_groups = groups ? n : 1;
    MU_TRY(mu_calloc(&b->groups, (size_t)b->n_groups, sizeof *b->groups));
    MU_TRY(mu_calloc(&b->initial, (size_t)b->n_groups, sizeof *b->initial));
    memcpy(b->groups, groups ? groups : &standard, (size_t)b->n_groups * sizeof *b->groups);
    memcpy(b->initial, b->groups, (size_t)b->n_groups * sizeof *b->groups);
    for (int i = 0; i < b->n_groups; i++) {
        int n_states = ops_of(optim)->n_states(optim, &b->groups[i]);
        b->n_states = n_states > b->n_states ? n_states : b->n_states;
    }
    return MU_OK;
}

/* Appends a parameter, or this rank's piece of it, to the last range, or begins one. */
static mu_err add_to_ranges(binding *b, mu_dtype dtype, const mu_param_piece *piece, int group, bool follows)
{
    range *last = b->n_ranges ? &b->ranges[b->n_ranges - 1] : NULL;
    size_t size = mu_dtype_size(dtype);
    if (follows && last && last->group == group && last->dtype == dtype && piece->data - last->data == piece->state - last->state &&
        piece->gradient - last->gradient == piece->state - last->state) {
        last->count = (int64_t)((piece->state + piece->bytes - last->state) / size);
        return MU_OK;
    }
    MU_TRY(mu_grow(&b->ranges, &b->range_capacity, b->n_ranges + 1, sizeof *b->ranges));
    b->ranges[b->n_ranges++] = (range){.group = group, .dtype = dtype, .data = piece->data, .gradient = piece->gradient,
                                       .state = piece->state, .count = (int64_t)(piece->bytes / size)};
    return MU_OK;
}

static mu_err find_ranges(binding *b, const int *group_of)
{
    bool follows = false;
    for (int i = 0; i < mu_params_count(b->params); i++) {
        const mu_param_info *info = mu_params_at(b->params, i);
        mu_param_piece piece = mu_params_piece(b->params, i);
        int group = group_of ? group_of[i] : 0;
        if (!info->trainable || info->bytes == 0)
            continue;
        if (group < -1 || group >= b->n_groups)
            return MU_FAIL(MU_ERR_USAGE, "parameter \"%s\" is put into group %d of %d", info->name, group, b->n_groups);
        if (piece.bytes == 0)
            continue;
        if (group >= 0)
            MU_TRY(add_to_ranges(b, info->type.dtype, &piece, group, follows));
        follows = group >= 0;
    }
    return MU_OK;
}

static mu_err alloc_device(binding *b, size_t count, size_t size, void *out)
{
    size_t bytes;
    MU_TRY(mu_mul_size(count, size, &bytes));
    MU_TRY(b->backend->ops->alloc(b->backend, bytes, out));
    return MU_OK;
}

static mu_err allocate(binding *b, const mu_optim *optim)
{
    size_t groups = (size_t)b->n_groups;
    for (int i = 0; i < b->n_states; i++)
        MU_TRY(mu_params_arena_new(b->params, mu_optim_state_name(optim, i), &b->state[i]));
    MU_TRY(mu_calloc(&b->scalars, groups, sizeof *b->scalars));
    MU_TRY(mu_calloc(&b->sums, b->n_ranges, sizeof *b->sums));
    MU_TRY(mu_calloc(&b->bounds, b->n_ranges, sizeof *b->bounds));
    MU_TRY(alloc_device(b, groups, sizeof *b->scalars, &b->device_scalars));
    MU_TRY(alloc_device(b, b->n_ranges, sizeof *b->sums, &b->device_sums));
    MU_TRY(alloc_device(b, b->n_ranges, sizeof *b->bounds, &b->device_bounds));
    return MU_OK;
}

static mu_err prepare_update(binding *b, const mu_optim *optim, const range *r, bool first, mu_kernel **out)
{
    const mu_optim_ops *ops = ops_of(optim);
    mu_update_attrs attrs = ops->attrs(optim, &b->groups[r->group], first);
    mu_type in[2 + MU_OPTIM_MAX_STATES + 1] = {{.dtype = MU_NONE}};
    int n_in = ops->op->n_in_max;
    for (int i = 0; i < 2 + r->n_states; i++)
        in[i] = MU_TYPE(r->dtype, r->count);
    in[n_in - 1] = MU_TYPE(MU_F64, MU_OPTIM_SCALARS);
    MU_TRY(mu_flat_kernel_new(b->backend, ops->op, &attrs, in, n_in, out));
    return MU_OK;
}

static mu_err prepare_range(binding *b, const mu_optim *optim, range *r)
{
    mu_type gradient = MU_TYPE(r->dtype, r->count), bounded[] = {gradient, MU_TYPE(r->dtype, 1)};
    r->n_states = ops_of(optim)->n_states(optim, &b->groups[r->group]);
    MU_TRY(prepare_update(b, optim, r, false, &r->update));
    if (ops_of(optim)->attrs(optim, &b->groups[r->group], true).first)
        MU_TRY(prepare_update(b, optim, r, true, &r->first_update));
    MU_TRY(mu_flat_kernel_new(b->backend, &mu_op_square_sum, NULL, &gradient, 1, &r->square_sum));
    MU_TRY(mu_flat_kernel_new(b->backend, &mu_op_minimum, NULL, bounded, 2, &r->at_most));
    MU_TRY(mu_flat_kernel_new(b->backend, &mu_op_maximum, NULL, bounded, 2, &r->at_least));
    if (r->at_most->inplace[0] != 1 || r->at_least->inplace[0] != 1)
        return MU_FAIL(MU_ERR_UNSUPPORTED, "this backend does not clamp gradients in place");
    return MU_OK;
}

static mu_err bind_update(binding *b, range *r, mu_kernel *kernel)
{
    char *data = mu_params_data(b->params, NULL), *gradients = mu_params_gradients(b->params, NULL);
    void *in[2 + MU_OPTIM_MAX_STATES + 1] = {data + r->data, gradients + r->gradient};
    void *out[1 + MU_OPTIM_MAX_STATES] = {data + r->data};
    if (!kernel)
        return MU_OK;
    for (int i = 0; i < r->n_states; i++)
        in[2 + i] = out[1 + i] = (char *)b->state[i] + r->state;
    in[kernel->call.n_in - 1] = b->device_scalars[r->group];
    MU_TRY(mu_kernel_bind(kernel, in, out, b->scratch));
    return MU_OK;
}

static mu_err bind_range(binding *b, range *r)
{
    size_t i = (size_t)(r - b->ranges);
    void *gradient = (char *)mu_params_gradients(b->params, NULL) + r->gradient;
    MU_TRY(bind_update(b, r, r->update));
    MU_TRY(bind_update(b, r, r->first_update));
    MU_TRY(mu_kernel_bind(r->square_sum, &gradient, (void *[]){&b->device_sums[i]}, b->scratch));
    MU_TRY(mu_kernel_bind(r->at_most, (void *[]){gradient, &b->device_bounds[i][0]}, &gradient, b->scratch));
    MU_TRY(mu_kernel_bind(r->at_least, (void *[]){gradient, &b->device_bounds[i][1]}, &gradient, b->scratch));
    return MU_OK;
}

/* The kernels run one after the other and share what scratch they want. */
static mu_err alloc_scratch(binding *b)
{
    size_t most = 0;
    for (size_t i = 0; i < b->n_ranges; i++) {
        const range *r = &b->ranges[i];
        const mu_kernel *kernels[] = {r->update, r->first_update, r->square_sum, r->at_most, r->at_least};
        for (size_t k = 0; k < sizeof kernels / sizeof *kernels; k++)
            if (kernels[k] && kernels[k]->scratch_bytes > most)
                most = kernels[k]->scratch_bytes;
    }
    if (most)
        MU_TRY(b->backend->ops->alloc(b->backend, most, &b->scratch));
    return MU_OK;
}

static mu_err fill(binding *b, const mu_optim *optim, const int *group_of, const mu_optim_group *groups, int n_groups)
{
    MU_TRY(copy_groups(b, optim, groups, n_groups));
    MU_TRY(find_ranges(b, group_of));
    MU_TRY(allocate(b, optim));
    for (size_t i = 0; i < b->n_ranges; i++)
        MU_TRY(prepare_range(b, optim, &b->ranges[i]));
    MU_TRY(alloc_scratch(b));
    for (size_t i = 0; i < b->n_ranges; i++)
        MU_TRY(bind_range(b, &b->ranges[i]));
    return MU_OK;
}

mu_err mu_optim_bind(mu_optim *optim, mu_backend *backend, mu_params *params, const int *group_of,
                     const mu_optim_group *groups, int n_groups)
{
    if (!mu_params_frozen(params) || !mu_params_gradients(params, NULL)) {
        MU_FAIL(MU_ERR_USAGE, "the parameters have no gradients to step with");
        return mu_error_hint("make the training plan first, or mu_params_freeze(params, true)");
    }
    if (groups && n_groups < 1)
        return MU_FAIL(MU_ERR_USAGE, "there must be at least one group of parameters");
    binding *b;
    mu_optim_unbind(optim);
    MU_TRY(mu_calloc(&b, 1, sizeof *b));
    b->backend = backend;
    b->params = mu_params_retain(params);
    mu_err err = fill(b, optim, group_of, groups, n_groups);
    if (err != MU_OK) {
        release(b);
        return err;
    }
    optim->binding = b;
    return MU_OK;
}

void mu_optim_set_pieces(mu_optim *optim, mu_comm *comm, mu_device_comm *device)
{
    (void)device;
    optim->binding->pieces = comm;
}

static mu_err check_bound(const mu_optim *optim)
{
    if (!optim->binding)
        return MU_FAIL(MU_ERR_USAGE, "%s is not bound to parameters", mu_component_of(optim)->name);
    return MU_OK;
}

static mu_err clip_values(binding *b, double max)
{
    mu_backend *backend = b->backend;
    for (size_t i = 0; i < b->n_ranges; i++)
        for (int side = 0; side < 2; side++)
            mu_convert(&b->bounds[i][side], b->ranges[i].dtype, &(double){side ? -max : max}, MU_F64, 1);
    MU_TRY(backend->ops->upload(backend, b->device_bounds, b->bounds, b->n_ranges * sizeof *b->bounds));
    for (size_t i = 0; i < b->n_ranges; i++) {
        MU_TRY(mu_kernel_run(b->ranges[i].at_most, &(mu_run){0}));
        MU_TRY(mu_kernel_run(b->ranges[i].at_least, &(mu_run){0}));
    }
    return MU_OK;
}

static mu_err sum_squares(binding *b, double *out)
{
    double sum = 0;
    for (size_t i = 0; i < b->n_ranges; i++)
        MU_TRY(mu_kernel_run(b->ranges[i].square_sum, &(mu_run){0}));
    MU_TRY(b->backend->ops->synchronize(b->backend));
    MU_TRY(b->backend->ops->download(b->backend, b->sums, b->device_sums, b->n_ranges * sizeof *b->sums));
    for (size_t i = 0; i < b->n_ranges; i++)
        sum += b->sums[i];
    *out = sum;
    return MU_OK;
}

/* Of all ranks' pieces. A rank that failed before (`err`) takes part; all fail then. */
static mu_err sum_over_ranks(binding *b, mu_err err, double *sum)
{
    double word[2] = {err ? 0 : *sum, err != MU_OK};
    if (b->pieces)
        MU_TRY(mu_comm_all_reduce(b->pieces, word, 2, MU_F64, MU_COMM_SUM));
    MU_TRY(err);
    if (word[1] > 0)
        return MU_FAIL(MU_ERR_COMM, "the norm of the gradients is not known: another rank has failed");
    *sum = word[0];
    return MU_OK;
}

mu_err mu_optim_gradient_norm(mu_optim *optim, double scale, double *out)
{
    double sum = 0;
    MU_TRY(check_bound(optim));
    mu_err err = sum_squares(optim->binding, &sum);
    MU_TRY(sum_over_ranks(optim->binding, err, &sum));
    *out = fabs(scale) * sqrt(sum);
    return MU_OK;
}

/* Clips as asked for, unless this rank has failed before (`err`, which is returned); *scale becomes what the gradients are to be multiplied by. */
static mu_err clip(mu_optim *optim, const mu_optim_step_options *options, mu_err err, double *scale, double *norm)
{
    binding *b = optim->binding;
    double found = 0;
    if (!err && options->max_value > 0)
        err = clip_values(b, options->max_value / fabs(*scale));
    if (!norm && !(options->max_norm > 0))
        return err;
    err = err ? err : sum_squares(b, &found);
    MU_TRY(sum_over_ranks(b, err, &found));
    found = fabs(*scale) * sqrt(found);
    if (norm)
        *norm = found;
    if (!isfinite(found)) {
        MU_FAIL(MU_ERR_NUMERIC, "the norm of the gradients is %g in step %lld", found, (long long)b->steps + 1);
        return mu_error_hint("lower the learning rate or the loss scale; a checked run names the first operation to blame");
    }
    if (options->max_norm > 0)
        *scale *= fmin(1, options->max_norm / (found + 1e-6));
    return MU_OK;
}

/* A group may change between steps, but not so that it needs a state that it lacks. */
static mu_err check_groups(const mu_optim *optim)
{
    const binding *b = optim->binding;
    for (size_t i = 0; i < b->n_ranges; i++)
        if (ops_of(optim)->n_states(optim, &b->groups[b->ranges[i].group]) > b->ranges[i].n_states) {
            MU_FAIL(MU_ERR_USAGE, "group %d of %s now needs %s, which it has not kept since step 1", b->ranges[i].group,
                    mu_component_of(optim)->name, mu_optim_state_name(optim, b->ranges[i].n_states));
            return mu_error_hint("begin with a momentum above 0");
        }
    return MU_OK;
}

static mu_err fill_scalars(const mu_optim *optim, double scale)
{
    binding *b = optim->binding;
    const mu_optim_ops *ops = ops_of(optim);
    for (int i = 0; i < b->n_groups; i++) {
        memset(b->scalars[i], 0, sizeof b->scalars[i]);
        ops->scalars(&b->groups[i], b->steps + 1, b->scalars[i]);
        b->scalars[i][MU_OPTIM_GRADIENT_SCALE] = scale;
    }
    MU_TRY(b->backend->ops->upload(b->backend, b->device_scalars, b->scalars, (size_t)b->n_groups * sizeof *b->scalars));
    return MU_OK;
}

mu_err mu_optim_step(mu_optim *optim, const mu_optim_step_options *options, double *norm)
{
    static const mu_optim_step_options plain = {0};
    MU_TRY(check_bound(optim));
    binding *b = optim->binding;
    options = options ? options : &plain;
    double scale = options->gradient_scale != 0 ? options->gradient_scale : 1;
    MU_TRY(clip(optim, options, check_groups(optim), &scale, norm));
    MU_TRY(fill_scalars(optim, scale));
    for (size_t i = 0; i < b->n_ranges; i++) {
        range *r = &b->ranges[i];
        MU_TRY(mu_kernel_run(b->steps == 0 && r->first_update ? r->first_update : r->update, &(mu_run){0}));
    }
    b->steps++;
    return MU_OK;
}
