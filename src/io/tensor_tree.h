/* The datasets of an HDF5 file, found by walking its groups. Private to the room. */
#ifndef MU_IO_TENSOR_TREE_H
#define MU_IO_TENSOR_TREE_H

#include "io/hdf5.h"

/* Calls visit for every dataset below the root, open, with its absolute path, in any order; an error ends the walk. Links to the same path in another
 * file are told to `link`, where it is not NULL. Other links, and groups nested or repeated without end, are MU_ERR_FORMAT. */
typedef mu_err tensor_visit(void *user, const char *path, hid_t dataset);
typedef mu_err tensor_link(void *user, const char *path, const char *file);
MU_CHECKED mu_err tensor_tree_walk(hid_t file, tensor_visit *visit, tensor_link *link, void *user);

#endif
