/* The runner: owns everything that a run needs, builds it from the config when it is needed, and drives the loops.
 *
 * Every rank has one. A rank that fails makes its next collective step an agreement, and all leave together: what is collective begins with
 * mu_runner_agree. */
#ifndef MU_RUNNER_RUNNER_H
#define MU_RUNNER_RUNNER_H

#include "config/config.h"
#include "data/loader.h"
#include "dist/watch.h"
#include "eval/evaluator.h"
#include "optim/averaged_model.h"
#include "optim/scheduler.h"
#include "optim/wrapper.h"
#include "runner/hook.h"
#include "runner/message_hub.h"

typedef struct mu_loop mu_loop;
typedef struct mu_log_processor mu_log_processor;
typedef struct mu_work_dir mu_work_dir;
typedef struct mu_checkpoint_saver mu_checkpoint_saver;

/* What a run is stopped by, other than signals. */
enum { MU_STOP_MAX_TIME = 1001, MU_STOP_JOB_END };

typedef enum { MU_PHASE_NONE, MU_PHASE_TRAIN, MU_PHASE_VAL, MU_PHASE_TEST } mu_phase;
extern const char *const mu_phase_names[]; /* "", "train", "val", "test" */

/* Read by hooks and loops; written by the runner and by what a comment names. */
struct mu_runner {
    mu_comm *comm;           /* borrowed */
    mu_watch *watch;         /* borrowed; NULL: nobody watches this rank */
    const mu_config *config; /* borrowed */
    const mu_cfg *cfg;       /* its root */

    char *experiment_name, *timestamp; /* "lenet_20261122_024551", "20261122_024551"; the same on all ranks */
    char *work_dir, *log_dir;          /* log_dir: work_dir/timestamp */
    uint64_t seed;                     /* the one that all ranks share */
    bool deterministic;
    char *device;

    mu_backend *backend;
    mu_model *model;
    mu_parallel *parallel; /* of training */
    mu_optim_wrapper *optim; /* of the model, or of the part that is being trained */
    struct {
        const char *name; /* borrowed from the config */
        mu_optim_wrapper *optim;
        int first_unit, n_units; /* of its gradients */
    } part[MU_MAX_PARTS];        /* in the order of the model; of a model without parts there is none */
    int n_parts;
    mu_averaged_model *average; /* borrowed from EMAHook: checkpoints hold it as their weights; NULL: there is none */
    bool strict_average;        /* a checkpoint's other weights must fit */
    mu_scheduler **scheduler; /* of one part after the other */
    int n_schedulers;
    mu_loader *train_loader, *val_loader, *test_loader;
    mu_evaluator *val_evaluator, *test_evaluator;
    mu_loop *train_loop, *val_loop, *test_loop;

    mu_hook **hook; /* by priority */
    int n_hooks;
    mu_message_hub *hub;
    mu_log_processor *log_processor;

    mu_phase phase;
    bool by_epoch;
    int64_t epoch, iter;           /* of training: done so far (the running one is epoch + 1) */
    int64_t max_epochs, max_iters; /* -1: not known */
    int64_t iters_done;            /* what a checkpoint holds: iter, and from AFTER_TRAIN_ITER on one more */
    int64_t epoch_iter;            /* batches of this epoch done; all of them: the epoch is done, if epoch says so or not */
    int64_t epoch_length;          /* of the training loader; of the phase's while it validates */
    int64_t sampler_epoch;         /* that the training loader is started with */
    bool resumed;
    int stop_reason;               /* all ranks agreed to stop: a signal's number, or MU_STOP_...; 0: go on */
    bool stop_comes_first;         /* agreed: a checkpoint begun now would take longer than there is time until the stop */
    bool val_left;                 /* the newest validation within training was left before its end, for a stop */
    bool stop_requested;           /* a hook of any rank wants training to end: early stopping */
    bool stopping;                 /* all ranks agreed to; the iteration in which they do is finished */
    bool agreed;                   /* the error on its way is known to all ranks */
    bool late;                     /* training on a device: what an iteration finds is told some iterations later (mu_hook_ops.values) */
    double own_seconds;            /* of the last iteration's step (no hooks after it); less waiting for other ranks, if mu_runner_time_waits */
    double data_seconds;           /* of these: waiting for the batch */
    int64_t last_saved_iter;       /* of the newest checkpoint; -1: none */
    mu_checkpoint_saver *saver;    /* runner/checkpoint.h; NULL: none was saved */
    double started;                /* mu_clock */
    double time_over, job_over;    /* mu_clock: of --max-time, and of the job; 0: not known */
    double end_margin;             /* seconds before job_over at which training stops; < 0: by the checkpoints so far */
    struct mu_runner_own *own;     /* private */
};

typedef struct {
    const char *work_dir; /* NULL: the config's, else ./work_dirs/<config name> */
    const char *resume;   /* NULL: not; "auto": last_checkpoint; else a file */
    const char *load_from;
    bool allow_changed_schedule; /* --resume with another param_scheduler */
    const char *dump;            /* val and test: predictions of every sample go into this file; NULL: not */
    bool training;               /* takes the lock of work_dir */
    double max_time;             /* seconds after which training stops; 0: none. The three have one value on all ranks */
    double job_end;              /* mu_wall_time at which the job is killed; 0: not known */
    double end_margin;           /* seconds before job_end at which training stops; < 0: 3 times the longest checkpoint so far and 30 more */
    int n_threads;               /* to compute with; 0: OMP_NUM_THREADS, else this rank's share of the node's cores */
    mu_watch *watch;             /* told what this rank does; may be NULL */
    /* Told on rank 0 what has been done of what ("train", 3, 100), for a progress bar; total 0: it is over. May be NULL. */
    void (*progress)(void *user, const char *label, int64_t done, int64_t total);
    void *user;
} mu_runner_options;

/* Collective. Checks nothing that mu_runner_check has checked; makes work_dir (rank 0), draws the seed, opens the device. Builds lazily: models and
 * loaders come with train, val, test. A failure here, and in what follows, has been agreed on: all ranks return it. */
MU_CHECKED mu_err mu_runner_new(mu_comm *comm, const mu_config *config, const mu_runner_options *options, mu_runner **out);
void mu_runner_release(mu_runner *runner);

/* Collective. Each runs its loop from beginning to end; train validates in between. *status: 0, or 75 when a signal or the end of its time ended it cleanly. */
MU_CHECKED mu_err mu_runner_train(mu_runner *runner, int *status);
/* checkpoint NULL: load_from of the config. results may be NULL; owned by the caller. */
MU_CHECKED mu_err mu_runner_val(mu_runner *runner, const char *checkpoint, mu_results *results);
MU_CHECKED mu_err mu_runner_test(mu_runner *runner, const char *checkpoint, mu_results *results);

/* Calls the hooks of a point; an error names the hook. event may be NULL. */
MU_CHECKED mu_err mu_runner_call(mu_runner *runner, mu_hook_point point, const mu_hook_event *event);
/* Collective. All ranks bring their error to the same place and leave alike; signals and wishes to stop are shared on the
 * way (stop_reason, stopping, stop_comes_first), and what a checkpoint in the background failed with. */
MU_CHECKED mu_err mu_runner_agree(mu_runner *runner, mu_err err);

/* Marks the error of something that agrees by itself. */
static inline mu_err mu_runner_agreed(mu_runner *runner, mu_err err)
{
    runner->agreed = runner->agreed || err;
    return err;
}

/* Collective. Rank 0's states (running statistics) to all: before validation. Only they are kept in checkpoints. */
MU_CHECKED mu_err mu_runner_sync_states(mu_runner *runner);
/* Not collective. Waits until what all iterations begun so far have found is told; for hooks that must know. */
MU_CHECKED mu_err mu_runner_values(mu_runner *runner);
/* For hooks before training: own_seconds is to leave waits out. Costs two readings of the clock a collective call. */
void mu_runner_time_waits(mu_runner *runner);
void mu_runner_progress(const mu_runner *runner, const char *label, int64_t done, int64_t total);

static inline bool mu_runner_is_main(const mu_runner *runner)
{
    return runner->comm->rank == 0;
}

#endif
