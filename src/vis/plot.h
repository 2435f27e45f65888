/* Plots as PNG, drawn by cairo. MU_ERR_UNSUPPORTED where it was not built. */
#ifndef MU_VIS_PLOT_H
#define MU_VIS_PLOT_H

#include "core/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    const char *label;
    size_t n;
    const double *x, *y;
} mu_curve;

typedef struct {
    const char *title, *x_label, *y_label;
    bool log_y;
    size_t n;
    const mu_curve *curve;
    bool markers; /* for few points */
} mu_panel;

/* Panels one below the other with a common x axis, a legend each. */
MU_CHECKED mu_err mu_plot_curves(const char *path, const char *title, const mu_panel *panels, size_t n);
/* counts [n_classes, n_classes], rows are the truth: colours by share of the row, numbers in the cells where they fit, totals. */
MU_CHECKED mu_err mu_plot_confusion(const char *path, const char *title, int64_t n_classes, const char *const *classes,
                                    const double *counts);
bool mu_plot_available(void);

#endif
