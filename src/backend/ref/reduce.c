#include "backend/ref/element.h"
#include "backend/ref/index.h"
#include "backend/ref/scalar.h"

/* Folds the elements that each output covers, from the first on. An empty sum is 0. */
static void fold(const mu_call *call, const void *x, void *y, double (*of_float)(double, double),
                 int64_t (*of_int)(int64_t, int64_t), bool mean)
{
    mu_dtype dtype = call->in[0].dtype;
    ref_reduction r = ref_reduction_of(call->attrs, &call->in[0]);
    for (int64_t o = 0; o < r.n_out; o++)
        if (mu_dtype_is_float(dtype)) {
            double all = r.n_each ? ref_load(x, dtype, ref_reduction_at(&r, o, 0)) : 0;
            for (int64_t i = 1; i < r.n_each; i++)
                all = of_float(all, ref_load(x, dtype, ref_reduction_at(&r, o, i)));
            ref_store(y, dtype, o, mean ? all / (double)r.n_each : all);
        } else {
            int64_t all = r.n_each ? ref_load_int(x, dtype, ref_reduction_at(&r, o, 0)) : 0;
            for (int64_t i = 1; i < r.n_each; i++)
                all = of_int(all, ref_load_int(x, dtype, ref_reduction_at(&r, o, i)));
            ref_store_int(y, dtype, o, all);
        }
}

#define KERNEL(name, step, is_mean)                                                                   \
    mu_err REF(name)(const mu_call *call, void *const *in, void *const *out, const mu_run *run)       \
    {                                                                                                 \
        (void)run;                                                                                    \
        fold(call, in[0], out[0], ref_##step, ref_##step##_int, is_mean);                             \
        return MU_OK;                                                                                 \
    }

KERNEL(sum, add, false)
KERNEL(mean, add, true)
KERNEL(max, maximum, false)
KERNEL(min, minimum, false)
