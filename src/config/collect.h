/* Trees of values between ranks. They travel as text, without the places that they were read from. */
#ifndef MU_CONFIG_COLLECT_H
#define MU_CONFIG_COLLECT_H

#include "config/value.h"
#include "dist/comm.h"

/* Collective. *out: a list of the ranks' trees in their order, owned by the caller; of gather on `root`, elsewhere NULL. Errors are
 * agreed on. */
MU_CHECKED mu_err mu_comm_all_gather_object(mu_comm *comm, const mu_cfg *mine, mu_cfg **out);
MU_CHECKED mu_err mu_comm_gather_object(mu_comm *comm, const mu_cfg *mine, int root, mu_cfg **out);

/* Collective. *object of `root` to all; the others get a copy that they own. What *object was there is not looked at. */
MU_CHECKED mu_err mu_comm_broadcast_object(mu_comm *comm, mu_cfg **object, int root);

#endif
