/* Tensor files: named tensors, texts and numbers in one plain HDF5 file, written by all ranks together, whole or not at all.
 * Checkpoints, dumped results and scalars are such files (doc/formats.md).
 *
 * A path is slash-separated ("/state_dict/backbone.conv1.weight"); its last part may hold dots. HDF5 is used by the calling
 * thread only, and only on metadata; the bytes of tensors go by pread and pwrite. */
#ifndef MU_IO_TENSOR_FILE_H
#define MU_IO_TENSOR_FILE_H

#include "core/type.h"
#include "dist/comm.h"

/* ---- writing: declare everything, then write ---- */
typedef struct mu_tensor_writer mu_tensor_writer;

/* Copies the logical bytes of a tensor into `host`. Called on the one rank that writes it, from the writing thread. */
typedef mu_err mu_tensor_source(void *user, const char *path, const mu_type *type, void *host);

/* `format` and `version` become the root attributes muster_format and muster_version; a uuid is drawn. */
MU_CHECKED mu_err mu_tensor_writer_new(const char *format, int64_t version, mu_tensor_writer **out);
void mu_tensor_writer_release(mu_tensor_writer *writer); /* NULL is allowed */
/* The same calls in the same order on all ranks. Paths, texts and numbers are copied. A path twice is MU_ERR_USAGE. */
MU_CHECKED mu_err mu_tensor_writer_text(mu_tensor_writer *writer, const char *path, const char *text);
MU_CHECKED mu_err mu_tensor_writer_i64(mu_tensor_writer *writer, const char *path, int64_t value); /* scalar dataset */
MU_CHECKED mu_err mu_tensor_writer_f64(mu_tensor_writer *writer, const char *path, double value);
/* `user` must live until the write; source NULL: `user` is the bytes. */
MU_CHECKED mu_err mu_tensor_writer_add(mu_tensor_writer *writer, const char *path, mu_type type,
                                       mu_tensor_source *source, void *user);
/* The same for what is not alike on all ranks: rank `rank` of those that write brings its own. */
MU_CHECKED mu_err mu_tensor_writer_add_on(mu_tensor_writer *writer, const char *path, mu_type type, int rank,
                                          mu_tensor_source *source, void *user);
/* Collective. Shares the tensors out over the ranks by bytes; each rank hashes (XXH3) and writes its own. The file stands under
 * `path`, flushed, when all have written, else what was there stays and all ranks get the same error: a full disk, a folder
 * that cannot be written to. bytes (may be NULL): of the whole file. */
MU_CHECKED mu_err mu_tensor_writer_write(mu_tensor_writer *writer, mu_comm *comm, const char *path, int64_t *bytes);

/* ---- reading: not collective ---- */
typedef struct mu_tensor_file mu_tensor_file;

/* Checks the container: HDF5, format, version <= `version`, that every dataset lies whole in the file. MU_ERR_IO when there is
 * no such file, MU_ERR_FORMAT tells what it is instead ("a dataset file", "cut off at byte N of M"). */
MU_CHECKED mu_err mu_tensor_file_open(const char *path, const char *format, int64_t version, mu_tensor_file **out);
void mu_tensor_file_release(mu_tensor_file *file); /* NULL is allowed */
const char *mu_tensor_file_path(const mu_tensor_file *file);
const char *mu_tensor_file_uuid(const mu_tensor_file *file);
int64_t mu_tensor_file_bytes(const mu_tensor_file *file);

typedef struct {
    const char *path; /* borrowed from the file */
    mu_type type;     /* of a text: u8 [length] */
    bool text, hashed;
    int64_t offset;
} mu_tensor_entry;

/* In the order in which they were declared. */
int mu_tensor_file_count(const mu_tensor_file *file);
const mu_tensor_entry *mu_tensor_file_at(const mu_tensor_file *file, int i);
int mu_tensor_file_find(const mu_tensor_file *file, const char *path); /* -1: not there */
/* MU_ERR_NOT_FOUND names the nearest path. A read compares the checksum: MU_ERR_FORMAT names the bad dataset. Any thread. */
MU_CHECKED mu_err mu_tensor_file_read(const mu_tensor_file *file, int i, void *host, size_t bytes);
MU_CHECKED mu_err mu_tensor_file_text(const mu_tensor_file *file, const char *path, char **out); /* freed by mu_free */
MU_CHECKED mu_err mu_tensor_file_i64(const mu_tensor_file *file, const char *path, int64_t *out);
MU_CHECKED mu_err mu_tensor_file_f64(const mu_tensor_file *file, const char *path, double *out);

#endif
