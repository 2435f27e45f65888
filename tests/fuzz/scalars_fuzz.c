/* Reads arbitrary bytes as the scalars of a run, JSON lines or HDF5, and the axes they are drawn over. */
#include "vis/scalars.h"

#include "fuzz.h"

#include <math.h>
#include <stdbool.h>

static void check(const mu_scalars *scalars)
{
    for (int kind = MU_AXIS_STEP; kind <= MU_AXIS_TIME; kind++) {
        mu_axis axis;
        mu_err err = mu_axis_init(&axis, scalars, (mu_axis_kind)kind);
        if (err && err != MU_ERR_USAGE)
            die(mu_err_name(err), mu_error_last()->message);
        for (size_t i = 0; !err && i < scalars->n; i++)
            for (size_t k = 0; k < scalars->item[i].n; k++)
                (void)mu_axis_at(&axis, &scalars->item[i].point[k]);
    }
    for (size_t i = 0; i < scalars->n; i++)
        if (mu_scalars_find(scalars, scalars->item[i].tag) != &scalars->item[i])
            die("is not found", scalars->item[i].tag);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mu_scalars scalars;
    char named[96];
    int64_t live = mu_mem_get_counts().live_blocks;
    bool binary = size > 0 && data[0] == 0x89; /* HDF5 begins so; the name tells which it is */
    const char *path = fuzz_file(data, size);
    snprintf(named, sizeof named, "%s.%s", path, binary ? "h5" : "jsonl");
    if (rename(path, named) != 0)
        die("cannot be renamed", path);
    mu_err err = mu_scalars_read(named, &scalars);
    if (!err) {
        check(&scalars);
        mu_scalars_release(&scalars);
    } else if (err != MU_ERR_NOT_FOUND)
        may_refuse(err);
    unlink(named);
    if (mu_mem_get_counts().live_blocks != live)
        die("memory is left", mu_error_last()->message);
    return 0;
}

#ifndef MU_LIBFUZZER
static const char *const words[] = {"[", "]", "{", "}", ",", ":", "\"", "\n", "1e999", "1e300", "-1e300", "-0.0", "9223372036854775807",
    "null", "\\u0000", "\\ud800", "\xff", "\"step\"", "\"epoch\"", "\"iter\"", "{\"step\": 1e25}\n"};

static fuzz_bytes read_named(const char *name)
{
    char path[96];
    snprintf(path, sizeof path, "%s/%s", fuzz_folder, name);
    fuzz_bytes bytes = fuzz_read(path);
    unlink(path);
    return bytes;
}

static void make_seeds(fuzz_bytes *lines, fuzz_bytes *file)
{
    mu_scalars_writer *writer;
    fuzz_file((const uint8_t *)"", 0);
    must(mu_scalars_writer_new(fuzz_folder, &writer));
    for (int i = 1; i < 5; i++) {
        mu_scalar train[] = {{"lr", 0.1}, {"loss", 1.0 / i}, {"epoch", 1 + i / 3}, {"iter", i}};
        must(mu_scalars_writer_add(writer, i, train, 4));
    }
    must(mu_scalars_writer_add(writer, 1, &(mu_scalar){"accuracy/top1", NAN}, 1));
    must(mu_scalars_writer_flush(writer, 0));
    mu_scalars_writer_release(writer);
    *lines = read_named("scalars.jsonl");
    *file = read_named("scalars.h5");
}

/* The lines are mutated with their words, the file with numbers. */
int main(int argc, char **argv)
{
    fuzz_bytes lines, file;
    make_seeds(&lines, &file);
    fuzz_plan text = {.seed = &lines, .n_seeds = 1, .rounds = 5000, .words = words, .n_words = sizeof words / sizeof *words};
    fuzz_plan binary = {.seed = &file, .n_seeds = 1, .rounds = 2000, .fixed = 1};
    int status = fuzz_main(argc, argv, &text);
    if (argc > 1)
        free(file.data);
    else
        status |= fuzz_main(argc, argv, &binary);
    return status;
}
#endif
