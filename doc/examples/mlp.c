/* A model: two linear layers with a ReLU between. */
#include <muster.h>

#include <stddef.h>

typedef struct {
    mu_model base;
    int64_t hidden, num_classes;
    double dropout;
} mlp;

static const mu_option options[] = {
    MU_OPTION(mlp, hidden, MU_OPT_INT, .int_default = 128, .bounded_below = true, .min = 1, .unit = "units",
              .help = "of the hidden layer"),
    MU_OPTION(mlp, num_classes, MU_OPT_INT, .required = true, .bounded_below = true, .min = 2, .help = "scores to give"),
    MU_OPTION(mlp, dropout, MU_OPT_FLOAT, .bounded_below = true, .bounded_above = true, .max = 1,
              .help = "probability of zeroing a hidden unit in training"),
    MU_MODEL_OPTIONS(mlp),
    MU_OPTION_END,
};

static void forward(const mu_model *model, mu_trace *t)
{
    const mlp *self = (const mlp *)model;
    mu_loss_attrs mean = mu_loss_defaults();
    mu_value x = mu_flatten(t->graph, mu_trace_input(t, "img"), 1);         /* [N, C*H*W] */
    x = mu_relu(t->graph, mu_nn_linear(t, "fc1", x, self->hidden, true));   /* [N, hidden] */
    x = mu_nn_dropout(t, x, self->dropout);
    x = mu_nn_linear(t, "fc2", x, self->num_classes, true);                 /* [N, num_classes] */
    if (t->mode == MU_MODE_LOSS)
        mu_trace_loss(t, "loss", mu_cross_entropy(t->graph, x, mu_trace_input(t, "gt_label"), MU_NO_VALUE, &mean));
    else if (t->mode == MU_MODE_PREDICT)
        mu_trace_output(t, "pred_score", mu_softmax(t->graph, x, 1));
    else
        mu_trace_output(t, "score", x);
}

static mu_err check(const mu_model *model, const mu_tensors *inputs)
{
    int64_t classes = ((const mlp *)model)->num_classes;
    const mu_tensor *labels = mu_tensors_find(inputs, "gt_label");
    for (int64_t i = 0; labels && i < mu_type_count(&labels->type); i++) {
        int64_t label = ((const int64_t *)labels->data)[i];
        if (label < 0 || label >= classes)
            return MU_FAIL(MU_ERR_FORMAT, "label %lld of the batch is %lld; there are %lld classes", (long long)i,
                           (long long)label, (long long)classes);
    }
    return MU_OK;
}

static const mu_component component = {
    .kind = "model",
    .name = "MLP",
    .doc = "Two linear layers with a ReLU between.",
    .size = sizeof(mlp),
    .options = options,
    .destroy = mu_model_destroy,
    .ops = &(const mu_model_ops){.forward = forward, .check = check},
};

const int muster_plugin_version = MU_PLUGIN_VERSION;
mu_err muster_plugin_register(mu_registry *root);

mu_err muster_plugin_register(mu_registry *root)
{
    return mu_registry_add(root, &component, false);
}
