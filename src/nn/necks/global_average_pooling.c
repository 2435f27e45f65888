#include "nn/layer.h"

typedef struct {
    mu_layer base;
} pooling;

static const mu_option options[] = {MU_LAYER_OPTIONS(pooling), MU_OPTION_END};

static void forward(const void *layer, mu_trace *t, mu_features *x)
{
    (void)layer;
    for (int i = 0; i < x->n; i++)
        x->v[i] = mu_flatten(t->graph, mu_adaptive_avg_pool2d(t->graph, x->v[i], 1, 1), 1);
}

const mu_component mu_component_global_average_pooling = {
    .kind = "neck",
    .name = "GlobalAveragePooling",
    .doc = "The mean over height and width of each feature map: [N,C,H,W] -> [N,C].",
    .size = sizeof(pooling),
    .options = options,
    .ops = &(const mu_layer_ops){.forward = forward},
};
