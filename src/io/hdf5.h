/* Thin helpers over HDF5's C library, with its errors as ours.
 *
 * One thread of a process owns the library, as Debian's is not thread-safe: these functions, and whatever else calls HDF5,
 * are for that thread. Others read what it found by mu_pread. HDF5 never prints. File locks are never taken: on parallel
 * file systems they fail or hang. Not installed: it needs <hdf5.h>. */
#ifndef MU_IO_HDF5_H
#define MU_IO_HDF5_H

#include "core/type.h"

#include <hdf5.h>

/* MU_H5(expr): a mu_err from a call of HDF5, whose negative results are failures: MU_TRY(MU_H5(file = H5Fopen(...))). */
#define MU_H5(expr)                                                                                                    \
    ({                                                                                                                 \
        mu_h5_printer h5_printer_ = mu_h5_silence();                                                                   \
        int64_t h5_result_ = (int64_t)(expr);                                                                          \
        mu_err h5_err_ = h5_result_ < 0 ? mu_h5_fail(#expr, __FILE__, __LINE__, __func__) : MU_OK;                     \
        mu_h5_restore(h5_printer_);                                                                                    \
        h5_err_;                                                                                                       \
    })
#define MU_TRY_H5(expr) MU_TRY(MU_H5(expr))

typedef struct {
    H5E_auto2_t function;
    void *data;
} mu_h5_printer;
/* Used by MU_H5: what prints errors is taken out for the call, and put back. */
mu_h5_printer mu_h5_silence(void);
void mu_h5_restore(mu_h5_printer printer);
/* Translates HDF5's error stack. */
mu_err mu_h5_fail(const char *call, const char *file, int line, const char *function);

/* An existing file. MU_ERR_FORMAT when it is not HDF5 or cut. Closed by MU_H5(H5Fclose(file)). */
MU_CHECKED mu_err mu_h5_open(const char *path, bool writable, hid_t *out);
/* Overwrites. In the form of HDF5 1.8, whose metadata carry checksums. What is allocated in one piece of `alignment` bytes or more begins
 * at a multiple of it; metadata are allocated by blocks of metadata_bytes. The file tells no times: the same contents are the same bytes. */
MU_CHECKED mu_err mu_h5_create_aligned(const char *path, int64_t alignment, int64_t metadata_bytes, hid_t *out);
/* Makes those groups in which the dataset at an absolute path is to lie that are not there. */
MU_CHECKED mu_err mu_h5_groups_create(hid_t file, const char *path);

/* Closes any object, a failure included; negative ids are ignored. */
void mu_h5_close(hid_t id);

/* Attributes. Text is UTF-8 of a fixed length; setting one of the same length again writes in place. MU_ERR_NOT_FOUND when
 * absent, MU_ERR_FORMAT when of another type. *out is freed by mu_free. */
MU_CHECKED mu_err mu_h5_set_text(hid_t object, const char *name, const char *text);
MU_CHECKED mu_err mu_h5_get_text(hid_t object, const char *name, char **out);
MU_CHECKED mu_err mu_h5_set_i64(hid_t object, const char *name, int64_t value);
MU_CHECKED mu_err mu_h5_get_i64(hid_t object, const char *name, int64_t *out);
/* Adds to an error of an attribute which file it is of. Returns err. */
mu_err mu_h5_of_file(const char *path, mu_err err);

/* The type in a file: little-endian; bool is the enumeration that h5py uses. Closed by mu_h5_close. */
MU_CHECKED mu_err mu_h5_type_new(mu_dtype dtype, hid_t *out);

/* A contiguous dataset whose bytes have their place, but are not written. A text one holds one string of `length` bytes. */
MU_CHECKED mu_err mu_h5_dataset_create(hid_t parent, const char *name, const mu_type *type, hid_t *out);
MU_CHECKED mu_err mu_h5_text_create(hid_t parent, const char *name, size_t length, hid_t *out);

/* A link to the dataset of the same path in another file, whose name is looked for beside this one. */
MU_CHECKED mu_err mu_h5_link_create(hid_t file, const char *path, const char *target_file);

/* What a dataset holds. A type that we lack is MU_ERR_FORMAT. */
MU_CHECKED mu_err mu_h5_dataset_type(hid_t dataset, mu_type *out);
/* Where its bytes lie in the file, for `bytes` bytes; MU_ERR_FORMAT unless contiguous and of that size. 0 bytes: 0. */
MU_CHECKED mu_err mu_h5_dataset_offset(hid_t dataset, int64_t bytes, int64_t *out);
/* Length of a text dataset; MU_ERR_FORMAT for anything else. */
MU_CHECKED mu_err mu_h5_text_length(hid_t dataset, size_t *out);

#endif
