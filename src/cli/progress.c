#include "cli/progress.h"

#include "core/clock.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { BAR = 24, LABEL = 32, LINE = 512 };

/* What stands on the line of the terminal. */
static struct {
    char label[LABEL];
    double begun, drawn; /* seconds */
    int64_t first;       /* what was done when it began */
    bool shown;
} line;

static int columns(void)
{
    struct winsize size;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

/* "3.14", "31.4k", "1.2M" */
static void format_rate(double rate, char *buf, size_t size)
{
    const char *unit = rate >= 1e6 ? "M" : rate >= 1e3 ? "k" : "";
    double x = rate >= 1e6 ? rate / 1e6 : rate >= 1e3 ? rate / 1e3 : rate;
    snprintf(buf, size, "%.*f%s/s", x < 10 ? 2 : x < 100 ? 1 : 0, x, unit);
}

static void format_time(double seconds, char *buf, size_t size)
{
    long long s = seconds < 1e9 ? (long long)(seconds + 0.5) : 0;
    if (s >= 3600)
        snprintf(buf, size, "%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(buf, size, "%lld:%02lld", s / 60, s % 60);
}

static void draw(const char *label, int64_t done, int64_t total, const char *tail, double now)
{
    char bar[BAR + 1], rate[32] = "", eta[40] = "", text[LINE];
    double share = total > 0 ? (double)done / (double)total : 1, seconds = now - line.begun;
    int full = (int)(share * BAR);
    memset(bar, ' ', BAR);
    memset(bar, '=', (size_t)full);
    if (full < BAR)
        bar[full] = '>';
    bar[BAR] = '\0';
    if (seconds > 0 && done > line.first) {
        double speed = (double)(done - line.first) / seconds;
        format_rate(speed, rate, sizeof rate);
        format_time((double)(total - done) / speed, eta, sizeof eta);
    }
    snprintf(text, sizeof text, "%s [%s] %3d %% %lld/%lld%s%s%s%s%s%s", label, bar, (int)(share * 100), (long long)done,
             (long long)total, rate[0] ? "  " : "", rate, eta[0] ? "  eta " : "", eta, tail ? "  " : "", tail ? tail : "");
    fprintf(stderr, "\r%.*s\033[K", columns() - 1, text);
    fflush(stderr);
    line.shown = true;
    line.drawn = now;
}

void cli_progress_update(const char *label, int64_t done, int64_t total, const char *tail)
{
    if (!isatty(STDERR_FILENO))
        return;
    double now = mu_clock();
    if (strncmp(line.label, label, LABEL - 1) != 0 || done < line.first) {
        snprintf(line.label, sizeof line.label, "%s", label);
        line.begun = now;
        line.drawn = 0;
        line.first = done;
    }
    done = done < total ? done : total;
    if (done == total || now - line.drawn >= 0.1)
        draw(label, done, total, tail, now);
}

void cli_progress_hide(void)
{
    if (line.shown)
        fputs("\r\033[K", stderr);
    line.shown = false;
}

void cli_progress_end(void)
{
    cli_progress_hide();
    line.label[0] = '\0';
}
