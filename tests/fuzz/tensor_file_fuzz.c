/* Opens arbitrary bytes as a tensor file, and reads all that is said to be in it. */
#include "io/tensor_file.h"

#include "fuzz.h"

#define FORMAT "checkpoint"

static void read_entry(const mu_tensor_file *file, int i)
{
    const mu_tensor_entry *entry = mu_tensor_file_at(file, i);
    size_t bytes = mu_type_bytes(&entry->type);
    int64_t size = mu_tensor_file_bytes(file);
    if (entry->offset < 0 || entry->offset > size || bytes > (size_t)(size - entry->offset))
        die("lies outside of the file", entry->path);
    if (mu_tensor_file_find(file, entry->path) != i)
        die("is not found", entry->path);
    void *data = malloc(bytes ? bytes : 1);
    may_refuse(mu_tensor_file_read(file, i, data, bytes));
    free(data);
    if (entry->text) {
        char *text = NULL;
        may_refuse(mu_tensor_file_text(file, entry->path, &text));
        mu_free(text);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mu_tensor_file *file;
    int64_t live = mu_mem_get_counts().live_blocks;
    mu_err err = mu_tensor_file_open(fuzz_file(data, size), FORMAT, 1, &file);
    if (!err) {
        for (int i = 0; i < mu_tensor_file_count(file); i++)
            read_entry(file, i);
        mu_tensor_file_release(file);
    } else if (err != MU_ERR_NOT_FOUND && err != MU_ERR_USAGE)
        may_refuse(err);
    if (mu_mem_get_counts().live_blocks != live)
        die("memory is left", mu_error_last()->message);
    return 0;
}

#ifndef MU_LIBFUZZER
static fuzz_bytes seed_of(int tensors)
{
    static const float values[64] = {1, 2, 3};
    mu_comm *comm;
    mu_tensor_writer *writer;
    must(mu_comm_self_new(&comm));
    must(mu_tensor_writer_new(FORMAT, 1, &writer));
    must(mu_tensor_writer_text(writer, "/meta/config", "lr: 0.1\n"));
    must(mu_tensor_writer_i64(writer, "/meta/epoch", 3));
    must(mu_tensor_writer_f64(writer, "/meta/lr", 0.1));
    for (int i = 0; i < tensors; i++) {
        char path[40];
        snprintf(path, sizeof path, "/state_dict/layer%d.weight", i);
        must(mu_tensor_writer_add(writer, path, MU_TYPE(MU_F32, 4, i + 1), NULL, (void *)values));
    }
    must(mu_tensor_writer_write(writer, comm, fuzz_file((const uint8_t *)"", 0), NULL));
    mu_tensor_writer_release(writer);
    mu_comm_release(comm);
    return fuzz_read(fuzz_path);
}

int main(int argc, char **argv)
{
    fuzz_bytes seed[] = {seed_of(2), seed_of(12)}; /* few links stand in their group, many in a heap with a tree */
    fuzz_plan plan = {.seed = seed, .n_seeds = 2, .rounds = 3000};
    return fuzz_main(argc, argv, &plan);
}
#endif
