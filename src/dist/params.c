#include "core/mem.h"
#include "dist/check.h"
#include "dist/doing.h"

/* Tensors of one dtype that travel together: some of those from `first` on. */
typedef struct {
    size_t first, end, members;
    size_t bytes;
} bucket;

/* The next one of this dtype, from `at` on; false: there is none. */
static bool next_bucket(const mu_tensor *tensors, size_t n, mu_dtype dtype, size_t bucket_bytes, size_t at, bucket *out)
{
    bucket b = {.first = n};
    for (size_t i = at; i < n; i++) {
        size_t bytes = mu_type_bytes(&tensors[i].type);
        if (tensors[i].type.dtype != dtype)
            continue;
        if (b.members > 0 && (bytes > bucket_bytes || b.bytes > bucket_bytes - bytes))
            break;
        if (b.members++ == 0)
            b.first = i;
        b.bytes += bytes;
        b.end = i + 1;
    }
    *out = b;
    return b.members > 0;
}

/* Between the tensors of a bucket and `packed`. */
static void move(const mu_tensor *tensors, const bucket *b, unsigned char *packed, bool in)
{
    mu_dtype dtype = tensors[b->first].type.dtype;
    for (size_t i = b->first; i < b->end; i++) {
        size_t bytes = mu_type_bytes(&tensors[i].type);
        if (tensors[i].type.dtype != dtype || bytes == 0)
            continue;
        memcpy(in ? packed : tensors[i].data, in ? tensors[i].data : packed, bytes);
        packed += bytes;
    }
}

static mu_err check(const mu_tensor *tensors, size_t n, mu_comm_op op, size_t bucket_bytes, size_t *most)
{
    size_t total = 0;
    for (size_t i = 0; i < n; i++) {
        mu_type type = tensors[i].type;
        mu_dtype dtype = type.dtype;
        mu_comm_op wire_op = op;
        size_t bytes;
        MU_TRY(mu_check_buffer("all_reduce_params", mu_type_count(&type), dtype, 1, &bytes));
        MU_TRY(mu_check_reduction("all_reduce_params", &dtype, &wire_op));
        MU_TRY(mu_add_size(total, bytes, &total));
    }
    *most = 0;
    bucket b;
    for (mu_dtype dtype = MU_NONE + 1; dtype < MU_DTYPE_COUNT; dtype++)
        for (size_t at = 0; next_bucket(tensors, n, dtype, bucket_bytes, at, &b); at = b.end)
            if (b.members > 1 && b.bytes > *most)
                *most = b.bytes;
    return MU_OK;
}

static mu_err reduce(mu_comm *comm, const mu_tensor *tensors, const bucket *b, mu_comm_op op, unsigned char *packed)
{
    mu_dtype dtype = tensors[b->first].type.dtype;
    void *data = b->members > 1 ? packed : tensors[b->first].data;
    if (b->members > 1)
        move(tensors, b, packed, true);
    MU_TRY(mu_comm_all_reduce(comm, data, (int64_t)(b->bytes / mu_dtype_size(dtype)), dtype, op));
    if (b->members > 1)
        move(tensors, b, packed, false);
    return MU_OK;
}

mu_err mu_comm_all_reduce_params(mu_comm *comm, const mu_tensor *tensors, size_t n, mu_comm_op op, size_t bucket_bytes)
{
    unsigned char *packed = NULL;
    size_t most = 0;
    bucket b;
    MU_DOING(comm, "all_reduce_params");
    mu_err err = check(tensors, n, op, bucket_bytes, &most);
    if (err == MU_OK && most > 0)
        err = mu_alloc(&packed, most);
    MU_TRY_GOTO(err, mu_comm_agree(comm, err), done);
    for (mu_dtype dtype = MU_NONE + 1; dtype < MU_DTYPE_COUNT; dtype++)
        for (size_t at = 0; next_bucket(tensors, n, dtype, bucket_bytes, at, &b); at = b.end)
            MU_TRY_GOTO(err, reduce(comm, tensors, &b, op, packed), done);
done:
    mu_free(packed);
    return err;
}
