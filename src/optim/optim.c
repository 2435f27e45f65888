#include "optim/optim.h"

#include "backend/repeat.h"
#include "core/mem.h"
#include "graph/flat_kernel.h"

/* Neighbours in the arena of one group and dtype, padding between them included. */
typedef struct {
    int group;
    mu_dtype dtype;
    size_t data, gradient, state; /* places in the arenas: the same, but where some of them are in pieces */
    int64_t count;                /* elements */
    int n_states;
    mu_kernel *square_sum, *update;
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
    mu_comm *pieces; /* borrowed; NULL: every rank has everything */
    mu_device_comm *device_pieces;

    mu_loss_scaling scaling; /* init_scale 0: none */
    int64_t attempts;
    double *numbers;  /* host: the request, then the groups [n_groups][MU_UPDATE_SCALARS] */
    /* On the device: the same; what update_control makes of it; sums of squares [n_sums]; those of all ranks' pieces, and a word about errors. */
    double *control, *device_numbers, *scalars, *sums, *total; /* total: sums itself where nothing is in pieces */
    float *loss_scale; /* where the model reads it, else behind the control block */
    size_t n_sums; /* at least n_ranges, the same on all ranks; the rest stays 0 */
    mu_kernel *decide, *decide_unseen; /* with the sums, without them */
    void *scratch;

    mu_repeat *repeat; /* of steps that are not part of another span */
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
    mu_repeat_release(b->repeat);
    for (size_t i = 0; i < b->n_ranges; i++) {
        mu_kernel_release(b->ranges[i].square_sum);
        mu_kernel_release(b->ranges[i].update);
    }
    mu_kernel_release(b->decide);
    mu_kernel_release(b->decide_unseen);
    for (int i = 0; i < b->n_states; i++)
        mu_params_arena_release(b->params, b->state[i]);
    if (b->total != b->sums)
        dealloc(b, b->total);
    dealloc(b, b->sums);
    dealloc(b, b->control);
    dealloc(b, b->device_numbers);
    dealloc(b, b->scalars);
    dealloc(b, b->scratch);
    mu_params_release(b->params);
    mu_free(b->groups);
    mu_free(b->initial);
    mu_free(b->ranges);
    mu_free(b->numbers);
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

/* Zeroed. */
static mu_err alloc_device(binding *b, size_t count, void *out)
{
    size_t bytes;
    double *zeros;
    void *block;
    MU_TRY(mu_mul_size(count, sizeof(double), &bytes));
    MU_TRY(mu_calloc(&zeros, count, sizeof *zeros));
    mu_err err = b->backend->ops->alloc(b->backend, bytes, &block);
    if (!err) {
        err = b->backend->ops->upload(b->backend, block, zeros, bytes);
        *(void **)out = block;
    }
    mu_free(zeros);
    return err;
}

/* A sum for each range of this rank, or for as many as any rank may have of its pieces. */
static void count_sums(binding *b, bool pieces)
{
    b->n_sums = b->n_ranges;
    for (int i = 0; pieces && i < mu_params_count(b->params); i++)
        if (mu_params_at(b->params, i)->trainable)
            b->n_sums = (size_t)i + 1 > b->n_sums ? (size_t)i + 1 : b->n_sums;
    b->n_sums = b->n_sums ? b->n_sums : 1;
}

static mu_err allocate(binding *b, const mu_optim *optim)
{
    bool pieces = mu_params_sharing_of(b->params)->stage > MU_SHARD_NOTHING;
    size_t scalars;
    for (int i = 0; i < b->n_states; i++)
        MU_TRY(mu_params_arena_new(b->params, mu_optim_state_name(optim, i), &b->state[i]));
    MU_TRY(mu_mul_size((size_t)b->n_groups, MU_UPDATE_SCALARS, &scalars));
    count_sums(b, pieces);
    MU_TRY(mu_calloc(&b->numbers, MU_REQUEST_N + scalars, sizeof *b->numbers));
    MU_TRY(alloc_device(b, MU_CONTROL_N + 1, &b->control));
    MU_TRY(alloc_device(b, MU_REQUEST_N + scalars, &b->device_numbers));
    MU_TRY(alloc_device(b, scalars, &b->scalars));
    MU_TRY(alloc_device(b, b->n_sums, &b->sums));
    b->total = b->sums;
    if (pieces) {
        b->total = NULL;
        MU_TRY(alloc_device(b, b->n_sums + 1, &b->total));
    }
    return MU_OK;
}

static mu_err prepare_range(binding *b, const mu_optim *optim, range *r)
{
    const mu_optim_ops *ops = ops_of(optim);
    mu_update_attrs attrs = ops->attrs(optim, &b->groups[r->group]);
    mu_type in[2 + MU_OPTIM_MAX_STATES + 1] = {{.dtype = MU_NONE}};
    int n_in = ops->op->n_in_max;
    r->n_states = ops->n_states(optim, &b->groups[r->group]);
    for (int i = 0; i < 2 + r->n_states; i++)
        in[i] = MU_TYPE(r->dtype, r->count);
    in[n_in - 1] = MU_TYPE(MU_F64, MU_UPDATE_SCALARS);
    MU_TRY(mu_flat_kernel_new(b->backend, ops->op, &attrs, in, n_in, &r->update));
    MU_TRY(mu_flat_kernel_new(b->backend, &mu_op_square_sum, NULL, in, 1, &r->square_sum));
    return MU_OK;
}

static mu_err bind_range(binding *b, range *r)
{
    char *data = mu_params_data(b->params, NULL), *gradient = (char *)mu_params_gradients(b->params, NULL) + r->gradient;
    void *in[2 + MU_OPTIM_MAX_STATES + 1] = {data + r->data, gradient}, *out[1 + MU_OPTIM_MAX_STATES] = {data + r->data};
    for (int i = 0; i < r->n_states; i++)
        in[2 + i] = out[1 + i] = (char *)b->state[i] + r->state;
    in[r->update->call.n_in - 1] = b->scalars + (size_t)r->group * MU_UPDATE_SCALARS;
    MU_TRY(mu_kernel_bind(r->update, in, out, b->scratch));
    MU_TRY(mu_kernel_bind(r->square_sum, in + 1, (void *[]){&b->sums[r - b->ranges]}, b->scratch));
    return MU_OK;
}

/* Where the model reads it; NULL: nowhere. */
static mu_err find_loss_scale(binding *b, const char *state)
{
    int i = state ? mu_params_find(b->params, state) : -1;
    if (state && i < 0)
        return MU_FAIL(MU_ERR_NOT_FOUND, "there is no state \"%s\" among the parameters", state);
    b->loss_scale = (float *)(b->control + MU_CONTROL_N);
    if (state)
        b->loss_scale = (float *)((char *)mu_params_states(b->params, NULL) + mu_params_at(b->params, i)->offset);
    return MU_OK;
}

static mu_err prepare_decision(binding *b, bool seen, mu_kernel **out)
{
    mu_type in[] = {MU_TYPE(MU_F64, MU_CONTROL_N), MU_TYPE(MU_F64, MU_REQUEST_N), MU_TYPE(MU_F64, b->n_groups, MU_UPDATE_SCALARS),
                    MU_TYPE(MU_F64, (int64_t)b->n_sums), MU_TYPE(MU_F32, 1)};
    if (!seen)
        in[3] = (mu_type){.dtype = MU_NONE};
    MU_TRY(mu_flat_kernel_new(b->backend, &mu_op_update_control, NULL, in, 5, out));
    return MU_OK;
}

static mu_err bind_decision(binding *b, mu_kernel *kernel, double *sums)
{
    void *in[] = {b->control, b->device_numbers, b->device_numbers + MU_REQUEST_N, sums, b->loss_scale};
    void *out[] = {b->control, b->scalars, b->loss_scale};
    MU_TRY(mu_kernel_bind(kernel, in, out, b->scratch));
    return MU_OK;
}

static mu_err bind_decisions(binding *b, const char *state)
{
    MU_TRY(find_loss_scale(b, state));
    MU_TRY(bind_decision(b, b->decide, b->total));
    MU_TRY(bind_decision(b, b->decide_unseen, NULL));
    return MU_OK;
}

static size_t larger_scratch(size_t most, const mu_kernel *kernel)
{
    return kernel->scratch_bytes > most ? kernel->scratch_bytes : most;
}

/* The kernels run one after the other and share what scratch they want. */
static mu_err alloc_scratch(binding *b)
{
    size_t most = larger_scratch(b->decide->scratch_bytes, b->decide_unseen);
    for (size_t i = 0; i < b->n_ranges; i++)
        most = larger_scratch(larger_scratch(most, b->ranges[i].update), b->ranges[i].square_sum);
    if (most)
        MU_TRY(b->backend->ops->alloc(b->backend, most, &b->scratch));
    return MU_OK;
}

static mu_err write_control(binding *b, const double control[MU_CONTROL_N])
{
    float scale = (float)control[MU_CONTROL_LOSS_SCALE];
    MU_TRY(b->backend->ops->upload(b->backend, b->control, control, MU_CONTROL_N * sizeof *control));
    MU_TRY(b->backend->ops->upload(b->backend, b->loss_scale, &scale, sizeof scale));
    b->attempts = (int64_t)(control[MU_CONTROL_STEPS] + control[MU_CONTROL_SKIPPED]);
    return MU_OK;
}

static mu_err fill(binding *b, const mu_optim *optim, const int *group_of, const mu_optim_group *groups, int n_groups)
{
    static const double begin[MU_CONTROL_N] = {[MU_CONTROL_LOSS_SCALE] = 1};
    MU_TRY(copy_groups(b, optim, groups, n_groups));
    MU_TRY(find_ranges(b, group_of));
    MU_TRY(allocate(b, optim));
    for (size_t i = 0; i < b->n_ranges; i++)
        MU_TRY(prepare_range(b, optim, &b->ranges[i]));
    MU_TRY(prepare_decision(b, true, &b->decide));
    MU_TRY(prepare_decision(b, false, &b->decide_unseen));
    MU_TRY(alloc_scratch(b));
    for (size_t i = 0; i < b->n_ranges; i++)
        MU_TRY(bind_range(b, &b->ranges[i]));
    MU_TRY(bind_decisions(b, mu_params_find(b->params, MU_LOSS_SCALE) < 0 ? NULL : MU_LOSS_SCALE));
    MU_TRY(write_control(b, begin));
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
    if (!err && !backend->host_memory)
        err = mu_repeat_new(backend, &b->repeat);
    if (err != MU_OK) {
        release(b);
        return err;
    }
    optim->binding = b;
    return MU_OK;
}

void mu_optim_set_pieces(mu_optim *optim, mu_comm *comm, mu_device_comm *device)
{
    binding *b = optim->binding;
    b->pieces = comm;
    b->device_pieces = device;
}

static mu_err check_bound(const mu_optim *optim)
{
    if (!optim->binding)
        return MU_FAIL(MU_ERR_USAGE, "%s is not bound to parameters", mu_component_of(optim)->name);
    return MU_OK;
}

/* ---- the control block ---- */

mu_err mu_optim_read_control(const mu_optim *optim, double control[MU_CONTROL_N])
{
    MU_TRY(check_bound(optim));
    const binding *b = optim->binding;
    MU_TRY(b->backend->ops->download(b->backend, control, b->control, MU_CONTROL_N * sizeof *control));
    return MU_OK;
}

mu_err mu_optim_write_control(mu_optim *optim, const double control[MU_CONTROL_N])
{
    double all[MU_CONTROL_N];
    MU_TRY(check_bound(optim));
    const mu_loss_scaling *scaling = &optim->binding->scaling;
    memcpy(all, control, sizeof all);
    if (scaling->growth_interval == 0) {
        all[MU_CONTROL_LOSS_SCALE] = scaling->init_scale != 0 ? scaling->init_scale : 1;
        all[MU_CONTROL_GROWTH] = 0;
    }
    MU_TRY(write_control(optim->binding, all));
    return MU_OK;
}

mu_err mu_optim_set_scaling(mu_optim *optim, const mu_loss_scaling *scaling, const char *state)
{
    double control[MU_CONTROL_N];
    MU_TRY(mu_optim_read_control(optim, control));
    binding *b = optim->binding;
    MU_TRY(bind_decisions(b, state));
    b->scaling = scaling ? *scaling : (mu_loss_scaling){0};
    b->scaling.init_scale = (float)b->scaling.init_scale;
    control[MU_CONTROL_LOSS_SCALE] = scaling ? b->scaling.init_scale : 1;
    control[MU_CONTROL_GROWTH] = 0;
    MU_TRY(write_control(b, control));
    return MU_OK;
}

const void *mu_optim_control(const mu_optim *optim, size_t *bytes)
{
    if (bytes)
        *bytes = MU_CONTROL_N * sizeof(double);
    return optim->binding ? optim->binding->control : NULL;
}

/* ---- a step ---- */

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

/* What the kernels read that is known here: one small upload. */
static mu_err send_numbers(const mu_optim *optim, const mu_optim_step_options *options)
{
    binding *b = optim->binding;
    double *request = b->numbers;
    size_t n = MU_REQUEST_N + (size_t)b->n_groups * MU_UPDATE_SCALARS;
    MU_TRY(check_groups(optim));
    memset(b->numbers, 0, n * sizeof *b->numbers);
    request[MU_REQUEST_ATTEMPT] = (double)(b->attempts + 1);
    request[MU_REQUEST_SCALE] = options->gradient_scale != 0 ? options->gradient_scale : 1;
    request[MU_REQUEST_MAX_NORM] = options->max_norm;
    request[MU_REQUEST_MAX_VALUE] = options->max_value;
    request[MU_REQUEST_GROWTH_FACTOR] = b->scaling.growth_factor;
    request[MU_REQUEST_BACKOFF_FACTOR] = b->scaling.backoff_factor;
    request[MU_REQUEST_GROWTH_INTERVAL] = (double)b->scaling.growth_interval;
    request[MU_REQUEST_STOPS] = b->scaling.init_scale == 0;
    for (int i = 0; i < b->n_groups; i++)
        ops_of(optim)->numbers(&b->groups[i], b->numbers + MU_REQUEST_N + (size_t)i * MU_UPDATE_SCALARS);
    MU_TRY(b->backend->ops->upload(b->backend, b->device_numbers, b->numbers, n * sizeof *b->numbers));
    return MU_OK;
}

/* A rank that failed before (`err`) takes part; all fail then. */
static mu_err add_on_host(binding *b, mu_err err)
{
    memcpy(b->total, b->sums, b->n_sums * sizeof *b->sums);
    b->total[b->n_sums] = err != MU_OK;
    if (b->pieces)
        MU_TRY(mu_comm_all_reduce(b->pieces, b->total, (int64_t)b->n_sums + 1, MU_F64, MU_COMM_SUM));
    MU_TRY(err);
    if (b->total[b->n_sums] > 0)
        return MU_FAIL(MU_ERR_COMM, "the norm of the gradients is not known: another rank has failed");
    return MU_OK;
}

static mu_err add_on_devices(binding *b)
{
    if (b->pieces && !b->device_pieces)
        return MU_FAIL(MU_ERR_UNSUPPORTED, "the norm of gradients on devices needs a communicator between them");
    MU_TRY(mu_flat_copy(b->backend, b->total, b->sums, b->n_sums * sizeof *b->sums));
    if (!b->device_pieces)
        return MU_OK;
    const mu_collective sum = {.kind = MU_REQUEST_ALL_REDUCE, .data = b->total, .count = (int64_t)b->n_sums, .dtype = MU_F64, .op = MU_COMM_SUM};
    return b->backend->ops->collect(b->backend, b->device_pieces, MU_LANE_KERNELS, &sum);
}

/* Of all ranks' pieces. */
static mu_err sum_squares(binding *b, mu_err err)
{
    for (size_t i = 0; i < b->n_ranges && !err; i++)
        err = mu_backend_run(b->backend, b->ranges[i].square_sum, &(mu_run){0});
    if (b->total == b->sums)
        return err;
    if (b->backend->host_memory)
        return add_on_host(b, err);
    MU_TRY(err);
    return add_on_devices(b);
}

static mu_err run_kernels(binding *b, bool seen, mu_err err)
{
    if (seen)
        err = sum_squares(b, err);
    MU_TRY(err);
    MU_TRY(mu_backend_run(b->backend, seen ? b->decide : b->decide_unseen, &(mu_run){0}));
    for (size_t i = 0; i < b->n_ranges; i++)
        MU_TRY(mu_backend_run(b->backend, b->ranges[i].update, &(mu_run){0}));
    return MU_OK;
}

/* Are the gradients looked at? */
static bool is_seen(const binding *b, const mu_optim_step_options *options)
{
    return !b->backend->host_memory || b->scaling.init_scale != 0 || options->check || options->max_norm > 0;
}

static mu_err step(const mu_optim *optim, const mu_optim_step_options *options)
{
    binding *b = optim->binding;
    mu_err err = send_numbers(optim, options);
    if (err && !b->backend->host_memory)
        return err;
    return run_kernels(b, is_seen(b, options), err);
}

mu_err mu_optim_step_late(mu_optim *optim, const mu_optim_step_options *options)
{
    static const mu_optim_step_options plain = {0};
    MU_TRY(check_bound(optim));
    binding *b = optim->binding;
    mu_repeat_begin(b->repeat);
    MU_TRY(mu_repeat_end(b->repeat, step(optim, options ? options : &plain)));
    b->attempts++;
    return MU_OK;
}

/* Gradients that were not finite have stopped the updates: they go on with others. */
static mu_err refuse(mu_optim *optim, double control[MU_CONTROL_N])
{
    control[MU_CONTROL_STOPPED] = 0;
    MU_TRY(mu_optim_write_control(optim, control));
    MU_FAIL(MU_ERR_NUMERIC, "the norm of the gradients is %g in step %lld", control[MU_CONTROL_NORM], (long long)control[MU_CONTROL_STEPS] + 1);
    return mu_error_hint("lower the learning rate or the loss scale; a checked run names the first operation to blame");
}

mu_err mu_optim_step(mu_optim *optim, const mu_optim_step_options *options, double *norm)
{
    mu_optim_step_options all = options ? *options : (mu_optim_step_options){0};
    double control[MU_CONTROL_N];
    all.check |= norm != NULL;
    MU_TRY(mu_optim_step_late(optim, &all));
    if (!is_seen(optim->binding, &all))
        return MU_OK;
    MU_TRY(optim->binding->backend->ops->synchronize(optim->binding->backend));
    MU_TRY(mu_optim_read_control(optim, control));
    if (norm)
        *norm = control[MU_CONTROL_NORM];
    return control[MU_CONTROL_STOPPED] != 0 ? refuse(optim, control) : MU_OK;
}
