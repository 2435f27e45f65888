#include "flat.cuh"

/* Casts, as mu_convert does them: through double, but integers among themselves wrap. */

template <class To> struct cast_to {
    static __device__ To of(double x) { return (To)x; }
    static __device__ To of(float x) { return (To)x; }
    static __device__ To of(int64_t x) { return (To)x; }
};
template <> struct cast_to<float> {
    static __device__ float of(double x) { return (float)x; }
    static __device__ float of(float x) { return x; }
    static __device__ float of(int64_t x) { return (float)(double)x; }
};
template <> struct cast_to<bf16> {
    template <class From> static __device__ bf16 of(From x) { return store<bf16>(cast_to<float>::of(x)); }
};
template <> struct cast_to<f16> {
    template <class From> static __device__ f16 of(From x) { return store<f16>(cast_to<float>::of(x)); }
};

/* What an element is computed with: double, float or int64_t. */
template <class From> struct cast_wide {
    typedef int64_t type;
};
template <> struct cast_wide<double> {
    typedef double type;
};
template <> struct cast_wide<float> {
    typedef float type;
};
template <> struct cast_wide<bf16> {
    typedef float type;
};
template <> struct cast_wide<f16> {
    typedef float type;
};

template <class From, class To>
static __global__ void cast_kernel(const From *from, To *to, int64_t count, bool whole, bool truth)
{
    const int N = 16 / (int)(sizeof(From) > sizeof(To) ? sizeof(From) : sizeof(To));
    FOR_EACH(k, (count + N - 1) / N) {
        int64_t i = k * N;
        pack<From, N> x;
        pack<To, N> y;
        bool all = whole && i + N <= count;
        if (all)
            x = *(const pack<From, N> *)(from + i);
        for (int j = 0; j < N; j++)
            if (all || i + j < count) {
                auto wide = (typename cast_wide<From>::type)load(all ? x.v[j] : from[i + j]);
                y.v[j] = truth ? cast_to<To>::of((int64_t)(wide != 0)) : cast_to<To>::of(wide);
                if (!all)
                    to[i + j] = y.v[j];
            }
        if (all)
            *(pack<To, N> *)(to + i) = y;
    }
}

static bool cast_supports(const mu_call *call, const char **why)
{
    (void)call, (void)why;
    return true;
}

static mu_err cast_run(mu_kernel *k, const mu_run *run)
{
    const mu_cuda *cuda = ((const mu_cuda_kernel *)k)->self;
    int64_t count = mu_type_count(&k->call.out[0]);
    mu_dtype from = k->call.in[0].dtype, to = k->call.out[0].dtype;
    bool whole = all_whole(k), truth = to == MU_BOOL;
    const void *x = k->in[0];
    void *y = k->out[0];
    (void)run;
    if (count == 0)
        return MU_OK;
    return visit_any(from, [&](auto zero) {
        typedef decltype(zero) From;
        return visit_any(to, [&](auto nought) {
            typedef decltype(nought) To;
            unsigned blocks = blocks_for(cuda, count, 16 / (int64_t)(sizeof(From) > sizeof(To) ? sizeof(From) : sizeof(To)));
            return launch(cuda, cast_kernel<From, To>, blocks, BLOCK, (const From *)x, (To *)y, count, whole, truth);
        });
    });
}

extern "C" const mu_cuda_impl cast_cuda = {MU_CUDA_FLAT, sizeof(mu_cuda_kernel), cast_supports, NULL, NULL, cast_run, NULL};
