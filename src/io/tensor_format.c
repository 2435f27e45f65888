#include "io/tensor_format.h"

#include "core/mem.h"

#include <stdio.h>
#include <string.h>

void tensor_checksum_format(XXH64_hash_t hash, char text[TENSOR_CHECKSUM_TEXT])
{
    snprintf(text, TENSOR_CHECKSUM_TEXT, "%016llx", (unsigned long long)hash);
}

mu_err tensor_path_check(const char *path)
{
    size_t length = strlen(path);
    if (path[0] != '/' || length > TENSOR_MAX_PATH)
        return MU_FAIL(MU_ERR_USAGE, "'%.80s' cannot be a path: it begins with '/' and has at most %d bytes", path,
                       TENSOR_MAX_PATH);
    int depth = 0;
    for (const char *part = path; *part; depth++) {
        size_t n = strcspn(++part, "/");
        if (n == strspn(part, ".") || depth > TENSOR_MAX_DEPTH)
            return MU_FAIL(MU_ERR_USAGE, "'%s' cannot be a path: a part is empty or made of dots, or there are more than %d",
                           path, TENSOR_MAX_DEPTH + 1);
        part += n;
    }
    return MU_OK;
}

void tensor_index_release(tensor_index *index)
{
    mu_free(index->sorted);
    index->sorted = NULL;
    index->n = index->capacity = 0;
}

static const char *path_at(const tensor_index *index, size_t place)
{
    return index->path(index->user, index->sorted[place]);
}

/* The first place whose path is not below this one. */
static size_t place_of(const tensor_index *index, const char *path)
{
    size_t low = 0, high = index->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(path_at(index, middle), path) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int tensor_index_find(const tensor_index *index, const char *path)
{
    size_t place = place_of(index, path);
    return place < index->n && strcmp(path_at(index, place), path) == 0 ? index->sorted[place] : -1;
}

static mu_err check_groups(const tensor_index *index, const char *path)
{
    char prefix[TENSOR_MAX_PATH + 2];
    size_t length = strlen(path);
    memcpy(prefix, path, length + 1);
    for (char *slash = strrchr(prefix, '/'); slash > prefix; slash = strrchr(prefix, '/')) {
        *slash = '\0';
        if (tensor_index_find(index, prefix) >= 0)
            return MU_FAIL(MU_ERR_USAGE, "'%s' cannot be: '%s' is a dataset", path, prefix);
    }
    snprintf(prefix, sizeof prefix, "%s/", path);
    size_t place = place_of(index, prefix);
    if (place < index->n && strncmp(path_at(index, place), prefix, length + 1) == 0)
        return MU_FAIL(MU_ERR_USAGE, "'%s' cannot be a dataset: '%s' is below it", path, path_at(index, place));
    return MU_OK;
}

mu_err tensor_index_add(tensor_index *index, int i)
{
    const char *path = index->path(index->user, i);
    if (tensor_index_find(index, path) >= 0)
        return MU_FAIL(MU_ERR_USAGE, "the path '%s' is given twice", path);
    MU_TRY(check_groups(index, path));
    MU_TRY(mu_grow(&index->sorted, &index->capacity, index->n + 1, sizeof *index->sorted));
    size_t place = place_of(index, path);
    memmove(index->sorted + place + 1, index->sorted + place, (index->n - place) * sizeof *index->sorted);
    index->sorted[place] = i;
    index->n++;
    return MU_OK;
}
