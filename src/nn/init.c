#include "nn/init.h"

#include "config/diagnostic.h"
#include "core/mem.h"
#include "core/text.h"
#include "nn/init_record.h"

#include <math.h>
#include <stdio.h>

const mu_option mu_override_fields[] = {
    {.key = "name", .type = MU_OPT_STRING, .required = true, .help = "the child that is filled as all else"},
    MU_OPTION_END};

/* An initialiser and the module that it is for. */
typedef struct {
    void *object;
    int owner;  /* module whose init_cfg it stands in */
    int target; /* the owner, or its child that an override names */
} applied;

typedef struct {
    mu_weight_fill fill;
    int by; /* index of the initialiser; -1: the default */
} planned;

typedef struct {
    const mu_modules *modules;
    mu_params *params;
    planned *plan; /* [n_params] */
    applied *list;
    size_t n, capacity;
} context;

static const mu_weight_init_ops *ops_of(const void *init)
{
    return mu_component_of(init)->ops;
}

static bool is_below(const mu_modules *modules, int i, int root)
{
    while (i > root)
        i = mu_modules_at(modules, i)->parent;
    return i == root;
}

/* Does `layer` name the type of a module, or the base class that PyTorch gives it? */
static bool is_layer(const char *type, const char *layer)
{
    static const char *const bases[][2] = {{"BatchNorm", "_BatchNorm"},
                                           {"InstanceNorm", "_InstanceNorm"},
                                           {"Conv", "_ConvNd"},
                                           {"ConvTranspose", "_ConvTransposeNd"}};
    if (strcmp(type, layer) == 0)
        return true;
    if (strcmp(layer, "_BatchNorm") == 0 &&
        (strcmp(type, "BN") == 0 || strcmp(type, "SyncBN") == 0 || strcmp(type, "MMSyncBN") == 0))
        return true;
    for (size_t i = 0; i < sizeof bases / sizeof bases[0]; i++) {
        size_t n = strlen(bases[i][0]);
        if (strcmp(layer, bases[i][1]) == 0 && strncmp(type, bases[i][0], n) == 0 && strspn(type + n, "123") == 1 &&
            strcmp(type + n + 1, "d") == 0)
            return true;
    }
    return false;
}

static bool is_among(const char *type, const mu_strings *layers)
{
    for (size_t i = 0; i < layers->n; i++)
        if (is_layer(type, layers->v[i]))
            return true;
    return false;
}

/* "backbone" or "the model". */
static const char *module_name(const mu_modules *modules, int i)
{
    const char *path = mu_modules_at(modules, i)->path;
    return path[0] ? path : "the model";
}

static const char *parameters_owner(const mu_modules *modules, const mu_module_param *p)
{
    return mu_modules_at(modules, p->module)->type;
}

/* Plans the parameters at and below `target` whose layers are among `layers` (NULL: all). *n: how many modules' types
 * fit. */
static mu_err plan_fill(context *c, const void *init, int by, int target, const mu_strings *layers, int *n)
{
    const mu_weight_init *base = init;
    double bias = isnan(base->bias_prob) ? base->bias : -log((1 - base->bias_prob) / base->bias_prob);
    *n = 0;
    for (int i = target; i < mu_modules_count(c->modules); i++)
        *n += is_below(c->modules, i, target) && (!layers || is_among(mu_modules_at(c->modules, i)->type, layers));
    for (int i = 0; i < mu_modules_n_params(c->modules); i++) {
        const mu_module_param *p = mu_modules_param(c->modules, i);
        mu_weight_fill fill = {.fill = {.kind = MU_FILL_CONSTANT, .a = bias}};
        bool weight = strcmp(p->leaf, "weight") == 0;
        if (!(weight || strcmp(p->leaf, "bias") == 0) || !is_below(c->modules, p->module, target) ||
            (layers && !is_among(parameters_owner(c->modules, p), layers)))
            continue;
        if (weight) {
            mu_err err = ops_of(init)->fill(init, &p->type, &fill);
            if (err) {
                mu_error_context("%s: %s", mu_component_of(init)->name, p->name);
                return err;
            }
        }
        c->plan[i] = (planned){.fill = fill, .by = by};
    }
    return MU_OK;
}

/* Fails: the modules at and below `target` have no such type, or it has no such child. Tells the nearest one, or those
 * that are there. */
static mu_err fail_nearest(const context *c, int target, bool types, const char *word, mu_pos pos, const char *what)
{
    int total = mu_modules_count(c->modules);
    size_t n = 0, skip = strlen(mu_modules_at(c->modules, target)->path);
    const char **names;
    MU_TRY(mu_calloc(&names, (size_t)total, sizeof *names));
    for (int i = target; i < total; i++) {
        const mu_module_info *info = mu_modules_at(c->modules, i);
        if (types ? is_below(c->modules, i, target) : info->parent == target)
            names[n++] = types ? info->type : info->path + skip + (skip > 0);
    }
    const char *nearest = mu_nearest(word, names, n);
    char hint[256] = "";
    for (size_t i = 0; !nearest && i < n && strlen(hint) < sizeof hint - 64; i++) {
        bool seen = false;
        for (size_t j = 0; j < i && !seen; j++)
            seen = strcmp(names[i], names[j]) == 0;
        if (!seen)
            snprintf(hint + strlen(hint), sizeof hint - strlen(hint), "%s%.60s", hint[0] ? ", " : "there are ",
                     names[i]);
    }
    mu_err err = MU_FAIL_AT(pos, "%s has no %s '%s'", module_name(c->modules, target), what, word);
    if (nearest)
        err = mu_error_hint("did you mean '%s'?", nearest);
    else if (hint[0])
        err = mu_error_hint("%s", hint);
    mu_free(names);
    return err;
}

static mu_err add(context *c, void *object, int owner, int target)
{
    mu_err err = mu_grow(&c->list, &c->capacity, c->n + 1, sizeof *c->list);
    if (err) {
        mu_destroy(object);
        MU_TRY(err);
    }
    c->list[c->n++] = (applied){.object = object, .owner = owner, .target = target};
    return MU_OK;
}

static bool is_pretrained(const void *init)
{
    return ops_of(init)->checkpoint != NULL;
}

/* One entry of `override`: of the initialiser `init` (the last one) that stands in module `owner`. */
static mu_err plan_override(context *c, const void *init, int init_at, int owner, const mu_cfg *cfg, const char *path)
{
    const mu_cfg *name = mu_cfg_get(cfg, "name");
    char *child_path;
    const char *owner_path = mu_modules_at(c->modules, owner)->path;
    void *object = NULL;
    int n;
    if (!name || mu_cfg_kind_of(name) != MU_CFG_STRING)
        return MU_FAIL_AT(mu_cfg_pos(cfg), "%s needs the `name` of a child", path);
    MU_TRY(mu_asprintf(&child_path, "%s%s%s", owner_path, owner_path[0] ? "." : "", mu_cfg_string(name)));
    int target = mu_modules_find(c->modules, child_path);
    mu_free(child_path);
    if (target < 0)
        return fail_nearest(c, owner, false, mu_cfg_string(name), mu_cfg_pos(name), "child");
    if (!mu_cfg_get(cfg, "type")) {
        MU_TRY(plan_fill(c, init, init_at, target, NULL, &n));
        return MU_OK;
    }
    MU_TRY(mu_build("weight_init", cfg, NULL, path, &object));
    MU_TRY(add(c, object, owner, target));
    if (is_pretrained(object))
        return MU_OK;
    const mu_weight_init *base = object;
    if (base->layer.n || base->override)
        return MU_FAIL_AT(mu_cfg_pos(cfg),
                          "%s: an override fills its whole child: it takes no `layer` and no `override`", path);
    MU_TRY(plan_fill(c, object, (int)c->n - 1, target, NULL, &n));
    return MU_OK;
}

static mu_err plan_overrides(context *c, const void *init, int init_at, int owner, const mu_cfg *cfg, const char *path)
{
    char where[512];
    if (mu_cfg_kind_of(cfg) == MU_CFG_DICT) {
        snprintf(where, sizeof where, "%.500s.override", path);
        MU_TRY(plan_override(c, init, init_at, owner, cfg, where));
        return MU_OK;
    }
    for (size_t i = 0; i < mu_cfg_size(cfg); i++) {
        snprintf(where, sizeof where, "%.480s.override.%zu", path, i);
        MU_TRY(plan_override(c, init, init_at, owner, mu_cfg_at(cfg, i), where));
    }
    return MU_OK;
}

/* One init_cfg of module `m`. */
static mu_err plan_one(context *c, int m, const mu_cfg *cfg, const char *path)
{
    void *object = NULL;
    int n;
    MU_TRY(mu_build("weight_init", cfg, NULL, path, &object));
    MU_TRY(add(c, object, m, m));
    const mu_weight_init *base = object;
    int at = (int)c->n - 1;
    if (base->name)
        return MU_FAIL_AT(mu_cfg_pos(mu_cfg_get(cfg, "name")), "%s: `name` belongs into `override`", path);
    if (is_pretrained(object))
        return MU_OK;
    if (!base->layer.n && !base->override) {
        MU_FAIL_AT(mu_cfg_pos(cfg), "%s: without `layer` and `override` it fills nothing", path);
        return mu_error_hint("name the types of layers, as in layer: [Conv2d, Linear]");
    }
    if (base->layer.n) {
        MU_TRY(plan_fill(c, object, at, m, &base->layer, &n));
        if (!n)
            return fail_nearest(c, m, true, base->layer.v[0], mu_cfg_pos(mu_cfg_get(cfg, "layer")), "layer of type");
    }
    if (base->override)
        MU_TRY(plan_overrides(c, object, at, m, base->override, path));
    return MU_OK;
}

static mu_err plan_module(context *c, int m)
{
    const mu_module_info *info = mu_modules_at(c->modules, m);
    const mu_cfg *cfg = info->init_cfg;
    char path[512];
    if (!cfg)
        return MU_OK;
    const char *dot = info->path[0] ? "." : "";
    if (mu_cfg_kind_of(cfg) == MU_CFG_DICT) {
        snprintf(path, sizeof path, "%.480s%sinit_cfg", info->path, dot);
        MU_TRY(plan_one(c, m, cfg, path));
        return MU_OK;
    }
    for (size_t i = 0; i < mu_cfg_size(cfg); i++) {
        snprintf(path, sizeof path, "%.460s%sinit_cfg.%zu", info->path, dot, i);
        MU_TRY(plan_one(c, m, mu_cfg_at(cfg, i), path));
    }
    return MU_OK;
}

static mu_err plan_all(context *c)
{
    for (int i = 0; i < mu_modules_n_params(c->modules); i++)
        c->plan[i] = (planned){.fill = {.fill = mu_modules_param(c->modules, i)->fill}, .by = -1};
    for (int m = 0; m < mu_modules_count(c->modules); m++)
        MU_TRY(plan_module(c, m));
    return MU_OK;
}

/* Draws and writes what was planned. buffer holds the largest parameter. */
static mu_err fill_all(context *c, uint64_t seed, void *buffer, mu_init_record *record)
{
    for (int i = 0; i < mu_modules_n_params(c->modules); i++) {
        const mu_module_param *p = mu_modules_param(c->modules, i);
        const planned *plan = &c->plan[i];
        mu_err err = mu_weight_draw(&plan->fill, seed, p->name, &p->type, buffer);
        if (err) {
            mu_error_context("%s", p->name);
            return err;
        }
        MU_TRY(mu_params_write(c->params, p->name, buffer));
        if (!record)
            continue;
        const applied *by = plan->by < 0 ? NULL : &c->list[plan->by];
        mu_init_line_fill(&record->line[i], p, buffer);
        mu_init_line_by(&record->line[i], by ? by->object : NULL, by ? module_name(c->modules, by->owner) : NULL);
    }
    return MU_OK;
}

/* Reads the checkpoint of one Pretrained; of the record, what changed below its target is its work. */
static mu_err load_one(context *c, const applied *a, mu_init_load_fn *load, void *user, void *buffer,
                       mu_init_record *record)
{
    const char *file, *prefix, *into = mu_modules_at(c->modules, a->target)->path;
    int n_loaded = 0;
    ops_of(a->object)->checkpoint(a->object, &file, &prefix);
    if (!load)
        return MU_FAIL(MU_ERR_USAGE, "Pretrained: nothing here reads checkpoints: %s", file);
    MU_TRY(load(user, file, prefix, into, &n_loaded));
    if (!n_loaded) {
        MU_FAIL(MU_ERR_CONFIG, "Pretrained: nothing%s%s in %s fits %s", prefix ? " that begins with " : "",
                prefix ? prefix : "", file, module_name(c->modules, a->target));
        return mu_error_hint("muster ckpt info %s shows its names; `prefix` chooses among them", file);
    }
    for (int i = 0; record && i < mu_modules_n_params(c->modules); i++) {
        const mu_module_param *p = mu_modules_param(c->modules, i);
        mu_init_line *line = &record->line[i], now = *line;
        if (!is_below(c->modules, p->module, a->target))
            continue;
        if (mu_params_sharing_of(c->params)->stage < MU_SHARD_PARAMETERS) {
            MU_TRY(mu_params_read(c->params, p->name, buffer));
            mu_init_line_fill(&now, p, buffer);
            if (now.mean == line->mean && now.std == line->std)
                continue;
        } else { /* no rank can look */
            now.mean = now.std = NAN;
        }
        mu_init_line_by(&now, a->object, module_name(c->modules, a->owner));
        *line = now;
    }
    return MU_OK;
}

static mu_err load_all(context *c, mu_init_load_fn *load, void *user, void *buffer, mu_init_record *record)
{
    for (int m = mu_modules_count(c->modules) - 1; m >= 0; m--)
        for (size_t i = 0; i < c->n; i++)
            if (c->list[i].target == m && is_pretrained(c->list[i].object))
                MU_TRY(load_one(c, &c->list[i], load, user, buffer, record));
    return MU_OK;
}

mu_err mu_init_weights(const mu_modules *modules, mu_params *params, uint64_t seed, mu_init_load_fn *load, void *user,
                       mu_init_record *record)
{
    context c = {.modules = modules, .params = params};
    mu_init_record lines = {.n = mu_modules_n_params(modules)};
    void *buffer = NULL;
    size_t most = 0;
    mu_err err;
    for (int i = 0; i < lines.n; i++) {
        size_t bytes = mu_type_bytes(&mu_modules_param(modules, i)->type);
        most = bytes > most ? bytes : most;
    }
    MU_TRY_GOTO(err, mu_calloc(&c.plan, (size_t)lines.n, sizeof *c.plan), done);
    MU_TRY_GOTO(err, mu_alloc(&buffer, most), done);
    if (record)
        MU_TRY_GOTO(err, mu_calloc(&lines.line, (size_t)lines.n, sizeof *lines.line), done);
    MU_TRY_GOTO(err, plan_all(&c), done);
    MU_TRY_GOTO(err, fill_all(&c, seed, buffer, record ? &lines : NULL), done);
    MU_TRY_GOTO(err, load_all(&c, load, user, buffer, record ? &lines : NULL), done);
    if (record) {
        *record = lines;
        lines.line = NULL;
    }
done:
    for (size_t i = 0; i < c.n; i++)
        mu_destroy(c.list[i].object);
    mu_free(c.list);
    mu_free(c.plan);
    mu_free(buffer);
    mu_free(lines.line);
    return err;
}
