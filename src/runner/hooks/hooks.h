/* The hooks that come with the runner. */
#ifndef MU_RUNNER_HOOKS_HOOKS_H
#define MU_RUNNER_HOOKS_HOOKS_H

#include "runner/runner.h"

extern const mu_component mu_component_ema_hook;

/* {name in default_hooks, type}: what runs unless the config says otherwise. {NULL, NULL} ends it. */
extern const char *const mu_default_hooks[][2];

/* Collective. Saves the state of training as the CheckpointHook would, now: epoch_3_iter_120.h5 in the middle of an epoch, and names it in
 * last_checkpoint. What the newest checkpoint holds already is not written again; without a CheckpointHook there is a warning. */
MU_CHECKED mu_err mu_checkpoint_hook_save_now(mu_runner *runner);

#endif
