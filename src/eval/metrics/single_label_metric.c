/* Precision, recall, F1 score and support of the classes, in percent. */
#include "core/mem.h"
#include "eval/metrics/class_pair.h"

#include <float.h>
#include <string.h>

enum { N_ITEMS = 4 };
static const char *const item_names[] = {"precision", "recall", "f1-score", "support", NULL};
typedef enum { MACRO, MICRO, NONE } average_kind;
static const char *const average_names[] = {"macro", "micro", NULL};
static const char *const suffix[] = {"", "_micro", "_classwise"};

typedef struct {
    mu_metric base;
    mu_strings items;
    int average; /* average_kind */
    int64_t num_classes;

    bool wanted[N_ITEMS];
    char *names[N_ITEMS + 1]; /* of the wanted ones, then NULL */
} single_label;

static const mu_option options[] = {
    MU_OPTION(single_label, items, MU_OPT_STRINGS, .min_items = 1, .choices = item_names,
              .text_default = "[precision, recall, f1-score]", .help = "what is measured"),
    MU_OPTION(single_label, average, MU_OPT_CHOICE, .nullable = true, .choices = average_names,
              .help = "over the classes, or over the samples; null: a value for each class"),
    MU_OPTION(single_label, num_classes, MU_OPT_INT, .nullable = true, .bounded_below = true, .min = 1,
              .text_default = "what the data say", .help = "number of classes"),
    MU_METRIC_OPTIONS(single_label),
    MU_OPTION_END,
};

static void destroy(void *object)
{
    single_label *self = object;
    for (int i = 0; i < N_ITEMS; i++)
        mu_free(self->names[i]);
    mu_metric_destroy(object);
}

static mu_err create(void *object, const mu_cfg *cfg)
{
    single_label *self = object;
    const mu_cfg *average = mu_cfg_get(cfg, "average");
    if (average && mu_cfg_kind_of(average) == MU_CFG_NULL)
        self->average = NONE;
    for (int i = 0; i < N_ITEMS; i++) {
        self->wanted[i] = self->items.n == 0 && i < 3;
        for (size_t k = 0; k < self->items.n; k++)
            self->wanted[i] |= strcmp(self->items.v[k], item_names[i]) == 0;
    }
    mu_err err = MU_OK;
    for (int i = 0, n = 0; i < N_ITEMS && !err; i++)
        if (self->wanted[i])
            err = mu_asprintf(&self->names[n++], "%s%s", item_names[i], suffix[self->average]);
    if (err)
        destroy(self);
    return err;
}

static mu_err process(mu_metric *metric, const mu_eval_batch *batch)
{
    return mu_class_pairs_process(metric, batch, ((single_label *)metric)->num_classes);
}

static void score(double right, double taken, double there, double value[N_ITEMS])
{
    value[0] = 100 * right / (taken > 1 ? taken : 1);
    value[1] = 100 * right / (there > 1 ? there : 1);
    double sum = value[0] + value[1];
    value[2] = 2 * value[0] * value[1] / (sum > FLT_EPSILON ? sum : FLT_EPSILON);
    value[3] = there;
}

/* value[item, class] */
static void score_classes(const double *counts, int64_t n, double *value)
{
    for (int64_t c = 0; c < n; c++) {
        double taken = 0, there = 0, v[N_ITEMS];
        for (int64_t j = 0; j < n; j++) {
            there += counts[c * n + j];
            taken += counts[j * n + c];
        }
        score(counts[c * n + c], taken, there, v);
        for (int i = 0; i < N_ITEMS; i++)
            value[i * n + c] = v[i];
    }
}

static void average_over(const single_label *self, const double *counts, const double *value, int64_t n, double mean[N_ITEMS])
{
    double right = 0, all = 0;
    memset(mean, 0, N_ITEMS * sizeof *mean);
    for (int64_t c = 0; c < n; c++) {
        for (int i = 0; i < N_ITEMS; i++)
            mean[i] += value[i * n + c] / (i == 3 ? 1 : (double)n);
        right += counts[c * n + c];
        all += value[3 * n + c];
    }
    if (self->average == MICRO)
        score(right, all, all, mean);
}

static mu_err add(const single_label *self, const double *counts, const double *value, int64_t n, mu_results *out)
{
    double mean[N_ITEMS];
    average_over(self, counts, value, n, mean);
    for (int i = 0, k = 0; i < N_ITEMS; i++) {
        if (!self->wanted[i])
            continue;
        if (self->average == NONE)
            MU_TRY(mu_results_add_table(out, self->names[k], 1, n, value + i * n));
        else
            MU_TRY(mu_results_add(out, self->names[k], mean[i]));
        k++;
    }
    return MU_OK;
}

static mu_err compute(mu_metric *metric, const mu_records *records, mu_results *out)
{
    const single_label *self = (single_label *)metric;
    int64_t n;
    double *counts, *value;
    MU_TRY(mu_class_pairs_count(records, self->num_classes, &n, &counts));
    mu_err err = mu_calloc(&value, (size_t)n, N_ITEMS * sizeof *value);
    if (!err) {
        score_classes(counts, n, value);
        err = add(self, counts, value, n, out);
        mu_free(value);
    }
    mu_free(counts);
    return err;
}

static const char *const *names(const mu_metric *metric)
{
    const single_label *self = (const single_label *)metric;
    return self->average == NONE ? NULL : (const char *const *)self->names;
}

static const char *const *tables(const mu_metric *metric)
{
    const single_label *self = (const single_label *)metric;
    return self->average == NONE ? (const char *const *)self->names : NULL;
}

static mu_err check(const mu_metric *metric, int64_t n_classes)
{
    return mu_class_pairs_check(mu_metric_name(metric), n_classes, ((const single_label *)metric)->num_classes);
}

static const mu_metric_ops ops = {
    .default_prefix = "single-label", .process = process, .compute = compute, .names = names, .tables = tables, .check = check};

const mu_component mu_component_single_label_metric = {
    .kind = "metric",
    .name = "SingleLabelMetric",
    .doc = "Precision, recall and F1 score in percent, and the number of samples (support), over the classes.",
    .size = sizeof(single_label),
    .options = options,
    .create = create,
    .destroy = destroy,
    .ops = &ops,
};
