#include "config/diagnostic.h"

#include "config/scalar.h"
#include "core/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void diagnostic_release(mu_diagnostic *d)
{
    mu_free((char *)d->pos.file);
    mu_free(d->path);
    mu_free(d->expected);
    mu_free(d->found);
    mu_free(d->nearest);
}

mu_err mu_diagnostics_add(mu_diagnostics *list, mu_pos pos, const char *path, const char *expected, const char *found,
                          const char *nearest)
{
    mu_diagnostic d = {.pos = {.line = pos.line, .column = pos.column}};
    char *file = NULL;
    mu_err err;
    MU_TRY_GOTO(err, mu_grow(&list->item, &list->capacity, list->n + 1, sizeof *list->item), fail);
    MU_TRY_GOTO(err, mu_strdup(&file, pos.file ? pos.file : "<value>"), fail);
    d.pos.file = file;
    MU_TRY_GOTO(err, mu_strdup(&d.path, path), fail);
    if (expected)
        MU_TRY_GOTO(err, mu_strdup(&d.expected, expected), fail);
    MU_TRY_GOTO(err, mu_strdup(&d.found, found), fail);
    if (nearest)
        MU_TRY_GOTO(err, mu_strdup(&d.nearest, nearest), fail);
    list->item[list->n++] = d;
    return MU_OK;
fail:
    diagnostic_release(&d);
    return err;
}

void mu_diagnostics_release(mu_diagnostics *list)
{
    for (size_t i = 0; i < list->n; i++)
        diagnostic_release(&list->item[i]);
    mu_free(list->item);
    *list = (mu_diagnostics){0};
}

static int compare(const void *pa, const void *pb)
{
    const mu_diagnostic *a = pa, *b = pb;
    int c = strcmp(a->pos.file, b->pos.file);
    if (c == 0)
        c = (a->pos.line > b->pos.line) - (a->pos.line < b->pos.line);
    if (c == 0)
        c = (a->pos.column > b->pos.column) - (a->pos.column < b->pos.column);
    return c != 0 ? c : strcmp(a->path, b->path);
}

void mu_diagnostics_sort(mu_diagnostics *list)
{
    if (list->n > 1)
        qsort(list->item, list->n, sizeof *list->item, compare);
}

size_t mu_diagnostic_format(const mu_diagnostic *d, char *buf, size_t size)
{
    int n = snprintf(buf, size, "%s:%d:%d: %s%s%s%s%s%s%s%s%s", d->pos.file, d->pos.line, d->pos.column, d->path,
                     d->path[0] ? ": " : "", d->expected ? "expected " : "", d->expected ? d->expected : "",
                     d->expected ? ", found " : "", d->found, d->nearest ? "; did you mean '" : "",
                     d->nearest ? d->nearest : "", d->nearest ? "'?" : "");
    return n > 0 ? (size_t)n : 0;
}

mu_err mu_diagnostics_status(const mu_diagnostics *list)
{
    if (list->n == 0)
        return MU_OK;
    char text[MU_ERROR_TEXT], line[512];
    size_t length = 0, i;
    text[0] = '\0';
    for (i = 0; i < list->n; i++) {
        size_t n = mu_diagnostic_format(&list->item[i], line, sizeof line);
        n = n < sizeof line ? n : sizeof line - 1;
        if (length + n + 64 > sizeof text) /* 64: the lines before and after */
            break;
        length += (size_t)snprintf(text + length, sizeof text - length, "\n  %s", line);
    }
    if (i < list->n)
        snprintf(text + length, sizeof text - length, "\n  and %zu more", list->n - i);
    return MU_FAIL(MU_ERR_CONFIG, "%zu %s in the configuration:%s", list->n, list->n == 1 ? "mistake" : "mistakes", text);
}

void mu_cfg_describe(const mu_cfg *cfg, char *buf, size_t size)
{
    size_t n;
    char text[MU_CLIP_TEXT];
    switch (mu_cfg_kind_of(cfg)) {
    case MU_CFG_NULL: snprintf(buf, size, "null"); break;
    case MU_CFG_BOOL: snprintf(buf, size, "boolean %s", mu_cfg_bool(cfg) ? "true" : "false"); break;
    case MU_CFG_INT: snprintf(buf, size, "integer %" PRId64, mu_cfg_int(cfg)); break;
    case MU_CFG_FLOAT: snprintf(buf, size, "float %s", mu_float_format(mu_cfg_float(cfg), text)); break;
    case MU_CFG_STRING:
        snprintf(buf, size, "string '%s'", mu_text_clip(mu_cfg_string(cfg), mu_cfg_string_length(cfg), text));
        break;
    case MU_CFG_LIST:
        n = mu_cfg_size(cfg);
        snprintf(buf, size, n ? "list of %zu item%s" : "empty list", n, n == 1 ? "" : "s");
        break;
    case MU_CFG_DICT:
        n = mu_cfg_size(cfg);
        snprintf(buf, size, n ? "dictionary with %zu key%s" : "empty dictionary", n, n == 1 ? "" : "s");
        break;
    }
}
