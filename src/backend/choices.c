#include "backend/choices.h"
#include "core/cache.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/uuid.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

typedef struct {
    char *key, *choice;
    double seconds;
} choice;

struct mu_choices {
    choice *list;
    size_t n, capacity;
    uint32_t *slot; /* open addressing by key: entry + 1, or 0 */
    size_t n_slots; /* a power of two, at least twice n */
    const char *header;
    char *path;       /* NULL: not kept on disk */
    struct stat read; /* the file whose lines are here */
};

/* Where the key is, or would be. There are slots. */
static uint32_t *slot_of(const mu_choices *self, const char *key)
{
    size_t at = XXH3_64bits(key, strlen(key)) & (self->n_slots - 1);
    while (self->slot[at] && strcmp(self->list[self->slot[at] - 1].key, key) != 0)
        at = (at + 1) & (self->n_slots - 1);
    return &self->slot[at];
}

static choice *find(const mu_choices *self, const char *key)
{
    uint32_t entry = self->n_slots ? *slot_of(self, key) : 0;
    return entry ? &self->list[entry - 1] : NULL;
}

static void index_all(mu_choices *self)
{
    memset(self->slot, 0, self->n_slots * sizeof *self->slot);
    for (size_t i = 0; i < self->n; i++)
        *slot_of(self, self->list[i].key) = (uint32_t)i + 1;
}

static mu_err make_room(mu_choices *self)
{
    MU_TRY(mu_grow(&self->list, &self->capacity, self->n + 1, sizeof *self->list));
    if (2 * (self->n + 1) <= self->n_slots)
        return MU_OK;
    uint32_t *slot;
    size_t n_slots = self->n_slots ? 2 * self->n_slots : 64;
    MU_TRY(mu_alloc(&slot, n_slots * sizeof *slot));
    mu_free(self->slot);
    self->slot = slot;
    self->n_slots = n_slots;
    index_all(self);
    return MU_OK;
}

static mu_err add(mu_choices *self, const char *key, const char *name, double seconds)
{
    choice c = {.seconds = seconds};
    mu_err err;
    MU_TRY(make_room(self));
    MU_TRY_GOTO(err, mu_strdup(&c.key, key), fail);
    MU_TRY_GOTO(err, mu_strdup(&c.choice, name), fail);
    *slot_of(self, key) = (uint32_t)self->n + 1;
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
    if (self->n_slots)
        index_all(self);
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

/* The one that was read last? It is replaced, never written into. */
static bool is_read(mu_choices *self, FILE *file)
{
    struct stat now, *had = &self->read;
    if (fstat(fileno(file), &now) != 0)
        return false;
    bool same = now.st_dev == had->st_dev && now.st_ino == had->st_ino && now.st_size == had->st_size &&
                now.st_mtim.tv_sec == had->st_mtim.tv_sec && now.st_mtim.tv_nsec == had->st_mtim.tv_nsec;
    *had = now;
    return same;
}

/* Adds what the file has and this process has not. A bad file adds nothing. */
static mu_err load(mu_choices *self, bool warn)
{
    FILE *file = self->path ? fopen(self->path, "re") : NULL;
    if (!file)
        return MU_OK;
    if (is_read(self, file)) {
        fclose(file);
        return MU_OK;
    }
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
    if (err != MU_OK || !good) {
        forget(self, before);
        self->read = (struct stat){0};
    }
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
    char *temporary, unique[MU_UUID_TEXT]; /* processes of several nodes may share the folder */
    MU_TRY(load(self, false));
    mu_cache_make_folders(self->path);
    MU_TRY(mu_uuid_make(unique));
    MU_TRY(mu_asprintf(&temporary, "%s.%.8s.tmp", self->path, unique));
    bool written = write_all(self, temporary);
    if (!written || stat(temporary, &self->read) != 0 || rename(temporary, self->path) != 0) {
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
    mu_free(self->slot);
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
