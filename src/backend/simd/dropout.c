#include "backend/simd/vec.h"

#include "core/philox.h"

#include <math.h>

/* Philox 4x32-10 (Salmon et al. 2011) on many blocks at once; the numbers are those of core/philox.h. */

enum { BLOCKS = 64, PIECE = 4 * BLOCKS };

static void draw(const mu_philox *stream, uint64_t first_block, uint32_t *v)
{
    uint32_t c0[BLOCKS], c1[BLOCKS], c2[BLOCKS], c3[BLOCKS], k0 = stream->key[0], k1 = stream->key[1];
    for (int j = 0; j < BLOCKS; j++) {
        uint64_t n = first_block + (uint64_t)j;
        c0[j] = (uint32_t)n;
        c1[j] = (uint32_t)(n >> 32);
        c2[j] = stream->stream[0];
        c3[j] = stream->stream[1];
    }
    for (int round = 0; round < 10; round++) {
#pragma omp simd
        for (int j = 0; j < BLOCKS; j++) {
            uint64_t p0 = (uint64_t)0xd2511f53 * c0[j], p1 = (uint64_t)0xcd9e8d57 * c2[j];
            c0[j] = (uint32_t)(p1 >> 32) ^ c1[j] ^ k0;
            c2[j] = (uint32_t)(p0 >> 32) ^ c3[j] ^ k1;
            c1[j] = (uint32_t)p1;
            c3[j] = (uint32_t)p0;
        }
        k0 += 0x9e3779b9;
        k1 += 0xbb67ae85;
    }
    for (int j = 0; j < BLOCKS; j++) {
        v[4 * j] = c0[j];
        v[4 * j + 1] = c1[j];
        v[4 * j + 2] = c2[j];
        v[4 * j + 3] = c3[j];
    }
}

typedef struct {
    const mu_kernel *kernel;
    mu_philox stream;
    uint32_t least; /* a number u * 2^-24 of 24 bits is at least p when u is at least this */
    float scale;
    bool half;
} dropout;

/* Elements from..from+n-1, which take the numbers from `first` on. */
static void drop(const dropout *d, int64_t from, int64_t n, uint64_t first, int threads)
{
    int64_t shift = (int64_t)(first % 4), pieces = (n + shift + PIECE - 1) / PIECE; /* aligned to whole draws */
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t i = 0; i < pieces; i++) {
        uint32_t v[PIECE];
        draw(&d->stream, first / 4 + (uint64_t)i * BLOCKS, v);
        int64_t start = i * PIECE - shift;
        for (int64_t k = start < 0 ? -start : 0; k < PIECE && start + k < n; k++) {
            float x = load1(d->kernel->in[0], from + start + k, d->half);
            store1(d->kernel->out[0], from + start + k, d->half, v[k] >> 8 >= d->least ? x * d->scale : 0);
        }
    }
}

static mu_err run_dropout(mu_kernel *kernel, const mu_run *run)
{
    const mu_simd_kernel *self = (const mu_simd_kernel *)kernel;
    const mu_dropout_attrs *a = kernel->call.attrs;
    const mu_type *t = &kernel->call.in[0];
    int64_t n = mu_type_count(t), samples = t->ndim > 0 ? t->dim[0] : 1, inner = samples > 0 ? n / samples : n;
    int64_t stride = run->sample_stride ? run->sample_stride : 1;
    int threads = mu_simd_threads(self, n * 32);
    dropout d = {.kernel = kernel,
                 .stream = mu_philox_key(run->seed, MU_RNG_DROPOUT, (uint64_t)a->key, (uint64_t)run->step),
                 .least = (uint32_t)ceil(a->p * 0x1p24),
                 .scale = (float)(1 / (1 - a->p)),
                 .half = t->dtype == MU_BF16};
    if (stride == 1) {
        drop(&d, 0, n, (uint64_t)run->sample_offset * (uint64_t)inner, threads);
        return MU_OK;
    }
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t i = 0; i < samples; i++)
        drop(&d, i * inner, inner, (uint64_t)(run->sample_offset + i * stride) * (uint64_t)inner, 1);
    return MU_OK;
}

const mu_simd_impl SIMD(dropout) = {.run = run_dropout};
