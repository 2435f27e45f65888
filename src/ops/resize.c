#include "ops/resize.h"

#include "ops/operand.h"

const char *const mu_resize_mode_names[] = {"nearest", "bilinear", NULL};

static const mu_attr attr_table[] = {MU_ATTR_INTS(mu_resize_attrs, size, 2),
                                     MU_ATTR_CHOICE(mu_resize_attrs, mode, mu_resize_mode_names),
                                     MU_ATTR_FLAG(mu_resize_attrs, align_corners), MU_ATTR_END};

/* out = t with the (H, W) of the attributes. */
static mu_err infer(const mu_call *call, mu_type *out)
{
    const mu_resize_attrs *a = call->attrs;
    const mu_type *t = &call->in[0];
    char text[MU_TYPE_TEXT];
    MU_TRY(mu_operand_float(t, "input", 4, 4));
    if (t->dim[2] < 1 || t->dim[3] < 1)
        return MU_FAIL(MU_ERR_SHAPE, "the images %s have no pixels", mu_type_format(t, text));
    if (a->size[0] < 1 || a->size[1] < 1)
        return MU_FAIL(MU_ERR_SHAPE, "the new size is at least 1, got %lld x %lld", (long long)a->size[0],
                       (long long)a->size[1]);
    if (a->mode == MU_RESIZE_NEAREST && a->align_corners)
        return MU_FAIL(MU_ERR_SHAPE, "align_corners is for bilinear resizing, not nearest");
    out[0] = *t;
    out[0].dim[2] = a->size[0];
    out[0].dim[3] = a->size[1];
    return MU_OK;
}

static void gradient(mu_grad *grad)
{
    mu_resize_attrs a = *(const mu_resize_attrs *)grad->node->attrs;
    const mu_type *x = mu_graph_type(grad->graph, mu_grad_in(grad, 0));
    a.size[0] = x->dim[2];
    a.size[1] = x->dim[3];
    grad->din[0] = mu_graph_apply1(grad->graph, &mu_op_resize_grad, &a, &grad->dout[0], 1);
}

static int64_t flops(const mu_call *call)
{
    return ((const mu_resize_attrs *)call->attrs)->mode == MU_RESIZE_NEAREST ? 0 : mu_cost_per_element(&call->out[0], 7);
}

const mu_op mu_op_resize = {
    .name = "resize",
    .doc = "Images of another size: nearest, or bilinear with half-pixel centres or aligned corners, by PyTorch's rules. x "
           "[N,C,H,W] -> [N,C,size[0],size[1]].",
    .n_in_min = 1, .n_in_max = 1, .n_out = 1, .flags = MU_OP_ZERO_KEEPS,
    .attrs_size = sizeof(mu_resize_attrs), .attrs = attr_table,
    .infer = infer, .gradient = gradient, .flops = flops,
};

static int64_t grad_flops(const mu_call *call)
{
    bool nearest = ((const mu_resize_attrs *)call->attrs)->mode == MU_RESIZE_NEAREST;
    return mu_cost_per_element(&call->in[0], nearest ? 1 : 8);
}

const mu_op mu_op_resize_grad = {
    .name = "resize_grad",
    .doc = "The gradient of resize; dy -> dx [N,C,size[0],size[1]].",
    .n_in_min = 1, .n_in_max = 1, .n_out = 1, .flags = MU_OP_ZERO_KEEPS,
    .attrs_size = sizeof(mu_resize_attrs), .attrs = attr_table,
    .infer = infer, .flops = grad_flops,
};

mu_value mu_resize(mu_graph *g, mu_value x, int64_t height, int64_t width, mu_resize_mode mode, bool align_corners)
{
    mu_resize_attrs a = {.size = {height, width}, .mode = (int)mode, .align_corners = align_corners};
    return mu_graph_apply1(g, &mu_op_resize, &a, &x, 1);
}
