#include "dist/average.h"

#include "core/mem.h"
#include "dist/doing.h"

enum { ON_THE_WAY = 4 };

mu_err mu_comm_average(mu_comm *comm, void *data, int64_t count, mu_dtype dtype, size_t bucket_bytes)
{
    MU_DOING(comm, "average");
    mu_request request[ON_THE_WAY] = {0};
    unsigned slot = 0;
    size_t size, bytes;
    if (count < 0 || !mu_dtype_is_float(dtype))
        return MU_FAIL(MU_ERR_USAGE, "average: %lld elements of %s: expected 0 or more floats", (long long)count,
                       mu_dtype_name(dtype));
    if (comm->size == 1)
        return MU_OK;
    size = mu_dtype_size(dtype);
    MU_TRY(mu_mul_size((size_t)count, size, &bytes));
    int64_t step = bucket_bytes > bytes ? count : (int64_t)(bucket_bytes / size);
    step = step > 0 ? step : 1;
    for (int64_t at = 0; at < count; at += step) {
        mu_request *next = &request[slot++ % ON_THE_WAY];
        MU_TRY(mu_request_wait(next));
        MU_TRY(mu_comm_start_all_reduce(comm, (char *)data + (size_t)at * size, count - at < step ? count - at : step,
                                        dtype, MU_COMM_MEAN, next));
    }
    for (unsigned i = 0; i < ON_THE_WAY; i++)
        MU_TRY(mu_request_wait(&request[slot++ % ON_THE_WAY]));
    return MU_OK;
}
