/* Opens arbitrary bytes as a tensor file, and as the index and as a shard of one, and reads all that is said to be in it. */
#include "io/tensor_file.h"

#include "fuzz.h"

#include <sys/stat.h>

#define FORMAT "checkpoint"

static void read_entry(const mu_tensor_file *file, int i)
{
    const mu_tensor_entry *entry = mu_tensor_file_at(file, i);
    size_t bytes = mu_type_bytes(&entry->type);
    struct stat info;
    int64_t size = stat(entry->file, &info) == 0 ? (int64_t)info.st_size : 0;
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

static void open_and_read(const char *path)
{
    mu_tensor_file *file;
    int64_t live = mu_mem_get_counts().live_blocks;
    mu_err err = mu_tensor_file_open(path, FORMAT, 1, &file);
    if (!err) {
        for (int i = 0; i < mu_tensor_file_count(file); i++)
            read_entry(file, i);
        mu_tensor_file_release(file);
    } else if (err != MU_ERR_NOT_FOUND && err != MU_ERR_USAGE)
        may_refuse(err);
    if (mu_mem_get_counts().live_blocks != live)
        die("memory is left", mu_error_last()->message);
}

/* A good index and its good shards, beside the file with the bytes. */
static char index_path[96], shard_path[128];
static fuzz_bytes good_index, good_shard;

static void spill(const char *path, const uint8_t *data, size_t size)
{
    unlink(path);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(data, 1, size, file) != size || fclose(file) != 0)
        die("cannot be written", path);
}

static void declare(mu_tensor_writer *writer, int tensors, int64_t length)
{
    static const float values[8192] = {1, 2, 3};
    must(mu_tensor_writer_text(writer, "/meta/config", "lr: 0.1\n"));
    must(mu_tensor_writer_i64(writer, "/meta/epoch", 3));
    must(mu_tensor_writer_f64(writer, "/meta/lr", 0.1));
    for (int i = 0; i < tensors; i++) {
        char path[40];
        snprintf(path, sizeof path, "/state_dict/layer%d.weight", i);
        must(mu_tensor_writer_add(writer, path, MU_TYPE(MU_F32, 4, i + length), NULL, (void *)values));
    }
}

static void write_seed(const char *path, int tensors, int64_t length, int shards)
{
    mu_comm *comm;
    mu_tensor_writer *writer;
    must(mu_comm_self_new(&comm));
    must(mu_tensor_writer_new(FORMAT, 1, &writer));
    declare(writer, tensors, length);
    must(mu_tensor_writer_set_shards(writer, shards));
    must(mu_tensor_writer_write(writer, comm, path, NULL));
    mu_tensor_writer_release(writer);
    mu_comm_release(comm);
}

static void remove_sharded(void)
{
    unlink(index_path);
    unlink(shard_path);
}

static void make_sharded(void)
{
    if (index_path[0])
        return;
    fuzz_file((const uint8_t *)"", 0);
    atexit(remove_sharded); /* before the folder goes */
    snprintf(index_path, sizeof index_path, "%s/index.h5", fuzz_folder);
    snprintf(shard_path, sizeof shard_path, "%s/index-00000-of-00001.h5", fuzz_folder);
    write_seed(index_path, 3, 256, 1);
    good_index = fuzz_read(index_path);
    good_shard = fuzz_read(shard_path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    make_sharded();
    open_and_read(fuzz_file(data, size));
    spill(index_path, data, size);
    open_and_read(index_path);
    spill(index_path, good_index.data, good_index.size);
    spill(shard_path, data, size);
    open_and_read(index_path);
    spill(shard_path, good_shard.data, good_shard.size);
    return 0;
}

#ifndef MU_LIBFUZZER
static fuzz_bytes seed_of(int tensors)
{
    write_seed(fuzz_file((const uint8_t *)"", 0), tensors, 1, 0);
    return fuzz_read(fuzz_path);
}

static fuzz_bytes copy_of(const fuzz_bytes *bytes)
{
    fuzz_bytes copy = {malloc(bytes->size), bytes->size};
    memcpy(copy.data, bytes->data, bytes->size);
    return copy;
}

int main(int argc, char **argv)
{
    make_sharded();
    fuzz_bytes seed[] = {seed_of(2), seed_of(12), /* few links stand in their group, many in a heap with a tree */
                         copy_of(&good_index), copy_of(&good_shard)};
    fuzz_plan plan = {.seed = seed, .n_seeds = 4, .rounds = 3000};
    int status = fuzz_main(argc, argv, &plan);
    free(good_index.data);
    free(good_shard.data);
    return status;
}
#endif
