/* Data preprocessors: components (kind "data_preprocessor") that turn a collated batch into what the network reads.
 *
 * BaseDataPreprocessor hands everything on. ImgDataPreprocessor turns "img" (u8 or f32 [N,C,H,W]; [N,H,W] counts as one channel) into f32
 * [N,C,H',W']: mean and std per channel, bgr_to_rgb, padding to a multiple of pad_size_divisor. */
#ifndef MU_NN_PREPROCESSOR_H
#define MU_NN_PREPROCESSOR_H

#include "data/batch.h"

typedef struct {
    /* Names and types of what `run` gives for such a batch, without bytes. MU_ERR_SHAPE, MU_ERR_CONFIG for a batch that does not fit. */
    mu_err (*types)(const void *preprocessor, const mu_batch *batch, mu_tensors *out);
    /* Fills the tensors of `out` whose data is not NULL. */
    mu_err (*run)(const void *preprocessor, const mu_batch *batch, bool training, mu_tensors *out);
} mu_preprocessor_ops;

MU_CHECKED mu_err mu_preprocessor_types(const void *preprocessor, const mu_batch *batch, mu_tensors *out);
MU_CHECKED mu_err mu_preprocessor_run(const void *preprocessor, const mu_batch *batch, bool training, mu_tensors *out);

#endif
