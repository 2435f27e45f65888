/* Files with their bases, variables and reserved names, composed into one tree. */
#include "config/load.h"

#include "config/diagnostic.h"
#include "config/file.h"
#include "config/merge.h"
#include "config/reader.h"
#include "core/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Files of one config, bases of bases. */
enum { MAX_FILES = 1024, MAX_CHAIN = 64 };

/* What all files of one config share. */
typedef struct {
    mu_budget budget;
    size_t files, bytes;
    mu_cfg *env; /* owned */
    mu_text text;
} loader;

/* A file being read, and the file that names it as its base. */
typedef struct link {
    const struct link *up;
    const char *path;
    mu_file_id id;
    int length;
} chain;

const char *mu_config_format_of(const char *path)
{
    const char *slash = strrchr(path, '/'), *dot = strrchr(slash ? slash : path, '.');
    if (dot && (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0))
        return "yaml";
    return dot && strcmp(dot, ".json") == 0 ? "json" : NULL;
}

bool mu_config_is_reserved(const char *key)
{
    return strcmp(key, "filename") == 0 || strcmp(key, "text") == 0 || strcmp(key, "pretty_text") == 0 ||
           strcmp(key, "env_variables") == 0;
}

static mu_err check_root(const mu_cfg *root)
{
    if (mu_cfg_kind_of(root) != MU_CFG_DICT) {
        char found[96];
        mu_cfg_describe(root, found, sizeof found);
        return MU_FAIL_AT(mu_cfg_pos(root), "a config is a dictionary, found %s", found);
    }
    for (size_t i = 0; i < mu_cfg_size(root); i++) {
        mu_pos pos = mu_cfg_key_pos(mu_cfg_at(root, i));
        const char *key = mu_cfg_key_at(root, i);
        if (mu_config_is_reserved(key)) {
            MU_FAIL_AT(pos, "the top-level key '%s' is reserved", key);
            return mu_error_hint("rename it");
        }
        if (strcmp(key, "_delete_") == 0) {
            MU_FAIL_AT(pos, "_delete_ at the top level would leave nothing of the bases");
            return mu_error_hint("take _base_ out instead");
        }
    }
    return MU_OK;
}

/* The whole of one text, variables of bases left in place. */
static mu_err parse_text(loader *load, const char *text, size_t length, const char *path, const char *file, const char *format,
                         mu_variables **variables, mu_cfg **out)
{
    mu_cfg *root = NULL;
    mu_variables *v;
    size_t marked_length;
    MU_TRY(mu_variables_new(text, length, path, file, load->env, &v));
    const char *marked = mu_variables_text(v, &marked_length);
    mu_err err;
    if (strcmp(format, "json") == 0)
        MU_TRY_GOTO(err, mu_json_read(marked, marked_length, file, &load->budget, v, &root), fail);
    else
        MU_TRY_GOTO(err, mu_yaml_read(marked, marked_length, file, &load->budget, v, &root), fail);
    if (mu_cfg_kind_of(root) == MU_CFG_NULL) { /* an empty file */
        mu_pos pos = {.file = file, .line = 1, .column = 1};
        mu_cfg_release(root);
        root = NULL;
        MU_TRY_GOTO(err, mu_cfg_new_dict(pos, &root), fail);
    }
    MU_TRY_GOTO(err, check_root(root), fail);
    *variables = v;
    *out = root;
    return MU_OK;
fail:
    mu_variables_release(v);
    mu_cfg_release(root);
    return err;
}

/* In every outermost dict with a `type` that has no scope yet. Recurses at most MU_CONFIG_MAX_DEPTH levels. */
static mu_err set_scope(mu_cfg *cfg, const char *scope)
{
    mu_cfg_kind kind = mu_cfg_kind_of(cfg);
    if (kind != MU_CFG_DICT && kind != MU_CFG_LIST)
        return MU_OK;
    const mu_cfg *type = mu_cfg_get(cfg, "type");
    if (type && mu_cfg_kind_of(type) == MU_CFG_STRING) {
        mu_cfg *value;
        if (mu_cfg_get(cfg, "_scope_"))
            return MU_OK;
        MU_TRY(mu_cfg_new_string(scope, strlen(scope), mu_cfg_pos(cfg), &value));
        MU_TRY(mu_cfg_set(cfg, "_scope_", mu_cfg_pos(cfg), value));
        return MU_OK;
    }
    for (size_t i = 0; i < mu_cfg_size(cfg); i++)
        MU_TRY(set_scope(mu_cfg_at(cfg, i), scope));
    return MU_OK;
}

/* "pkg::path": the first DIR/pkg/path that exists of the directories in MUSTER_CONFIG_PATH. */
static mu_err find_in_package(const char *entry, const char *colons, mu_pos pos, char **out)
{
    const char *search = getenv("MUSTER_CONFIG_PATH");
    if (!search || !*search) {
        MU_FAIL_AT(pos, "'%s' names a base in a package, and MUSTER_CONFIG_PATH is not set", entry);
        return mu_error_hint("set it to the directories that hold packages of configs, with ':' between them");
    }
    for (const char *at = search; *at;) {
        int length = (int)strcspn(at, ":");
        char *path;
        MU_TRY(mu_asprintf(&path, "%.*s/%.*s/%s", length, at, (int)(colons - entry), entry, colons + 2));
        if (length > 0 && access(path, F_OK) == 0) {
            *out = path;
            return MU_OK;
        }
        mu_free(path);
        at += length + (at[length] == ':');
    }
    return MU_FAIL_AT(pos, "'%s' is in none of the directories of MUSTER_CONFIG_PATH=%s", entry, search);
}

/* The path of a base as it is written in the file `from` (NULL: in text). *scope is owned, NULL without one. */
static mu_err resolve_base(const mu_cfg *entry, const char *from, char **path, char **scope)
{
    mu_pos pos = mu_cfg_pos(entry);
    *path = *scope = NULL;
    if (mu_cfg_kind_of(entry) != MU_CFG_STRING || mu_cfg_string_length(entry) == 0 ||
        mu_variables_in(mu_cfg_string(entry), mu_cfg_string_length(entry))) {
        char found[96];
        mu_cfg_describe(entry, found, sizeof found);
        return MU_FAIL_AT(pos, "_base_ is a path or a list of paths, found %s", found);
    }
    const char *text = mu_cfg_string(entry), *colons = strstr(text, "::"), *slash = from ? strrchr(from, '/') : NULL;
    if (colons) {
        MU_TRY(find_in_package(text, colons, pos, path));
        mu_err err = mu_strndup(scope, text, (size_t)(colons - text));
        if (err != MU_OK)
            mu_free(*path);
        return err;
    }
    if (text[0] == '/' || !slash)
        MU_TRY(mu_strdup(path, text));
    else
        MU_TRY(mu_asprintf(path, "%.*s/%s", (int)(slash - from), from, text));
    return MU_OK;
}

static mu_err load_file(loader *load, const char *path, const chain *up, mu_pos pos, mu_cfg **out);

/* Adds a base to its elder siblings in *all (NULL at first): they share no top-level key. Takes `base` over, also on failure. */
static mu_err add_base(mu_cfg **all, mu_cfg *base)
{
    mu_err err = MU_OK;
    if (!*all) {
        *all = base;
        return MU_OK;
    }
    for (size_t i = 0; i < mu_cfg_size(base) && err == MU_OK; i++) {
        const mu_cfg *value = mu_cfg_at(base, i), *twin = mu_cfg_get(*all, mu_cfg_key_at(base, i));
        mu_cfg *copy;
        mu_pos pos = mu_cfg_key_pos(value);
        if (twin) {
            mu_pos first = mu_cfg_key_pos(twin);
            MU_FAIL_AT(pos, "two bases of one file have the top-level key '%s': the other is at %s:%d:%d", mu_cfg_key_at(base, i),
                       first.file, first.line, first.column);
            err = mu_error_hint("leave it in one of them, or let one base inherit from the other");
            break;
        }
        err = mu_cfg_copy(value, &copy);
        if (err == MU_OK)
            err = mu_cfg_set(*all, mu_cfg_key_at(base, i), pos, copy);
    }
    mu_cfg_release(base);
    return err;
}

/* One entry of _base_. */
static mu_err load_base(loader *load, const mu_cfg *entry, const char *from, const chain *up, mu_cfg **all)
{
    char *path, *scope;
    mu_cfg *base = NULL;
    MU_TRY(resolve_base(entry, from, &path, &scope));
    mu_err err = load_file(load, path, up, mu_cfg_pos(entry), &base);
    if (err == MU_OK && scope)
        err = set_scope(base, scope);
    mu_free(path);
    mu_free(scope);
    if (err != MU_OK) {
        mu_cfg_release(base);
        return mu_error_trace(err, __FILE__, __LINE__, __func__);
    }
    MU_TRY(add_base(all, base));
    return MU_OK;
}

/* The bases of `root`, merged; NULL when it names none. */
static mu_err load_bases(loader *load, const mu_cfg *root, const char *from, const chain *up, mu_cfg **out)
{
    const mu_cfg *entries = mu_cfg_get(root, "_base_");
    mu_cfg *all = NULL;
    mu_err err = MU_OK;
    if (entries && mu_cfg_kind_of(entries) == MU_CFG_LIST)
        for (size_t i = 0; i < mu_cfg_size(entries) && err == MU_OK; i++)
            err = load_base(load, mu_cfg_at(entries, i), from, up, &all);
    else if (entries)
        err = load_base(load, entries, from, up, &all);
    if (err != MU_OK) {
        mu_cfg_release(all);
        return mu_error_trace(err, __FILE__, __LINE__, __func__);
    }
    *out = all;
    return MU_OK;
}

static mu_err record_text(loader *load, const char *name, const char *text, size_t length)
{
    mu_text_printf(&load->text, "# %s\n", name);
    mu_text_append_n(&load->text, text, length);
    if (length > 0 && text[length - 1] != '\n')
        mu_text_append_n(&load->text, "\n", 1);
    MU_TRY(mu_text_status(&load->text));
    return MU_OK;
}

/* A text with its bases: `path` NULL for one without a file, `file` names it in places. */
static mu_err compose(loader *load, const char *text, size_t length, const char *path, const char *file, const char *format,
                      const chain *up, mu_cfg **out)
{
    mu_variables *variables;
    mu_cfg *root, *bases = NULL;
    mu_err err;
    MU_TRY(parse_text(load, text, length, path, file, format, &variables, &root));
    MU_TRY_GOTO(err, load_bases(load, root, path, up, &bases), fail);
    mu_cfg_remove(root, "_base_");
    MU_TRY_GOTO(err, mu_variables_expand_base(variables, root, bases, &load->budget), fail);
    MU_TRY_GOTO(err, record_text(load, file, text, length), fail);
    if (bases) {
        MU_TRY_GOTO(err, mu_cfg_merge(bases, root, false), fail);
        mu_cfg_release(root);
        root = bases;
        bases = NULL;
    } else {
        MU_TRY_GOTO(err, mu_cfg_strip_delete(root), fail);
    }
    mu_variables_release(variables);
    *out = root;
    return MU_OK;
fail:
    mu_variables_release(variables);
    mu_cfg_release(root);
    mu_cfg_release(bases);
    return err;
}

/* "a.yaml -> b.yaml -> " for a cycle, from the outermost file. */
static void append_chain(const chain *link, char *buf, size_t size)
{
    if (link->up)
        append_chain(link->up, buf, size);
    size_t used = strlen(buf);
    snprintf(buf + used, size - used, "%s -> ", link->path);
}

static mu_err check_chain(const chain *here, mu_pos pos)
{
    if (here->length > MAX_CHAIN)
        return MU_FAIL_AT(pos, "a chain of more than %d bases", MAX_CHAIN);
    for (const chain *link = here->up; link; link = link->up) {
        if (link->id.device == here->id.device && link->id.inode == here->id.inode) {
            char text[1024] = "";
            append_chain(here->up, text, sizeof text);
            return MU_FAIL_AT(pos, "a file is its own base: %s%s", text, here->path);
        }
    }
    return MU_OK;
}

/* `pos` is that of the entry in _base_ that names the file; pos.file NULL for the first one. */
static mu_err load_file(loader *load, const char *path, const chain *up, mu_pos pos, mu_cfg **out)
{
    chain here = {.up = up, .path = path, .length = up ? up->length + 1 : 1};
    char *text;
    size_t length;
    const char *format = mu_config_format_of(path);
    mu_err err;
    if (!format) {
        err = MU_FAIL(MU_ERR_CONFIG, "the config '%s' is not named .yaml, .yml or .json", path);
        if (strlen(path) > 3 && strcmp(path + strlen(path) - 3, ".py") == 0)
            mu_error_hint("Python configs are not read; write it as YAML");
    } else if (++load->files > MAX_FILES) {
        err = MU_FAIL(MU_ERR_CONFIG, "the config has more than %d files", MAX_FILES);
    } else {
        err = mu_file_read(path, MU_CONFIG_MAX_BYTES - load->bytes, &text, &length, &here.id);
    }
    if (err != MU_OK) {
        if (pos.file)
            mu_error_context("%s:%d:%d", pos.file, pos.line, pos.column);
        return err;
    }
    load->bytes += length;
    MU_TRY_GOTO(err, check_chain(&here, pos), done);
    MU_TRY_GOTO(err, compose(load, text, length, path, path, format, &here, out), done);
done:
    mu_free(text);
    return err;
}

/* Hands over what a loader has read, or frees it. */
static mu_err finish(loader *load, mu_err err, mu_cfg *root, mu_loaded *out)
{
    char *text;
    if (err == MU_OK)
        err = mu_text_take(&load->text, &text);
    if (err != MU_OK) {
        mu_text_release(&load->text);
        mu_cfg_release(load->env);
        mu_cfg_release(root);
        return mu_error_trace(err, __FILE__, __LINE__, __func__);
    }
    *out = (mu_loaded){.root = root, .env = load->env, .text = text};
    return MU_OK;
}

mu_err mu_load_file(const char *path, mu_loaded *out)
{
    loader load = {.budget = MU_BUDGET};
    mu_cfg *root = NULL;
    MU_TRY(mu_cfg_new_dict((mu_pos){.file = "<environment>", .line = 1, .column = 1}, &load.env));
    mu_err err = load_file(&load, path, NULL, (mu_pos){0}, &root);
    MU_TRY(finish(&load, err, root, out));
    return MU_OK;
}

mu_err mu_load_text(const char *text, size_t length, const char *format, mu_loaded *out)
{
    loader load = {.budget = MU_BUDGET, .bytes = length};
    mu_cfg *root = NULL;
    if (length > MU_CONFIG_MAX_BYTES)
        return MU_FAIL(MU_ERR_CONFIG, "the text of the config has %zu bytes, more than the %d that may be read", length,
                       MU_CONFIG_MAX_BYTES);
    MU_TRY(mu_cfg_new_dict((mu_pos){.file = "<environment>", .line = 1, .column = 1}, &load.env));
    mu_err err = compose(&load, text, length, NULL, "<string>", format, NULL, &root);
    MU_TRY(finish(&load, err, root, out));
    return MU_OK;
}

void mu_loaded_release(mu_loaded *loaded)
{
    mu_cfg_release(loaded->root);
    mu_cfg_release(loaded->env);
    mu_free(loaded->text);
    *loaded = (mu_loaded){0};
}
