/* When a plan's buffers are in use, and where they lie. */
#include "graph/offsets.h"
#include "graph/plan_impl.h"

static void use_buffer(mu_plan *plan, int32_t buffer, size_t step)
{
    if (buffer < 0)
        return;
    mu_buffer *b = &plan->buffers[buffer];
    if ((int32_t)step < b->first)
        b->first = (int32_t)step;
    b->last = (int32_t)step;
    if (b->once && step >= plan->n_once) /* later runs read what the first one made */
        b->pinned = true;
}

void mu_plan_find_lifetimes(mu_plan *plan)
{
    for (size_t s = 0; s < plan->n_steps; s++) {
        const mu_step *step = &plan->steps[s];
        for (int i = 0; i < step->kernel->call.n_in; i++)
            use_buffer(plan, step->in[i], s);
        for (int o = 0; o < step->kernel->call.n_out; o++)
            use_buffer(plan, step->out[o], s);
        use_buffer(plan, step->scratch, s);
    }
    for (size_t i = 0; i < plan->n_buffers; i++) {
        mu_buffer *b = &plan->buffers[i];
        if ((b->pinned || (plan->options.keep_all && !b->scratch)) && b->first <= b->last)
            b->last = (int32_t)plan->n_steps - 1;
        if (plan->options.keep_all && !b->scratch && b->first <= b->last)
            b->first = 0;
    }
}

static mu_err lay_out_arena(mu_plan *plan)
{
    mu_block *blocks;
    int32_t n = 0, n_values = 0;
    MU_TRY(mu_calloc(&blocks, plan->n_buffers + 1, sizeof *blocks));
    for (int pass = 0; pass < 2; pass++) { /* values, then scratch: the sum of values alone is a number of its own */
        for (size_t i = 0; i < plan->n_buffers; i++) {
            const mu_buffer *b = &plan->buffers[i];
            if (b->kind == MU_BUFFER_ARENA && b->first <= b->last && b->scratch == (pass == 1))
                blocks[n++] = (mu_block){.bytes = b->bytes, .first = b->first, .last = b->last};
        }
        n_values = pass == 0 ? n : n_values;
    }
    mu_err err;
    MU_TRY_GOTO(err, mu_offsets_lower_bound(blocks, n_values, &plan->stats.activation_bytes), done);
    MU_TRY_GOTO(err, mu_offsets_lower_bound(blocks, n, &plan->stats.lower_bound_bytes), done);
    MU_TRY_GOTO(err, mu_offsets_assign(blocks, n, &plan->stats.arena_bytes), done);
    n = 0;
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < plan->n_buffers; i++) {
            mu_buffer *b = &plan->buffers[i];
            if (b->kind == MU_BUFFER_ARENA && b->first <= b->last && b->scratch == (pass == 1))
                b->offset = blocks[n++].offset;
        }
done:
    mu_free(blocks);
    return err;
}

static mu_err lay_out_flat(mu_plan *plan, mu_buffer_kind kind, size_t *total)
{
    size_t at = 0, end;
    for (size_t i = 0; i < plan->n_buffers; i++) {
        mu_buffer *b = &plan->buffers[i];
        if (b->kind != kind)
            continue;
        b->offset = at;
        MU_TRY(mu_add_size(at, b->bytes, &end));
        MU_TRY(mu_add_size(end, MU_ALIGN, &end));
        at = mu_align_up(b->offset + b->bytes);
    }
    *total = at;
    return MU_OK;
}

mu_err mu_plan_lay_out(mu_plan *plan)
{
    MU_TRY(lay_out_arena(plan));
    MU_TRY(lay_out_flat(plan, MU_BUFFER_CONST, &plan->constant_bytes));
    MU_TRY(lay_out_flat(plan, MU_BUFFER_INPUT, &plan->input_bytes));
    return MU_OK;
}
