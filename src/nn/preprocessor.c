#include "nn/preprocessor.h"

/* Of a batch as it is; rows that are not read have no place to go. */
static mu_err same_types(const void *preprocessor, const mu_batch *batch, mu_tensors *out)
{
    (void)preprocessor;
    for (int i = 0; i < batch->fields.n; i++)
        MU_TRY(mu_tensors_put(out, batch->fields.item[i].name, batch->fields.item[i].type, NULL));
    return MU_OK;
}

static mu_err copy(const void *preprocessor, const mu_batch *batch, bool training, mu_tensors *out)
{
    (void)preprocessor, (void)training;
    for (int i = 0; i < out->n; i++) {
        const mu_tensor *from = mu_tensors_find(&batch->fields, out->item[i].name);
        if (from && out->item[i].data)
            memcpy(out->item[i].data, from->data, mu_type_bytes(&from->type));
    }
    return MU_OK;
}

static const mu_option options[] = {MU_OPTION_END};

const mu_component mu_component_base_data_preprocessor = {
    .kind = "data_preprocessor",
    .name = "BaseDataPreprocessor",
    .doc = "Hands a batch on as it is.",
    .size = 1,
    .options = options,
    .ops = &(const mu_preprocessor_ops){.types = same_types, .run = copy},
};

static const mu_preprocessor_ops *ops_of(const void *preprocessor)
{
    return (preprocessor ? mu_component_of(preprocessor) : &mu_component_base_data_preprocessor)->ops;
}

mu_err mu_preprocessor_types(const void *preprocessor, const mu_batch *batch, mu_tensors *out)
{
    MU_TRY(ops_of(preprocessor)->types(preprocessor, batch, out));
    return MU_OK;
}

mu_err mu_preprocessor_run(const void *preprocessor, const mu_batch *batch, bool training, mu_tensors *out)
{
    MU_TRY(ops_of(preprocessor)->run(preprocessor, batch, training, out));
    return MU_OK;
}
