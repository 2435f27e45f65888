#include "parallel/bucket.h"

#include "core/cache.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <unistd.h>

enum { SMALL = MU_BUCKET_PROBE_SMALL, LARGE = MU_BUCKET_PROBE_LARGE, REPEATS = 5, MIN_SHIFT = 20, MAX_SHIFT = 26 };

/* ---- what was measured before ---- */

static size_t recall(const char *path)
{
    uint64_t bytes = 0;
    FILE *file = path ? fopen(path, "re") : NULL;
    if (!file)
        return 0;
    bool good = fscanf(file, "%" SCNu64, &bytes) == 1 && bytes >= (1 << MIN_SHIFT) && bytes <= (1 << MAX_SHIFT);
    fclose(file);
    return good ? (size_t)bytes : 0;
}

static mu_err keep(char *path, size_t bytes)
{
    char *temporary;
    MU_TRY(mu_asprintf(&temporary, "%s.%ld", path, (long)getpid()));
    mu_cache_make_folders(path);
    FILE *file = fopen(temporary, "we");
    bool good = file && fprintf(file, "%zu\n", bytes) > 0;
    if (file)
        good = fclose(file) == 0 && good;
    if (!good || rename(temporary, path) != 0) {
        MU_DEBUG("parallel", "the size of buckets is not kept: %s: %s", path, strerror(errno));
        (void)unlink(temporary);
    }
    mu_free(temporary);
    return MU_OK;
}

/* ---- measuring ---- */

/* Collective. The least of several. */
static mu_err time_reduce(mu_comm *comm, float *data, int64_t count, double *seconds)
{
    *seconds = INFINITY;
    for (int i = 0; i < REPEATS; i++) {
        mu_request request = {0};
        double began = mu_clock();
        MU_TRY(mu_comm_start_all_reduce(comm, data, count, MU_F32, MU_COMM_SUM, &request));
        MU_TRY(mu_request_wait(&request));
        *seconds = fmin(*seconds, mu_clock() - began);
    }
    return MU_OK;
}

size_t mu_bucket_best(size_t bytes, double latency, double per_byte)
{
    double wanted = sqrt((double)bytes * latency / per_byte);
    double shift = round(log2(fmax(wanted, 1)));
    return (size_t)1 << (int)fmin(fmax(shift, MIN_SHIFT), MAX_SHIFT);
}

/* Collective. */
static mu_err measure(mu_comm *comm, size_t bytes, size_t *out)
{
    float *data = NULL;
    double small = 0, large = 0;
    mu_err err = mu_comm_agree(comm, mu_calloc(&data, LARGE / sizeof *data, sizeof *data));
    if (!err)
        err = time_reduce(comm, data, SMALL / sizeof *data, &small);
    if (!err)
        err = time_reduce(comm, data, LARGE / sizeof *data, &large);
    mu_free(data);
    MU_TRY(err);
    double per_byte = fmax(large - small, 1e-9) / (LARGE - SMALL);
    *out = mu_bucket_best(bytes, small, per_byte);
    MU_DEBUG("parallel", "all-reduce: %.1f us and %.2f GB/s; %zu bytes of gradients travel in buckets of %zu MiB", small * 1e6,
             1e-9 / per_byte, bytes, *out >> 20);
    return MU_OK;
}

/* A network that was slowed down on purpose tells nothing about later runs. */
static mu_err cache_path(const mu_comm *comm, int nodes, size_t bytes, char **out)
{
    char name[128];
    snprintf(name, sizeof name, "bucket-%s-%d-ranks-%d-nodes-%zu-bytes.txt", comm->ops->name, comm->size, nodes, bytes);
    bool slowed = strcmp(comm->ops->name, "delay") == 0;
    return mu_cache_path(slowed ? "" : NULL, name, out);
}

mu_err mu_bucket_choose(mu_comm *comm, size_t bytes, size_t *out)
{
    int64_t word[2] = {comm->local_rank == 0, 0};
    char *path = NULL;
    size_t size = 0;
    MU_TRY(mu_comm_all_reduce(comm, word, 1, MU_I64, MU_COMM_SUM));
    bool first = mu_comm_is_main(comm);
    mu_err err = first ? cache_path(comm, (int)word[0], bytes, &path) : MU_OK;
    MU_TRY(mu_comm_agree(comm, err));
    word[1] = first ? (int64_t)recall(path) : 0;
    err = mu_comm_broadcast(comm, &word[1], 1, MU_I64, 0);
    size = (size_t)word[1];
    if (!err && size == 0) {
        err = measure(comm, bytes, &size);
        if (!err)
            err = mu_comm_agree(comm, first && path ? keep(path, size) : MU_OK);
        word[1] = (int64_t)size;
        if (!err)
            err = mu_comm_broadcast(comm, &word[1], 1, MU_I64, 0);
    }
    mu_free(path);
    MU_TRY(err);
    *out = (size_t)word[1];
    return MU_OK;
}
