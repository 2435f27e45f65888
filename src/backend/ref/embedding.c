#include "backend/ref/ref.h"

#include "backend/ref/index.h"

mu_err REF(embedding)(const mu_call *call, void *const *in, void *const *out, const mu_run *run)
{
    (void)run;
    int64_t rows = call->in[0].dim[0], width = call->in[0].dim[1];
    for (int64_t i = 0; i < mu_type_count(&call->in[1]); i++) {
        int64_t row;
        MU_TRY(ref_index_at(call, in, i, rows, &row));
        memcpy((real *)out[0] + i * width, (const real *)in[0] + row * width, (size_t)width * sizeof(real));
    }
    return MU_OK;
}

mu_err REF(embedding_grad)(const mu_call *call, void *const *in, void *const *out, const mu_run *run)
{
    (void)run;
    int64_t rows = call->out[0].dim[0], width = call->out[0].dim[1];
    memset(out[0], 0, mu_type_bytes(&call->out[0]));
    for (int64_t i = 0; i < mu_type_count(&call->in[1]); i++) {
        int64_t row;
        MU_TRY(ref_index_at(call, in, i, rows, &row));
        for (int64_t j = 0; j < width; j++)
            ((real *)out[0])[row * width + j] += ((const real *)in[0])[i * width + j];
    }
    return MU_OK;
}
