/* Named tensors in host memory: views. Who fills a list says who owns names and bytes. */
#ifndef MU_CORE_TENSOR_H
#define MU_CORE_TENSOR_H

#include "core/type.h"

enum { MU_MAX_TENSORS = 32 };

typedef struct {
    const char *name;
    mu_type type;
    void *data; /* row-major */
} mu_tensor;

typedef struct {
    int n;
    mu_tensor item[MU_MAX_TENSORS];
} mu_tensors;

/* NULL when there is none of this name. */
const mu_tensor *mu_tensors_find(const mu_tensors *list, const char *name);
/* Replaces the one of this name or appends. MU_ERR_OVERFLOW beyond MU_MAX_TENSORS. */
MU_CHECKED mu_err mu_tensors_put(mu_tensors *list, const char *name, mu_type type, void *data);
/* "img u8[64,1,8,8], gt_label i64[64]": for messages. Cut to fit; returns buf. */
const char *mu_tensors_format(const mu_tensors *list, char *buf, size_t size);

#endif
