/* A metric: how sure the network is of what it says. */
#include <muster.h>

#include <string.h>

typedef struct {
    mu_metric base;
} confidence;

static const mu_option options[] = {MU_METRIC_OPTIONS(confidence), MU_OPTION_END};

/* On each rank: a record for each sample, here its highest score. */
static mu_err process(mu_metric *metric, const mu_eval_batch *batch)
{
    mu_class_batch c;
    MU_TRY(mu_eval_classification(batch, "Confidence", &c));
    if (!c.score)
        return MU_FAIL(MU_ERR_CONFIG, "Confidence needs the model's 'pred_score'");
    for (int64_t i = 0; i < batch->size; i++) {
        float highest = 0;
        for (int64_t k = 0; k < c.n_classes; k++)
            if (c.score[i * c.n_classes + k] > highest)
                highest = c.score[i * c.n_classes + k];
        MU_TRY(mu_metric_add(metric, batch->id[i], &highest, sizeof highest));
    }
    return MU_OK;
}

/* On rank 0: from the records of all samples, each once, in the dataset's order. */
static mu_err compute(mu_metric *metric, const mu_records *records, mu_results *out)
{
    double sum = 0;
    size_t n = mu_records_count(records);
    (void)metric;
    for (size_t i = 0; i < n; i++) {
        float highest;
        memcpy(&highest, mu_records_at(records, i)->data, sizeof highest);
        sum += (double)highest;
    }
    return mu_results_add(out, "mean", 100 * sum / (double)n);
}

/* What compute gives: CheckpointHook's save_best is checked against it before the first epoch. */
static const char *const *names(const mu_metric *metric)
{
    static const char *const list[] = {"mean", NULL};
    (void)metric;
    return list;
}

static const mu_component component = {
    .kind = "metric",
    .name = "Confidence",
    .doc = "Mean of the highest scores, in percent.",
    .size = sizeof(confidence),
    .options = options,
    .destroy = mu_metric_destroy,
    .ops = &(const mu_metric_ops){.default_prefix = "confidence", .process = process, .compute = compute, .names = names},
};

const int muster_plugin_version = MU_PLUGIN_VERSION;
mu_err muster_plugin_register(mu_registry *root);

mu_err muster_plugin_register(mu_registry *root)
{
    return mu_registry_add(root, &component, false);
}
