#include "backend/choices.h"
#include "core/cache.h"
#include "core/log.h"
#include "core/mem.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    char *key, *choice;
    double seconds;
} choice;

struct mu_choices {
    choice *list;
    size_t n, capacity;
    const char *header;
    char *path; /* NULL: not kept on disk */
};

static choice *find(const mu_choices *self, const char *key)
{
    for (size_t i = 0; i < self->n; i++)
        if (strcmp(self->list[i].key, key) == 0)
            return &self->list[i];
    return NULL;
}

static mu_err add(mu_choices *self, const char *key, const char *name, double seconds)
{
    choice c = {.seconds = seconds};
    mu_err err;
    MU_TRY(mu_grow(&self->list, &self->capacity, self->n + 1, sizeof *self->list));
    MU_TRY_GOTO(err, mu_strdup(&c.key, key), fail);
    MU_TRY_GOTO(err, mu_strdup(&c.choice, name), fail);
    self->list[self->n++] = c;
    return MU_OK;
fail:
    mu_free(c.key);
    return err;
}

static void forget(mu_choices *self, size_t from)
{
    while (self->n > from) {
        self->n--;
        mu_free(self->list[self->n].key);
        mu_free(self->list[self->n].choice);
    }
}

/* One line without its newline; false when it is malformed. */
static bool parse(char *line, char **key, char **name, double *seconds)
{
    char *tab = strchr(line, '\t'), *second = tab ? strchr(tab + 1, '\t') : NULL, *end;
    if (!second || tab == line || second == tab + 1)
        return false;
    *tab = *second = '\0';
    *key = line;
    *name = tab + 1;
    *seconds = strtod(second + 1, &end) * 1e-3;
    return end != second + 1 && *end == '\0' && *seconds >= 0;
}

/* Adds what the file has and this process has not. A bad file adds nothing. */
static mu_err load(mu_choices *self, bool warn)
{
    FILE *file = self->path ? fopen(self->path, "re") : NULL;
    if (!file)
        return MU_OK;
    char line[1024];
    size_t before = self->n;
    bool good = fgets(line, sizeof line, file) && strcmp(strtok(line, "\n") ? line : "", self->header) == 0;
    mu_err err = MU_OK;
    while (good && err == MU_OK && fgets(line, sizeof line, file)) {
        char *end = strchr(line, '\n'), *key, *name;
        double seconds;
        if (end)
            *end = '\0';
        good = end && parse(line, &key, &name, &seconds);
        if (good && !find(self, key))
            err = add(self, key, name, seconds);
    }
    fclose(file);
    if (err != MU_OK || !good)
        forget(self, before);
    if (err == MU_OK && !good && warn)
        MU_WARN("choices", "%s is not a cache of measured choices; it is ignored and will be replaced", self->path);
    return err;
}

static bool write_all(const mu_choices *self, const char *path)
{
    FILE *file = fopen(path, "we");
    if (!file)
        return false;
    fprintf(file, "%s\n", self->header);
    for (size_t i = 0; i < self->n; i++)
        fprintf(file, "%s\t%s\t%.4f\n", self->list[i].key, self->list[i].choice, self->list[i].seconds * 1e3);
    bool good = !ferror(file);
    return fclose(file) == 0 && good;
}

static mu_err save(mu_choices *self)
{
    if (!self->path)
        return MU_OK;
    MU_TRY(load(self, false));
    mu_cache_make_folders(self->path);
    char *temporary;
    MU_TRY(mu_asprintf(&temporary, "%s.%ld", self->path, (long)getpid()));
    if (!write_all(self, temporary) || rename(temporary, self->path) != 0) {
        MU_DEBUG("choices", "measured choices are not kept: %s: %s", self->path, strerror(errno));
        (void)unlink(temporary);
    }
    mu_free(temporary);
    return MU_OK;
}

mu_err mu_choices_open(const char *cache_dir, const char *name, const char *header, mu_choices **out)
{
    mu_choices *self;
    MU_TRY(mu_calloc(&self, 1, sizeof *self));
    self->header = header;
    mu_err err;
    MU_TRY_GOTO(err, mu_cache_path(cache_dir, name, &self->path), fail);
    MU_TRY_GOTO(err, load(self, true), fail);
    *out = self;
    return MU_OK;
fail:
    mu_choices_close(self);
    return err;
}

void mu_choices_close(mu_choices *self)
{
    if (!self)
        return;
    forget(self, 0);
    mu_free(self->list);
    mu_free(self->path);
    mu_free(self);
}

mu_err mu_choices_get(mu_choices *self, const char *key, const char **out)
{
    const choice *c = find(self, key);
    if (!c) {
        MU_TRY(load(self, false));
        c = find(self, key);
    }
    *out = c ? c->choice : NULL;
    return MU_OK;
}

mu_err mu_choices_put(mu_choices *self, const char *key, const char *name, double seconds)
{
    choice *old = find(self, key);
    if (old) {
        char *copy;
        MU_TRY(mu_strdup(&copy, name));
        mu_free(old->choice);
        old->choice = copy;
        old->seconds = seconds;
    } else {
        MU_TRY(add(self, key, name, seconds));
    }
    MU_TRY(save(self));
    return MU_OK;
}

const char *mu_choices_path(const mu_choices *self)
{
    return self->path;
}
