#include "ops/pad.h"

#include "ops/operand.h"

const char *const mu_pad_mode_names[] = {"constant", "reflect", "replicate", NULL};

static const mu_attr attr_table[] = {MU_ATTR_INT(mu_pad_attrs, ndim),
                                     MU_ATTR_INTS(mu_pad_attrs, before, MU_MAX_NDIM),
                                     MU_ATTR_INTS(mu_pad_attrs, after, MU_MAX_NDIM),
                                     MU_ATTR_CHOICE(mu_pad_attrs, mode, mu_pad_mode_names),
                                     MU_ATTR_REAL(mu_pad_attrs, value),
                                     MU_ATTR_FLAG(mu_pad_attrs, gradient),
                                     MU_ATTR_END};

/* A border of `before` and `after` around n elements. */
static mu_err check_border(const mu_pad_attrs *a, int d, int64_t n)
{
    int64_t most = a->before[d] > a->after[d] ? a->before[d] : a->after[d];
    if (a->mode == MU_PAD_REFLECT && most > 0 && most >= n) {
        MU_FAIL(MU_ERR_SHAPE, "a reflected border of %lld and %lld needs more than the %lld elements of dimension %d",
                (long long)a->before[d], (long long)a->after[d], (long long)n, d);
        return mu_error_hint("a border is at most one less than the size; use a smaller one or mode replicate");
    }
    if (a->mode == MU_PAD_REPLICATE && most > 0 && n == 0)
        return MU_FAIL(MU_ERR_SHAPE, "dimension %d is empty: there is nothing to replicate", d);
    return MU_OK;
}

static mu_err infer(const mu_call *call, mu_type *out)
{
    const mu_pad_attrs *a = call->attrs;
    mu_type x = call->in[0];
    char text[MU_TYPE_TEXT];
    if (a->ndim != x.ndim)
        return MU_FAIL(MU_ERR_SHAPE, "a border in %lld dimensions of %s", (long long)a->ndim, mu_type_format(&x, text));
    if (a->gradient)
        MU_TRY(mu_operand_float(&x, "output gradient", 0, MU_MAX_NDIM));
    for (int d = 0; d < x.ndim; d++) {
        int64_t border;
        if (a->before[d] < 0 || a->after[d] < 0)
            return MU_FAIL(MU_ERR_SHAPE, "a border is 0 or more, got %lld and %lld", (long long)a->before[d],
                           (long long)a->after[d]);
        if (__builtin_add_overflow(a->before[d], a->after[d], &border) ||
            (!a->gradient && __builtin_add_overflow(x.dim[d], border, &border)))
            return MU_FAIL(MU_ERR_OVERFLOW, "the padded dimension %d does not fit in 64 bits", d);
        if (a->gradient && border > x.dim[d])
            return MU_FAIL(MU_ERR_SHAPE, "the output gradient %s is smaller than the border in dimension %d",
                           mu_type_format(&call->in[0], text), d);
        MU_TRY(check_border(a, d, a->gradient ? x.dim[d] - border : x.dim[d]));
        x.dim[d] = a->gradient ? x.dim[d] - border : border;
    }
    out[0] = x;
    return MU_OK;
}

static void gradient(mu_grad *grad)
{
    mu_pad_attrs a = *(const mu_pad_attrs *)grad->node->attrs;
    a.gradient = !a.gradient;
    a.value = 0;
    grad->din[0] = mu_graph_apply1(grad->graph, &mu_op_pad, &a, &grad->dout[0], 1);
}

static int64_t flops(const mu_call *call)
{
    return ((const mu_pad_attrs *)call->attrs)->gradient ? mu_type_count(&call->in[0]) : 0;
}

const mu_op mu_op_pad = {
    .name = "pad",
    .doc = "A border around x: a constant, x reflected at its edge elements, or the edge elements repeated. The gradient "
           "form takes dy and adds the border back to the elements that it came from.",
    .n_in_min = 1, .n_in_max = 1, .n_out = 1,
    .attrs_size = sizeof(mu_pad_attrs), .attrs = attr_table,
    .infer = infer, .gradient = gradient, .flops = flops,
};

mu_value mu_pad(mu_graph *g, mu_value x, const int64_t *before, const int64_t *after, mu_pad_mode mode, double value)
{
    mu_pad_attrs a = {.ndim = mu_graph_type(g, x)->ndim, .mode = (int)mode, .value = value};
    for (int64_t d = 0; d < a.ndim; d++) {
        a.before[d] = before[d];
        a.after[d] = after[d];
    }
    return mu_graph_apply1(g, &mu_op_pad, &a, &x, 1);
}
