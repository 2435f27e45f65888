#include "vis/plot.h"

bool mu_plot_available(void)
{
    return false;
}

static mu_err not_built(const char *path)
{
    MU_FAIL(MU_ERR_UNSUPPORTED, "'%s' cannot be drawn: this build has no cairo", path);
    return mu_error_hint("configure --with-cairo (libcairo2-dev), or write the numbers as CSV");
}

mu_err mu_plot_curves(const char *path, const char *title, const mu_panel *panels, size_t n)
{
    (void)title, (void)panels, (void)n;
    return not_built(path);
}

mu_err mu_plot_confusion(const char *path, const char *title, int64_t n_classes, const char *const *classes, const double *counts)
{
    (void)title, (void)n_classes, (void)classes, (void)counts;
    return not_built(path);
}
