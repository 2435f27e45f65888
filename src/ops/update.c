#include "ops/update.h"

const mu_attr mu_update_attr_table[] = {MU_ATTR_FLAG(mu_update_attrs, nesterov), MU_ATTR_FLAG(mu_update_attrs, maximize),
                                        MU_ATTR_FLAG(mu_update_attrs, decoupled),
                                        MU_ATTR_END};

mu_err mu_update_check(const mu_call *call, int n_required)
{
    const mu_type scalars = MU_TYPE(MU_F64, MU_UPDATE_SCALARS), *param = &call->in[0];
    char want[MU_TYPE_TEXT], got[MU_TYPE_TEXT];
    int last = call->op->n_in_max - 1;
    if (call->n_in != last + 1 || !mu_type_equal(&call->in[last], &scalars))
        return MU_FAIL(MU_ERR_SHAPE, "takes %d operands, the last of which is f64[%d]", last + 1, MU_UPDATE_SCALARS);
    if (!mu_dtype_is_float(param->dtype))
        return MU_FAIL(MU_ERR_SHAPE, "parameters must be floating point, got %s", mu_type_format(param, got));
    for (int i = 1; i < last; i++)
        if ((i < n_required || call->in[i].dtype != MU_NONE) && !mu_type_equal(&call->in[i], param))
            return MU_FAIL(MU_ERR_SHAPE, "operand %d must be %s like the parameters, got %s", i, mu_type_format(param, want),
                           mu_type_format(&call->in[i], got));
    return MU_OK;
}
