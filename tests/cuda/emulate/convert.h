/* Elements of device memory as f32, for the libraries. */
#ifndef EMULATE_CONVERT_H
#define EMULATE_CONVERT_H

#include "library_types.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/type.h"

static inline bool convert_is_float(cudaDataType type)
{
    return type == CUDA_R_32F || type == CUDA_R_16BF || type == CUDA_R_16F;
}

static inline size_t convert_size(cudaDataType type)
{
    return type == CUDA_R_32F ? 4 : 2;
}

static inline float convert_load(cudaDataType type, const void *from, size_t i)
{
    switch (type) {
    case CUDA_R_16BF: return mu_bf16_to_f32(((const uint16_t *)from)[i]);
    case CUDA_R_16F: return mu_f16_to_f32(((const uint16_t *)from)[i]);
    default: return ((const float *)from)[i];
    }
}

static inline void convert_store(cudaDataType type, void *to, size_t i, float x)
{
    switch (type) {
    case CUDA_R_16BF: ((uint16_t *)to)[i] = mu_f32_to_bf16(x); break;
    case CUDA_R_16F: ((uint16_t *)to)[i] = mu_f32_to_f16(x); break;
    default: ((float *)to)[i] = x;
    }
}

#endif
