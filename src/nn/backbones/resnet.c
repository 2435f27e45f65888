#include "nn/layer.h"

#include "config/config.h"
#include "nn/layers_impl.h"

#include <stdio.h>

/* He et al., "Deep residual learning for image recognition", 2015. Names and shapes are torchvision's. */
typedef struct {
    mu_layer base;
    int64_t depth, in_channels, stem_channels, base_channels, num_stages, frozen_stages;
    mu_ints strides, out_indices;
    int style;
    bool norm_eval, zero_init_residual;
    const mu_cfg *norm_cfg;

    const struct architecture *architecture;
    bool small_stem;   /* ResNet_CIFAR */
    mu_cfg *zero_init; /* init_cfg of the blocks; owned */
    void *norm;        /* owned; NULL: batch norm */
} resnet;

typedef struct architecture {
    int depth, blocks[4];
    bool bottleneck;
} architecture;
static const architecture architectures[] = {{18, {2, 2, 2, 2}, false},
                                             {34, {3, 4, 6, 3}, false},
                                             {50, {3, 4, 6, 3}, true},
                                             {101, {3, 4, 23, 3}, true},
                                             {152, {3, 8, 36, 3}, true}};

enum { STYLE_PYTORCH, STYLE_CAFFE, MAX_STAGES = 4 };
static const char *const styles[] = {"pytorch", "caffe", NULL};

static const mu_option options[] = {
    MU_OPTION(resnet, depth, MU_OPT_INT, .required = true, .bounded_below = true, .min = 18, .bounded_above = true,
              .max = 152, .unit = "layers", .help = "18, 34, 50, 101 or 152"),
    MU_OPTION(resnet, in_channels, MU_OPT_INT, .int_default = 3, .bounded_below = true, .min = 1,
              .help = "of the images"),
    MU_OPTION(resnet, stem_channels, MU_OPT_INT, .int_default = 64, .bounded_below = true, .min = 1,
              .help = "of the first convolution"),
    MU_OPTION(resnet, base_channels, MU_OPT_INT, .int_default = 64, .bounded_below = true, .min = 1,
              .help = "of the first stage's 3x3 convolutions; each stage doubles them"),
    MU_OPTION(resnet, num_stages, MU_OPT_INT, .int_default = MAX_STAGES, .bounded_below = true, .min = 1,
              .bounded_above = true, .max = MAX_STAGES, .help = "stages"),
    MU_OPTION(resnet, strides, MU_OPT_INTS, .text_default = "[1, 2, 2, 2]", .bounded_below = true, .min = 1,
              .min_items = 1, .max_items = MAX_STAGES, .help = "of the first block of each stage"),
    MU_OPTION(resnet, out_indices, MU_OPT_INTS, .text_default = "[the last]", .bounded_below = true, .min_items = 1,
              .max_items = MAX_STAGES, .help = "stages whose maps are given, from 0"),
    MU_OPTION(resnet, style, MU_OPT_CHOICE, .choices = styles,
              .help = "depth 50 and more: whether the 3x3 (pytorch) or the first 1x1 convolution has the stride"),
    MU_OPTION(resnet, frozen_stages, MU_OPT_INT, .int_default = -1, .bounded_below = true, .min = -1,
              .bounded_above = true, .max = MAX_STAGES,
              .help = "0 keeps the stem from training, n also the first n stages"),
    MU_OPTION(resnet, norm_cfg, MU_OPT_COMPONENT, .nullable = true, .component_kind = "layer",
              .help = "the layer behind every convolution: BN (the default), SyncBN, GroupNorm"),
    MU_OPTION(resnet, norm_eval, MU_OPT_BOOL, .help = "batch norms use their running statistics in training too"),
    MU_OPTION(resnet, zero_init_residual, MU_OPT_BOOL, .boolean_default = true,
              .help = "blocks begin as the identity: their last norm's weight is 0"),
    MU_LAYER_OPTIONS(resnet),
    MU_OPTION_END,
};

static mu_err check_lists(const resnet *self)
{
    if (self->strides.n && (int64_t)self->strides.n != self->num_stages)
        return MU_FAIL(MU_ERR_CONFIG, "%zu strides are given for %lld stages", self->strides.n,
                       (long long)self->num_stages);
    if (self->frozen_stages > self->num_stages)
        return MU_FAIL(MU_ERR_CONFIG, "frozen_stages is %lld, there are %lld stages", (long long)self->frozen_stages,
                       (long long)self->num_stages);
    for (size_t i = 0; i < self->out_indices.n; i++) {
        if (self->out_indices.v[i] >= self->num_stages)
            return MU_FAIL(MU_ERR_CONFIG, "out_indices has %lld; stages are 0 to %lld",
                           (long long)self->out_indices.v[i], (long long)self->num_stages - 1);
        if (i && self->out_indices.v[i] <= self->out_indices.v[i - 1])
            return MU_FAIL(MU_ERR_CONFIG, "out_indices must ascend");
    }
    return MU_OK;
}

static void destroy(void *object)
{
    resnet *self = object;
    mu_cfg_release(self->zero_init);
    mu_destroy(self->norm);
    mu_layer_destroy(object);
}

static mu_err build_parts(resnet *self, const mu_cfg *cfg)
{
    MU_TRY(mu_layer_default_init(&self->base, cfg,
                                 "[{\"type\": \"Kaiming\", \"layer\": [\"Conv2d\"]},"
                                 " {\"type\": \"Constant\", \"val\": 1, \"layer\": [\"_BatchNorm\", \"GroupNorm\"]}]"));
    if (self->norm_cfg)
        MU_TRY(mu_build("layer", self->norm_cfg, NULL, "norm_cfg", &self->norm));
    if (!self->zero_init_residual)
        return MU_OK;
    const char *zero = self->architecture->bottleneck
                           ? "{\"type\": \"Constant\", \"val\": 0, \"override\": {\"name\": \"bn3\"}}"
                           : "{\"type\": \"Constant\", \"val\": 0, \"override\": {\"name\": \"bn2\"}}";
    MU_TRY(mu_cfg_parse_json(zero, strlen(zero), "<zero_init_residual>", &self->zero_init));
    return MU_OK;
}

static mu_err create(void *object, const mu_cfg *cfg)
{
    resnet *self = object;
    for (size_t i = 0; i < sizeof architectures / sizeof architectures[0]; i++)
        if (architectures[i].depth == self->depth)
            self->architecture = &architectures[i];
    if (!self->architecture)
        return MU_FAIL(MU_ERR_CONFIG, "depth is %lld, not one of 18, 34, 50, 101, 152", (long long)self->depth);
    MU_TRY(check_lists(self));
    mu_err err = build_parts(self, cfg);
    if (err)
        destroy(object);
    return err;
}

static mu_err create_cifar(void *object, const mu_cfg *cfg)
{
    ((resnet *)object)->small_stem = true;
    return create(object, cfg);
}

static mu_value norm(const resnet *self, mu_trace *t, const char *name, mu_value x)
{
    if (!self->norm)
        return mu_nn_norm(t, name, x, NULL);
    mu_features f = mu_features_one(x);
    mu_layer_apply(self->norm, t, name, &f);
    return f.v[0];
}

/* conv<i>, bn<i> */
static mu_value conv_norm(const resnet *self, mu_trace *t, int i, mu_value x, int64_t channels, int64_t kernel,
                          int64_t stride)
{
    char conv_name[16], norm_name[16];
    snprintf(conv_name, sizeof conv_name, "conv%d", i);
    snprintf(norm_name, sizeof norm_name, "bn%d", i);
    x = mu_nn_conv(t, conv_name, x, channels, kernel, stride, kernel / 2);
    return norm(self, t, norm_name, x);
}

/* x itself, or where the shape changes downsample.0 (1x1 convolution) and downsample.1 (norm). */
static mu_value shortcut(const resnet *self, mu_trace *t, mu_value x, int64_t channels, int64_t stride)
{
    if (stride == 1 && mu_graph_type(t->graph, x)->dim[1] == channels)
        return x;
    mu_trace_enter(t, "downsample", "Sequential", NULL);
    x = norm(self, t, "1", mu_nn_conv(t, "0", x, channels, 1, stride, 0));
    mu_trace_leave(t);
    return x;
}

static mu_value block(const resnet *self, mu_trace *t, mu_value x, int64_t channels, int64_t stride)
{
    mu_value y;
    int64_t out = self->architecture->bottleneck ? 4 * channels : channels;
    bool caffe = self->style == STYLE_CAFFE;
    if (self->architecture->bottleneck) {
        y = mu_relu(t->graph, conv_norm(self, t, 1, x, channels, 1, caffe ? stride : 1));
        y = mu_relu(t->graph, conv_norm(self, t, 2, y, channels, 3, caffe ? 1 : stride));
        y = conv_norm(self, t, 3, y, out, 1, 1);
    } else {
        y = mu_relu(t->graph, conv_norm(self, t, 1, x, channels, 3, stride));
        y = conv_norm(self, t, 2, y, channels, 3, 1);
    }
    return mu_relu(t->graph, mu_add(t->graph, y, shortcut(self, t, x, out, stride)));
}

static mu_value stage(const resnet *self, mu_trace *t, int s, mu_value x)
{
    static const int64_t strides[MAX_STAGES] = {1, 2, 2, 2};
    int64_t stride = self->strides.n ? self->strides.v[s] : strides[s];
    char name[16];
    snprintf(name, sizeof name, "layer%d", s + 1);
    mu_trace_enter(t, name, "ResLayer", NULL);
    for (int i = 0; i < self->architecture->blocks[s]; i++) {
        snprintf(name, sizeof name, "%d", i);
        mu_trace_enter(t, name, self->architecture->bottleneck ? "Bottleneck" : "BasicBlock", self->zero_init);
        x = block(self, t, x, self->base_channels << s, i == 0 ? stride : 1);
        mu_trace_leave(t);
    }
    mu_trace_leave(t);
    return x;
}

static mu_value stem(const resnet *self, mu_trace *t, mu_value x)
{
    mu_pool2d_attrs pool = mu_pool2d_defaults(3, 2, 1);
    if (self->small_stem)
        return mu_relu(t->graph, conv_norm(self, t, 1, x, self->stem_channels, 3, 1));
    x = mu_relu(t->graph, conv_norm(self, t, 1, x, self->stem_channels, 7, 2));
    return mu_max_pool2d(t->graph, x, &pool);
}

static bool is_given(const resnet *self, int s)
{
    for (size_t i = 0; i < self->out_indices.n; i++)
        if (self->out_indices.v[i] == s)
            return true;
    return self->out_indices.n == 0 && s == self->num_stages - 1;
}

/* Frozen parts use their running statistics. */
static void freeze(const resnet *self, mu_trace *t, bool frozen, bool norm_eval)
{
    t->frozen = frozen;
    t->norm_eval = norm_eval || self->norm_eval || frozen;
}

static void forward(const void *layer, mu_trace *t, mu_features *x)
{
    const resnet *self = layer;
    mu_value v = mu_features_single(t, x, "ResNet");
    bool frozen = t->frozen, norm_eval = t->norm_eval;
    if (!mu_nn_expect_channels(t, v, "ResNet", self->in_channels))
        return;
    x->n = 0;
    freeze(self, t, frozen || self->frozen_stages >= 0, norm_eval);
    v = stem(self, t, v);
    for (int s = 0; s < self->num_stages; s++) {
        freeze(self, t, frozen || s < self->frozen_stages, norm_eval);
        v = stage(self, t, s, v);
        if (is_given(self, s))
            x->v[x->n++] = v;
    }
    t->frozen = frozen;
    t->norm_eval = norm_eval;
}

const mu_component mu_component_resnet = {
    .kind = "backbone",
    .name = "ResNet",
    .doc = "Residual networks with the stem for large images (7x7 stride 2, max pool): [N,C,H,W] -> maps of a 32nd of "
           "the sides.",
    .size = sizeof(resnet),
    .options = options,
    .create = create,
    .destroy = destroy,
    .ops = &(const mu_layer_ops){.forward = forward},
};

const mu_component mu_component_resnet_cifar = {
    .kind = "backbone",
    .name = "ResNet_CIFAR",
    .doc = "Residual networks with the stem for images of about 32 by 32 (3x3 stride 1): [N,C,H,W] -> maps of an "
           "eighth of the "
           "sides.",
    .size = sizeof(resnet),
    .options = options,
    .create = create_cifar,
    .destroy = destroy,
    .ops = &(const mu_layer_ops){.forward = forward},
};
