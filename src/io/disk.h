/* What a folder's file system is, and what it gives. Not collective. */
#ifndef MU_IO_DISK_H
#define MU_IO_DISK_H

#include "core/error.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    double write, read; /* bytes a second; written to the disk, read past the cache where the kernel allows */
    char type[24];      /* "ext4", "nfs", "lustre"; the number of an unknown one */
    bool network;       /* other nodes may see it */
    int64_t free;       /* bytes for this user */
} mu_disk;

/* Writes `bytes` bytes to folder/name, waits for the disk, reads them back, compares and removes them. MU_ERR_IO names the file. */
MU_CHECKED mu_err mu_disk_probe(const char *folder, const char *name, size_t bytes, mu_disk *out);

#endif
