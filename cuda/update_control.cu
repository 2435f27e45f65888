#include "device.cuh"

#include <float.h>
#include <math.h>

typedef struct {
    const double *old, *sums, *request, *groups; /* sums may be NULL */
    double *control, *scalars;
    float *loss_scale; /* may be NULL */
    int64_t n_sums, n_groups;
} mu_cuda_control;

/* As PyTorch's GradScaler moves it, a number of f32; one that would leave the range of f32 stays. */
static __device__ void move_loss_scale(double *control, const double *request, bool finite)
{
    double scale = control[MU_CONTROL_LOSS_SCALE], growth = control[MU_CONTROL_GROWTH] + 1;
    if (!finite) {
        scale = (float)(scale * request[MU_REQUEST_BACKOFF_FACTOR]);
        growth = 0;
    } else if (growth >= request[MU_REQUEST_GROWTH_INTERVAL]) {
        double larger = scale * request[MU_REQUEST_GROWTH_FACTOR];
        scale = larger <= FLT_MAX ? (float)larger : scale;
        growth = 0;
    }
    control[MU_CONTROL_LOSS_SCALE] = scale;
    control[MU_CONTROL_GROWTH] = growth;
}

static __device__ void count_attempt(double *control, const double *request, double norm, bool finite)
{
    control[MU_CONTROL_ATTEMPT] = request[MU_REQUEST_ATTEMPT];
    control[MU_CONTROL_NORM] = norm;
    control[MU_CONTROL_UPDATED] = finite ? 1 : 0;
    if (!finite && request[MU_REQUEST_STOPS] != 0) {
        control[MU_CONTROL_STOPPED] = request[MU_REQUEST_ATTEMPT];
        return;
    }
    control[finite ? MU_CONTROL_STEPS : MU_CONTROL_SKIPPED] += 1;
    if (request[MU_REQUEST_GROWTH_INTERVAL] > 0)
        move_loss_scale(control, request, finite);
}

/* One warp, a group to each thread. The sums are added in the same order every time. */
static __global__ void update_control_kernel(mu_cuda_control u)
{
    const int lane = (int)threadIdx.x;
    const double steps = u.old[MU_CONTROL_STEPS], max_norm = u.request[MU_REQUEST_MAX_NORM];
    const bool stopped = u.old[MU_CONTROL_STOPPED] != 0;
    double scale = u.request[MU_REQUEST_SCALE] / u.old[MU_CONTROL_LOSS_SCALE], sum = 0;
    for (int64_t i = lane; i < u.n_sums; i += WARP)
        sum += u.sums[i];
    sum = warp_reduce(sum, add());
    const double norm = u.sums ? fabs(scale) * sqrt(sum) : (double)NAN;
    const bool finite = !u.sums || norm - norm == 0;
    if (u.sums && max_norm > 0)
        scale *= fmin(1.0, max_norm / (norm + 1e-6));
    for (int64_t g = lane; g < u.n_groups; g += WARP) {
        const double *group = u.groups + g * MU_UPDATE_SCALARS;
        double *s = u.scalars + g * MU_UPDATE_SCALARS;
        for (int i = 0; i < MU_UPDATE_SCALARS; i++)
            s[i] = i <= MU_UPDATE_EPS ? group[i] : 0;
        s[MU_UPDATE_GRADIENT_SCALE] = scale;
        if (group[MU_UPDATE_CORRECTION1] != 0)
            s[MU_UPDATE_CORRECTION1] = 1 - pow(group[MU_UPDATE_BETA1], steps + 1);
        if (group[MU_UPDATE_CORRECTION2] != 0)
            s[MU_UPDATE_CORRECTION2] = 1 - pow(group[MU_UPDATE_BETA2], steps + 1);
        s[MU_UPDATE_MAX_VALUE] = u.request[MU_REQUEST_MAX_VALUE];
        s[MU_UPDATE_FIRST] = steps == 0 ? 1 : 0;
        s[MU_UPDATE_SKIP] = stopped || !finite ? 1 : 0;
    }
    __syncwarp(); /* all have read the block */
    if (lane > 0)
        return;
    double control[MU_CONTROL_N];
    for (int i = 0; i < MU_CONTROL_N; i++)
        control[i] = u.old[i];
    if (!stopped)
        count_attempt(control, u.request, norm, finite);
    for (int i = 0; i < MU_CONTROL_N; i++)
        u.control[i] = control[i];
    if (u.loss_scale)
        *u.loss_scale = (float)control[MU_CONTROL_LOSS_SCALE];
}

static mu_err control_run(mu_kernel *kernel, const mu_run *run)
{
    (void)run;
    const mu_call *call = &kernel->call;
    mu_cuda_control u = {};
    u.old = (const double *)kernel->in[0];
    u.request = (const double *)kernel->in[1];
    u.groups = (const double *)kernel->in[2];
    u.sums = (const double *)mu_cuda_address(kernel, 3);
    u.control = (double *)kernel->out[0];
    u.scalars = (double *)kernel->out[1];
    u.loss_scale = (float *)kernel->out[2];
    u.n_sums = u.sums ? mu_type_count(&call->in[3]) : 0;
    u.n_groups = call->in[2].dim[0];
    return launch(((const mu_cuda_kernel *)kernel)->self, update_control_kernel, 1, WARP, u);
}

extern "C" const mu_cuda_impl update_control_cuda = {MU_CUDA_ROWS, 0, mu_cuda_any_dtype, NULL, NULL, control_run, NULL};
