#include "runner/failure.h"

typedef struct {
    double setup, step, checkpoint, evaluation;
} limits;

#define LIMIT(field, seconds, text)                                                                                                        \
    MU_OPTION(limits, field, MU_OPT_FLOAT, .float_default = (seconds), .bounded_below = true, .min = 0, .unit = "s", .help = (text))

const mu_option mu_watch_keys[] = {
    LIMIT(setup, 1800, "from the start to the end of the first step, plans and loading included; 0: no limit"),
    LIMIT(step, 600, "for a training step with its hooks; 0: no limit"),
    LIMIT(checkpoint, 1800, "to write a checkpoint; 0: no limit"),
    LIMIT(evaluation, 3600, "for a batch of validation or test, and for the metrics; 0: no limit"),
    MU_OPTION_END,
};

mu_err mu_failure_read_limits(const mu_cfg *root, double limit[MU_WATCH_PHASE_COUNT])
{
    limits parsed;
    mu_diagnostics list = {0};
    const mu_cfg *cfg = mu_cfg_get(root, "watch_cfg");
    bool absent = !cfg || mu_cfg_kind_of(cfg) == MU_CFG_NULL;
    mu_err err = mu_options_parse(mu_watch_keys, absent ? NULL : cfg, "watch_cfg", &parsed, &list);
    if (!err)
        err = mu_diagnostics_status(&list);
    mu_diagnostics_release(&list);
    MU_TRY(err);
    limit[MU_WATCH_SETUP] = parsed.setup;
    limit[MU_WATCH_STEP] = parsed.step;
    limit[MU_WATCH_CHECKPOINT] = parsed.checkpoint;
    limit[MU_WATCH_EVALUATION] = parsed.evaluation;
    return MU_OK;
}
