#include "config.h"

#include "config/config.h"
#include "data/transform.h"
#include "io/image.h"

#include "test.h"

#if defined(HAVE_JPEG) && defined(HAVE_PNG)

#include "encode.h"
#include "io/image_codec.h"

#include <pthread.h>
#include <unistd.h>

enum { MAX_SIDE = 80 };

/* A smooth picture, not symmetric in any way: JPEG keeps it nearly. */
static int smooth(int c, int y, int x, int h, int w)
{
    return c == 0 ? 40 + 150 * x / w : c == 1 ? 200 - 120 * y / h : 30 + 90 * x / w + 100 * y / h;
}

static uint8_t noise(int i)
{
    return (uint8_t)((uint32_t)(i + 1) * 2654435761u >> 24);
}

static void fill_smooth(uint8_t *pixels, int h, int w, int channels)
{
    for (int i = 0; i < h * w * channels; i++)
        pixels[i] = (uint8_t)smooth(i % channels % 3, i / channels / w, i / channels % w, h, w);
}

static uint8_t pixels[MAX_SIDE * MAX_SIDE * 8], out[MAX_SIDE * MAX_SIDE * 3];

/* Probes and decodes. */
static mu_err decode(test_bytes b, mu_image_channels channels, mu_image_info *info)
{
    MU_TRY(mu_image_probe(b.data, b.size, "x", info));
    ck_assert(info->height * info->width <= MAX_SIDE * MAX_SIDE);
    MU_TRY(mu_image_decode(b.data, b.size, "x", info, channels, out));
    return MU_OK;
}

START_TEST(jpeg_keeps_smooth_pictures)
{
    static const int sizes[][2] = {{1, 1}, {8, 8}, {17, 5}, {33, 64}, {80, 79}};
    for (int n = 0; n < 5; n++)
        for (int channels = 1; channels <= 3; channels += 2)
            for (int as = 1; as <= 3; as += 2)
                for (int progressive = 0; progressive < 2; progressive++) {
                    int h = sizes[n][0], w = sizes[n][1];
                    mu_image_info info;
                    fill_smooth(pixels, h, w, channels);
                    test_bytes b = test_jpeg(pixels, h, w, channels, (test_jpeg_options){.progressive = progressive});
                    ck_ok(decode(b, as, &info));
                    ck_assert_int_eq(info.height, h);
                    ck_assert_int_eq(info.width, w);
                    ck_assert_int_eq(info.channels, channels);
                    ck_assert_str_eq(info.format, "JPEG");
                    for (int i = 0; i < h * w; i++)
                        for (int c = 0; c < as; c++) {
                            const uint8_t *p = pixels + i * channels;
                            double grey = channels == 1 ? p[0] : 0.299 * p[0] + 0.587 * p[1] + 0.114 * p[2];
                            double want = channels == 1 || as == 1 ? grey : p[c];
                            ck_assert_double_le(abs(out[c * h * w + i] - (int)(want + 0.5)), 3);
                        }
                    free(b.data);
                }
}
END_TEST

/* ---- PNG: exact ---- */

/* What the sample at (y, x, channel) of a row is, by the words of the PNG specification. */
static int png_sample(const uint8_t *row, int bit_depth, int samples, int x, int c)
{
    int i = x * samples + c;
    if (bit_depth == 16)
        return row[2 * i] << 8 | row[2 * i + 1];
    if (bit_depth == 8)
        return row[i];
    return row[i * bit_depth / 8] >> (8 - bit_depth - i * bit_depth % 8) & ((1 << bit_depth) - 1);
}

static const struct {
    int color_type, bit_depth, samples;
} png_kinds[] = {
    {PNG_COLOR_TYPE_GRAY, 1, 1},        {PNG_COLOR_TYPE_GRAY, 2, 1},       {PNG_COLOR_TYPE_GRAY, 4, 1},
    {PNG_COLOR_TYPE_GRAY, 8, 1},        {PNG_COLOR_TYPE_GRAY, 16, 1},      {PNG_COLOR_TYPE_GRAY_ALPHA, 8, 2},
    {PNG_COLOR_TYPE_GRAY_ALPHA, 16, 2}, {PNG_COLOR_TYPE_RGB, 8, 3},        {PNG_COLOR_TYPE_RGB, 16, 3},
    {PNG_COLOR_TYPE_RGB_ALPHA, 8, 4},   {PNG_COLOR_TYPE_RGB_ALPHA, 16, 4}, {PNG_COLOR_TYPE_PALETTE, 1, 1},
    {PNG_COLOR_TYPE_PALETTE, 4, 1},     {PNG_COLOR_TYPE_PALETTE, 8, 1},
};

static void check_png(int kind, int h, int w, int interlaced, bool alpha)
{
    int type = png_kinds[kind].color_type, depth = png_kinds[kind].bit_depth, samples = png_kinds[kind].samples;
    bool palette = type == PNG_COLOR_TYPE_PALETTE, colour = type & PNG_COLOR_MASK_COLOR;
    size_t row_bytes = (size_t)(w * samples * depth + 7) / 8;
    png_color colours[256];
    uint8_t opacity[256];
    mu_image_info info;
    for (size_t i = 0; i < row_bytes * (size_t)h; i++)
        pixels[i] = noise((int)i);
    for (int i = 0; i < 256; i++) {
        colours[i] = (png_color){noise(i), noise(i + 300), noise(i + 600)};
        opacity[i] = noise(i + 900);
    }
    test_png_options options = {.color_type = type, .bit_depth = depth, .interlaced = interlaced};
    if (palette) {
        options.palette = colours;
        options.n_palette = 1 << depth;
        options.palette_alpha = alpha ? opacity : NULL;
    }
    test_bytes b = test_png(pixels, row_bytes, h, w, options);
    for (int as = 1; as <= 3; as += 2) {
        ck_ok(decode(b, as, &info));
        ck_assert_int_eq(info.height, h);
        ck_assert_int_eq(info.width, w);
        ck_assert_int_eq(info.channels, colour ? 3 : 1);
        ck_assert_str_eq(info.format, "PNG");
        for (int i = 0; i < h * w; i++) {
            int rgb[3];
            for (int c = 0; c < 3; c++) {
                int v =
                    png_sample(pixels + (size_t)(i / w) * row_bytes, depth, samples, i % w, colour && !palette ? c : 0);
                rgb[c] = palette ? (&colours[v].red)[c] : (v * 510 / ((1 << depth) - 1) + 1) / 2;
            }
            double grey = 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2];
            for (int c = 0; c < as; c++)
                ck_assert_int_eq(out[c * h * w + i], as == 3 ? rgb[c] : (int)(grey + 0.5));
        }
    }
    free(b.data);
}

START_TEST(png_is_exact)
{
    static const int sizes[][2] = {{1, 1}, {5, 7}, {16, 33}};
    for (int n = 0; n < 3; n++)
        for (int interlaced = 0; interlaced < 2; interlaced++)
            for (int alpha = 0; alpha < 2; alpha++)
                check_png(_i, sizes[n][0], sizes[n][1], interlaced, alpha);
}
END_TEST

/* ---- EXIF ---- */

static unsigned make_exif(uint8_t *exif, int orientation, bool big)
{
    static const uint8_t little_text[] = "Exif\0\0II*\0\x08\0\0\0\x02\0"
                                         "\x0f\x01\x02\0\x04\0\0\0abc\0"
                                         "\x12\x01\x03\0\x01\0\0\0?\0\0\0\0\0\0\0";
    static const uint8_t big_text[] = "Exif\0\0MM\0*\0\0\0\x08\0\x02"
                                      "\x01\x0f\0\x02\0\0\0\x04"
                                      "abc\0"
                                      "\x01\x12\0\x03\0\0\0\x01\0?\0\0\0\0\0\0";
    unsigned size = sizeof little_text - 1;
    memcpy(exif, big ? big_text : little_text, size);
    *(uint8_t *)memchr(exif, '?', size) = (uint8_t)orientation;
    return size;
}

START_TEST(exif_turns_the_picture)
{
    enum { H = 20, W = 31 };
    static uint8_t plain[3 * H * W];
    uint8_t exif[64];
    mu_image_info info;
    fill_smooth(pixels, H, W, 3);
    for (int orientation = 0; orientation <= 9; orientation++)
        for (int big = 0; big < 2; big++) {
            int o = orientation < 1 || orientation > 8 ? 1 : orientation;
            unsigned size = make_exif(exif, orientation, big);
            test_bytes b = test_jpeg(pixels, H, W, 3, (test_jpeg_options){.exif = exif, .exif_size = size});
            ck_ok(decode(b, MU_IMAGE_RGB, &info));
            if (orientation == 0)
                memcpy(plain, out, sizeof plain);
            ck_assert_int_eq(info.height, o < 5 ? H : W);
            ck_assert_int_eq(info.width, o < 5 ? W : H);
            for (int c = 0; c < 3; c++)
                for (int y = 0; y < info.height; y++)
                    for (int x = 0; x < info.width; x++) {
                        /* Where the upright pixel (y, x) lies in the file. */
                        const int from[9][2] = {
                            {0},    {y, x},         {y, W - 1 - x},         {H - 1 - y, W - 1 - x}, {H - 1 - y, x},
                            {x, y}, {H - 1 - x, y}, {H - 1 - x, W - 1 - y}, {x, W - 1 - y}};
                        ck_assert_int_eq(out[(c * info.height + y) * info.width + x],
                                         plain[(c * H + from[o][0]) * W + from[o][1]]);
                    }
            free(b.data);
        }
}
END_TEST

/* The bytes are copied to where reading beyond them is noticed by a sanitizer. */
static int orientation_of(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    memcpy(copy, data, size);
    int orientation = mu_exif_orientation(copy, size);
    free(copy);
    return orientation;
}

START_TEST(broken_exif_turns_nothing)
{
    uint8_t exif[64];
    for (int big = 0; big < 2; big++) {
        unsigned size = make_exif(exif, 6, big);
        ck_assert_int_eq(orientation_of(exif + 6, size - 6), 6);
        for (unsigned n = 0; n + 6 <= 8 + 2 + 12 + 6; n++)
            ck_assert_int_eq(orientation_of(exif + 6, n), 1);
        for (unsigned i = 6; i < size; i++)
            for (int bit = 0; bit < 8; bit++) {
                exif[i] ^= (uint8_t)(1 << bit);
                int o = orientation_of(exif + 6, size - 6);
                ck_assert(o >= 1 && o <= 8);
                exif[i] ^= (uint8_t)(1 << bit);
            }
    }
}
END_TEST

/* ---- files that are not what they should be ---- */

static test_bytes example(int kind)
{
    fill_smooth(pixels, 70, 61, 3);
    switch (kind) {
    case 0: return test_jpeg(pixels, 70, 61, 3, (test_jpeg_options){.quality = 85});
    case 1: return test_jpeg(pixels, 70, 61, 3, (test_jpeg_options){.quality = 85, .progressive = 1});
    case 2: return test_png(pixels, 183, 70, 61, (test_png_options){PNG_COLOR_TYPE_RGB, 8, 0, NULL, 0, NULL});
    default: return test_png(pixels, 183, 70, 61, (test_png_options){PNG_COLOR_TYPE_RGB, 8, 1, NULL, 0, NULL});
    }
}
enum { N_EXAMPLES = 4 };

/* Decodes a copy of exactly `size` bytes. */
static mu_err decode_copy(const uint8_t *data, size_t size)
{
    mu_image_info info;
    uint8_t *copy = malloc(size ? size : 1), *image = NULL;
    memcpy(copy, data, size);
    mu_err err = mu_image_probe(copy, size, "x", &info);
    if (!err) {
        image = malloc((size_t)(3 * info.height * info.width));
        err = mu_image_decode(copy, size, "x", &info, MU_IMAGE_RGB, image);
    }
    free(image);
    free(copy);
    return err;
}

START_TEST(cut_files_are_refused)
{
    test_bytes b = example(_i);
    ck_ok(decode_copy(b.data, b.size));
    for (int i = 0; i < 50; i++)
        ck_fails(decode_copy(b.data, b.size * (size_t)i / 50), MU_ERR_FORMAT, "'x'");
    for (size_t less = 1; less < 20; less++)
        ck_fails(decode_copy(b.data, b.size - less), MU_ERR_FORMAT, "is corrupt");
    free(b.data);
}
END_TEST

/* Whatever is changed, decoding ends with an image or an error, and nothing is printed. */
START_TEST(flipped_bytes_do_no_harm)
{
    test_bytes b = example(_i);
    int refused = 0;
    FILE *printed = tmpfile();
    int console = dup(2);
    ck_assert_ptr_nonnull(printed);
    dup2(fileno(printed), 2);
    for (uint32_t i = 0; i < 600; i++) {
        /* Headers take half of the hits. */
        size_t range = i % 2 && b.size > 200 ? 200 : b.size, at = (size_t)(i * 2654435761u >> 4) % range;
        uint8_t old = b.data[at];
        b.data[at] = i % 3 ? noise((int)i) : (uint8_t)(old ^ 1 << i % 8);
        mu_err err = decode_copy(b.data, b.size);
        ck_assert(err == MU_OK || err == MU_ERR_FORMAT);
        refused += err != MU_OK;
        b.data[at] = old;
    }
    dup2(console, 2);
    close(console);
    ck_assert_int_eq(lseek(fileno(printed), 0, SEEK_END), 0);
    fclose(printed);
    ck_assert_int_gt(refused, 100);
    free(b.data);
}
END_TEST

START_TEST(what_is_no_image)
{
    mu_image_info info;
    ck_fails(mu_image_probe("", 0, "a.jpg", &info), MU_ERR_FORMAT, "'a.jpg' is empty; expected an image: JPEG, PNG");
    ck_fails(mu_image_probe("GIF89a", 6, "a.jpg", &info), MU_ERR_FORMAT, "'a.jpg' is not an image that Muster reads");
    ck_fails(mu_image_probe("\xff\xd8\xff", 3, "a.jpg", &info), MU_ERR_FORMAT, "the JPEG image 'a.jpg' is corrupt");
    ck_fails(mu_image_probe("\x89PNG\r\n\x1a\n", 8, "b.png", &info), MU_ERR_FORMAT,
             "the PNG image 'b.png' is corrupt: it ends too early");
}
END_TEST

START_TEST(cmyk_is_refused)
{
    mu_image_info info;
    memset(pixels, 100, 16 * 16 * 4);
    test_bytes b = test_jpeg(pixels, 16, 16, 4, (test_jpeg_options){0});
    ck_fails(decode(b, MU_IMAGE_RGB, &info), MU_ERR_FORMAT, "'x' is in CMYK; expected grey or RGB");
    free(b.data);
}
END_TEST

START_TEST(bombs_are_refused)
{
    mu_image_info info;
    fill_smooth(pixels, 16, 16, 1);
    test_bytes b = test_jpeg(pixels, 16, 16, 1, (test_jpeg_options){0});
    uint8_t *frame = memmem(b.data, b.size, "\xff\xc0", 2);
    ck_assert_ptr_nonnull(frame);
    memcpy(frame + 5, "\xff\xdc\xff\xdc", 4); /* height and width */
    ck_fails(decode(b, MU_IMAGE_RGB, &info), MU_ERR_FORMAT, "claims to have 65500 x 65500 pixels");
    free(b.data);
    b = test_png(NULL, 0, 70000, 50000, (test_png_options){PNG_COLOR_TYPE_GRAY, 8, 0, NULL, 0, NULL});
    ck_fails(decode(b, MU_IMAGE_RGB, &info), MU_ERR_FORMAT, "claims to have 70000 x 50000 pixels");
    free(b.data);
    b = test_jpeg(pixels, 16, 16, 1, (test_jpeg_options){.progressive = 2});
    ck_fails(decode(b, MU_IMAGE_RGB, &info), MU_ERR_FORMAT, "it has more than 100 scans");
    free(b.data);
}
END_TEST

START_TEST(another_image_than_probed)
{
    for (int kind = 0; kind < N_EXAMPLES; kind++) {
        mu_image_info info;
        test_bytes b = example(kind);
        ck_ok(mu_image_probe(b.data, b.size, "x", &info));
        info.height--;
        ck_fails(mu_image_decode(b.data, b.size, "x", &info, MU_IMAGE_RGB, out), MU_ERR_USAGE, "not the image");
        free(b.data);
    }
}
END_TEST

static mu_err decode_example(test_bytes b)
{
    mu_image_info info;
    return decode(b, MU_IMAGE_RGB, &info);
}

START_TEST(out_of_memory)
{
    for (int kind = 0; kind < N_EXAMPLES; kind++) {
        test_bytes b = example(kind);
        ck_survives_oom(decode_example(b), (void)0);
        free(b.data);
    }
}
END_TEST

typedef struct {
    test_bytes bytes;
    uint8_t image[3 * 70 * 61];
    mu_err err;
} thread_job;

static void *decode_often(void *user)
{
    thread_job *j = user;
    mu_image_info info;
    for (int i = 0; i < 20 && !j->err; i++) {
        j->err = mu_image_probe(j->bytes.data, j->bytes.size, "x", &info);
        if (!j->err)
            j->err = mu_image_decode(j->bytes.data, j->bytes.size, "x", &info, MU_IMAGE_RGB, j->image);
    }
    return NULL;
}

START_TEST(threads_decode_alike)
{
    static thread_job jobs[4];
    for (int kind = 0; kind < N_EXAMPLES; kind++) {
        pthread_t thread[4];
        test_bytes b = example(kind);
        for (int i = 0; i < 4; i++) {
            jobs[i] = (thread_job){.bytes = b};
            ck_assert_int_eq(pthread_create(&thread[i], NULL, decode_often, &jobs[i]), 0);
        }
        for (int i = 0; i < 4; i++) {
            pthread_join(thread[i], NULL);
            ck_assert_int_eq(jobs[i].err, MU_OK);
            ck_assert_int_eq(memcmp(jobs[i].image, jobs[0].image, sizeof jobs[i].image), 0);
        }
        free(b.data);
    }
}
END_TEST

/* ---- the transforms that decode ---- */

static mu_config *config;
static mu_pipeline *pipeline;
static mu_sample sample;

static void use(const char *yaml)
{
    ck_ok(mu_config_parse(yaml, strlen(yaml), "yaml", &config));
    ck_ok(mu_pipeline_new(mu_cfg_get(mu_config_root(config), "p"), "p", &pipeline));
    mu_sample_begin(&sample, 0, 0, 0);
}

static void finish(void)
{
    mu_pipeline_release(pipeline);
    mu_config_release(config);
    mu_sample_release(&sample);
    mu_registry_reset();
}

static void put_bytes(const char *field, const void *bytes, size_t size)
{
    void *data;
    ck_ok(mu_sample_put(&sample, field, MU_TYPE(MU_U8, (int64_t)size), &data));
    memcpy(data, bytes, size);
}

static const struct {
    const char *option;
    int file_channels, channels;
} colour_cases[] = {{"", 1, 3},
                    {"", 3, 3},
                    {", color_type: grayscale", 3, 1},
                    {", color_type: unchanged", 1, 1},
                    {", color_type: unchanged", 3, 3}};

/* The file on disk and the bytes in the sample give what mu_image_decode gives. */
START_TEST(transforms_decode)
{
    char path[] = "/tmp/muster_image_XXXXXX", yaml[256];
    int file_channels = colour_cases[_i].file_channels, channels = colour_cases[_i].channels, fd = mkstemp(path);
    const mu_tensor *img;
    mu_image_info info;
    fill_smooth(pixels, 12, 9, file_channels);
    test_bytes b = test_jpeg(pixels, 12, 9, file_channels, (test_jpeg_options){0});
    ck_assert_int_eq(write(fd, b.data, b.size), (ssize_t)b.size);
    close(fd);
    ck_ok(decode(b, channels, &info));
    for (int from_file = 0; from_file < 2; from_file++) {
        snprintf(yaml, sizeof yaml, "p: [{type: %s%s}]", from_file ? "LoadImageFromFile" : "DecodeImage",
                 colour_cases[_i].option);
        use(yaml);
        put_bytes("img_path", path, strlen(path));
        if (!from_file)
            put_bytes("img", b.data, b.size);
        ck_ok(mu_pipeline_apply(pipeline, &sample));
        ck_ok(mu_sample_image(&sample, "test", &img));
        ck_assert(mu_type_equal(&img->type, &MU_TYPE(MU_U8, channels, 12, 9)));
        ck_assert_int_eq(memcmp(img->data, out, (size_t)(channels * 12 * 9)), 0);
        finish();
    }
    unlink(path);
    free(b.data);
}
END_TEST

START_TEST(transforms_refuse)
{
    void *data;
    use("p: [{type: DecodeImage}]");
    ck_fails(mu_pipeline_apply(pipeline, &sample), MU_ERR_CONFIG, "p.0 DecodeImage: the sample has no field 'img'");
    put_bytes("img", "\xff\xd8\xff", 3);
    ck_fails(mu_pipeline_apply(pipeline, &sample), MU_ERR_FORMAT, "p.0 DecodeImage: the JPEG image 'img' is corrupt");
    put_bytes("img_path", "a/b.jpg", 7);
    ck_fails(mu_pipeline_apply(pipeline, &sample), MU_ERR_FORMAT, "the JPEG image 'a/b.jpg' is corrupt");
    ck_ok(mu_sample_put(&sample, "img", MU_TYPE(MU_U8, 3, 4, 5), &data));
    ck_fails(mu_pipeline_apply(pipeline, &sample), MU_ERR_CONFIG, "need no DecodeImage");
    finish();
    use("p: [{type: LoadImageFromFile}]");
    ck_fails(mu_pipeline_apply(pipeline, &sample), MU_ERR_CONFIG,
             "p.0 LoadImageFromFile: the sample has no field 'img_path'");
    put_bytes("img_path", "/nowhere/a.jpg", 14);
    ck_fails(mu_pipeline_apply(pipeline, &sample), MU_ERR_IO,
             "the image '/nowhere/a.jpg' cannot be opened: No such file");
    put_bytes("img_path", "/tmp", 4);
    ck_fails(mu_pipeline_apply(pipeline, &sample), MU_ERR_IO, "the image '/tmp' is not a regular file");
    put_bytes("img_path", "/dev/null", 9);
    ck_fails(mu_pipeline_apply(pipeline, &sample), MU_ERR_IO, "not a regular file");
    ck_ok(mu_sample_put(&sample, "img_path", MU_TYPE(MU_I64, 3), &data));
    ck_fails(mu_pipeline_apply(pipeline, &sample), MU_ERR_CONFIG, "'img_path' is i64[3], expected the bytes of a path");
    finish();
}
END_TEST

#define COUNT(table) ((int)(sizeof(table) / sizeof(table)[0]))

int main(void)
{
    Suite *suite = suite_create("image");
    TCase *t = tcase_create("image");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, jpeg_keeps_smooth_pictures);
    tcase_add_loop_test(t, png_is_exact, 0, COUNT(png_kinds));
    tcase_add_test(t, exif_turns_the_picture);
    tcase_add_test(t, broken_exif_turns_nothing);
    tcase_add_loop_test(t, cut_files_are_refused, 0, N_EXAMPLES);
    tcase_add_loop_test(t, flipped_bytes_do_no_harm, 0, N_EXAMPLES);
    tcase_add_test(t, what_is_no_image);
    tcase_add_test(t, cmyk_is_refused);
    tcase_add_test(t, bombs_are_refused);
    tcase_add_test(t, another_image_than_probed);
    tcase_add_test(t, out_of_memory);
    tcase_add_test(t, threads_decode_alike);
    tcase_add_loop_test(t, transforms_decode, 0, COUNT(colour_cases));
    tcase_add_test(t, transforms_refuse);
    suite_add_tcase(suite, t);
    return test_run(suite);
}

#else

/* A format that is missing is named with what to do; the rest is skipped. */
int main(void)
{
    mu_image_info info;
#ifdef HAVE_PNG
    mu_err err = mu_image_probe("\xff\xd8\xff", 3, "a.jpg", &info);
    const char *hint = "configure --with-jpeg";
#else
    mu_err err = mu_image_probe("\x89PNG\r\n\x1a\n", 8, "a.png", &info);
    const char *hint = "configure --with-png";
#endif
    if (err != MU_ERR_UNSUPPORTED || !strstr(test_error_text(), hint) || !strstr(mu_image_formats(), hint))
        return EXIT_FAILURE;
    return 77;
}

#endif
