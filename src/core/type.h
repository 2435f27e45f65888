/* What a tensor is: a dtype and a dense, row-major logical shape. */
#ifndef MU_CORE_TYPE_H
#define MU_CORE_TYPE_H

#include "core/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { MU_MAX_NDIM = 8, MU_TYPE_TEXT = 224 };

/* symbol, text, bytes per element, is floating point */
#define MU_DTYPE_MAP(X)   \
    X(F32, "f32", 4, 1)   \
    X(F16, "f16", 2, 1)   \
    X(BF16, "bf16", 2, 1) \
    X(F64, "f64", 8, 1)   \
    X(I64, "i64", 8, 0)   \
    X(I32, "i32", 4, 0)   \
    X(U8, "u8", 1, 0)     \
    X(BOOL, "bool", 1, 0) /* one byte, 0 or 1 */

typedef enum {
    MU_NONE = 0, /* of an absent optional tensor */
#define X(code, text, bytes, is_float) MU_##code,
    MU_DTYPE_MAP(X)
#undef X
        MU_DTYPE_COUNT
} mu_dtype;

typedef struct {
    mu_dtype dtype;
    int ndim;
    int64_t dim[MU_MAX_NDIM]; /* entries beyond ndim are 0 */
} mu_type;

const char *mu_dtype_name(mu_dtype dtype);
size_t mu_dtype_size(mu_dtype dtype);
bool mu_dtype_is_float(mu_dtype dtype);
/* MU_NONE when the text names no dtype. */
mu_dtype mu_dtype_parse(const char *text);

/* Checks 0 <= ndim <= MU_MAX_NDIM, dims >= 0 and that the byte count fits in 63 bits. */
MU_CHECKED mu_err mu_type_init(mu_type *out, mu_dtype dtype, int ndim, const int64_t *dim);

/* mu_type of a literal shape: MU_TYPE(MU_F32, 2, 3). Unchecked; for shapes known to be small. */
#define MU_TYPE(dtype_, ...)                                                    \
    ((mu_type){.dtype = (dtype_),                                               \
               .ndim = (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), \
               .dim = {__VA_ARGS__}})
#define MU_SCALAR(dtype_) ((mu_type){.dtype = (dtype_)})

/* Elements and bytes of a checked type in row-major storage; an absent one has 0. */
int64_t mu_type_count(const mu_type *type);
size_t mu_type_bytes(const mu_type *type);
bool mu_type_same_shape(const mu_type *a, const mu_type *b);
bool mu_type_equal(const mu_type *a, const mu_type *b);

/* "f32[64,3,7,7]"; "-" when absent. Returns buf. */
const char *mu_type_format(const mu_type *type, char buf[MU_TYPE_TEXT]);
/* "[64,3,7,7]". Returns buf. */
const char *mu_shape_format(const mu_type *type, char buf[MU_TYPE_TEXT]);

/* Row-major strides in elements. */
void mu_type_strides(const mu_type *type, int64_t stride[MU_MAX_NDIM]);

/* NumPy's broadcasting of two shapes into `out` (dtype of a). MU_ERR_SHAPE when they do not fit. */
MU_CHECKED mu_err mu_type_broadcast(const mu_type *a, const mu_type *b, mu_type *out);

/* -ndim <= dim < ndim to 0 <= dim < ndim; MU_ERR_SHAPE otherwise. */
MU_CHECKED mu_err mu_type_wrap_dim(const mu_type *type, int64_t dim, int *out);

/* Brain float and half: round to nearest even, NaN kept. */
static inline float mu_bf16_to_f32(uint16_t h)
{
    uint32_t u = (uint32_t)h << 16;
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

static inline uint16_t mu_f32_to_bf16(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    if (f != f)
        return (uint16_t)((u >> 16) | 0x40);
    return (uint16_t)((u + 0x7fff + ((u >> 16) & 1)) >> 16);
}

float mu_f16_to_f32(uint16_t h);
uint16_t mu_f32_to_f16(float f);

/* No NaN and no infinity among the elements; integers are finite. */
bool mu_all_finite(mu_dtype dtype, const void *data, int64_t count);

/* Converts `count` elements between any two dtypes: floats to integers truncate towards zero, any to bool is x != 0.
 * With count 0 the pointers may be NULL. */
void mu_convert(void *dst, mu_dtype dst_dtype, const void *src, mu_dtype src_dtype, int64_t count);

#endif
