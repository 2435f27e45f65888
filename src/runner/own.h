/* What the runner keeps to itself, and the steps in which it builds its parts. */
#ifndef MU_RUNNER_OWN_H
#define MU_RUNNER_OWN_H

#include "runner/explain.h"
#include "runner/run_log.h"
#include "runner/runner.h"
#include "runner/work_dir.h"

struct mu_runner_own {
    mu_runner_options options;
    mu_work_dir *dir; /* rank 0 */
    mu_run_log *log;
    mu_cfg *hooks_cfg, *dump_cfg; /* of the default hooks; of DumpResults */
    mu_cfg *parallel_cfg;         /* of the default parallel wrapper */
    mu_params_sharing sharing;    /* what the parallel wrapper wants */
    mu_comm *norm_comm;           /* all ranks, for SyncBN; NULL: one rank */
    bool sync_bn;                 /* the model speaks over norm_comm */
    mu_device_comm *norm_device;  /* the same of their devices; NULL: hosts, or no SyncBN */
    mu_repeat *repeat;            /* of iterations on a device; NULL: there was none */
    struct mu_values *values;     /* of iterations, on their way (runner/values.h); NULL: there are none */
    struct mu_trail *trail;       /* where the newest batches came from (runner/explain.c); NULL: not noted */
    mu_trouble trouble;           /* known: the error on its way is what an earlier iteration of a device found, whoever looked */
};

/* Of a part of the model, or (0) of the model that has none. */
static inline mu_optim_wrapper *mu_runner_wrapper(const mu_runner *runner, int part)
{
    return runner->n_parts ? runner->part[part].optim : runner->optim;
}

/* Of the config; NULL when it is absent or null. */
const mu_cfg *mu_runner_get(const mu_runner *runner, const char *path);
/* As the config wants it, on this rank's share of the cores. */
mu_backend_options mu_runner_backend_options(const mu_runner *runner);
/* Collective, and agreed on. The backend that `device` names, on this rank's share of the cores; ranks of a node get different devices. Sets
 * runner->device to what opens the same one again. */
MU_CHECKED mu_err mu_runner_open_device(mu_runner *runner);
/* One hook, at its place by priority, behind those of the same. *out (may be NULL) is the runner's. */
MU_CHECKED mu_err mu_runner_add_hook(mu_runner *runner, const mu_cfg *cfg, const char *path, mu_hook **out);
/* The configs of all hooks. */
typedef mu_err mu_runner_hook_visit(void *user, mu_runner *runner, const mu_cfg *cfg, const char *path);
MU_CHECKED mu_err mu_runner_visit_hooks(mu_runner *runner, mu_runner_hook_visit *visit, void *user);
/* The hooks: the defaults, what the config makes of them, and its own, by priority. */
MU_CHECKED mu_err mu_runner_build_hooks(mu_runner *runner);
/* Not collective. One of the three loaders, with its evaluator. */
MU_CHECKED mu_err mu_runner_build_loader(mu_runner *runner, mu_phase phase);
/* mu_build of a config that may lack `type`. */
MU_CHECKED mu_err mu_runner_build_typed(const char *kind, const mu_cfg *cfg, const char *type, const char *path, void **out);
/* The optimizer wrapper, or those that the config names after parts of the model. */
MU_CHECKED mu_err mu_runner_build_optim_wrappers(mu_runner *runner);
/* Does optim_wrapper say {generator: {...}, discriminator: {...}} and not how one wrapper is made? */
bool mu_runner_names_parts(const mu_cfg *optim_wrapper);
/* The loop of a phase. */
MU_CHECKED mu_err mu_runner_build_loop(mu_runner *runner, mu_phase phase);
/* Not collective. The parallel wrapper that the config names, or the default one. */
MU_CHECKED mu_err mu_runner_build_parallel(mu_runner *runner);
void mu_runner_close_norm_device(mu_runner *runner);
/* Collective. Model, bound and prepared for batches of `loader`, with the same parameter arenas on every rank. */
MU_CHECKED mu_err mu_runner_build_model(mu_runner *runner, mu_loader *loader, bool training);
/* Not collective. How many classes a bound model scores in such a batch (the columns of pred_score); 0: that cannot be told. */
int64_t mu_runner_count_classes(mu_runner *runner, const mu_batch *batch);
/* Collective. Memory of the backend becomes that of rank 0. In evaluation devices do not speak: there it is left as it is, the same on all ranks. */
MU_CHECKED mu_err mu_runner_broadcast(mu_runner *runner, void *data, size_t bytes);
/* Collective. Binds the parallel wrapper, the optimizer wrapper and the schedulers of a prepared model. */
MU_CHECKED mu_err mu_runner_build_optim(mu_runner *runner);

#endif
