/* What the loss components share. */
#ifndef MU_NN_LOSSES_LOSS_IMPL_H
#define MU_NN_LOSSES_LOSS_IMPL_H

#include "nn/head.h"

/* In the order of mu_loss_reduction. */
extern const char *const mu_criterion_reductions[];
#define MU_CRITERION_OPTIONS(struct_)                                                                                  \
    MU_OPTION(struct_, reduction, MU_OPT_CHOICE, .choices = mu_criterion_reductions, .help = "of the losses of samples"), \
    MU_OPTION(struct_, loss_weight, MU_OPT_FLOAT, .float_default = 1, .help = "factor of the loss")

/* loss times weight. */
mu_value mu_criterion_weighted(mu_trace *t, mu_value loss, double weight);
/* What a reduction by the sum becomes under `reduction` mean: divided by the number of samples, as heads of MMPretrain do (avg_factor), not
 * by that of elements. */
mu_value mu_criterion_over_samples(mu_trace *t, mu_value sum, int64_t n, int reduction, double weight);
/* Class indices [N] as 0 and 1 in [N,C] of x's type; targets of x's shape are only converted. An index out of 0..C-1 gives zeros. */
mu_value mu_criterion_one_hot(mu_trace *t, mu_value x, mu_value target);
/* Numbers per class as a constant [C] of x's dtype; none when there are none. A sticky MU_ERR_CONFIG unless there are C. */
mu_value mu_criterion_per_class(mu_trace *t, mu_value x, const mu_floats *numbers, const char *option);

typedef struct {
    int reduction;
    double loss_weight, label_smoothing;
    int64_t ignore_index;
    const mu_floats *class_weight, *pos_weight; /* pos_weight: of the sigmoid form */
} mu_classification_loss;
/* Softmax cross entropy; with class weights the mean is that over samples (MMPretrain). */
mu_value mu_criterion_softmax(mu_trace *t, mu_value x, mu_value target, const mu_classification_loss *loss);
/* Binary cross entropy of every class against targets of x's type, summed over classes, averaged over samples. */
mu_value mu_criterion_sigmoid(mu_trace *t, mu_value x, mu_value target, const mu_classification_loss *loss);

#endif
