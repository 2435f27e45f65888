/* The two sweeps of batch norm with a message to the other ranks between them. */
#include "backend/simd/batch_norm.h"

#include "backend/ranks.h"

/* [1 + 2 * channels], in scratch after the coefficients; then room for those of all ranks. */
static double *message_of(const mu_simd_norm *s)
{
    return (double *)((char *)s->base.base.scratch + s->own_scratch);
}

/* The first sweep, and what it found in `message`. */
static void sum_all(const mu_simd_norm *s, const mu_simd_sweeps *f, double *message)
{
    int64_t channels = s->base.x.c;
    if (f->begin)
        f->begin(s);
#pragma omp parallel num_threads(mu_simd_threads(&s->base, s->bytes))
    {
        int64_t begin, end, group, u;
        mu_simd_part(s->groups * s->units, mu_simd_team(), mu_simd_member(), &begin, &end);
        for (int64_t i = begin; i < end; i++) {
            locate(s, 0, s->groups, i, &group, &u);
            mu_simd_unit of = unit_of(s, group, u);
            f->sum(s, group, &of, sums_of(s, group, u));
        }
#pragma omp barrier
#pragma omp for schedule(static)
        for (int64_t g = 0; g < s->groups; g++) {
            double a[LANES], b[LANES];
            int64_t first = g * s->lanes, n = channels - first < s->lanes ? channels - first : s->lanes;
            f->join(s, g, a, b);
            if (f->own)
                f->own(s, g, a, b);
            memcpy(message + 1 + first, a, (size_t)n * sizeof *a);
            memcpy(message + 1 + channels + first, b, (size_t)n * sizeof *b);
        }
    }
    message[0] = (double)(s->n * s->pixels);
}

/* What the ranks agreed on becomes coefficients; then the second sweep. */
static void write_all(const mu_simd_norm *s, const mu_simd_sweeps *f, const double *message)
{
    int64_t channels = s->base.x.c;
    for (int64_t g = 0; g < s->groups; g++) {
        double a[LANES] = {0}, b[LANES] = {0};
        int64_t first = g * s->lanes, n = channels - first < s->lanes ? channels - first : s->lanes;
        memcpy(a, message + 1 + first, (size_t)n * sizeof *a);
        memcpy(b, message + 1 + channels + first, (size_t)n * sizeof *b);
        f->settle(s, g, message[0], a, b);
    }
#pragma omp parallel num_threads(mu_simd_threads(&s->base, s->bytes))
    {
        int64_t begin, end, group, u;
        mu_simd_part(s->groups * s->units, mu_simd_team(), mu_simd_member(), &begin, &end);
        for (int64_t i = end - 1; i >= begin; i--) { /* backwards: the last bytes read are still near */
            locate(s, 0, s->groups, i, &group, &u);
            mu_simd_unit of = unit_of(s, group, u);
            f->write(s, group, &of);
        }
    }
}

static mu_comm *comm_of(const mu_simd_norm *s)
{
    return ((const mu_batch_norm_attrs *)s->base.base.call.attrs)->comm;
}

static mu_err run(mu_kernel *kernel, const mu_run *run, const mu_simd_sweeps *f,
                  mu_err (*exchange)(mu_comm *comm, const mu_run *run, int64_t channels, double *message))
{
    const mu_simd_norm *s = (const mu_simd_norm *)kernel;
    int64_t channels = s->base.x.c;
    double *message = message_of(s);
    bool present = run->presence != MU_ABSENT;
    if (present)
        sum_all(s, f, message);
    else
        memset(message, 0, (size_t)(1 + 2 * channels) * sizeof *message);
    MU_TRY(exchange(comm_of(s), run, channels, message));
    if (present)
        write_all(s, f, message);
    return MU_OK;
}

static mu_err run_forward(mu_kernel *kernel, const mu_run *args)
{
    MU_TRY(run(kernel, args, &SIMD(mu_simd_norm_forward), mu_ranks_join_moments));
    return MU_OK;
}

static mu_err run_backward(mu_kernel *kernel, const mu_run *args)
{
    MU_TRY(run(kernel, args, &SIMD(mu_simd_norm_backward), mu_ranks_join_sums));
    return MU_OK;
}

static mu_err setup(mu_simd_kernel *kernel)
{
    const mu_simd_norm *s = (const mu_simd_norm *)kernel;
    MU_TRY(SIMD(mu_simd_norm_setup)(kernel));
    kernel->base.scratch_bytes += mu_ranks_bytes(comm_of(s), s->base.x.c);
    return MU_OK;
}

const mu_simd_impl SIMD(sync_batch_norm) = {.layouts = MU_ALIKE_CHANNELS,
                                            .size = sizeof(mu_simd_norm),
                                            .supports = SIMD(mu_simd_norm_supports),
                                            .setup = setup,
                                            .run = run_forward};

const mu_simd_impl SIMD(sync_batch_norm_grad) = {.layouts = MU_ALIKE_CHANNELS,
                                                 .size = sizeof(mu_simd_norm),
                                                 .supports = SIMD(mu_simd_norm_supports),
                                                 .setup = setup,
                                                 .run = run_backward};
