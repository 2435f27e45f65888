/* Small graphs and checks that the tests of this folder share. */
#ifndef MU_TESTS_GRAPH_TOYS_H
#define MU_TESTS_GRAPH_TOYS_H

#include "test.h"

#include "blocked.h"
#include "graph/autodiff.h"
#include "graph/plan.h"
#include "ops/ops.h"

#include <stdbool.h>

static inline mu_value toy_conv(mu_graph *g, const char *name, mu_value x, int64_t maps, int64_t kernel)
{
    char leaf[64];
    mu_type t = *mu_graph_type(g, x);
    mu_conv2d_attrs a = mu_conv2d_defaults();
    for (int i = 0; i < 4; i++)
        a.padding[i] = kernel / 2;
    snprintf(leaf, sizeof leaf, "%s.weight", name);
    mu_value w = mu_graph_param(g, leaf, MU_TYPE(t.dtype, maps, t.dim[1], kernel, kernel));
    snprintf(leaf, sizeof leaf, "%s.bias", name);
    mu_value b = mu_graph_param(g, leaf, MU_TYPE(t.dtype, maps));
    mu_graph_push(g, name);
    x = mu_conv2d(g, x, w, b, &a);
    mu_graph_pop(g);
    return x;
}

static inline mu_value toy_linear(mu_graph *g, const char *name, mu_value x, int64_t features)
{
    char leaf[64];
    mu_type t = *mu_graph_type(g, x);
    snprintf(leaf, sizeof leaf, "%s.weight", name);
    mu_value w = mu_graph_param(g, leaf, MU_TYPE(t.dtype, features, t.ndim ? t.dim[t.ndim - 1] : 0));
    snprintf(leaf, sizeof leaf, "%s.bias", name);
    mu_value b = mu_graph_param(g, leaf, MU_TYPE(t.dtype, features));
    mu_graph_push(g, name);
    x = mu_linear(g, x, w, b);
    mu_graph_pop(g);
    return x;
}

static inline mu_value toy_norm(mu_graph *g, const char *name, mu_value x)
{
    static const char *const leaves[4] = {"weight", "bias", "running_mean", "running_var"};
    char leaf[64];
    mu_value v[4];
    mu_type t = *mu_graph_type(g, x), c = MU_TYPE(t.dtype, t.ndim > 1 ? t.dim[1] : 0);
    for (int i = 0; i < 4; i++) {
        snprintf(leaf, sizeof leaf, "%s.%s", name, leaves[i]);
        v[i] = i < 2 ? mu_graph_param(g, leaf, c) : mu_graph_state(g, leaf, c);
    }
    mu_graph_push(g, name);
    x = mu_batch_norm(g, x, v[0], v[1], v[2], v[3], 1e-5, 0.1);
    mu_graph_pop(g);
    return x;
}

/* A number in [-1, 1) that depends on a name and an index only. */
static inline double toy_number(const char *name, int64_t i)
{
    uint64_t z = 0x9e3779b97f4a7c15u * (uint64_t)(i + 1);
    for (; *name; name++)
        z = (z ^ (unsigned char)*name) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 31)) * 0x94d049bb133111ebu;
    z ^= z >> 29;
    return (double)(z >> 40) * 0x1p-23 - 1;
}

static inline void toy_fill(const char *name, const mu_type *type, void *out)
{
    bool var = strstr(name, "running_var") != NULL;
    for (int64_t i = 0; i < mu_type_count(type); i++) {
        double x = toy_number(name, i) + (var ? 1.5 : 0);
        mu_convert((char *)out + (size_t)i * mu_dtype_size(type->dtype), type->dtype, &x, MU_F64, 1);
    }
}

/* Declares and fills every parameter and state of a graph. */
static inline mu_err toy_params(const mu_graph *g, mu_params *params)
{
    for (int32_t v = 1; v <= mu_graph_n_values(g); v++) {
        const mu_value_info *info = mu_graph_value(g, (mu_value){v});
        if (info->kind != MU_VALUE_PARAM && info->kind != MU_VALUE_STATE)
            continue;
        void *bytes;
        MU_TRY(mu_alloc(&bytes, mu_type_bytes(&info->type)));
        toy_fill(info->name, &info->type, bytes);
        mu_err err = mu_params_declare(params, info->name, info->type, info->kind == MU_VALUE_PARAM);
        if (!err)
            err = mu_params_write(params, info->name, bytes);
        mu_free(bytes);
        MU_TRY(err);
    }
    return MU_OK;
}

/* Fills every input of a plan. */
static inline void toy_inputs(const mu_graph *g, mu_plan *plan)
{
    for (int32_t v = 1; v <= mu_graph_n_values(g); v++) {
        const mu_value_info *info = mu_graph_value(g, (mu_value){v});
        void *host = info->kind == MU_VALUE_INPUT ? mu_plan_input(plan, info->name, NULL) : NULL;
        if (!host)
            continue;
        if (mu_dtype_is_float(info->type.dtype))
            toy_fill(info->name, &info->type, host);
        else
            memset(host, 0, mu_type_bytes(&info->type));
    }
}

/* A network of operations drawn from a seed, in f64: input x [2,4,6,6] and y [2,8], shared parameters, some outputs and a loss. */
MU_CHECKED mu_err toy_net(uint64_t seed, bool training, mu_graph **out);

/* Walks through a plan with addresses only: what a step reads must be what was last written there. */
void toy_check_memory(const mu_plan *plan);

/* Runs the graph with params from toy_params and inputs from toy_inputs, `runs` times, and appends every output, gradient and
 * state, as doubles, to a new array (owned by the caller). Checks the plan's memory. */
MU_CHECKED mu_err toy_run(const mu_graph *g, mu_backend *backend, const mu_plan_options *options, int runs, double **out,
                          size_t *n);

#endif
