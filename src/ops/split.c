#include "ops/operand.h"

/* The pieces together are the whole dimension. */
static mu_err check(const mu_type *x, int64_t dim, const int64_t *sizes, int n)
{
    char text[MU_TYPE_TEXT];
    int64_t sum = 0;
    MU_TRY(mu_operand_dim(x, dim));
    for (int i = 0; i < n; i++)
        if (sizes[i] < 0 || __builtin_add_overflow(sum, sizes[i], &sum))
            return MU_FAIL(MU_ERR_SHAPE, "piece %d has size %lld", i, (long long)sizes[i]);
    if (sum != x->dim[dim])
        return MU_FAIL(MU_ERR_SHAPE, "the pieces have %lld elements together, dimension %lld of %s has %lld", (long long)sum,
                       (long long)dim, mu_type_format(x, text), (long long)x->dim[dim]);
    return MU_OK;
}

void mu_split(mu_graph *g, mu_value x, int64_t dim, const int64_t *sizes, int n, mu_value *out)
{
    mu_type t = *mu_graph_type(g, x);
    int64_t start[MU_MAX_NDIM] = {0};
    for (int i = 0; i < n; i++)
        out[i] = MU_NO_VALUE;
    if (x.id == 0)
        return;
    dim = mu_operand_wrap(g, x, dim);
    if (check(&t, dim, sizes, n) != MU_OK) {
        mu_error_context("split");
        mu_graph_fail(g);
        return;
    }
    for (int i = 0; i < n; i++) {
        t.dim[dim] = sizes[i];
        out[i] = mu_slice(g, x, start, t.dim, NULL);
        start[dim] += sizes[i];
    }
}
