#include "runner/mistake.h"

#include "core/mem.h"

#include <stdio.h>
#include <string.h>

enum { MAX_PATH_TEXT = 256, MAX_FILE_TEXT = 1024 };

/* What precedes a message: 'PATH "TYPE" (FILE:LINE:COLUMN): ' of a component, "FILE:LINE:COLUMN: " of a value, one inside the other. */
typedef struct {
    const char *text;         /* behind all of it */
    char path[MAX_PATH_TEXT]; /* of the innermost component; empty: none was told */
    char file[MAX_FILE_TEXT];
    int line, column; /* 0: no place was told */
} place;

static const char *digits_before(const char *begin, const char *end)
{
    while (end > begin && end[-1] >= '0' && end[-1] <= '9')
        end--;
    return end;
}

/* Does ":LINE:COLUMN" or ":LINE:COLUMN)" end here? Then *colon is where it begins. */
static bool ends_place(const char *begin, const char *end, bool *closed, const char **colon)
{
    *closed = end > begin && end[-1] == ')';
    end -= *closed;
    const char *column = digits_before(begin, end);
    if (column == end || column == begin || column[-1] != ':')
        return false;
    const char *line = digits_before(begin, column - 1);
    *colon = line - 1;
    return line < column - 1 && line > begin + 1 && line[-1] == ':';
}

/* A component's path stands before ' "TYPE" (FILE'. */
static void take_path(const char *begin, const char *bracket, place *out)
{
    const char *quote = bracket;
    for (int quotes = 0; quote > begin && quotes < 2;)
        quotes += *--quote == '"';
    if (quote > begin + 1 && quote[-1] == ' ')
        snprintf(out->path, sizeof out->path, "%.*s", (int)(quote - 1 - begin), begin);
}

static void find_place(const char *message, place *out)
{
    *out = (place){.text = message};
    for (const char *at = message, *end; (end = strstr(at, ": ")) != NULL; at = end + 2) {
        const char *colon, *file = at;
        bool closed;
        if (!ends_place(at, end, &closed, &colon))
            continue;
        if (closed) {
            for (file = colon; file > at && file[-1] != '(';)
                file--;
            take_path(out->text, file - 1, out);
        }
        snprintf(out->file, sizeof out->file, "%.*s", (int)(colon - file), file);
        sscanf(colon, ":%d:%d", &out->line, &out->column);
        out->text = end + 2;
    }
}

static mu_err format(const place *p, size_t length, char **out)
{
    const char *hint = mu_error_last()->hint;
    return mu_asprintf(out, "%.*s%s%s", (int)length, p->text, hint[0] ? "; " : "", hint);
}

bool mu_mistake_is_one(mu_err err)
{
    return err == MU_ERR_IO || err == MU_ERR_FORMAT || err == MU_ERR_CONFIG || err == MU_ERR_NOT_FOUND || err == MU_ERR_SHAPE ||
           err == MU_ERR_UNSUPPORTED || err == MU_ERR_OVERFLOW;
}

mu_err mu_mistake_text(char **out)
{
    place p;
    find_place(mu_error_last()->message, &p);
    return format(&p, strlen(p.text), out);
}

/* "val_cfg: val_cfg.type: ..." is about val_cfg.type. */
static void lengthen_path(place *p)
{
    size_t n = strlen(p->path), more = strcspn(p->text, ": ");
    if (n == 0 || strncmp(p->text, p->path, n) != 0 || p->text[n] != '.' || strncmp(p->text + more, ": ", 2) != 0 ||
        more >= sizeof p->path)
        return;
    memcpy(p->path, p->text, more);
    p->path[more] = '\0';
    p->text += more + 2;
}

static mu_err add(mu_diagnostics *list, const mu_cfg *at, const char *path, const char *message, size_t length)
{
    place p;
    char *text;
    find_place(message, &p);
    mu_pos pos = mu_cfg_pos(at);
    if (p.line)
        pos = (mu_pos){.file = p.file, .line = p.line, .column = p.column};
    if (!p.path[0])
        snprintf(p.path, sizeof p.path, "%s", path);
    lengthen_path(&p);
    MU_TRY(format(&p, length - (size_t)(p.text - message), &text));
    mu_err err = mu_diagnostics_add(list, pos, p.path, NULL, text, NULL);
    mu_free(text);
    return err;
}

/* A component that looks at a table of its own has found several: a line each behind the first. */
mu_err mu_mistake_add(mu_diagnostics *list, const mu_cfg *at, const char *path)
{
    const char *message = mu_error_last()->message, *line = strchr(message, '\n');
    char one[MU_ERROR_TEXT];
    if (!line)
        return add(list, at, path, message, strlen(message));
    for (const char *end; line; line = end) {
        line += strspn(line, "\n ");
        end = strchr(line, '\n');
        int length = end ? (int)(end - line) : (int)strlen(line);
        snprintf(one, sizeof one, "%.*s", length, line);
        MU_TRY(add(list, at, path, one, (size_t)length));
    }
    return MU_OK;
}
