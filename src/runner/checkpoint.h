/* Checkpoints: what a run is, in a tensor file of format "checkpoint" (doc/formats.md): /meta, /state_dict, /optimizer,
 * /param_schedulers, /message_hub, /loader. Readable at any world size, by h5py, and by `muster ckpt`. */
#ifndef MU_RUNNER_CHECKPOINT_H
#define MU_RUNNER_CHECKPOINT_H

#include "io/tensor_file.h"
#include "runner/runner.h"

#define MU_CHECKPOINT_FORMAT "checkpoint"
enum { MU_CHECKPOINT_VERSION = 1 };

enum { MU_SHARDS_PER_RANK = -1 };

typedef struct {
    bool optimizer, schedulers; /* false: left out, for weights to publish */
    int shards;                 /* 0: one file; else an index and so many, or MU_SHARDS_PER_RANK */
} mu_checkpoint_parts;

/* Collective, and agreed on. Writes the state of the run as it is now under `path`, whole or not at all. bytes may be NULL. */
MU_CHECKED mu_err mu_checkpoint_save(mu_runner *runner, const char *path, mu_checkpoint_parts parts, int64_t *bytes);

/* ---- in the background ----
 * Each rank copies its share, into memory of about the file's bytes / ranks that is kept for the next one, and trains on. */

/* What rank 0 does once the file is whole. Copied. */
typedef struct {
    bool last;               /* last_checkpoint names it */
    const char *said;        /* to the log; NULL: nothing more than usual */
    const char *obsolete;    /* paths of checkpoints that go then, a line each; NULL: none */
    const char *obsolete_is; /* "The previous best checkpoint": told of each; NULL: not told */
} mu_checkpoint_sequel;

/* Collective, and agreed on. Takes the state as it is now, and returns while it is written, unless `background` is false or the communicator has no
 * threads. Waits for the one before, if that is on its way. An error of the writing comes at the next mu_runner_agree, or wait: on all ranks. */
MU_CHECKED mu_err mu_checkpoint_begin(mu_runner *runner, const char *path, mu_checkpoint_parts parts, const mu_checkpoint_sequel *sequel,
                                      bool background);
/* Collective, and agreed on. Nothing is on its way any more; tells of a wait that was long. */
MU_CHECKED mu_err mu_checkpoint_wait(mu_runner *runner);
/* Not collective. Has this rank seen a failure that was not waited for? */
bool mu_checkpoint_failed(const mu_runner *runner);
/* Not collective. Seconds that the longest whole one of this run took from beginning to end; < 0: there is none. */
double mu_checkpoint_longest_seconds(const mu_runner *runner);
/* Collective. Ends what is on its way; done by mu_runner_release. */
void mu_checkpoint_close(mu_runner *runner);

/* Collective. Rank 0 names the newest checkpoint in WORK_DIR/last_checkpoint (one line), whole or not at all. */
MU_CHECKED mu_err mu_checkpoint_set_last(mu_runner *runner, const char *path);

/* Rank 0, not collective: the checkpoint to go on with: last_checkpoint's, or where that is missing or damaged the newest good epoch_N or
 * iter_N beside it, with a warning that tells what is wrong with the other. *out NULL when there is none at all. Freed by mu_free. */
MU_CHECKED mu_err mu_checkpoint_find(const char *work_dir, char **out);

typedef struct {
    int n_missing, n_unexpected, n_misshaped, n_loaded;
    char *text; /* a line each; freed by mu_free. NULL when all fits */
} mu_load_report;

/* A pattern and what it is replaced by, in order: revise_keys. Default {"^module\\.", ""}. POSIX extended; \1 to \9 in the replacement. */
typedef struct {
    const char *pattern, *replacement;
} mu_key_revision;

/* Loads parameters and states by name into the model. strict: any misfit is MU_ERR_CONFIG with the report's text. Not collective: every rank reads
 * (the file system's cache serves a node). prefix (may be NULL): only what begins with it, without it. */
MU_CHECKED mu_err mu_checkpoint_load_weights(const mu_tensor_file *file, mu_model *model, bool strict, const char *prefix,
                                             const char *into, const mu_key_revision *revisions, size_t n, mu_load_report *out);

/* Collective. Puts the run where the checkpoint was taken: weights (strict), optimizer, schedulers, message hub, sampler's cursor, epoch and iteration.
 * Another schedule, batch size or dataset than the checkpoint's is MU_ERR_CONFIG that shows both, unless allowed; another world size is fine. */
MU_CHECKED mu_err mu_checkpoint_resume(mu_runner *runner, const char *path, bool allow_changed_schedule);
/* Collective. load_from: weights only, not strict, with a warning that lists what does not fit. whole: nothing of the model may be left out, as for
 * a test; what the file has beyond is warned of. */
MU_CHECKED mu_err mu_checkpoint_load_from(mu_runner *runner, const char *path, bool whole);

/* The JSON text under /meta: {"epoch", "iter", "seed", "experiment_name", "time", "version", "world_size", "config", "dataset_meta", ...}. */
MU_CHECKED mu_err mu_checkpoint_meta(const mu_tensor_file *file, mu_cfg **out);

#endif
