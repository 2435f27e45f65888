#include "core/mem.h"
#include "core/text.h"
#include "dist/comm.h"
#include "dist/doing.h"

#include <stdlib.h>

static int by_name(const void *a, const void *b)
{
    return strcmp(((const mu_tensor *)a)->name, ((const mu_tensor *)b)->name);
}

/* The sorted names and their types: "acc", "f64[]", "grad", "f32[3]", each with its end. */
static void describe(mu_text *text, const mu_tensor *sorted, size_t n)
{
    char type[MU_TYPE_TEXT];
    for (size_t i = 0; i < n; i++) {
        mu_text_append_n(text, sorted[i].name, strlen(sorted[i].name) + 1);
        mu_type_format(&sorted[i].type, type);
        mu_text_append_n(text, type, strlen(type) + 1);
    }
}

/* FNV-1a. */
static uint64_t fingerprint(const mu_text *text)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < text->length; i++)
        h = (h ^ (unsigned char)text->data[i]) * 0x100000001b3u;
    return h;
}

static mu_err prepare(const char *call, mu_tensor *sorted, size_t n, mu_text *text)
{
    if (n > 0)
        qsort(sorted, n, sizeof *sorted, by_name);
    for (size_t i = 1; i < n; i++)
        if (strcmp(sorted[i - 1].name, sorted[i].name) == 0)
            return MU_FAIL(MU_ERR_USAGE, "%s: the name \"%s\" comes twice", call, sorted[i].name);
    describe(text, sorted, n);
    MU_TRY(mu_text_status(text));
    return MU_OK;
}

/* The first place in which this rank's sorted names and types differ from rank 0's. */
static mu_err compare(const char *call, const mu_tensor *sorted, size_t n, const char *theirs, size_t size)
{
    size_t i = 0;
    char mine[MU_TYPE_TEXT];
    for (const char *name = theirs, *type, *end = theirs + size; name < end; name = type + strlen(type) + 1, i++) {
        type = name + strlen(name) + 1;
        int order = i < n ? strcmp(sorted[i].name, name) : 1;
        if (order > 0)
            return MU_FAIL(MU_ERR_USAGE, "%s: \"%s\" is missing, which rank 0 has", call, name);
        if (order < 0)
            break;
        if (strcmp(mu_type_format(&sorted[i].type, mine), type) != 0)
            return MU_FAIL(MU_ERR_USAGE, "%s: \"%s\" is %s, on rank 0 it is %s", call, name, mine, type);
    }
    if (i < n)
        return MU_FAIL(MU_ERR_USAGE, "%s: rank 0 lacks \"%s\"", call, sorted[i].name);
    return MU_OK;
}

/* Collective, when something differs somewhere: the error that all ranks return. */
static mu_err explain(mu_comm *comm, const char *call, const mu_tensor *sorted, size_t n, const mu_text *text)
{
    void *theirs = text->data;
    size_t size = text->length;
    MU_TRY(mu_comm_broadcast_blob(comm, &theirs, &size, 0));
    mu_err err = mu_comm_agree(comm, comm->rank == 0 ? MU_OK : compare(call, sorted, n, theirs, size));
    if (comm->rank != 0)
        mu_free(theirs);
    return err;
}

/* Sorts what it is given. `own`: an error that this rank brings. */
static mu_err all_reduce(mu_comm *comm, const char *call, mu_tensor *sorted, size_t n, mu_comm_op op, mu_err own)
{
    mu_text text = {0};
    if (own == MU_OK)
        own = prepare(call, sorted, n, &text);
    mu_err err;
    MU_TRY_GOTO(err, mu_comm_agree(comm, own), done);
    uint64_t mine = fingerprint(&text), main_rank = mine;
    MU_TRY_GOTO(err, mu_comm_broadcast_bytes(comm, &main_rank, sizeof main_rank, 0), done);
    int64_t different = mine != main_rank;
    MU_TRY_GOTO(err, mu_comm_all_reduce(comm, &different, 1, MU_I64, MU_COMM_MAX), done);
    if (different)
        MU_TRY_GOTO(err, explain(comm, call, sorted, n, &text), done);
    MU_TRY_GOTO(err, mu_comm_all_reduce_params(comm, sorted, n, op, SIZE_MAX), done);
done:
    mu_text_release(&text);
    return err;
}

mu_err mu_comm_all_reduce_dict(mu_comm *comm, mu_named_value *values, size_t n, mu_comm_op op)
{
    MU_DOING(comm, "all_reduce_dict");
    mu_tensor *sorted = NULL;
    mu_err err = mu_calloc(&sorted, n, sizeof *sorted);
    for (size_t i = 0; err == MU_OK && i < n; i++)
        sorted[i] = (mu_tensor){.name = values[i].name, .type = MU_SCALAR(MU_F64), .data = &values[i].value};
    err = all_reduce(comm, "all_reduce_dict", sorted, n, op, err);
    mu_free(sorted);
    return err;
}

mu_err mu_comm_all_reduce_tensors(mu_comm *comm, const mu_tensor *tensors, size_t n, mu_comm_op op)
{
    MU_DOING(comm, "all_reduce_tensors");
    mu_tensor *sorted = NULL;
    mu_err err = mu_calloc(&sorted, n, sizeof *sorted);
    if (err == MU_OK && n > 0)
        memcpy(sorted, tensors, n * sizeof *sorted);
    err = all_reduce(comm, "all_reduce_tensors", sorted, n, op, err);
    mu_free(sorted);
    return err;
}
