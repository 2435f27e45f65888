#include "toy.h"

#include "core/philox.h"
#include "nn/layers.h"
#include "test.h"

/* ---- a model as a plug-in defines it ---- */

typedef struct {
    mu_model base;
    int64_t hidden, classes;
    double dropout;
    bool spoil;
} mlp;

static const mu_option mlp_options[] = {
    MU_OPTION(mlp, hidden, MU_OPT_INT, .int_default = 16, .bounded_below = true, .min = 1, .help = "units in the hidden layer"),
    MU_OPTION(mlp, classes, MU_OPT_INT, .int_default = 4, .bounded_below = true, .min = 1, .help = "classes"),
    MU_OPTION(mlp, dropout, MU_OPT_FLOAT, .bounded_below = true, .bounded_above = true, .max = 1,
              .help = "probability of zeroing a hidden unit"),
    MU_OPTION(mlp, spoil, MU_OPT_BOOL, .help = "take the logarithm of a negative number"),
    MU_MODEL_OPTIONS(mlp), MU_OPTION_END};

static void mlp_forward(const mu_model *model, mu_trace *t)
{
    const mlp *self = (const mlp *)model;
    mu_value x = mu_flatten(t->graph, mu_trace_input(t, "img"), 1);
    x = mu_relu(t->graph, mu_nn_linear(t, "fc1", x, self->hidden, true));
    x = mu_nn_linear(t, "fc2", mu_nn_dropout(t, x, self->dropout), self->classes, true);
    if (self->spoil) {
        mu_trace_enter(t, "spoiler", "Spoiler", NULL);
        x = mu_add(t->graph, x, mu_log(t->graph, mu_add_scalar(t->graph, mu_mul_scalar(t->graph, x, 0), -1)));
        mu_trace_leave(t);
    }
    if (t->mode == MU_MODE_LOSS)
        mu_trace_loss(t, "loss", mu_cross_entropy(t->graph, x, mu_trace_input(t, "gt_label"), MU_NO_VALUE, NULL));
    else
        mu_trace_output(t, "scores", t->mode == MU_MODE_PREDICT ? mu_softmax(t->graph, x, 1) : x);
}

static const mu_component mlp_component = {
    .kind = "model", .name = "ToyMLP", .doc = "Two linear layers with a ReLU between.", .size = sizeof(mlp),
    .options = mlp_options, .destroy = mu_model_destroy, .ops = &(const mu_model_ops){.forward = mlp_forward}};

/* ---- a backbone ---- */

typedef struct {
    mu_layer base;
    int64_t channels;
    bool unused;
} backbone;

static const mu_option backbone_options[] = {
    MU_OPTION(backbone, channels, MU_OPT_INT, .int_default = 8, .bounded_below = true, .min = 1, .help = "channels"),
    MU_OPTION(backbone, unused, MU_OPT_BOOL, .help = "make a parameter that nothing reads"),
    MU_LAYER_OPTIONS(backbone), MU_OPTION_END};

static void backbone_forward(const void *layer, mu_trace *t, mu_features *x)
{
    const backbone *self = layer;
    mu_value y = mu_nn_conv(t, "conv", x->v[0], self->channels, 3, 1, 1);
    y = mu_nn_norm(t, "bn", y, NULL);
    if (self->unused)
        mu_nn_linear(t, "extra", mu_flatten(t->graph, y, 1), 2, false);
    *x = mu_features_one(mu_relu(t->graph, y));
}

static const mu_component backbone_component = {
    .kind = "backbone", .name = "ToyBackbone", .doc = "Convolution, batch norm, ReLU.", .size = sizeof(backbone),
    .options = backbone_options, .ops = &(const mu_layer_ops){.forward = backbone_forward}};

void toy_register(void)
{
    mu_registry *root;
    ck_ok(mu_registry_root(&root));
    ck_ok(mu_registry_add(root, &mlp_component, true));
    ck_ok(mu_registry_add(root, &backbone_component, true));
}

/* ---- building, filling ---- */

mu_err toy_build(const char *kind, const char *yaml, toy *out)
{
    toy made = {0};
    MU_TRY(mu_config_parse(yaml, strlen(yaml), "yaml", &made.config));
    mu_err err = mu_build(kind, mu_config_root(made.config), NULL, kind, &made.object);
    if (err)
        mu_config_release(made.config);
    else
        *out = made;
    return err;
}

void toy_release(toy *t)
{
    mu_destroy(t->object);
    mu_config_release(t->config);
    *t = (toy){0};
}

void toy_fill(mu_model *model, uint64_t seed)
{
    const mu_modules *modules = mu_model_modules(model);
    for (int i = 0; i < mu_modules_n_params(modules); i++) {
        const mu_module_param *p = mu_modules_param(modules, i);
        int64_t n = mu_type_count(&p->type);
        uint64_t hash = 1;
        for (const char *c = p->name; *c; c++)
            hash = hash * 31 + (unsigned char)*c;
        mu_philox stream = mu_philox_key(seed, MU_RNG_TEST, hash, 0);
        float *values = malloc((size_t)n * sizeof *values + 1);
        for (int64_t k = 0; k < n; k++)
            values[k] = p->fill.kind == MU_FILL_CONSTANT ? (float)p->fill.a
                        : p->fill.kind == MU_FILL_UNIFORM
                            ? (float)(p->fill.a + (p->fill.b - p->fill.a) * mu_philox_uniform_f64(&stream, (uint64_t)k))
                            : (float)(p->fill.a + p->fill.b * mu_philox_normal(&stream, (uint64_t)k));
        ck_ok(mu_params_write(mu_model_params(model), p->name, values));
        free(values);
    }
    mu_model_changed(model);
}

/* ---- batches ---- */

void toy_batch_new(int64_t n, int64_t channels, int64_t size, int64_t classes, uint64_t seed, toy_batch *out)
{
    int64_t inner = channels * size * size;
    mu_philox stream = mu_philox_key(seed, MU_RNG_TEST, 1, 2);
    *out = (toy_batch){.img = malloc((size_t)(n * inner)), .label = malloc((size_t)n * sizeof(int64_t)),
                       .index = malloc((size_t)n * sizeof(int64_t))};
    for (int64_t i = 0; i < n; i++) {
        out->index[i] = i;
        out->label[i] = (int64_t)mu_philox_below(&stream, (uint64_t)i, (uint64_t)classes);
        for (int64_t k = 0; k < inner; k++)
            out->img[i * inner + k] = (uint8_t)(out->label[i] * 255 / classes +
                                                (int64_t)mu_philox_below(&stream, (uint64_t)(n + i * inner + k), 40));
    }
    out->batch = (mu_batch){.size = n, .index = out->index, .first = 0, .stride = 1};
    ck_ok(mu_tensors_put(&out->batch.fields, "img", MU_TYPE(MU_U8, n, channels, size, size), out->img));
    ck_ok(mu_tensors_put(&out->batch.fields, "gt_label", MU_TYPE(MU_I64, n), out->label));
}

void toy_batch_release(toy_batch *b)
{
    free(b->img);
    free(b->label);
    free(b->index);
}
