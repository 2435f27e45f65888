#include "core/mem.h"
#include "core/text.h"
#include "dist/comm.h"
#include "dist/doing.h"

#include <stdlib.h>

static int by_name(const void *a, const void *b)
{
    return strcmp((*(mu_named_value *const *)a)->name, (*(mu_named_value *const *)b)->name);
}

/* FNV-1a over the sorted names, their ends included. */
static uint64_t fingerprint(mu_named_value *const *sorted, size_t n)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < n; i++) {
        const char *c = sorted[i]->name;
        do
            h = (h ^ (unsigned char)*c) * 0x100000001b3u;
        while (*c++);
    }
    return h;
}

static mu_err sort_names(mu_named_value *values, size_t n, mu_named_value ***sorted, double **packed)
{
    MU_TRY(mu_calloc(sorted, n, sizeof **sorted));
    MU_TRY(mu_calloc(packed, n, sizeof **packed));
    for (size_t i = 0; i < n; i++)
        (*sorted)[i] = &values[i];
    qsort(*sorted, n, sizeof **sorted, by_name);
    for (size_t i = 1; i < n; i++)
        if (strcmp((*sorted)[i - 1]->name, (*sorted)[i]->name) == 0)
            return MU_FAIL(MU_ERR_USAGE, "all_reduce_dict: the name \"%s\" comes twice", (*sorted)[i]->name);
    return MU_OK;
}

/* The first name in which this rank's sorted names differ from rank 0's (zero-ended, one after the other). */
static mu_err compare_names(mu_named_value *const *sorted, size_t n, const char *names, size_t size)
{
    size_t i = 0;
    for (const char *name = names; name < names + size; name += strlen(name) + 1, i++) {
        int order = i < n ? strcmp(sorted[i]->name, name) : 1;
        if (order > 0)
            return MU_FAIL(MU_ERR_USAGE, "all_reduce_dict: \"%s\" is missing, which rank 0 has", name);
        if (order < 0)
            break;
    }
    if (i < n)
        return MU_FAIL(MU_ERR_USAGE, "all_reduce_dict: rank 0 lacks \"%s\"", sorted[i]->name);
    return MU_OK;
}

/* Collective, when the names differ somewhere: the error that all ranks return. */
static mu_err explain(mu_comm *comm, mu_named_value *const *sorted, size_t n)
{
    mu_text text = {0};
    for (size_t i = 0; comm->rank == 0 && i < n; i++)
        mu_text_append_n(&text, sorted[i]->name, strlen(sorted[i]->name) + 1);
    void *names = text.data;
    size_t size = text.length;
    mu_err err = mu_comm_agree(comm, mu_text_status(&text));
    if (err == MU_OK)
        err = mu_comm_broadcast_blob(comm, &names, &size, 0);
    if (err == MU_OK) {
        err = mu_comm_agree(comm, comm->rank == 0 ? MU_OK : compare_names(sorted, n, names, size));
        if (comm->rank != 0)
            mu_free(names);
    }
    mu_text_release(&text);
    return err;
}

mu_err mu_comm_all_reduce_dict(mu_comm *comm, mu_named_value *values, size_t n, mu_comm_op op)
{
    MU_DOING(comm, "all_reduce_dict");
    enum { SAME, DIFFERENT, FAILED };
    mu_named_value **sorted = NULL;
    double *packed = NULL;
    mu_err err, own = sort_names(values, n, &sorted, &packed);
    uint64_t mine = own == MU_OK ? fingerprint(sorted, n) : 0, main_rank = mine;
    MU_TRY_GOTO(err, mu_comm_broadcast_bytes(comm, &main_rank, sizeof main_rank, 0), done);
    int64_t state = own != MU_OK ? FAILED : mine != main_rank ? DIFFERENT : SAME;
    const mu_error record = *mu_error_last();
    MU_TRY_GOTO(err, mu_comm_all_reduce(comm, &state, 1, MU_I64, MU_COMM_MAX), done);
    if (state == FAILED) {
        if (own != MU_OK)
            mu_error_restore(&record);
        MU_TRY_GOTO(err, mu_comm_agree(comm, own), done);
    }
    if (state == DIFFERENT)
        MU_TRY_GOTO(err, explain(comm, sorted, n), done);
    for (size_t i = 0; i < n; i++)
        packed[i] = sorted[i]->value;
    MU_TRY_GOTO(err, mu_comm_all_reduce(comm, packed, (int64_t)n, MU_F64, op), done);
    for (size_t i = 0; i < n; i++)
        sorted[i]->value = packed[i];
done:
    mu_free(sorted);
    mu_free(packed);
    return err;
}
