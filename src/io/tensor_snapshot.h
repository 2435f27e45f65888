/* A tensor file on its way: who writes what, where. Private to the room. */
#ifndef MU_IO_TENSOR_SNAPSHOT_H
#define MU_IO_TENSOR_SNAPSHOT_H

#include "core/uuid.h"
#include "io/file.h"
#include "io/scratch.h"
#include "io/tensor_writer.h"

/* One HDF5 file: a shard, or the one at the path. */
typedef struct {
    char *path, *temporary; /* its name until it is whole */
    char uuid[MU_UUID_TEXT];
    int lead;             /* the rank that makes it and gives it its name */
    int64_t bytes;        /* of the file */
    mu_scratch scratch;   /* on the lead: all but the large tensors */
    int64_t checksums;    /* on the lead: where TENSOR_CHECKSUMS is in it; 0: there is none */
    mu_replacement *file; /* on those that write to it */
} tensor_part;

typedef struct {
    int64_t bytes, at; /* at: in its part */
    uint64_t hash;
    int owner, part;
    bool small;       /* lies among the metadata */
    bool late;        /* its bytes come while others train: they are hashed, and where small written, with what the background writes */
    const char *data; /* on the owner */
} tensor_placed;

struct mu_tensor_snapshot {
    int rank, size, n_shards;
    size_t n;
    tensor_placed *item; /* [n] as they were declared */
    tensor_part *part;   /* [n_shards + 1]; the last is the file at the path */
    mu_tensor_room own, *room; /* for copies; room: own, or the caller's */
    bool late;                 /* some are */
    mu_tensor_wait *wait;
    void *wait_user;
};

/* On the lead of part p: makes the temporary file, and an image of the metadata and small items with HDF5, which then is done with. */
MU_CHECKED mu_err tensor_lay_out(mu_tensor_snapshot *s, const mu_tensor_writer *w, int p);

/* Collective, on any thread. Waits for what is late, and puts it, and its checksums, where they belong in the images. */
MU_CHECKED mu_err tensor_finish_late(mu_tensor_snapshot *s, mu_comm *comm);

#endif
