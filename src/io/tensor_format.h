/* What reader and writer of tensor files share. Private to the room. */
#ifndef MU_IO_TENSOR_FORMAT_H
#define MU_IO_TENSOR_FORMAT_H

#include "core/error.h"

#define XXH_STATIC_LINKING_ONLY
#include <stdbool.h>
#include <xxhash.h>

#define TENSOR_CHECKSUM "muster_xxh3" /* attributes of every dataset */
#define TENSOR_ORDER "muster_order"

enum {
    TENSOR_CHECKSUM_TEXT = 17,
    TENSOR_CHUNK = 1 << 20,    /* bytes that are hashed and moved at a time */
    TENSOR_PAGE = 4096,        /* tensors of this size and more begin at a multiple of it */
    TENSOR_MAX_PATH = 1023,    /* bytes */
    TENSOR_MAX_DEPTH = 16,     /* groups within groups */
    TENSOR_MAX_COUNT = 1 << 20 /* datasets and groups of a file */
};

void tensor_checksum_format(XXH64_hash_t hash, char text[TENSOR_CHECKSUM_TEXT]);

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
