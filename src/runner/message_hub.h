/* The message hub: what hooks and loops tell each other: scalars with their history, and facts.
 *
 * Names keep the order in which they first came: log lines follow it ("train/loss", "val/accuracy/top1"). */
#ifndef MU_RUNNER_MESSAGE_HUB_H
#define MU_RUNNER_MESSAGE_HUB_H

#include "config/value.h"

/* A scalar's history: the last values, each a sum over `count`, at most `capacity` of them. */
typedef struct mu_history mu_history;
enum { MU_HISTORY_CAPACITY = 1000000 };
int64_t mu_history_length(const mu_history *history);  /* kept */
double mu_history_current(const mu_history *history);  /* last value / its count; NaN when empty */
/* Over the last `window` entries, the kept ones at most; window <= 0: all. mean is sum(value) / sum(count). */
double mu_history_mean(const mu_history *history, int64_t window);
double mu_history_min(const mu_history *history, int64_t window);
double mu_history_max(const mu_history *history, int64_t window);

typedef struct mu_message_hub mu_message_hub;
MU_CHECKED mu_err mu_message_hub_new(mu_message_hub **out);
void mu_message_hub_release(mu_message_hub *hub);

/* In the steady state of known names this allocates nothing but the history's growth. resumed: the value belongs into checkpoints. A name whose
 * `resumed` changes is MU_ERR_USAGE. */
MU_CHECKED mu_err mu_message_hub_scalar(mu_message_hub *hub, const char *name, double value, double count, bool resumed);
const mu_history *mu_message_hub_history(const mu_message_hub *hub, const char *name); /* NULL: never told */
size_t mu_message_hub_n_scalars(const mu_message_hub *hub);
const char *mu_message_hub_scalar_name(const mu_message_hub *hub, size_t i);
/* Empties the histories whose name begins with `prefix`; keeps the names and their order. */
void mu_message_hub_clear(mu_message_hub *hub, const char *prefix);

/* Facts: numbers and texts ("iter", "epoch", "best_score", "best_ckpt"). Copied. resumed as above. */
MU_CHECKED mu_err mu_message_hub_set_i64(mu_message_hub *hub, const char *key, int64_t value, bool resumed);
MU_CHECKED mu_err mu_message_hub_set_f64(mu_message_hub *hub, const char *key, double value, bool resumed);
MU_CHECKED mu_err mu_message_hub_set_text(mu_message_hub *hub, const char *key, const char *value, bool resumed);
/* NULL when absent. */
const mu_cfg *mu_message_hub_get(const mu_message_hub *hub, const char *key);

/* What belongs into a checkpoint as JSON: {"scalars": {name: [[value, count], ...]}, "facts": {...}}, the last `keep` entries of each
 * history; freed by mu_free. restore: of such a text; other names are left as they are. */
MU_CHECKED mu_err mu_message_hub_dump(const mu_message_hub *hub, int64_t keep, char **out);
MU_CHECKED mu_err mu_message_hub_restore(mu_message_hub *hub, const char *json);

#endif
