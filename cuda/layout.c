#include "cuda.h"

#include "backend/extents.h"

#include <stdio.h>

const mu_op mu_cuda_reorder_op = {.name = "reorder", .n_in_min = 1, .n_in_max = 1, .n_out = 1};

mu_err mu_cuda_layout_make(mu_cuda *self, const mu_type *type, mu_layout_kind kind, const mu_layout **out)
{
    if (kind == MU_LAYOUT_ROW_MAJOR) {
        *out = NULL;
        return MU_OK;
    }
    if (kind != MU_LAYOUT_CHANNELS_LAST || type->ndim < 3 || type->ndim > 5)
        return MU_FAIL(MU_ERR_UNSUPPORTED, "no layout of kind %d for %d dimensions", (int)kind, type->ndim);
    for (mu_cuda_layout *l = self->layouts; l; l = l->next)
        if (mu_type_equal(&l->base.type, type)) {
            *out = &l->base;
            return MU_OK;
        }
    mu_cuda_layout *layout;
    MU_TRY(mu_calloc(&layout, 1, sizeof *layout));
    layout->base = (mu_layout){.type = *type, .kind = kind, .bytes = mu_type_bytes(type)};
    snprintf(layout->base.name, sizeof layout->base.name, "n%sc", &"dhw"[5 - type->ndim]);
    layout->next = self->layouts;
    self->layouts = layout;
    *out = &layout->base;
    return MU_OK;
}

void mu_cuda_layouts_release(mu_cuda *self)
{
    while (self->layouts) {
        mu_cuda_layout *next = self->layouts->next;
        mu_free(self->layouts);
        self->layouts = next;
    }
}

mu_cuda_view mu_cuda_view_of(const mu_type *type, const mu_layout *layout)
{
    const mu_extents e = mu_extents_of(type);
    mu_cuda_view v = {.last = layout && layout->kind == MU_LAYOUT_CHANNELS_LAST, .n = e.n, .c = e.c, .space = e.space, .h = e.h, .w = e.w};
    v.dn = v.c * v.space;
    v.dc = v.last ? 1 : v.space;
    v.ds = v.last ? v.c : 1;
    return v;
}

void mu_cuda_strides(const mu_type *type, const mu_layout *layout, int64_t stride[MU_MAX_NDIM])
{
    bool last = layout && layout->kind == MU_LAYOUT_CHANNELS_LAST;
    int64_t step = last ? type->dim[1] : 1;
    for (int i = type->ndim - 1; i >= (last ? 2 : 0); i--) {
        stride[i] = step;
        step *= type->dim[i];
    }
    if (last) {
        stride[1] = 1;
        stride[0] = step;
    }
}
