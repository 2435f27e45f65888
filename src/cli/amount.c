#include "cli/amount.h"

#include <stdio.h>

const char *cli_amount(double x, const char *unit, double base, char buf[32])
{
    static const char *const prefixes[] = {"", "k", "M", "G", "T", "P"};
    static const char *const binary[] = {"", "Ki", "Mi", "Gi", "Ti", "Pi"};
    int p = 0;
    for (; x >= base && p < 5; p++)
        x /= base;
    const char *prefix = (base == 1024 ? binary : prefixes)[p];
    snprintf(buf, 32, "%.*f%s%s%s", p ? 2 : 0, x, p || unit[0] ? " " : "", prefix, unit);
    return buf;
}

const char *cli_duration(double seconds, char buf[32])
{
    static const struct {
        double least, size;
        const char *unit;
    } scales[] = {{2 * 86400, 86400, "d"}, {2 * 3600, 3600, "h"}, {120, 60, "min"}, {1, 1, "s"}, {1e-3, 1e-3, "ms"}, {0, 1e-6, "us"}};
    int i = 0;
    while (seconds < scales[i].least)
        i++;
    snprintf(buf, 32, seconds == 0 ? "0 s" : "%.2f %s", seconds / scales[i].size, scales[i].unit);
    return buf;
}
