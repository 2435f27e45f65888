/* Time. */
#ifndef MU_CORE_CLOCK_H
#define MU_CORE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

int64_t mu_clock_ns(void); /* monotonic */
double mu_clock(void);     /* monotonic, seconds */
double mu_wall_time(void); /* seconds since 1970 */
/* strftime of a wall time in local time; returns buf. */
const char *mu_wall_format(double wall, const char *format, char *buf, size_t size);

#endif
