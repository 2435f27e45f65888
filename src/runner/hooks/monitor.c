#include "runner/hooks/monitor.h"

#include "core/text.h"

#include <string.h>
#include <strings.h>

static char *const greater_names[] = {"acc", "top", "AR@", "auc", "precision", "mAP", "mDice", "mIoU", "mAcc", "aAcc"};
static char *const less_names[] = {"loss"};

static const mu_strings usual_greater = {sizeof greater_names / sizeof *greater_names, (char **)greater_names};
static const mu_strings usual_less = {sizeof less_names / sizeof *less_names, (char **)less_names};

static bool contains(const char *text, const char *part)
{
    size_t n = strlen(part);
    for (; *text; text++)
        if (strncasecmp(text, part, n) == 0)
            return true;
    return n == 0;
}

static bool is_one(const char *metric, const mu_strings *names)
{
    for (size_t i = 0; i < names->n; i++)
        if (strcasecmp(metric, names->v[i]) == 0)
            return true;
    return false;
}

static bool contains_one(const char *metric, const mu_strings *names)
{
    for (size_t i = 0; i < names->n; i++)
        if (contains(metric, names->v[i]))
            return true;
    return false;
}

mu_err mu_monitor_rule(const char *metric, const char *rule, const mu_strings *greater, const mu_strings *less, bool *more)
{
    const mu_strings *g = greater && greater->n ? greater : &usual_greater, *l = less && less->n ? less : &usual_less;
    if (rule)
        *more = strcmp(rule, "greater") == 0;
    else if (is_one(metric, g))
        *more = true;
    else if (is_one(metric, l))
        *more = false;
    else if (contains_one(metric, g))
        *more = true;
    else if (contains_one(metric, l))
        *more = false;
    else {
        MU_FAIL(MU_ERR_CONFIG, "its name does not tell whether more or less of metric '%s' is better", metric);
        return mu_error_hint("set rule: greater, or rule: less");
    }
    return MU_OK;
}

typedef struct {
    const char *metric;
    bool found;
    mu_text all;
} search;

static void look(void *user, const char *name)
{
    search *s = user;
    s->found = s->found || strcmp(name, s->metric) == 0;
    mu_text_printf(&s->all, "%s%s", s->all.length ? ", " : "", name);
}

mu_err mu_monitor_check(const mu_evaluator *evaluator, const char *option, const char *metric)
{
    search s = {.metric = metric};
    if (!evaluator)
        return MU_OK;
    mu_evaluator_names(evaluator, look, &s);
    mu_err err = mu_text_status(&s.all);
    if (!err && !s.found && s.all.length > 0) {
        MU_FAIL(MU_ERR_CONFIG, "%s: val_evaluator has no metric '%s'", option, metric);
        err = mu_error_hint("its metrics are: %s", s.all.data);
    }
    mu_text_release(&s.all);
    MU_TRY(err);
    return MU_OK;
}

const double *mu_monitor_find(const mu_results *metrics, const char *metric)
{
    const mu_result *result = metrics ? mu_results_find(metrics, metric) : NULL;
    return result && result->ndim == 0 ? result->value : NULL;
}
