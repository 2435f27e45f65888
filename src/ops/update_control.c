#include "ops/operand.h"

static mu_err check(const mu_call *call, int i, const char *what, mu_type want)
{
    char a[MU_TYPE_TEXT], b[MU_TYPE_TEXT];
    if (!mu_type_equal(&call->in[i], &want))
        return MU_FAIL(MU_ERR_SHAPE, "%s must be %s, got %s", what, mu_type_format(&want, a), mu_type_format(&call->in[i], b));
    return MU_OK;
}

static mu_err infer(const mu_call *call, mu_type *out)
{
    const mu_type *groups = &call->in[2];
    char text[MU_TYPE_TEXT];
    MU_TRY(check(call, 0, "the control block", MU_TYPE(MU_F64, MU_CONTROL_N)));
    MU_TRY(check(call, 1, "the request", MU_TYPE(MU_F64, MU_REQUEST_N)));
    if (groups->dtype != MU_F64 || groups->ndim != 2 || groups->dim[1] != MU_UPDATE_SCALARS)
        return MU_FAIL(MU_ERR_SHAPE, "the groups must be f64 [g,%d], got %s", MU_UPDATE_SCALARS, mu_type_format(groups, text));
    const mu_type *sums = mu_operand(call, 3);
    if (sums && (sums->dtype != MU_F64 || sums->ndim != 1))
        return MU_FAIL(MU_ERR_SHAPE, "the sums of squares must be f64 [n], got %s", mu_type_format(sums, text));
    out[0] = call->in[0];
    out[1] = *groups;
    if (mu_operand(call, 4)) {
        MU_TRY(check(call, 4, "the loss scale", MU_TYPE(MU_F32, 1)));
        out[2] = call->in[4];
    }
    return MU_OK;
}

const mu_op mu_op_update_control = {
    .name = "update_control",
    .doc = "What the updates of one step depend on: (control f64 [8], request f64 [8], groups f64 [g,12], sums of "
           "squares f64 [n] or none, loss scale f32 [1] or none) -> control', scalars f64 [g,12], loss scale'. Unscales and clips by the norm, corrects "
           "Adam's bias for steps that were applied, skips a step whose gradients are not finite, and moves the loss scale "
           "(Micikevicius et al. 2018, PyTorch's GradScaler).",
    .n_in_min = 3, .n_in_max = 5, .n_out = 3, .flags = MU_OP_EFFECT, .updates = {1, 0, 5},
    .infer = infer,
};
