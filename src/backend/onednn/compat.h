/* The differences between oneDNN's 2.x and 3.x C interfaces, in one place: the functions below read as 3.x does.
 *
 * mu_dnn_desc owns a memory descriptor (mu_dnn_desc_release), mu_dnn_md borrows one; a NULL mu_dnn_md is an absent operand. */
#ifndef MU_BACKEND_ONEDNN_COMPAT_H
#define MU_BACKEND_ONEDNN_COMPAT_H

#include <oneapi/dnnl/dnnl.h>
#include <oneapi/dnnl/dnnl_debug.h>
#include <stdbool.h>
#include <stddef.h>

#if DNNL_VERSION_MAJOR >= 3
typedef dnnl_memory_desc_t mu_dnn_desc;
typedef const_dnnl_memory_desc_t mu_dnn_md;
#define MU_DNN_DESC_NONE NULL
static inline mu_dnn_md mu_dnn_view(const mu_dnn_desc *desc)
{
    return *desc;
}
#else
typedef dnnl_memory_desc_t mu_dnn_desc;
typedef const dnnl_memory_desc_t *mu_dnn_md;
#define MU_DNN_DESC_NONE ((dnnl_memory_desc_t){.ndims = 0})
static inline mu_dnn_md mu_dnn_view(const mu_dnn_desc *desc)
{
    return desc;
}
#endif

dnnl_status_t mu_dnn_desc_tag(mu_dnn_desc *out, int ndims, const int64_t *dims, dnnl_data_type_t type,
                              dnnl_format_tag_t tag);
dnnl_status_t mu_dnn_desc_strides(mu_dnn_desc *out, int ndims, const int64_t *dims, dnnl_data_type_t type,
                                  const int64_t *strides);
dnnl_status_t mu_dnn_desc_clone(mu_dnn_desc *out, mu_dnn_md from);
/* from's axis i becomes out's axis perm[i]. */
dnnl_status_t mu_dnn_desc_permute(mu_dnn_desc *out, mu_dnn_md from, const int *perm);
void mu_dnn_desc_release(mu_dnn_desc *desc);

/* How a blocked descriptor lies in memory; blocked is false for formats that only oneDNN can read. */
typedef struct {
    bool blocked;
    dnnl_data_type_t type;
    int ndims, n_blocks;
    dnnl_dims_t dims, padded, strides, block, block_axis;
} mu_dnn_blocking;
void mu_dnn_describe(mu_dnn_md md, mu_dnn_blocking *out);
size_t mu_dnn_bytes(mu_dnn_md md);

dnnl_status_t mu_dnn_memory(dnnl_memory_t *out, mu_dnn_md md, dnnl_engine_t engine);

dnnl_status_t mu_dnn_append_eltwise(dnnl_post_ops_t ops, dnnl_alg_kind_t alg, float alpha, float beta);
dnnl_status_t mu_dnn_append_sum(dnnl_post_ops_t ops);
dnnl_status_t mu_dnn_append_hard_swish(dnnl_post_ops_t ops);

/* Primitive descriptors, owned by the caller (dnnl_primitive_desc_destroy). */
typedef struct {
    dnnl_dims_t strides, dilates, pad_l, pad_r;
} mu_dnn_window;
dnnl_status_t mu_dnn_conv(dnnl_primitive_desc_t *out, dnnl_engine_t engine, dnnl_alg_kind_t alg, mu_dnn_md src,
                          mu_dnn_md weights, mu_dnn_md bias, mu_dnn_md dst, const mu_dnn_window *window,
                          const_dnnl_primitive_attr_t attr);
dnnl_status_t mu_dnn_conv_grad_input(dnnl_primitive_desc_t *out, dnnl_engine_t engine, dnnl_alg_kind_t alg, mu_dnn_md src,
                                     mu_dnn_md weights, mu_dnn_md dst, const mu_dnn_window *window,
                                     const_dnnl_primitive_desc_t forward, const_dnnl_primitive_attr_t attr);
dnnl_status_t mu_dnn_conv_grad_weight(dnnl_primitive_desc_t *out, dnnl_engine_t engine, dnnl_alg_kind_t alg,
                                      mu_dnn_md src, mu_dnn_md weights, mu_dnn_md bias, mu_dnn_md dst,
                                      const mu_dnn_window *window, const_dnnl_primitive_desc_t forward,
                                      const_dnnl_primitive_attr_t attr);
/* weights [groups,] out, in, kh, kw */
dnnl_status_t mu_dnn_deconv(dnnl_primitive_desc_t *out, dnnl_engine_t engine, mu_dnn_md src, mu_dnn_md weights,
                            mu_dnn_md bias, mu_dnn_md dst, const mu_dnn_window *window, const_dnnl_primitive_attr_t attr);
dnnl_status_t mu_dnn_matmul(dnnl_primitive_desc_t *out, dnnl_engine_t engine, mu_dnn_md src, mu_dnn_md weights,
                            mu_dnn_md bias, mu_dnn_md dst, const_dnnl_primitive_attr_t attr);

#endif
