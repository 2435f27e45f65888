/* Files read whole and written whole. Private to the room. */
#ifndef MU_CONFIG_FILE_H
#define MU_CONFIG_FILE_H

#include "core/error.h"

#include <stdbool.h>
#include <sys/types.h>

/* What tells two files apart, whatever their names. */
typedef struct {
    dev_t device;
    ino_t inode;
} mu_file_id;

/* A regular file of at most `limit` bytes; *text is NUL-terminated, freed by mu_free. MU_ERR_CONFIG when there is no such file
 * or it is not one to read, MU_ERR_IO when reading fails. */
MU_CHECKED mu_err mu_file_read(const char *path, size_t limit, char **text, size_t *length, mu_file_id *id);
MU_CHECKED mu_err mu_file_write(const char *path, const char *text);

#endif
