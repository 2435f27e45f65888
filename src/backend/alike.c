#include "backend/alike.h"

#include <string.h>

static bool alike(const mu_call *call, mu_alike kind, const mu_type *type)
{
    if (kind == MU_ALIKE_FLAT)
        return mu_type_same_shape(type, &call->out[0]);
    const mu_type *x = &call->in[0];
    if (kind == MU_ALIKE_STORED)
        return true;
    return type->ndim == x->ndim && type->dim[0] == x->dim[0] && type->dim[1] == x->dim[1];
}

/* The layout that all alike operands share: that of the first of them that is not row-major. */
static const mu_layout *shared_layout(const mu_call *call, const mu_layout *const *in_layout, const mu_alike_rule *rule)
{
    const mu_layout *shared = NULL;
    if (rule->kind == MU_ALIKE_ROWS || !in_layout || (rule->kind != MU_ALIKE_FLAT && call->in[0].ndim < 3))
        return NULL;
    for (int i = 0; i < call->n_in; i++) {
        if (call->in[i].dtype == MU_NONE)
            continue;
        bool same = alike(call, rule->kind, &call->in[i]);
        if (rule->kind == MU_ALIKE_FLAT && rule->one_element && !same && mu_type_count(&call->in[i]) != 1)
            return NULL;
        if (same && !shared && rule->readable(in_layout[i]))
            shared = in_layout[i];
    }
    if (shared && rule->kind == MU_ALIKE_STORED && !rule->fits(call, shared))
        return NULL;
    return shared;
}

mu_err mu_alike_choose(mu_kernel *kernel, mu_backend *backend, const mu_layout *const *in_layout, const mu_alike_rule *rule)
{
    const mu_call *call = &kernel->call;
    const mu_layout *shared = backend->ops->layout ? shared_layout(call, in_layout, rule) : NULL;
    for (int i = 0; shared && i < call->n_in + call->n_out; i++) {
        const mu_type *type = i < call->n_in ? &call->in[i] : &call->out[i - call->n_in];
        if (type->dtype == MU_NONE || !alike(call, rule->kind, type))
            continue;
        mu_err err = backend->ops->layout(backend, type, shared->kind, shared->block, &kernel->in_layout[i]);
        if (err == MU_ERR_UNSUPPORTED) {
            mu_error_clear();
            shared = NULL;
        } else if (err != MU_OK) {
            return err;
        }
    }
    if (!shared)
        memset(kernel->in_layout, 0, (size_t)(call->n_in + call->n_out) * sizeof *kernel->in_layout);
    return MU_OK;
}
