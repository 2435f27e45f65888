/* What all communicators of a process share: operations, error texts, the end of MPI. */
#include "comm_mpi.h"

#include "core/mem.h"
#include "dist/reduce.h"

mu_err mpi_fail(int code, const char *call, const char *file, int line, const char *function)
{
    char text[MPI_MAX_ERROR_STRING] = "";
    int length = 0, n = (int)strcspn(call, "(");
    MPI_Error_string(code, text, &length);
    return mu_error_set(MU_ERR_COMM, file, line, function, "%.*s: %s", n, call, text[0] ? text : "unknown error");
}

/* The half types travel as u16, which says nothing about their arithmetic; bool as u8. */
MPI_Datatype mpi_datatype(mu_dtype dtype)
{
    switch (dtype) {
    case MU_F32: return MPI_FLOAT;
    case MU_F64: return MPI_DOUBLE;
    case MU_I64: return MPI_INT64_T;
    case MU_I32: return MPI_INT32_T;
    case MU_F16:
    case MU_BF16: return MPI_UINT16_T;
    default: return MPI_UINT8_T;
    }
}

/* MPI has no arithmetic for the half types and says nothing of NaN in its minima and maxima; Open MPI 4.1 with AVX saturates
 * sums of u8. */
#define OWN_OP_MAP(X)                                                                                                  \
    X(F16, SUM) X(F16, PRODUCT) X(F16, MIN) X(F16, MAX) X(BF16, SUM) X(BF16, PRODUCT) X(BF16, MIN) X(BF16, MAX)        \
    X(F32, MIN) X(F32, MAX) X(F64, MIN) X(F64, MAX) X(U8, SUM)

#define X(dtype, op) +1
_Static_assert(OWN_OP_MAP(X) <= MU_MPI_MAX_OPS, "room for all operations of our own");
#undef X

#define X(dtype, op)                                                                                                   \
    static void combine_##dtype##_##op(void *in, void *inout, int *count, MPI_Datatype *type)                          \
    {                                                                                                                  \
        (void)type;                                                                                                    \
        mu_reduce(inout, in, *count, MU_##dtype, MU_COMM_##op);                                                        \
    }
OWN_OP_MAP(X)
#undef X

mu_err mpi_runtime_init_ops(mpi_runtime *runtime)
{
    for (int d = 0; d < MU_DTYPE_COUNT; d++) {
        MPI_Op *op = runtime->op[d];
        op[MU_COMM_SUM] = MPI_SUM;
        op[MU_COMM_MEAN] = MPI_OP_NULL;
        op[MU_COMM_PRODUCT] = MPI_PROD;
        op[MU_COMM_MIN] = MPI_MIN;
        op[MU_COMM_MAX] = MPI_MAX;
        op[MU_COMM_BAND] = MPI_BAND;
        op[MU_COMM_BOR] = MPI_BOR;
        op[MU_COMM_BXOR] = MPI_BXOR;
    }
#define X(dtype, which)                                                                                                \
    MU_TRY_MPI(MPI_Op_create(combine_##dtype##_##which, 1, &runtime->op[MU_##dtype][MU_COMM_##which]));                \
    runtime->made[runtime->n_made++] = runtime->op[MU_##dtype][MU_COMM_##which];
    OWN_OP_MAP(X)
#undef X
    return MU_OK;
}

void mpi_runtime_release(mpi_runtime *runtime)
{
    if (--runtime->users > 0)
        return;
    int ended = 1;
    MPI_Finalized(&ended);
    for (int i = 0; !ended && i < runtime->n_made; i++)
        MPI_Op_free(&runtime->made[i]);
    if (!ended && runtime->finalize)
        MPI_Finalize();
    mu_free(runtime);
}
