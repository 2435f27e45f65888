/* What the parts of checkpoints share. Private to the room. */
#ifndef MU_RUNNER_CHECKPOINT_IMPL_H
#define MU_RUNNER_CHECKPOINT_IMPL_H

#include "runner/checkpoint.h"

/* Where things lie in the file. */
#define CKPT_META "/meta"
#define CKPT_WEIGHTS "/state_dict/"
#define CKPT_EMA "/ema_state_dict/"      /* of a run with an average, which is what CKPT_WEIGHTS holds: the model's own weights */
#define CKPT_EMA_WEIGHTS CKPT_EMA "module."
#define CKPT_EMA_STEPS CKPT_EMA "steps"
#define CKPT_OPTIMIZER "/optimizer/"
#define CKPT_ACCUMULATED_MEAN CKPT_OPTIMIZER "accumulated/mean/"
#define CKPT_SCHEDULERS "/param_schedulers/"
#define CKPT_HUB "/message_hub"
#define CKPT_LOADER "/loader/"
#define CKPT_LAST "last_checkpoint" /* a file in work_dir */

enum { CKPT_HISTORY = 1000 }; /* entries of each scalar's history that are kept */

/* The fields of a group, as they are called in the file. */
typedef struct {
    const char *name;
    size_t offset; /* of a double in mu_optim_group */
} ckpt_field;
enum { CKPT_N_FIELDS = 7 };
extern const ckpt_field ckpt_fields[CKPT_N_FIELDS];

/* An optimizer of the run and where it lies in the file: /optimizer/, or of a part of the model /optimizer/<part>/, with the parameters of that
 * part alone. */
enum { CKPT_FOLDER = 128 };
typedef struct {
    const char *part; /* NULL: of the whole model */
    char folder[CKPT_FOLDER];
    mu_optim *optim;
} ckpt_optim;
int ckpt_n_optims(const mu_runner *runner);
void ckpt_optim_at(const mu_runner *runner, int i, ckpt_optim *out);
/* By the optimizer of this part (NULL: of the model). */
bool ckpt_is_trained(const mu_param_info *param, const char *part);

/* What decides the learning rates, as one line of JSON: param_scheduler, and optimizer and paramwise_cfg of the wrapper. Freed by mu_free. */
MU_CHECKED mu_err ckpt_schedule_text(const mu_cfg *config, char **out);

/* Where the bytes of a tensor come from: the tag of its slot. */
typedef struct {
    void *arena; /* NULL: the parameter or state itself */
    int param;
} ckpt_origin;

/* Tensors on their way from a device beside its kernels (checkpoint_copy.c). *out NULL where the backend has no lanes. All but wait: the main thread. */
typedef struct ckpt_copy ckpt_copy;
MU_CHECKED mu_err ckpt_copy_new(mu_backend *backend, mu_params *params, ckpt_copy **out); /* both borrowed */
void ckpt_copy_release(ckpt_copy *copy); /* NULL is allowed, as in end and tidy */
/* A mu_tensor_begin and a mu_tensor_wait; user: the copy. *begun false: there is no memory for it, or parameters are in pieces. */
mu_err ckpt_copy_begin(void *user, const mu_tensor_slot *slot, int n, bool *begun);
mu_err ckpt_copy_wait(void *user);
/* Waits for what nobody waited for. */
void ckpt_copy_end(ckpt_copy *copy);
/* Gives the device's memory back when it is no longer used. */
void ckpt_copy_tidy(ckpt_copy *copy);

/* Collective, and agreed on. The state of the run as it is now. copy: what brings it from a device; NULL: training waits for it. */
MU_CHECKED mu_err ckpt_snapshot(mu_runner *runner, const char *path, mu_checkpoint_parts parts, mu_tensor_room *room, ckpt_copy *copy,
                                mu_tensor_snapshot **out);
/* Rank 0. last_checkpoint names `checkpoint`. */
MU_CHECKED mu_err ckpt_write_last(const char *work_dir, const char *checkpoint);

/* After the weights: the run's average, if there is one, becomes what they are, and the model what the file says besides. A file without that is fine. */
MU_CHECKED mu_err ckpt_load_average(const mu_tensor_file *file, mu_runner *runner);

/* Compiled patterns; n 0: the default. The revisions are borrowed. A revised name is freed by mu_free. */
typedef struct ckpt_revisions ckpt_revisions;
MU_CHECKED mu_err ckpt_revisions_new(const mu_key_revision *revision, size_t n, ckpt_revisions **out);
void ckpt_revisions_release(ckpt_revisions *revisions);
MU_CHECKED mu_err ckpt_revise(const ckpt_revisions *revisions, const char *name, char **out);

#endif
