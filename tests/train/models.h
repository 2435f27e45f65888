/* Small networks on the tests' side, with parameter names as PyTorch (torchvision) has them. */
#ifndef MU_TESTS_TRAIN_MODELS_H
#define MU_TESTS_TRAIN_MODELS_H

#include "graph/params.h"
#include "ops/ops.h"

/* images [N,C,H,W] -> logits [N,classes], in the dtype of the images. `training`: batch statistics, and the running
 * ones are updated; else the running ones are used. Convolutions have no bias. */
typedef mu_value model_fn(mu_graph *g, mu_value x, int64_t classes, bool training);

/* conv1 5x5 pad 2 (32 maps), bn1, ReLU, max pool 2; conv2 5x5 pad 2 (64 maps), bn2, ReLU, max pool 2; flatten;
 * fc1 (128), ReLU; fc2 (classes). */
model_fn model_lenet;
/* ResNet-18 with the CIFAR stem: conv1 3x3 stride 1, bn1, ReLU, no pooling; layer1..4 of two basic blocks with 64, 128,
 * 256, 512 maps; downsample.0, downsample.1 where the shape changes; global average pool; fc. */
model_fn model_resnet18;
/* torchvision's ResNet-50 (v1.5: the 3x3 convolution has the stride). */
model_fn model_resnet50;
/* conv1 3x3 (8 maps), bn1, ReLU, max pool 2; conv2 3x3 stride 2 (12 maps, with bias); average pool 3x3 stride 1 pad 1;
 * flatten; fc (classes): what the golden losses of tests/golden/network.py are about. For small images. */
model_fn model_tiny;

typedef struct {
    const char *name; /* "lenet", "resnet18", "resnet50", "tiny" */
    model_fn *fn;
} model_entry;
extern const model_entry model_list[]; /* ends with a NULL name */

typedef enum { MODEL_TRAIN, MODEL_LOSS, MODEL_EVAL } model_mode;

/* A graph with input "x" of this type and, but for MODEL_EVAL, input "target" i64 [N].
 * MODEL_TRAIN: output "loss", the mean cross-entropy, not yet differentiated (mu_graph_backward(g, *loss, ...));
 * MODEL_LOSS: the same with running statistics; MODEL_EVAL: output "logits". `loss` may be NULL. */
MU_CHECKED mu_err model_graph(model_fn *fn, mu_type x, int64_t classes, model_mode mode, mu_graph **out,
                              mu_value *loss);

/* Declares every parameter and state of the graph in the store, with values that depend on names and indices alone, so
 * that Python can make the same (tests/golden/network.py): uniform in [-b, b), b = sqrt(6 / fan_in) for weights of two
 * and more dimensions and 0.1 for others; batch norm's weight is 1 plus such a number, running_var 1, running_mean 0.
 * Numbers are exact in f32 whatever the dtype. */
MU_CHECKED mu_err model_init(const mu_graph *graph, mu_params *params);

/* Element i of the stream of a name: uniform in [-1, 1), a multiple of 2^-23. SplitMix64's finaliser over FNV-1a of the
 * name and i. */
double model_number(const char *name, int64_t i);

#endif
