#include "core/error.h"

#include <stdio.h>
#include <string.h>

static _Thread_local mu_error last;

static const char *const names[] = {"OK",
#define X(code, text) #code,
                                    MU_ERR_MAP(X)
#undef X
};

static const char *const texts[] = {"success",
#define X(code, text) text,
                                    MU_ERR_MAP(X)
#undef X
};

const char *mu_err_name(mu_err code)
{
    return code >= 0 && code < MU_ERR_COUNT ? names[code] : "UNKNOWN";
}

const char *mu_err_text(mu_err code)
{
    return code >= 0 && code < MU_ERR_COUNT ? texts[code] : "unknown error";
}

int mu_err_exit_status(mu_err code)
{
    if (code == MU_OK)
        return 0;
    return code == MU_ERR_USAGE || code == MU_ERR_CONFIG ? 2 : 1;
}

mu_err mu_error_set(mu_err code, const char *file, int line, const char *function, const char *format, ...)
{
    last.code = code;
    last.hint[0] = '\0';
    last.n_frames = 0;
    va_list args;
    va_start(args, format);
    vsnprintf(last.message, sizeof last.message, format, args);
    va_end(args);
    return mu_error_trace(code, file, line, function);
}

void mu_error_context(const char *format, ...)
{
    char rest[MU_ERROR_TEXT];
    memcpy(rest, last.message, sizeof rest);
    va_list args;
    va_start(args, format);
    int n = vsnprintf(last.message, sizeof last.message, format, args);
    va_end(args);
    if (n >= 0 && (size_t)n < sizeof last.message)
        snprintf(last.message + n, sizeof last.message - (size_t)n, ": %s", rest);
}

mu_err mu_error_hint(const char *format, ...)
{
    if (last.hint[0] == '\0') {
        va_list args;
        va_start(args, format);
        vsnprintf(last.hint, sizeof last.hint, format, args);
        va_end(args);
    }
    return last.code;
}

mu_err mu_error_trace(mu_err code, const char *file, int line, const char *function)
{
    if (last.n_frames < MU_ERROR_FRAMES)
        last.frame[last.n_frames++] = (mu_error_frame){.file = file, .function = function, .line = line};
    return code;
}

const mu_error *mu_error_last(void)
{
    return &last;
}

void mu_error_clear(void)
{
    last.code = MU_OK;
    last.message[0] = last.hint[0] = '\0';
    last.n_frames = 0;
}

mu_err mu_error_recode(mu_err code)
{
    last.code = code;
    return code;
}

mu_err mu_error_restore(const mu_error *error)
{
    if (error != &last)
        last = *error;
    return last.code;
}

size_t mu_error_format(const mu_error *error, int frames, char *buf, size_t size)
{
    size_t at = 0;
#define APPEND(...)                                                                        \
    do {                                                                                   \
        int n_ = snprintf(buf ? buf + (at < size ? at : size) : NULL, at < size ? size - at : 0, __VA_ARGS__); \
        at += n_ > 0 ? (size_t)n_ : 0;                                                     \
    } while (0)
    APPEND("%s", error->message[0] ? error->message : mu_err_text(error->code));
    if (error->hint[0])
        APPEND("\n  hint: %s", error->hint);
    for (int i = 0; frames && i < error->n_frames; i++)
        APPEND("\n  at %s (%s:%d)", error->frame[i].function, error->frame[i].file, error->frame[i].line);
#undef APPEND
    return at;
}
