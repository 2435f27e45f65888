/* What the tests of models share: models of toy.h, and what is done with them. */
#ifndef MU_TESTS_NN_TOY_MODEL_H
#define MU_TESTS_NN_TOY_MODEL_H

#include "toy.h"

#define TOY_MLP "{type: ToyMLP, data_preprocessor: {type: ImgDataPreprocessor, mean: 100, std: 50}}"
#define TOY_CLASSIFIER                                                                                               \
    "{type: ImageClassifier, data_preprocessor: {type: ImgDataPreprocessor, mean: 100, std: 50},"                       \
    " backbone: {type: ToyBackbone}, neck: {type: GlobalAveragePooling},"                                               \
    " head: {type: LinearClsHead, num_classes: 4, in_channels: 8, loss: {type: CrossEntropyLoss}, cal_acc: true, topk: [1, 2]}}"

extern mu_backend *toy_backend;

void toy_open(const char *device);
/* The fixture of every test: the toys are registered, and "cpu" is open. */
void toy_setup(void);
void toy_teardown(void);

/* Built from YAML, bound, prepared for the example's shapes, filled. */
mu_model *toy_model(const char *yaml, const mu_batch *example, bool training, toy *out);
/* Trains on one batch with SGD; the losses. */
void toy_train(mu_model *model, const mu_batch *batch, int steps, double lr, double *losses);
/* score [N,4]: sums of 1, the best one is the label. */
void toy_predict(mu_model *model, const mu_batch *batch, float *score);

#endif
