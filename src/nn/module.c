#include "nn/module_impl.h"

#include "core/hash.h"
#include "core/mem.h"

/* Both live in blocks of their own, with their names behind them: pointers stay valid while the list grows. */
typedef struct {
    mu_module_info info;
    int index;
    UT_hash_handle hh;
    char path[];
} module;

typedef struct {
    mu_module_param info;
    int index;
    UT_hash_handle hh;
    char name[];
} param;

struct mu_modules {
    module **modules, *by_path;
    size_t n_modules, module_capacity;
    param **params, *by_name;
    size_t n_params, param_capacity;
    int current; /* -1: outside */
};

mu_err mu_modules_new(mu_modules **out)
{
    mu_modules *modules;
    MU_TRY(mu_calloc(&modules, 1, sizeof *modules));
    modules->current = -1;
    *out = modules;
    return MU_OK;
}

void mu_modules_clear(mu_modules *modules)
{
    HASH_CLEAR(hh, modules->by_path);
    HASH_CLEAR(hh, modules->by_name);
    while (modules->n_modules)
        mu_free(modules->modules[--modules->n_modules]);
    while (modules->n_params)
        mu_free(modules->params[--modules->n_params]);
    modules->current = -1;
}

void mu_modules_release(mu_modules *modules)
{
    if (!modules)
        return;
    mu_modules_clear(modules);
    mu_free(modules->modules);
    mu_free(modules->params);
    mu_free(modules);
}

/* The length of "path.name", where path is the current module's. */
static size_t joined_length(const mu_modules *modules, const char *name)
{
    const char *path = modules->current < 0 ? "" : modules->modules[modules->current]->path;
    return strlen(path) + (*path ? 1 : 0) + strlen(name);
}

static void join(const mu_modules *modules, const char *name, char *out)
{
    const char *path = modules->current < 0 ? "" : modules->modules[modules->current]->path;
    size_t n = strlen(path);
    memcpy(out, path, n);
    if (n)
        out[n++] = '.';
    strcpy(out + n, name);
}

mu_err mu_modules_enter(mu_modules *modules, const char *name, const char *type, const mu_cfg *init_cfg, int32_t node)
{
    module *added, *known;
    MU_TRY(mu_grow(&modules->modules, &modules->module_capacity, modules->n_modules + 1, sizeof *modules->modules));
    MU_TRY(mu_calloc(&added, 1, sizeof *added + joined_length(modules, name) + 1));
    join(modules, name, added->path);
    HASH_FIND_STR(modules->by_path, added->path, known);
    if (known) {
        mu_free(added);
        modules->current = known->index;
        return MU_OK;
    }
    HASH_ADD_STR(modules->by_path, path, added);
    if (!added->hh.tbl) {
        mu_free(added);
        return MU_ERR_MEMORY;
    }
    added->index = (int)modules->n_modules;
    added->info = (mu_module_info){.path = added->path, .type = type, .parent = modules->current, .init_cfg = init_cfg,
                                   .first_node = node};
    modules->modules[modules->n_modules++] = added;
    modules->current = added->index;
    return MU_OK;
}

void mu_modules_leave(mu_modules *modules, int32_t node)
{
    mu_module_info *info = mu_modules_current(modules);
    if (!info)
        return;
    info->n_nodes = node - info->first_node;
    modules->current = info->parent;
}

mu_module_info *mu_modules_current(mu_modules *modules)
{
    return modules->current < 0 ? NULL : &modules->modules[modules->current]->info;
}

mu_err mu_modules_add_param(mu_modules *modules, const char *leaf, mu_type type, bool trainable, mu_fill fill,
                            const char **out)
{
    param *added, *known;
    if (modules->current < 0)
        return MU_FAIL(MU_ERR_USAGE, "parameter \"%s\" is made outside of all modules", leaf);
    MU_TRY(mu_grow(&modules->params, &modules->param_capacity, modules->n_params + 1, sizeof *modules->params));
    MU_TRY(mu_calloc(&added, 1, sizeof *added + joined_length(modules, leaf) + 1));
    join(modules, leaf, added->name);
    HASH_FIND_STR(modules->by_name, added->name, known);
    if (known) {
        mu_free(added);
        *out = known->name;
        return MU_OK;
    }
    HASH_ADD_STR(modules->by_name, name, added);
    if (!added->hh.tbl) {
        mu_free(added);
        return MU_ERR_MEMORY;
    }
    added->index = (int)modules->n_params;
    added->info = (mu_module_param){.name = added->name, .leaf = added->name + strlen(added->name) - strlen(leaf),
                                    .type = type, .trainable = trainable, .module = modules->current, .fill = fill};
    modules->params[modules->n_params++] = added;
    *out = added->name;
    return MU_OK;
}

int mu_modules_count(const mu_modules *modules)
{
    return (int)modules->n_modules;
}

const mu_module_info *mu_modules_at(const mu_modules *modules, int i)
{
    return &modules->modules[i]->info;
}

int mu_modules_find(const mu_modules *modules, const char *path)
{
    const module *found;
    HASH_FIND_STR(modules->by_path, path, found);
    return found ? found->index : -1;
}

int mu_modules_n_params(const mu_modules *modules)
{
    return (int)modules->n_params;
}

const mu_module_param *mu_modules_param(const mu_modules *modules, int i)
{
    return &modules->params[i]->info;
}

int mu_modules_find_param(const mu_modules *modules, const char *name)
{
    const param *found;
    HASH_FIND_STR(modules->by_name, name, found);
    return found ? found->index : -1;
}
