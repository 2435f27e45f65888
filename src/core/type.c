#include "core/type.h"

#include "core/mem.h"

#include <stdio.h>

static const struct {
    const char *name;
    size_t bytes;
    bool is_float;
} dtypes[MU_DTYPE_COUNT] = {
    [MU_NONE] = {"-", 0, false},
#define X(code, text, size, float_) [MU_##code] = {text, size, float_},
    MU_DTYPE_MAP(X)
#undef X
};

const char *mu_dtype_name(mu_dtype dtype)
{
    return dtypes[dtype].name;
}

size_t mu_dtype_size(mu_dtype dtype)
{
    return dtypes[dtype].bytes;
}

bool mu_dtype_is_float(mu_dtype dtype)
{
    return dtypes[dtype].is_float;
}

mu_dtype mu_dtype_parse(const char *text)
{
    for (int i = 1; i < MU_DTYPE_COUNT; i++)
        if (strcmp(text, dtypes[i].name) == 0)
            return (mu_dtype)i;
    return MU_NONE;
}

mu_err mu_type_init(mu_type *out, mu_dtype dtype, int ndim, const int64_t *dim)
{
    if (ndim < 0 || ndim > MU_MAX_NDIM)
        return MU_FAIL(MU_ERR_SHAPE, "a tensor has 0 to %d dimensions, not %d", MU_MAX_NDIM, ndim);
    mu_type type = {.dtype = dtype, .ndim = ndim};
    int64_t bytes = (int64_t)mu_dtype_size(dtype);
    for (int i = 0; i < ndim; i++) {
        if (dim[i] < 0)
            return MU_FAIL(MU_ERR_SHAPE, "dimension %d has size %lld; sizes are 0 or more", i, (long long)dim[i]);
        /* A zero elsewhere does not excuse a product that overflows: strides are computed from it. */
        MU_TRY(mu_mul_i64(bytes, dim[i] ? dim[i] : 1, &bytes));
        type.dim[i] = dim[i];
    }
    *out = type;
    return MU_OK;
}

int64_t mu_type_count(const mu_type *type)
{
    if (type->dtype == MU_NONE)
        return 0;
    int64_t n = 1;
    for (int i = 0; i < type->ndim; i++)
        n *= type->dim[i];
    return n;
}

size_t mu_type_bytes(const mu_type *type)
{
    return (size_t)mu_type_count(type) * mu_dtype_size(type->dtype);
}

bool mu_type_same_shape(const mu_type *a, const mu_type *b)
{
    if (a->ndim != b->ndim)
        return false;
    for (int i = 0; i < a->ndim; i++)
        if (a->dim[i] != b->dim[i])
            return false;
    return true;
}

bool mu_type_equal(const mu_type *a, const mu_type *b)
{
    return a->dtype == b->dtype && mu_type_same_shape(a, b);
}

const char *mu_shape_format(const mu_type *type, char buf[MU_TYPE_TEXT])
{
    size_t at = 0;
    buf[at++] = '[';
    for (int i = 0; i < type->ndim; i++)
        at += (size_t)snprintf(buf + at, MU_TYPE_TEXT - at, "%s%lld", i ? "," : "", (long long)type->dim[i]);
    snprintf(buf + at, MU_TYPE_TEXT - at, "]");
    return buf;
}

const char *mu_type_format(const mu_type *type, char buf[MU_TYPE_TEXT])
{
    if (type->dtype == MU_NONE)
        return strcpy(buf, "-");
    char shape[MU_TYPE_TEXT];
    snprintf(buf, MU_TYPE_TEXT, "%s%.*s", mu_dtype_name(type->dtype), MU_TYPE_TEXT - 8, mu_shape_format(type, shape));
    return buf;
}

void mu_type_strides(const mu_type *type, int64_t stride[MU_MAX_NDIM])
{
    int64_t s = 1;
    for (int i = type->ndim - 1; i >= 0; i--) {
        stride[i] = s;
        s *= type->dim[i];
    }
}

mu_err mu_type_broadcast(const mu_type *a, const mu_type *b, mu_type *out)
{
    int ndim = a->ndim > b->ndim ? a->ndim : b->ndim;
    int64_t dim[MU_MAX_NDIM];
    for (int i = 1; i <= ndim; i++) {
        int64_t da = i <= a->ndim ? a->dim[a->ndim - i] : 1;
        int64_t db = i <= b->ndim ? b->dim[b->ndim - i] : 1;
        if (da != db && da != 1 && db != 1) {
            char sa[MU_TYPE_TEXT], sb[MU_TYPE_TEXT];
            return MU_FAIL(MU_ERR_SHAPE, "shapes %s and %s do not broadcast: %lld against %lld in dimension %d",
                           mu_shape_format(a, sa), mu_shape_format(b, sb), (long long)da, (long long)db, ndim - i);
        }
        dim[ndim - i] = da == 1 ? db : da;
    }
    MU_TRY(mu_type_init(out, a->dtype, ndim, dim));
    return MU_OK;
}

mu_err mu_type_wrap_dim(const mu_type *type, int64_t dim, int *out)
{
    if (dim < -type->ndim || dim >= type->ndim)
        return MU_FAIL(MU_ERR_SHAPE, "dimension %lld is outside of a tensor with %d dimensions", (long long)dim,
                       type->ndim);
    *out = (int)(dim < 0 ? dim + type->ndim : dim);
    return MU_OK;
}

float mu_f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = (h >> 10) & 0x1f, fraction = h & 0x3ff, u;
    if (exponent == 0x1f) {
        u = sign | 0x7f800000 | (fraction << 13);
    } else if (exponent) {
        u = sign | ((exponent + 112) << 23) | (fraction << 13);
    } else {
        float f = (float)fraction * 0x1p-24f;
        return sign ? -f : f;
    }
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

uint16_t mu_f32_to_f16(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    uint16_t sign = (uint16_t)((u >> 16) & 0x8000);
    u &= 0x7fffffff;
    if (u > 0x7f800000)
        return sign | 0x7e00;
    if (u >= 0x47800000) /* 65536 and above */
        return sign | 0x7c00;
    if (u < 0x38800000) { /* subnormal half: let the adder round */
        float a;
        memcpy(&a, &u, sizeof a);
        a += 0.5f;
        memcpy(&u, &a, sizeof u);
        return (uint16_t)(sign | (u - 0x3f000000));
    }
    u += 0xc8000fff + ((u >> 13) & 1);
    return (uint16_t)(sign | (u >> 13));
}

static double load(const void *p, mu_dtype dtype, int64_t i)
{
    switch (dtype) {
    case MU_F32: return ((const float *)p)[i];
    case MU_F16: return mu_f16_to_f32(((const uint16_t *)p)[i]);
    case MU_BF16: return mu_bf16_to_f32(((const uint16_t *)p)[i]);
    case MU_F64: return ((const double *)p)[i];
    case MU_I64: return (double)((const int64_t *)p)[i];
    case MU_I32: return ((const int32_t *)p)[i];
    case MU_U8:
    case MU_BOOL: return ((const uint8_t *)p)[i];
    default: return 0;
    }
}

static void store(void *p, mu_dtype dtype, int64_t i, double v)
{
    switch (dtype) {
    case MU_F32: ((float *)p)[i] = (float)v; break;
    case MU_F16: ((uint16_t *)p)[i] = mu_f32_to_f16((float)v); break;
    case MU_BF16: ((uint16_t *)p)[i] = mu_f32_to_bf16((float)v); break;
    case MU_F64: ((double *)p)[i] = v; break;
    case MU_I64: ((int64_t *)p)[i] = (int64_t)v; break;
    case MU_I32: ((int32_t *)p)[i] = (int32_t)v; break;
    case MU_U8: ((uint8_t *)p)[i] = (uint8_t)v; break;
    case MU_BOOL: ((uint8_t *)p)[i] = v != 0; break;
    default: break;
    }
}

static bool is_integer(mu_dtype dtype)
{
    return dtype == MU_I64 || dtype == MU_I32 || dtype == MU_U8;
}

void mu_convert(void *dst, mu_dtype dst_dtype, const void *src, mu_dtype src_dtype, int64_t count)
{
    if (count == 0) /* then the pointers may be NULL */
        return;
    if (dst_dtype == src_dtype) {
        memcpy(dst, src, (size_t)count * mu_dtype_size(src_dtype));
        return;
    }
    if (src_dtype == MU_F32 && dst_dtype == MU_BF16) { /* gradients on their way: loops that vectorise */
        for (int64_t i = 0; i < count; i++)
            ((uint16_t *)dst)[i] = mu_f32_to_bf16(((const float *)src)[i]);
        return;
    }
    if (src_dtype == MU_BF16 && dst_dtype == MU_F32) {
        for (int64_t i = 0; i < count; i++)
            ((float *)dst)[i] = mu_bf16_to_f32(((const uint16_t *)src)[i]);
        return;
    }
    if (src_dtype == MU_I64 && is_integer(dst_dtype)) { /* doubles hold 53 bits only */
        for (int64_t i = 0; i < count; i++) {
            int64_t v = ((const int64_t *)src)[i];
            if (dst_dtype == MU_I32)
                ((int32_t *)dst)[i] = (int32_t)v;
            else
                ((uint8_t *)dst)[i] = (uint8_t)v;
        }
        return;
    }
    for (int64_t i = 0; i < count; i++)
        store(dst, dst_dtype, i, load(src, src_dtype, i));
}

/* One more in an exponent that is all ones, as of NaN and infinity alone, carries into the sign's place, which is cleared before. In as many lanes as
 * compilers keep in vectors without being asked to. */
#define SCAN(type, one, sign)                                                                                          \
    do {                                                                                                               \
        enum { LANES = 32 / sizeof(type) };                                                                            \
        const type *x = data;                                                                                          \
        type lane[LANES] = {0}, carried = 0;                                                                           \
        int64_t i = 0;                                                                                                 \
        for (; i + LANES <= count; i += LANES)                                                                         \
            for (int k = 0; k < LANES; k++)                                                                            \
                lane[k] |= (type)((x[i + k] & ((sign) - 1)) + (one));                                                  \
        for (; i < count; i++)                                                                                         \
            carried |= (type)((x[i] & ((sign) - 1)) + (one));                                                          \
        for (int k = 0; k < LANES; k++)                                                                                \
            carried |= lane[k];                                                                                        \
        return !(carried & (sign));                                                                                    \
    } while (0)

bool mu_all_finite(mu_dtype dtype, const void *data, int64_t count)
{
    switch (dtype) {
    case MU_F64: SCAN(uint64_t, UINT64_C(1) << 52, UINT64_C(1) << 63);
    case MU_F32: SCAN(uint32_t, UINT32_C(1) << 23, UINT32_C(1) << 31);
    case MU_BF16: SCAN(uint16_t, 1u << 7, 1u << 15);
    case MU_F16: SCAN(uint16_t, 1u << 10, 1u << 15);
    default: return true;
    }
}
