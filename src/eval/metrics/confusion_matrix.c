/* How often each class was taken for each. */
#include "core/mem.h"
#include "eval/metrics/class_pair.h"

typedef struct {
    mu_metric base;
    int64_t num_classes;
} confusion_matrix;

static const mu_option options[] = {
    MU_OPTION(confusion_matrix, num_classes, MU_OPT_INT, .nullable = true, .bounded_below = true, .min = 1,
              .text_default = "what the data say", .help = "size of the matrix"),
    MU_METRIC_OPTIONS(confusion_matrix),
    MU_OPTION_END,
};

static mu_err process(mu_metric *metric, const mu_eval_batch *batch)
{
    return mu_class_pairs_process(metric, batch, ((confusion_matrix *)metric)->num_classes);
}

static mu_err compute(mu_metric *metric, const mu_records *records, mu_results *out)
{
    int64_t n;
    double *counts;
    MU_TRY(mu_class_pairs_count(records, ((confusion_matrix *)metric)->num_classes, &n, &counts));
    mu_err err = mu_results_add_table(out, "result", n, n, counts);
    mu_free(counts);
    return err;
}

static const char *const *tables(const mu_metric *metric)
{
    static const char *const names[] = {"result", NULL};
    (void)metric;
    return names;
}

static mu_err check(const mu_metric *metric, int64_t n_classes)
{
    return mu_class_pairs_check(mu_metric_name(metric), n_classes, ((const confusion_matrix *)metric)->num_classes);
}

static const mu_metric_ops ops = {
    .default_prefix = "confusion_matrix", .process = process, .compute = compute, .tables = tables, .check = check};

const mu_component mu_component_confusion_matrix = {
    .kind = "metric",
    .name = "ConfusionMatrix",
    .doc = "How often each class (row) was taken for each (column).",
    .size = sizeof(confusion_matrix),
    .options = options,
    .destroy = mu_metric_destroy,
    .ops = &ops,
};
