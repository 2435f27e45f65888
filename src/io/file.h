/* Files: reading and writing at offsets, and replacing a file whole or not at all. Not collective. */
#ifndef MU_IO_FILE_H
#define MU_IO_FILE_H

#include "core/error.h"

#include <stddef.h>
#include <stdint.h>

/* All `size` bytes at `offset`; MU_ERR_IO names `path`. From any thread. */
MU_CHECKED mu_err mu_pread(int fd, void *out, size_t size, int64_t offset, const char *path);
MU_CHECKED mu_err mu_pwrite(int fd, const void *data, size_t size, int64_t offset, const char *path);

/* A file that is written under a temporary name in the same folder and takes its own name when it is whole. */
typedef struct mu_replacement mu_replacement;

/* Makes the temporary file; whatever stands at `path` stays as it is until the commit. */
MU_CHECKED mu_err mu_replacement_new(const char *path, mu_replacement **out);
/* The same under a temporary name that the caller chose; MU_ERR_IO when it is taken. */
MU_CHECKED mu_err mu_replacement_new_as(const char *path, const char *temporary, mu_replacement **out);
int mu_replacement_fd(const mu_replacement *r); /* for reading and writing */
/* Makes room for `bytes` bytes now; MU_ERR_IO when the disk or a limit has less. Where the file system cannot tell, it
 * does nothing. */
MU_CHECKED mu_err mu_replacement_reserve(mu_replacement *r, int64_t bytes);
/* Cuts or extends it to `bytes`. */
MU_CHECKED mu_err mu_replacement_resize(mu_replacement *r, int64_t bytes);
/* The name until then, which other processes join by: they write to the same file, and only who made it commits it. */
const char *mu_replacement_temporary(const mu_replacement *r);
MU_CHECKED mu_err mu_replacement_join(const char *path, const char *temporary, mu_replacement **out);
/* Writes, and has the kernel begin at once to bring it to the disk, so that a later flush finds little left. */
MU_CHECKED mu_err mu_replacement_write(mu_replacement *r, const void *data, size_t size, int64_t offset);
/* Waits until what this process wrote is on the disk. */
MU_CHECKED mu_err mu_replacement_flush(mu_replacement *r);
/* Flushes the file, gives it its name and flushes the folder. */
MU_CHECKED mu_err mu_replacement_commit(mu_replacement *r);
/* Who made the file removes it, unless it was committed. NULL is allowed. */
void mu_replacement_release(mu_replacement *r);

#endif
