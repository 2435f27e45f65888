#include "backend/ref/ref.h"

#include <float.h>

/* As PyTorch's GradScaler moves it, a number of f32; one that would leave the range of f32 stays. */
static void move_loss_scale(double *control, const double *request, bool finite)
{
    double *scale = &control[MU_CONTROL_LOSS_SCALE], *growth = &control[MU_CONTROL_GROWTH];
    if (!finite) {
        *scale = (float)(*scale * request[MU_REQUEST_BACKOFF_FACTOR]);
        *growth = 0;
        return;
    }
    *growth += 1;
    if (*growth >= request[MU_REQUEST_GROWTH_INTERVAL]) {
        double larger = *scale * request[MU_REQUEST_GROWTH_FACTOR];
        *scale = larger <= FLT_MAX ? (float)larger : *scale;
        *growth = 0;
    }
}

static void count_attempt(double *control, const double *request, double norm, bool finite)
{
    bool stops = request[MU_REQUEST_STOPS] != 0;
    control[MU_CONTROL_ATTEMPT] = request[MU_REQUEST_ATTEMPT];
    control[MU_CONTROL_NORM] = norm;
    control[MU_CONTROL_UPDATED] = finite;
    control[MU_CONTROL_STEPS] += finite;
    control[MU_CONTROL_SKIPPED] += !finite && !stops;
    if (!finite && stops)
        control[MU_CONTROL_STOPPED] = request[MU_REQUEST_ATTEMPT];
    else if (request[MU_REQUEST_GROWTH_INTERVAL] > 0)
        move_loss_scale(control, request, finite);
}

mu_err REF(update_control)(const mu_call *call, void *const *in, void *const *out, const mu_run *run)
{
    (void)run;
    const double *old = in[0], *request = in[1], *groups = in[2], *sums = ref_in(call, in, 3);
    double *control = out[0], *scalars = out[1], sum = 0, scale = request[MU_REQUEST_SCALE] / old[MU_CONTROL_LOSS_SCALE];
    double t = old[MU_CONTROL_STEPS] + 1, max_norm = request[MU_REQUEST_MAX_NORM];
    for (int64_t i = 0; sums && i < mu_type_count(&call->in[3]); i++)
        sum += sums[i];
    double norm = sums ? fabs(scale) * sqrt(sum) : NAN;
    bool stopped = old[MU_CONTROL_STOPPED] != 0, finite = !sums || isfinite(norm);
    if (sums && max_norm > 0)
        scale *= fmin(1, max_norm / (norm + 1e-6));
    for (int64_t g = 0; g < call->in[2].dim[0]; g++) {
        const double *group = groups + g * MU_UPDATE_SCALARS;
        double *s = scalars + g * MU_UPDATE_SCALARS;
        for (int i = 0; i < MU_UPDATE_SCALARS; i++)
            s[i] = i <= MU_UPDATE_EPS ? group[i] : 0;
        s[MU_UPDATE_GRADIENT_SCALE] = scale;
        s[MU_UPDATE_CORRECTION1] = group[MU_UPDATE_CORRECTION1] != 0 ? 1 - pow(group[MU_UPDATE_BETA1], t) : 0;
        s[MU_UPDATE_CORRECTION2] = group[MU_UPDATE_CORRECTION2] != 0 ? 1 - pow(group[MU_UPDATE_BETA2], t) : 0;
        s[MU_UPDATE_MAX_VALUE] = request[MU_REQUEST_MAX_VALUE];
        s[MU_UPDATE_FIRST] = old[MU_CONTROL_STEPS] == 0;
        s[MU_UPDATE_SKIP] = stopped || !finite;
    }
    if (control != old)
        memcpy(control, old, MU_CONTROL_N * sizeof *control);
    if (!stopped)
        count_attempt(control, request, norm, finite);
    if (out[2])
        mu_convert(out[2], call->out[2].dtype, &control[MU_CONTROL_LOSS_SCALE], MU_F64, 1);
    return MU_OK;
}
