/* Errors: the first detector writes a thread-local record, callers propagate with MU_TRY.
 *
 * The library never prints an error, exits or aborts; a program prints mu_error_format(). */
#ifndef MU_CORE_ERROR_H
#define MU_CORE_ERROR_H

#include <stdarg.h>
#include <stddef.h>

/* code, symbol, text. Exit status 2 belongs to USAGE and CONFIG, 1 to the rest. */
#define MU_ERR_MAP(X)                                          \
    X(USAGE, "wrong use of the command line or of a function") \
    X(CONFIG, "invalid configuration")                         \
    X(SHAPE, "shapes or dtypes do not fit")                    \
    X(OVERFLOW, "a size does not fit in its integer type")     \
    X(MEMORY, "out of memory")                                 \
    X(IO, "input or output failed")                            \
    X(FORMAT, "malformed data")                                \
    X(NOT_FOUND, "not found")                                  \
    X(UNSUPPORTED, "not supported")                            \
    X(BACKEND, "a compute backend failed")                     \
    X(PLUGIN, "a plug-in cannot be used")                      \
    X(NUMERIC, "a computation gave NaN or infinity")           \
    X(SYSTEM, "an operating system call failed")               \
    X(COMM, "communication between ranks failed")              \
    X(INTERNAL, "internal error, please report it")

typedef enum {
    MU_OK = 0,
#define X(code, text) MU_ERR_##code,
    MU_ERR_MAP(X)
#undef X
        MU_ERR_COUNT
} mu_err;

#define MU_CHECKED __attribute__((warn_unused_result))
#define MU_PRINTF(format_at, args_at) __attribute__((format(printf, format_at, args_at)))

enum { MU_ERROR_TEXT = 1536, MU_ERROR_FRAMES = 24 };

typedef struct {
    const char *file; /* static */
    const char *function;
    int line;
} mu_error_frame;

typedef struct {
    mu_err code;
    char message[MU_ERROR_TEXT]; /* what, where, what was expected */
    char hint[MU_ERROR_TEXT];    /* what to do about it; may be empty */
    int n_frames;                /* innermost first; the outermost are dropped when full */
    mu_error_frame frame[MU_ERROR_FRAMES];
} mu_error;

/* The symbol of a code ("CONFIG") and its text; never NULL. */
const char *mu_err_name(mu_err code);
const char *mu_err_text(mu_err code);

/* Exit status for a program that ends with this error: 0, 1 or 2. */
int mu_err_exit_status(mu_err code);

/* Begins a new record in this thread and returns `code`. Use MU_FAIL. */
mu_err mu_error_set(mu_err code, const char *file, int line, const char *function, const char *format, ...)
    MU_PRINTF(5, 6);

/* Puts "text: " before the message of the record: the place as the caller knows it. */
void mu_error_context(const char *format, ...) MU_PRINTF(1, 2);

/* Sets the hint of the record when none is set yet. Returns the record's code: `return mu_error_hint(...)`. */
mu_err mu_error_hint(const char *format, ...) MU_PRINTF(1, 2);

/* Gives the record another code, which it returns: what is wrong in a config's text is MU_ERR_FORMAT in a data file. */
mu_err mu_error_recode(mu_err code);

/* Appends a frame; used by MU_TRY. Returns `code`. */
mu_err mu_error_trace(mu_err code, const char *file, int line, const char *function);

/* The record of this thread. Borrowed, valid until the next failure in this thread. */
const mu_error *mu_error_last(void);
void mu_error_clear(void);

/* Copies a record into this thread, as when a worker's error is handed to its caller. Returns its code. */
mu_err mu_error_restore(const mu_error *error);

/* Writes "message\n  hint: ..." (and the frames when `frames`) into buf; always terminated. Returns the length needed. */
size_t mu_error_format(const mu_error *error, int frames, char *buf, size_t size);

/* The value is `code` as the caller wrote it, so that the compiler sees that it is not MU_OK. */
#define MU_FAIL(code, ...) mu_error_code(mu_error_set((code), __FILE__, __LINE__, __func__, __VA_ARGS__), (code))
static inline mu_err mu_error_code(mu_err set, mu_err code)
{
    (void)set;
    return code;
}

#define MU_TRY(expr)                                                         \
    do {                                                                     \
        mu_err mu_try_ = (expr);                                             \
        if (__builtin_expect(mu_try_ != MU_OK, 0)) {                         \
            mu_error_trace(mu_try_, __FILE__, __LINE__, __func__);           \
            return mu_try_;                                                  \
        }                                                                    \
    } while (0)

/* As MU_TRY, but leaves through a label that undoes what was done; `err` is a mu_err in scope. */
#define MU_TRY_GOTO(err, expr, label)                                        \
    do {                                                                     \
        (err) = (expr);                                                      \
        if (__builtin_expect((err) != MU_OK, 0)) {                           \
            mu_error_trace((err), __FILE__, __LINE__, __func__);             \
            goto label;                                                      \
        }                                                                    \
    } while (0)

#endif
