/* Ticks at round numbers. Private to the room. */
#ifndef MU_VIS_TICKS_H
#define MU_VIS_TICKS_H

#include <stdbool.h>
#include <stddef.h>

enum { MU_MAX_TICKS = 16, MU_TICK_TEXT = 24 };

typedef struct {
    double low, high; /* of the axis: the data's, widened */
    bool log;
    int n;
    double at[MU_MAX_TICKS];
    char text[MU_MAX_TICKS][MU_TICK_TEXT];
} mu_ticks;

/* At most about `wanted` ticks at 1, 2 or 5 times a power of ten (Heckbert, Graphics Gems 1990); `tight`: the axis ends where the data end.
 * log: at powers of ten, or where these are few at 2 and 5 times them too, or else as on a linear axis; needs low > 0. */
void mu_ticks_set(mu_ticks *ticks, double low, double high, int wanted, bool tight, bool log);
/* 0 at low, 1 at high. */
double mu_ticks_place(const mu_ticks *ticks, double x);

#endif
