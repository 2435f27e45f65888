#include "nn/init.h"

typedef struct {
    mu_weight_init base; /* only its name */
    char *checkpoint, *prefix;
} pretrained;

static const mu_option options[] = {
    MU_OPTION(pretrained, checkpoint, MU_OPT_STRING, .required = true, .help = "checkpoint file"),
    MU_OPTION(pretrained, prefix, MU_OPT_STRING, .nullable = true,
              .help = "read only what begins so ('backbone.'), without it"),
    MU_OVERRIDE_NAME(.offset = offsetof(pretrained, base.name)),
    MU_OPTION_END,
};

static void checkpoint(const void *init, const char **path, const char **prefix)
{
    const pretrained *self = init;
    *path = self->checkpoint;
    *prefix = self->prefix;
}

const mu_component mu_component_pretrained = {
    .kind = "weight_init",
    .name = "Pretrained",
    .size = sizeof(pretrained),
    .options = options,
    .ops = &(const mu_weight_init_ops){.checkpoint = checkpoint},
    .doc = "Reads weights from a checkpoint. It comes last, whatever else fills a module or those below."};
