#include "vis/scalars_store.h"

#include "core/mem.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

void mu_scalars_release(mu_scalars *scalars)
{
    for (size_t i = 0; i < scalars->n; i++) {
        mu_free(scalars->item[i].tag);
        mu_free(scalars->item[i].point);
    }
    mu_free(scalars->item);
    *scalars = (mu_scalars){0};
}

static mu_series *find(const mu_scalars *scalars, const char *tag)
{
    for (size_t i = 0; i < scalars->n; i++)
        if (strcmp(scalars->item[i].tag, tag) == 0)
            return &scalars->item[i];
    return NULL;
}

const mu_series *mu_scalars_find(const mu_scalars *scalars, const char *tag)
{
    return find(scalars, tag);
}

mu_err mu_scalars_series(mu_scalars *scalars, const char *tag, mu_series **out)
{
    mu_series *series = find(scalars, tag);
    if (!series) {
        char *copy;
        MU_TRY(mu_grow(&scalars->item, &scalars->capacity, scalars->n + 1, sizeof *scalars->item));
        MU_TRY(mu_strdup(&copy, tag));
        series = &scalars->item[scalars->n++];
        *series = (mu_series){.tag = copy};
    }
    *out = series;
    return MU_OK;
}

mu_err mu_series_add(mu_series *series, mu_point point)
{
    MU_TRY(mu_grow(&series->point, &series->capacity, series->n + 1, sizeof *series->point));
    series->point[series->n++] = point;
    return MU_OK;
}

void mu_scalars_take_times(mu_scalars *to, const mu_scalars *from)
{
    for (size_t i = 0; i < to->n; i++) {
        mu_series *a = &to->item[i];
        const mu_series *b = find(from, a->tag);
        for (size_t k = 0; b && k < a->n && k < b->n && a->point[k].step == b->point[k].step; k++)
            a->point[k].time = b->point[k].time;
    }
}

/* Iteration s lies in epoch e, counted from 1, when (e - 1) L < s <= e L: the least L that the points allow. */
static double epoch_length(const mu_scalars *scalars)
{
    double least = 0;
    for (size_t i = 0; i < scalars->n; i++)
        for (size_t k = 0; k < scalars->item[i].n; k++) {
            const mu_point *p = &scalars->item[i].point[k];
            if (p->epoch > 0)
                least = fmax(least, ceil((double)p->step / (double)p->epoch));
        }
    return least;
}

static double first_time(const mu_scalars *scalars)
{
    double first = NAN;
    for (size_t i = 0; i < scalars->n; i++)
        for (size_t k = 0; k < scalars->item[i].n; k++)
            first = fmin(first, scalars->item[i].point[k].time); /* ignores NaN */
    return first;
}

mu_err mu_axis_init(mu_axis *axis, const mu_scalars *scalars, mu_axis_kind kind)
{
    mu_axis a = {.kind = kind, .epoch_length = epoch_length(scalars), .begin = first_time(scalars)};
    if (kind == MU_AXIS_EPOCH && a.epoch_length == 0) {
        MU_FAIL(MU_ERR_USAGE, "the run does not count epochs");
        return mu_error_hint("draw it over steps or time");
    }
    if (kind == MU_AXIS_TIME && isnan(a.begin)) {
        MU_FAIL(MU_ERR_USAGE, "the points have no times");
        return mu_error_hint("times are in scalars.h5, not in lines of JSON; draw them over steps");
    }
    *axis = a;
    return MU_OK;
}

double mu_axis_at(const mu_axis *axis, const mu_point *point)
{
    if (axis->kind == MU_AXIS_TIME)
        return point->time - axis->begin;
    bool is_epoch = axis->epoch_length > 0 && point->epoch < 0;
    if (axis->kind == MU_AXIS_EPOCH)
        return is_epoch ? (double)point->step : (double)point->step / axis->epoch_length;
    return is_epoch ? (double)point->step * axis->epoch_length : (double)point->step;
}
