#include "backend/simd/batch_norm.h"

#include "core/mem.h"

enum { CACHE_PER_THREAD = 768 << 10, N_COEFFICIENTS = 4 };

static void set_geometry(mu_simd_norm *s, mu_dtype dtype, int tensors)
{
    const mu_simd_view *x = &s->base.x;
    const mu_type *type = &s->base.base.call.in[0];
    s->half = dtype == MU_BF16;
    s->n = x->n;
    s->pixels = x->space;
    if (x->kind == MU_LAYOUT_CHANNELS_BLOCKED) {
        s->lanes = s->stride = x->width;
        s->groups = x->blocks;
        s->group_step = x->space * x->width;
        s->sample_step = x->blocks * s->group_step;
    } else if (x->kind == MU_LAYOUT_CHANNELS_LAST || type->ndim == 2) {
        s->n = 1;
        s->pixels = x->n * x->space;
        s->lanes = s->group_step = LANES;
        s->groups = (x->c + LANES - 1) / LANES;
        s->stride = x->c;
        s->sample_step = 0;
    } else {
        s->lanes = s->stride = 1;
        s->groups = x->c;
        s->group_step = x->space;
        s->sample_step = x->c * x->space;
    }
    int64_t most = UNIT_LANES / s->lanes;
    s->pixel_parts = (s->pixels + most - 1) / most;
    int64_t samples = s->pixel_parts > 1 || s->pixels == 0 ? 1 : most / s->pixels;
    s->sample_parts = (s->n + samples - 1) / samples;
    s->units = s->pixel_parts * s->sample_parts;
    int64_t element = s->half ? 2 : 4, group_bytes = s->n * s->pixels * s->lanes * element * tensors;
    s->bytes = s->groups * group_bytes;
    int64_t cache = (int64_t)CACHE_PER_THREAD * s->base.n_threads;
    bool interleaved = s->stride != s->lanes; /* channels last: groups share cache lines */
    s->batch = interleaved || group_bytes == 0 ? s->groups : cache / group_bytes;
    s->batch = s->batch < 1 ? 1 : s->batch;
}

static void finish(const mu_simd_norm *s, const mu_simd_sweeps *f, int64_t group)
{
    double a[LANES], b[LANES];
    f->join(s, group, a, b);
    if (f->own)
        f->own(s, group, a, b);
    f->settle(s, group, (double)(s->n * s->pixels), a, b);
}

static void run_sweeps(const mu_simd_norm *s, const mu_simd_sweeps *f)
{
    if (f->begin)
        f->begin(s);
#pragma omp parallel num_threads(mu_simd_threads(&s->base, s->bytes))
    for (int64_t g0 = 0; g0 < s->groups; g0 += s->batch) {
        int64_t groups = s->groups - g0 < s->batch ? s->groups - g0 : s->batch;
        int64_t begin, end, group, u;
        mu_simd_part(groups * s->units, mu_simd_team(), mu_simd_member(), &begin, &end);
        for (int64_t i = begin; i < end; i++) {
            locate(s, g0, groups, i, &group, &u);
            mu_simd_unit of = unit_of(s, group, u);
            f->sum(s, group, &of, sums_of(s, group, u));
        }
#pragma omp barrier
#pragma omp for schedule(static)
        for (int64_t g = g0; g < g0 + groups; g++)
            finish(s, f, g);
        for (int64_t i = end - 1; i >= begin; i--) { /* backwards: the last bytes read are still near */
            locate(s, g0, groups, i, &group, &u);
            mu_simd_unit of = unit_of(s, group, u);
            f->write(s, group, &of);
        }
    }
}

static mu_err run_forward(mu_kernel *kernel, const mu_run *run)
{
    (void)run;
    run_sweeps((const mu_simd_norm *)kernel, &SIMD(mu_simd_norm_forward));
    return MU_OK;
}

static mu_err run_backward(mu_kernel *kernel, const mu_run *run)
{
    (void)run;
    run_sweeps((const mu_simd_norm *)kernel, &SIMD(mu_simd_norm_backward));
    return MU_OK;
}

bool SIMD(mu_simd_norm_supports)(const mu_call *call, const char **why)
{
    *why = "the vectorised kernel takes x in f32 or bf16";
    return call->in[0].dtype == MU_F32 || call->in[0].dtype == MU_BF16;
}

mu_err SIMD(mu_simd_norm_setup)(mu_simd_kernel *kernel)
{
    mu_simd_norm *s = (mu_simd_norm *)kernel;
    const mu_call *call = &kernel->base.call;
    bool grad = call->op == &mu_op_batch_norm_grad || call->op == &mu_op_sync_batch_norm_grad;
    set_geometry(s, call->in[0].dtype, !grad ? 1 : mu_simd_in(call, 6) ? 4 : 3);
    s->own_scratch = mu_align_up((size_t)((s->units * 2 + N_COEFFICIENTS) * s->groups * s->lanes) * sizeof(float));
    kernel->base.scratch_bytes = s->own_scratch;
    return MU_OK;
}

const mu_simd_impl SIMD(batch_norm) = {.layouts = MU_ALIKE_CHANNELS,
                                       .size = sizeof(mu_simd_norm),
                                       .supports = SIMD(mu_simd_norm_supports),
                                       .setup = SIMD(mu_simd_norm_setup),
                                       .run = run_forward};

const mu_simd_impl SIMD(batch_norm_grad) = {.layouts = MU_ALIKE_CHANNELS,
                                            .size = sizeof(mu_simd_norm),
                                            .supports = SIMD(mu_simd_norm_supports),
                                            .setup = SIMD(mu_simd_norm_setup),
                                            .run = run_backward};
