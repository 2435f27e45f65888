#include "backend/check/compare.h"

#include <math.h>

/* u is the unit roundoff; `several` roundings of the scale may add up. Half types are computed in f32, so that a few
 * roundings of their own are plenty. */
typedef struct {
    double u, several, largest;
} precision;

static precision precision_of(mu_dtype dtype)
{
    switch (dtype) {
    case MU_F64: return (precision){0x1p-53, 1 << 12, INFINITY};
    case MU_BF16: return (precision){0x1p-8, 4, 0x1.fep127};
    case MU_F16: return (precision){0x1p-11, 4, 65504};
    default: return (precision){0x1p-24, 64, 0x1.fffffep127};
    }
}

static bool is_unwritten(const unsigned char *element, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (element[i] != CHECK_FILL)
            return false;
    return true;
}

/* The largest finite result, or movement per relative change of the operands. */
static double scale_of(const double *want, const double *change, int64_t n)
{
    double scale = 0;
    for (int64_t i = 0; i < n; i++) {
        double size = fabs(want[i]);
        if (isfinite(size) && size > scale)
            scale = size;
        if (isfinite(change[i]) && change[i] > scale)
            scale = change[i];
    }
    return scale;
}

static bool float_differs(const precision *p, double got, double want, double scale, double *tolerance)
{
    *tolerance = 2 * p->u * fabs(want) + p->several * p->u * scale + 0x1p-126;
    if (isnan(got) || isnan(want))
        return isnan(got) != isnan(want);
    if (isinf(got) && !isinf(want)) /* an overflow that ref in f64 does not have */
        return !(got * want > 0 && fabs(want) > 0.99 * p->largest);
    if (isinf(want))
        return got != want;
    return fabs(got - want) > *tolerance;
}

bool mu_check_compare(const mu_type *type, const void *got, const void *oracle, const double *want,
                      const double *change, check_difference *out)
{
    int64_t n = mu_type_count(type);
    size_t size = mu_dtype_size(type->dtype);
    bool is_float = mu_dtype_is_float(type->dtype);
    precision p = precision_of(type->dtype);
    double scale = is_float ? scale_of(want, change, n) : 0;
    for (int64_t i = 0; i < n; i++) {
        const unsigned char *element = (const unsigned char *)got + (size_t)i * size;
        check_difference d = {.at = i};
        mu_convert(&d.got, MU_F64, element, type->dtype, 1);
        bool differs;
        if (is_float) {
            d.want = want[i];
            differs = float_differs(&p, d.got, d.want, scale, &d.tolerance);
        } else {
            mu_convert(&d.want, MU_F64, (const unsigned char *)oracle + (size_t)i * size, type->dtype, 1);
            differs = memcmp(element, (const unsigned char *)oracle + (size_t)i * size, size) != 0;
        }
        if (differs) {
            d.unwritten = is_unwritten(element, size);
            *out = d;
            return true;
        }
    }
    return false;
}
