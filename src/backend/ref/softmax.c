#include "backend/ref/ref.h"

#include "backend/ref/softmax.h"

typedef void row_fn(const real *a, const real *b, real *y, int64_t n, int64_t stride);

/* Calls `row` for each line along the dimension: n elements, `stride` apart. */
static mu_err rows(const mu_call *call, void *const *in, void *out, row_fn *row)
{
    const mu_type *x = &call->in[0];
    int64_t dim = ((const mu_dim_attrs *)call->attrs)->dim, n = x->dim[dim], stride[MU_MAX_NDIM];
    mu_type_strides(x, stride);
    for (int64_t i = 0; n > 0 && i < mu_type_count(x) / n; i++) {
        int64_t at = i / stride[dim] * stride[dim] * n + i % stride[dim];
        const real *b = call->n_in > 1 ? (const real *)in[1] + at : NULL;
        row((const real *)in[0] + at, b, (real *)out + at, n, stride[dim]);
    }
    return MU_OK;
}

static void log_softmax_row(const real *x, const real *none, real *y, int64_t n, int64_t stride)
{
    (void)none;
    ref_log_softmax(x, y, n, stride);
}

static void softmax_row(const real *x, const real *none, real *y, int64_t n, int64_t stride)
{
    (void)none;
    double most = x[0], sum = 0;
    for (int64_t c = 1; c < n; c++)
        most = fmax(most, x[c * stride]);
    for (int64_t c = 0; c < n; c++)
        sum += exp(x[c * stride] - most);
    for (int64_t c = 0; c < n; c++)
        y[c * stride] = (real)(exp(x[c * stride] - most) / sum);
}

static void softmax_grad_row(const real *dy, const real *y, real *dx, int64_t n, int64_t stride)
{
    double sum = 0;
    for (int64_t c = 0; c < n; c++)
        sum += (double)dy[c * stride] * y[c * stride];
    for (int64_t c = 0; c < n; c++)
        dx[c * stride] = (real)(y[c * stride] * (dy[c * stride] - sum));
}

static void log_softmax_grad_row(const real *dy, const real *y, real *dx, int64_t n, int64_t stride)
{
    double sum = 0;
    for (int64_t c = 0; c < n; c++)
        sum += dy[c * stride];
    for (int64_t c = 0; c < n; c++)
        dx[c * stride] = (real)(dy[c * stride] - exp(y[c * stride]) * sum);
}

#define KERNEL(name)                                                                                  \
    mu_err REF(name)(const mu_call *call, void *const *in, void *const *out, const mu_run *run)       \
    {                                                                                                 \
        (void)run;                                                                                    \
        return rows(call, in, out[0], name##_row);                                                    \
    }

KERNEL(softmax)
KERNEL(softmax_grad)
KERNEL(log_softmax)
KERNEL(log_softmax_grad)
