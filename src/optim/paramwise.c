#include "optim/paramwise.h"

#include "core/mem.h"

#include <math.h>
#include <stdlib.h>

/* What custom_keys says under one key; NaN: nothing. */
typedef struct {
    const char *key; /* borrowed */
    double lr_mult, decay_mult;
    mu_optim_group set;
    mu_floats betas;
    bool matched;
} custom;

struct mu_paramwise {
    const mu_cfg *custom_keys;
    double bias_lr_mult, bias_decay_mult, norm_decay_mult, dwconv_decay_mult, flat_decay_mult; /* NaN: not given */
    bool bypass_duplicate;
    custom *custom; /* in the order in which they are tried */
    size_t n_custom;
};

#define MULTIPLIER(field, text)                                                                                        \
    MU_OPTION(struct mu_paramwise, field, MU_OPT_FLOAT, .float_default = NAN, .text_default = "null", .nullable = true, \
              .bounded_below = true, .help = text)

const mu_option mu_paramwise_keys[] = {
    MU_OPTION(struct mu_paramwise, custom_keys, MU_OPT_ANY, .nullable = true, .text_default = "null",
              .help = "{part of a name: {lr_mult, decay_mult, or options of the optimizer}}; the longest part counts, and excludes "
                      "the other rules"),
    MULTIPLIER(bias_lr_mult, "factor of the learning rate of biases, but those of normalisations"),
    MULTIPLIER(norm_decay_mult, "factor of the weight decay of normalisations"),
    MULTIPLIER(bias_decay_mult, "factor of the weight decay of biases, but those of normalisations"),
    MULTIPLIER(dwconv_decay_mult, "factor of the weight decay of depthwise convolutions"),
    MULTIPLIER(flat_decay_mult, "factor of the weight decay of other parameters of one dimension"),
    MU_OPTION(struct mu_paramwise, bypass_duplicate, MU_OPT_BOOL, .help = "skip a parameter that is met again"),
    MU_OPTION_END,
};

/* Options of an optimizer that a group may have for itself. */
static const struct {
    const char *key;
    size_t offset;
} settable[] = {
    {"lr", offsetof(custom, set.lr)},
    {"weight_decay", offsetof(custom, set.weight_decay)},
    {"momentum", offsetof(custom, set.momentum)},
    {"dampening", offsetof(custom, set.dampening)},
    {"eps", offsetof(custom, set.eps)},
    {"betas", offsetof(custom, betas)},
};

enum { N_SETTABLE = sizeof settable / sizeof *settable, N_ROWS = N_SETTABLE + 3 };

/* The keys below a custom key: two multipliers, and rows of the optimizer's own table that leave NaN when absent. */
static void fill_table(const mu_optim *optim, mu_option table[N_ROWS])
{
    const mu_option multiplier = {.type = MU_OPT_FLOAT, .float_default = 1, .bounded_below = true};
    int n = 0;
    table[n] = multiplier;
    table[n].key = "lr_mult";
    table[n++].offset = offsetof(custom, lr_mult);
    table[n] = multiplier;
    table[n].key = "decay_mult";
    table[n++].offset = offsetof(custom, decay_mult);
    for (const mu_option *o = mu_component_of(optim)->options; o && o->key; o++)
        for (int i = 0; i < N_SETTABLE; i++)
            if (strcmp(o->key, settable[i].key) == 0 && n < N_ROWS - 1) {
                table[n] = *o;
                table[n].float_default = NAN;
                table[n].required = false;
                table[n++].offset = settable[i].offset;
            }
    table[n] = (mu_option)MU_OPTION_END;
}

/* The longest first, then by name. */
static int compare_custom(const void *pa, const void *pb)
{
    const custom *a = pa, *b = pb;
    size_t la = strlen(a->key), lb = strlen(b->key);
    return la != lb ? (la < lb) - (la > lb) : strcmp(a->key, b->key);
}

/* Notes what is no dictionary. */
static mu_err check_dict(const mu_cfg *value, const char *path, mu_diagnostics *list, bool *is_dict)
{
    char found[128];
    *is_dict = mu_cfg_kind_of(value) == MU_CFG_DICT;
    mu_cfg_describe(value, found, sizeof found);
    if (!*is_dict)
        MU_TRY(mu_diagnostics_add(list, mu_cfg_pos(value), path, "dictionary", found, NULL));
    return MU_OK;
}

static mu_err parse_one(const mu_option *table, const mu_cfg *value, const char *path, custom *c, mu_diagnostics *list)
{
    bool is_dict;
    MU_TRY(check_dict(value, path, list, &is_dict));
    if (!is_dict)
        return MU_OK;
    MU_TRY(mu_options_parse(table, value, path, c, list));
    for (size_t i = 0; i < c->betas.n; i++)
        if (c->betas.v[i] >= 1)
            MU_TRY(mu_diagnostics_add(list, mu_cfg_pos(value), path, "betas below 1", "1", NULL));
    return MU_OK;
}

static mu_err parse_custom(mu_paramwise *p, const mu_optim *optim, mu_diagnostics *list)
{
    mu_option table[N_ROWS];
    bool is_dict;
    MU_TRY(check_dict(p->custom_keys, "paramwise_cfg.custom_keys", list, &is_dict));
    if (!is_dict)
        return MU_OK;
    fill_table(optim, table);
    size_t n = mu_cfg_size(p->custom_keys);
    MU_TRY(mu_calloc(&p->custom, n, sizeof *p->custom));
    for (; p->n_custom < n; p->n_custom++) {
        custom *c = &p->custom[p->n_custom];
        char *path;
        c->key = mu_cfg_key_at(p->custom_keys, p->n_custom);
        MU_TRY(mu_asprintf(&path, "paramwise_cfg.custom_keys.%s", c->key));
        mu_err err = parse_one(table, mu_cfg_at(p->custom_keys, p->n_custom), path, c, list);
        mu_free(path);
        MU_TRY(err);
    }
    if (n)
        qsort(p->custom, n, sizeof *p->custom, compare_custom);
    return MU_OK;
}

void mu_paramwise_release(mu_paramwise *paramwise)
{
    if (!paramwise)
        return;
    for (size_t i = 0; paramwise->custom && i < mu_cfg_size(paramwise->custom_keys); i++)
        mu_free(paramwise->custom[i].betas.v);
    mu_free(paramwise->custom);
    mu_free(paramwise);
}

mu_err mu_paramwise_new(const mu_cfg *cfg, const mu_optim *optim, mu_paramwise **out)
{
    mu_paramwise *p;
    mu_diagnostics list = {0};
    MU_TRY(mu_calloc(&p, 1, sizeof *p));
    mu_err err = mu_options_parse(mu_paramwise_keys, cfg, "paramwise_cfg", p, &list);
    if (!err && p->custom_keys)
        err = parse_custom(p, optim, &list);
    mu_diagnostics_sort(&list);
    if (!err)
        err = mu_diagnostics_status(&list);
    mu_diagnostics_release(&list);
    if (err)
        mu_paramwise_release(p);
    else
        *out = p;
    MU_TRY(err);
    return MU_OK;
}

bool mu_paramwise_bypass_duplicate(const mu_paramwise *paramwise)
{
    return paramwise->bypass_duplicate;
}

const char *mu_paramwise_unmatched(const mu_paramwise *paramwise, size_t i)
{
    for (size_t k = 0; k < paramwise->n_custom; k++)
        if (!paramwise->custom[k].matched && i-- == 0)
            return paramwise->custom[k].key;
    return NULL;
}

static void set(double *field, double value)
{
    if (!isnan(value))
        *field = value;
}

static mu_optim_group apply_custom(const custom *c, mu_optim_group g)
{
    g.lr *= c->lr_mult;
    g.weight_decay *= c->decay_mult;
    set(&g.lr, c->set.lr);
    set(&g.weight_decay, c->set.weight_decay);
    set(&g.momentum, c->set.momentum);
    set(&g.dampening, c->set.dampening);
    set(&g.eps, c->set.eps);
    if (c->betas.n == 2) {
        g.beta1 = c->betas.v[0];
        g.beta2 = c->betas.v[1];
    }
    return g;
}

mu_optim_group mu_paramwise_group(mu_paramwise *p, const mu_param_traits *traits, mu_optim_group g)
{
    for (size_t i = 0; i < p->n_custom; i++)
        if (strstr(traits->name, p->custom[i].key)) {
            p->custom[i].matched = true;
            return apply_custom(&p->custom[i], g);
        }
    if (traits->bias && !traits->norm && !isnan(p->bias_lr_mult))
        g.lr *= p->bias_lr_mult;
    if (traits->norm && !isnan(p->norm_decay_mult))
        g.weight_decay *= p->norm_decay_mult;
    else if (traits->bias && !isnan(p->bias_decay_mult))
        g.weight_decay *= p->bias_decay_mult;
    else if (traits->depthwise && !isnan(p->dwconv_decay_mult))
        g.weight_decay *= p->dwconv_decay_mult;
    else if (traits->ndim == 1 && !isnan(p->flat_decay_mult))
        g.weight_decay *= p->flat_decay_mult;
    return g;
}
