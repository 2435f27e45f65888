/* A model that is trained in parts, each by an optimizer of its own: a generator of images, and a discriminator that tells them from those of the
 * data set (Goodfellow et al. 2014). Both have one hidden layer. */
#include <muster.h>

#include <stddef.h>
#include <string.h>

typedef struct {
    mu_model base;
    int64_t latent, hidden;
} gan;

static const mu_option options[] = {
    MU_OPTION(gan, latent, MU_OPT_INT, .int_default = 16, .bounded_below = true, .min = 1, .help = "random numbers that an image is made from"),
    MU_OPTION(gan, hidden, MU_OPT_INT, .int_default = 64, .bounded_below = true, .min = 1, .unit = "units",
              .help = "of the hidden layers"),
    MU_MODEL_OPTIONS(gan),
    MU_OPTION_END,
};

/* [N, outputs]; the module `name` is the same one however often it is entered. */
static mu_value perceptron(const gan *self, mu_trace *t, const char *name, mu_value x, int64_t outputs)
{
    mu_trace_enter(t, name, "Perceptron", NULL);
    x = mu_leaky_relu(t->graph, mu_nn_linear(t, "fc1", x, self->hidden, true), 0.2);
    x = mu_nn_linear(t, "fc2", x, outputs, true);
    mu_trace_leave(t);
    return x;
}

static mu_value filled(mu_trace *t, const mu_type *like, double value)
{
    return mu_broadcast_to(t->graph, mu_graph_scalar(t->graph, like->dtype, value), like->ndim, like->dim);
}

/* [N, latent], each -1 or 1: those of a sample do not depend on how many ranks there are. A batch may bring its own. */
static mu_value noise(const gan *self, mu_trace *t, const mu_type *images)
{
    mu_type type = MU_TYPE(images->dtype, images->dim[0], self->latent);
    if (mu_trace_has_input(t, "noise"))
        return mu_trace_input(t, "noise");
    return mu_sub(t->graph, mu_dropout(t->graph, filled(t, &type, 1), 0.5), filled(t, &type, 1));
}

/* How far the discriminator is from saying so of all images. */
static mu_value mistake(mu_trace *t, mu_value score, double truth)
{
    mu_loss_attrs mean = mu_loss_defaults();
    mu_type type = *mu_graph_type(t->graph, score);
    return mu_bce_with_logits(t->graph, score, filled(t, &type, truth), MU_NO_VALUE, MU_NO_VALUE, &mean);
}

static void forward(const mu_model *model, mu_trace *t)
{
    const gan *self = (const gan *)model;
    mu_value images = mu_trace_input(t, "img");
    mu_type type = *mu_graph_type(t->graph, images);
    if (mu_trace_status(t) != MU_OK)
        return;
    mu_value real = mu_flatten(t->graph, images, 1); /* [N, pixels] */
    int64_t pixels = mu_graph_type(t->graph, real)->dim[1];
    mu_value fake = mu_tanh(t->graph, perceptron(self, t, "generator", noise(self, t, &type), pixels));
    mu_value fake_score = perceptron(self, t, "discriminator", fake, 1);
    if (t->mode == MU_MODE_PREDICT) {
        mu_trace_output(t, "sample", mu_reshape(t->graph, fake, type.ndim, type.dim));
        mu_trace_output(t, "realness", mu_sigmoid(t->graph, fake_score));
    } else if (t->mode == MU_MODE_TENSOR) {
        mu_trace_output(t, "realness", mu_sigmoid(t->graph, fake_score));
    } else if (t->part && strcmp(t->part, "generator") == 0) {
        mu_trace_loss(t, "loss_generator", mistake(t, fake_score, 1));
    } else {
        mu_trace_loss(t, "loss_real", mistake(t, perceptron(self, t, "discriminator", real, 1), 1));
        mu_trace_loss(t, "loss_fake", mistake(t, fake_score, 0));
    }
}

static const char *const parts[] = {"generator", "discriminator", NULL};

static const mu_component component = {
    .kind = "model",
    .name = "GAN",
    .doc = "Learns to make images like those of a data set.",
    .size = sizeof(gan),
    .options = options,
    .destroy = mu_model_destroy,
    .ops = &(const mu_model_ops){.forward = forward, .parts = parts},
};

const int muster_plugin_version = MU_PLUGIN_VERSION;
mu_err muster_plugin_register(mu_registry *root);

mu_err muster_plugin_register(mu_registry *root)
{
    return mu_registry_add(root, &component, false);
}
