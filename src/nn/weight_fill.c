#include "nn/init.h"

#include "core/philox.h"

const char *const mu_distribution_names[] = {"normal", "uniform", NULL};

mu_err mu_weight_fans(const mu_type *type, double *fan_in, double *fan_out)
{
    char text[MU_TYPE_TEXT];
    if (type->ndim < 2)
        return MU_FAIL(MU_ERR_SHAPE, "a weight of shape %s has no fan in and fan out: it needs two dimensions or more",
                       mu_shape_format(type, text));
    double field = 1;
    for (int d = 2; d < type->ndim; d++)
        field *= (double)type->dim[d];
    *fan_in = (double)type->dim[1] * field;
    *fan_out = (double)type->dim[0] * field;
    return MU_OK;
}

mu_weight_fill mu_weight_fill_std(int distribution, double std)
{
    if (distribution == MU_DISTRIBUTION_NORMAL)
        return (mu_weight_fill){.fill = {.kind = MU_FILL_NORMAL, .a = 0, .b = std}};
    double bound = sqrt(3) * std;
    return (mu_weight_fill){.fill = {.kind = MU_FILL_UNIFORM, .a = -bound, .b = bound}};
}

static double normal_cdf(double x)
{
    return 0.5 * erfc(-x * M_SQRT1_2);
}

/* The inverse of normal_cdf for 0 < p < 1: Acklam's rational approximation (relative error 1.2e-9), then one step of
 * Halley's method. */
static double normal_quantile(double p)
{
    static const double a[] = {-3.969683028665376e+01, 2.209460984245205e+02,  -2.759285104469687e+02,
                               1.383577518672690e+02,  -3.066479806614716e+01, 2.506628277459239e+00};
    static const double b[] = {-5.447609879822406e+01, 1.615858368580409e+02, -1.556989798598866e+02,
                               6.680131188771972e+01, -1.328068155288572e+01};
    static const double c[] = {-7.784894002430293e-03, -3.223964580411365e-01, -2.400758277161838e+00,
                               -2.549732539343734e+00, 4.374664141464968e+00,  2.938163982698783e+00};
    static const double d[] = {7.784695709041462e-03, 3.224671290700398e-01, 2.445134137142996e+00,
                               3.754408661907416e+00};
    double tail = fmin(p, 1 - p), x;
    if (tail < 0.02425) {
        double q = sqrt(-2 * log(tail));
        x = (((((c[0] * q + c[1]) * q + c[2]) * q + c[3]) * q + c[4]) * q + c[5]) /
            ((((d[0] * q + d[1]) * q + d[2]) * q + d[3]) * q + 1);
        x = p < 0.5 ? x : -x;
    } else {
        double q = p - 0.5, r = q * q;
        x = (((((a[0] * r + a[1]) * r + a[2]) * r + a[3]) * r + a[4]) * r + a[5]) * q /
            (((((b[0] * r + b[1]) * r + b[2]) * r + b[3]) * r + b[4]) * r + 1);
    }
    double u = (normal_cdf(x) - p) * sqrt(2 * M_PI) * exp(x * x / 2);
    return x - u / (1 + x * u / 2);
}

/* A normal distribution cut to an interval, by inversion. In units of std around 0, mirrored so that more of the
 * interval lies below 0, where normal_cdf is accurate. */
typedef struct {
    double mean, std, low, high;
    double p_low, p_high; /* normal_cdf of the interval's ends */
    bool mirrored;
} cut_normal;

static mu_err cut_normal_init(const mu_weight_fill *f, cut_normal *out)
{
    double low = (f->low - f->fill.a) / f->fill.b, high = (f->high - f->fill.a) / f->fill.b;
    cut_normal c = {.mean = f->fill.a, .std = f->fill.b, .low = f->low, .high = f->high, .mirrored = low + high > 0};
    c.p_low = normal_cdf(c.mirrored ? -high : low);
    c.p_high = normal_cdf(c.mirrored ? -low : high);
    if (!(c.p_low < c.p_high))
        return MU_FAIL(MU_ERR_CONFIG, "a normal distribution of mean %g and std %g has nothing in [%g, %g]", c.mean,
                       c.std, c.low, c.high);
    *out = c;
    return MU_OK;
}

/* u in [0, 1), of 53 bits; taken at the middle of its step, so that an end is never asked for. */
static double cut_normal_at(const cut_normal *c, double u)
{
    double x = normal_quantile(c->p_low + (u + 0x1p-54) * (c->p_high - c->p_low));
    x = c->mean + c->std * (c->mirrored ? -x : x);
    return fmin(fmax(x, c->low), c->high);
}

enum { CHUNK = 2048 };

/* Elements [first, first + n) of the stream; first is even. */
static void draw_chunk(const mu_weight_fill *f, const cut_normal *cut, const mu_philox *stream, int64_t first, int n,
                       double *out)
{
    double a = f->fill.a, b = f->fill.b;
    for (int i = 0; i < n; i++) {
        uint64_t at = (uint64_t)(first + i);
        if (f->fill.kind == MU_FILL_CONSTANT)
            out[i] = a;
        else if (f->fill.kind == MU_FILL_UNIFORM)
            out[i] = a + (b - a) * mu_philox_uniform_f64(stream, at);
        else if (f->truncated)
            out[i] = cut_normal_at(cut, mu_philox_uniform_f64(stream, at));
        else
            out[i] = a + b * mu_philox_normal(stream, at);
    }
}

/* FNV-1a. */
static uint64_t hash_name(const char *name)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (; *name; name++)
        h = (h ^ (unsigned char)*name) * 0x100000001b3u;
    return h;
}

mu_err mu_weight_draw(const mu_weight_fill *fill, uint64_t seed, const char *name, const mu_type *type, void *out)
{
    double chunk[CHUNK];
    cut_normal cut = {0};
    mu_philox stream = mu_philox_key(seed, MU_RNG_INIT, hash_name(name), 0);
    int64_t count = mu_type_count(type);
    size_t size = mu_dtype_size(type->dtype);
    if (fill->truncated)
        MU_TRY(cut_normal_init(fill, &cut));
    for (int64_t i = 0; i < count; i += CHUNK) {
        int n = count - i < CHUNK ? (int)(count - i) : CHUNK;
        draw_chunk(fill, &cut, &stream, i, n, chunk);
        mu_convert((char *)out + (size_t)i * size, type->dtype, chunk, MU_F64, n);
    }
    return MU_OK;
}
