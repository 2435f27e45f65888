/* Evaluates the same data on any number of ranks; run by itself and, by ranks_test.sh, under mpirun. Prints the results in full. The word
 * "fail" gives rank 0 results with one name twice; "empty" gives nobody a sample;
 * "dump" FILE dumps them too. */
#include "config/config.h"
#include "core/mem.h"
#include "dist/launch.h"
#include "eval/dump.h"

#include <stdio.h>
#include <string.h>

enum { N = 101, C = 5, BATCH = 8 };

static mu_err process(mu_evaluator *e, const mu_comm *comm)
{
    /* Rank r has samples r, r + size, ...; rounded up, so that the first ones come twice. */
    int64_t share = (N + comm->size - 1) / comm->size;
    for (int64_t first = 0; first < share; first += BATCH) {
        int64_t n = share - first < BATCH ? share - first : BATCH, id[BATCH], label[BATCH];
        float score[BATCH * C];
        for (int64_t i = 0; i < n; i++) {
            id[i] = ((first + i) * comm->size + comm->rank) % N;
            label[i] = id[i] * 7 % C;
            for (int64_t j = 0; j < C; j++)
                score[i * C + j] = (float)((id[i] * id[i] + 3 * j) % 11);
        }
        mu_tensors fields = {0}, predictions = {0};
        MU_TRY(mu_tensors_put(&fields, "gt_label", MU_TYPE(MU_I64, n), label));
        MU_TRY(mu_tensors_put(&predictions, "pred_score", MU_TYPE(MU_F32, n, C), score));
        MU_TRY(mu_evaluator_process(e, n, id, &fields, &predictions));
    }
    return MU_OK;
}

static void print(const mu_results *results)
{
    for (size_t i = 0; i < results->n; i++) {
        const mu_result *r = &results->item[i];
        int64_t n = r->ndim ? r->dim[0] * r->dim[1] : 1;
        printf("%s %d", r->name, r->ndim);
        for (int64_t k = 0; k < n; k++)
            printf(" %a", r->value[k]);
        putchar('\n');
    }
}

static mu_err add_dump(mu_evaluator *e, const char *path)
{
    mu_metric *dump;
    MU_TRY(mu_dump_results_new(path, &dump));
    MU_TRY(mu_evaluator_add(e, dump));
    return mu_evaluator_set_meta(e, "{\"classes\": [\"a\", \"b\", \"c\", \"d\", \"e\"]}");
}

/* A ConfusionMatrix that does not tell its name beforehand: rank 0 alone meets one that is there twice. */
static mu_err register_forgetful(void)
{
    static mu_metric_ops ops;
    static mu_component forgetful;
    mu_registry *root;
    ops = *(const mu_metric_ops *)mu_component_confusion_matrix.ops;
    ops.tables = NULL;
    forgetful = mu_component_confusion_matrix;
    forgetful.name = "Forgetful";
    forgetful.ops = &ops;
    MU_TRY(mu_registry_root(&root));
    return mu_registry_add(root, &forgetful, false);
}

static mu_err run(mu_comm *comm, const char *what, const char *path)
{
    const char *json = strcmp(what, "fail") == 0
                           ? "[{type: ConfusionMatrix}, {type: Forgetful, prefix: confusion_matrix}, {type: Accuracy}]"
                           : "[{type: Accuracy, topk: [1, 2]}, {type: ConfusionMatrix}, {type: SingleLabelMetric}]";
    char text[256];
    mu_config *config;
    mu_evaluator *e = NULL;
    mu_results results = {0};
    snprintf(text, sizeof text, "val_evaluator: %s\n", json);
    MU_TRY(register_forgetful());
    MU_TRY(mu_config_parse(text, strlen(text), "yaml", &config));
    mu_err err = mu_evaluator_new(mu_cfg_get(mu_config_root(config), "val_evaluator"), "val_evaluator", &e);
    if (!err && path)
        err = add_dump(e, path);
    if (!err && strcmp(what, "empty") != 0)
        err = process(e, comm);
    err = mu_comm_agree(comm, err);
    if (!err)
        err = mu_evaluator_evaluate(e, comm, N, &results);
    if (!err && comm->rank == comm->size - 1) /* what was sent, where there is more than one rank */
        print(&results);
    mu_results_release(&results);
    mu_evaluator_release(e);
    mu_config_release(config);
    return err;
}

int main(int argc, char **argv)
{
    mu_comm *comm;
    mu_err err = mu_launch(&comm);
    if (!err) {
        err = run(comm, argc > 1 ? argv[1] : "", argc > 2 ? argv[2] : NULL);
        if (err && comm->rank == 0) /* before the release, behind which mpirun ends those that are slow to leave */
            fprintf(stderr, "%s\n", mu_error_last()->message);
        mu_registry_reset();
        mu_comm_release(comm);
    }
    int64_t left = mu_mem_get_counts().live_blocks;
    if (left)
        fprintf(stderr, "%lld blocks were not freed\n", (long long)left);
    return left ? 3 : mu_err_exit_status(err);
}
