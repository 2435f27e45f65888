/* A scratch file in memory, in which HDF5 lays a file out: HDF5 1.10 does not survive a write that fails, so the disk is left to
 * us. Datasets have their places in it, and no bytes: it stays small however large the file. Not installed. */
#ifndef MU_IO_SCRATCH_H
#define MU_IO_SCRATCH_H

#include "io/hdf5.h"

typedef struct {
    int fd;     /* -1: not open; may be read and written where HDF5 has no metadata */
    hid_t file; /* open in HDF5 until mu_scratch_finish */
} mu_scratch;
#define MU_SCRATCH_NONE ((mu_scratch){.fd = -1, .file = H5I_INVALID_HID})

/* metadata_bytes: about what HDF5 will need. What is allocated in one piece of `alignment` bytes or more begins at a multiple of it (1:
 * anywhere). */
MU_CHECKED mu_err mu_scratch_open(mu_scratch *scratch, int64_t alignment, int64_t metadata_bytes);
/* Ends HDF5's part. bytes: of the file. */
MU_CHECKED mu_err mu_scratch_finish(mu_scratch *scratch, int64_t *bytes);
void mu_scratch_close(mu_scratch *scratch);

/* Bytes [at, end) of a file that the scratch file does not hold. */
typedef struct {
    int64_t at, end;
} mu_extent;

/* Copies all else of a finished one to `fd`. Sorts the extents, which do not overlap. `path` is for messages. */
MU_CHECKED mu_err mu_scratch_copy(const mu_scratch *scratch, int64_t bytes, mu_extent *extent, int64_t n, int fd,
                                  const char *path);

#endif
