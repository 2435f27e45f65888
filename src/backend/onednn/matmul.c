#include "backend/onednn/product.h"

static int64_t inner(const mu_call *call)
{
    const mu_matmul_attrs *attrs = call->attrs;
    const mu_type *a = &call->in[0];
    return a->dim[a->ndim - (attrs->trans_a ? 2 : 1)];
}

bool matmul_supports_onednn(const mu_call *call, const char **why)
{
    if (!mu_onednn_product_supports(call, why))
        return false;
    *why = "an empty sum is not oneDNN's";
    return inner(call) > 0;
}

/* The leading dimensions in front of y's, with ones where the operand has none; then the matrix, transposed back. */
static void fill_dims(const mu_type *t, int ndim, bool trans, int64_t *dims)
{
    for (int i = 0; i < ndim; i++)
        dims[i] = i < ndim - t->ndim ? 1 : t->dim[i - (ndim - t->ndim)];
    if (trans) {
        int64_t rows = dims[ndim - 1];
        dims[ndim - 1] = dims[ndim - 2];
        dims[ndim - 2] = rows;
    }
}

/* Drops leading dimension i by joining it with the next. */
static void join(int64_t *dims, int ndim, int i)
{
    dims[i + 1] *= dims[i];
    memmove(dims + i, dims + i + 1, (size_t)(ndim - i - 1) * sizeof *dims);
}

/* Neighbouring leading dimensions that both operands have in full, or that neither broadcasts differently, become one. */
static void simplify(mu_onednn_product *p)
{
    for (int i = 0; i + 3 < p->ndim;) {
        bool same_a = (p->a[i] == p->y[i]) == (p->a[i + 1] == p->y[i + 1]);
        bool same_b = (p->b[i] == p->y[i]) == (p->b[i + 1] == p->y[i + 1]);
        bool unit = p->y[i] == 1 || p->y[i + 1] == 1;
        if (!unit && !(same_a && same_b)) {
            i++;
            continue;
        }
        join(p->a, p->ndim, i);
        join(p->b, p->ndim, i);
        join(p->y, p->ndim, i);
        p->ndim--;
    }
    /* A stack of rows against one matrix is one taller matrix. */
    if (p->ndim == 3 && p->b[0] == 1 && p->a[0] == p->y[0] && !p->trans_a) {
        join(p->a, 3, 0);
        join(p->y, 3, 0);
        join(p->b, 3, 0);
        p->ndim = 2;
    }
}

mu_err matmul_prepare_onednn(mu_onednn *self, const mu_call *call, const mu_layout *const *in_layout,
                             const mu_layout *const *want_out, mu_kernel **out)
{
    (void)in_layout, (void)want_out;
    const mu_matmul_attrs *attrs = call->attrs;
    mu_onednn_product product = {.ndim = call->out[0].ndim, .trans_a = attrs->trans_a, .trans_b = attrs->trans_b};
    fill_dims(&call->in[0], product.ndim, attrs->trans_a, product.a);
    fill_dims(&call->in[1], product.ndim, attrs->trans_b, product.b);
    fill_dims(&call->out[0], product.ndim, false, product.y);
    simplify(&product);
    MU_TRY(mu_onednn_product_prepare(self, call, &product, out));
    return MU_OK;
}
