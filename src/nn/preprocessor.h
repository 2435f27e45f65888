/* Data preprocessors: components (kind "data_preprocessor") between a collated batch and the network, which record what they do in its graph: a batch
 * travels to the device as it is.
 *
 * BaseDataPreprocessor hands everything on. ImgDataPreprocessor turns "img" (u8 or f32 [N,C,H,W]; [N,H,W] counts as one channel) into floats
 * [N,C,H',W']: mean and std per channel, bgr_to_rgb, padding to a multiple of pad_size_divisor. */
#ifndef MU_NN_PREPROCESSOR_H
#define MU_NN_PREPROCESSOR_H

#include "nn/trace.h"
#include "registry/registry.h"

typedef struct {
    /* What the network reads of the batch's `name`, which is `raw`. What does not fit becomes the trace's error: MU_ERR_SHAPE, MU_ERR_CONFIG. */
    mu_value (*record)(const void *preprocessor, mu_trace *t, const char *name, mu_value raw);
} mu_preprocessor_ops;

/* preprocessor: NULL hands on. */
mu_value mu_preprocessor_record(const void *preprocessor, mu_trace *t, const char *name, mu_value raw);

#endif
