/* Decodes arbitrary bytes as an image, in grey and in colour. */
#include "io/image.h"

#include "fuzz.h"

#include "encode.h"

enum { MOST = 1 << 16 }; /* pixels that are decoded: more say nothing new */

static void decode(const uint8_t *data, size_t size, const mu_image_info *info, mu_image_channels channels)
{
    uint8_t *out = malloc((size_t)(info->height * info->width) * channels);
    may_refuse(mu_image_decode(data, size, "image", info, channels, out));
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mu_image_info info;
    int64_t live = mu_mem_get_counts().live_blocks;
    mu_err err = mu_image_probe(data, size, "image", &info);
    may_refuse(err);
    if (!err && (info.height < 1 || info.width < 1 || info.height > (1 << 27) / info.width))
        die("such a size should be refused", info.format);
    if (!err && info.height * info.width <= MOST) {
        decode(data, size, &info, MU_IMAGE_GREY);
        decode(data, size, &info, MU_IMAGE_RGB);
    }
    if (mu_mem_get_counts().live_blocks != live)
        die("memory is left", mu_error_last()->message);
    return 0;
}

#ifndef MU_LIBFUZZER
enum { H = 21, W = 19 };

static fuzz_bytes of(test_bytes b)
{
    return (fuzz_bytes){b.data, b.size};
}

int main(int argc, char **argv)
{
    /* A TIFF header of one entry: the picture lies on its side. */
    static const uint8_t exif[] = "Exif\0\0II*\0\10\0\0\0\1\0\22\1\3\0\1\0\0\0\6\0\0\0\0\0\0\0";
    static const png_color colors[4] = {{255, 0, 0}, {0, 255, 0}, {0, 0, 255}, {9, 9, 9}};
    uint8_t pixels[H * W * 8], alpha[4] = {0, 9, 99, 255};
    png_color palette[4];
    memcpy(palette, colors, sizeof palette);
    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = (uint8_t)(i * i % 251);
    fuzz_bytes seed[] = {
        of(test_jpeg(pixels, H, W, 3, (test_jpeg_options){.quality = 80})),
        of(test_jpeg(pixels, H, W, 1, (test_jpeg_options){.quality = 80})),
        of(test_jpeg(pixels, H, W, 3, (test_jpeg_options){.progressive = 1, .quality = 80})),
        of(test_jpeg(pixels, H, W, 3, (test_jpeg_options){.exif = exif, .exif_size = sizeof exif - 1, .quality = 80})),
        of(test_png(pixels, W * 3, H, W, (test_png_options){.color_type = PNG_COLOR_TYPE_RGB, .bit_depth = 8})),
        of(test_png(pixels, W * 8, H, W, (test_png_options){.color_type = PNG_COLOR_TYPE_RGBA, .bit_depth = 16, .interlaced = 1})),
        of(test_png(pixels, W, H, W, (test_png_options){.color_type = PNG_COLOR_TYPE_PALETTE, .bit_depth = 2,
            .palette = palette, .n_palette = 4, .palette_alpha = alpha})),
    };
    fuzz_plan plan = {.seed = seed, .n_seeds = sizeof seed / sizeof *seed, .rounds = 6000};
    return fuzz_main(argc, argv, &plan);
}
#endif
