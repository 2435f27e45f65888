/* What reader and writer of the dataset file share. Private to the room. */
#ifndef MU_DATA_H5_FORMAT_H
#define MU_DATA_H5_FORMAT_H

#include "config/value.h"
#include "data/h5_dataset.h"

#define XXH_STATIC_LINKING_ONLY
#include <stdio.h>
#include <xxhash.h>

#define H5_FORMAT "dataset"
#define H5_OFFSETS "_offsets"
#define H5_LABELS "labels"
#define H5_CHECKSUM "muster_xxh3"

enum { H5_CHECKSUM_TEXT = 17, H5_CHUNK = 1 << 20 };

static inline void h5_checksum_format(XXH64_hash_t hash, char text[H5_CHECKSUM_TEXT])
{
    snprintf(text, H5_CHECKSUM_TEXT, "%016llx", (unsigned long long)hash);
}

/* The metainfo as a tree, and its list of classes (borrowed; NULL: none). `where` is for errors. */
MU_CHECKED mu_err h5_meta_parse(const char *text, size_t length, const char *where, mu_cfg **meta, const mu_cfg **classes);

/* Labels, with classes to compare to. */
static inline bool h5_is_label(const mu_h5_field *field, int64_t n_classes)
{
    return n_classes > 0 && field->sample.dtype == MU_I64 && field->sample.ndim == 0 &&
           strcmp(field->name, H5_LABELS) == 0;
}

/* Labels of the n samples from `first` on. */
MU_CHECKED mu_err h5_check_labels(const int64_t *label, int64_t n, int64_t first, int64_t n_classes, const char *where);

#endif
