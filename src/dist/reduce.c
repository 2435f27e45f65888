#include "dist/reduce.h"

#define SUM(a, b) ((a) + (b))
#define PRODUCT(a, b) ((a) * (b))
#define MIN(a, b) ((b) < (a) ? (b) : (a))
#define MAX(a, b) ((b) > (a) ? (b) : (a))
#define FLOAT_MIN(a, b) ((b) < (a) || (b) != (b) ? (b) : (a))
#define FLOAT_MAX(a, b) ((b) > (a) || (b) != (b) ? (b) : (a))
#define BAND(a, b) ((a) & (b))
#define BOR(a, b) ((a) | (b))
#define BXOR(a, b) ((a) ^ (b))

#define EACH(type, calc, load, store, combine)                                                                         \
    do {                                                                                                               \
        type *x = into;                                                                                                \
        const type *y = from;                                                                                          \
        for (int64_t i = 0; i < count; i++) {                                                                          \
            calc a = (calc)load(x[i]), b = (calc)load(y[i]);                                                           \
            x[i] = (type)store(combine(a, b));                                                                         \
        }                                                                                                              \
    } while (0)
#define SAME(x) (x)

#define FLOATS(type, calc, load, store)                                                                                \
    switch (op) {                                                                                                      \
    case MU_COMM_SUM: EACH(type, calc, load, store, SUM); break;                                                       \
    case MU_COMM_PRODUCT: EACH(type, calc, load, store, PRODUCT); break;                                               \
    case MU_COMM_MIN: EACH(type, calc, load, store, FLOAT_MIN); break;                                                 \
    case MU_COMM_MAX: EACH(type, calc, load, store, FLOAT_MAX); break;                                                 \
    default: break;                                                                                                    \
    }

/* Sums and products in the unsigned type: they wrap around. */
#define INTEGERS(type, wide)                                                                                           \
    switch (op) {                                                                                                      \
    case MU_COMM_SUM: EACH(type, wide, SAME, SAME, SUM); break;                                                        \
    case MU_COMM_PRODUCT: EACH(type, wide, SAME, SAME, PRODUCT); break;                                                \
    case MU_COMM_MIN: EACH(type, type, SAME, SAME, MIN); break;                                                        \
    case MU_COMM_MAX: EACH(type, type, SAME, SAME, MAX); break;                                                        \
    case MU_COMM_BAND: EACH(type, type, SAME, SAME, BAND); break;                                                      \
    case MU_COMM_BOR: EACH(type, type, SAME, SAME, BOR); break;                                                        \
    case MU_COMM_BXOR: EACH(type, type, SAME, SAME, BXOR); break;                                                      \
    default: break;                                                                                                    \
    }

void mu_reduce(void *into, const void *from, int64_t count, mu_dtype dtype, mu_comm_op op)
{
    switch (dtype) {
    case MU_F32: FLOATS(float, float, SAME, SAME); break;
    case MU_F64: FLOATS(double, double, SAME, SAME); break;
    case MU_BF16: FLOATS(uint16_t, float, mu_bf16_to_f32, mu_f32_to_bf16); break;
    case MU_F16: FLOATS(uint16_t, float, mu_f16_to_f32, mu_f32_to_f16); break;
    case MU_I64: INTEGERS(int64_t, uint64_t); break;
    case MU_I32: INTEGERS(int32_t, uint32_t); break;
    case MU_U8: INTEGERS(uint8_t, uint32_t); break;
    default: break;
    }
}

void mu_divide(void *data, int64_t count, mu_dtype dtype, int by)
{
    float by32 = (float)by;
    if (dtype == MU_F64)
        for (int64_t i = 0; i < count; i++)
            ((double *)data)[i] /= by;
    else if (dtype == MU_F32)
        for (int64_t i = 0; i < count; i++)
            ((float *)data)[i] /= by32;
    else if (dtype == MU_BF16)
        for (int64_t i = 0; i < count; i++)
            ((uint16_t *)data)[i] = mu_f32_to_bf16(mu_bf16_to_f32(((uint16_t *)data)[i]) / by32);
    else if (dtype == MU_F16)
        for (int64_t i = 0; i < count; i++)
            ((uint16_t *)data)[i] = mu_f32_to_f16(mu_f16_to_f32(((uint16_t *)data)[i]) / by32);
}
