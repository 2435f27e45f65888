#include "flat.cuh"

#include "core/philox.h"

#include <math.h>

/* y = x / (1 - p) where the element's number, of core/philox.h, is at least p, else 0. Numbers belong to logical places in the global batch; seed, step and
 * samples are read on the device. */

typedef struct {
    int64_t count, inner;  /* elements, and those of a sample */
    int64_t c, space;      /* of channels-last storage */
    bool last, small, whole;
    uint32_t least;        /* u * 2^-24 is at least p when u is at least this */
    float scale;
    uint64_t key;
    const mu_run *run;
} mu_cuda_dropout_args;

static __device__ inline uint64_t dropout_mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* What mu_philox_key makes of the run: key and stream. */
static __device__ inline uint4 dropout_stream(const mu_cuda_dropout_args &a)
{
    uint64_t seed = a.run->seed, step = (uint64_t)a.run->step, purpose = MU_RNG_DROPOUT;
    uint64_t key = dropout_mix(dropout_mix(dropout_mix(dropout_mix(seed) + purpose) + a.key) + step);
    uint64_t stream = dropout_mix(dropout_mix(dropout_mix(dropout_mix(step) + a.key) + purpose) + seed);
    return make_uint4((uint32_t)key, (uint32_t)(key >> 32), (uint32_t)stream, (uint32_t)(stream >> 32));
}

template <class I> static __device__ inline int64_t dropout_place(const mu_cuda_dropout_args &a, I i, int64_t offset, int64_t stride)
{
    I inner = (I)a.inner, sample = i / inner, rest = i - sample * inner;
    int64_t at = (int64_t)rest;
    if (a.last) {
        I space = rest / (I)a.c;
        at = (int64_t)(rest - space * (I)a.c) * a.space + (int64_t)space;
    }
    return (offset + (int64_t)sample * stride) * a.inner + at;
}

template <class T> static __global__ void dropout_kernel(const T *x, T *y, mu_cuda_dropout_args a)
{
    const int N = packed<T>;
    __shared__ uint4 stream;
    if (threadIdx.x == 0)
        stream = dropout_stream(a);
    __syncthreads();
    int64_t offset = a.run->sample_offset, stride = a.run->sample_stride ? a.run->sample_stride : 1;
    FOR_EACH(k, (a.count + N - 1) / N) {
        float v[N];
        uint4 numbers = {};
        uint64_t drawn = ~(uint64_t)0;
        read_pack<N>(x, k * N, a.count, a.whole, v);
        for (int j = 0; j < N; j++) {
            int64_t i = k * N + j;
            uint64_t n = (uint64_t)(a.small ? dropout_place<uint32_t>(a, (uint32_t)i, offset, stride) : dropout_place<int64_t>(a, i, offset, stride));
            if (n / 4 != drawn) {
                drawn = n / 4;
                numbers = philox_block(make_uint2(stream.x, stream.y), make_uint4((uint32_t)drawn, (uint32_t)(drawn >> 32), stream.z, stream.w));
            }
            uint32_t u = n % 4 == 0 ? numbers.x : n % 4 == 1 ? numbers.y : n % 4 == 2 ? numbers.z : numbers.w;
            v[j] = u >> 8 >= a.least ? v[j] * a.scale : 0.0f;
        }
        write_pack<N>(y, k * N, a.count, a.whole, v);
    }
}

static mu_err dropout_run(mu_kernel *kernel, const mu_run *run)
{
    (void)run;
    const mu_cuda_kernel *self = (const mu_cuda_kernel *)kernel;
    const mu_cuda *cuda = self->self;
    const mu_type *t = &kernel->call.in[0];
    const mu_dropout_attrs *d = (const mu_dropout_attrs *)kernel->call.attrs;
    const void *x = kernel->in[0];
    void *y = kernel->out[0];
    mu_cuda_dropout_args a = {};
    a.count = mu_type_count(t);
    if (a.count == 0)
        return MU_OK;
    a.inner = t->ndim > 0 ? a.count / t->dim[0] : a.count;
    a.last = self->x.last && self->x.space > 1;
    a.c = self->x.c;
    a.space = self->x.space;
    a.small = a.count < INT64_C(0x7fffffff);
    a.whole = lies_whole(x, 16) && lies_whole(y, 16);
    a.least = (uint32_t)ceil(d->p * 16777216.0);
    a.scale = (float)(1 / (1 - d->p));
    a.key = (uint64_t)d->key;
    a.run = cuda->base.run;
    return visit_float(t->dtype, [&](auto zero) {
        typedef decltype(zero) T;
        return launch(cuda, dropout_kernel<T>, blocks_for(cuda, a.count, packed<T>), BLOCK, (const T *)x, (T *)y, a);
    });
}

extern "C" const mu_cuda_impl dropout_cuda = {MU_CUDA_FLAT, 0, NULL, NULL, NULL, dropout_run, NULL};
