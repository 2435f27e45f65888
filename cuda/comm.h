/* What the files that use NCCL share. */
#ifndef MU_CUDA_COMM_H
#define MU_CUDA_COMM_H

#include "config.h"

#include "cuda.h"

#ifdef HAVE_NCCL
#include <nccl.h>

/* MU_ERR_COMM with NCCL's own text; nccl: the communicator, or NULL. */
mu_err mu_nccl_fail(ncclResult_t status, ncclComm_t nccl, const char *call, const char *file, int line, const char *function);

#define MU_TRY_NCCL(nccl, expr)                                                                  \
    do {                                                                                         \
        ncclResult_t mu_status_ = (expr);                                                        \
        if (mu_status_ != ncclSuccess)                                                           \
            return mu_nccl_fail(mu_status_, (nccl), #expr, __FILE__, __LINE__, __func__);        \
    } while (0)
#endif

#endif
