#include "backend/ref/ref.h"

/* Which slope belongs to element i of x. */
typedef struct {
    int64_t channels, plane;
} slopes;

static slopes slopes_of(const mu_type *x, const mu_type *slope)
{
    slopes s = {.channels = mu_type_count(slope), .plane = 1};
    for (int d = 2; d < x->ndim; d++)
        s.plane *= x->dim[d];
    return s;
}

static int64_t slope_at(const slopes *s, int64_t i)
{
    return s->channels == 1 ? 0 : i / s->plane % s->channels;
}

mu_err REF(prelu)(const mu_call *call, void *const *in, void *const *out, const mu_run *run)
{
    (void)run;
    const real *x = in[0], *slope = in[1];
    real *y = out[0];
    slopes s = slopes_of(&call->in[0], &call->in[1]);
    for (int64_t i = 0; i < mu_type_count(&call->in[0]); i++)
        y[i] = x[i] > 0 ? x[i] : slope[slope_at(&s, i)] * x[i];
    return MU_OK;
}

mu_err REF(prelu_grad)(const mu_call *call, void *const *in, void *const *out, const mu_run *run)
{
    (void)run;
    const real *dy = in[0], *x = in[1], *slope = in[2];
    real *dx = out[0], *dslope = out[1];
    slopes s = slopes_of(&call->in[1], &call->in[2]);
    int64_t n = mu_type_count(&call->in[1]);
    for (int64_t c = 0; c < s.channels; c++) {
        double sum = 0;
        for (int64_t i = 0; i < n; i++)
            if (slope_at(&s, i) == c && !(x[i] > 0))
                sum += (double)dy[i] * x[i];
        dslope[c] = (real)sum;
    }
    for (int64_t i = 0; i < n; i++)
        dx[i] = x[i] > 0 ? dy[i] : slope[slope_at(&s, i)] * dy[i];
    return MU_OK;
}
