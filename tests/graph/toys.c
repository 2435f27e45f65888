#include "toys.h"

#include "graph/plan_impl.h"

/* ---- the checker: a list of who owns which bytes of the arena ---- */

typedef struct {
    size_t begin, end;
    int32_t buffer;
} owned;

static bool in_arena(const mu_buffer *b)
{
    return (b->kind == MU_BUFFER_ARENA || b->parent >= 0) && b->bytes;
}

static size_t begin_of(const mu_plan *plan, const mu_buffer *b)
{
    return b->offset + (b->parent >= 0 ? plan->buffers[b->parent].offset : 0);
}

static void write_buffer(const mu_plan *plan, owned *list, size_t *n, int32_t buffer)
{
    const mu_buffer *b = &plan->buffers[buffer];
    size_t begin = begin_of(plan, b), end = begin + b->bytes, kept = 0;
    if (!in_arena(b))
        return;
    ck_assert_uint_le(end, plan->stats.arena_bytes);
    for (size_t i = 0; i < *n; i++)
        if (list[i].end <= begin || end <= list[i].begin)
            list[kept++] = list[i];
    list[kept++] = (owned){begin, end, buffer};
    *n = kept;
}

static void read_buffer(const mu_plan *plan, const owned *list, size_t n, int32_t buffer, const char *who)
{
    const mu_buffer *b = &plan->buffers[buffer];
    if (!in_arena(b))
        return;
    if (b->kind == MU_BUFFER_PARAM) /* written with its unit */
        buffer = b->parent;
    for (size_t i = 0; i < n; i++)
        if (list[i].buffer == buffer)
            return;
    ck_abort_msg("%s reads \"%s\", which something else has overwritten", who, mu_plan_value_name(plan, b->value));
}

/* Output and scratch of one step may not touch what it reads, but for in-place outputs. */
static void check_step(const mu_plan *plan, const mu_step *step)
{
    int n_in = step->kernel->call.n_in, n_out = step->kernel->call.n_out;
    int32_t all[MU_OP_VARIADIC + MU_OP_MAX_OUT + 1];
    int n = 0;
    for (int i = 0; i < n_in; i++)
        all[n++] = step->in[i];
    for (int o = 0; o < n_out; o++)
        all[n++] = step->out[o];
    all[n++] = step->scratch;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < i; j++) {
            if (all[i] < 0 || all[j] < 0 || all[i] == all[j])
                continue;
            const mu_buffer *a = &plan->buffers[all[i]], *b = &plan->buffers[all[j]];
            size_t from_a = begin_of(plan, a), from_b = begin_of(plan, b);
            ck_assert(!in_arena(a) || !in_arena(b) || from_a + a->bytes <= from_b || from_b + b->bytes <= from_a);
        }
}

/* What travels is written when it starts to come, and read until it has left. */
static void check_call(const mu_plan *plan, const mu_plan_call *call, owned *list, size_t *n)
{
    for (size_t i = 0; call->kind == MU_CALL_START_REDUCE && i < plan->n_buffers; i++)
        if (plan->buffers[i].parent == call->buffer && call->buffer >= 0)
            read_buffer(plan, list, *n, (int32_t)i, "the exchange");
    if (call->buffer < 0)
        return;
    if (call->kind == MU_CALL_START_GATHER || call->kind == MU_CALL_START_REDUCE)
        write_buffer(plan, list, n, call->buffer);
    else
        read_buffer(plan, list, *n, call->buffer, "the exchange");
}

void toy_check_memory(const mu_plan *plan)
{
    owned *list = calloc(plan->n_buffers + 1, sizeof *list);
    size_t n = 0;
    for (int run = 0; run < 2; run++) { /* the second without the steps that run once */
        size_t c = 0;
        for (size_t s = run ? plan->n_once : 0; s < plan->n_steps; s++) {
            const mu_step *step = &plan->steps[s];
            for (; c < plan->n_calls && plan->calls[c].step <= (int32_t)s; c++)
                check_call(plan, &plan->calls[c], list, &n);
            for (int i = 0; i < step->kernel->call.n_in; i++)
                if (step->in[i] >= 0)
                    read_buffer(plan, list, n, step->in[i], mu_plan_value_name(plan, step->value));
            check_step(plan, step);
            if (step->scratch >= 0)
                write_buffer(plan, list, &n, step->scratch);
            for (int o = 0; o < step->kernel->call.n_out; o++)
                if (step->out[o] >= 0)
                    write_buffer(plan, list, &n, step->out[o]);
        }
        for (; c < plan->n_calls; c++)
            check_call(plan, &plan->calls[c], list, &n);
    }
    for (size_t i = 0; i < plan->n_outputs; i++)
        read_buffer(plan, list, n, plan->outputs[i].buffer, "the caller");
    free(list);
}

/* ---- running ---- */

static size_t count_results(const mu_graph *g)
{
    size_t n = 0;
    for (int i = 0; i < mu_graph_n_outputs(g); i++)
        n += (size_t)mu_type_count(mu_graph_type(g, mu_graph_output_value(g, i)));
    for (int32_t v = 1; v <= mu_graph_n_values(g); v++) {
        const mu_value_info *info = mu_graph_value(g, (mu_value){v});
        if (info->kind == MU_VALUE_STATE || mu_graph_gradient_of(g, (mu_value){v}).id)
            n += (size_t)mu_type_count(&info->type);
    }
    return n;
}

static void append(double *out, size_t *n, const mu_type *type, const void *bytes)
{
    mu_convert(out + *n, MU_F64, bytes, type->dtype, mu_type_count(type));
    *n += (size_t)mu_type_count(type);
}

static mu_err read_results(const mu_graph *g, mu_plan *plan, mu_params *params, void *bytes, double *out, size_t *n)
{
    for (int i = 0; i < mu_graph_n_outputs(g); i++) {
        const mu_type *type = mu_graph_type(g, mu_graph_output_value(g, i));
        MU_TRY(mu_plan_read(plan, mu_graph_output_name(g, i), bytes, mu_type_bytes(type)));
        append(out, n, type, bytes);
    }
    for (int32_t v = 1; v <= mu_graph_n_values(g); v++) {
        const mu_value_info *info = mu_graph_value(g, (mu_value){v});
        bool gradient = mu_graph_gradient_of(g, (mu_value){v}).id != 0;
        if (info->kind != MU_VALUE_STATE && !gradient)
            continue;
        if (gradient)
            MU_TRY(mu_params_read_gradient(params, info->name, bytes));
        else
            MU_TRY(mu_params_read(params, info->name, bytes));
        append(out, n, &info->type, bytes);
    }
    return MU_OK;
}

mu_err toy_run(const mu_graph *g, mu_backend *backend, const mu_plan_options *options, int runs, double **out, size_t *n)
{
    mu_params *params;
    mu_plan *plan = NULL;
    double *results = NULL, *bytes = NULL;
    mu_err err;
    *n = 0;
    MU_TRY(mu_params_new(backend, &params));
    MU_TRY_GOTO(err, toy_params(g, params), done);
    MU_TRY_GOTO(err, mu_plan_new(g, backend, params, options, &plan), done);
    MU_TRY_GOTO(err, mu_calloc(&results, count_results(g) + 1, sizeof *results), done);
    MU_TRY_GOTO(err, mu_calloc(&bytes, count_results(g) + 1, sizeof *bytes), done);
    toy_check_memory(plan);
    toy_inputs(g, plan);
    for (int i = 0; i < runs; i++)
        MU_TRY_GOTO(err, mu_plan_run(plan, NULL), done);
    MU_TRY_GOTO(err, read_results(g, plan, params, bytes, results, n), done);
    *out = results;
    results = NULL;
done:
    mu_free(bytes);
    mu_free(results);
    mu_plan_release(plan);
    mu_params_release(params);
    return err;
}
