/* What the files of the emulated cuDNN share. */
#ifndef EMULATE_EMULATE_CUDNN_H
#define EMULATE_EMULATE_CUDNN_H

#include "cudnn.h"
#include "emulate.h"

struct cudnnContext {
    cudaStream_t stream;
};

/* Returns status; `why` is what cudnnGetLastErrorString tells. */
cudnnStatus_t emulate_cudnn_error(cudnnStatus_t status, const char *why);

/* ---- cudnn_conv.c ---- */

typedef enum { EMULATE_FORWARD, EMULATE_TO_DATA, EMULATE_TO_FILTER } emulate_direction;

/* [N,C,H,W] or [K,C/groups,R,S], whatever the order in memory. */
typedef struct {
    cudnnDataType_t type;
    int64_t dim[4], stride[4];
} emulate_tensor;

/* One product of a convolution: out = f(sum + beta * (z, else what out holds) + bias). */
typedef struct {
    emulate_direction way;
    int64_t pad[2], stride[2], dilation[2], groups;
    emulate_tensor x, w, y, z, bias;
    float beta;
    bool relu;
    bool tf32, rough; /* operands of 10 bits; results of 8 */
    void *px, *pw, *py;
    const void *pz, *pbias; /* NULL: there is none */
    void *workspace;
    size_t workspace_bytes;
} emulate_conv;

/* Do x, w and y fit? Sets the groups. */
cudnnStatus_t emulate_conv_check(emulate_conv *conv);
/* For emulate_submit. */
cudaError_t emulate_conv_run(const void *conv);

#endif
