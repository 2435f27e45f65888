#include "backend/simd/vec.h"

/* Images to normalised planes, f32 or bf16. */

typedef uint8_t vb __attribute__((vector_size(VL)));
typedef uint8_t vb_any __attribute__((vector_size(VL), aligned(1), may_alias));

typedef struct {
    const mu_normalize_attrs *attrs;
    const float *mean, *std; /* [1] or [C]; NULL: none */
    bool each_mean, each_std;
    int64_t channels, from[2], to[2]; /* (height, width) of x and y */
} images;

typedef struct {
    float mean, std;
} channel;

/* VL pixels from i on, or the `left` that there are. */
SIMD_INLINE vf get_pixels(const void *x, int64_t i, int64_t left, bool bytes)
{
    if (!bytes)
        return get(x, i, left, false, 0);
    vb b = {0};
    if (left >= VL)
        b = *(const vb_any *)((const uint8_t *)x + i);
    else
        for (int l = 0; l < left; l++)
            b[l] = ((const uint8_t *)x)[i + l];
    return __builtin_convertvector(b, vf);
}

SIMD_INLINE void line(const void *x, int64_t from, void *y, int64_t to, int64_t n, channel ch, bool bytes, bool half)
{
    for (int64_t i = 0; i < n; i += VL)
        put(y, to + i, n - i, half, (get_pixels(x, from + i, n - i, bytes) - ch.mean) / ch.std);
}

SIMD_INLINE void fill(void *y, int64_t to, int64_t n, float value, bool half)
{
    for (int64_t i = 0; i < n; i += VL)
        put(y, to + i, n - i, half, vset(value));
}

SIMD_INLINE void plane(const images *s, const void *x, void *y, int64_t number, bool bytes, bool half)
{
    int64_t c = number % s->channels, source = s->attrs->reverse ? number - c + s->channels - 1 - c : number;
    int64_t from = source * s->from[0] * s->from[1], to = number * s->to[0] * s->to[1];
    channel ch = {s->mean ? s->mean[s->each_mean ? c : 0] : 0, s->std ? s->std[s->each_std ? c : 0] : 1};
    float value = (float)s->attrs->value;
    if (s->from[1] == s->to[1]) {
        line(x, from, y, to, s->from[0] * s->from[1], ch, bytes, half);
    } else {
        for (int64_t row = 0; row < s->from[0]; row++) {
            line(x, from + row * s->from[1], y, to + row * s->to[1], s->from[1], ch, bytes, half);
            fill(y, to + row * s->to[1] + s->from[1], s->to[1] - s->from[1], value, half);
        }
    }
    fill(y, to + s->from[0] * s->to[1], (s->to[0] - s->from[0]) * s->to[1], value, half);
}

static mu_err run_normalize(mu_kernel *kernel, const mu_run *run)
{
    const mu_call *call = &kernel->call;
    const mu_type *x = &call->in[0], *y = &call->out[0], *mean = mu_simd_in(call, 1), *std = mu_simd_in(call, 2);
    const images s = {.attrs = call->attrs,
                      .mean = mu_simd_address(kernel, 1),
                      .std = mu_simd_address(kernel, 2),
                      .each_mean = mean && mean->dim[0] > 1,
                      .each_std = std && std->dim[0] > 1,
                      .channels = y->dim[1],
                      .from = {x->dim[x->ndim - 2], x->dim[x->ndim - 1]},
                      .to = {y->dim[2], y->dim[3]}};
    const void *from = kernel->in[0];
    void *to = kernel->out[0];
    bool bytes = x->dtype == MU_U8, half = y->dtype == MU_BF16;
    int threads = mu_simd_threads((const mu_simd_kernel *)kernel, (int64_t)(mu_type_bytes(x) + mu_type_bytes(y)));
    (void)run;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t i = 0; i < y->dim[0] * s.channels; i++)
        if (bytes && half)
            plane(&s, from, to, i, true, true);
        else if (bytes)
            plane(&s, from, to, i, true, false);
        else
            plane(&s, from, to, i, false, half);
    return MU_OK;
}

static bool supports(const mu_call *call, const char **why)
{
    *why = "the vectorised kernel makes f32 and bf16 of images";
    return call->out[0].dtype != MU_F16;
}

const mu_simd_impl SIMD(normalize) = {.layouts = MU_ALIKE_ROWS, .supports = supports, .run = run_normalize};
