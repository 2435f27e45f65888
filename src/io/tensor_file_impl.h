/* What an open tensor file is made of; shared by the files that read its structure and its contents. */
#ifndef MU_IO_TENSOR_FILE_IMPL_H
#define MU_IO_TENSOR_FILE_IMPL_H

#include "io/tensor_file.h"
#include "io/tensor_format.h"

typedef struct {
    mu_tensor_entry entry;
    char *path; /* owned */
    int part;
    int64_t order;
    char checksum[TENSOR_CHECKSUM_TEXT];
} tensor_item;

/* The file itself, or a shard of it. */
typedef struct {
    char *path, *uuid;
    int fd; /* -1: opened for each read */
    int64_t bytes;
} tensor_file_part;

typedef struct {
    char *path, *file; /* of an index: where the dataset of this path is said to be */
} tensor_shard_link;

struct mu_tensor_file {
    tensor_file_part *part; /* the file itself first */
    int n_parts, reading; /* reading: whose structure is read */
    tensor_item *item;
    size_t n, capacity;
    tensor_shard_link *link;
    size_t n_links, link_capacity;
    tensor_index index;
};

/* Opens the parts of a file whose path stands, and lists their items. */
MU_CHECKED mu_err tensor_read_structure(mu_tensor_file *f, const char *format, int64_t version);
/* Do all links of an index lead to what the shards have? */
MU_CHECKED mu_err tensor_check_links(const mu_tensor_file *f);
/* The text of item i, compared with its checksum. Freed by mu_free. */
MU_CHECKED mu_err tensor_read_text(const mu_tensor_file *f, int i, char **out);
/* Adds what may be done about a damaged file. */
mu_err tensor_damaged(mu_err err);

#endif
