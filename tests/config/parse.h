/* What the tests of configs share. */
#ifndef MU_TESTS_CONFIG_PARSE_H
#define MU_TESTS_CONFIG_PARSE_H

#include "config/config.h"

#include "test.h"

/* Text to a config; the caller releases it. */
static inline mu_config *test_parse(const char *text, const char *format)
{
    mu_config *config = NULL;
    mu_err err = mu_config_parse(text, strlen(text), format, &config);
    ck_assert_msg(err == MU_OK, "%.200s: %s", text, test_error_text());
    return config;
}

/* The text, in `format`, holds what the JSON says. */
static inline void ck_reads(const char *text, const char *format, const char *json)
{
    mu_config *config = test_parse(text, format), *expected = test_parse(json, "json");
    char *dump;
    ck_ok(mu_config_dump(config, "yaml", &dump));
    ck_assert_msg(mu_cfg_equal(mu_config_root(config), mu_config_root(expected)), "%s\nis read as\n%s\ninstead of %s", text, dump,
                  json);
    mu_free(dump);
    mu_config_release(config);
    mu_config_release(expected);
}

/* The text is refused with this message, at its beginning. */
static inline void ck_refuses(const char *text, size_t length, const char *format, const char *message)
{
    mu_config *config = NULL;
    mu_err err = mu_config_parse(text, length, format, &config);
    ck_assert_msg(err == MU_ERR_CONFIG, "%.200s: %s instead of an error", text, mu_err_name(err));
    ck_assert_ptr_null(config);
    ck_assert_msg(strncmp(mu_error_last()->message, message, strlen(message)) == 0, "\"%s\" instead of \"%s\"",
                  mu_error_last()->message, message);
}

/* All live memory is as it was before `expr`. */
#define ck_no_leak(expr)                                            \
    do {                                                            \
        int64_t ck_live = mu_mem_get_counts().live_blocks;          \
        expr;                                                       \
        ck_assert_int_eq(mu_mem_get_counts().live_blocks, ck_live); \
    } while (0)

#endif
