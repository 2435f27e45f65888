#include "io/image_codec.h"

/* A TIFF header and its first directory. */
typedef struct {
    const uint8_t *data;
    size_t size;
    bool big; /* byte order */
} tiff;

static uint32_t number(const tiff *t, size_t at, int bytes)
{
    uint32_t x = 0;
    for (int i = 0; i < bytes; i++)
        x |= (uint32_t)t->data[at + (size_t)i] << 8 * (t->big ? bytes - 1 - i : i);
    return x;
}

int mu_exif_orientation(const uint8_t *data, size_t size)
{
    enum { HEADER = 8, ENTRY = 12, ORIENTATION = 0x0112, SHORT = 3 };
    if (size < HEADER || (memcmp(data, "II*\0", 4) != 0 && memcmp(data, "MM\0*", 4) != 0))
        return 1;
    tiff t = {.data = data, .size = size, .big = data[0] == 'M'};
    size_t at = number(&t, 4, 4);
    if (at > size - 2)
        return 1;
    size_t entries = number(&t, at, 2);
    for (at += 2; entries > 0 && size - at >= ENTRY; entries--, at += ENTRY) {
        if (number(&t, at, 2) != ORIENTATION)
            continue;
        uint32_t value = number(&t, at + 8, 2);
        return number(&t, at + 2, 2) == SHORT && value >= 1 && value <= 8 ? (int)value : 1;
    }
    return 1;
}
