#include "vis/ticks.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static double nice_step(double range, int wanted)
{
    double raw = range / wanted, power = pow(10, floor(log10(raw))), f = raw / power;
    return (f <= 1 ? 1 : f <= 2 ? 2 : f <= 5 ? 5 : 10) * power;
}

/* All with the same number of decimals; thousands and more as 20k, 1.5M. Very large and very small numbers have as many digits as tell
 * neighbours apart. */
static void label(mu_ticks *t, double step)
{
    double most = fmax(fabs(t->low), fabs(t->high)), unit = most >= 2e6 ? 1e6 : most >= 2e4 ? 1e3 : 1;
    const char *suffix = unit == 1e6 ? "M" : unit == 1e3 ? "k" : "";
    int decimals = (int)fmax(0, -floor(log10(step / unit) + 1e-9));
    int digits = (int)fmin(15, fmax(3, 1 + floor(log10(most)) - floor(log10(step) + 1e-9)));
    for (int i = 0; i < t->n; i++) {
        double at = t->at[i] == 0 ? 0 : t->at[i], x = at / unit; /* no -0 */
        if (most < 1e-4 || most >= 1e10)
            snprintf(t->text[i], MU_TICK_TEXT, "%.*g", digits, at);
        else
            snprintf(t->text[i], MU_TICK_TEXT, "%.*f%s", decimals, x, x == 0 ? "" : suffix);
    }
}

static void place_linear(mu_ticks *t, double step)
{
    for (double k = ceil(t->low / step - 1e-9); k * step <= t->high + step * 1e-9 && t->n < MU_MAX_TICKS; k++)
        t->at[t->n++] = k * step;
    label(t, step);
}

static void set_linear(mu_ticks *t, int wanted, bool tight)
{
    if (!(t->high > t->low)) {
        double by = t->low == 0 ? 1 : fabs(t->low) * 0.1;
        t->low -= by;
        t->high += by;
    }
    double step = nice_step(t->high - t->low, wanted);
    if (!tight) {
        double margin = (t->high - t->low) * 0.04;
        bool above_zero = t->low >= 0;
        t->low = above_zero && t->low - margin < 0 ? 0 : t->low - margin;
        t->high += margin;
    }
    place_linear(t, step);
}

static void set_log(mu_ticks *t, int wanted)
{
    double low = log10(t->low), high = log10(t->high), margin = fmax((high - low) * 0.04, 0.02);
    t->low = pow(10, low - margin);
    t->high = pow(10, high + margin);
    bool few = floor(high + margin) - ceil(low - margin) < 2;
    int stride = (int)fmax(1, ceil((high - low) / wanted));
    static const double factor[] = {1, 2, 5};
    for (int e = (int)floor(low - margin); e <= (int)ceil(high + margin); e++)
        for (int k = 0; k < (few ? 3 : 1); k++) {
            double x = factor[k] * pow(10, e);
            if (x < t->low || x > t->high || t->n == MU_MAX_TICKS || e % stride != 0)
                continue;
            snprintf(t->text[t->n], MU_TICK_TEXT, x >= 1e-3 && x < 1e5 ? "%.12g" : "%.0e", x);
            t->at[t->n++] = x;
        }
    if (t->n < 2) {
        t->n = 0;
        place_linear(t, nice_step(t->high - t->low, wanted));
    }
}

void mu_ticks_set(mu_ticks *ticks, double low, double high, int wanted, bool tight, bool log)
{
    *ticks = (mu_ticks){.low = low, .high = high, .log = log};
    if (log)
        set_log(ticks, wanted);
    else
        set_linear(ticks, wanted, tight);
}

double mu_ticks_place(const mu_ticks *t, double x)
{
    return t->log ? log(x / t->low) / log(t->high / t->low) : (x - t->low) / (t->high - t->low);
}
