/* Random networks. */
#include "toys.h"

enum { POOL = 12 };

typedef struct {
    mu_graph *g;
    uint64_t state;
    mu_value image[POOL], row[POOL]; /* [2,4,6,6] and [2,8] */
    int n_names;
} net;

static uint32_t draw(net *t, uint32_t n)
{
    t->state = t->state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(t->state >> 33) % n;
}

static mu_value any_image(net *t)
{
    return t->image[draw(t, POOL)];
}

static mu_value any_row(net *t)
{
    return t->row[draw(t, POOL)];
}

/* A new name, or one that was used: a shared parameter. */
static const char *layer_name(net *t, const char *kind, char buf[32])
{
    int i = draw(t, 4) || !t->n_names ? t->n_names++ : (int)draw(t, (uint32_t)t->n_names);
    snprintf(buf, 32, "%s%d", kind, i);
    return buf;
}

static mu_value image_step(net *t)
{
    mu_graph *g = t->g;
    char name[32];
    mu_value x = any_image(t);
    switch (draw(t, 11)) {
    case 0:
    case 1: return toy_conv(g, layer_name(t, "conv", name), x, 4, 3);
    case 2: return toy_conv(g, layer_name(t, "point", name), x, 4, 1);
    case 3: return toy_norm(g, layer_name(t, "bn", name), x);
    case 4: return mu_add(g, x, any_image(t));
    case 5: return mu_mul(g, mu_tanh(g, x), mu_sigmoid(g, any_image(t)));
    case 6: return mu_silu(g, x);
    case 7: return mu_mul_scalar(g, mu_sub(g, x, any_image(t)), 0.5);
    case 8: { /* norm, residual, ReLU */
        mu_value y = toy_norm(g, layer_name(t, "bn", name), toy_conv(g, layer_name(t, "conv", name), x, 4, 3));
        return mu_relu(g, mu_add(g, y, any_image(t)));
    }
    case 9: { /* through rows and back: views */
        mu_value y = mu_reshape(g, x, 2, (int64_t[]){2, 144});
        return mu_reshape(g, mu_leaky_relu(g, y, 0.1), 4, (int64_t[]){2, 4, 6, 6});
    }
    default: return mu_relu(g, x);
    }
}

static mu_value row_step(net *t)
{
    mu_graph *g = t->g;
    char name[32];
    switch (draw(t, 6)) {
    case 0: return mu_tanh(g, toy_linear(g, layer_name(t, "fc", name), any_row(t), 8));
    case 1: return mu_add(g, any_row(t), any_row(t));
    case 2: return toy_linear(g, layer_name(t, "head", name), mu_flatten(g, any_image(t), 1), 8);
    case 3: { /* a parameter seen through a reshape, broadcast */
        mu_value p = mu_graph_param(g, layer_name(t, "p", name), MU_TYPE(MU_F64, 2, 4));
        return mu_mul(g, any_row(t), mu_reshape(g, p, 1, (int64_t[]){8}));
    }
    case 4: return mu_softmax(g, any_row(t), 1);
    default: return mu_sub(g, any_row(t), mu_mean(g, any_row(t), 1 << 1, true));
    }
}

mu_err toy_net(uint64_t seed, bool training, mu_graph **out)
{
    net t = {.state = seed * 2654435761u + 17};
    char name[32];
    MU_TRY(mu_graph_new(&t.g));
    mu_value x = mu_graph_input(t.g, "x", MU_TYPE(MU_F64, 2, 4, 6, 6)), y = mu_graph_input(t.g, "y", MU_TYPE(MU_F64, 2, 8));
    for (int i = 0; i < POOL; i++) {
        t.image[i] = x;
        t.row[i] = y;
    }
    int n = 5 + (int)draw(&t, 40);
    for (int i = 0; i < n; i++) {
        if (draw(&t, 3))
            t.image[draw(&t, POOL)] = image_step(&t);
        else
            t.row[draw(&t, POOL)] = row_step(&t);
    }
    mu_value loss = mu_graph_scalar(t.g, MU_F64, 0);
    for (int i = 0; i < POOL; i++) {
        loss = mu_add(t.g, loss, mu_mean(t.g, mu_mul(t.g, t.image[i], t.image[i]), 0, false));
        loss = mu_add(t.g, loss, mu_mean(t.g, t.row[i], 0, false));
        snprintf(name, sizeof name, "out%d", i);
        if (draw(&t, 4) == 0)
            mu_graph_output(t.g, name, draw(&t, 2) ? t.image[i] : t.row[i]);
    }
    mu_graph_output(t.g, "loss", loss);
    if (training)
        mu_graph_backward(t.g, loss, NULL, 0, NULL);
    mu_err err = mu_graph_status(t.g);
    if (err)
        mu_graph_release(t.g);
    else
        *out = t.g;
    return err;
}
