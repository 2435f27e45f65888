/* Looking into a plan: single values, the first NaN, a listing, a trace of the profiled runs. */
#include "graph/plan_impl.h"

#include "core/text.h"

#include <math.h>
#include <stdio.h>

void mu_plan_param_steps(const mu_plan *plan, const char *name, int *first_use, int *gradient)
{
    *first_use = *gradient = -1;
    for (size_t i = 0; i < plan->n_buffers; i++) {
        const mu_buffer *b = &plan->buffers[i];
        bool data = b->kind == MU_BUFFER_PARAM;
        if ((data || b->kind == MU_BUFFER_GRADIENT) && b->first <= b->last && strcmp(mu_plan_value_name(plan, b->value), name) == 0)
            *(data ? first_use : gradient) = data ? b->first : b->last;
    }
}

/* ---- values ---- */

static mu_err run_reorder(mu_backend *backend, const mu_type *type, const mu_layout *from, void *in, void *out)
{
    mu_kernel *kernel;
    void *scratch = NULL;
    mu_err err;
    MU_TRY(backend->ops->reorder(backend, type, from, NULL, &kernel));
    if (kernel->scratch_bytes)
        MU_TRY_GOTO(err, backend->ops->alloc(backend, kernel->scratch_bytes, &scratch), done);
    MU_TRY_GOTO(err, mu_kernel_bind(kernel, &in, &out, scratch), done);
    MU_TRY_GOTO(err, mu_kernel_run(kernel, &(mu_run){0}), done);
done:
    if (scratch)
        backend->ops->dealloc(backend, scratch);
    mu_kernel_release(kernel);
    return err;
}

/* Any tensor on the device to row-major host memory. */
static mu_err fetch(mu_plan *plan, const mu_type *type, const mu_layout *layout, void *address, void *host)
{
    mu_backend *backend = plan->backend;
    size_t bytes = mu_type_bytes(type);
    void *rows = NULL;
    mu_err err;
    MU_TRY(backend->ops->synchronize(backend));
    if (layout) {
        MU_TRY(backend->ops->alloc(backend, bytes, &rows));
        MU_TRY_GOTO(err, run_reorder(backend, type, layout, address, rows), done);
        MU_TRY_GOTO(err, backend->ops->synchronize(backend), done);
    }
    MU_TRY_GOTO(err, backend->ops->download(backend, host, rows ? rows : address, bytes), done);
done:
    if (rows)
        backend->ops->dealloc(backend, rows);
    return err;
}

mu_err mu_plan_read_step(mu_plan *plan, int i, int output, mu_type *type, void *host, size_t bytes)
{
    if (i < 0 || (size_t)i >= plan->n_steps)
        return MU_FAIL(MU_ERR_USAGE, "the plan has %zu steps, there is no step %d", plan->n_steps, i);
    const mu_step *step = &plan->steps[i];
    const mu_kernel *kernel = step->kernel;
    if (output < 0 || output >= kernel->call.n_out || step->out[output] < 0)
        return MU_FAIL(MU_ERR_NOT_FOUND, "%s \"%s\" has no output %d", mu_step_op(step),
                       mu_plan_value_name(plan, step->value), output);
    const mu_type *has = &kernel->call.out[output];
    if (host && (!plan->options.keep_all || plan->options.dry)) {
        (void)MU_FAIL(MU_ERR_USAGE, "the memory of this plan's values is used again");
        return mu_error_hint("make the plan with keep_all");
    }
    if (host && bytes != mu_type_bytes(has))
        return MU_FAIL(MU_ERR_SHAPE, "output %d of %s \"%s\" has %zu bytes; the caller has room for %zu", output,
                       mu_step_op(step), mu_plan_value_name(plan, step->value), mu_type_bytes(has), bytes);
    if (host)
        MU_TRY(fetch(plan, has, kernel->out_layout[output], plan->buffers[step->out[output]].address, host));
    if (type)
        *type = *has;
    return MU_OK;
}

/* ---- NaN hunting ---- */

typedef struct {
    double low, high;
    int64_t bad, first_bad; /* NaN or infinity */
} range;

static mu_err find_range(mu_plan *plan, const mu_type *type, const mu_layout *layout, void *address, range *out)
{
    int64_t n = mu_type_count(type);
    range r = {.low = INFINITY, .high = -INFINITY, .first_bad = -1};
    char *host;
    MU_TRY(mu_alloc(&host, mu_type_bytes(type)));
    mu_err err = fetch(plan, type, layout, address, host);
    for (int64_t i = 0; i < n && !err; i++) {
        double x;
        mu_convert(&x, MU_F64, host + (size_t)i * mu_dtype_size(type->dtype), type->dtype, 1);
        if (isfinite(x)) {
            r.low = x < r.low ? x : r.low;
            r.high = x > r.high ? x : r.high;
        } else if (r.bad++ == 0) {
            r.first_bad = i;
        }
    }
    mu_free(host);
    *out = r;
    return err;
}

static void append_range(mu_text *text, const mu_plan *plan, const mu_step *step, int i, const range *r)
{
    char type[MU_TYPE_TEXT];
    mu_text_printf(text, "%s \"%s\" %s", i ? "," : "", mu_plan_value_name(plan, plan->buffers[step->in[i]].value),
                   mu_type_format(&step->kernel->call.in[i], type));
    if (r->low <= r->high)
        mu_text_printf(text, " in [%.6g, %.6g]", r->low, r->high);
    if (r->bad)
        mu_text_printf(text, " with %lld NaN or infinite", (long long)r->bad);
}

/* The ranges of the float operands, taken before the step: its outputs may overwrite them. */
static mu_err describe_operands(mu_plan *plan, const mu_step *step, mu_text *text)
{
    for (int i = 0; i < step->kernel->call.n_in; i++) {
        const mu_type *type = &step->kernel->call.in[i];
        range r;
        if (step->in[i] < 0 || !mu_dtype_is_float(type->dtype))
            continue;
        MU_TRY(find_range(plan, type, step->kernel->in_layout[i], plan->buffers[step->in[i]].address, &r));
        append_range(text, plan, step, i, &r);
    }
    MU_TRY(mu_text_status(text));
    return MU_OK;
}

static mu_err check_outputs(mu_plan *plan, const mu_step *step, const mu_text *operands)
{
    for (int o = 0; o < step->kernel->call.n_out; o++) {
        const mu_type *type = &step->kernel->call.out[o];
        char text[MU_TYPE_TEXT];
        range r;
        if (step->out[o] < 0 || !mu_dtype_is_float(type->dtype))
            continue;
        MU_TRY(find_range(plan, type, step->kernel->out_layout[o], plan->buffers[step->out[o]].address, &r));
        if (!r.bad)
            continue;
        (void)MU_FAIL(MU_ERR_NUMERIC, "%s \"%s\"%s gives NaN or infinity: %lld of the %lld elements of output %d %s, first at %lld",
                      mu_step_op(step), mu_plan_value_name(plan, step->value), step->backward ? " (backward)" : "",
                      (long long)r.bad, (long long)mu_type_count(type), o, mu_type_format(type, text), (long long)r.first_bad);
        return mu_error_hint("its operands:%s", operands->data ? operands->data : " none");
    }
    return MU_OK;
}

static mu_err run_step_checked(mu_plan *plan, const mu_step *step, const mu_run *run)
{
    mu_text operands = {0};
    mu_err err = describe_operands(plan, step, &operands);
    if (!err)
        err = mu_kernel_run(step->kernel, run);
    if (!err)
        err = check_outputs(plan, step, &operands);
    mu_text_release(&operands);
    return err;
}

mu_err mu_plan_run_checked(mu_plan *plan, const mu_run *run)
{
    size_t first;
    mu_error found = {.code = MU_OK};
    mu_run alone = run ? *run : (mu_run){0};
    alone.presence = MU_ALONE;
    if (!mu_plan_is_alone(plan)) {
        MU_FAIL(MU_ERR_USAGE, "the parameters lie in pieces on %d ranks: a rank alone cannot run the plan again",
                mu_params_sharing_of(plan->params)->size);
        return mu_error_hint("look with parameters that are not sharded: sharding_strategy: SHARD_GRAD_OP");
    }
    MU_TRY(mu_plan_send(plan));
    MU_TRY(mu_plan_begin_run(plan, &alone, &first));
    for (size_t s = first; s < plan->n_steps; s++) {
        mu_err err = found.code ? mu_kernel_run(plan->steps[s].kernel, &alone) : run_step_checked(plan, &plan->steps[s], &alone);
        if (err == MU_ERR_NUMERIC && !found.code)
            found = *mu_error_last();
        else
            MU_TRY(err);
    }
    plan->fresh = true;
    return found.code ? mu_error_restore(&found) : MU_OK;
}

/* ---- listings ---- */

static mu_err check_file(FILE *file, const char *what)
{
    if (ferror(file))
        return MU_FAIL(MU_ERR_IO, "the %s could not be written", what);
    return MU_OK;
}

static void print_operand(const mu_plan *plan, FILE *file, int32_t buffer, const mu_type *type, const mu_layout *layout)
{
    static const char *const places[] = {"", "input ", "const ", "param ", "grad ", "state "};
    char text[MU_TYPE_TEXT];
    if (buffer < 0) {
        fprintf(file, " -");
        return;
    }
    const mu_buffer *b = &plan->buffers[buffer];
    fprintf(file, " %s%s%s@%s%zu", mu_type_format(type, text), layout ? ":" : "", layout ? layout->name : "", places[b->kind],
            b->offset);
}

mu_err mu_plan_print(const mu_plan *plan, FILE *file)
{
    const mu_plan_stats *st = &plan->stats;
    fprintf(file, "plan for %s: %d steps, %d of them reorders, %zu once per refresh\n", plan->backend->ops->name, st->n_steps,
            st->n_reorders, plan->n_once);
    fprintf(file, "memory: %zu activations and scratch (lower bound %zu), %zu parameters, %zu gradients, %zu states\n",
            st->arena_bytes, st->lower_bound_bytes, st->param_bytes, st->gradient_bytes, st->state_bytes);
    for (size_t s = 0; s < plan->n_steps; s++) {
        const mu_step *step = &plan->steps[s];
        const mu_kernel *kernel = step->kernel;
        fprintf(file, "%5zu %s%s %s \"%s\" [%s]:", s, step->once ? "once " : "", step->backward ? "<-" : "->", mu_step_op(step),
                mu_plan_value_name(plan, step->value), kernel->impl ? kernel->impl : "?");
        for (int i = 0; i < kernel->call.n_in; i++)
            print_operand(plan, file, step->in[i], &kernel->call.in[i], kernel->in_layout[i]);
        fprintf(file, " =>");
        for (int o = 0; o < kernel->call.n_out; o++) {
            print_operand(plan, file, step->out[o], &kernel->call.out[o], kernel->out_layout[o]);
            for (int i = 0; i < kernel->call.n_in; i++)
                if (step->out[o] >= 0 && step->in[i] == step->out[o])
                    fprintf(file, "=in%d", i);
        }
        if (kernel->scratch_bytes)
            fprintf(file, " scratch %zu", kernel->scratch_bytes);
        fprintf(file, "\n");
    }
    MU_TRY(check_file(file, "listing of the plan"));
    return MU_OK;
}

static mu_err write_event(const mu_plan *plan, FILE *file, const mu_plan_event *event, int64_t origin, bool last)
{
    const mu_step *step = &plan->steps[event->step];
    const char *name = mu_plan_value_name(plan, step->value), *impl = step->kernel->impl ? step->kernel->impl : "";
    mu_text text = {0};
    mu_text_append(&text, "{\"ph\":\"X\",\"pid\":0,\"tid\":0,\"name\":");
    mu_text_append_json(&text, name, strlen(name));
    mu_text_append(&text, ",\"cat\":");
    mu_text_append_json(&text, mu_step_op(step), strlen(mu_step_op(step)));
    mu_text_printf(&text, ",\"ts\":%.3f,\"dur\":%.3f,\"args\":{\"impl\":", (double)(event->begin_ns - origin) * 1e-3,
                   (double)(event->end_ns - event->begin_ns) * 1e-3);
    mu_text_append_json(&text, impl, strlen(impl));
    mu_text_printf(&text, ",\"backward\":%s,\"flops\":%lld,\"bytes\":%lld}}%s\n", step->backward ? "true" : "false",
                   (long long)step->flops, (long long)step->bytes, last ? "" : ",");
    mu_err err = mu_text_status(&text);
    if (!err)
        fputs(text.data, file);
    mu_text_release(&text);
    return err;
}

mu_err mu_plan_write_trace(const mu_plan *plan, FILE *file)
{
    if (!plan->options.profile) {
        (void)MU_FAIL(MU_ERR_USAGE, "the plan was made without `profile`");
        return mu_error_hint("set mu_plan_options.profile");
    }
    size_t n = plan->n_events < plan->event_capacity ? plan->n_events : plan->event_capacity;
    int64_t origin = n ? plan->events[(plan->n_events - n) % plan->event_capacity].begin_ns : 0;
    fprintf(file, "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n");
    for (size_t i = 0; i < n; i++)
        MU_TRY(write_event(plan, file, &plan->events[(plan->n_events - n + i) % plan->event_capacity], origin, i + 1 == n));
    fprintf(file, "]}\n");
    MU_TRY(check_file(file, "trace"));
    return MU_OK;
}
