#include "config/value.h"

#include "core/mem.h"
#include "core/text.h"

#include <assert.h>
#include <math.h>
#include <stdatomic.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#define uthash_malloc(bytes) hash_alloc(bytes)
#define uthash_free(block, bytes) mu_free(block)
#define uthash_nonfatal_oom(node) ((void)(node), index_failed = true)
#include <uthash.h>

/* Dicts of fewer keys are searched one by one. */
enum { INDEX_FROM = 16 };

/* The name of a file, shared by the values read from it. */
typedef struct {
    atomic_int references;
    char text[];
} file_name;

struct mu_cfg {
    mu_cfg_kind kind;
    int line, column, key_line, key_column;
    file_name *file, *key_file; /* NULL: unknown */
    char *key;                  /* NULL unless in a dict */
    mu_cfg *parent;
    size_t at; /* which child of the parent */
    union {
        bool boolean;
        int64_t integer;
        double real;
        size_t length; /* of text */
        struct {
            size_t n, capacity;
            mu_cfg **child;
            mu_cfg *index; /* uthash head of a dict with INDEX_FROM keys or more, else NULL */
        } many;
    };
    UT_hash_handle hh;
    char text[];
};

static void *hash_alloc(size_t bytes)
{
    void *block;
    return mu_alloc(&block, bytes) == MU_OK ? block : NULL;
}

static mu_err file_name_new(const char *text, file_name **out)
{
    size_t length = strlen(text);
    file_name *name;
    MU_TRY(mu_alloc(&name, sizeof *name + length + 1));
    atomic_init(&name->references, 1);
    memcpy(name->text, text, length + 1);
    *out = name;
    return MU_OK;
}

static file_name *file_name_retain(file_name *name)
{
    if (name)
        atomic_fetch_add_explicit(&name->references, 1, memory_order_relaxed);
    return name;
}

static void file_name_release(file_name *name)
{
    if (name && atomic_fetch_sub_explicit(&name->references, 1, memory_order_acq_rel) == 1)
        mu_free(name);
}

/* A reference to `like` when it has that text, else to a new name. */
static mu_err file_name_for(const char *file, file_name *like, file_name **out)
{
    if (like && (file == like->text || strcmp(file, like->text) == 0)) {
        *out = file_name_retain(like);
        return MU_OK;
    }
    MU_TRY(file_name_new(file, out));
    return MU_OK;
}

static bool is_container(const mu_cfg *cfg)
{
    return cfg->kind == MU_CFG_LIST || cfg->kind == MU_CFG_DICT;
}

static mu_err node_new(mu_cfg_kind kind, size_t text_bytes, mu_pos pos, mu_cfg **out)
{
    file_name *file = NULL;
    if (pos.file)
        MU_TRY(file_name_new(pos.file, &file));
    mu_cfg *cfg;
    mu_err err = mu_alloc(&cfg, sizeof *cfg + text_bytes);
    if (err != MU_OK) {
        file_name_release(file);
        return err;
    }
    memset(cfg, 0, sizeof *cfg);
    cfg->kind = kind;
    cfg->file = file;
    cfg->line = pos.line;
    cfg->column = pos.column;
    *out = cfg;
    return MU_OK;
}

mu_err mu_cfg_new_null(mu_pos pos, mu_cfg **out)
{
    MU_TRY(node_new(MU_CFG_NULL, 0, pos, out));
    return MU_OK;
}

mu_err mu_cfg_new_bool(bool x, mu_pos pos, mu_cfg **out)
{
    MU_TRY(node_new(MU_CFG_BOOL, 0, pos, out));
    (*out)->boolean = x;
    return MU_OK;
}

mu_err mu_cfg_new_int(int64_t x, mu_pos pos, mu_cfg **out)
{
    MU_TRY(node_new(MU_CFG_INT, 0, pos, out));
    (*out)->integer = x;
    return MU_OK;
}

mu_err mu_cfg_new_float(double x, mu_pos pos, mu_cfg **out)
{
    MU_TRY(node_new(MU_CFG_FLOAT, 0, pos, out));
    (*out)->real = x;
    return MU_OK;
}

static mu_err check_text(const char *text, size_t length)
{
    for (size_t i = 0; i < length;) {
        int n = text[i] ? mu_utf8_length(text + i, length - i) : 0;
        if (n == 0)
            return MU_FAIL(MU_ERR_FORMAT, "byte 0x%02x at offset %zu of a string is %s", (unsigned char)text[i], i,
                           text[i] ? "not valid UTF-8" : "not allowed");
        i += (size_t)n;
    }
    return MU_OK;
}

mu_err mu_cfg_new_string(const char *text, size_t length, mu_pos pos, mu_cfg **out)
{
    size_t bytes;
    MU_TRY(mu_add_size(length, 1, &bytes));
    MU_TRY(check_text(text, length));
    MU_TRY(node_new(MU_CFG_STRING, bytes, pos, out));
    memcpy((*out)->text, text, length);
    (*out)->text[length] = '\0';
    (*out)->length = length;
    return MU_OK;
}

mu_err mu_cfg_new_list(mu_pos pos, mu_cfg **out)
{
    MU_TRY(node_new(MU_CFG_LIST, 0, pos, out));
    return MU_OK;
}

mu_err mu_cfg_new_dict(mu_pos pos, mu_cfg **out)
{
    MU_TRY(node_new(MU_CFG_DICT, 0, pos, out));
    return MU_OK;
}

void mu_cfg_release(mu_cfg *cfg)
{
    if (!cfg)
        return;
    assert(!cfg->parent);
    /* Down by the last child, which is cut off on the way; up when there is none left. */
    while (cfg) {
        if (is_container(cfg)) {
            if (cfg->many.index)
                HASH_CLEAR(hh, cfg->many.index);
            if (cfg->many.n > 0) {
                cfg = cfg->many.child[--cfg->many.n];
                continue;
            }
            mu_free(cfg->many.child);
        }
        mu_cfg *parent = cfg->parent;
        file_name_release(cfg->file);
        file_name_release(cfg->key_file);
        mu_free(cfg->key);
        mu_free(cfg);
        cfg = parent;
    }
}

/* A copy without children, key or parent. */
static mu_err copy_node(const mu_cfg *cfg, mu_cfg **out)
{
    size_t text_bytes = cfg->kind == MU_CFG_STRING ? cfg->length + 1 : 0;
    mu_cfg *copy;
    MU_TRY(node_new(cfg->kind, text_bytes, (mu_pos){.line = cfg->line, .column = cfg->column}, &copy));
    copy->file = file_name_retain(cfg->file);
    switch (cfg->kind) {
    case MU_CFG_NULL:
    case MU_CFG_LIST:
    case MU_CFG_DICT: break;
    case MU_CFG_BOOL: copy->boolean = cfg->boolean; break;
    case MU_CFG_INT: copy->integer = cfg->integer; break;
    case MU_CFG_FLOAT: copy->real = cfg->real; break;
    case MU_CFG_STRING:
        copy->length = cfg->length;
        memcpy(copy->text, cfg->text, text_bytes);
        break;
    }
    *out = copy;
    return MU_OK;
}

static mu_err add_child(mu_cfg *parent, const char *key, file_name *key_file, int key_line, int key_column, mu_cfg *child);

/* The next node of the tree under `root` in preorder, or NULL. */
static const mu_cfg *next_in_preorder(const mu_cfg *root, const mu_cfg *cfg)
{
    if (is_container(cfg) && cfg->many.n > 0)
        return cfg->many.child[0];
    for (; cfg != root; cfg = cfg->parent)
        if (cfg->at + 1 < cfg->parent->many.n)
            return cfg->parent->many.child[cfg->at + 1];
    return NULL;
}

mu_err mu_cfg_copy(const mu_cfg *cfg, mu_cfg **out)
{
    mu_cfg *root, *copy;
    MU_TRY(copy_node(cfg, &root));
    copy = root;
    const mu_cfg *before = cfg;
    for (const mu_cfg *from = next_in_preorder(cfg, cfg); from; from = next_in_preorder(cfg, from)) {
        /* `copy` is the copy of `before`; climb from it to the copy of from's parent. */
        for (; before != from->parent; before = before->parent)
            copy = copy->parent;
        mu_cfg *child = NULL;
        mu_err err = copy_node(from, &child);
        if (err == MU_OK)
            err = add_child(copy, from->key, from->key_file, from->key_line, from->key_column, child);
        if (err != MU_OK) {
            mu_cfg_release(root);
            return mu_error_trace(err, __FILE__, __LINE__, __func__);
        }
        copy = child;
        before = from;
    }
    *out = root;
    return MU_OK;
}

mu_cfg_kind mu_cfg_kind_of(const mu_cfg *cfg)
{
    return cfg->kind;
}

const char *mu_cfg_kind_name(mu_cfg_kind kind)
{
    static const char *const names[] = {"null", "boolean", "integer", "float", "string", "list", "dictionary"};
    return (size_t)kind < sizeof names / sizeof *names ? names[kind] : "unknown";
}

mu_pos mu_cfg_pos(const mu_cfg *cfg)
{
    return (mu_pos){.file = cfg->file ? cfg->file->text : "<value>", .line = cfg->line, .column = cfg->column};
}

mu_pos mu_cfg_key_pos(const mu_cfg *cfg)
{
    if (!cfg->key)
        return mu_cfg_pos(cfg);
    return (mu_pos){.file = cfg->key_file ? cfg->key_file->text : "<value>", .line = cfg->key_line, .column = cfg->key_column};
}

bool mu_cfg_bool(const mu_cfg *cfg)
{
    assert(cfg->kind == MU_CFG_BOOL);
    return cfg->boolean;
}

int64_t mu_cfg_int(const mu_cfg *cfg)
{
    assert(cfg->kind == MU_CFG_INT);
    return cfg->integer;
}

double mu_cfg_float(const mu_cfg *cfg)
{
    assert(cfg->kind == MU_CFG_FLOAT || cfg->kind == MU_CFG_INT);
    return cfg->kind == MU_CFG_INT ? (double)cfg->integer : cfg->real;
}

void mu_cfg_put_int(mu_cfg *cfg, int64_t x)
{
    assert(cfg->kind == MU_CFG_INT);
    cfg->integer = x;
}

void mu_cfg_put_float(mu_cfg *cfg, double x)
{
    assert(cfg->kind == MU_CFG_FLOAT);
    cfg->real = x;
}

const char *mu_cfg_string(const mu_cfg *cfg)
{
    assert(cfg->kind == MU_CFG_STRING);
    return cfg->text;
}

size_t mu_cfg_string_length(const mu_cfg *cfg)
{
    assert(cfg->kind == MU_CFG_STRING);
    return cfg->length;
}

size_t mu_cfg_size(const mu_cfg *cfg)
{
    assert(is_container(cfg));
    return cfg->many.n;
}

mu_cfg *mu_cfg_at(const mu_cfg *cfg, size_t i)
{
    assert(is_container(cfg) && i < cfg->many.n);
    return cfg->many.child[i];
}

const char *mu_cfg_key_at(const mu_cfg *cfg, size_t i)
{
    assert(cfg->kind == MU_CFG_DICT && i < cfg->many.n);
    return cfg->many.child[i]->key;
}

static mu_cfg *get_n(const mu_cfg *cfg, const char *key, size_t length)
{
    if (cfg->kind != MU_CFG_DICT)
        return NULL;
    mu_cfg *found = NULL;
    if (cfg->many.index) {
        HASH_FIND(hh, cfg->many.index, key, length, found);
        return found;
    }
    for (size_t i = 0; i < cfg->many.n; i++)
        if (strncmp(cfg->many.child[i]->key, key, length) == 0 && cfg->many.child[i]->key[length] == '\0')
            return cfg->many.child[i];
    return NULL;
}

mu_cfg *mu_cfg_get(const mu_cfg *cfg, const char *key)
{
    return get_n(cfg, key, strlen(key));
}

/* The element of a list that digits name; NULL when they are none or out of range. */
static mu_cfg *element_n(const mu_cfg *list, const char *digits, size_t length)
{
    size_t i = 0;
    if (length == 0)
        return NULL;
    for (size_t k = 0; k < length; k++) {
        if (digits[k] < '0' || digits[k] > '9')
            return NULL;
        i = i * 10 + (size_t)(digits[k] - '0');
        if (i >= list->many.n)
            return NULL;
    }
    return list->many.child[i];
}

mu_cfg *mu_cfg_find(const mu_cfg *cfg, const char *path)
{
    const mu_cfg *at = cfg;
    for (;;) {
        size_t length = strcspn(path, ".");
        at = at->kind == MU_CFG_LIST ? element_n(at, path, length) : get_n(at, path, length);
        if (!at || path[length] == '\0')
            return (mu_cfg *)at;
        path += length + 1;
    }
}

static mu_err index_add(mu_cfg *dict, mu_cfg *child)
{
    bool index_failed = false;
    HASH_ADD_KEYPTR(hh, dict->many.index, child->key, strlen(child->key), child);
    return index_failed ? mu_error_trace(MU_ERR_MEMORY, __FILE__, __LINE__, __func__) : MU_OK;
}

/* Files the newest child of a dict, and all the others when it makes the dict large. */
static mu_err index_newest(mu_cfg *dict)
{
    size_t n = dict->many.n;
    if (dict->many.index) {
        MU_TRY(index_add(dict, dict->many.child[n - 1]));
        return MU_OK;
    }
    for (size_t i = 0; n >= INDEX_FROM && i < n; i++) {
        mu_err err = index_add(dict, dict->many.child[i]);
        if (err != MU_OK) {
            HASH_CLEAR(hh, dict->many.index);
            return err;
        }
    }
    return MU_OK;
}

/* Takes `child` over, also on failure. The key is new to the dict. */
static mu_err add_child(mu_cfg *parent, const char *key, file_name *key_file, int key_line, int key_column, mu_cfg *child)
{
    mu_err err;
    if (key)
        MU_TRY_GOTO(err, mu_strdup(&child->key, key), fail);
    MU_TRY_GOTO(err, mu_grow(&parent->many.child, &parent->many.capacity, parent->many.n + 1, sizeof(mu_cfg *)), fail);
    parent->many.child[parent->many.n++] = child;
    if (key)
        MU_TRY_GOTO(err, index_newest(parent), fail_index);
    child->at = parent->many.n - 1;
    child->parent = parent;
    child->key_file = key ? file_name_retain(key_file) : NULL;
    child->key_line = key_line;
    child->key_column = key_column;
    return MU_OK;
fail_index:
    parent->many.n--;
fail:
    mu_cfg_release(child);
    return err;
}

/* A child with no file of its own, or the same one, shares the parent's. */
static void share_file(const mu_cfg *parent, mu_cfg *child)
{
    if (parent->file && (!child->file || strcmp(child->file->text, parent->file->text) == 0)) {
        file_name_release(child->file);
        child->file = file_name_retain(parent->file);
    }
}

mu_err mu_cfg_append(mu_cfg *list, mu_cfg *child)
{
    assert(list->kind == MU_CFG_LIST && !child->parent);
    share_file(list, child);
    MU_TRY(add_child(list, NULL, NULL, 0, 0, child));
    return MU_OK;
}

/* Puts `child` where `old` stands and frees `old`. */
static void take_place(mu_cfg *old, mu_cfg *child)
{
    child->parent = old->parent;
    child->at = old->at;
    old->parent->many.child[old->at] = child;
    old->parent = NULL;
    mu_cfg_release(old);
}

mu_err mu_cfg_set(mu_cfg *dict, const char *key, mu_pos key_pos, mu_cfg *child)
{
    assert(dict->kind == MU_CFG_DICT && !child->parent);
    file_name *key_file = NULL;
    mu_err err;
    MU_TRY_GOTO(err, check_text(key, strlen(key)), fail);
    share_file(dict, child);
    if (!key_pos.file)
        key_file = file_name_retain(dict->file);
    else
        MU_TRY_GOTO(err, file_name_for(key_pos.file, child->file, &key_file), fail);
    mu_cfg *old = mu_cfg_get(dict, key);
    if (!old) {
        err = add_child(dict, key, key_file, key_pos.line, key_pos.column, child);
        file_name_release(key_file);
        return err == MU_OK ? err : mu_error_trace(err, __FILE__, __LINE__, __func__);
    }
    MU_TRY_GOTO(err, mu_strdup(&child->key, key), fail);
    if (dict->many.index) {
        MU_TRY_GOTO(err, index_add(dict, child), fail);
        HASH_DEL(dict->many.index, old);
    }
    child->key_file = key_file;
    child->key_line = key_pos.line;
    child->key_column = key_pos.column;
    take_place(old, child);
    return MU_OK;
fail:
    file_name_release(key_file);
    mu_cfg_release(child);
    return err;
}

mu_err mu_cfg_set_at(mu_cfg *list, size_t i, mu_cfg *child)
{
    assert(list->kind == MU_CFG_LIST && !child->parent);
    if (i >= list->many.n) {
        mu_cfg_release(child);
        return MU_FAIL(MU_ERR_NOT_FOUND, "index %zu is beyond a list of %zu items", i, list->many.n);
    }
    share_file(list, child);
    take_place(list->many.child[i], child);
    return MU_OK;
}

bool mu_cfg_remove(mu_cfg *dict, const char *key)
{
    mu_cfg *old = mu_cfg_get(dict, key);
    if (!old)
        return false;
    if (dict->many.index)
        HASH_DEL(dict->many.index, old);
    dict->many.n--;
    for (size_t i = old->at; i < dict->many.n; i++) {
        dict->many.child[i] = dict->many.child[i + 1];
        dict->many.child[i]->at = i;
    }
    old->parent = NULL;
    mu_cfg_release(old);
    return true;
}

mu_cfg_extent mu_cfg_measure(const mu_cfg *cfg)
{
    mu_cfg_extent extent = {0};
    size_t depth = 0;
    const mu_cfg *before = cfg;
    for (const mu_cfg *at = cfg; at; at = next_in_preorder(cfg, at)) {
        if (at != cfg) {
            for (; before != at->parent; before = before->parent)
                depth--;
            depth++;
        }
        before = at;
        extent.values++;
        extent.bytes += (at->kind == MU_CFG_STRING ? at->length : 0) + (at->key && at != cfg ? strlen(at->key) : 0);
        size_t here = depth + is_container(at);
        extent.depth = here > extent.depth ? here : extent.depth;
    }
    return extent;
}

/* Without looking at children, but at their number. */
static bool same_node(const mu_cfg *a, const mu_cfg *b)
{
    if (a->kind != b->kind)
        return false;
    switch (a->kind) {
    case MU_CFG_NULL: return true;
    case MU_CFG_BOOL: return a->boolean == b->boolean;
    case MU_CFG_INT: return a->integer == b->integer;
    case MU_CFG_FLOAT:
        return isnan(a->real) ? isnan(b->real) : a->real == b->real && signbit(a->real) == signbit(b->real);
    case MU_CFG_STRING: return a->length == b->length && memcmp(a->text, b->text, a->length) == 0;
    case MU_CFG_LIST:
    case MU_CFG_DICT: break;
    }
    return a->many.n == b->many.n;
}

bool mu_cfg_equal(const mu_cfg *a, const mu_cfg *b)
{
    const mu_cfg *root = a, *before = a;
    if (!same_node(a, b))
        return false;
    for (a = next_in_preorder(root, a); a; a = next_in_preorder(root, a)) {
        /* `b` is the partner of `before`; climb from it to the partner of a's parent. */
        for (; before != a->parent; before = before->parent)
            b = b->parent;
        b = a->key ? mu_cfg_get(b, a->key) : b->many.child[a->at];
        if (!b || !same_node(a, b))
            return false;
        before = a;
    }
    return true;
}
