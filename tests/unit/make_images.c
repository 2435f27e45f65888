/* make_images DIR CLASSES N WIDTH HEIGHT: folders c0, c1, ... of N colour JPEGs each, 0.jpg, 1.jpg, ...; each class has a colour. */
#include "encode.h"

#include <sys/stat.h>

static int write_image(const char *path, int class, int i, int width, int height)
{
    uint8_t *pixels = malloc((size_t)width * (size_t)height * 3);
    if (!pixels)
        return 1;
    for (int p = 0; p < width * height; p++)
        for (int c = 0; c < 3; c++)
            pixels[3 * p + c] = (uint8_t)(c == class % 3 ? 200 : 40 + (p % width + i) % 16);
    test_bytes jpeg = test_jpeg(pixels, height, width, 3, (test_jpeg_options){.quality = 90});
    FILE *file = fopen(path, "wb");
    int failed = !file || fwrite(jpeg.data, 1, jpeg.size, file) != jpeg.size;
    if (file)
        failed |= fclose(file) != 0;
    free(jpeg.data);
    free(pixels);
    return failed;
}

int main(int argc, char **argv)
{
    char path[4096];
    if (argc != 6)
        return 2;
    int classes = atoi(argv[2]), n = atoi(argv[3]), width = atoi(argv[4]), height = atoi(argv[5]);
    mkdir(argv[1], 0777);
    for (int c = 0; c < classes; c++) {
        snprintf(path, sizeof path, "%s/c%d", argv[1], c);
        mkdir(path, 0777);
        for (int i = 0; i < n; i++) {
            snprintf(path, sizeof path, "%s/c%d/%d.jpg", argv[1], c, i);
            if (write_image(path, c, i, width, height))
                return 1;
        }
    }
    return 0;
}
