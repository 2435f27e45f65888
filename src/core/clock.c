#include "core/clock.h"

#include <time.h>

int64_t mu_clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

double mu_clock(void)
{
    return (double)mu_clock_ns() * 1e-9;
}

double mu_wall_time(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

const char *mu_wall_format(double wall, const char *format, char *buf, size_t size)
{
    time_t seconds = (time_t)wall;
    struct tm tm;
    if (size && (!localtime_r(&seconds, &tm) || strftime(buf, size, format, &tm) == 0))
        buf[0] = '\0';
    return buf;
}
