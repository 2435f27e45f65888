#include "config.h"

#include "io/image_codec.h"

typedef struct {
    const char *name;
    const char *signature;
    size_t length;
    const char *missing; /* NULL: built */
    mu_err (*probe)(const void *data, size_t size, const char *name, mu_image_info *out);
    mu_err (*decode)(const void *data, size_t size, const char *name, const mu_image_info *info,
                     mu_image_channels channels, uint8_t *out);
} codec;

static const codec codecs[] = {
#ifdef HAVE_JPEG
    {"JPEG", "\xff\xd8\xff", 3, NULL, mu_jpeg_probe, mu_jpeg_decode},
#else
    {"JPEG", "\xff\xd8\xff", 3, "configure --with-jpeg", NULL, NULL},
#endif
#ifdef HAVE_PNG
    {"PNG", "\x89PNG\r\n\x1a\n", 8, NULL, mu_png_probe, mu_png_decode},
#else
    {"PNG", "\x89PNG\r\n\x1a\n", 8, "configure --with-png", NULL, NULL},
#endif
};
enum { N_CODECS = sizeof codecs / sizeof codecs[0] };

static mu_err find(const void *data, size_t size, const char *name, const codec **out)
{
    if (size == 0)
        return MU_FAIL(MU_ERR_FORMAT, "'%s' is empty; expected an image: %s", name, mu_image_formats());
    for (int i = 0; i < N_CODECS; i++) {
        if (size < codecs[i].length || memcmp(data, codecs[i].signature, codecs[i].length) != 0)
            continue;
        if (codecs[i].missing) {
            MU_FAIL(MU_ERR_UNSUPPORTED, "'%s' is a %s image, which this build cannot read", name, codecs[i].name);
            return mu_error_hint("build Muster with: %s", codecs[i].missing);
        }
        *out = &codecs[i];
        return MU_OK;
    }
    return MU_FAIL(MU_ERR_FORMAT, "'%s' is not an image that Muster reads: %s", name, mu_image_formats());
}

mu_err mu_image_probe(const void *data, size_t size, const char *name, mu_image_info *out)
{
    const codec *c = NULL;
    mu_image_info info;
    MU_TRY(find(data, size, name, &c));
    MU_TRY(c->probe(data, size, name, &info));
    info.format = c->name;
    *out = info;
    return MU_OK;
}

mu_err mu_image_decode(const void *data, size_t size, const char *name, const mu_image_info *info,
                       mu_image_channels channels, uint8_t *out)
{
    const codec *c = NULL;
    MU_TRY(find(data, size, name, &c));
    MU_TRY(c->decode(data, size, name, info, channels, out));
    return MU_OK;
}

const char *mu_image_formats(void)
{
#if defined(HAVE_JPEG) && defined(HAVE_PNG)
    return "JPEG, PNG";
#elif defined(HAVE_JPEG)
    return "JPEG (PNG: configure --with-png)";
#elif defined(HAVE_PNG)
    return "PNG (JPEG: configure --with-jpeg)";
#else
    return "none in this build (configure --with-jpeg --with-png)";
#endif
}

mu_err mu_image_describe(const char *name, int64_t height, int64_t width, int orientation, int channels,
                         mu_image_info *info)
{
    if (height < 1 || width < 1)
        return MU_FAIL(MU_ERR_FORMAT, "'%s' has no pixels", name);
    if (height > MU_IMAGE_MAX_PIXELS / width) {
        MU_FAIL(MU_ERR_FORMAT, "'%s' claims to have %lld x %lld pixels (height x width); the limit is %d in all", name,
                (long long)height, (long long)width, MU_IMAGE_MAX_PIXELS);
        return mu_error_hint("the file is corrupt or made to exhaust memory; if it is neither, shrink it beforehand");
    }
    bool turned = orientation >= 5;
    *info = (mu_image_info){.height = turned ? width : height, .width = turned ? height : width, .channels = channels};
    return MU_OK;
}

/* Luma of ITU-R BT.601. */
static inline uint8_t luma(const uint8_t *rgb)
{
    return (uint8_t)((19595u * rgb[0] + 38470u * rgb[1] + 7471u * rgb[2] + 32768u) >> 16);
}

static void copy_channel(uint8_t *restrict to, int64_t step, const uint8_t *restrict row, int row_channels, int64_t n)
{
    if (step == 1 && row_channels == 1)
        memcpy(to, row, (size_t)n);
    else if (step == 1)
        for (int64_t x = 0; x < n; x++)
            to[x] = row[3 * x];
    else
        for (int64_t x = 0; x < n; x++)
            to[x * step] = row[x * row_channels];
}

/* Pixel (y, x) of the file is pixel `first + x * step` of a plane. */
void mu_image_place(const mu_image_target *t, int64_t y, const uint8_t *row, int row_channels)
{
    int64_t h = t->height, w = t->width, first, step;
    switch (t->orientation) {
    case 2: first = y * w + w - 1, step = -1; break;
    case 3: first = (h - 1 - y) * w + w - 1, step = -1; break;
    case 4: first = (h - 1 - y) * w, step = 1; break;
    case 5: first = y, step = h; break;
    case 6: first = h - 1 - y, step = h; break;
    case 7: first = (w - 1) * h + h - 1 - y, step = -h; break;
    case 8: first = (w - 1) * h + y, step = -h; break;
    default: first = y * w, step = 1; break;
    }
    if (t->channels == 1 && row_channels == 3) {
        for (int64_t x = 0; x < w; x++)
            t->out[first + x * step] = luma(row + 3 * x);
        return;
    }
    for (int c = 0; c < t->channels; c++)
        copy_channel(t->out + c * h * w + first, step, row + (row_channels == 3 ? c : 0), row_channels, w);
}
