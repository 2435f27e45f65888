/* The share of samples whose class is among the k with the highest scores, in percent. */
#include "eval/metric.h"

#include "core/mem.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct {
    mu_metric base;
    mu_ints topk;
    mu_floats thrs;

    double *thr; /* [n_thr] what must be exceeded; -infinity: nothing */
    size_t n_thr;
    char **names; /* [n_topk * n_thr], NULL-terminated */
    unsigned char *correct; /* [n_topk, n_thr] one sample's record */
} accuracy;

static const mu_option options[] = {
    MU_OPTION(accuracy, topk, MU_OPT_INTS, .bare_item = true, .min_items = 1, .bounded_below = true, .min = 1,
              .text_default = "[1]", .help = "how many of the highest scores count"),
    MU_OPTION(accuracy, thrs, MU_OPT_FLOATS, .bare_item = true, .min_items = 1, .nullable = true, .text_default = "[0]",
              .help = "scores must be above this to be right; null: any score is"),
    MU_METRIC_OPTIONS(accuracy),
    MU_OPTION_END,
};

static mu_err set_thresholds(accuracy *self, const mu_cfg *cfg)
{
    self->n_thr = self->thrs.n ? self->thrs.n : 1;
    MU_TRY(mu_calloc(&self->thr, self->n_thr, sizeof *self->thr));
    for (size_t j = 0; j < self->thrs.n; j++)
        self->thr[j] = self->thrs.v[j];
    if (self->thrs.n == 0 && mu_cfg_get(cfg, "thrs")) /* null */
        self->thr[0] = -INFINITY;
    return MU_OK;
}

static mu_err set_topk(accuracy *self)
{
    if (self->topk.n)
        return MU_OK;
    MU_TRY(mu_calloc(&self->topk.v, 1, sizeof *self->topk.v));
    self->topk.v[0] = 1;
    self->topk.n = 1;
    return MU_OK;
}

static mu_err set_names(accuracy *self)
{
    size_t n;
    MU_TRY(mu_mul_size(self->topk.n, self->n_thr, &n));
    MU_TRY(mu_calloc(&self->names, n + 1, sizeof *self->names));
    for (size_t i = 0; i < n; i++) {
        long long k = (long long)self->topk.v[i / self->n_thr];
        if (self->n_thr == 1)
            MU_TRY(mu_asprintf(&self->names[i], "top%lld", k));
        else
            MU_TRY(mu_asprintf(&self->names[i], "top%lld_thr-%.2f", k, self->thr[i % self->n_thr]));
    }
    return mu_calloc(&self->correct, n, 1);
}

/* Two results of one name: a number twice, or thresholds that are written alike. */
static mu_err check_names(const accuracy *self)
{
    for (size_t i = 0; self->names[i]; i++)
        for (size_t j = 0; j < i; j++)
            if (strcmp(self->names[j], self->names[i]) == 0) {
                MU_FAIL(MU_ERR_CONFIG, "topk and thrs give two results the name '%s'", self->names[i]);
                return mu_error_hint("a number stands there once; thrs are told by two decimals");
            }
    return MU_OK;
}

static void destroy(void *object)
{
    accuracy *self = object;
    for (size_t i = 0; self->names && self->names[i]; i++)
        mu_free(self->names[i]);
    mu_free(self->names);
    mu_free(self->thr);
    mu_free(self->correct);
    mu_metric_destroy(object);
}

static mu_err create(void *object, const mu_cfg *cfg)
{
    accuracy *self = object;
    mu_err err = set_topk(self);
    err = err ? err : set_thresholds(self, cfg);
    err = err ? err : set_names(self);
    err = err ? err : check_names(self);
    if (err)
        destroy(self);
    return err;
}

/* How many classes come before class c: higher scores, and of equal ones the lower class. NaN comes before everything. */
static int64_t rank_of(const float *score, int64_t n, int64_t c)
{
    int64_t rank = 0;
    for (int64_t j = 0; j < n; j++)
        rank += j < c ? !(score[j] < score[c]) : !(score[j] <= score[c]);
    return rank - !(score[c] <= score[c]);
}

static void judge_score(accuracy *self, const float *score, int64_t n, int64_t truth)
{
    int64_t rank = rank_of(score, n, truth);
    for (size_t i = 0; i < self->topk.n; i++)
        for (size_t j = 0; j < self->n_thr; j++)
            self->correct[i * self->n_thr + j] = rank < self->topk.v[i] && score[truth] > self->thr[j];
}

static mu_err check(const mu_metric *metric, int64_t n_classes)
{
    const accuracy *self = (const accuracy *)metric;
    for (size_t i = 0; i < self->topk.n; i++)
        if (self->topk.v[i] > n_classes) {
            MU_FAIL(MU_ERR_CONFIG, "Accuracy: topk has %lld, but there are %lld classes only", (long long)self->topk.v[i],
                    (long long)n_classes);
            return mu_error_hint("take it out of topk");
        }
    return MU_OK;
}

static mu_err process(mu_metric *metric, const mu_eval_batch *batch)
{
    accuracy *self = (accuracy *)metric;
    mu_class_batch c;
    size_t n = self->topk.n * self->n_thr;
    MU_TRY(mu_eval_classification(batch, "Accuracy", &c));
    if (c.score)
        MU_TRY(check(metric, c.n_classes));
    if (c.label && (n > 1 || self->topk.v[0] != 1)) {
        MU_FAIL(MU_ERR_CONFIG, "Accuracy: the predictions have 'pred_label' only, which gives top1 and nothing else");
        return mu_error_hint("leave topk and thrs out, or let the model give 'pred_score'");
    }
    for (int64_t i = 0; i < batch->size; i++) {
        if (c.score)
            judge_score(self, c.score + i * c.n_classes, c.n_classes, c.truth[i]);
        else
            self->correct[0] = c.label[i] == c.truth[i];
        MU_TRY(mu_metric_add(metric, batch->id[i], self->correct, n));
    }
    return MU_OK;
}

static mu_err compute(mu_metric *metric, const mu_records *records, mu_results *out)
{
    const accuracy *self = (accuracy *)metric;
    size_t n_samples = mu_records_count(records);
    for (size_t k = 0; k < self->topk.n * self->n_thr; k++) {
        size_t right = 0;
        for (size_t i = 0; i < n_samples; i++)
            right += ((const unsigned char *)mu_records_at(records, i)->data)[k];
        MU_TRY(mu_results_add(out, self->names[k], 100.0 * (double)right / (double)n_samples));
    }
    return MU_OK;
}

static const char *const *names(const mu_metric *metric)
{
    return (const char *const *)((const accuracy *)metric)->names;
}

static const mu_metric_ops ops = {.default_prefix = "accuracy", .process = process, .compute = compute, .names = names, .check = check};

const mu_component mu_component_accuracy = {
    .kind = "metric",
    .name = "Accuracy",
    .doc = "Samples whose class is among the k with the highest scores, in percent. Of equal scores the lower class comes first.",
    .size = sizeof(accuracy),
    .options = options,
    .create = create,
    .destroy = destroy,
    .ops = &ops,
};
