#include "core/log.h"
#include "core/mem.h"
#include "core/text.h"
#include "registry/state.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct plugin plugin;
struct plugin {
    void *handle;
    plugin *next;
};

static plugin *loaded;

void mu_plugin_unload_all(void)
{
    for (plugin *p = loaded, *next; p; p = next) {
        next = p->next;
        dlclose(p->handle);
        mu_free(p);
    }
    loaded = NULL;
}

/* Sets *out to folder/name[.so]. */
static mu_err path_in(const char *folder, size_t n, const char *name, char **out)
{
    size_t length = strlen(name);
    bool has_suffix = length > 3 && strcmp(name + length - 3, ".so") == 0;
    MU_TRY(mu_asprintf(out, "%.*s%s%s%s", (int)n, folder, n ? "/" : "", name, has_suffix ? "" : ".so"));
    return MU_OK;
}

/* Tries one folder; *out stays NULL where the file is not there. The folder is added to `searched`. */
static mu_err try_folder(const char *folder, size_t n, const char *name, mu_text *searched, char **out)
{
    char *path;
    MU_TRY(path_in(folder, n, name, &path));
    if (access(path, F_OK) == 0) {
        *out = path;
        return MU_OK;
    }
    mu_free(path);
    mu_text_printf(searched, "%s%.*s", searched->length ? ", " : "", n ? (int)n : 1, n ? folder : ".");
    MU_TRY(mu_text_status(searched));
    return MU_OK;
}

static mu_err search(const char *name, const char *beside, mu_text *searched, char **out)
{
    const char *slash = beside ? strrchr(beside, '/') : NULL, *list = getenv("MUSTER_PLUGIN_PATH");
    if (slash)
        MU_TRY(try_folder(beside, slash == beside ? 1 : (size_t)(slash - beside), name, searched, out));
    else
        MU_TRY(try_folder(".", 1, name, searched, out));
    while (!*out && list && *list) {
        size_t n = strcspn(list, ":");
        if (n)
            MU_TRY(try_folder(list, n, name, searched, out));
        list += n + (list[n] == ':');
    }
    if (!*out)
        MU_TRY(try_folder(MU_PLUGIN_DIR, strlen(MU_PLUGIN_DIR), name, searched, out));
    return MU_OK;
}

/* Sets *out to the path of the file to open, owned by the caller. */
static mu_err locate(const char *name, const char *beside, char **out)
{
    mu_text searched = {0};
    mu_err err = MU_OK;
    *out = NULL;
    const char *slash = beside ? strrchr(beside, '/') : NULL;
    if (!strchr(name, '/'))
        err = search(name, beside, &searched, out);
    else if (name[0] == '/' || !slash)
        err = mu_strdup(out, name);
    else
        err = mu_asprintf(out, "%.*s%s", (int)(slash - beside + 1), beside, name);
    if (!err && !*out) {
        MU_FAIL(MU_ERR_PLUGIN, "plug-in \"%s\" was not found in %s", name, searched.data);
        err = mu_error_hint("put %s.so into one of them, or name its folder in MUSTER_PLUGIN_PATH", name);
    } else if (!err && access(*out, F_OK) != 0) {
        MU_FAIL(MU_ERR_PLUGIN, "plug-in \"%s\": there is no file \"%s\"", name, *out);
        err = mu_error_hint("a name with a slash is a path; one without is searched in MUSTER_PLUGIN_PATH");
        mu_free(*out);
        *out = NULL;
    }
    mu_text_release(&searched);
    MU_TRY(err);
    return MU_OK;
}

/* Calls the plug-in. On failure nothing of it is left: no component, and no frame of the error record, whose texts lie
 * in the shared object. */
static mu_err call_register(void *handle, void *symbol, const char *path, mu_registry *root)
{
    mu_err (*call)(mu_registry *);
    memcpy(&call, &symbol, sizeof call);
    mu_error_clear();
    mu_registry_set_owner(handle);
    mu_err err = call(root);
    mu_registry_set_owner(NULL);
    if (err == MU_OK)
        return MU_OK;
    mu_registry_remove_owned(handle);
    mu_error error = *mu_error_last();
    error.n_frames = 0;
    error.code = error.code == MU_ERR_MEMORY ? MU_ERR_MEMORY : MU_ERR_PLUGIN;
    if (!error.message[0])
        snprintf(error.message, sizeof error.message, "muster_plugin_register returned %d and said nothing", (int)err);
    mu_error_restore(&error);
    mu_error_context("plug-in \"%s\" could not register its components", path);
    return error.code;
}

static mu_err register_plugin(void *handle, const char *path)
{
    mu_registry *root = NULL;
    MU_TRY(mu_registry_root(&root));
    const int *version = dlsym(handle, "muster_plugin_version");
    void *symbol = dlsym(handle, "muster_plugin_register");
    if (!version || !symbol) {
        MU_FAIL(MU_ERR_PLUGIN, "plug-in \"%s\" does not export %s", path,
                version ? "muster_plugin_register" : "muster_plugin_version");
        return mu_error_hint("is it a plug-in of Muster? it defines `const int muster_plugin_version` and the function "
                             "muster_plugin_register (registry/registry.h)");
    }
    if (*version != MU_PLUGIN_VERSION) {
        MU_FAIL(MU_ERR_PLUGIN, "plug-in \"%s\" was built for version %d of the plug-in interface; this Muster has %d",
                path, *version, MU_PLUGIN_VERSION);
        return mu_error_hint("build it again with the headers of this Muster (pkg-config --cflags muster)");
    }
    MU_TRY(call_register(handle, symbol, path, root));
    return MU_OK;
}

static mu_err open_plugin(const char *path, void **handle)
{
    *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!*handle) {
        const char *why = dlerror();
        size_t n = strlen(path);
        if (why && strncmp(why, path, n) == 0 && why[n] == ':') /* the loader says the path itself */
            why += n + 2;
        MU_FAIL(MU_ERR_PLUGIN, "plug-in \"%s\" cannot be loaded: %s", path, why ? why : "unknown reason");
        return mu_error_hint(
            "a plug-in is a shared object for this machine, linked with what it uses; ldd -r shows what "
            "is missing");
    }
    return MU_OK;
}

mu_err mu_plugin_load(const char *name, const char *beside)
{
    char *path = NULL;
    void *handle = NULL;
    plugin *p = NULL;
    MU_TRY(locate(name, beside, &path));
    mu_err err = open_plugin(path, &handle);
    for (p = loaded; p && handle && p->handle != handle; p = p->next)
        ;
    if (p && handle) { /* was there before */
        dlclose(handle);
        mu_free(path);
        return MU_OK;
    }
    p = NULL;
    if (!err)
        err = mu_alloc(&p, sizeof *p);
    if (!err)
        err = register_plugin(handle, path);
    mu_free(path);
    if (err) {
        mu_free(p);
        if (handle)
            dlclose(handle);
        return mu_error_trace(err, __FILE__, __LINE__, __func__);
    }
    *p = (plugin){.handle = handle, .next = loaded};
    loaded = p;
    return MU_OK;
}

static mu_err import_one(const mu_cfg *name, const char *path, bool may_fail, mu_diagnostics *list)
{
    const char *file = mu_cfg_pos(name).file;
    mu_err err = mu_plugin_load(mu_cfg_string(name), file && access(file, F_OK) == 0 ? file : NULL);
    if (err == MU_OK || err == MU_ERR_MEMORY)
        return err;
    const mu_error *why = mu_error_last();
    if (may_fail) {
        MU_WARN("registry", "%s (allow_failed_imports)", why->message);
        return MU_OK;
    }
    char expected[2 * MU_ERROR_TEXT + 64], found[128];
    snprintf(expected, sizeof expected, "a plug-in that can be loaded (%s%s%s)", why->message, why->hint[0] ? "; " : "",
             why->hint);
    mu_cfg_describe(name, found, sizeof found);
    MU_TRY(mu_diagnostics_add(list, mu_cfg_pos(name), path, expected, found, NULL));
    return MU_OK;
}

typedef struct {
    mu_strings imports;
    bool allow_failed_imports;
} import_options;

static const mu_option import_table[] = {
    MU_OPTION(import_options, imports, MU_OPT_STRINGS, .required = true, .help = "names or paths of plug-ins"),
    MU_OPTION(import_options, allow_failed_imports, MU_OPT_BOOL, .help = "only warn of those that cannot be loaded"),
    MU_OPTION_END,
};

static mu_err import_all(const mu_cfg *custom_imports, const char *path, const import_options *options,
                         mu_diagnostics *list)
{
    const mu_cfg *imports = mu_cfg_get(custom_imports, "imports");
    for (size_t i = 0; i < options->imports.n; i++) {
        char *where;
        MU_TRY(mu_asprintf(&where, "%s.imports.%zu", path, i));
        mu_err err = import_one(mu_cfg_at(imports, i), where, options->allow_failed_imports, list);
        mu_free(where);
        MU_TRY(err);
    }
    return MU_OK;
}

mu_err mu_plugin_import(const mu_cfg *custom_imports, const char *path, mu_diagnostics *list)
{
    import_options options = {0};
    if (mu_cfg_kind_of(custom_imports) != MU_CFG_DICT) {
        char found[128];
        mu_cfg_describe(custom_imports, found, sizeof found);
        MU_TRY(
            mu_diagnostics_add(list, mu_cfg_pos(custom_imports), path, "dictionary with the key imports", found, NULL));
        return MU_OK;
    }
    MU_TRY(mu_options_parse(import_table, custom_imports, path, &options, list));
    mu_err err = import_all(custom_imports, path, &options, list);
    mu_options_release(import_table, &options);
    MU_TRY(err);
    return MU_OK;
}
