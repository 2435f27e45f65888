/* Parameters of two dtypes with a gap between them, and a loss that is a sum of squares: sample s wants x[s] * p == y[s] in every
 * element. */
#ifndef MU_TESTS_OPTIM_TOY_H
#define MU_TESTS_OPTIM_TOY_H

#include "graph/params.h"

#include <math.h>

enum { TOY_WEIGHT = 6, TOY_GAIN = 5, TOY_BIAS = 3, TOY_N = TOY_WEIGHT + TOY_GAIN + TOY_BIAS };

static inline mu_err toy_params(mu_backend *backend, mu_params **out)
{
    mu_params *p;
    mu_err err;
    MU_TRY(mu_params_new(backend, &p));
    MU_TRY_GOTO(err, mu_params_declare(p, "fc.weight", MU_TYPE(MU_F32, 2, 3), true), fail);
    MU_TRY_GOTO(err, mu_params_declare(p, "bn.mean", MU_TYPE(MU_F32, 3), false), fail);
    MU_TRY_GOTO(err, mu_params_declare(p, "gain", MU_TYPE(MU_F64, 5), true), fail);
    MU_TRY_GOTO(err, mu_params_declare(p, "fc.bias", MU_TYPE(MU_F32, 3), true), fail);
    MU_TRY_GOTO(err, mu_params_freeze(p, true), fail);
    *out = p;
    return MU_OK;
fail:
    mu_params_release(p);
    return err;
}

/* Between all elements as f64 and an arena. */
static inline mu_err toy_move(mu_params *p, void *arena, double *values, bool write)
{
    static const struct {
        const char *name;
        mu_dtype dtype;
        int at, n;
    } part[] = {{"fc.weight", MU_F32, 0, TOY_WEIGHT}, {"gain", MU_F64, TOY_WEIGHT, TOY_GAIN},
                {"fc.bias", MU_F32, TOY_WEIGHT + TOY_GAIN, TOY_BIAS}};
    double bytes[TOY_N];
    for (int i = 0; i < 3; i++) {
        if (write) {
            mu_convert(bytes, part[i].dtype, values + part[i].at, MU_F64, part[i].n);
            MU_TRY(mu_params_arena_write(p, arena, part[i].name, bytes));
        } else {
            MU_TRY(mu_params_arena_read(p, arena, part[i].name, bytes));
            mu_convert(values + part[i].at, MU_F64, bytes, part[i].dtype, part[i].n);
        }
    }
    return MU_OK;
}

static inline mu_err toy_start(mu_params *p)
{
    double values[TOY_N];
    for (int i = 0; i < TOY_N; i++)
        values[i] = cos(i);
    return toy_move(p, mu_params_data(p, NULL), values, true);
}

/* Writes the gradient of the mean loss of samples from .. from + n - 1. */
static inline mu_err toy_backward(mu_params *p, int from, int n)
{
    double values[TOY_N], gradient[TOY_N] = {0};
    MU_TRY(toy_move(p, mu_params_data(p, NULL), values, false));
    for (int s = from; s < from + n; s++)
        for (int i = 0; i < TOY_N; i++) {
            double x = sin(3 * s + i), y = cos(s - 2 * i);
            gradient[i] += x * (x * values[i] - y) / n;
        }
    return toy_move(p, mu_params_gradients(p, NULL), gradient, true);
}

#endif
