#include "backend/ref/ref.h"

#include "backend/ranks.h"
#include "backend/ref/norm.h"
#include "dist/comm.h"

/* The values of one channel of x [N,C,...]; a channel's block starts at c * n_inner. */
static ref_block channel_block(const mu_type *x)
{
    int64_t plane = 1;
    for (int d = 2; d < x->ndim; d++)
        plane *= x->dim[d];
    return (ref_block){.n_outer = x->dim[0], .n_inner = plane, .stride = x->dim[1] * plane};
}

/* Channels are done in chunks: with other ranks a chunk is a message. */
enum { CHUNK = 64 };

typedef struct {
    double n;                         /* values of a channel */
    double a[CHUNK], b[CHUNK];        /* means and variances; sums */
} chunk;

static bool with_others(const mu_call *call, const mu_run *run)
{
    const mu_comm *comm = ((const mu_batch_norm_attrs *)call->attrs)->comm;
    return comm && comm->size > 1 && run->presence != MU_ALONE;
}

static mu_err add_up(const mu_call *call, double *sums, int count)
{
    MU_TRY(mu_comm_all_reduce(((const mu_batch_norm_attrs *)call->attrs)->comm, sums, count, MU_F64, MU_COMM_SUM));
    return MU_OK;
}

/* Means and variances of this rank's values become those of all: first the mean, then the deviations from it. */
static mu_err join_moments(const mu_call *call, chunk *own, int count)
{
    double sums[1 + CHUNK] = {own->n}, squares[CHUNK];
    for (int c = 0; c < count; c++)
        sums[1 + c] = own->n * own->a[c];
    MU_TRY(add_up(call, sums, 1 + count));
    double n = sums[0];
    for (int c = 0; c < count; c++) {
        double mean = n > 0 ? sums[1 + c] / n : 0, d = own->a[c] - mean;
        squares[c] = own->n * (own->b[c] + d * d);
        own->a[c] = mean;
    }
    MU_TRY(add_up(call, squares, count));
    for (int c = 0; c < count; c++)
        own->b[c] = n > 0 ? squares[c] / n : 0;
    own->n = n;
    MU_TRY(mu_ranks_check_count(n));
    return MU_OK;
}

static mu_err join_sums(const mu_call *call, chunk *own, int count)
{
    double sums[1 + 2 * CHUNK] = {own->n};
    memcpy(sums + 1, own->a, (size_t)count * sizeof *sums);
    memcpy(sums + 1 + count, own->b, (size_t)count * sizeof *sums);
    MU_TRY(add_up(call, sums, 1 + 2 * count));
    own->n = sums[0];
    memcpy(own->a, sums + 1, (size_t)count * sizeof *sums);
    memcpy(own->b, sums + 1 + count, (size_t)count * sizeof *sums);
    return MU_OK;
}

static int chunk_at(int64_t first, int64_t channels)
{
    return (int)(channels - first < CHUNK ? channels - first : CHUNK);
}

/* Channel c, given the mean m and the variance v of n values. */
static void write_channel(const mu_call *call, void *const *in, void *const *out, int64_t c, double n, double m, double v)
{
    const mu_batch_norm_attrs *a = call->attrs;
    const real *gamma = in[1], *beta = in[2], *old_mean = in[3], *old_var = in[4], *all_residual = ref_in(call, in, 5);
    real *mean = out[1], *rstd = out[2], *new_mean = out[3], *new_var = out[4];
    ref_block block = channel_block(&call->in[0]);
    const real *x = (const real *)in[0] + c * block.n_inner;
    const real *residual = all_residual ? all_residual + c * block.n_inner : NULL;
    real *y = (real *)out[0] + c * block.n_inner;
    double scale = 1 / sqrt(v + a->eps);
    for (int64_t i = 0; i < block.n_outer * block.n_inner; i++) {
        int64_t at = ref_block_at(&block, i);
        double t = (x[at] - m) * scale * gamma[c] + beta[c] + (residual ? residual[at] : 0);
        y[at] = (real)(a->relu && t <= 0 ? 0 : t);
    }
    mean[c] = (real)m;
    rstd[c] = (real)scale;
    double keep = n > 0 ? 1 - a->momentum : 1; /* an empty batch leaves the running statistics alone */
    new_mean[c] = (real)(keep * old_mean[c] + (1 - keep) * m);
    new_var[c] = (real)(keep * old_var[c] + (n > 1 ? (1 - keep) * v * n / (n - 1) : 0));
}

mu_err REF(batch_norm)(const mu_call *call, void *const *in, void *const *out, const mu_run *run)
{
    ref_block block = channel_block(&call->in[0]);
    int64_t channels = call->in[0].dim[1];
    bool present = run->presence != MU_ABSENT;
    for (int64_t first = 0; first < channels; first += CHUNK) {
        int count = chunk_at(first, channels);
        chunk k = {.n = present ? (double)(block.n_outer * block.n_inner) : 0};
        for (int c = 0; present && c < count; c++)
            REF(moments)((const real *)in[0] + (first + c) * block.n_inner, &block, &k.a[c], &k.b[c]);
        if (with_others(call, run))
            MU_TRY(join_moments(call, &k, count));
        for (int c = 0; present && c < count; c++)
            write_channel(call, in, out, first + c, k.n, k.a[c], k.b[c]);
    }
    return MU_OK;
}

mu_err REF(sync_batch_norm)(const mu_call *call, void *const *in, void *const *out, const mu_run *run)
{
    return REF(batch_norm)(call, in, out, run);
}

/* What the gradient of a channel is taken from; y and dy2 may be NULL. */
typedef struct {
    ref_block block;
    const real *dy, *dy2, *x, *y;
} channel;

static channel channel_of(const mu_call *call, void *const *in, int64_t c)
{
    channel k = {.block = channel_block(&call->in[1])};
    int64_t start = c * k.block.n_inner;
    const real *dy2 = ref_in(call, in, 6);
    k.dy = (const real *)in[0] + start;
    k.x = (const real *)in[1] + start;
    k.y = ((const mu_batch_norm_attrs *)call->attrs)->relu ? (const real *)in[5] + start : NULL;
    k.dy2 = dy2 ? dy2 + start : NULL;
    return k;
}

/* The output gradient of element `at`, behind the ReLU. */
static real masked(const channel *k, int64_t at)
{
    real d = k->dy2 ? k->dy[at] + k->dy2[at] : k->dy[at];
    return k->y && !(k->y[at] > 0) ? 0 : d;
}

/* Sums of dy, and of dy times the normalised x: the gradients of beta and gamma. */
static void sum_channel(const mu_call *call, void *const *in, int64_t c, double *sum, double *sum_x)
{
    const real *mean = in[3], *rstd = in[4];
    channel k = channel_of(call, in, c);
    for (int64_t i = 0; i < k.block.n_outer * k.block.n_inner; i++) {
        int64_t at = ref_block_at(&k.block, i);
        double d = masked(&k, at);
        *sum += d;
        *sum_x += d * ((double)k.x[at] - mean[c]) * rstd[c];
    }
}

static void spread_channel(const mu_call *call, void *const *in, void *const *out, int64_t c, double n, double sum, double sum_x)
{
    const real *gamma = in[2], *mean = in[3], *rstd = in[4];
    channel k = channel_of(call, in, c);
    int64_t start = c * k.block.n_inner;
    real *dx = (real *)out[0] + start, *dresidual = out[3] ? (real *)out[3] + start : NULL;
    for (int64_t i = 0; i < k.block.n_outer * k.block.n_inner; i++) {
        int64_t at = ref_block_at(&k.block, i);
        double d = masked(&k, at), normal = ((double)k.x[at] - mean[c]) * rstd[c];
        dx[at] = (real)(gamma[c] * (double)rstd[c] * (d - sum / n - normal * sum_x / n));
        if (dresidual)
            dresidual[at] = (real)d;
    }
}

mu_err REF(batch_norm_grad)(const mu_call *call, void *const *in, void *const *out, const mu_run *run)
{
    ref_block block = channel_block(&call->in[1]);
    int64_t channels = call->in[1].dim[1];
    bool present = run->presence != MU_ABSENT;
    for (int64_t first = 0; first < channels; first += CHUNK) {
        int count = chunk_at(first, channels);
        chunk k = {.n = present ? (double)(block.n_outer * block.n_inner) : 0};
        for (int c = 0; present && c < count; c++) {
            sum_channel(call, in, first + c, &k.a[c], &k.b[c]);
            ((real *)out[1])[first + c] = (real)k.b[c];
            ((real *)out[2])[first + c] = (real)k.a[c];
        }
        if (with_others(call, run))
            MU_TRY(join_sums(call, &k, count));
        for (int c = 0; present && c < count; c++)
            spread_channel(call, in, out, first + c, k.n, k.a[c], k.b[c]);
    }
    return MU_OK;
}

mu_err REF(sync_batch_norm_grad)(const mu_call *call, void *const *in, void *const *out, const mu_run *run)
{
    return REF(batch_norm_grad)(call, in, out, run);
}
