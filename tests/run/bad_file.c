/* Makes files for tests that a run has to refuse:
 *   bad_file plain FILE              HDF5 of another program
 *   bad_file float FILE              a dataset whose labels are f32
 *   bad_file label FILE INDEX VALUE  changes a label of a dataset, whatever its classes are, and takes the checksum away
 *   bad_file byte FILE OFFSET        flips all bits of a byte */
#include "data/h5_dataset.h"

#include <fcntl.h>
#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int make_plain(const char *path)
{
    hsize_t dim = 4;
    int values[] = {1, 2, 3, 4};
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), space = H5Screate_simple(1, &dim, NULL);
    hid_t set = H5Dcreate2(file, "values", H5T_NATIVE_INT, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    int failed = H5Dwrite(set, H5T_NATIVE_INT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) < 0;
    H5Dclose(set);
    H5Sclose(space);
    return H5Fclose(file) < 0 || failed;
}

enum { N = 60 };

static mu_err write_float(const char *path)
{
    static const mu_h5_field field[] = {
        {.name = "images", .sample = {.dtype = MU_U8, .ndim = 3, .dim = {1, 8, 8}}},
        {.name = "labels", .sample = {.dtype = MU_F32}},
    };
    mu_h5_writer *writer;
    const uint8_t image[64] = {0};
    MU_TRY(mu_h5_writer_new(path, field, 2, N, "{}", &writer));
    mu_err err = MU_OK;
    for (int i = 0; !err && i < N; i++) {
        float label = (float)(i % 10);
        err = mu_h5_writer_append(writer, 0, image, sizeof image);
        err = err ? err : mu_h5_writer_append(writer, 1, &label, sizeof label);
    }
    err = err ? err : mu_h5_writer_finish(writer);
    mu_h5_writer_release(writer);
    return err;
}

static int change_label(const char *path, hsize_t index, int64_t value)
{
    hsize_t one = 1;
    hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT), set = H5Dopen2(file, "data/labels", H5P_DEFAULT);
    hid_t space = H5Dget_space(set), memory = H5Screate_simple(1, &one, NULL);
    int failed = H5Sselect_hyperslab(space, H5S_SELECT_SET, &index, NULL, &one, NULL) < 0 ||
                 H5Dwrite(set, H5T_NATIVE_INT64, memory, space, H5P_DEFAULT, &value) < 0;
    failed = failed || H5Adelete(set, "muster_xxh3") < 0; /* files of other programs have none */
    H5Sclose(memory);
    H5Sclose(space);
    H5Dclose(set);
    return H5Fclose(file) < 0 || failed;
}

static int flip_byte(const char *path, off_t offset)
{
    unsigned char byte;
    int fd = open(path, O_RDWR);
    int failed = fd < 0 || pread(fd, &byte, 1, offset) != 1;
    byte ^= 0xff;
    failed = failed || pwrite(fd, &byte, 1, offset) != 1;
    return (fd >= 0 && close(fd) != 0) || failed;
}

int main(int argc, char **argv)
{
    const char *what = argc > 2 ? argv[1] : "";
    if (strcmp(what, "plain") == 0)
        return make_plain(argv[2]);
    if (strcmp(what, "float") == 0)
        return write_float(argv[2]) != MU_OK;
    if (strcmp(what, "label") == 0 && argc == 5)
        return change_label(argv[2], strtoull(argv[3], NULL, 10), strtoll(argv[4], NULL, 10));
    if (strcmp(what, "byte") == 0 && argc == 4)
        return flip_byte(argv[2], strtoll(argv[3], NULL, 10));
    return 99;
}
