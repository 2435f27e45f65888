/* What the tests of models share: components of their own, as a plug-in has them, and batches. */
#ifndef MU_TESTS_NN_TOY_H
#define MU_TESTS_NN_TOY_H

#include "config/config.h"
#include "nn/head.h"
#include "nn/model.h"
#include "optim/optim.h"

/* model "MLP": {hidden, dropout, classes, spoil}; flattens "img". backbone "ToyBackbone": a 3x3 convolution of `channels`, batch norm, ReLU. */
void toy_register(void);

/* A component built from YAML; the config lives as long. */
typedef struct {
    mu_config *config;
    void *object;
} toy;
mu_err toy_build(const char *kind, const char *yaml, toy *out);
void toy_release(toy *t);

/* Fills every parameter as the modules say, from a stream of its name. */
void toy_fill(mu_model *model, uint64_t seed);

/* n images u8 [C,H,W] whose brightness tells their label, of `classes` classes. */
typedef struct {
    mu_batch batch;
    uint8_t *img;
    int64_t *label, *index;
} toy_batch;
void toy_batch_new(int64_t n, int64_t channels, int64_t size, int64_t classes, uint64_t seed, toy_batch *out);
void toy_batch_release(toy_batch *b);

#endif
