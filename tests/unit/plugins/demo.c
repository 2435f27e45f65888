/* The components that the tests of plug-ins, of `muster check` and of `muster list` need: nothing that trains. */
#include "muster.h"

#include <stddef.h>

typedef struct {
    int64_t in_channels, width;
    double dropout;
    int act;
    mu_ints strides;
} net;

static const char *const activations[] = {"relu", "gelu", "silu", NULL};

static const mu_option net_options[] = {
    MU_OPTION(net, in_channels, MU_OPT_INT, .required = true, .bounded_below = true, .min = 1,
              .help = "input channels"),
    MU_OPTION(net, width, MU_OPT_INT, .int_default = 32, .bounded_below = true, .min = 1,
              .help = "maps of the first stage"),
    MU_OPTION(net, dropout, MU_OPT_FLOAT, .bounded_below = true, .bounded_above = true, .max = 1,
              .help = "probability of zeroing a feature"),
    MU_OPTION(net, act, MU_OPT_CHOICE, .choices = activations, .help = "activation"),
    MU_OPTION(net, strides, MU_OPT_INTS, .text_default = "[1, 2]", .bounded_below = true, .min = 1, .min_items = 2,
              .max_items = 2, .help = "of the two stages"),
    MU_OPTION_END,
};

static const mu_component demo_net = {.kind = "backbone",
                                      .name = "DemoNet",
                                      .doc = "A backbone that only has options.",
                                      .size = sizeof(net),
                                      .options = net_options};

typedef struct {
    int64_t num_classes;
    mu_ints topk;
} head;

static const mu_option head_options[] = {
    MU_OPTION(head, num_classes, MU_OPT_INT, .required = true, .bounded_below = true, .min = 2, .help = "classes"),
    MU_OPTION(head, topk, MU_OPT_INTS, .text_default = "[1]", .bounded_below = true, .min = 1,
              .help = "ranks to count"),
    MU_OPTION_END,
};

static const mu_component demo_head = {.kind = "head",
                                       .name = "DemoHead",
                                       .doc = "A head that only has options.",
                                       .size = sizeof(head),
                                       .options = head_options};

typedef struct {
    const mu_cfg *backbone, *head;
} classifier;

static const mu_option classifier_options[] = {
    MU_OPTION(classifier, backbone, MU_OPT_COMPONENT, .required = true, .component_kind = "backbone",
              .help = "features"),
    MU_OPTION(classifier, head, MU_OPT_COMPONENT, .nullable = true, .component_kind = "head", .help = "scores"),
    MU_OPTION_END,
};

static const mu_component demo_classifier = {.kind = "model",
                                             .name = "DemoClassifier",
                                             .doc = "Joins a backbone and a head.",
                                             .size = sizeof(classifier),
                                             .options = classifier_options};

typedef struct {
    char *path;
    const mu_cfg *pipeline;
} dataset;

static const mu_option dataset_options[] = {
    MU_OPTION(dataset, path, MU_OPT_STRING, .required = true, .help = "file"),
    MU_OPTION(dataset, pipeline, MU_OPT_COMPONENTS, .component_kind = "transform", .help = "what is done to a sample"),
    MU_OPTION_END,
};

static const mu_component demo_dataset = {.kind = "dataset",
                                          .name = "DemoDataset",
                                          .doc = "A data set that only has options.",
                                          .size = sizeof(dataset),
                                          .options = dataset_options};

typedef struct {
    double prob;
} flip;

static const mu_option flip_options[] = {
    MU_OPTION(flip, prob, MU_OPT_FLOAT, .float_default = 0.5, .bounded_below = true, .bounded_above = true, .max = 1,
              .help = "how often"),
    MU_OPTION_END,
};

static const mu_component demo_flip = {.kind = "transform",
                                       .name = "DemoFlip",
                                       .doc = "A transform that only has options.",
                                       .size = sizeof(flip),
                                       .options = flip_options};

/* The same name in a scope of its own. */
static const mu_component scoped_net = {
    .kind = "backbone", .name = "DemoNet", .doc = "Another DemoNet.", .size = sizeof(net), .options = net_options + 1};

const int muster_plugin_version = MU_PLUGIN_VERSION;
mu_err muster_plugin_register(mu_registry *root);

mu_err muster_plugin_register(mu_registry *root)
{
    static const mu_component *const components[] = {&demo_classifier, &demo_dataset, &demo_flip, &demo_head,
                                                     &demo_net};
    mu_registry *scope = NULL;
    for (size_t i = 0; i < sizeof components / sizeof components[0]; i++)
        MU_TRY(mu_registry_add(root, components[i], false));
    MU_TRY(mu_registry_child(root, "demo", &scope));
    MU_TRY(mu_registry_add(scope, &scoped_net, false));
    return MU_OK;
}
