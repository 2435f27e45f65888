/* How a trace fills a list of modules. */
#ifndef MU_NN_MODULE_IMPL_H
#define MU_NN_MODULE_IMPL_H

#include "nn/module.h"

/* Forgets what was met: before a trace. Memory is kept. */
void mu_modules_clear(mu_modules *modules);
/* Enters the child `name` of the current module ("" first of all: the model itself), at this node of the graph. Entered again, a module
 * keeps its place and its first type. */
MU_CHECKED mu_err mu_modules_enter(mu_modules *modules, const char *name, const char *type, const mu_cfg *init_cfg,
                                   int32_t node);
void mu_modules_leave(mu_modules *modules, int32_t node);
/* The current module; NULL outside of all. */
mu_module_info *mu_modules_current(mu_modules *modules);
/* Notes a parameter of the current module and sets *out to its full name, borrowed. Noted again it keeps its place. */
MU_CHECKED mu_err mu_modules_add_param(mu_modules *modules, const char *leaf, mu_type type, bool trainable, mu_fill fill,
                                       const char **out);

#endif
