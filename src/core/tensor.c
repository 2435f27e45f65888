#include "core/tensor.h"

#include <stdio.h>

static int find(const mu_tensors *list, const char *name)
{
    for (int i = 0; i < list->n; i++)
        if (strcmp(list->item[i].name, name) == 0)
            return i;
    return -1;
}

const mu_tensor *mu_tensors_find(const mu_tensors *list, const char *name)
{
    int i = find(list, name);
    return i < 0 ? NULL : &list->item[i];
}

mu_err mu_tensors_put(mu_tensors *list, const char *name, mu_type type, void *data)
{
    int i = find(list, name);
    if (i < 0 && list->n == MU_MAX_TENSORS)
        return MU_FAIL(MU_ERR_OVERFLOW, "'%s' would be tensor number %d; %d is the limit", name, list->n + 1, MU_MAX_TENSORS);
    if (i < 0)
        i = list->n++;
    list->item[i] = (mu_tensor){.name = name, .type = type, .data = data};
    return MU_OK;
}

const char *mu_tensors_format(const mu_tensors *list, char *buf, size_t size)
{
    char type[MU_TYPE_TEXT];
    size_t at = 0;
    if (size)
        snprintf(buf, size, "nothing");
    for (int i = 0; i < list->n && at < size; i++)
        at += (size_t)snprintf(buf + at, size - at, "%s%s %s", i ? ", " : "", list->item[i].name,
                               mu_type_format(&list->item[i].type, type));
    return buf;
}
