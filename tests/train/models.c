#include "train/models.h"

#include "core/mem.h"

#include <math.h>
#include <stdio.h>

/* A leaf under the current scope. */
static void leaf_name(char out[128], const char *scope, const char *leaf)
{
    snprintf(out, 128, "%s.%s", scope, leaf);
}

static mu_value param(mu_graph *g, const char *scope, const char *leaf, mu_type type)
{
    char name[128];
    leaf_name(name, scope, leaf);
    return mu_graph_param(g, name, type);
}

static mu_value conv(mu_graph *g, const char *scope, mu_value x, int64_t maps, int64_t kernel, int64_t stride,
                     int64_t padding, bool bias)
{
    mu_type t = *mu_graph_type(g, x);
    mu_value w = param(g, scope, "weight", MU_TYPE(t.dtype, maps, t.dim[1], kernel, kernel));
    mu_value b = bias ? param(g, scope, "bias", MU_TYPE(t.dtype, maps)) : MU_NO_VALUE;
    mu_conv2d_attrs a = mu_conv2d_defaults();
    a.stride[0] = a.stride[1] = stride;
    for (int i = 0; i < 4; i++)
        a.padding[i] = padding;
    mu_graph_push(g, scope);
    x = mu_conv2d(g, x, w, b, &a);
    mu_graph_pop(g);
    return x;
}

static mu_value batch_norm(mu_graph *g, const char *scope, mu_value x, bool training)
{
    mu_type t = *mu_graph_type(g, x), channels = MU_TYPE(t.dtype, t.dim[1]);
    char mean[128], var[128];
    leaf_name(mean, scope, "running_mean");
    leaf_name(var, scope, "running_var");
    mu_value gamma = param(g, scope, "weight", channels), beta = param(g, scope, "bias", channels);
    mu_value m = mu_graph_state(g, mean, channels), v = mu_graph_state(g, var, channels);
    mu_graph_push(g, scope);
    x = training ? mu_batch_norm(g, x, gamma, beta, m, v, 1e-5, 0.1)
                 : mu_batch_norm_inference(g, x, gamma, beta, m, v, 1e-5);
    mu_graph_pop(g);
    return x;
}

static mu_value linear(mu_graph *g, const char *scope, mu_value x, int64_t features)
{
    mu_type t = *mu_graph_type(g, x);
    mu_value w = param(g, scope, "weight", MU_TYPE(t.dtype, features, t.ndim ? t.dim[t.ndim - 1] : 0));
    mu_value b = param(g, scope, "bias", MU_TYPE(t.dtype, features));
    mu_graph_push(g, scope);
    x = mu_linear(g, x, w, b);
    mu_graph_pop(g);
    return x;
}

static mu_value max_pool(mu_graph *g, mu_value x, int64_t kernel, int64_t stride, int64_t padding)
{
    mu_pool2d_attrs a = mu_pool2d_defaults(kernel, stride, padding);
    return mu_max_pool2d(g, x, &a);
}

mu_value model_lenet(mu_graph *g, mu_value x, int64_t classes, bool training)
{
    x = mu_relu(g, batch_norm(g, "bn1", conv(g, "conv1", x, 32, 5, 1, 2, false), training));
    x = max_pool(g, x, 2, 2, 0);
    x = mu_relu(g, batch_norm(g, "bn2", conv(g, "conv2", x, 64, 5, 1, 2, false), training));
    x = max_pool(g, x, 2, 2, 0);
    x = mu_relu(g, linear(g, "fc1", mu_flatten(g, x, 1), 128));
    return linear(g, "fc2", x, classes);
}

mu_value model_tiny(mu_graph *g, mu_value x, int64_t classes, bool training)
{
    x = mu_relu(g, batch_norm(g, "bn1", conv(g, "conv1", x, 8, 3, 1, 1, false), training));
    x = conv(g, "conv2", max_pool(g, x, 2, 2, 0), 12, 3, 2, 1, true);
    mu_pool2d_attrs a = mu_pool2d_defaults(3, 1, 1);
    a.count_include_pad = true;
    return linear(g, "fc", mu_flatten(g, mu_avg_pool2d(g, x, &a), 1), classes);
}

typedef struct {
    bool training;
    bool bottleneck;
} resnet;

/* The residual of a block: x itself, or its projection where the shape changes. */
static mu_value shortcut(mu_graph *g, const resnet *r, const char *scope, mu_value x, int64_t maps, int64_t stride)
{
    char name[128];
    if (mu_graph_type(g, x)->dim[1] == maps && stride == 1)
        return x;
    leaf_name(name, scope, "downsample.0");
    x = conv(g, name, x, maps, 1, stride, 0, false);
    leaf_name(name, scope, "downsample.1");
    return batch_norm(g, name, x, r->training);
}

/* conv<i>, bn<i> of a block. */
static mu_value conv_norm(mu_graph *g, const resnet *r, const char *scope, int i, mu_value x, int64_t maps,
                          int64_t kernel, int64_t stride)
{
    char conv_name[128], norm_name[128];
    snprintf(conv_name, sizeof conv_name, "%s.conv%d", scope, i);
    snprintf(norm_name, sizeof norm_name, "%s.bn%d", scope, i);
    x = conv(g, conv_name, x, maps, kernel, stride, kernel / 2, false);
    return batch_norm(g, norm_name, x, r->training);
}

static mu_value block(mu_graph *g, const resnet *r, const char *scope, mu_value x, int64_t maps, int64_t stride)
{
    mu_value y;
    if (r->bottleneck) {
        y = mu_relu(g, conv_norm(g, r, scope, 1, x, maps, 1, 1));
        y = mu_relu(g, conv_norm(g, r, scope, 2, y, maps, 3, stride));
        y = conv_norm(g, r, scope, 3, y, 4 * maps, 1, 1);
    } else {
        y = mu_relu(g, conv_norm(g, r, scope, 1, x, maps, 3, stride));
        y = conv_norm(g, r, scope, 2, y, maps, 3, 1);
    }
    return mu_relu(g, mu_add(g, y, shortcut(g, r, scope, x, r->bottleneck ? 4 * maps : maps, stride)));
}

static mu_value layers(mu_graph *g, const resnet *r, mu_value x, const int blocks[4], int64_t classes)
{
    char scope[32];
    for (int layer = 0; layer < 4; layer++)
        for (int i = 0; i < blocks[layer]; i++) {
            snprintf(scope, sizeof scope, "layer%d.%d", layer + 1, i);
            x = block(g, r, scope, x, 64 << layer, i == 0 && layer > 0 ? 2 : 1);
        }
    x = mu_flatten(g, mu_adaptive_avg_pool2d(g, x, 1, 1), 1);
    return linear(g, "fc", x, classes);
}

mu_value model_resnet18(mu_graph *g, mu_value x, int64_t classes, bool training)
{
    x = mu_relu(g, batch_norm(g, "bn1", conv(g, "conv1", x, 64, 3, 1, 1, false), training));
    return layers(g, &(resnet){.training = training}, x, (const int[]){2, 2, 2, 2}, classes);
}

mu_value model_resnet50(mu_graph *g, mu_value x, int64_t classes, bool training)
{
    x = mu_relu(g, batch_norm(g, "bn1", conv(g, "conv1", x, 64, 7, 2, 3, false), training));
    x = max_pool(g, x, 3, 2, 1);
    return layers(g, &(resnet){.training = training, .bottleneck = true}, x, (const int[]){3, 4, 6, 3}, classes);
}

const model_entry model_list[] = {{"lenet", model_lenet},
                                  {"resnet18", model_resnet18},
                                  {"resnet50", model_resnet50},
                                  {"tiny", model_tiny},
                                  {NULL, NULL}};

mu_err model_graph(model_fn *fn, mu_type type, int64_t classes, model_mode mode, mu_graph **out, mu_value *loss)
{
    mu_graph *g;
    MU_TRY(mu_graph_new(&g));
    mu_value y = fn(g, mu_graph_input(g, "x", type), classes, mode == MODEL_TRAIN);
    if (mode == MODEL_EVAL) {
        mu_graph_output(g, "logits", y);
    } else {
        mu_loss_attrs a = mu_loss_defaults();
        y = mu_cross_entropy(g, y, mu_graph_input(g, "target", MU_TYPE(MU_I64, type.dim[0])), MU_NO_VALUE, &a);
        mu_graph_output(g, "loss", y);
    }
    mu_err err = mu_graph_status(g);
    if (err != MU_OK) {
        mu_graph_release(g);
        return err;
    }
    if (loss)
        *loss = y;
    *out = g;
    return MU_OK;
}

double model_number(const char *name, int64_t i)
{
    uint64_t z = 0xcbf29ce484222325u;
    for (; *name; name++)
        z = (z ^ (unsigned char)*name) * 0x100000001b3u;
    z += (uint64_t)(i + 1) * 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    return (double)(z >> 40) * 0x1p-23 - 1;
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

static mu_err init_one(const mu_value_info *info, mu_params *params)
{
    const mu_type *t = &info->type;
    int64_t count = mu_type_count(t), fan_in = t->ndim > 1 && t->dim[0] ? count / t->dim[0] : 0;
    double bound = fan_in ? sqrt(6.0 / (double)fan_in) : 0.1;
    double *values;
    void *bytes;
    bool mean = ends_with(info->name, "running_mean"), var = ends_with(info->name, "running_var");
    bool gain = t->ndim == 1 && ends_with(info->name, "weight");
    MU_TRY(mu_params_declare(params, info->name, *t, info->kind == MU_VALUE_PARAM));
    MU_TRY(mu_calloc(&values, (size_t)count, 2 * sizeof *values));
    bytes = values + count;
    for (int64_t i = 0; i < count; i++)
        values[i] = mean ? 0 : var ? 1 : (float)(model_number(info->name, i) * bound + gain);
    mu_convert(bytes, t->dtype, values, MU_F64, count);
    mu_err err = mu_params_write(params, info->name, bytes);
    mu_free(values);
    return err;
}

mu_err model_init(const mu_graph *graph, mu_params *params)
{
    for (int32_t id = 1; id <= mu_graph_n_values(graph); id++) {
        const mu_value_info *info = mu_graph_value(graph, (mu_value){id});
        if (info->kind == MU_VALUE_PARAM || info->kind == MU_VALUE_STATE)
            MU_TRY(init_one(info, params));
    }
    return MU_OK;
}
