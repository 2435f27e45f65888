#include "nn/preprocessor.h"

static mu_value hand_on(const void *preprocessor, mu_trace *t, const char *name, mu_value raw)
{
    (void)preprocessor, (void)t, (void)name;
    return raw;
}

static const mu_option options[] = {MU_OPTION_END};

const mu_component mu_component_base_data_preprocessor = {
    .kind = "data_preprocessor",
    .name = "BaseDataPreprocessor",
    .doc = "Hands a batch on as it is.",
    .size = 1,
    .options = options,
    .ops = &(const mu_preprocessor_ops){.record = hand_on},
};

mu_value mu_preprocessor_record(const void *preprocessor, mu_trace *t, const char *name, mu_value raw)
{
    if (!preprocessor)
        return raw;
    const mu_preprocessor_ops *ops = mu_component_of(preprocessor)->ops;
    return ops->record(preprocessor, t, name, raw);
}
