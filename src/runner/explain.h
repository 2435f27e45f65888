/* Numbers that are not finite end training. Which operation gave them? The batch is run once more, operation by operation.
 *
 * On host memory, and with MU_LATE=0, it is still loaded. What a device is found to have given some iterations later is run again from the beginning: the
 * batch is fetched anew, and parameters are still those of its iteration where its gradients were not finite, for these stop all updates. */
#ifndef MU_RUNNER_EXPLAIN_H
#define MU_RUNNER_EXPLAIN_H

#include "runner/runner.h"

/* What was found on a device. */
typedef struct {
    bool known;
    bool gradients;      /* of an update; else it is the loss */
    int part;            /* of the model; 0 where it has none */
    int64_t iter;        /* from 0 */
    int64_t updates;     /* of all parts, applied before the part ran in this iteration; INT64_MAX: none has been since */
} mu_trouble;

/* Before the loader is asked for a batch: where it can be found again. Not collective. */
MU_CHECKED mu_err mu_explain_note_batch(mu_runner *runner);
void mu_explain_release(mu_runner *runner);

/* "training, epoch 1, iteration 3", counted from 1, before the message of the error. */
void mu_explain_where(int64_t epoch, int64_t iter);
/* The error of an update that waited for a device: its gradients are not finite. */
void mu_explain_note_update(mu_runner *runner);

/* Collective. Some rank has failed, this one (err) or another, with the batch that is loaded. Ranks whose own numbers are not finite name the operation.
 * Returns an error on all of them, agreed on. */
MU_CHECKED mu_err mu_explain_loaded(mu_runner *runner, mu_err err);
/* Collective. The same of what was found on devices: by all ranks with an err (MU_ERR_NUMERIC, with own->trouble); the others have not looked yet. */
MU_CHECKED mu_err mu_explain_found(mu_runner *runner, mu_err err);

#endif
