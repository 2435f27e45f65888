#include "backend/simd/vec.h"

/* Images to normalised planes, f32 or bf16. */

typedef struct {
    const mu_normalize_attrs *attrs;
    const float *mean, *std; /* [1] or [C]; NULL: none */
    bool each_mean, each_std;
    int64_t channels, from[2], to[2]; /* (height, width) of x and y */
} images;

typedef struct {
    float mean, std;
} channel;

enum { PIECE = 64 }; /* a fixed length, of which the compiler makes vectors */

/* A function of its own, that the compiler may know what does not overlap. */
static __attribute__((noinline)) void bytes_to_f32(const uint8_t *restrict x, float *restrict y, int64_t n, float mean, float std)
{
    int64_t i = 0;
    for (; i + PIECE <= n; i += PIECE)
        for (int k = 0; k < PIECE; k++)
            y[i + k] = ((float)x[i + k] - mean) / std;
    for (; i < n; i++)
        y[i] = ((float)x[i] - mean) / std;
}

static void bytes_to_bf16(const uint8_t *x, uint16_t *y, int64_t n, channel ch)
{
    float made[4 * PIECE];
    for (int64_t i = 0; i < n; i += 4 * PIECE) {
        int64_t left = n - i < 4 * PIECE ? n - i : 4 * PIECE;
        bytes_to_f32(x + i, made, left, ch.mean, ch.std);
        for (int64_t k = 0; k < left; k += VL)
            put(y, i + k, left - k, true, get(made, k, left - k, false, 0));
    }
}

SIMD_INLINE void line(const void *x, int64_t from, void *y, int64_t to, int64_t n, channel ch, bool bytes, bool half)
{
    if (bytes && half)
        bytes_to_bf16((const uint8_t *)x + from, (uint16_t *)y + to, n, ch);
    else if (bytes)
        bytes_to_f32((const uint8_t *)x + from, (float *)y + to, n, ch.mean, ch.std);
    for (int64_t i = 0; !bytes && i < n; i += VL)
        put(y, to + i, n - i, half, (get(x, from + i, n - i, false, 0) - ch.mean) / ch.std);
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
