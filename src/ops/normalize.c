#include "ops/operand.h"

static const mu_attr attr_table[] = {MU_ATTR_CHOICE(mu_normalize_attrs, dtype, mu_operand_dtypes),
                                     MU_ATTR_FLAG(mu_normalize_attrs, reverse),
                                     MU_ATTR_INTS(mu_normalize_attrs, padding, 2),
                                     MU_ATTR_REAL(mu_normalize_attrs, value),
                                     MU_ATTR_END};

/* mean or std, of `channels`. */
static mu_err check_statistic(const mu_call *call, int i, const char *what, int64_t channels)
{
    const mu_type *t = mu_operand(call, i);
    char text[MU_TYPE_TEXT];
    if (!t || (t->dtype == MU_F32 && t->ndim == 1 && (t->dim[0] == 1 || t->dim[0] == channels)))
        return MU_OK;
    return MU_FAIL(MU_ERR_SHAPE, "%s must be f32[%lld] or f32[1], got %s", what, (long long)channels, mu_type_format(t, text));
}

static mu_err infer(const mu_call *call, mu_type *out)
{
    const mu_normalize_attrs *a = call->attrs;
    const mu_type *x = &call->in[0];
    char text[MU_TYPE_TEXT];
    int64_t size[2];
    if ((x->ndim != 3 && x->ndim != 4) || (x->dtype != MU_U8 && x->dtype != MU_F32))
        return MU_FAIL(MU_ERR_SHAPE, "images must be u8 or f32 [N,C,H,W] or [N,H,W], got %s", mu_type_format(x, text));
    if (a->dtype != MU_F32 && a->dtype != MU_BF16 && a->dtype != MU_F16)
        return MU_FAIL(MU_ERR_USAGE, "images become f32, bf16 or f16, not %s", mu_dtype_name((mu_dtype)a->dtype));
    int64_t channels = x->ndim == 4 ? x->dim[1] : 1;
    MU_TRY(check_statistic(call, 1, "mean", channels));
    MU_TRY(check_statistic(call, 2, "std", channels));
    for (int d = 0; d < 2; d++) {
        if (a->padding[d] < 0)
            return MU_FAIL(MU_ERR_SHAPE, "padding is 0 or more, got %lld", (long long)a->padding[d]);
        if (__builtin_add_overflow(x->dim[x->ndim - 2 + d], a->padding[d], &size[d]))
            return MU_FAIL(MU_ERR_OVERFLOW, "the padded %s does not fit in 64 bits", d ? "width" : "height");
    }
    MU_TRY(mu_type_init(&out[0], (mu_dtype)a->dtype, 4, (int64_t[]){x->dim[0], channels, size[0], size[1]}));
    return MU_OK;
}

static int64_t flops(const mu_call *call)
{
    return mu_cost_per_element(&call->in[0], 2);
}

const mu_op mu_op_normalize = {
    .name = "normalize",
    .doc = "Images [N,C,H,W] or [N,H,W] become (x - mean) / std by channel, their channels in the opposite order if so wished, "
           "padded below and on the right. Not differentiable.",
    .n_in_min = 1, .n_in_max = 3, .n_out = 1,
    .attrs_size = sizeof(mu_normalize_attrs), .attrs = attr_table,
    .infer = infer, .flops = flops,
};

mu_value mu_normalize(mu_graph *g, mu_value x, mu_value mean, mu_value std, const mu_normalize_attrs *attrs)
{
    return mu_graph_apply1(g, &mu_op_normalize, attrs, (mu_value[]){x, mean, std}, 3);
}
