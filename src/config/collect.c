#include "config/collect.h"

#include "config/config.h"
#include "config/reader.h"
#include "core/mem.h"

#include <stdio.h>
#include <string.h>

/* A rank's tree in a list of one, so that any kind of value can stand at the top; YAML, for it has NaN and infinity. */
static mu_err write_tree(const mu_cfg *tree, char **out)
{
    mu_cfg *list = NULL, *copy = NULL;
    mu_err err;
    MU_TRY(mu_cfg_new_list((mu_pos){0}, &list));
    MU_TRY_GOTO(err, mu_cfg_copy(tree, &copy), done);
    MU_TRY_GOTO(err, mu_cfg_append(list, copy), done);
    MU_TRY_GOTO(err, mu_cfg_dump(list, "yaml", out), done);
done:
    mu_cfg_release(list);
    return err;
}

static mu_err read_tree(const char *text, int rank, mu_cfg **out)
{
    mu_cfg *list = NULL;
    mu_budget budget = MU_BUDGET;
    char name[32];
    snprintf(name, sizeof name, "<rank %d>", rank);
    MU_TRY(mu_yaml_read(text, strlen(text), name, &budget, NULL, &list));
    mu_err err = mu_cfg_copy(mu_cfg_at(list, 0), out);
    mu_cfg_release(list);
    MU_TRY(err);
    return MU_OK;
}

static mu_err read_trees(const mu_blobs *blobs, mu_cfg **out)
{
    mu_cfg *list = NULL, *tree;
    mu_err err;
    MU_TRY(mu_cfg_new_list((mu_pos){0}, &list));
    for (int r = 0; r < blobs->count; r++) {
        MU_TRY_GOTO(err, read_tree((const char *)blobs->data + blobs->offset[r], r, &tree), failed);
        MU_TRY_GOTO(err, mu_cfg_append(list, tree), failed);
    }
    *out = list;
    return MU_OK;
failed:
    mu_cfg_release(list);
    return err;
}

/* root < 0: to all. */
static mu_err gather(mu_comm *comm, const mu_cfg *mine, int root, mu_cfg **out)
{
    char *text = NULL;
    mu_blobs blobs = {0};
    mu_cfg *list = NULL;
    mu_err err;
    MU_TRY_GOTO(err, mu_comm_agree(comm, write_tree(mine, &text)), done);
    if (root < 0)
        MU_TRY_GOTO(err, mu_comm_all_gather_blobs(comm, text, strlen(text) + 1, &blobs), done);
    else
        MU_TRY_GOTO(err, mu_comm_gather_blobs(comm, text, strlen(text) + 1, root, &blobs), done);
    if (blobs.count > 0)
        err = read_trees(&blobs, &list);
    MU_TRY_GOTO(err, mu_comm_agree(comm, err), done);
    *out = list;
    list = NULL;
done:
    mu_cfg_release(list);
    mu_blobs_release(&blobs);
    mu_free(text);
    return err;
}

mu_err mu_comm_all_gather_object(mu_comm *comm, const mu_cfg *mine, mu_cfg **out)
{
    MU_TRY(gather(comm, mine, -1, out));
    return MU_OK;
}

mu_err mu_comm_gather_object(mu_comm *comm, const mu_cfg *mine, int root, mu_cfg **out)
{
    if (root < 0 || root >= comm->size)
        return MU_FAIL(MU_ERR_USAGE, "gather_object: root %d is not a rank: expected 0 to %d", root, comm->size - 1);
    MU_TRY(gather(comm, mine, root, out));
    return MU_OK;
}

mu_err mu_comm_broadcast_object(mu_comm *comm, mu_cfg **object, int root)
{
    char *text = NULL;
    void *data = NULL;
    size_t size = 0;
    mu_cfg *tree = NULL;
    mu_err err;
    if (root < 0 || root >= comm->size)
        return MU_FAIL(MU_ERR_USAGE, "broadcast_object: root %d is not a rank: expected 0 to %d", root, comm->size - 1);
    MU_TRY_GOTO(err, mu_comm_agree(comm, comm->rank == root ? write_tree(*object, &text) : MU_OK), done);
    if (text) {
        data = text;
        size = strlen(text) + 1;
    }
    MU_TRY_GOTO(err, mu_comm_broadcast_blob(comm, &data, &size, root), done);
    if (comm->rank != root) {
        text = data;
        err = read_tree(text, root, &tree);
    }
    MU_TRY_GOTO(err, mu_comm_agree(comm, err), done);
    if (tree)
        *object = tree;
    tree = NULL;
done:
    mu_cfg_release(tree);
    mu_free(text);
    return err;
}
