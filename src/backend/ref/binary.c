#include "backend/ref/element.h"
#include "backend/ref/index.h"
#include "backend/ref/scalar.h"

typedef double float_fn(double a, double b);
typedef int64_t int_fn(int64_t a, int64_t b);

/* Sums, comparisons and the like: operands of one dtype, seen through their broadcast strides. */
static void apply(const mu_call *call, void *const *in, void *out, float_fn *of_float, int_fn *of_int)
{
    const mu_type *y = &call->out[0];
    mu_dtype dtype = call->in[0].dtype;
    int64_t a[MU_MAX_NDIM], b[MU_MAX_NDIM];
    ref_broadcast_strides(&call->in[0], y, a);
    ref_broadcast_strides(&call->in[1], y, b);
    for (int64_t i = 0; i < mu_type_count(y); i++) {
        int64_t ia = ref_offset(y, i, a), ib = ref_offset(y, i, b);
        if (mu_dtype_is_float(dtype))
            ref_store(out, y->dtype, i, of_float(ref_load(in[0], dtype, ia), ref_load(in[1], dtype, ib)));
        else
            ref_store_int(out, y->dtype, i, of_int(ref_load_int(in[0], dtype, ia), ref_load_int(in[1], dtype, ib)));
    }
}

#define KERNEL(name)                                                                                  \
    mu_err REF(name)(const mu_call *call, void *const *in, void *const *out, const mu_run *run)       \
    {                                                                                                 \
        (void)run;                                                                                    \
        apply(call, in, out[0], ref_##name, ref_##name##_int);                                        \
        return MU_OK;                                                                                 \
    }
#define X(name, ...) KERNEL(name)
REF_BINARY_MAP(X)
REF_COMPARE_MAP(X)
