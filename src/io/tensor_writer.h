/* What is declared for a tensor file. Private to the room. */
#ifndef MU_IO_TENSOR_WRITER_H
#define MU_IO_TENSOR_WRITER_H

#include "io/tensor_file.h"
#include "io/tensor_format.h"

typedef struct {
    char *path;
    mu_type type; /* of a text: u8 [length], at least 1 */
    bool text, pinned, collected; /* pinned: to `rank` */
    int rank;
    char *owned; /* bytes of a text or a number; NULL for tensors */
    mu_tensor_source *source;
    void *user;
} tensor_declared;

struct mu_tensor_writer {
    char *format;
    int64_t version;
    tensor_declared *item;
    size_t n, capacity;
    tensor_index index;
    mu_tensor_collect *collect;
    void *collect_user;
    mu_tensor_begin *begin;
    mu_tensor_wait *wait;
    void *late_user;
    int n_shards; /* 0: one file */
};

#endif
