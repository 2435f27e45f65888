#include "channels.cuh"

struct inference_kernel {
    mu_cuda_kernel base;
    channel_grid grid;
};

/* (x, gamma?, beta?, mean, variance) */
struct given_line {
    const float *gamma, *beta, *mean, *var;
    double eps;
    __device__ channel_line operator()(int64_t, int64_t c) const
    {
        double scale = (gamma ? gamma[c] : 1.0f) / sqrt(var[c] + eps);
        return channel_line{mean[c], (float)scale, beta ? beta[c] : 0};
    }
};

static mu_err setup(mu_cuda_kernel *kernel)
{
    ((inference_kernel *)kernel)->grid = channel_grid_of(kernel, kernel->base.call.in[0].dtype, false);
    return MU_OK;
}

static mu_err run_inference(mu_kernel *k, const mu_run *run)
{
    const inference_kernel *s = (const inference_kernel *)k;
    const mu_batch_norm_attrs *a = (const mu_batch_norm_attrs *)k->call.attrs;
    given_line line = {(const float *)k->in[1], (const float *)k->in[2], (const float *)k->in[3], (const float *)k->in[4], a->eps};
    (void)run;
    return visit_float(k->call.in[0].dtype, [&](auto zero) {
        return launch_normal<decltype(zero)>(s->base.self, s->grid, k->in[0], NULL, k->out[0], a->relu, line);
    });
}

extern "C" const mu_cuda_impl batch_norm_inference_cuda = {
    MU_CUDA_CHANNELS, sizeof(inference_kernel), mu_cuda_half_with_f32, NULL, setup, run_inference, NULL};
