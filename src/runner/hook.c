#include "runner/hook.h"

#include "core/text.h"

#include <string.h>

const char *mu_hook_point_name(mu_hook_point point)
{
    static const char *const names[] = {
        "before_run",       "after_load_checkpoint",  "before_train",     "before_train_epoch", "before_train_iter",
        "after_train_iter", "after_train_epoch",      "after_train",      "before_val",         "before_val_epoch",
        "before_val_iter",  "after_val_iter",         "after_val_epoch",  "after_val",          "before_test",
        "before_test_epoch", "before_test_iter",      "after_test_iter",  "after_test_epoch",   "after_test",
        "before_save_checkpoint", "after_run",
    };
    _Static_assert(sizeof names / sizeof names[0] == MU_HOOK_POINT_COUNT, "one name for each point");
    return (unsigned)point < MU_HOOK_POINT_COUNT ? names[point] : "?";
}

static const struct {
    const char *name;
    int value;
} levels[] = {
    {"HIGHEST", MU_PRIORITY_HIGHEST},           {"VERY_HIGH", MU_PRIORITY_VERY_HIGH}, {"HIGH", MU_PRIORITY_HIGH},
    {"ABOVE_NORMAL", MU_PRIORITY_ABOVE_NORMAL}, {"NORMAL", MU_PRIORITY_NORMAL},
    {"BELOW_NORMAL", MU_PRIORITY_BELOW_NORMAL}, {"LOW", MU_PRIORITY_LOW},             {"VERY_LOW", MU_PRIORITY_VERY_LOW},
    {"LOWEST", MU_PRIORITY_LOWEST},
};
enum { N_LEVELS = sizeof levels / sizeof levels[0] };

/* By name, or as digits; false for anything else. */
static bool parse(const char *text, int *out)
{
    for (int i = 0; i < N_LEVELS; i++)
        if (strcmp(levels[i].name, text) == 0) {
            *out = levels[i].value;
            return true;
        }
    int value = 0;
    const char *at = text;
    for (; *at >= '0' && *at <= '9' && value <= MU_PRIORITY_LOWEST; at++)
        value = 10 * value + (*at - '0');
    *out = value;
    return at > text && *at == '\0' && value <= MU_PRIORITY_LOWEST;
}

mu_err mu_hook_priority(const mu_hook *hook, int *out)
{
    const mu_cfg *cfg = hook->priority;
    const mu_component *component = mu_component_of(hook);
    if (!cfg || mu_cfg_kind_of(cfg) == MU_CFG_NULL) {
        *out = ((const mu_hook_ops *)component->ops)->priority;
        return MU_OK;
    }
    mu_cfg_kind kind = mu_cfg_kind_of(cfg);
    int value = 0;
    if (kind == MU_CFG_STRING && parse(mu_cfg_string(cfg), &value)) {
        *out = value;
        return MU_OK;
    }
    if (kind == MU_CFG_INT && mu_cfg_int(cfg) >= MU_PRIORITY_HIGHEST && mu_cfg_int(cfg) <= MU_PRIORITY_LOWEST) {
        *out = (int)mu_cfg_int(cfg);
        return MU_OK;
    }
    const char *names[N_LEVELS], *nearest = NULL;
    char found[128];
    for (int i = 0; i < N_LEVELS; i++)
        names[i] = levels[i].name;
    if (kind == MU_CFG_STRING)
        nearest = mu_nearest(mu_cfg_string(cfg), names, N_LEVELS);
    mu_cfg_describe(cfg, found, sizeof found);
    return MU_FAIL_AT(mu_cfg_pos(cfg), "priority of %s: expected a level (%s) or a number from 0 to 100, found %s%s%s%s",
                      component->name,
                      "HIGHEST, VERY_HIGH, HIGH, ABOVE_NORMAL, NORMAL, BELOW_NORMAL, LOW, VERY_LOW, LOWEST", found,
                      nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
}
