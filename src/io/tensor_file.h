/* Tensor files: named tensors, texts and numbers in one plain HDF5 file, or in shards with an index, written by all ranks
 * together, whole or not at all. Checkpoints, dumped results and scalars are such files (doc/formats.md).
 *
 * A path is slash-separated ("/state_dict/backbone.conv1.weight"); its last part may hold dots. HDF5 is used by the calling
 * thread only, and only on metadata; the bytes of tensors go by pread and pwrite. */
#ifndef MU_IO_TENSOR_FILE_H
#define MU_IO_TENSOR_FILE_H

#include "core/type.h"
#include "dist/comm.h"

/* ---- writing: declare everything, take a snapshot, write it ---- */
typedef struct mu_tensor_writer mu_tensor_writer;

/* Copies the logical bytes of a tensor into `host`. Called on the one rank that writes it, from the calling thread. */
typedef mu_err mu_tensor_source(void *user, const char *path, const mu_type *type, void *host);

/* A tensor that takes several ranks to bring together. */
typedef struct {
    const char *path;
    mu_type type;
    void *tag;  /* as it was added */
    int owner;  /* the rank that writes it */
    void *host; /* on that rank: room for its logical bytes, row-major; NULL elsewhere */
} mu_tensor_slot;
/* Collective: fills all slots; the same list on all ranks but for `host`. It may go through them in any order (parameters that are sharded: one
 * mu_params_collect an arena). A rank that fails still takes part to the end. */
typedef mu_err mu_tensor_collect(void *user, mu_comm *comm, const mu_tensor_slot *slot, int n);

/* Of a snapshot: may begin to fill this rank's slots, and returns while that goes on (copies from a device); on *begun false on any rank all are
 * collected as above. Not collective. */
typedef mu_err mu_tensor_begin(void *user, const mu_tensor_slot *slot, int n, bool *begun);
/* Returns when they are filled, or tells why not. Any thread. */
typedef mu_err mu_tensor_wait(void *user);

/* `format` and `version` become the root attributes muster_format and muster_version; a uuid is drawn. */
MU_CHECKED mu_err mu_tensor_writer_new(const char *format, int64_t version, mu_tensor_writer **out);
void mu_tensor_writer_release(mu_tensor_writer *writer); /* NULL is allowed */
/* The same calls in the same order on all ranks. Paths, texts and numbers are copied. A path twice is MU_ERR_USAGE. */
MU_CHECKED mu_err mu_tensor_writer_text(mu_tensor_writer *writer, const char *path, const char *text);
MU_CHECKED mu_err mu_tensor_writer_i64(mu_tensor_writer *writer, const char *path, int64_t value); /* scalar dataset */
MU_CHECKED mu_err mu_tensor_writer_f64(mu_tensor_writer *writer, const char *path, double value);
/* `user` must live until the snapshot; source NULL: `user` is the bytes. */
MU_CHECKED mu_err mu_tensor_writer_add(mu_tensor_writer *writer, const char *path, mu_type type,
                                       mu_tensor_source *source, void *user);
/* The same for what is not alike on all ranks: rank `rank` of those that write brings its own. */
MU_CHECKED mu_err mu_tensor_writer_add_on(mu_tensor_writer *writer, const char *path, mu_type type, int rank,
                                          mu_tensor_source *source, void *user);
/* A tensor that `collect` brings, in one call for all of them; rank -1: to any rank. */
MU_CHECKED mu_err mu_tensor_writer_add_collected(mu_tensor_writer *writer, const char *path, mu_type type, int rank, void *tag);
void mu_tensor_writer_set_collect(mu_tensor_writer *writer, mu_tensor_collect *collect, void *user);
/* NULL, NULL: never begins (the default); on all ranks or on none. mu_tensor_snapshot_write waits, and hashes what has come. */
void mu_tensor_writer_set_late(mu_tensor_writer *writer, mu_tensor_begin *begin, mu_tensor_wait *wait, void *user);
/* n > 0: tensors of a page and more go into n files beside the one at the path, which becomes their index: "a.h5" and
 * "a-00000-of-00004.h5" and so on, each written by a few ranks alone. At most 99999. */
MU_CHECKED mu_err mu_tensor_writer_set_shards(mu_tensor_writer *writer, int n);

/* What is to be written, in memory: each rank has a copy of its share, about the file's bytes / ranks. */
typedef struct mu_tensor_snapshot mu_tensor_snapshot;

/* Memory for such copies, to be used again: most of a snapshot's time goes into pages that are new. Zeroed at first. */
typedef struct {
    void *data; /* freed by mu_tensor_room_release */
    size_t bytes;
    mu_err (*alloc)(void *user, size_t bytes, void **out); /* NULL: mu_alloc and mu_free */
    void (*dealloc)(void *user, void *data);
    void *user;
} mu_tensor_room;
void mu_tensor_room_release(mu_tensor_room *room);

/* Collective. Shares the tensors out over the ranks by bytes, copies and hashes (XXH3) each rank's own, and lays the file out: after it the writer, and
 * what it was given, may change or go. Makes the temporary files (NAME.XXXXXXXX.part) and
 * reserves room for them, so that a full disk or a folder that cannot be written to is told here where the system can tell.
 * room: grows as it must and is the snapshot's until that is released; NULL: memory of its own. What was only begun (mu_tensor_writer_set_late) ends
 * before the room goes: the caller waits where nothing was written. */
MU_CHECKED mu_err mu_tensor_writer_snapshot(mu_tensor_writer *writer, mu_comm *comm, const char *path, mu_tensor_room *room,
                                            mu_tensor_snapshot **out);
/* Collective, once, on any thread, over any communicator of the same ranks in the same order that no other thread uses: no HDF5 in it, and no
 * spinning while it waits. The file stands under its path, flushed, when all have written, else what was there stays and all ranks get the same
 * error: a full disk. bytes (may be NULL): of all files. */
MU_CHECKED mu_err mu_tensor_snapshot_write(mu_tensor_snapshot *snapshot, mu_comm *comm, int64_t *bytes);
void mu_tensor_snapshot_release(mu_tensor_snapshot *snapshot); /* any thread; NULL is allowed */

/* Collective. Both at once; bytes that were given without a source are not copied. */
MU_CHECKED mu_err mu_tensor_writer_write(mu_tensor_writer *writer, mu_comm *comm, const char *path, int64_t *bytes);

/* Removes a tensor file and its shards, the index first. MU_ERR_NOT_FOUND when there is none. Any thread. */
MU_CHECKED mu_err mu_tensor_file_remove(const char *path);

/* ---- reading: not collective ---- */
typedef struct mu_tensor_file mu_tensor_file;

/* Checks the container: HDF5, format, version <= `version`, that every dataset lies whole in the file; of an index, that its shards are there,
 * and are those that it was written with. MU_ERR_IO when there is no such file or shard, MU_ERR_FORMAT tells what it is instead ("a dataset
 * file", "cut off at byte N of M"). */
MU_CHECKED mu_err mu_tensor_file_open(const char *path, const char *format, int64_t version, mu_tensor_file **out);
void mu_tensor_file_release(mu_tensor_file *file); /* NULL is allowed */
const char *mu_tensor_file_path(const mu_tensor_file *file);
const char *mu_tensor_file_uuid(const mu_tensor_file *file);
int64_t mu_tensor_file_bytes(const mu_tensor_file *file); /* with its shards */
int mu_tensor_file_shards(const mu_tensor_file *file);     /* 0: all is in one file */

typedef struct {
    const char *path; /* borrowed from the file */
    mu_type type;     /* of a text: u8 [length] */
    bool text, hashed;
    const char *file; /* where its bytes lie: the path of a shard or of the file itself; borrowed */
    int64_t offset;   /* in it */
} mu_tensor_entry;

/* In the order in which they were declared. */
int mu_tensor_file_count(const mu_tensor_file *file);
const mu_tensor_entry *mu_tensor_file_at(const mu_tensor_file *file, int i);
int mu_tensor_file_find(const mu_tensor_file *file, const char *path); /* -1: not there */
/* MU_ERR_NOT_FOUND names the nearest path. A read compares the checksum: MU_ERR_FORMAT names the bad dataset. Any thread. */
MU_CHECKED mu_err mu_tensor_file_read(const mu_tensor_file *file, int i, void *host, size_t bytes);
/* Only compares the checksum, in little memory. Any thread. */
MU_CHECKED mu_err mu_tensor_file_verify(const mu_tensor_file *file, int i);
MU_CHECKED mu_err mu_tensor_file_text(const mu_tensor_file *file, const char *path, char **out); /* freed by mu_free */
MU_CHECKED mu_err mu_tensor_file_i64(const mu_tensor_file *file, const char *path, int64_t *out);
MU_CHECKED mu_err mu_tensor_file_f64(const mu_tensor_file *file, const char *path, double *out);

#endif
