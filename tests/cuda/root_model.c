/* A plug-in for tests: RootModel, whose loss is the mean of |w . image|, as a square root: of an image of zeros it is 0, and its gradient not finite.
 * ReadOnce lets a sample be read no second time. */
#include <muster.h>

#include <stdatomic.h>
#include <stddef.h>

typedef struct {
    mu_model base;
} root_model;

static const mu_option options[] = {MU_MODEL_OPTIONS(root_model), MU_OPTION_END};

static void forward(const mu_model *model, mu_trace *t)
{
    (void)model;
    mu_value images = mu_flatten(t->graph, mu_trace_input(t, "img"), 1);
    if (mu_trace_status(t) != MU_OK)
        return;
    mu_value score = mu_nn_linear(t, "fc", images, 8, false);
    mu_value root = mu_sqrt(t->graph, mu_mul(t->graph, score, score));
    if (t->mode == MU_MODE_LOSS)
        mu_trace_loss(t, "loss", mu_mean(t->graph, root, 0, false));
    else
        mu_trace_output(t, "root", root);
}

static const mu_component model = {
    .kind = "model",
    .name = "RootModel",
    .doc = "Its gradients are not finite where its loss is 0.",
    .size = sizeof(root_model),
    .options = options,
    .destroy = mu_model_destroy,
    .ops = &(const mu_model_ops){.forward = forward},
};

typedef struct {
    int64_t index;
} read_once;

static const mu_option read_once_options[] = {
    MU_OPTION(read_once, index, MU_OPT_INT, .help = "which sample"),
    MU_OPTION_END,
};

static mu_err apply(const void *transform, mu_sample *sample)
{
    static atomic_bool read;
    if (sample->index == ((const read_once *)transform)->index && atomic_exchange(&read, true))
        return MU_FAIL(MU_ERR_IO, "sample %lld is gone", (long long)sample->index);
    return MU_OK;
}

static const mu_component once = {.kind = "transform", .name = "ReadOnce", .doc = "Loses a sample once it was read.", .size = sizeof(read_once),
                                  .options = read_once_options, .ops = &(const mu_transform_ops){.apply = apply}};

const int muster_plugin_version = MU_PLUGIN_VERSION;
mu_err muster_plugin_register(mu_registry *root);

mu_err muster_plugin_register(mu_registry *root)
{
    MU_TRY(mu_registry_add(root, &once, false));
    return mu_registry_add(root, &model, false);
}
