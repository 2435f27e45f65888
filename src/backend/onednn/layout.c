#include "backend/onednn/onednn.h"
#include "core/mem.h"

#include <stdio.h>

/* Strides count only along axes with more than one step. */
static bool same_stride(const mu_dnn_blocking *b, int axis, int64_t block, int64_t stride)
{
    return b->padded[axis] / block <= 1 || b->strides[axis] == stride;
}

static bool is_row_major(const mu_dnn_blocking *b)
{
    if (!b->blocked || b->n_blocks)
        return false;
    int64_t stride = 1;
    for (int i = b->ndims - 1; i >= 0; i--) {
        if (b->padded[i] != b->dims[i] || !same_stride(b, i, 1, stride))
            return false;
        stride *= b->dims[i] > 1 ? b->dims[i] : 1;
    }
    return true;
}

/* N, C / block, spatial..., block; with block 0 channels last: N, spatial..., C. */
static bool is_channels(const mu_dnn_blocking *b, int64_t *block)
{
    if (!b->blocked || b->ndims < 3 || b->n_blocks > 1 || (b->n_blocks == 1 && b->block_axis[0] != 1))
        return false;
    bool last = b->n_blocks == 0;
    *block = last ? 0 : b->block[0];
    int64_t stride = last ? b->padded[1] : *block;
    if (last && !same_stride(b, 1, 1, 1))
        return false;
    for (int i = b->ndims - 1; i >= 2; i--) {
        if (b->padded[i] != b->dims[i] || !same_stride(b, i, 1, stride))
            return false;
        stride *= b->dims[i];
    }
    if (!last) {
        if (!same_stride(b, 1, *block, stride))
            return false;
        stride *= b->padded[1] / *block;
    }
    return b->padded[0] == b->dims[0] && same_stride(b, 0, 1, stride);
}

static bool same_blocking(const mu_dnn_blocking *a, const mu_dnn_blocking *b)
{
    if (a->blocked != b->blocked || a->type != b->type || a->ndims != b->ndims || a->n_blocks != b->n_blocks)
        return false;
    int64_t block[DNNL_MAX_NDIMS];
    for (int i = 0; i < a->ndims; i++) {
        if (a->dims[i] != b->dims[i] || a->padded[i] != b->padded[i])
            return false;
        block[i] = 1;
    }
    for (int i = 0; i < a->n_blocks; i++) {
        if (a->block[i] != b->block[i] || a->block_axis[i] != b->block_axis[i])
            return false;
        block[a->block_axis[i]] *= a->block[i];
    }
    for (int i = 0; i < a->ndims; i++)
        if (!same_stride(a, i, block[i], b->strides[i]))
            return false;
    return true;
}

/* Outer axes by falling stride, upper case when also blocked, then the blocks: "aBcd16b". */
static void name_layout(const mu_dnn_blocking *b, char *name, size_t size)
{
    size_t at = 0;
    bool used[DNNL_MAX_NDIMS] = {false};
    for (int n = 0; n < b->ndims && at + 1 < size; n++) {
        int best = -1;
        for (int i = 0; i < b->ndims; i++)
            if (!used[i] && (best < 0 || b->strides[i] > b->strides[best]))
                best = i;
        used[best] = true;
        bool blocked = false;
        for (int j = 0; j < b->n_blocks; j++)
            blocked |= b->block_axis[j] == best;
        name[at++] = (char)((blocked ? 'A' : 'a') + best);
    }
    name[at < size ? at : size - 1] = '\0';
    for (int j = 0; j < b->n_blocks && at < size; j++) {
        int n = snprintf(name + at, size - at, "%d%c", (int)b->block[j], (int)('a' + b->block_axis[j]));
        at += n > 0 ? (size_t)n : 0;
    }
}

static bool same_desc(mu_dnn_md a, const mu_dnn_blocking *a_blocking, mu_dnn_md b)
{
    if (!a_blocking->blocked)
        return dnnl_memory_desc_equal(a, b) != 0;
    mu_dnn_blocking b_blocking;
    mu_dnn_describe(b, &b_blocking);
    return same_blocking(a_blocking, &b_blocking);
}

mu_err mu_onednn_layout_of(mu_onednn *self, const mu_type *type, mu_dnn_md md, const mu_layout **out)
{
    mu_dnn_blocking b;
    mu_dnn_describe(md, &b);
    if (is_row_major(&b)) {
        *out = NULL;
        return MU_OK;
    }
    for (mu_onednn_layout *l = self->layouts; l; l = l->next)
        if (mu_type_equal(&l->base.type, type) && same_desc(md, &b, mu_dnn_view(&l->desc))) {
            *out = &l->base;
            return MU_OK;
        }
    mu_onednn_layout *layout;
    MU_TRY(mu_calloc(&layout, 1, sizeof *layout));
    dnnl_status_t status = mu_dnn_desc_clone(&layout->desc, md);
    if (status != dnnl_success) {
        mu_free(layout);
        return mu_onednn_fail(status, "memory descriptor", __FILE__, __LINE__, __func__);
    }
    int64_t block = 0;
    bool channels = b.ndims == type->ndim && is_channels(&b, &block);
    layout->base.type = *type;
    layout->base.kind = !channels ? MU_LAYOUT_OPAQUE : block ? MU_LAYOUT_CHANNELS_BLOCKED : MU_LAYOUT_CHANNELS_LAST;
    layout->base.block = (int)block;
    layout->base.bytes = mu_dnn_bytes(md);
    layout->base.padded = !b.blocked || layout->base.bytes != mu_type_bytes(type);
    if (b.blocked)
        name_layout(&b, layout->base.name, sizeof layout->base.name);
    else
        snprintf(layout->base.name, sizeof layout->base.name, "opaque");
    layout->next = self->layouts;
    self->layouts = layout;
    *out = &layout->base;
    return MU_OK;
}

mu_err mu_onednn_layout_make(mu_onednn *self, const mu_type *type, mu_layout_kind kind, int block, const mu_layout **out)
{
    static const dnnl_format_tag_t last[] = {dnnl_nwc, dnnl_nhwc, dnnl_ndhwc};
    static const dnnl_format_tag_t b16[] = {dnnl_nCw16c, dnnl_nChw16c, dnnl_nCdhw16c};
    static const dnnl_format_tag_t b8[] = {dnnl_nCw8c, dnnl_nChw8c, dnnl_nCdhw8c};
    static const dnnl_format_tag_t b4[] = {dnnl_nCw4c, dnnl_nChw4c, dnnl_nCdhw4c};
    if (kind == MU_LAYOUT_ROW_MAJOR) {
        *out = NULL;
        return MU_OK;
    }
    const dnnl_format_tag_t *tags = kind == MU_LAYOUT_CHANNELS_LAST           ? last
                                    : kind != MU_LAYOUT_CHANNELS_BLOCKED ? NULL
                                    : block == 16                        ? b16
                                    : block == 8                         ? b8
                                    : block == 4                         ? b4
                                                                         : NULL;
    dnnl_data_type_t dtype = mu_onednn_dtype(type->dtype);
    if (!tags || type->ndim < 3 || type->ndim > 5 || dtype == dnnl_data_type_undef) {
        char text[MU_TYPE_TEXT];
        return MU_FAIL(MU_ERR_UNSUPPORTED, "no layout of kind %d with block %d for %s", (int)kind, block,
                       mu_type_format(type, text));
    }
    mu_dnn_desc desc;
    MU_TRY_DNN(mu_dnn_desc_tag(&desc, type->ndim, type->dim, dtype, tags[type->ndim - 3]));
    mu_err err = mu_onednn_layout_of(self, type, mu_dnn_view(&desc), out);
    mu_dnn_desc_release(&desc);
    MU_TRY(err);
    return MU_OK;
}

mu_err mu_onednn_dense(int ndims, const int64_t *dims, dnnl_data_type_t type, mu_dnn_desc *out)
{
    dnnl_dims_t d = {0}, strides = {0};
    int64_t stride = 1;
    for (int i = ndims - 1; i >= 0; i--) {
        d[i] = dims[i];
        strides[i] = stride;
        stride *= dims[i] > 0 ? dims[i] : 1;
    }
    MU_TRY_DNN(mu_dnn_desc_strides(out, ndims, d, type, strides));
    return MU_OK;
}

mu_err mu_onednn_desc(const mu_layout *layout, int ndims, const int64_t *dims, dnnl_data_type_t type, mu_dnn_desc *out)
{
    if (!layout)
        return mu_onednn_dense(ndims, dims, type, out);
    MU_TRY_DNN(mu_dnn_desc_clone(out, mu_dnn_view(&((const mu_onednn_layout *)layout)->desc)));
    return MU_OK;
}

bool mu_onednn_layout_is_image(const mu_layout *layout)
{
    return layout && (layout->kind == MU_LAYOUT_CHANNELS_LAST || layout->kind == MU_LAYOUT_CHANNELS_BLOCKED);
}

void mu_onednn_layouts_release(mu_onednn *self)
{
    while (self->layouts) {
        mu_onednn_layout *next = self->layouts->next;
        mu_dnn_desc_release(&self->layouts->desc);
        mu_free(self->layouts);
        self->layouts = next;
    }
}
