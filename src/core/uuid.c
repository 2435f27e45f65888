#include "core/uuid.h"

#include <stdint.h>
#include <stdio.h>
#include <sys/random.h>

mu_err mu_uuid_make(char text[MU_UUID_TEXT])
{
    uint8_t b[16];
    if (getrandom(b, sizeof b, 0) != sizeof b)
        return MU_FAIL(MU_ERR_SYSTEM, "no random numbers for a UUID");
    b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
    b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
    for (int i = 0, at = 0; i < 16; i++)
        at += snprintf(text + at, MU_UUID_TEXT - (size_t)at, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", b[i]);
    return MU_OK;
}
