/* HDF5's part of a tensor file: the metadata, in an image of their own. */
#include "config.h"

#include "core/text.h"
#include "io/tensor_snapshot.h"

#include "core/mem.h"

#include <stdio.h>
#include <string.h>

/* About what HDF5 needs for names, shapes and attributes. */
static int64_t metadata_bytes(const mu_tensor_snapshot *s, const mu_tensor_writer *w, int p)
{
    int64_t bytes = 8192;
    for (size_t i = 0; i < w->n; i++)
        if (s->item[i].part == p || p == s->n_shards)
            bytes += 512 + 2 * (int64_t)strlen(w->item[i].path) + TENSOR_CHECKSUM_TEXT;
    return bytes;
}

/* Refuses what cannot be kept before anything is begun: HDF5 1.10 does not survive a limit for files that it meets. */
static mu_err reserve(const mu_tensor_snapshot *s, const mu_tensor_writer *w, int p)
{
    int64_t bytes = 2 * metadata_bytes(s, w, p);
    for (size_t i = 0; i < s->n; i++)
        if (s->item[i].part == p && __builtin_add_overflow(bytes, s->item[i].bytes + TENSOR_PAGE, &bytes))
            return MU_FAIL(MU_ERR_OVERFLOW, "'%s' would have too many bytes", s->part[p].path);
    return mu_replacement_reserve(s->part[p].file, bytes);
}

static mu_err note_checksum(hid_t dataset, uint64_t hash)
{
    char text[TENSOR_CHECKSUM_TEXT];
    tensor_checksum_format(hash, text);
    return mu_h5_set_text(dataset, TENSOR_CHECKSUM, text);
}

static mu_err describe(tensor_part *part, const tensor_declared *it, tensor_placed *to, size_t order, hid_t dataset)
{
    if (!to->late)
        MU_TRY(note_checksum(dataset, to->hash));
    MU_TRY(mu_h5_set_i64(dataset, TENSOR_ORDER, (int64_t)order));
    MU_TRY(mu_h5_dataset_offset(dataset, to->bytes, &to->at));
    if (!to->small || to->late)
        return MU_OK;
    return mu_pwrite(part->scratch.fd, to->data, (size_t)to->bytes, to->at, it->path);
}

static mu_err place(mu_tensor_snapshot *s, const mu_tensor_writer *w, tensor_part *part, size_t i)
{
    const tensor_declared *it = &w->item[i];
    hid_t dataset;
    MU_TRY(mu_h5_groups_create(part->scratch.file, it->path));
    if (it->text)
        MU_TRY(mu_h5_text_create(part->scratch.file, it->path, (size_t)s->item[i].bytes, &dataset));
    else
        MU_TRY(mu_h5_dataset_create(part->scratch.file, it->path, &it->type, &dataset));
    mu_err err = describe(part, it, &s->item[i], i, dataset);
    mu_h5_close(dataset);
    return err;
}

static const char *name_of(const tensor_part *part)
{
    const char *slash = strrchr(part->path, '/');
    return slash ? slash + 1 : part->path;
}

/* [{"file": "a-00000-of-00002.h5", "bytes": 8192, "uuid": "..."}, ...] */
static mu_err list_shards(const mu_tensor_snapshot *s, mu_text *text)
{
    for (int p = 0; p < s->n_shards; p++) {
        const tensor_part *part = &s->part[p];
        mu_text_append(text, p ? ",\n {\"file\": " : "[{\"file\": ");
        mu_text_append_json(text, name_of(part), strlen(name_of(part)));
        mu_text_printf(text, ", \"bytes\": %lld, \"uuid\": \"%s\"}", (long long)part->bytes, part->uuid);
    }
    mu_text_append(text, "]\n");
    return mu_text_status(text);
}

static mu_err write_list(tensor_part *part, const char *data)
{
    hid_t dataset;
    int64_t at = 0;
    size_t n = strlen(data);
    MU_TRY(mu_h5_text_create(part->scratch.file, TENSOR_SHARDS, n, &dataset));
    mu_err err = note_checksum(dataset, XXH3_64bits(data, n));
    err = err ? err : mu_h5_dataset_offset(dataset, (int64_t)n, &at);
    mu_h5_close(dataset);
    return err ? err : mu_pwrite(part->scratch.fd, data, n, at, TENSOR_SHARDS);
}

/* Links, which h5py and h5dump follow, and the list, which we read. */
static mu_err index_shards(const mu_tensor_snapshot *s, const mu_tensor_writer *w, tensor_part *index)
{
    mu_text text = {0};
    for (size_t i = 0; i < s->n; i++)
        if (s->item[i].part < s->n_shards)
            MU_TRY(mu_h5_link_create(index->scratch.file, w->item[i].path, name_of(&s->part[s->item[i].part])));
    mu_err err = list_shards(s, &text);
    err = err ? err : write_list(index, text.data);
    mu_text_release(&text);
    return err;
}

/* Room for the checksums that are not known yet: tensor_late.c. */
static mu_err place_checksums(const mu_tensor_snapshot *s, tensor_part *part)
{
    hid_t dataset;
    size_t bytes = s->n * TENSOR_CHECKSUM_TEXT;
    MU_TRY(mu_h5_text_create(part->scratch.file, TENSOR_CHECKSUMS, bytes, &dataset));
    mu_err err = mu_h5_dataset_offset(dataset, (int64_t)bytes, &part->checksums);
    mu_h5_close(dataset);
    return err;
}

static mu_err identify(const mu_tensor_snapshot *s, const mu_tensor_writer *w, const tensor_part *part)
{
    char *format;
    MU_TRY(part == &s->part[s->n_shards] ? mu_strdup(&format, w->format) : tensor_shard_format(w->format, &format));
    mu_err err = mu_h5_set_text(part->scratch.file, "muster_format", format);
    mu_free(format);
    MU_TRY(err);
    MU_TRY(mu_h5_set_i64(part->scratch.file, "muster_version", w->version));
    return mu_h5_set_text(part->scratch.file, "uuid", part->uuid);
}

/* Small things first: large ones then begin and end at pages of their own. */
mu_err tensor_lay_out(mu_tensor_snapshot *s, const mu_tensor_writer *w, int p)
{
    tensor_part *part = &s->part[p];
    MU_TRY(mu_replacement_new_as(part->path, part->temporary, &part->file));
    MU_TRY(reserve(s, w, p));
    MU_TRY(mu_scratch_open(&part->scratch, TENSOR_PAGE, metadata_bytes(s, w, p)));
    MU_TRY(identify(s, w, part));
    for (int large = 0; large <= 1; large++)
        for (size_t i = 0; i < s->n; i++)
            if (s->item[i].part == p && s->item[i].small != large)
                MU_TRY(place(s, w, part, i));
    for (size_t i = 0; i < s->n && !part->checksums; i++)
        if (s->item[i].part == p && s->item[i].late)
            MU_TRY(place_checksums(s, part));
    if (p == s->n_shards && s->n_shards > 0)
        MU_TRY(index_shards(s, w, part));
    return mu_scratch_finish(&part->scratch, &part->bytes);
}
