#include "data/transform.h"
#include "data/transforms/decode_image.h"
#include "io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_FILE_BYTES = 1 << 30 };

typedef struct {
    int color_type;
} load_image_from_file;

static mu_err read_whole(mu_sample *sample, int fd, const char *path, void **data, size_t *size)
{
    struct stat info;
    if (fstat(fd, &info) != 0)
        return MU_FAIL(MU_ERR_IO, "the image '%s' cannot be read: %s", path, strerror(errno));
    if (!S_ISREG(info.st_mode))
        return MU_FAIL(MU_ERR_IO, "the image '%s' is not a regular file", path);
    if (info.st_size > MAX_FILE_BYTES)
        return MU_FAIL(MU_ERR_FORMAT, "the image '%s' has %lld bytes; the limit is %d", path, (long long)info.st_size,
                       MAX_FILE_BYTES);
    MU_TRY(mu_sample_scratch(sample, (size_t)info.st_size, data));
    MU_TRY(mu_pread(fd, *data, (size_t)info.st_size, 0, path));
    *size = (size_t)info.st_size;
    return MU_OK;
}

static mu_err load_image_from_file_apply(const void *transform, mu_sample *sample)
{
    const char *path;
    void *data;
    size_t size;
    MU_TRY(mu_sample_path(sample, &path));
    if (!path) {
        const mu_tensor *none;
        return mu_sample_get(sample, "img_path", NULL, &none);
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return MU_FAIL(MU_ERR_IO, "the image '%s' cannot be opened: %s", path, strerror(errno));
    mu_err err = read_whole(sample, fd, path, &data, &size);
    close(fd);
    MU_TRY(err);
    MU_TRY(mu_decode_into(sample, data, size, path, ((const load_image_from_file *)transform)->color_type));
    return MU_OK;
}

static const mu_option load_image_from_file_options[] = {
    MU_COLOR_TYPE_OPTION(load_image_from_file),
    MU_OPTION_END,
};

const mu_component mu_component_load_image_from_file = {
    .kind = "transform",
    .name = "LoadImageFromFile",
    .doc = "Reads the image file (JPEG, PNG) that the field img_path names into the field img.",
    .size = sizeof(load_image_from_file),
    .options = load_image_from_file_options,
    .ops = &(const mu_transform_ops){.apply = load_image_from_file_apply},
};
