#include "nn/layers_impl.h"

typedef struct {
    mu_layer base;
    int64_t num_features, num_groups, num_channels;
    mu_ints normalized_shape;
    double eps, momentum;
    bool affine, elementwise_affine, requires_grad;
} norm;

#define EPS                                                                                                              \
    MU_OPTION(norm, eps, MU_OPT_FLOAT, .float_default = 1e-5, .bounded_below = true, .above_min = true,                  \
              .help = "added to the variance")
#define AFFINE MU_OPTION(norm, affine, MU_OPT_BOOL, .boolean_default = true, .help = "scale and shift each channel")

#define NUM_FEATURES                                                                                                     \
    MU_OPTION(norm, num_features, MU_OPT_INT, .nullable = true, .bounded_below = true, .min = 1, .text_default = "null", \
              .help = "channels: checked when given")
#define MOMENTUM                                                                                                         \
    MU_OPTION(norm, momentum, MU_OPT_FLOAT, .float_default = 0.1, .bounded_below = true, .above_min = true,              \
              .bounded_above = true, .max = 1, .help = "share of a batch in the running statistics")

static const mu_option batch_options[] = {NUM_FEATURES, EPS, MOMENTUM, AFFINE, MU_LAYER_OPTIONS(norm), MU_OPTION_END};

/* What a norm_cfg says. */
static const mu_option norm_cfg_options[] = {
    NUM_FEATURES, EPS, MOMENTUM, AFFINE,
    MU_OPTION(norm, requires_grad, MU_OPT_BOOL, .boolean_default = true, .help = "train scale and shift"),
    MU_LAYER_OPTIONS(norm), MU_OPTION_END};

static const mu_option group_options[] = {
    MU_OPTION(norm, num_groups, MU_OPT_INT, .required = true, .bounded_below = true, .min = 1,
              .help = "parts that channels are cut into"),
    MU_OPTION(norm, num_channels, MU_OPT_INT, .nullable = true, .bounded_below = true, .min = 1,
              .text_default = "null", .help = "channels: checked when given"),
    EPS, AFFINE, MU_LAYER_OPTIONS(norm), MU_OPTION_END};

static const mu_option layer_options[] = {
    MU_OPTION(norm, normalized_shape, MU_OPT_INTS, .required = true, .bare_item = true, .min_items = 1,
              .max_items = MU_MAX_NDIM, .bounded_below = true, .min = 1, .help = "the trailing dimensions"),
    EPS,
    MU_OPTION(norm, elementwise_affine, MU_OPT_BOOL, .boolean_default = true, .help = "scale and shift each element"),
    MU_LAYER_OPTIONS(norm), MU_OPTION_END};

static mu_value batch(const norm *self, mu_trace *t, mu_value x, const char *who, int min, int max, bool sync)
{
    mu_norm_layer n = {.kind = MU_NORM_BATCH, .eps = self->eps, .momentum = self->momentum, .no_affine = !self->affine,
                       .sync = sync};
    mu_nn_agree(t, x, 1, self->num_features, who, "num_features");
    return mu_nn_expect(t, x, who, min, max) ? mu_nn_norm_here(t, x, &n) : MU_NO_VALUE;
}

static mu_value apply_batch_norm1d(const void *layer, mu_trace *t, mu_value x)
{
    return batch(layer, t, x, "BatchNorm1d", 2, 3, false);
}

static mu_value apply_batch_norm2d(const void *layer, mu_trace *t, mu_value x)
{
    return batch(layer, t, x, "BatchNorm2d", 4, 4, false);
}

static mu_value from_norm_cfg(const norm *self, mu_trace *t, mu_value x, const char *who, bool sync)
{
    bool frozen = t->frozen;
    t->frozen = frozen || !self->requires_grad;
    x = batch(self, t, x, who, 2, MU_MAX_NDIM, sync);
    t->frozen = frozen;
    return x;
}

static mu_value apply_bn(const void *layer, mu_trace *t, mu_value x)
{
    return from_norm_cfg(layer, t, x, "BN", false);
}

static mu_value apply_sync_bn(const void *layer, mu_trace *t, mu_value x)
{
    return from_norm_cfg(layer, t, x, "SyncBN", true);
}

static mu_value apply_mm_sync_bn(const void *layer, mu_trace *t, mu_value x)
{
    return from_norm_cfg(layer, t, x, "MMSyncBN", true);
}

static mu_value apply_group_norm(const void *layer, mu_trace *t, mu_value x)
{
    const norm *self = layer;
    mu_norm_layer n = {.kind = MU_NORM_GROUP, .groups = self->num_groups, .eps = self->eps, .no_affine = !self->affine};
    mu_nn_agree(t, x, 1, self->num_channels, "GroupNorm", "num_channels");
    return mu_nn_norm_here(t, x, &n);
}

static mu_value apply_layer_norm(const void *layer, mu_trace *t, mu_value x)
{
    const norm *self = layer;
    const int n = (int)self->normalized_shape.n, first = mu_graph_type(t->graph, x)->ndim - n;
    mu_norm_layer l = {.kind = MU_NORM_LAYER, .normalized_ndim = n, .eps = self->eps, .no_affine = !self->elementwise_affine};
    if (!mu_nn_expect(t, x, "LayerNorm", n, MU_MAX_NDIM))
        return MU_NO_VALUE;
    for (int i = 0; i < n; i++)
        mu_nn_agree(t, x, first + i, self->normalized_shape.v[i], "LayerNorm", "normalized_shape");
    return mu_nn_norm_here(t, x, &l);
}

MU_LAYER_COMPONENT(batch_norm1d, "BatchNorm1d", norm, batch_options, "Batch norm of [N,C] or [N,C,L] (Ioffe, Szegedy 2015).");
MU_LAYER_COMPONENT(batch_norm2d, "BatchNorm2d", norm, batch_options, "Batch norm of [N,C,H,W] (Ioffe, Szegedy 2015).");
MU_LAYER_COMPONENT(bn, "BN", norm, norm_cfg_options, "Batch norm of [N,C,...] (Ioffe, Szegedy 2015), as a norm_cfg names it.");
MU_LAYER_COMPONENT(sync_bn, "SyncBN", norm, norm_cfg_options,
                   "Batch norm of [N,C,...] with the statistics of the batches of all ranks together; one rank: BN.");
MU_LAYER_COMPONENT(mm_sync_bn, "MMSyncBN", norm, norm_cfg_options, "SyncBN under the name of mmcv's.");
MU_LAYER_COMPONENT(group_norm, "GroupNorm", norm, group_options, "Group norm of [N,C,...] (Wu, He 2018).");
MU_LAYER_COMPONENT(layer_norm, "LayerNorm", norm, layer_options, "Layer norm over the trailing dimensions (Ba et al. 2016).");
