#include "ops/cases/trace.h"

TRACE(sum, mu_sum(g, in[0], ((const mu_reduce_attrs *)attrs)->dims, ((const mu_reduce_attrs *)attrs)->keepdim))
TRACE(mean, mu_mean(g, in[0], ((const mu_reduce_attrs *)attrs)->dims, ((const mu_reduce_attrs *)attrs)->keepdim))
TRACE(max, mu_max(g, in[0], ((const mu_reduce_attrs *)attrs)->dims, ((const mu_reduce_attrs *)attrs)->keepdim))
TRACE(min, mu_min(g, in[0], ((const mu_reduce_attrs *)attrs)->dims, ((const mu_reduce_attrs *)attrs)->keepdim))
TRACE(sum_like, mu_sum_like(g, in[0], in[1]))
TRACE(argmax, mu_argmax(g, in[0], ((const mu_dim_attrs *)attrs)->dim, ((const mu_dim_attrs *)attrs)->keepdim))
TRACE(softmax, mu_softmax(g, in[0], *(const int64_t *)attrs))
TRACE(log_softmax, mu_log_softmax(g, in[0], *(const int64_t *)attrs))

static mu_value t_topk_values(mu_graph *g, const mu_value *in, const void *attrs)
{
    const mu_topk_attrs *a = attrs;
    mu_value values, indices;
    mu_topk(g, in[0], a->k, a->dim, a->largest, &values, &indices);
    return values;
}

static mu_value t_topk_indices(mu_graph *g, const mu_value *in, const void *attrs)
{
    const mu_topk_attrs *a = attrs;
    mu_value values, indices;
    mu_topk(g, in[0], a->k, a->dim, a->largest, &values, &indices);
    return indices;
}

#define OVER(mask, keep) &(const mu_reduce_attrs){.dims = mask, .keepdim = keep}
#define ALONG(d, keep) &(const mu_dim_attrs){.dim = d, .keepdim = keep}
#define TOPK(k_, d, largest_) &(const mu_topk_attrs){.dim = d, .k = k_, .largest = largest_}
static const int64_t d0 = 0, d1 = 1, d2 = 2, last = -1;

#define REDUCES(fn, range)                                                                                             \
    {#fn, t_##fn, "f[5,7]" range, OVER(0, false)}, {#fn, t_##fn, "f[5,7]" range, OVER(1, false)},                      \
        {#fn, t_##fn, "f[5,7]" range, OVER(2, true)}, {#fn, t_##fn, "f[3,4,2,5]" range, OVER(5, false)},               \
        {#fn, t_##fn, "f[3,4,2,5]" range, OVER(10, true)}, {#fn, t_##fn, "f[]" range, OVER(0, false)},                 \
        {#fn, t_##fn, "f[2,17,3,5]" range, OVER(12, true)}, {#fn, t_##fn, "f[2,17,3,5]" range, OVER(13, false)},       \
        {#fn, t_##fn, "f[0,4]" range, OVER(2, false)},                                                                 \
    {                                                                                                                  \
#fn, t_##fn, "f[3,7]:special", OVER(2, false), CASE_NO_FD                                                      \
    }

const op_case reduce_cases[] = {REDUCES(sum, ""),
                                {"sum", t_sum, "f[0,4]", OVER(1, false)},
                                {"sum", t_sum, "f[2000]", OVER(0, false), CASE_NO_FD},
                                {"sum", t_sum, "f[300,7]:wide", OVER(1, false), CASE_NO_FD},
                                {"sum", t_sum_like, "f[2,3,4] f[3,1]"},
                                {"sum", t_sum_like, "f[2,3] f[2,3]"},
                                {"sum", t_sum_like, "f[2,3] f[]"},
                                REDUCES(mean, ""),
                                {"mean", t_mean, "f[2000]", OVER(0, false), CASE_NO_FD},
                                REDUCES(max, ":gap"),
                                {"max", t_max, "f[6,7]:int", OVER(2, false), CASE_NO_FD},
                                REDUCES(min, ":gap"),
                                {"min", t_min, "f[6,7]:int", OVER(2, false), CASE_NO_FD},
                                {"argmax", t_argmax, "f[5,7]:gap", ALONG(1, false)},
                                {"argmax", t_argmax, "f[5,7]:int", ALONG(0, true)},
                                {"argmax", t_argmax, "f[3,4,5]:int", ALONG(1, false)},
                                {"argmax", t_argmax, "f[9]", ALONG(-1, false)},
                                {"argmax", t_argmax, "f[0,4]", ALONG(1, false)},
                                {"argmax", t_argmax, "f[2,17,3,5]", ALONG(1, false)},
                                {"argmax", t_argmax, "f[4,7]:special", ALONG(1, false)},
                                {"topk", t_topk_values, "f[5,9]:gap", TOPK(3, 1, true)},
                                {"topk", t_topk_values, "f[5,9]:gap", TOPK(2, 0, false)},
                                {"topk", t_topk_values, "f[2,6,3]:gap", TOPK(6, 1, true)},
                                {"topk", t_topk_values, "f[7]:gap", TOPK(1, -1, true)},
                                {"topk", t_topk_indices, "f[5,9]:gap", TOPK(3, 1, true)},
                                {"topk", t_topk_indices, "f[3,9]:gap", TOPK(9, 1, false)},
                                {"topk", t_topk_values, "f[0,9]", TOPK(3, 1, true)},
                                {"softmax", t_softmax, "f[5,7]", &d1},
                                {"softmax", t_softmax, "f[5,7]", &d0},
                                {"softmax", t_softmax, "f[2,5,3]", &d1},
                                {"softmax", t_softmax, "f[3,33]", &last},
                                {"softmax", t_softmax, "f[2,17,3,2]", &d1},
                                {"softmax", t_softmax, "f[0,7]", &d1},
                                {"softmax", t_softmax, "f[4,1]", &d1},
                                {"softmax", t_softmax, "f[4,9]:wide", &d1, CASE_NO_FD},
                                {"softmax", t_softmax, "f[4,9]:far", &d1},
                                {"softmax", t_softmax, "f[4,9]:huge", &d1, CASE_NO_FD},
                                {"softmax", t_softmax, "f[2,3,5]", &d2},
                                {"log_softmax", t_log_softmax, "f[5,7]", &d1},
                                {"log_softmax", t_log_softmax, "f[5,7]", &d0},
                                {"log_softmax", t_log_softmax, "f[2,5,3]", &d1},
                                {"log_softmax", t_log_softmax, "f[3,33]", &last},
                                {"log_softmax", t_log_softmax, "f[0,7]", &d1},
                                {"log_softmax", t_log_softmax, "f[4,1]", &d1},
                                {"log_softmax", t_log_softmax, "f[4,9]:wide", &d1, CASE_NO_FD},
                                {"log_softmax", t_log_softmax, "f[4,9]:far", &d1},
                                {"log_softmax", t_log_softmax, "f[2,17,3,2]", &d1},
                                {NULL}};
