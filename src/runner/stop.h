/* When a run has to stop before it is done, by signals and clocks. Private to the room. */
#ifndef MU_RUNNER_STOP_H
#define MU_RUNNER_STOP_H

#include "runner/runner.h"

/* Takes the times of the options over. */
void mu_stop_set(mu_runner *runner, const mu_runner_options *options);
/* Of this rank, now: what stop_reason says; 0: nothing asks for a stop. */
int mu_stop_pending(const mu_runner *runner);
/* Of this rank: would a checkpoint that begins now be on its way still when the time is over? By those that were written so far. */
bool mu_stop_comes_first(const mu_runner *runner);
/* Rank 0, once all have stopped: why. */
void mu_stop_tell(const mu_runner *runner);

#endif
