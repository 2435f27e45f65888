/* The dataset file: samples by index, in plain HDF5 (doc/formats.md).
 *
 * Opening and finishing use HDF5 and are for the thread that owns it; reading samples is for any thread. Not collective. */
#ifndef MU_DATA_H5_DATASET_H
#define MU_DATA_H5_DATASET_H

#include "core/type.h"
#include "dist/comm.h"

enum { MU_H5_DATASET_VERSION = 1, MU_H5_MAX_FIELDS = 64 };

typedef struct {
    const char *name; /* letters, digits, '_', '-', '.'; not ending in "_offsets" */
    mu_type sample;   /* dtype and shape of one sample; a variable one is u8 with ndim 0 */
    bool variable;    /* samples are byte strings of any length: encoded images, text */
    int64_t bytes;    /* of all samples; a writer's variable field must say so beforehand */
} mu_h5_field;

typedef struct mu_h5_dataset mu_h5_dataset;

/* Checks everything but the checksums of the samples: format, version, that the fields hold equally many samples and lie whole
 * in the file, the offsets of variable ones, the metainfo and its checksum. MU_ERR_IO when there is no such file, MU_ERR_FORMAT
 * for what is wrong in it. */
MU_CHECKED mu_err mu_h5_dataset_open(const char *path, mu_h5_dataset **out);
void mu_h5_dataset_release(mu_h5_dataset *dataset); /* NULL is allowed */

const char *mu_h5_dataset_path(const mu_h5_dataset *dataset);
const char *mu_h5_dataset_uuid(const mu_h5_dataset *dataset);
const char *mu_h5_dataset_meta(const mu_h5_dataset *dataset); /* the JSON text */
int64_t mu_h5_dataset_count(const mu_h5_dataset *dataset);    /* samples */
/* Names of the classes, from the metainfo; 0 when it names none. */
int64_t mu_h5_dataset_n_classes(const mu_h5_dataset *dataset);
const char *mu_h5_dataset_class(const mu_h5_dataset *dataset, int64_t i);
/* Fields in the order of their names. */
int mu_h5_dataset_n_fields(const mu_h5_dataset *dataset);
const mu_h5_field *mu_h5_dataset_field(const mu_h5_dataset *dataset, int i);
/* MU_ERR_NOT_FOUND tells which fields there are. */
MU_CHECKED mu_err mu_h5_dataset_find(const mu_h5_dataset *dataset, const char *name, int *out);

/* Bytes of a sample. Any thread. MU_ERR_USAGE for an index outside. */
MU_CHECKED mu_err mu_h5_dataset_sample_bytes(const mu_h5_dataset *dataset, int field, int64_t index, size_t *out);
/* Reads sample `index` into out[size]; size is what mu_h5_dataset_sample_bytes tells. Any thread. A label outside of the
 * classes is MU_ERR_FORMAT. */
MU_CHECKED mu_err mu_h5_dataset_read(const mu_h5_dataset *dataset, int field, int64_t index, void *out, size_t size);

/* Samples index[n] of a field of fixed shape, one after the other; neighbours in the file are read at once. Any thread. */
MU_CHECKED mu_err mu_h5_dataset_read_many(const mu_h5_dataset *dataset, int field, const int64_t *index, int64_t n, void *out);
/* A whole field of fixed shape: out has field->bytes. Compares the checksum, where the file has one, and the range of labels. */
MU_CHECKED mu_err mu_h5_dataset_read_all(const mu_h5_dataset *dataset, int field, void *out);

/* Called now and then by what takes long. */
typedef void mu_h5_tick(void *user, int64_t done, int64_t total);

/* Reads a whole field: its checksums, and the range of its labels. MU_ERR_FORMAT names the bad dataset. Any thread. tick may
 * be NULL. */
MU_CHECKED mu_err mu_h5_dataset_verify(const mu_h5_dataset *dataset, int field, mu_h5_tick *tick, void *user);

/* Writes such a file, sample after sample, field by field or interleaved. It stands under its name, whole and flushed, after
 * mu_h5_writer_finish; until then what was there before is untouched. */
typedef struct mu_h5_writer mu_h5_writer;

/* n_samples of each field, copied; `meta` is a JSON object, its "classes" a list of names or absent. Space for all is
 * reserved now. */
MU_CHECKED mu_err mu_h5_writer_new(const char *path, const mu_h5_field *field, int n_fields, int64_t n_samples,
                                   const char *meta, mu_h5_writer **out);
/* Collective. The same by all ranks together, with equal arguments: each writes a run of samples of its own. The bytes of the file are the
 * same (but for the UUID) whatever the number of ranks. comm is borrowed. */
MU_CHECKED mu_err mu_h5_writer_new_shared(mu_comm *comm, const char *path, const mu_h5_field *field, int n_fields,
                                          int64_t n_samples, const char *meta, mu_h5_writer **out);
/* The run of this rank begins at this sample, which begins at this byte of the field. Before the first append. */
MU_CHECKED mu_err mu_h5_writer_begin_at(mu_h5_writer *writer, int field, int64_t sample, int64_t byte);
/* The next sample of a field, or with fixed shapes several. MU_ERR_SHAPE when bytes do not fit, MU_ERR_FORMAT for labels
 * outside of the classes. */
MU_CHECKED mu_err mu_h5_writer_append(mu_h5_writer *writer, int field, const void *data, size_t bytes);
/* MU_ERR_USAGE when samples are missing. Collective for a shared one. */
MU_CHECKED mu_err mu_h5_writer_finish(mu_h5_writer *writer);
/* Collective. The same with what went wrong on this rank so far, or MU_OK: then no rank finishes, and all return it. */
MU_CHECKED mu_err mu_h5_writer_finish_shared(mu_h5_writer *writer, mu_err err);
/* Removes an unfinished file. Not collective. NULL is allowed. */
void mu_h5_writer_release(mu_h5_writer *writer);

#endif
