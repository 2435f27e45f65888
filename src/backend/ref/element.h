/* Elements of any dtype that the reference kernels compute in: floats as double, integers and bool as int64_t. */
#ifndef MU_BACKEND_REF_ELEMENT_H
#define MU_BACKEND_REF_ELEMENT_H

#include "backend/ref/ref.h"

static inline double ref_load(const void *data, mu_dtype dtype, int64_t i)
{
    switch (dtype) {
    case MU_F64: return ((const double *)data)[i];
    case MU_F32: return ((const float *)data)[i];
    default: return ((const uint8_t *)data)[i];
    }
}

static inline void ref_store(void *data, mu_dtype dtype, int64_t i, double value)
{
    switch (dtype) {
    case MU_F64: ((double *)data)[i] = value; break;
    case MU_F32: ((float *)data)[i] = (float)value; break;
    default: ((uint8_t *)data)[i] = (uint8_t)value;
    }
}

static inline int64_t ref_load_int(const void *data, mu_dtype dtype, int64_t i)
{
    switch (dtype) {
    case MU_I64: return ((const int64_t *)data)[i];
    case MU_I32: return ((const int32_t *)data)[i];
    default: return ((const uint8_t *)data)[i];
    }
}

static inline void ref_store_int(void *data, mu_dtype dtype, int64_t i, int64_t value)
{
    switch (dtype) {
    case MU_I64: ((int64_t *)data)[i] = value; break;
    case MU_I32: ((int32_t *)data)[i] = (int32_t)value; break;
    default: ((uint8_t *)data)[i] = (uint8_t)value;
    }
}

#endif
