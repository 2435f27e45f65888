/* Logging by level, room and rank, to one sink (stderr unless set): MU_LOG=level[:room][,level:room...], where the last
 * rule of a room counts, and MU_LOG_RANKS=0,2 or all. */
#ifndef MU_CORE_LOG_H
#define MU_CORE_LOG_H

#include "core/error.h"

typedef enum { MU_LOG_ERROR, MU_LOG_WARNING, MU_LOG_INFO, MU_LOG_DEBUG, MU_LOG_TRACE } mu_log_level;

/* Lines reach the sink one at a time, whole (cut at 4 KiB), without a newline. `room` is the
 * source folder ("graph"). */
typedef void mu_log_sink(void *user, mu_log_level level, const char *room, const char *line);

/* Reads MU_LOG and MU_LOG_RANKS (a bad value is MU_ERR_USAGE and names what is allowed). rank 0 logs by default, others
 * only warnings and errors. size 0: how many ranks there are is not known yet. */
MU_CHECKED mu_err mu_log_configure(int rank, int size);
/* What rooms are logged at for which MU_LOG says nothing; ranks that are silent stay so. */
void mu_log_set_level(mu_log_level level);
void mu_log_set_sink(mu_log_sink *sink, void *user);
int mu_log_enabled(mu_log_level level, const char *room);
void mu_log_write(mu_log_level level, const char *room, const char *format, ...) MU_PRINTF(3, 4);

#define MU_LOG(level, room, ...)                              \
    do {                                                      \
        if (mu_log_enabled((level), (room)))                  \
            mu_log_write((level), (room), __VA_ARGS__);       \
    } while (0)
#define MU_WARN(room, ...) MU_LOG(MU_LOG_WARNING, room, __VA_ARGS__)
#define MU_INFO(room, ...) MU_LOG(MU_LOG_INFO, room, __VA_ARGS__)
#define MU_DEBUG(room, ...) MU_LOG(MU_LOG_DEBUG, room, __VA_ARGS__)

#endif
