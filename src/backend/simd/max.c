#include "backend/simd/reduce.h"
#include "backend/simd/vec.h"

/* Largest and smallest elements; NaN if there is one. */

enum { WIDE = 4 }; /* vectors that are folded side by side */

typedef struct {
    mu_simd_kernel base;
    bool half;
    mu_simd_lines lines;
} extreme;

SIMD_INLINE vf better(vf a, vf b, bool largest)
{
    return largest ? vmax(a, b) : vmin(a, b);
}

/* A line of consecutive numbers. */
SIMD_INLINE float along(const extreme *s, int64_t line, bool half, bool largest)
{
    const void *x = s->base.base.in[0];
    int64_t n = s->lines.n, at = line * n, i = 0;
    float first = load1(x, at, half), all[VL];
    vf best[WIDE];
    for (int j = 0; j < WIDE; j++)
        best[j] = vset(first);
    for (; i + WIDE * VL <= n; i += WIDE * VL)
        for (int j = 0; j < WIDE; j++)
            best[j] = better(best[j], load(x, at + i + j * VL, half), largest);
    for (; i < n; i += VL)
        best[0] = better(best[0], get(x, at + i, n - i, half, first), largest);
    for (int j = 1; j < WIDE; j++)
        best[0] = better(best[0], best[j], largest);
    vstore(all, best[0]);
    for (int j = 1; j < VL; j++)
        if (all[0] == all[0] && (all[j] != all[j] || (largest ? all[j] > all[0] : all[j] < all[0])))
            all[0] = all[j];
    return all[0];
}

/* WIDE * VL lines side by side, from column j on. */
SIMD_INLINE void across(const extreme *s, int64_t o, int64_t j, bool half, bool largest)
{
    const void *x = s->base.base.in[0];
    int64_t inner = s->lines.inner, at = o * s->lines.n * inner;
    vf best[WIDE];
    for (int64_t i = 0; i < s->lines.n; i++)
        for (int k = 0; k < WIDE; k++) {
            vf v = get(x, at + i * inner + j + k * VL, inner - j - k * VL, half, 0);
            best[k] = i == 0 ? v : better(best[k], v, largest);
        }
    for (int k = 0; k < WIDE; k++)
        put(s->base.base.out[0], o * inner + j + k * VL, inner - j - k * VL, half, best[k]);
}

SIMD_INLINE void fold(const extreme *s, bool half, bool largest)
{
    const mu_simd_lines *l = &s->lines;
    int64_t parts = (l->inner + WIDE * VL - 1) / (WIDE * VL);
    int threads = mu_simd_threads(&s->base, l->outer * l->n * l->inner * 4);
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t i = 0; i < l->outer * parts; i++)
        if (l->inner == 1)
            store1(s->base.base.out[0], i, half, along(s, i, half, largest));
        else
            across(s, i / parts, i % parts * (WIDE * VL), half, largest);
}

static mu_err run_max(mu_kernel *kernel, const mu_run *run)
{
    const extreme *s = (const extreme *)kernel;
    (void)run;
    if (s->half)
        fold(s, true, true);
    else
        fold(s, false, true);
    return MU_OK;
}

static mu_err run_min(mu_kernel *kernel, const mu_run *run)
{
    const extreme *s = (const extreme *)kernel;
    (void)run;
    if (s->half)
        fold(s, true, false);
    else
        fold(s, false, false);
    return MU_OK;
}

static bool supports(const mu_call *call, const char **why)
{
    mu_simd_lines l;
    if (!mu_simd_one_float(call, why))
        return false;
    *why = "the vectorised kernel reduces neighbouring dimensions of f32 or bf16";
    return mu_dtype_is_float(call->in[0].dtype) && mu_simd_lines_of(call, &l);
}

static mu_err setup(mu_simd_kernel *kernel)
{
    extreme *s = (extreme *)kernel;
    s->half = kernel->base.call.in[0].dtype == MU_BF16;
    (void)mu_simd_lines_of(&kernel->base.call, &s->lines);
    return MU_OK;
}

const mu_simd_impl SIMD(max) = {.size = sizeof(extreme), .supports = supports, .setup = setup, .run = run_max};
const mu_simd_impl SIMD(min) = {.size = sizeof(extreme), .supports = supports, .setup = setup, .run = run_min};
