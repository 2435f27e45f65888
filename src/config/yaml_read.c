/* YAML by libyaml's events, with the scalars of the core schema of YAML 1.2. */
#include "config/reader.h"

#include "config/literal.h"
#include "config/scalar.h"
#include "core/mem.h"

#include <string.h>
#include <yaml.h>

#define TAG_PREFIX "tag:yaml.org,2002:"

/* What libyaml does not keep of an open list or dict. */
typedef struct {
    bool has_key;       /* of a dict: the next event is a value */
    bool key_is_merge;  /* and that key is << */
    const mu_cfg *merge; /* what << gave */
    mu_pos merge_pos;
} level;

typedef struct {
    mu_builder builder;
    yaml_parser_t parser;
    const char *text;
    size_t length;
    level level[MU_CONFIG_MAX_DEPTH];
    mu_cfg *merged;    /* values of merge keys, kept for their anchors; owned */
    mu_cfg *anchors;   /* name: index into anchored; owned */
    mu_cfg **anchored; /* borrowed nodes */
    size_t n_anchored, anchored_capacity;
} reader;

static mu_pos pos_of(const reader *r, yaml_mark_t mark)
{
    return (mu_pos){.file = r->builder.file, .line = (int)mark.line + 1, .column = (int)mark.column + 1};
}

static level *innermost(reader *r)
{
    return r->builder.depth ? &r->level[r->builder.depth - 1] : NULL;
}

static bool in_dict(const reader *r)
{
    const mu_cfg *inside = mu_builder_inside(&r->builder);
    return inside && mu_cfg_kind_of(inside) == MU_CFG_DICT;
}

/* Whether a tab stands before the column, or at it. */
static bool tab_before(const reader *r, yaml_mark_t mark)
{
    size_t line = 0, i = 0;
    for (; i < r->length && line < mark.line; i++)
        line += r->text[i] == '\n';
    for (size_t column = 0; i < r->length && column <= mark.column && r->text[i] != '\n'; i++, column++)
        if (r->text[i] == '\t')
            return true;
    return false;
}

static mu_err fail_parser(reader *r)
{
    const yaml_parser_t *p = &r->parser;
    const char *problem = p->problem ? p->problem : "broken YAML";
    if (p->error == YAML_MEMORY_ERROR)
        return MU_FAIL(MU_ERR_MEMORY, "out of memory in libyaml");
    if (p->error == YAML_READER_ERROR) {
        mu_pos pos = mu_reader_pos(r->text, r->length, r->builder.file, p->problem_offset);
        return MU_FAIL_AT(pos, "%s: U+%04X", problem, (unsigned)p->problem_value);
    }
    mu_pos pos = pos_of(r, p->problem_mark);
    if (p->context)
        MU_FAIL_AT(pos, "%s, %s at line %d, column %d", problem, p->context, (int)p->context_mark.line + 1,
                   (int)p->context_mark.column + 1);
    else
        MU_FAIL_AT(pos, "%s", problem);
    if (tab_before(r, p->problem_mark))
        mu_error_hint("YAML is indented with spaces; there is a tab before the place");
    return MU_ERR_CONFIG;
}

static mu_err add_anchor(reader *r, const yaml_char_t *name, mu_cfg *node)
{
    if (!name)
        return MU_OK;
    mu_cfg *index;
    MU_TRY(mu_grow(&r->anchored, &r->anchored_capacity, r->n_anchored + 1, sizeof(mu_cfg *)));
    MU_TRY(mu_cfg_new_int((int64_t)r->n_anchored, (mu_pos){0}, &index));
    MU_TRY(mu_cfg_set(r->anchors, (const char *)name, (mu_pos){0}, index));
    r->anchored[r->n_anchored++] = node;
    return MU_OK;
}

/* Puts a value where the reader stands: the root, a list, under a key, or aside when the key is <<. Takes it over, also on failure. */
static mu_err place(reader *r, mu_cfg *value)
{
    level *at = innermost(r);
    if (!at || !at->has_key) {
        MU_TRY(mu_builder_add(&r->builder, value));
        return MU_OK;
    }
    at->has_key = false;
    if (!at->key_is_merge) {
        MU_TRY(mu_builder_add(&r->builder, value));
        return MU_OK;
    }
    at->merge = value;
    MU_TRY(mu_cfg_append(r->merged, value));
    return MU_OK;
}

/* The kind that a tag demands; -1 without a tag, -2 for a foreign one. */
static int kind_of_tag(const yaml_char_t *tag)
{
    static const struct {
        const char *name;
        mu_cfg_kind kind;
    } known[] = {{"null", MU_CFG_NULL}, {"bool", MU_CFG_BOOL}, {"int", MU_CFG_INT}, {"float", MU_CFG_FLOAT},
                 {"str", MU_CFG_STRING}, {"seq", MU_CFG_LIST}, {"map", MU_CFG_DICT}};
    const char *text = (const char *)tag;
    if (!tag || strcmp(text, "!") == 0)
        return -1;
    if (strncmp(text, TAG_PREFIX, sizeof TAG_PREFIX - 1) == 0)
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            if (strcmp(text + sizeof TAG_PREFIX - 1, known[i].name) == 0)
                return (int)known[i].kind;
    return -2;
}

static mu_err fail_tag(mu_pos pos, const yaml_char_t *tag)
{
    const char *text = (const char *)tag;
    bool standard = strncmp(text, TAG_PREFIX, sizeof TAG_PREFIX - 1) == 0;
    MU_FAIL_AT(pos, "the tag %s%.80s is not supported", standard ? "!!" : "", standard ? text + sizeof TAG_PREFIX - 1 : text);
    return mu_error_hint("known are !!null, !!bool, !!int, !!float, !!str, !!seq and !!map");
}

/* The kind of a scalar, by its tag and style; checked. */
static mu_err resolve(const yaml_event_t *event, mu_pos pos, mu_scalar *out)
{
    const char *text = (const char *)event->data.scalar.value;
    size_t length = event->data.scalar.length;
    char clip[MU_CLIP_TEXT];
    int tag = kind_of_tag(event->data.scalar.tag);
    *out = (mu_scalar){.kind = MU_CFG_STRING};
    if (tag == -2)
        return fail_tag(pos, event->data.scalar.tag);
    if (tag == MU_CFG_STRING || (tag == -1 && event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE))
        return MU_OK;
    const char *complaint = mu_scalar_resolve(text, length, out);
    if (complaint) {
        MU_FAIL_AT(pos, "'%s' is %s", mu_text_clip(text, length, clip), complaint);
        return mu_error_hint("quote it if it is text");
    }
    if (tag == MU_CFG_FLOAT && out->kind == MU_CFG_INT)
        *out = (mu_scalar){.kind = MU_CFG_FLOAT, .real = (double)out->integer};
    if (tag >= 0 && tag != (int)out->kind)
        return MU_FAIL_AT(pos, "'%s' is no %s, as its tag says", mu_text_clip(text, length, clip),
                          mu_cfg_kind_name((mu_cfg_kind)tag));
    return MU_OK;
}

static mu_err read_key(reader *r, const yaml_event_t *event, mu_pos pos)
{
    const char *text = (const char *)event->data.scalar.value;
    size_t length = event->data.scalar.length;
    level *at = innermost(r);
    char clip[MU_CLIP_TEXT];
    if (event->data.scalar.anchor)
        return MU_FAIL_AT(pos, "a key cannot have an anchor");
    if (event->data.scalar.plain_implicit && length == 2 && memcmp(text, "<<", 2) == 0) {
        if (at->merge) {
            MU_FAIL_AT(pos, "duplicate key '<<': it stands at line %d, column %d already", at->merge_pos.line,
                       at->merge_pos.column);
            return mu_error_hint("merge several with a list: <<: [*a, *b]");
        }
        at->has_key = at->key_is_merge = true;
        at->merge_pos = pos;
        return MU_OK;
    }
    mu_scalar scalar;
    MU_TRY(resolve(event, pos, &scalar));
    if (scalar.kind != MU_CFG_STRING && scalar.kind != MU_CFG_INT) {
        MU_FAIL_AT(pos, "a key must be a string, '%s' is a %s", mu_text_clip(text, length, clip), mu_cfg_kind_name(scalar.kind));
        return mu_error_hint("quote it");
    }
    MU_TRY(mu_builder_key(&r->builder, text, length, pos));
    at->has_key = true;
    at->key_is_merge = false;
    return MU_OK;
}

static mu_err read_scalar(reader *r, const yaml_event_t *event)
{
    mu_pos pos = pos_of(r, event->start_mark);
    if (in_dict(r) && !innermost(r)->has_key) {
        MU_TRY(read_key(r, event, pos));
        return MU_OK;
    }
    const char *text = (const char *)event->data.scalar.value;
    size_t length = event->data.scalar.length;
    mu_scalar scalar;
    mu_cfg *value;
    MU_TRY(resolve(event, pos, &scalar));
    if (scalar.kind == MU_CFG_STRING)
        MU_TRY(mu_builder_string(&r->builder, text, length, event->data.scalar.plain_implicit, pos, &value));
    else
        MU_TRY(mu_scalar_new(&scalar, text, length, pos, &value));
    MU_TRY(place(r, value));
    MU_TRY(add_anchor(r, event->data.scalar.anchor, value));
    return MU_OK;
}

static mu_err read_alias(reader *r, const yaml_event_t *event)
{
    mu_pos pos = pos_of(r, event->start_mark);
    const char *name = (const char *)event->data.alias.anchor;
    if (in_dict(r) && !innermost(r)->has_key)
        return MU_FAIL_AT(pos, "the alias *%.80s cannot be a key", name);
    const mu_cfg *index = mu_cfg_get(r->anchors, name);
    if (!index) {
        MU_FAIL_AT(pos, "the alias *%.80s has no anchor before it", name);
        const char *nearest = mu_cfg_nearest_key(r->anchors, name);
        return nearest ? mu_error_hint("did you mean *%s?", nearest) : mu_error_last()->code;
    }
    const mu_cfg *target = r->anchored[mu_cfg_int(index)];
    for (size_t i = 0; i < r->builder.depth; i++)
        if (r->builder.open[i] == target)
            return MU_FAIL_AT(pos, "the alias *%.80s stands inside of what it refers to", name);
    level *at = innermost(r);
    if (at && at->has_key && at->key_is_merge) {
        at->merge = target;
        at->has_key = false;
        return MU_OK;
    }
    mu_cfg *value;
    MU_TRY(mu_budget_check(r->builder.budget, mu_cfg_measure(target), r->builder.depth, pos));
    MU_TRY(mu_cfg_copy(target, &value));
    MU_TRY(place(r, value));
    return MU_OK;
}

static mu_err begin(reader *r, mu_cfg_kind kind, const yaml_char_t *tag, const yaml_char_t *anchor, yaml_mark_t mark)
{
    mu_pos pos = pos_of(r, mark);
    if (in_dict(r) && !innermost(r)->has_key) {
        MU_FAIL_AT(pos, "a key must be a string, not a %s", mu_cfg_kind_name(kind));
        return mu_error_hint("text that begins with { or [ needs quotes");
    }
    int demanded = kind_of_tag(tag);
    if (demanded == -2)
        return fail_tag(pos, tag);
    if (demanded >= 0 && demanded != (int)kind)
        return MU_FAIL_AT(pos, "a %s is no %s, as its tag says", mu_cfg_kind_name(kind),
                          mu_cfg_kind_name((mu_cfg_kind)demanded));
    mu_cfg *container;
    if (kind == MU_CFG_LIST)
        MU_TRY(mu_cfg_new_list(pos, &container));
    else
        MU_TRY(mu_cfg_new_dict(pos, &container));
    MU_TRY(place(r, container));
    MU_TRY(mu_builder_enter(&r->builder, container));
    *innermost(r) = (level){0};
    MU_TRY(add_anchor(r, anchor, container));
    return MU_OK;
}

/* Adds what `source` has and `into` lacks. */
static mu_err merge_from(reader *r, mu_cfg *into, const mu_cfg *source, mu_pos pos)
{
    if (mu_cfg_kind_of(source) != MU_CFG_DICT) {
        char found[96];
        mu_cfg_describe(source, found, sizeof found);
        return MU_FAIL_AT(pos, "the merge key << takes a dictionary or a list of dictionaries, found %s", found);
    }
    for (size_t i = 0; i < mu_cfg_size(source); i++) {
        const mu_cfg *child = mu_cfg_at(source, i);
        const char *key = mu_cfg_key_at(source, i);
        if (mu_cfg_get(into, key))
            continue;
        mu_cfg *copy;
        mu_cfg_extent extent = mu_cfg_measure(child);
        extent.bytes += strlen(key);
        MU_TRY(mu_budget_spend(r->builder.budget, extent, r->builder.depth, pos));
        MU_TRY(mu_cfg_copy(child, &copy));
        MU_TRY(mu_cfg_set(into, key, mu_cfg_key_pos(child), copy));
    }
    return MU_OK;
}

static mu_err end(reader *r)
{
    level *at = innermost(r);
    mu_cfg *inside = mu_builder_inside(&r->builder);
    if (at->merge && mu_cfg_kind_of(at->merge) == MU_CFG_LIST) {
        for (size_t i = 0; i < mu_cfg_size(at->merge); i++)
            MU_TRY(merge_from(r, inside, mu_cfg_at(at->merge, i), at->merge_pos));
    } else if (at->merge) {
        MU_TRY(merge_from(r, inside, at->merge, at->merge_pos));
    }
    mu_builder_leave(&r->builder);
    return MU_OK;
}

static mu_err read_event(reader *r, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (r->builder.root) {
            MU_FAIL_AT(pos_of(r, event->start_mark), "a second document begins here");
            return mu_error_hint("a config is one document; take the '---' out");
        }
        return MU_OK;
    case YAML_ALIAS_EVENT: MU_TRY(read_alias(r, event)); break;
    case YAML_SCALAR_EVENT: MU_TRY(read_scalar(r, event)); break;
    case YAML_SEQUENCE_START_EVENT:
        MU_TRY(begin(r, MU_CFG_LIST, event->data.sequence_start.tag, event->data.sequence_start.anchor, event->start_mark));
        break;
    case YAML_MAPPING_START_EVENT:
        MU_TRY(begin(r, MU_CFG_DICT, event->data.mapping_start.tag, event->data.mapping_start.anchor, event->start_mark));
        break;
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT: MU_TRY(end(r)); break;
    default: break;
    }
    return MU_OK;
}

static mu_err read_all(reader *r)
{
    mu_pos start = {.file = r->builder.file, .line = 1, .column = 1};
    MU_TRY(mu_cfg_new_list(start, &r->merged));
    MU_TRY(mu_cfg_new_dict(start, &r->anchors));
    for (yaml_event_type_t type = YAML_NO_EVENT; type != YAML_STREAM_END_EVENT;) {
        yaml_event_t event;
        if (!yaml_parser_parse(&r->parser, &event))
            return fail_parser(r);
        type = event.type;
        mu_err err = read_event(r, &event);
        yaml_event_delete(&event);
        MU_TRY(err);
    }
    if (!r->builder.root)
        MU_TRY(mu_cfg_new_null(start, &r->builder.root));
    return MU_OK;
}

mu_err mu_yaml_read(const char *text, size_t length, const char *file, mu_budget *budget, mu_variables *variables, mu_cfg **out)
{
    MU_TRY(mu_reader_begin(&text, &length, file));
    reader *r;
    MU_TRY(mu_calloc(&r, 1, sizeof *r));
    r->builder = (mu_builder){.file = file, .budget = budget, .variables = variables};
    r->text = text;
    r->length = length;
    mu_err err;
    if (!yaml_parser_initialize(&r->parser)) {
        err = MU_FAIL(MU_ERR_MEMORY, "out of memory in libyaml");
    } else {
        yaml_parser_set_encoding(&r->parser, YAML_UTF8_ENCODING);
        yaml_parser_set_input_string(&r->parser, (const unsigned char *)text, length);
        err = read_all(r);
    }
    if (err == MU_OK) {
        *out = r->builder.root;
        r->builder.root = NULL;
    }
    yaml_parser_delete(&r->parser);
    mu_builder_release(&r->builder);
    mu_cfg_release(r->merged);
    mu_cfg_release(r->anchors);
    mu_free(r->anchored);
    mu_free(r);
    return err == MU_OK ? MU_OK : mu_error_trace(err, __FILE__, __LINE__, __func__);
}
