#include "eval/metric.h"

#include "core/mem.h"

#include <string.h>

void mu_results_release(mu_results *results)
{
    for (size_t i = 0; i < results->n; i++) {
        mu_free(results->item[i].name);
        mu_free(results->item[i].value);
    }
    mu_free(results->item);
    *results = (mu_results){0};
}

static size_t count(const mu_result *result)
{
    size_t n = 1;
    for (int i = 0; i < result->ndim; i++)
        n *= (size_t)result->dim[i];
    return n;
}

static mu_err add(mu_results *results, const char *name, int ndim, const int64_t dim[2], const double *value)
{
    mu_result r = {.ndim = ndim};
    memcpy(r.dim, dim, sizeof r.dim);
    MU_TRY(mu_grow(&results->item, &results->capacity, results->n + 1, sizeof *results->item));
    mu_err err;
    MU_TRY_GOTO(err, mu_strdup(&r.name, name), fail);
    MU_TRY_GOTO(err, mu_alloc(&r.value, count(&r) * sizeof *value), fail);
    memcpy(r.value, value, count(&r) * sizeof *value);
    results->item[results->n++] = r;
    return MU_OK;
fail:
    mu_free(r.name);
    return err;
}

mu_err mu_results_add(mu_results *results, const char *name, double value)
{
    return add(results, name, 0, (int64_t[]){0, 0}, &value);
}

mu_err mu_results_add_table(mu_results *results, const char *name, int64_t rows, int64_t columns, const double *value)
{
    int64_t n, bytes;
    if (rows < 0 || columns < 0)
        return MU_FAIL(MU_ERR_USAGE, "result '%s': a table of %lld x %lld", name, (long long)rows, (long long)columns);
    MU_TRY(mu_mul_i64(rows, columns, &n));
    MU_TRY(mu_mul_i64(n, (int64_t)sizeof *value, &bytes));
    return add(results, name, 2, (int64_t[]){rows, columns}, value);
}

const mu_result *mu_results_find(const mu_results *results, const char *name)
{
    for (size_t i = 0; i < results->n; i++)
        if (strcmp(results->item[i].name, name) == 0)
            return &results->item[i];
    return NULL;
}

/* On the wire each result is this, then its name and its values. */
typedef struct {
    uint64_t name_length;
    int64_t ndim, dim[2];
} wire_header;

static mu_err pack(const mu_results *results, void **out, size_t *size)
{
    size_t total = 0;
    char *block;
    for (size_t i = 0; i < results->n; i++)
        total += sizeof(wire_header) + strlen(results->item[i].name) + count(&results->item[i]) * sizeof(double);
    MU_TRY(mu_alloc(&block, total));
    char *at = block;
    for (size_t i = 0; i < results->n; i++) {
        const mu_result *r = &results->item[i];
        wire_header h = {.name_length = strlen(r->name), .ndim = r->ndim, .dim = {r->dim[0], r->dim[1]}};
        memcpy(at, &h, sizeof h);
        at += sizeof h;
        memcpy(at, r->name, h.name_length);
        at += h.name_length;
        memcpy(at, r->value, count(r) * sizeof(double));
        at += count(r) * sizeof(double);
    }
    *out = block;
    *size = total;
    return MU_OK;
}

static mu_err unpack_one(const char **at, mu_results *results)
{
    wire_header h;
    mu_result r = {0};
    memcpy(&h, *at, sizeof h);
    *at += sizeof h;
    r = (mu_result){.ndim = (int)h.ndim, .dim = {h.dim[0], h.dim[1]}};
    MU_TRY(mu_grow(&results->item, &results->capacity, results->n + 1, sizeof *results->item));
    MU_TRY(mu_strndup(&r.name, *at, h.name_length));
    *at += h.name_length;
    mu_err err = mu_alloc(&r.value, count(&r) * sizeof(double));
    if (err) {
        mu_free(r.name);
        return err;
    }
    memcpy(r.value, *at, count(&r) * sizeof(double));
    *at += count(&r) * sizeof(double);
    results->item[results->n++] = r;
    return MU_OK;
}

mu_err mu_results_broadcast(mu_results *results, mu_comm *comm)
{
    void *block = NULL;
    size_t size = 0;
    mu_results theirs = {0};
    mu_err err = mu_comm_is_main(comm) ? pack(results, &block, &size) : MU_OK;
    MU_TRY_GOTO(err, mu_comm_agree(comm, err), done);
    MU_TRY_GOTO(err, mu_comm_broadcast_blob(comm, &block, &size, 0), done);
    if (!mu_comm_is_main(comm))
        for (const char *at = block, *end = at + size; !err && at < end;)
            err = unpack_one(&at, &theirs);
    MU_TRY_GOTO(err, mu_comm_agree(comm, err), done);
    if (!mu_comm_is_main(comm)) {
        mu_results_release(results);
        *results = theirs;
        theirs = (mu_results){0};
    }
done:
    mu_results_release(&theirs);
    mu_free(block);
    return err;
}
