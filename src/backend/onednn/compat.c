#include "backend/onednn/compat.h"

#include <string.h>

#if DNNL_VERSION_MAJOR >= 3

dnnl_status_t mu_dnn_desc_tag(mu_dnn_desc *out, int ndims, const int64_t *dims, dnnl_data_type_t type,
                              dnnl_format_tag_t tag)
{
    return dnnl_memory_desc_create_with_tag(out, ndims, dims, type, tag);
}

dnnl_status_t mu_dnn_desc_strides(mu_dnn_desc *out, int ndims, const int64_t *dims, dnnl_data_type_t type,
                                  const int64_t *strides)
{
    return dnnl_memory_desc_create_with_strides(out, ndims, dims, type, strides);
}

dnnl_status_t mu_dnn_desc_clone(mu_dnn_desc *out, mu_dnn_md from)
{
    return dnnl_memory_desc_clone(out, from);
}

void mu_dnn_desc_release(mu_dnn_desc *desc)
{
    if (*desc)
        dnnl_memory_desc_destroy(*desc);
    *desc = NULL;
}

void mu_dnn_describe(mu_dnn_md md, mu_dnn_blocking *out)
{
    memset(out, 0, sizeof *out);
    dnnl_format_kind_t kind = dnnl_format_kind_undef;
    const dnnl_dims_t *dims, *padded, *strides, *block, *axis;
    int64_t offset = 0;
    dnnl_memory_desc_query(md, dnnl_query_format_kind, &kind);
    dnnl_memory_desc_query(md, dnnl_query_ndims_s32, &out->ndims);
    dnnl_memory_desc_query(md, dnnl_query_data_type, &out->type);
    dnnl_memory_desc_query(md, dnnl_query_dims, &dims);
    dnnl_memory_desc_query(md, dnnl_query_padded_dims, &padded);
    memcpy(out->dims, *dims, sizeof *dims);
    memcpy(out->padded, *padded, sizeof *padded);
    dnnl_memory_desc_query(md, dnnl_query_submemory_offset_s64, &offset);
    if (kind != dnnl_blocked || offset != 0)
        return;
    out->blocked = true;
    dnnl_memory_desc_query(md, dnnl_query_strides, &strides);
    dnnl_memory_desc_query(md, dnnl_query_inner_nblks_s32, &out->n_blocks);
    dnnl_memory_desc_query(md, dnnl_query_inner_blks, &block);
    dnnl_memory_desc_query(md, dnnl_query_inner_idxs, &axis);
    memcpy(out->strides, *strides, sizeof *strides);
    memcpy(out->block, *block, sizeof *block);
    memcpy(out->block_axis, *axis, sizeof *axis);
}

dnnl_status_t mu_dnn_append_eltwise(dnnl_post_ops_t ops, dnnl_alg_kind_t alg, float alpha, float beta)
{
    return dnnl_post_ops_append_eltwise(ops, alg, alpha, beta);
}

dnnl_status_t mu_dnn_append_hard_swish(dnnl_post_ops_t ops)
{
    return dnnl_post_ops_append_eltwise(ops, dnnl_eltwise_hardswish, 1.0f / 6.0f, 0.5f);
}

dnnl_status_t mu_dnn_append_sum(dnnl_post_ops_t ops)
{
    return dnnl_post_ops_append_sum(ops, 1.0f, 0, dnnl_data_type_undef);
}

dnnl_status_t mu_dnn_conv(dnnl_primitive_desc_t *out, dnnl_engine_t engine, dnnl_alg_kind_t alg, mu_dnn_md src,
                          mu_dnn_md weights, mu_dnn_md bias, mu_dnn_md dst, const mu_dnn_window *window,
                          const_dnnl_primitive_attr_t attr)
{
    return dnnl_convolution_forward_primitive_desc_create(out, engine, dnnl_forward_training, alg, src, weights, bias, dst,
                                                          window->strides, window->dilates, window->pad_l, window->pad_r,
                                                          attr);
}

dnnl_status_t mu_dnn_conv_grad_input(dnnl_primitive_desc_t *out, dnnl_engine_t engine, dnnl_alg_kind_t alg, mu_dnn_md src,
                                     mu_dnn_md weights, mu_dnn_md dst, const mu_dnn_window *window,
                                     const_dnnl_primitive_desc_t forward, const_dnnl_primitive_attr_t attr)
{
    return dnnl_convolution_backward_data_primitive_desc_create(out, engine, alg, src, weights, dst, window->strides,
                                                                window->dilates, window->pad_l, window->pad_r, forward,
                                                                attr);
}

dnnl_status_t mu_dnn_conv_grad_weight(dnnl_primitive_desc_t *out, dnnl_engine_t engine, dnnl_alg_kind_t alg,
                                      mu_dnn_md src, mu_dnn_md weights, mu_dnn_md bias, mu_dnn_md dst,
                                      const mu_dnn_window *window, const_dnnl_primitive_desc_t forward,
                                      const_dnnl_primitive_attr_t attr)
{
    return dnnl_convolution_backward_weights_primitive_desc_create(out, engine, alg, src, weights, bias, dst,
                                                                   window->strides, window->dilates, window->pad_l,
                                                                   window->pad_r, forward, attr);
}

dnnl_status_t mu_dnn_deconv(dnnl_primitive_desc_t *out, dnnl_engine_t engine, mu_dnn_md src, mu_dnn_md weights,
                            mu_dnn_md bias, mu_dnn_md dst, const mu_dnn_window *window, const_dnnl_primitive_attr_t attr)
{
    return dnnl_deconvolution_forward_primitive_desc_create(out, engine, dnnl_forward_training, dnnl_deconvolution_direct,
                                                            src, weights, bias, dst, window->strides, window->dilates,
                                                            window->pad_l, window->pad_r, attr);
}

dnnl_status_t mu_dnn_matmul(dnnl_primitive_desc_t *out, dnnl_engine_t engine, mu_dnn_md src, mu_dnn_md weights,
                            mu_dnn_md bias, mu_dnn_md dst, const_dnnl_primitive_attr_t attr)
{
    return dnnl_matmul_primitive_desc_create(out, engine, src, weights, bias, dst, attr);
}

#else

dnnl_status_t mu_dnn_desc_tag(mu_dnn_desc *out, int ndims, const int64_t *dims, dnnl_data_type_t type,
                              dnnl_format_tag_t tag)
{
    return dnnl_memory_desc_init_by_tag(out, ndims, dims, type, tag);
}

dnnl_status_t mu_dnn_desc_strides(mu_dnn_desc *out, int ndims, const int64_t *dims, dnnl_data_type_t type,
                                  const int64_t *strides)
{
    return dnnl_memory_desc_init_by_strides(out, ndims, dims, type, strides);
}

dnnl_status_t mu_dnn_desc_clone(mu_dnn_desc *out, mu_dnn_md from)
{
    *out = *from;
    return dnnl_success;
}

void mu_dnn_desc_release(mu_dnn_desc *desc)
{
    (void)desc;
}

void mu_dnn_describe(mu_dnn_md md, mu_dnn_blocking *out)
{
    memset(out, 0, sizeof *out);
    out->type = md->data_type;
    out->ndims = md->ndims;
    memcpy(out->dims, md->dims, sizeof md->dims);
    memcpy(out->padded, md->padded_dims, sizeof md->padded_dims);
    if (md->format_kind != dnnl_blocked || md->offset0 != 0 || md->extra.flags != 0)
        return;
    const dnnl_blocking_desc_t *b = &md->format_desc.blocking;
    out->blocked = true;
    out->n_blocks = b->inner_nblks;
    memcpy(out->strides, b->strides, sizeof b->strides);
    memcpy(out->block, b->inner_blks, sizeof b->inner_blks);
    memcpy(out->block_axis, b->inner_idxs, sizeof b->inner_idxs);
}

dnnl_status_t mu_dnn_append_eltwise(dnnl_post_ops_t ops, dnnl_alg_kind_t alg, float alpha, float beta)
{
    return dnnl_post_ops_append_eltwise(ops, 1.0f, alg, alpha, beta);
}

dnnl_status_t mu_dnn_append_hard_swish(dnnl_post_ops_t ops)
{
    return dnnl_post_ops_append_eltwise(ops, 1.0f, dnnl_eltwise_hardswish, 0.0f, 0.0f);
}

dnnl_status_t mu_dnn_append_sum(dnnl_post_ops_t ops)
{
    return dnnl_post_ops_append_sum(ops, 1.0f);
}

dnnl_status_t mu_dnn_conv(dnnl_primitive_desc_t *out, dnnl_engine_t engine, dnnl_alg_kind_t alg, mu_dnn_md src,
                          mu_dnn_md weights, mu_dnn_md bias, mu_dnn_md dst, const mu_dnn_window *window,
                          const_dnnl_primitive_attr_t attr)
{
    dnnl_convolution_desc_t desc;
    dnnl_status_t status = dnnl_dilated_convolution_forward_desc_init(&desc, dnnl_forward_training, alg, src, weights, bias,
                                                                      dst, window->strides, window->dilates,
                                                                      window->pad_l, window->pad_r);
    return status != dnnl_success ? status : dnnl_primitive_desc_create(out, &desc, attr, engine, NULL);
}

dnnl_status_t mu_dnn_conv_grad_input(dnnl_primitive_desc_t *out, dnnl_engine_t engine, dnnl_alg_kind_t alg, mu_dnn_md src,
                                     mu_dnn_md weights, mu_dnn_md dst, const mu_dnn_window *window,
                                     const_dnnl_primitive_desc_t forward, const_dnnl_primitive_attr_t attr)
{
    dnnl_convolution_desc_t desc;
    dnnl_status_t status = dnnl_dilated_convolution_backward_data_desc_init(
        &desc, alg, src, weights, dst, window->strides, window->dilates, window->pad_l, window->pad_r);
    return status != dnnl_success ? status : dnnl_primitive_desc_create(out, &desc, attr, engine, forward);
}

dnnl_status_t mu_dnn_conv_grad_weight(dnnl_primitive_desc_t *out, dnnl_engine_t engine, dnnl_alg_kind_t alg,
                                      mu_dnn_md src, mu_dnn_md weights, mu_dnn_md bias, mu_dnn_md dst,
                                      const mu_dnn_window *window, const_dnnl_primitive_desc_t forward,
                                      const_dnnl_primitive_attr_t attr)
{
    dnnl_convolution_desc_t desc;
    dnnl_status_t status = dnnl_dilated_convolution_backward_weights_desc_init(
        &desc, alg, src, weights, bias, dst, window->strides, window->dilates, window->pad_l, window->pad_r);
    return status != dnnl_success ? status : dnnl_primitive_desc_create(out, &desc, attr, engine, forward);
}

dnnl_status_t mu_dnn_deconv(dnnl_primitive_desc_t *out, dnnl_engine_t engine, mu_dnn_md src, mu_dnn_md weights,
                            mu_dnn_md bias, mu_dnn_md dst, const mu_dnn_window *window, const_dnnl_primitive_attr_t attr)
{
    dnnl_deconvolution_desc_t desc;
    dnnl_status_t status = dnnl_dilated_deconvolution_forward_desc_init(
        &desc, dnnl_forward_training, dnnl_deconvolution_direct, src, weights, bias, dst, window->strides,
        window->dilates, window->pad_l, window->pad_r);
    return status != dnnl_success ? status : dnnl_primitive_desc_create(out, &desc, attr, engine, NULL);
}

dnnl_status_t mu_dnn_matmul(dnnl_primitive_desc_t *out, dnnl_engine_t engine, mu_dnn_md src, mu_dnn_md weights,
                            mu_dnn_md bias, mu_dnn_md dst, const_dnnl_primitive_attr_t attr)
{
    dnnl_matmul_desc_t desc;
    dnnl_status_t status = dnnl_matmul_desc_init(&desc, src, weights, bias, dst);
    return status != dnnl_success ? status : dnnl_primitive_desc_create(out, &desc, attr, engine, NULL);
}

#endif

dnnl_status_t mu_dnn_desc_permute(mu_dnn_desc *out, mu_dnn_md from, const int *perm)
{
    return dnnl_memory_desc_permute_axes(out, from, perm);
}

size_t mu_dnn_bytes(mu_dnn_md md)
{
    return dnnl_memory_desc_get_size(md);
}

dnnl_status_t mu_dnn_memory(dnnl_memory_t *out, mu_dnn_md md, dnnl_engine_t engine)
{
    return dnnl_memory_create(out, md, engine, DNNL_MEMORY_NONE);
}
