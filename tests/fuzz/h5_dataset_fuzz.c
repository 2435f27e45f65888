/* Opens arbitrary bytes as a dataset file, and reads its samples. */
#include "data/h5_dataset.h"

#include "fuzz.h"

enum { MOST = 1 << 10 }; /* samples that are read: more say nothing new */

static void read_samples(const mu_h5_dataset *dataset, int field)
{
    for (int64_t i = 0; i < mu_h5_dataset_count(dataset) && i < MOST; i++) {
        size_t bytes = 0;
        must(mu_h5_dataset_sample_bytes(dataset, field, i, &bytes));
        if (bytes > (size_t)mu_h5_dataset_field(dataset, field)->bytes)
            die("a sample is larger than its field", mu_h5_dataset_field(dataset, field)->name);
        void *sample = malloc(bytes ? bytes : 1);
        may_refuse(mu_h5_dataset_read(dataset, field, i, sample, bytes));
        free(sample);
    }
}

static void read_field(const mu_h5_dataset *dataset, int i)
{
    const mu_h5_field *field = mu_h5_dataset_field(dataset, i);
    int at;
    must(mu_h5_dataset_find(dataset, field->name, &at));
    read_samples(dataset, i);
    may_refuse(mu_h5_dataset_verify(dataset, i, NULL, NULL));
    if (!field->variable) {
        void *all = malloc(field->bytes ? (size_t)field->bytes : 1);
        may_refuse(mu_h5_dataset_read_all(dataset, i, all));
        free(all);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mu_h5_dataset *dataset;
    int64_t live = mu_mem_get_counts().live_blocks;
    mu_err err = mu_h5_dataset_open(fuzz_file(data, size), &dataset);
    if (!err) {
        for (int64_t i = 0; i < mu_h5_dataset_n_classes(dataset); i++)
            if (!mu_h5_dataset_class(dataset, i))
                die("a class has no name", mu_h5_dataset_meta(dataset));
        for (int i = 0; i < mu_h5_dataset_n_fields(dataset); i++)
            read_field(dataset, i);
        mu_h5_dataset_release(dataset);
    } else if (err != MU_ERR_NOT_FOUND)
        may_refuse(err);
    if (mu_mem_get_counts().live_blocks != live)
        die("memory is left", mu_error_last()->message);
    return 0;
}

#ifndef MU_LIBFUZZER
static fuzz_bytes seed_of(int extra)
{
    enum { N = 6 };
    static const char *const extras[] = {"a", "b", "c", "d", "e", "f", "g", "h"};
    mu_h5_field field[16] = {
        {.name = "images", .sample = {.dtype = MU_U8, .ndim = 3, .dim = {1, 2, 3}}},
        {.name = "labels", .sample = {.dtype = MU_I64}},
        {.name = "notes", .sample = {.dtype = MU_U8}, .variable = true, .bytes = N * (N - 1) / 2},
    };
    int n = 3;
    for (int i = 0; i < extra; i++)
        field[n++] = (mu_h5_field){.name = extras[i], .sample = {.dtype = MU_F32, .ndim = 1, .dim = {2}}};
    mu_h5_writer *writer;
    must(mu_h5_writer_new(fuzz_file((const uint8_t *)"", 0), field, n, N, "{\"classes\": [\"cat\", \"dog\", \"cow\"]}", &writer));
    for (int i = 0; i < N; i++) {
        must(mu_h5_writer_append(writer, 0, "abcdef", 6));
        must(mu_h5_writer_append(writer, 1, &(int64_t){i % 3}, sizeof(int64_t)));
        must(mu_h5_writer_append(writer, 2, "notes", (size_t)i));
        for (int k = 3; k < n; k++)
            must(mu_h5_writer_append(writer, k, (float[2]){1, 2}, 2 * sizeof(float)));
    }
    must(mu_h5_writer_finish(writer));
    mu_h5_writer_release(writer);
    return fuzz_read(fuzz_path);
}

int main(int argc, char **argv)
{
    fuzz_bytes seed[] = {seed_of(0), seed_of(8)}; /* few links stand in their group, many in a heap with a tree */
    fuzz_plan plan = {.seed = seed, .n_seeds = 2, .rounds = 3000};
    return fuzz_main(argc, argv, &plan);
}
#endif
