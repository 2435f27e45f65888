/* The log processor turns recorded scalars into log lines and records: windows, means, the time that is left. */
#ifndef MU_RUNNER_LOG_PROCESSOR_H
#define MU_RUNNER_LOG_PROCESSOR_H

#include "runner/runner.h"
#include "vis/scalars.h"

extern const mu_component mu_component_log_processor;
/* Its keys, for a config's log_processor without `type`. */
extern const mu_option mu_log_processor_options[];

/* Built from the config's log_processor (with or without type), or the defaults when cfg is NULL. Overwriting an item twice in custom_cfg is
 * MU_ERR_CONFIG. */
MU_CHECKED mu_err mu_log_processor_new(const mu_cfg *cfg, const char *path, mu_log_processor **out);
void mu_log_processor_release(mu_log_processor *processor);

/* A zeroed record is empty. Tags are borrowed from the message hub, the processor and the metrics. */
typedef struct {
    char *line; /* "Epoch(train)  [1][ 50/100]  base_lr: ..." */
    size_t n, capacity;
    mu_scalar *scalar; /* for the recorders: lr, loss, time, ..., then epoch, iter, memory */
} mu_log_record;
void mu_log_record_release(mu_log_record *record);

/* After batch `batch_index` of a phase; and at the end of a validation or a test, with its metrics (tables are left out; may be NULL). In the
 * reference's format (semantics of its LogProcessor). memory is the peak in MB of what this rank has of its device, or of the process's
 * resident memory. */
MU_CHECKED mu_err mu_log_processor_iter(mu_log_processor *processor, const mu_runner *runner, int64_t batch_index, mu_phase phase,
                                        mu_log_record *out);
MU_CHECKED mu_err mu_log_processor_epoch(mu_log_processor *processor, const mu_runner *runner, int64_t batches, mu_phase phase,
                                         const mu_results *metrics, mu_log_record *out);

#endif
