/* How a line of the record is filled: for init.c. */
#ifndef MU_NN_INIT_RECORD_H
#define MU_NN_INIT_RECORD_H

#include "nn/init.h"

/* Name, mean and standard deviation of these values. */
void mu_init_line_fill(mu_init_line *line, const mu_module_param *param, const void *values);
/* The initialiser with its options, and the module that it stands in; init NULL: the defaults. */
void mu_init_line_by(mu_init_line *line, const void *init, const char *module);

#endif
