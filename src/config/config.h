/* Config files: YAML or JSON with _base_ inheritance, variables and overrides, read into a value tree.
 *
 * Not collective: rank 0 reads and sends mu_config_dump's text. */
#ifndef MU_CONFIG_CONFIG_H
#define MU_CONFIG_CONFIG_H

#include "config/value.h"

typedef struct mu_config mu_config;

/* Levels of nesting; bytes of all files of a config, and of the strings they come to; values that they come to. */
enum { MU_CONFIG_MAX_DEPTH = 512, MU_CONFIG_MAX_BYTES = 64 << 20, MU_CONFIG_MAX_VALUES = 4 << 20 };

/* Reads a file (.yaml, .yml, .json): predefined variables ({{ fileDirname }} and its kin), environment ({{$VAR:default}}),
 * _base_ (a path or a list of paths, relative to the file), {{_base_.a.b}}, _delete_, merged. Duplicate keys, base cycles,
 * keys that two bases share and reserved names are MU_ERR_CONFIG with file:line:column. */
MU_CHECKED mu_err mu_config_read(const char *path, mu_config **out);
/* From text; format "yaml" or "json"; relative bases start at the working directory. */
MU_CHECKED mu_err mu_config_parse(const char *text, size_t length, const char *format, mu_config **out);
void mu_config_release(mu_config *config);

const mu_cfg *mu_config_root(const mu_config *config); /* a dict */
const char *mu_config_filename(const mu_config *config); /* NULL when parsed from text */
/* The text of the file and its bases, as read, each under a comment line with its name. */
const char *mu_config_text(const mu_config *config);
/* Environment variables that the config used, as a dict name: value. */
const mu_cfg *mu_config_env_variables(const mu_config *config);

/* "model.backbone.depth=50", "hooks.0.type=X", "lr=1e-3", "dims=[1,2]" or "dims=1,2". List indices must exist;
 * missing dict keys are made. Values are bool, int, float, null, nested lists, else strings; quotes make a string. */
MU_CHECKED mu_err mu_config_override(mu_config *config, const char *assignment);
/* The same with a tree: {"model.depth": 50} or nested. With list keys "0" addresses an element. */
MU_CHECKED mu_err mu_config_merge(mu_config *config, const mu_cfg *options, bool list_keys);

/* Text that reads back equal; freed by mu_free. Format "yaml" or "json". */
MU_CHECKED mu_err mu_config_dump(const mu_config *config, const char *format, char **out);
MU_CHECKED mu_err mu_config_write(const mu_config *config, const char *path);
/* Plain JSON from elsewhere: a tree in which nothing is replaced or merged. text[length] is NUL; `name` is for errors. */
MU_CHECKED mu_err mu_cfg_parse_json(const char *text, size_t length, const char *name, mu_cfg **out);
MU_CHECKED mu_err mu_cfg_dump(const mu_cfg *cfg, const char *format, char **out);

/* A unified diff of the two dumps, "" when equal; freed by mu_free. */
MU_CHECKED mu_err mu_config_diff(const mu_config *a, const mu_config *b, char **out);

#endif
