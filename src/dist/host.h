/* What a node is called in messages. */
#ifndef MU_DIST_HOST_H
#define MU_DIST_HOST_H

#include <stddef.h>

enum { MU_HOST_CHARS = 56 };

/* This one's, cut to size - 1 bytes: Slurm's name of it, where several of its nodes are one machine, else the host's; "?" when there is none. */
void mu_host_name(char *buf, size_t size);

#endif
