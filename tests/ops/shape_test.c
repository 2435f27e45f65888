/* The shape rules: what operations give, cost and refuse. Values and gradients are the conformance suite's business. */
#include "test.h"

#include "ops/ops.h"

/* A new input of the type told in words: "f32[2,3]". */
static mu_value v(mu_graph *g, const char *text)
{
    char name[32], dtype[8];
    mu_type type = {.dtype = MU_NONE};
    const char *bracket = strchr(text, '[');
    snprintf(dtype, sizeof dtype, "%.*s", (int)(bracket - text), text);
    type.dtype = mu_dtype_parse(dtype);
    for (const char *at = bracket + 1; *at != ']' && type.ndim < MU_MAX_NDIM; at += *at == ',') {
        char *end;
        type.dim[type.ndim++] = strtoll(at, &end, 10);
        at = end;
    }
    snprintf(name, sizeof name, "x%d", mu_graph_n_values(g));
    return mu_graph_input(g, name, type);
}

static const mu_value none = {0};

/* The expression, of a graph `g`, gives this type and its last node costs so many floating-point operations. */
#define GIVES(type_, flops_, expr)                                                      \
    do {                                                                                \
        mu_graph *g;                                                                    \
        char text_[MU_TYPE_TEXT];                                                       \
        ck_ok(mu_graph_new(&g));                                                        \
        mu_value value_ = (expr);                                                       \
        ck_ok(mu_graph_status(g));                                                      \
        ck_assert_str_eq(mu_type_format(mu_graph_type(g, value_), text_), type_);       \
        mu_type types_[MU_OP_VARIADIC + MU_OP_MAX_OUT];                                 \
        mu_call call_ = mu_graph_call(g, mu_graph_node(g, mu_graph_n_nodes(g) - 1), types_); \
        ck_assert_int_eq(mu_call_flops(&call_), flops_);                                \
        ck_assert_int_ge(mu_call_bytes(&call_), 0);                                     \
        mu_graph_release(g);                                                            \
    } while (0)

/* The expression fails with this code and words. */
#define REFUSES(code_, words_, expr)             \
    do {                                         \
        mu_graph *g;                             \
        ck_ok(mu_graph_new(&g));                 \
        mu_value value_ = (expr);                \
        ck_assert_int_eq(value_.id, 0);          \
        ck_fails(mu_graph_status(g), code_, words_); \
        mu_graph_release(g);                     \
    } while (0)

#define DIMS(...) ((const int64_t[]){__VA_ARGS__})

static mu_conv2d_attrs conv(int64_t stride, int64_t padding, int64_t dilation, int64_t groups)
{
    return (mu_conv2d_attrs){.stride = {stride, stride}, .padding = {padding, padding, padding, padding},
                             .dilation = {dilation, dilation}, .groups = groups};
}

#define CONV(x, w, bias, ...) mu_conv2d(g, v(g, x), v(g, w), bias, (mu_conv2d_attrs[]){conv(__VA_ARGS__)})
#define TRANSPOSED(x, w, extra, ...) \
    mu_conv_transpose2d(g, v(g, x), v(g, w), none, (mu_conv2d_attrs[]){conv(__VA_ARGS__)}, extra)

START_TEST(convolution)
{
    GIVES("f32[2,8,4,5]", 2 * 2 * 8 * 4 * 5 * 3 * 9, CONV("f32[2,3,7,9]", "f32[8,3,3,3]", none, 2, 1, 1, 1));
    GIVES("f64[2,6,3,5]", 2 * 2 * 6 * 3 * 5 * 2 * 9, CONV("f64[2,4,7,9]", "f64[6,2,3,3]", v(g, "f64[6]"), 1, 0, 2, 2));
    GIVES("f32[0,8,5,7]", 0, CONV("f32[0,3,7,9]", "f32[8,3,3,3]", none, 1, 0, 1, 1));
    GIVES("f32[1,1,1,1]", 2, CONV("f32[1,1,1,1]", "f32[1,1,1,1]", none, 3, 0, 1, 1));
    REFUSES(MU_ERR_SHAPE, "weight f32[8,3,3,3] with 1 groups needs 3 input channels, input is f32[2,4,7,9]",
            CONV("f32[2,4,7,9]", "f32[8,3,3,3]", none, 1, 0, 1, 1));
    REFUSES(MU_ERR_SHAPE, "in_channels", CONV("f32[2,4,7,9]", "f32[8,3,3,3]", none, 1, 0, 1, 1));
    REFUSES(MU_ERR_SHAPE, "weight", CONV("f32[2,3,7,9]", "f64[8,3,3,3]", none, 1, 0, 1, 1));
    REFUSES(MU_ERR_SHAPE, "4 dimensions, got f32[3,7,9]", CONV("f32[3,7,9]", "f32[8,3,3,3]", none, 1, 0, 1, 1));
    REFUSES(MU_ERR_SHAPE, "floating point", CONV("i64[2,3,7,9]", "f32[8,3,3,3]", none, 1, 0, 1, 1));
    REFUSES(MU_ERR_SHAPE, "cannot be divided into 3 groups", CONV("f32[2,9,7,9]", "f32[8,3,3,3]", none, 1, 0, 1, 3));
    REFUSES(MU_ERR_SHAPE, "bias must be f32[8], got f32[7]", CONV("f32[2,3,7,9]", "f32[8,3,3,3]", v(g, "f32[7]"), 1, 0, 1, 1));
    REFUSES(MU_ERR_SHAPE, "does not fit in height 2", CONV("f32[2,3,2,9]", "f32[8,3,3,3]", none, 1, 0, 1, 1));
    REFUSES(MU_ERR_SHAPE, "at least 1, got 0 and 1", CONV("f32[2,3,7,9]", "f32[8,3,3,3]", none, 0, 0, 1, 1));
    REFUSES(MU_ERR_SHAPE, "padding is 0 or more, got -1", CONV("f32[2,3,7,9]", "f32[8,3,3,3]", none, 1, -1, 1, 1));
    REFUSES(MU_ERR_OVERFLOW, "64 bits", CONV("f32[2,3,7,9]", "f32[8,3,3,3]", none, 1, 0, INT64_MAX, 1));
    REFUSES(MU_ERR_OVERFLOW, "padding", CONV("f32[2,3,7,9]", "f32[8,3,3,3]", none, 1, INT64_MAX, 1, 1));
    REFUSES(MU_ERR_OVERFLOW, "64 bits", CONV("f32[2,3,7,9]", "f32[8,3,3,3]", none, 1, (int64_t)1 << 40, 1, 1));
    REFUSES(MU_ERR_OVERFLOW, "64 bits", CONV("f32[2,3,7,9]", "f32[8,3,3,3]", none, 1, 0, 1, INT64_MAX));
}
END_TEST

START_TEST(transposed_convolution)
{
    GIVES("f32[2,3,13,17]", 2 * 2 * 8 * 7 * 9 * 3 * 9, TRANSPOSED("f32[2,8,7,9]", "f32[8,3,3,3]", NULL, 2, 1, 1, 1));
    GIVES("f32[2,3,14,18]", 2 * 2 * 8 * 7 * 9 * 3 * 9, TRANSPOSED("f32[2,8,7,9]", "f32[8,3,3,3]", DIMS(1, 1), 2, 1, 1, 1));
    GIVES("f32[2,6,9,11]", 2 * 2 * 8 * 7 * 9 * 3 * 9, TRANSPOSED("f32[2,8,7,9]", "f32[8,3,3,3]", NULL, 1, 0, 1, 2));
    REFUSES(MU_ERR_SHAPE, "needs 8 input channels", TRANSPOSED("f32[2,4,7,9]", "f32[8,3,3,3]", NULL, 1, 0, 1, 1));
    REFUSES(MU_ERR_SHAPE, "output padding must be smaller", TRANSPOSED("f32[2,8,7,9]", "f32[8,3,3,3]", DIMS(2, 2), 2, 1, 1, 1));
    REFUSES(MU_ERR_SHAPE, "leave nothing", TRANSPOSED("f32[2,8,1,1]", "f32[8,3,3,3]", NULL, 1, 2, 1, 1));
    REFUSES(MU_ERR_SHAPE, "at least 1, got 0", TRANSPOSED("f32[2,8,0,1]", "f32[8,3,3,3]", NULL, 1, 0, 1, 1));
    REFUSES(MU_ERR_SHAPE, "4 dimensions", TRANSPOSED("f32[8,1]", "f32[8,3,3,3]", NULL, 1, 0, 1, 1));
    REFUSES(MU_ERR_OVERFLOW, "64 bits", TRANSPOSED("f32[2,8,7,9]", "f32[8,3,3,3]", NULL, INT64_MAX, 0, 1, 1));
}
END_TEST

START_TEST(products)
{
    GIVES("f32[2,5,4]", 2 * 2 * 5 * 4 * 3, mu_linear(g, v(g, "f32[2,5,3]"), v(g, "f32[4,3]"), v(g, "f32[4]")));
    GIVES("f32[4]", 2 * 4 * 3, mu_linear(g, v(g, "f32[3]"), v(g, "f32[4,3]"), none));
    GIVES("f32[0,4]", 0, mu_linear(g, v(g, "f32[0,3]"), v(g, "f32[4,3]"), none));
    REFUSES(MU_ERR_SHAPE, "needs 3 input features of f32, input is f32[2,5]",
            mu_linear(g, v(g, "f32[2,5]"), v(g, "f32[4,3]"), none));
    REFUSES(MU_ERR_SHAPE, "in_features", mu_linear(g, v(g, "f32[2,5]"), v(g, "f32[4,3]"), none));
    REFUSES(MU_ERR_SHAPE, "got f32[]", mu_linear(g, v(g, "f32[]"), v(g, "f32[4,3]"), none));
    REFUSES(MU_ERR_SHAPE, "bias must be f32[4]", mu_linear(g, v(g, "f32[3]"), v(g, "f32[4,3]"), v(g, "f32[1]")));

    GIVES("f32[2,6,3,5]", 2 * 2 * 6 * 3 * 5 * 4, mu_matmul(g, v(g, "f32[2,1,3,4]"), v(g, "f32[6,4,5]"), false, false));
    GIVES("f32[3,5]", 2 * 3 * 5 * 4, mu_matmul(g, v(g, "f32[4,3]"), v(g, "f32[5,4]"), true, true));
    GIVES("f32[3,5]", 0, mu_matmul(g, v(g, "f32[3,0]"), v(g, "f32[0,5]"), false, false));
    REFUSES(MU_ERR_SHAPE, "3 columns against 4 rows", mu_matmul(g, v(g, "f32[4,3]"), v(g, "f32[4,5]"), false, false));
    REFUSES(MU_ERR_SHAPE, "do not broadcast", mu_matmul(g, v(g, "f32[2,4,3]"), v(g, "f32[3,3,5]"), false, false));
    REFUSES(MU_ERR_SHAPE, "left operand", mu_matmul(g, v(g, "f32[3]"), v(g, "f32[3,5]"), false, false));
    REFUSES(MU_ERR_OVERFLOW, "64 bits",
            mu_matmul(g, v(g, "f32[4294967296,1]"), v(g, "f32[1,4294967296]"), false, false));
    GIVES("f32[1,1]", (int64_t)1 << 60, mu_matmul(g, v(g, "f32[1,576460752303423488]"), v(g, "f32[1,576460752303423488]"),
                                                  false, true));
}
END_TEST

#define BN(x, c) mu_batch_norm(g, v(g, x), v(g, c), v(g, c), v(g, c), v(g, c), 1e-5, 0.1)

START_TEST(norms)
{
    GIVES("f32[2,3,4,5]", 7 * 120, BN("f32[2,3,4,5]", "f32[3]"));
    GIVES("bf16[2,3]", 7 * 6, BN("bf16[2,3]", "f32[3]"));
    GIVES("f32[0,3,4]", 0, BN("f32[0,3,4]", "f32[3]"));
    REFUSES(MU_ERR_SHAPE, "weight (gamma) must be f32[3], got f32[4]", BN("f32[2,3,4,5]", "f32[4]"));
    REFUSES(MU_ERR_SHAPE, "num_features", BN("f32[2,3,4,5]", "f32[4]"));
    REFUSES(MU_ERR_SHAPE, "must be f32[3], got bf16[3]", BN("bf16[2,3,4,5]", "bf16[3]"));
    REFUSES(MU_ERR_SHAPE, "more than one value per channel, input is f32[1,3,1,1]", BN("f32[1,3,1,1]", "f32[3]"));
    REFUSES(MU_ERR_SHAPE, "2 to 8 dimensions, got f32[3]", BN("f32[3]", "f32[3]"));
    GIVES("f32[1,3]", 6, mu_batch_norm_inference(g, v(g, "f32[1,3]"), none, none, v(g, "f32[3]"), v(g, "f32[3]"), 0));
    REFUSES(MU_ERR_SHAPE, "variance, is missing",
            mu_batch_norm_inference(g, v(g, "f32[1,3]"), none, none, v(g, "f32[3]"), none, 0));
    REFUSES(MU_ERR_SHAPE, "eps is not negative",
            mu_batch_norm_inference(g, v(g, "f32[1,3]"), none, none, v(g, "f32[3]"), v(g, "f32[3]"), -1));

    GIVES("f32[2,3,4]", 7 * 24, mu_layer_norm(g, v(g, "f32[2,3,4]"), v(g, "f32[3,4]"), none, 2, 1e-5));
    GIVES("f32[4]", 7 * 4, mu_layer_norm(g, v(g, "f32[4]"), none, none, 1, 1e-5));
    REFUSES(MU_ERR_SHAPE, "last 4 dimensions of f32[2,3,4]", mu_layer_norm(g, v(g, "f32[2,3,4]"), none, none, 4, 1e-5));
    REFUSES(MU_ERR_SHAPE, "beta", mu_layer_norm(g, v(g, "f32[2,3,4]"), none, v(g, "f32[3]"), 1, 1e-5));
    GIVES("f32[2,6,4]", 7 * 48, mu_group_norm(g, v(g, "f32[2,6,4]"), v(g, "f32[6]"), v(g, "f32[6]"), 3, 1e-5));
    REFUSES(MU_ERR_SHAPE, "f32[2,6,4] cannot be divided into 4 groups",
            mu_group_norm(g, v(g, "f32[2,6,4]"), none, none, 4, 1e-5));
    REFUSES(MU_ERR_SHAPE, "0 groups", mu_group_norm(g, v(g, "f32[2,6,4]"), none, none, 0, 1e-5));
}
END_TEST

static mu_pool2d_attrs pool(int64_t kernel, int64_t stride, int64_t padding, int64_t dilation, bool ceil_mode)
{
    mu_pool2d_attrs a = mu_pool2d_defaults(kernel, stride, padding);
    a.dilation[0] = dilation;
    a.ceil_mode = ceil_mode;
    return a;
}

#define POOL(kind, x, ...) mu_##kind##_pool2d(g, v(g, x), (mu_pool2d_attrs[]){pool(__VA_ARGS__)})

START_TEST(pooling)
{
    GIVES("f32[2,3,4,5]", 120 * 9, POOL(max, "f32[2,3,7,9]", 3, 2, 1, 1, false));
    GIVES("f32[1,1,2,2]", 16, POOL(max, "f32[1,1,4,4]", 2, 2, 0, 1, true));
    /* The last window must begin inside the image or the padding before it: PyTorch's ceil_mode. */
    GIVES("f32[1,1,3,3]", 36, POOL(avg, "f32[1,1,5,5]", 2, 2, 0, 1, true));
    GIVES("f32[1,1,3,3]", 36, POOL(avg, "f32[1,1,5,5]", 2, 2, 1, 1, true));
    GIVES("f32[1,1,1,1]", 9, POOL(avg, "f32[1,1,2,2]", 3, 4, 0, 1, true));
    GIVES("f32[0,3,2,2]", 0, POOL(max, "f32[0,3,4,4]", 2, 2, 0, 1, false));
    REFUSES(MU_ERR_SHAPE, "does not fit in height 2", POOL(max, "f32[1,1,2,2]", 3, 1, 0, 1, false));
    REFUSES(MU_ERR_SHAPE, "half the window (1), got 2", POOL(max, "f32[1,1,9,9]", 3, 1, 2, 1, false));
    REFUSES(MU_ERR_SHAPE, "at least 1, got 3, 0 and 1", POOL(max, "f32[1,1,9,9]", 3, 0, 0, 1, false));
    REFUSES(MU_ERR_SHAPE, "no dilation", POOL(avg, "f32[1,1,9,9]", 3, 1, 0, 2, false));
    REFUSES(MU_ERR_SHAPE, "no pixels", POOL(max, "f32[1,1,0,9]", 2, 1, 1, 1, false));
    REFUSES(MU_ERR_SHAPE, "4 dimensions", POOL(max, "f32[1,9,9]", 2, 1, 1, 1, false));
    REFUSES(MU_ERR_OVERFLOW, "i32", POOL(max, "f32[1,1,65536,65536]", 2, 2, 0, 1, false));
    REFUSES(MU_ERR_OVERFLOW, "64 bits", POOL(max, "f32[1,1,9,9]", 3, 1, 0, INT64_MAX, false));

    GIVES("f32[2,3,2,4]", 6 * 8 * 12, mu_adaptive_avg_pool2d(g, v(g, "f32[2,3,7,9]"), 2, 4));
    GIVES("f32[2,3,1,1]", 6 * 63, mu_adaptive_max_pool2d(g, v(g, "f32[2,3,7,9]"), 1, 1));
    REFUSES(MU_ERR_SHAPE, "at least 1, got 0", mu_adaptive_avg_pool2d(g, v(g, "f32[2,3,7,9]"), 0, 1));
    REFUSES(MU_ERR_OVERFLOW, "64 bits", mu_adaptive_max_pool2d(g, v(g, "f32[2,3,7,9]"), INT64_MAX, 1));

    GIVES("f32[2,3,14,5]", 0, mu_resize(g, v(g, "f32[2,3,7,9]"), 14, 5, MU_RESIZE_NEAREST, false));
    GIVES("f32[2,3,14,5]", 7 * 420, mu_resize(g, v(g, "f32[2,3,7,9]"), 14, 5, MU_RESIZE_BILINEAR, true));
    REFUSES(MU_ERR_SHAPE, "align_corners", mu_resize(g, v(g, "f32[2,3,7,9]"), 14, 5, MU_RESIZE_NEAREST, true));
    REFUSES(MU_ERR_SHAPE, "at least 1, got 0 x 5", mu_resize(g, v(g, "f32[2,3,7,9]"), 0, 5, MU_RESIZE_BILINEAR, true));
    REFUSES(MU_ERR_SHAPE, "no pixels", mu_resize(g, v(g, "f32[2,3,0,9]"), 3, 5, MU_RESIZE_BILINEAR, true));
    REFUSES(MU_ERR_OVERFLOW, "64 bits", mu_resize(g, v(g, "f32[2,3,7,9]"), (int64_t)1 << 40, (int64_t)1 << 40,
                                                  MU_RESIZE_BILINEAR, false));
}
END_TEST

START_TEST(picking)
{
    GIVES("f32[2,3,5]", 0, mu_embedding(g, v(g, "f32[7,5]"), v(g, "i64[2,3]")));
    GIVES("f32[5]", 0, mu_embedding(g, v(g, "f32[7,5]"), v(g, "i32[]")));
    REFUSES(MU_ERR_SHAPE, "i64 or i32, got f32[3]", mu_embedding(g, v(g, "f32[7,5]"), v(g, "f32[3]")));
    REFUSES(MU_ERR_SHAPE, "2 dimensions, got f32[7]", mu_embedding(g, v(g, "f32[7]"), v(g, "i64[3]")));
    REFUSES(MU_ERR_SHAPE, "at most 7", mu_embedding(g, v(g, "f32[7,5]"), v(g, "i64[1,1,1,1,1,1,1,1]")));

    GIVES("u8[2,4]", 0, mu_gather(g, v(g, "u8[2,3]"), v(g, "i64[2,4]"), -1));
    GIVES("f32[1,2,5]", 0, mu_gather(g, v(g, "f32[3,4,5]"), v(g, "i64[1,2,5]"), 1)); /* cut to the index's shape first */
    REFUSES(MU_ERR_SHAPE, "index i64[3,4] does not fit f32[2,3]", mu_gather(g, v(g, "f32[2,3]"), v(g, "i64[3,4]"), 1));
    REFUSES(MU_ERR_SHAPE, "dimension 2 is outside", mu_gather(g, v(g, "f32[2,3]"), v(g, "i64[2,4]"), 2));
    REFUSES(MU_ERR_SHAPE, "dimension -1 is outside", mu_gather(g, v(g, "f32[2,3]"), v(g, "i64[2,4]"), -3));

    GIVES("i64[2,1,4]", 24, mu_argmax(g, v(g, "f32[2,3,4]"), 1, true));
    GIVES("i64[2,3]", 24, mu_argmax(g, v(g, "f32[2,3,4]"), -1, false));
    REFUSES(MU_ERR_SHAPE, "f32[2,0] is empty", mu_argmax(g, v(g, "f32[2,0]"), 1, false));
    GIVES("i64[0]", 0, mu_argmax(g, v(g, "f32[0,2]"), 1, false));
    mu_value values, indices;
    GIVES("f32[2,2]", 6, (mu_topk(g, v(g, "f32[2,3]"), 2, 1, true, &values, &indices), values));
    GIVES("i64[2,0]", 6, (mu_topk(g, v(g, "f32[2,3]"), 0, -1, true, &values, &indices), indices));
    REFUSES(MU_ERR_SHAPE, "k is 4, dimension 1 of f32[2,3] has 3 elements",
            (mu_topk(g, v(g, "f32[2,3]"), 4, 1, true, &values, &indices), values));

    GIVES("f32[2,3,4]", 24, mu_prelu(g, v(g, "f32[2,3,4]"), v(g, "f32[3]")));
    GIVES("f32[]", 1, mu_prelu(g, v(g, "f32[]"), v(g, "f32[1]")));
    REFUSES(MU_ERR_SHAPE, "one per channel of f32[2,3,4], got f32[4]", mu_prelu(g, v(g, "f32[2,3,4]"), v(g, "f32[4]")));
}
END_TEST

static mu_value last_piece(mu_graph *g, const char *x, int64_t dim, const int64_t *sizes, int n)
{
    mu_value out[8];
    mu_split(g, v(g, x), dim, sizes, n, out);
    return out[n - 1];
}

START_TEST(moving)
{
    GIVES("f32[2,2]", 0, mu_slice(g, v(g, "f32[4,5]"), DIMS(1, 0), DIMS(2, 2), DIMS(2, 4)));
    GIVES("f32[0,5]", 0, mu_slice(g, v(g, "f32[4,5]"), DIMS(4, 0), DIMS(0, 5), NULL));
    REFUSES(MU_ERR_SHAPE, "reach beyond dimension 1 of f32[4,5]",
            mu_slice(g, v(g, "f32[4,5]"), DIMS(1, 0), DIMS(2, 3), DIMS(2, 4)));
    REFUSES(MU_ERR_SHAPE, "step is at least 1", mu_slice(g, v(g, "f32[4]"), DIMS(0), DIMS(1), DIMS(0)));
    REFUSES(MU_ERR_SHAPE, "got -1, 1 and 1", mu_slice(g, v(g, "f32[4]"), DIMS(-1), DIMS(1), NULL));
    REFUSES(MU_ERR_OVERFLOW, "64 bits", mu_slice(g, v(g, "f32[4]"), DIMS(0), DIMS(INT64_MAX), DIMS(INT64_MAX)));

    GIVES("f32[2,3]", 0, last_piece(g, "f32[2,5]", -1, DIMS(0, 2, 3), 3));
    REFUSES(MU_ERR_SHAPE, "6 elements together, dimension 1 of f32[2,5] has 5", last_piece(g, "f32[2,5]", 1, DIMS(3, 3), 2));
    REFUSES(MU_ERR_SHAPE, "piece 0 has size -1", last_piece(g, "f32[2,5]", 1, DIMS(-1, 6), 2));

    GIVES("i32[2,7]", 0, mu_concat(g, (mu_value[]){v(g, "i32[2,3]"), v(g, "i32[2,0]"), v(g, "i32[2,4]")}, 3, -1));
    REFUSES(MU_ERR_SHAPE, "operand 1, f32[3,3], does not fit f32[2,3]",
            mu_concat(g, (mu_value[]){v(g, "f32[2,3]"), v(g, "f32[3,3]")}, 2, 1));
    REFUSES(MU_ERR_SHAPE, "operand 1", mu_concat(g, (mu_value[]){v(g, "f32[2]"), v(g, "f64[2]")}, 2, 0));
    REFUSES(MU_ERR_USAGE, "operands", mu_concat(g, NULL, 0, 0));

    GIVES("bool[4,2,3]", 0, mu_transpose(g, v(g, "bool[2,3,4]"), (int[]){2, 0, 1}));
    REFUSES(MU_ERR_SHAPE, "once, not 0 at 1", mu_transpose(g, v(g, "f32[2,3]"), (int[]){0, 0}));
    REFUSES(MU_ERR_SHAPE, "once, not 2 at 0", mu_transpose(g, v(g, "f32[2,3]"), (int[]){2, 0}));

    mu_normalize_attrs image = {.dtype = MU_BF16, .padding = {1, 2}};
    GIVES("bf16[2,3,5,7]", 2 * 2 * 3 * 4 * 5, mu_normalize(g, v(g, "u8[2,3,4,5]"), v(g, "f32[3]"), v(g, "f32[1]"), &image));
    GIVES("bf16[2,1,5,7]", 2 * 2 * 4 * 5, mu_normalize(g, v(g, "f32[2,4,5]"), none, none, &image));
    REFUSES(MU_ERR_SHAPE, "u8 or f32 [N,C,H,W] or [N,H,W], got i32[2,3,4,5]", mu_normalize(g, v(g, "i32[2,3,4,5]"), none, none, &image));
    REFUSES(MU_ERR_SHAPE, "got u8[4,5]", mu_normalize(g, v(g, "u8[4,5]"), none, none, &image));
    REFUSES(MU_ERR_SHAPE, "mean must be f32[3] or f32[1], got f32[2]", mu_normalize(g, v(g, "u8[2,3,4,5]"), v(g, "f32[2]"), none, &image));
    REFUSES(MU_ERR_SHAPE, "std must be f32[1] or f32[1], got f64[1]", mu_normalize(g, v(g, "u8[2,4,5]"), none, v(g, "f64[1]"), &image));
    image.padding[0] = -1;
    REFUSES(MU_ERR_SHAPE, "0 or more, got -1", mu_normalize(g, v(g, "u8[2,4,5]"), none, none, &image));
    image.padding[0] = INT64_MAX;
    REFUSES(MU_ERR_OVERFLOW, "height", mu_normalize(g, v(g, "u8[2,4,5]"), none, none, &image));
    image.dtype = MU_I32;
    REFUSES(MU_ERR_USAGE, "not i32", mu_normalize(g, v(g, "u8[2,4,5]"), none, none, &image));
    GIVES("f32[3,8]", 0, mu_pad(g, v(g, "f32[3,3]"), DIMS(0, 2), DIMS(0, 3), MU_PAD_CONSTANT, 1));
    GIVES("f32[5]", 0, mu_pad(g, v(g, "f32[0]"), DIMS(2), DIMS(3), MU_PAD_CONSTANT, 1));
    GIVES("f32[7]", 0, mu_pad(g, v(g, "f32[3]"), DIMS(2), DIMS(2), MU_PAD_REFLECT, 0));
    REFUSES(MU_ERR_SHAPE, "more than the 3 elements", mu_pad(g, v(g, "f32[3]"), DIMS(3), DIMS(0), MU_PAD_REFLECT, 0));
    REFUSES(MU_ERR_SHAPE, "nothing to replicate", mu_pad(g, v(g, "f32[0]"), DIMS(1), DIMS(0), MU_PAD_REPLICATE, 0));
    REFUSES(MU_ERR_SHAPE, "0 or more, got -1 and 0", mu_pad(g, v(g, "f32[3]"), DIMS(-1), DIMS(0), MU_PAD_CONSTANT, 0));
    REFUSES(MU_ERR_OVERFLOW, "64 bits", mu_pad(g, v(g, "f32[3]"), DIMS(INT64_MAX), DIMS(1), MU_PAD_CONSTANT, 0));
}
END_TEST

/* The place of a node stands before its message. */
START_TEST(messages_name_the_node)
{
    mu_graph *g;
    ck_ok(mu_graph_new(&g));
    mu_graph_push(g, "head");
    mu_graph_push(g, "fc");
    mu_linear(g, v(g, "f32[2,5]"), v(g, "f32[4,3]"), none);
    ck_fails(mu_graph_status(g), MU_ERR_SHAPE, "linear \"head.fc\": weight f32[4,3]");
    mu_graph_release(g);
}
END_TEST

static mu_err trace(void)
{
    mu_graph *g;
    MU_TRY(mu_graph_new(&g));
    mu_value x = v(g, "f32[2,6,8,8]"), out[2], parts[2];
    x = mu_max_pool2d(g, x, (mu_pool2d_attrs[]){mu_pool2d_defaults(2, 2, 0)});
    mu_split(g, x, 1, DIMS(2, 4), 2, parts);
    x = mu_concat(g, (mu_value[]){parts[1], parts[0]}, 2, 1);
    mu_topk(g, mu_flatten(g, x, 1), 3, 1, true, &out[0], &out[1]);
    mu_gather(g, out[0], out[1], 1);
    mu_err err = mu_graph_status(g);
    mu_graph_release(g);
    return err;
}

START_TEST(out_of_memory)
{
    ck_survives_oom(trace(), (void)0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("shape");
    TCase *tests = tcase_create("shape");
    tcase_add_test(tests, convolution);
    tcase_add_test(tests, transposed_convolution);
    tcase_add_test(tests, products);
    tcase_add_test(tests, norms);
    tcase_add_test(tests, pooling);
    tcase_add_test(tests, picking);
    tcase_add_test(tests, moving);
    tcase_add_test(tests, messages_name_the_node);
    tcase_add_test(tests, out_of_memory);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
