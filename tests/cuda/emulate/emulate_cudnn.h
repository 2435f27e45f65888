/* What the files of the emulated cuDNN share. */
#ifndef EMULATE_EMULATE_CUDNN_H
#define EMULATE_EMULATE_CUDNN_H

#include "cudnn.h"
#include "emulate.h"

struct cudnnContext {
    cudaStream_t stream;
};
/* [N,C,H,W], whatever the order in memory. */
struct cudnnTensorStruct {
    cudnnDataType_t type;
    int dim[4], stride[4];
};
struct cudnnFilterStruct {
    struct cudnnTensorStruct tensor; /* [K,C/groups,R,S] */
};
struct cudnnConvolutionStruct {
    int pad[2], stride[2], dilation[2], groups;
    cudnnMathType_t math;
};
struct cudnnActivationStruct {
    cudnnActivationMode_t mode;
    double coefficient;
};

/* Returns status; `why` is what cudnnGetLastErrorString tells. */
cudnnStatus_t emulate_cudnn_error(cudnnStatus_t status, const char *why);

#endif
