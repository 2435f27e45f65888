#include "config/config.h"

#include "config/diff.h"
#include "config/file.h"
#include "config/load.h"
#include "config/override.h"
#include "config/reader.h"
#include "config/scalar.h"
#include "core/mem.h"

#include <string.h>

struct mu_config {
    mu_loaded loaded;
    char *filename; /* NULL: from text */
    int n_overrides;
};

/* Takes over what is loaded, also on failure. */
static mu_err config_new(mu_loaded loaded, const char *filename, mu_config **out)
{
    mu_config *config = NULL;
    mu_err err = mu_calloc(&config, 1, sizeof *config);
    if (err != MU_OK) {
        mu_loaded_release(&loaded);
        return mu_error_trace(err, __FILE__, __LINE__, __func__);
    }
    config->loaded = loaded;
    if (filename && (err = mu_strdup(&config->filename, filename)) != MU_OK) {
        mu_config_release(config);
        return mu_error_trace(err, __FILE__, __LINE__, __func__);
    }
    *out = config;
    return MU_OK;
}

mu_err mu_config_read(const char *path, mu_config **out)
{
    mu_loaded loaded;
    MU_TRY(mu_load_file(path, &loaded));
    MU_TRY(config_new(loaded, path, out));
    return MU_OK;
}

static mu_err check_format(const char *format)
{
    if (strcmp(format, "yaml") != 0 && strcmp(format, "json") != 0)
        return MU_FAIL(MU_ERR_USAGE, "the format of a config is yaml or json, not '%s'", format);
    return MU_OK;
}

mu_err mu_config_parse(const char *text, size_t length, const char *format, mu_config **out)
{
    mu_loaded loaded;
    MU_TRY(check_format(format));
    MU_TRY(mu_load_text(text, length, format, &loaded));
    MU_TRY(config_new(loaded, NULL, out));
    return MU_OK;
}

void mu_config_release(mu_config *config)
{
    if (!config)
        return;
    mu_loaded_release(&config->loaded);
    mu_free(config->filename);
    mu_free(config);
}

const mu_cfg *mu_config_root(const mu_config *config)
{
    return config->loaded.root;
}

const char *mu_config_filename(const mu_config *config)
{
    return config->filename;
}

const char *mu_config_text(const mu_config *config)
{
    return config->loaded.text;
}

const mu_cfg *mu_config_env_variables(const mu_config *config)
{
    return config->loaded.env;
}

mu_err mu_config_merge(mu_config *config, const mu_cfg *options, bool list_keys)
{
    mu_cfg *root;
    MU_TRY(mu_override_apply(config->loaded.root, options, list_keys, &root));
    mu_cfg_release(config->loaded.root);
    config->loaded.root = root;
    return MU_OK;
}

mu_err mu_config_override(mu_config *config, const char *assignment)
{
    mu_cfg *options = NULL;
    char clip[MU_CLIP_TEXT];
    mu_err err = mu_override_parse(assignment, ++config->n_overrides, &options);
    if (err == MU_OK)
        err = mu_config_merge(config, options, true);
    mu_cfg_release(options);
    if (err == MU_ERR_CONFIG)
        mu_error_context("'%s'", mu_text_clip(assignment, strlen(assignment), clip));
    MU_TRY(err);
    return MU_OK;
}

mu_err mu_config_dump(const mu_config *config, const char *format, char **out)
{
    MU_TRY(mu_cfg_dump(config->loaded.root, format, out));
    return MU_OK;
}

mu_err mu_config_write(const mu_config *config, const char *path)
{
    const char *format = mu_config_format_of(path);
    char *text;
    if (!format)
        return MU_FAIL(MU_ERR_USAGE, "a config is written to a file named .yaml, .yml or .json, not to '%s'", path);
    MU_TRY(mu_config_dump(config, format, &text));
    mu_err err = mu_file_write(path, text);
    mu_free(text);
    MU_TRY(err);
    return MU_OK;
}

mu_err mu_config_diff(const mu_config *a, const mu_config *b, char **out)
{
    char *a_text, *b_text;
    MU_TRY(mu_config_dump(a, "yaml", &a_text));
    mu_err err = mu_config_dump(b, "yaml", &b_text);
    if (err == MU_OK) {
        err = mu_text_diff(a_text, a->filename ? a->filename : "a", b_text, b->filename ? b->filename : "b", out);
        mu_free(b_text);
    }
    mu_free(a_text);
    MU_TRY(err);
    return MU_OK;
}

mu_err mu_cfg_parse_json(const char *text, size_t length, const char *name, mu_cfg **out)
{
    mu_budget budget = MU_BUDGET;
    return mu_json_read(text, length, name, &budget, NULL, out);
}
