#include "eval/metrics/class_pair.h"

#include "core/mem.h"

#include <string.h>

static int64_t argmax(const float *score, int64_t n)
{
    int64_t best = 0;
    for (int64_t j = 1; j < n; j++)
        if (score[j] > score[best])
            best = j;
    return best;
}

mu_err mu_class_pairs_check(const char *who, int64_t known, int64_t fixed)
{
    if (known > INT32_MAX || fixed > INT32_MAX)
        return MU_FAIL(MU_ERR_OVERFLOW, "%s: %lld classes are too many", who, (long long)(known > fixed ? known : fixed));
    if (fixed && known && known != fixed) {
        MU_FAIL(MU_ERR_CONFIG, "%s: num_classes is %lld, but there are %lld classes", who, (long long)fixed, (long long)known);
        return mu_error_hint("leave num_classes out");
    }
    return MU_OK;
}

mu_err mu_class_pairs_process(mu_metric *metric, const mu_eval_batch *batch, int64_t fixed)
{
    mu_class_batch c;
    const char *who = mu_metric_name(metric);
    MU_TRY(mu_eval_classification(batch, who, &c));
    MU_TRY(mu_class_pairs_check(who, c.n_classes, fixed));
    int64_t limit = fixed ? fixed : INT32_MAX;
    for (int64_t i = 0; i < batch->size; i++) {
        int64_t label = c.score ? argmax(c.score + i * c.n_classes, c.n_classes) : c.label[i];
        if (label >= limit || c.truth[i] >= limit)
            return MU_FAIL(MU_ERR_FORMAT, "%s: sample %lld has class %lld, outside of the %lld classes", who,
                           (long long)batch->id[i], (long long)(label >= limit ? label : c.truth[i]), (long long)limit);
        mu_class_pair pair = {.truth = (int32_t)c.truth[i], .label = (int32_t)label, .n_classes = (int32_t)c.n_classes};
        MU_TRY(mu_metric_add(metric, batch->id[i], &pair, sizeof pair));
    }
    return MU_OK;
}

static mu_class_pair pair_at(const mu_records *records, size_t i)
{
    mu_class_pair pair;
    memcpy(&pair, mu_records_at(records, i)->data, sizeof pair);
    return pair;
}

mu_err mu_class_pairs_count(const mu_records *records, int64_t fixed, int64_t *n_classes, double **counts)
{
    int64_t n = fixed, cells;
    for (size_t i = 0; i < mu_records_count(records) && !fixed; i++) {
        mu_class_pair p = pair_at(records, i);
        int64_t least = p.truth > p.label ? p.truth + INT64_C(1) : p.label + INT64_C(1);
        least = p.n_classes > least ? p.n_classes : least;
        n = least > n ? least : n;
    }
    double *table;
    MU_TRY(mu_mul_i64(n, n, &cells));
    MU_TRY(mu_calloc(&table, (size_t)cells, sizeof *table));
    for (size_t i = 0; i < mu_records_count(records); i++) {
        mu_class_pair p = pair_at(records, i);
        table[p.truth * n + p.label]++;
    }
    *n_classes = n;
    *counts = table;
    return MU_OK;
}
