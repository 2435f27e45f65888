#include "ops/pool2d.h"

const mu_attr mu_pool2d_attr_table[] = {MU_ATTR_INTS(mu_pool2d_attrs, kernel, 2),
                                        MU_ATTR_INTS(mu_pool2d_attrs, stride, 2),
                                        MU_ATTR_INTS(mu_pool2d_attrs, padding, 4),
                                        MU_ATTR_INTS(mu_pool2d_attrs, dilation, 2),
                                        MU_ATTR_FLAG(mu_pool2d_attrs, ceil_mode),
                                        MU_ATTR_FLAG(mu_pool2d_attrs, count_include_pad),
                                        MU_ATTR_INTS(mu_pool2d_attrs, output, 2),
                                        MU_ATTR_END};

mu_pool2d_attrs mu_pool2d_defaults(int64_t kernel, int64_t stride, int64_t padding)
{
    return (mu_pool2d_attrs){.kernel = {kernel, kernel}, .stride = {stride, stride},
                             .padding = {padding, padding, padding, padding}, .dilation = {1, 1},
                             .count_include_pad = true};
}

static mu_err check_axis(const mu_pool2d_attrs *a, int i, int64_t *reach)
{
    if (a->kernel[i] < 1 || a->stride[i] < 1 || a->dilation[i] < 1)
        return MU_FAIL(MU_ERR_SHAPE, "kernel, stride and dilation are at least 1, got %lld, %lld and %lld",
                       (long long)a->kernel[i], (long long)a->stride[i], (long long)a->dilation[i]);
    MU_TRY(mu_mul_i64(a->kernel[i] - 1, a->dilation[i], reach));
    if (*reach > INT64_MAX / 4)
        return MU_FAIL(MU_ERR_OVERFLOW, "the window does not fit in 64 bits");
    int64_t most = (*reach + 1) / 2;
    for (int p = i; p < 4; p += 2)
        if (a->padding[p] < 0 || a->padding[p] > most)
            return MU_FAIL(MU_ERR_SHAPE, "padding is between 0 and half the window (%lld), got %lld", (long long)most,
                           (long long)a->padding[p]);
    return MU_OK;
}

/* PyTorch's rule: with ceil_mode the last window may be cut off, but must begin inside the image or the padding before it. */
static mu_err out_size(const mu_pool2d_attrs *a, int i, int64_t size, int64_t *out)
{
    int64_t reach, room, padded, stride = a->stride[i];
    MU_TRY(check_axis(a, i, &reach));
    if (__builtin_add_overflow(size, a->padding[i], &padded) || __builtin_add_overflow(padded, a->padding[i + 2], &room))
        return MU_FAIL(MU_ERR_OVERFLOW, "the padded image does not fit in 64 bits");
    int64_t rest = room - reach - 1, steps = rest < 0 ? -1 : rest / stride;
    if (a->ceil_mode && rest >= 1 - stride)
        steps = rest <= 0 ? 0 : (rest - 1) / stride + 1;
    if (a->ceil_mode && steps > (padded - 1) / stride)
        steps--;
    if (steps < 0) {
        MU_FAIL(MU_ERR_SHAPE, "a window of %lld with dilation %lld does not fit in %s %lld with padding %lld and %lld",
                (long long)a->kernel[i], (long long)a->dilation[i], i ? "width" : "height", (long long)size,
                (long long)a->padding[i], (long long)a->padding[i + 2]);
        return mu_error_hint("enlarge the image, or use fewer strided layers or a smaller window");
    }
    *out = steps + 1;
    return MU_OK;
}

static mu_err check_images(const mu_type *x)
{
    char text[MU_TYPE_TEXT];
    MU_TRY(mu_operand_float(x, "input", 4, 4));
    if (x->dim[2] < 1 || x->dim[3] < 1)
        return MU_FAIL(MU_ERR_SHAPE, "the images %s have no pixels", mu_type_format(x, text));
    return MU_OK;
}

mu_err mu_pool2d_infer(const mu_pool2d_attrs *attrs, const mu_type *x, mu_type *y)
{
    MU_TRY(check_images(x));
    mu_type t = *x;
    for (int i = 0; i < 2; i++)
        MU_TRY(out_size(attrs, i, x->dim[2 + i], &t.dim[2 + i]));
    *y = t;
    return MU_OK;
}

mu_err mu_pool2d_adaptive_infer(const mu_pool2d_attrs *attrs, const mu_type *x, mu_type *y)
{
    int64_t product;
    MU_TRY(check_images(x));
    mu_type t = *x;
    for (int i = 0; i < 2; i++) {
        if (attrs->output[i] < 1)
            return MU_FAIL(MU_ERR_SHAPE, "the output size is at least 1, got %lld", (long long)attrs->output[i]);
        if (attrs->output[i] == INT64_MAX || x->dim[2 + i] == INT64_MAX)
            return MU_FAIL(MU_ERR_OVERFLOW, "sizes do not fit in 64 bits");
        MU_TRY(mu_mul_i64(attrs->output[i] + 1, x->dim[2 + i] + 1, &product)); /* windows are computed from it */
        t.dim[2 + i] = attrs->output[i];
    }
    *y = t;
    return MU_OK;
}

mu_err mu_pool2d_check_index(const mu_type *x)
{
    char text[MU_TYPE_TEXT];
    int64_t plane;
    MU_TRY(mu_mul_i64(x->dim[2], x->dim[3], &plane));
    if (plane > INT32_MAX)
        return MU_FAIL(MU_ERR_OVERFLOW, "planes of %s have more elements than an i32 index counts", mu_type_format(x, text));
    return MU_OK;
}

mu_err mu_pool2d_grad_infer(const mu_pool2d_attrs *attrs, const mu_type *dy, mu_type *dx)
{
    MU_TRY(mu_operand_float(dy, "output gradient", 4, 4));
    *dx = *dy;
    dx->dim[2] = attrs->output[0];
    dx->dim[3] = attrs->output[1];
    return MU_OK;
}

mu_pool2d_attrs mu_pool2d_grad_attrs(const mu_grad *grad)
{
    mu_pool2d_attrs a = *(const mu_pool2d_attrs *)grad->node->attrs;
    const mu_type *x = mu_graph_type(grad->graph, mu_grad_in(grad, 0));
    a.output[0] = x->dim[2];
    a.output[1] = x->dim[3];
    return a;
}

int64_t mu_adaptive_reads(int64_t in, int64_t out)
{
    int64_t sum = 0;
    for (int64_t o = 0; o < out; o++)
        sum += mu_adaptive_end(o, in, out) - mu_adaptive_start(o, in, out);
    return sum;
}
