/* What reader and writer of tensor files share. Private to the room. */
#ifndef MU_IO_TENSOR_FORMAT_H
#define MU_IO_TENSOR_FORMAT_H

#include "core/error.h"

#define XXH_STATIC_LINKING_ONLY
#include <stdbool.h>
#include <xxhash.h>

#define TENSOR_CHECKSUM "muster_xxh3" /* attributes of every dataset */
#define TENSOR_ORDER "muster_order"
#define TENSOR_SHARDS "/muster_shards" /* of an index: JSON that tells its shards */
#define TENSOR_CHECKSUMS "/muster_checksums" /* a line for every TENSOR_ORDER: of datasets that have no attribute */

enum {
    TENSOR_CHECKSUM_TEXT = 17,
    TENSOR_CHUNK = 1 << 20,    /* bytes that are hashed and moved at a time */
    TENSOR_PAGE = 4096,        /* tensors of this size and more begin at a multiple of it */
    TENSOR_MAX_PATH = 1023,    /* bytes */
    TENSOR_MAX_DEPTH = 16,     /* groups within groups */
    TENSOR_MAX_COUNT = 1 << 20, /* datasets and groups of a file */
    TENSOR_MAX_SHARDS = 99999
};

void tensor_checksum_format(XXH64_hash_t hash, char text[TENSOR_CHECKSUM_TEXT]);

/* Shard i of n of the file at `path`: "a.h5" gives "a-00000-of-00004.h5". Freed by mu_free. */
MU_CHECKED mu_err tensor_shard_path(const char *path, int i, int n, char **out);
/* What its muster_format says: "checkpoint shard". Freed by mu_free. */
MU_CHECKED mu_err tensor_shard_format(const char *format, char **out);
/* Removes shards of the file at `path`, but for those of a set of `keep`. */
void tensor_shards_remove(const char *path, int keep);

/* "/a/b.c": absolute, no part empty or made of dots only. */
MU_CHECKED mu_err tensor_path_check(const char *path);

/* Numbers of paths, in the order of their texts. The texts belong to the user: path(user, i). Zero-initialised is empty. */
typedef struct {
    int *sorted;
    size_t n, capacity;
    const char *(*path)(const void *user, int i);
    const void *user;
} tensor_index;

void tensor_index_release(tensor_index *index);
int tensor_index_find(const tensor_index *index, const char *path); /* -1: not there */
/* Adds path number i, whose text stands already. MU_ERR_USAGE when it is there, or when one of two is a group in the path of
 * the other. */
MU_CHECKED mu_err tensor_index_add(tensor_index *index, int i);

#endif
