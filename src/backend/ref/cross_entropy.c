#include "backend/ref/ref.h"

#include "backend/ref/element.h"
#include "backend/ref/softmax.h"

/* Sample s of S = N * (spatial): its class c lies at at(s) + c * inner. */
typedef struct {
    const mu_loss_attrs *a;
    int64_t classes, inner, samples;
    mu_dtype target_dtype;
    const void *target;
    const real *weight; /* [C] or NULL */
} samples;

static samples samples_of(const mu_call *call, const mu_type *x, const mu_type *target_type, const void *target,
                          const void *weight)
{
    int64_t inner = 1;
    for (int d = 2; d < x->ndim; d++)
        inner *= x->dim[d];
    return (samples){call->attrs, x->dim[1], inner, x->dim[0] * inner, target_type->dtype, target, weight};
}

static int64_t at(const samples *s, int64_t i)
{
    return i / s->inner * s->classes * s->inner + i % s->inner;
}

static bool is_soft(const samples *s)
{
    return mu_dtype_is_float(s->target_dtype);
}

static double weight(const samples *s, int64_t c)
{
    return s->weight ? s->weight[c] : 1;
}

static bool ignored(const samples *s, int64_t i)
{
    return !is_soft(s) && ref_load_int(s->target, s->target_dtype, i) == s->a->ignore_index;
}

/* What log p(c) of sample i counts in the loss: smoothed target times class weight. */
static double share(const samples *s, int64_t i, int64_t c)
{
    double smooth = s->a->label_smoothing, even = weight(s, c) * smooth / (double)s->classes;
    if (is_soft(s))
        return even + weight(s, c) * (1 - smooth) * ((const real *)s->target)[at(s, i) + c * s->inner];
    return even + (ref_load_int(s->target, s->target_dtype, i) == c ? weight(s, c) * (1 - smooth) : 0);
}

static mu_err check_indices(const mu_call *call, const samples *s)
{
    for (int64_t i = 0; i < s->samples && !is_soft(s); i++) {
        int64_t t = ref_load_int(s->target, s->target_dtype, i);
        if ((t < 0 || t >= s->classes) && t != s->a->ignore_index) {
            MU_FAIL(MU_ERR_FORMAT, "cross_entropy \"%s\": the target of sample %lld is %lld, classes are 0 to %lld",
                    call->name ? call->name : "", (long long)i, (long long)t, (long long)s->classes - 1);
            return mu_error_hint("compare num_classes with the labels; ignored ones are ignore_index, %lld",
                                 (long long)s->a->ignore_index);
        }
    }
    return MU_OK;
}

/* What the mean divides by: samples, or the summed class weights of the targets that count. */
static double normaliser(const samples *s)
{
    double sum = 0;
    if (s->a->reduction != MU_REDUCE_MEAN)
        return 1;
    if (is_soft(s))
        return (double)s->samples;
    for (int64_t i = 0; i < s->samples; i++)
        sum += ignored(s, i) ? 0 : weight(s, ref_load_int(s->target, s->target_dtype, i));
    return sum;
}

mu_err REF(cross_entropy)(const mu_call *call, void *const *in, void *const *out, const mu_run *run)
{
    (void)run;
    samples s = samples_of(call, &call->in[0], &call->in[1], in[1], call->n_in > 2 ? in[2] : NULL);
    real *loss = out[0], *log_p = out[1];
    MU_TRY(check_indices(call, &s));
    double sum = 0, n = normaliser(&s);
    for (int64_t i = 0; i < s.samples; i++) {
        double one = 0;
        ref_log_softmax((const real *)in[0] + at(&s, i), log_p + at(&s, i), s.classes, s.inner);
        for (int64_t c = 0; c < s.classes && !ignored(&s, i); c++) {
            double q = share(&s, i, c);
            one -= q == 0 ? 0 : q * log_p[at(&s, i) + c * s.inner];
        }
        if (s.a->reduction == MU_REDUCE_NONE)
            loss[i] = (real)one;
        sum += one;
    }
    if (s.a->reduction != MU_REDUCE_NONE)
        loss[0] = (real)(sum / n);
    *(real *)out[2] = (real)n;
    return MU_OK;
}

mu_err REF(cross_entropy_grad)(const mu_call *call, void *const *in, void *const *out, const mu_run *run)
{
    (void)run;
    samples s = samples_of(call, &call->in[1], &call->in[2], in[2], call->n_in > 3 ? in[3] : NULL);
    const real *dloss = in[0], *log_p = in[1];
    double n = s.a->reduction == MU_REDUCE_MEAN ? *(const real *)in[4] : 1;
    real *dx = out[0];
    for (int64_t i = 0; i < s.samples; i++) {
        double scale = dloss[s.a->reduction == MU_REDUCE_NONE ? i : 0] / n, total = 0;
        for (int64_t c = 0; c < s.classes; c++)
            total += share(&s, i, c);
        for (int64_t c = 0; c < s.classes; c++) {
            int64_t k = at(&s, i) + c * s.inner;
            dx[k] = ignored(&s, i) ? 0 : (real)((exp(log_p[k]) * total - share(&s, i, c)) * scale);
        }
    }
    return MU_OK;
}
