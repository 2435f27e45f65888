#include "io/tensor_tree.h"

#include "io/tensor_format.h"

#include <stdio.h>
#include <string.h>

typedef struct {
    tensor_visit *visit;
    tensor_link *link;
    void *user;
    char path[TENSOR_MAX_PATH + 1]; /* of the group, "" for the root; then of the object in it */
    size_t length;
    int depth;
    int64_t count; /* objects met */
    mu_err err;    /* what ended the walk; HDF5 keeps no record of ours */
} walk;

static mu_err visit_object(walk *w, hid_t object);

static mu_err not_followed(const walk *w)
{
    return MU_FAIL(MU_ERR_FORMAT, "dataset %s: it is a link to another place, which is not followed", w->path);
}

static mu_err visit_external(walk *w, hid_t group, const char *name, const H5L_info_t *info)
{
    char value[2 * TENSOR_MAX_PATH];
    const char *file, *object;
    unsigned flags;
    if (info->type != H5L_TYPE_EXTERNAL || !w->link || info->u.val_size > sizeof value)
        return not_followed(w);
    MU_TRY_H5(H5Lget_val(group, name, value, sizeof value, H5P_DEFAULT));
    MU_TRY_H5(H5Lunpack_elink_val(value, info->u.val_size, &flags, &file, &object));
    return strcmp(object, w->path) == 0 ? w->link(w->user, w->path, file) : not_followed(w);
}

static mu_err visit_name(walk *w, hid_t group, const char *name, const H5L_info_t *info)
{
    hid_t object;
    size_t length = w->length;
    if (length + 1 + strlen(name) > TENSOR_MAX_PATH)
        return MU_FAIL(MU_ERR_FORMAT, "the names of its groups are too long");
    w->length += (size_t)snprintf(w->path + length, sizeof w->path - length, "/%s", name);
    mu_err err;
    if (++w->count > TENSOR_MAX_COUNT)
        err = MU_FAIL(MU_ERR_FORMAT, "it holds more than %d objects", TENSOR_MAX_COUNT);
    else if (info->type != H5L_TYPE_HARD)
        err = visit_external(w, group, name, info);
    else if ((err = MU_H5(object = H5Oopen(group, name, H5P_DEFAULT))) == MU_OK) {
        err = visit_object(w, object);
        mu_h5_close(object);
    }
    w->length = length;
    w->path[length] = '\0';
    return err;
}

static herr_t visit_link(hid_t group, const char *name, const H5L_info_t *info, void *user)
{
    walk *w = user;
    w->err = visit_name(w, group, name, info);
    return w->err ? -1 : 0;
}

/* In no order: for another one HDF5 1.10 first makes a table, and crashes when a damaged group ends before its table does. */
static mu_err visit_group(walk *w, hid_t group)
{
    if (++w->depth > TENSOR_MAX_DEPTH + 1)
        return MU_FAIL(MU_ERR_FORMAT, "%s: groups are nested too deeply", w->path);
    hsize_t at = 0;
    w->err = MU_OK;
    mu_h5_printer printer = mu_h5_silence();
    herr_t status = H5Literate(group, H5_INDEX_NAME, H5_ITER_NATIVE, &at, visit_link, w);
    mu_h5_restore(printer);
    w->depth--;
    if (w->err)
        return w->err;
    return status < 0 ? MU_FAIL(MU_ERR_FORMAT, "group %s/ cannot be read", w->path) : MU_OK;
}

static mu_err visit_object(walk *w, hid_t object)
{
    switch (H5Iget_type(object)) {
    case H5I_GROUP: return visit_group(w, object);
    case H5I_DATASET: return w->visit(w->user, w->path, object);
    default: return MU_OK;
    }
}

mu_err tensor_tree_walk(hid_t file, tensor_visit *visit, tensor_link *link, void *user)
{
    hid_t root;
    walk w = {.visit = visit, .link = link, .user = user};
    MU_TRY_H5(root = H5Gopen2(file, "/", H5P_DEFAULT));
    mu_err err = visit_group(&w, root);
    mu_h5_close(root);
    return err;
}
