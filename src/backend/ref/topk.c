#include "backend/ref/ref.h"

#include "backend/ref/index.h"

/* Does a stand before b? NaN counts as largest. */
static bool before(real a, real b, bool largest)
{
    if (a != a || b != b)
        return largest ? a != a && b == b : a == a && b != b;
    return largest ? a > b : a < b;
}

/* The first element of the order that comes after element `last` (-1: the very first); equals stand in order of index. */
static int64_t next_of(const real *x, const ref_lines *l, int64_t last, bool largest)
{
    int64_t best = -1;
    for (int64_t i = 0; i < l->n; i++) {
        real v = x[i * l->inner];
        bool later = last < 0 || before(x[last * l->inner], v, largest) ||
                     (i > last && !before(v, x[last * l->inner], largest));
        if (later && (best < 0 || before(v, x[best * l->inner], largest)))
            best = i;
    }
    return best;
}

mu_err REF(topk)(const mu_call *call, void *const *in, void *const *out, const mu_run *run)
{
    (void)run;
    const mu_topk_attrs *a = call->attrs;
    ref_lines l = ref_lines_along(&call->in[0], a->dim), y = ref_lines_along(&call->out[0], a->dim);
    for (int64_t line = 0; line < l.lines; line++) {
        const real *x = (const real *)in[0] + ref_line_start(&l, line);
        int64_t to = ref_line_start(&y, line), last = -1;
        for (int64_t k = 0; k < a->k; k++) {
            last = next_of(x, &l, last, a->largest);
            if (out[0])
                ((real *)out[0])[to + k * y.inner] = x[last * l.inner];
            if (out[1])
                ((int64_t *)out[1])[to + k * y.inner] = last;
        }
    }
    return MU_OK;
}
