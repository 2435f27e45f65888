/* What the fuzz targets share: seeds made by the target itself, mutations of them in a sequence that is always the same, files to
 * read again.
 *
 * With -DMU_LIBFUZZER a target is one for libFuzzer. Without: it replays the files it is given, or runs a fixed number of rounds;
 * MU_TEST_SEED chooses others. */
#ifndef MU_TESTS_FUZZ_FUZZ_H
#define MU_TESTS_FUZZ_FUZZ_H

#include "core/error.h"
#include "core/mem.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* HDF5 1.10 loses memory of its own when metadata are damaged. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libhdf5";
}

static inline void die(const char *what, const char *text)
{
    fprintf(stderr, "%s:\n%s\n", what, text);
    abort();
}

static inline void must(mu_err err)
{
    if (err)
        die("failed", mu_error_last()->message);
}

/* The error, if any, is one of those that damage may cause. */
static inline void may_refuse(mu_err err)
{
    if (err && err != MU_ERR_FORMAT && err != MU_ERR_IO && err != MU_ERR_UNSUPPORTED)
        die(mu_err_name(err), mu_error_last()->message);
}

/* A file with these bytes; the same path each time, gone at exit. */
static char fuzz_folder[64], fuzz_path[80];

static inline void fuzz_remove(void)
{
    unlink(fuzz_path);
    rmdir(fuzz_folder);
}

static inline const char *fuzz_file(const uint8_t *data, size_t size)
{
    if (!fuzz_path[0]) {
        snprintf(fuzz_folder, sizeof fuzz_folder, "/tmp/muster-fuzz-XXXXXX");
        if (!mkdtemp(fuzz_folder))
            die("no folder", fuzz_folder);
        snprintf(fuzz_path, sizeof fuzz_path, "%s/file", fuzz_folder);
        atexit(fuzz_remove);
    }
    unlink(fuzz_path); /* truncating would wait for the disk */
    FILE *file = fopen(fuzz_path, "wb");
    if (!file || fwrite(data, 1, size, file) != size || fclose(file) != 0)
        die("cannot be written", fuzz_path);
    return fuzz_path;
}

/* Bytes to start from; freed by free. */
typedef struct {
    uint8_t *data;
    size_t size;
} fuzz_bytes;

static inline fuzz_bytes fuzz_read(const char *path)
{
    fuzz_bytes bytes = {NULL, 0};
    size_t n;
    FILE *file = fopen(path, "rb");
    if (!file)
        die("cannot be read", path);
    do {
        bytes.data = realloc(bytes.data, bytes.size + (1 << 16));
        n = fread(bytes.data + bytes.size, 1, 1 << 16, file);
        bytes.size += n;
    } while (n > 0);
    fclose(file);
    return bytes;
}

static inline fuzz_bytes fuzz_text(const char *text)
{
    fuzz_bytes bytes = {malloc(strlen(text) + 1), strlen(text)};
    memcpy(bytes.data, text, bytes.size + 1);
    return bytes;
}

static uint64_t fuzz_state;

static inline unsigned draw(unsigned n)
{
    fuzz_state ^= fuzz_state << 13;
    fuzz_state ^= fuzz_state >> 7;
    fuzz_state ^= fuzz_state << 17;
    return (unsigned)((fuzz_state >> 16) % n);
}

/* Numbers at the edges, little-endian, of 1, 2, 4 or 8 bytes; or words of the language, where one is given. */
static inline size_t fuzz_token(uint8_t token[64], const char *const *words, unsigned n_words)
{
    static const uint64_t edges[] = {0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff, INT64_MAX,
        (uint64_t)INT64_MAX + 1, UINT64_MAX};
    if (n_words > 0) {
        const char *word = words[draw(n_words)];
        memcpy(token, word, strlen(word));
        return strlen(word);
    }
    uint64_t edge = edges[draw(sizeof edges / sizeof *edges)];
    memcpy(token, &edge, sizeof edge);
    return (size_t)1 << draw(4);
}

/* One to six changes, rather few, beyond the first `fixed` bytes. data has room for 512 bytes more. */
static inline size_t fuzz_mutate(uint8_t *data, size_t n, size_t fixed, const char *const *words, unsigned n_words)
{
    uint8_t token[64];
    for (unsigned k = 1 + draw(1 + draw(6)); k > 0 && n > fixed + 1; k--) {
        size_t at = fixed + draw((unsigned)(n - fixed)), length = 1 + draw(8);
        length = length < n - at ? length : n - at;
        switch (draw(5)) {
        case 0: data[at] ^= (uint8_t)(1 << draw(8)); break;
        case 1: data[at] = (uint8_t)draw(256); break;
        case 2: /* cut a part out */
            memmove(data + at, data + at + length, n - at - length);
            n -= length;
            break;
        case 3: /* overwrite by a token, or insert a word */
            length = fuzz_token(token, words, n_words);
            if (n_words > 0 || at + length > n) {
                memmove(data + at + length, data + at, n - at);
                n += length;
            }
            memcpy(data + at, token, length);
            break;
        default: /* double a part */
            memmove(data + at + length, data + at, n - at);
            n += length;
        }
    }
    return n > fixed && draw(32) == 0 ? fixed + draw((unsigned)(n - fixed)) : n; /* the end is lost */
}

typedef struct {
    const fuzz_bytes *seed;
    unsigned n_seeds;
    int rounds;
    size_t fixed; /* bytes at the beginning that stay */
    const char *const *words;
    unsigned n_words;
} fuzz_plan;

static inline void fuzz_rounds(const fuzz_plan *plan)
{
    unsigned long long seed = getenv("MU_TEST_SEED") ? strtoull(getenv("MU_TEST_SEED"), NULL, 0) : 1;
    printf("seed %llu\n", seed);
    fuzz_state = seed * 2 + 1;
    for (unsigned i = 0; i < plan->n_seeds; i++)
        LLVMFuzzerTestOneInput(plan->seed[i].data, plan->seed[i].size);
    for (int i = 0; i < plan->rounds; i++) {
        const fuzz_bytes *from = &plan->seed[draw(plan->n_seeds)];
        uint8_t *room = malloc(from->size + 512), *exact;
        memcpy(room, from->data, from->size);
        size_t n = fuzz_mutate(room, from->size, plan->fixed, plan->words, plan->n_words);
        exact = malloc(n ? n : 1); /* reading past the end shows */
        memcpy(exact, room, n);
        free(room);
        LLVMFuzzerTestOneInput(exact, n);
        free(exact);
    }
}

/* Replays the files, if there are arguments. */
static inline int fuzz_main(int argc, char **argv, const fuzz_plan *plan)
{
    for (int i = 1; i < argc; i++) {
        fuzz_bytes bytes = fuzz_read(argv[i]);
        LLVMFuzzerTestOneInput(bytes.data, bytes.size);
        free(bytes.data);
    }
    if (argc == 1)
        fuzz_rounds(plan);
    for (unsigned i = 0; i < plan->n_seeds; i++)
        free(plan->seed[i].data);
    return 0;
}

#endif
