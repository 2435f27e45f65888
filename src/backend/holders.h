/* Who has memory of a device, by name: asked when there is none left. */
#ifndef MU_BACKEND_HOLDERS_H
#define MU_BACKEND_HOLDERS_H

#include "backend.h"

/* What is said to be lowered depends on which of these takes more. */
typedef enum { MU_HELD_BY_STORE, MU_HELD_BY_PLAN, MU_N_HELD } mu_held;

typedef struct mu_holdings mu_holdings;

/* Part of what holds memory. `tell` notes every buffer that it has, or is about to ask for. */
struct mu_holder {
    void (*tell)(const void *user, mu_holdings *holdings);
    const void *user;
    mu_holder *next; /* the backend's */
};
void mu_holder_add(mu_backend *backend, mu_holder *holder);
void mu_holder_remove(mu_backend *backend, mu_holder *holder); /* one that was not added is allowed */

void mu_holdings_note(mu_holdings *holdings, mu_held held, size_t bytes, const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Memory of the device. When there is none left the error says what it was for ("gradients"), which five buffers of the process are the largest, and
 * what to lower. */
MU_CHECKED mu_err mu_backend_alloc(mu_backend *backend, size_t bytes, const char *what, void **out);

#endif
