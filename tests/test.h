/* What every test program shares: Check, assertions on errors, and a main that prints the counts. */
#ifndef MU_TESTS_TEST_H
#define MU_TESTS_TEST_H

#include "core/error.h"
#include "core/mem.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static inline const char *test_error_text(void)
{
    static char text[4096];
    mu_error_format(mu_error_last(), 1, text, sizeof text);
    return text;
}

/* The call succeeds. */
#define ck_ok(expr)                                                                              \
    do {                                                                                         \
        mu_err ck_ok_ = (expr);                                                                  \
        ck_assert_msg(ck_ok_ == MU_OK, "%s: %s", #expr, test_error_text());                      \
    } while (0)

/* The call fails with this code and a message (or hint) that contains `part`. */
#define ck_fails(expr, code_, part)                                                                       \
    do {                                                                                                  \
        mu_err ck_fails_ = (expr);                                                                        \
        ck_assert_msg(ck_fails_ == (code_), "%s: %s instead of %s: %s", #expr, mu_err_name(ck_fails_),    \
                      mu_err_name(code_), ck_fails_ ? test_error_text() : "success");                     \
        ck_assert_msg(strstr(test_error_text(), (part)) != NULL, "%s: \"%s\" lacks \"%s\"", #expr,        \
                      test_error_text(), (part));                                                         \
    } while (0)

/* Runs `expr` (a mu_err) with allocation 1, 2, 3, ... failing until it succeeds: every failure must be MU_ERR_MEMORY and leave
 * nothing behind. `undo` releases what success made. */
#define ck_survives_oom(expr, undo)                                                                           \
    do {                                                                                                      \
        for (int64_t ck_n = 1;; ck_n++) {                                                                     \
            int64_t ck_live = mu_mem_get_counts().live_blocks;                                                \
            mu_mem_fail_at(ck_n);                                                                             \
            mu_err ck_err = (expr);                                                                           \
            mu_mem_fail_at(0);                                                                                \
            if (ck_err == MU_OK) {                                                                            \
                undo;                                                                                         \
                ck_assert_int_eq(mu_mem_get_counts().live_blocks, ck_live);                                   \
                break;                                                                                        \
            }                                                                                                 \
            ck_assert_msg(ck_err == MU_ERR_MEMORY, "allocation %lld: %s", (long long)ck_n, test_error_text()); \
            ck_assert_msg(mu_mem_get_counts().live_blocks == ck_live, "allocation %lld failing leaks %lld blocks", \
                          (long long)ck_n, (long long)(mu_mem_get_counts().live_blocks - ck_live));            \
        }                                                                                                     \
    } while (0)

/* Runs a suite; the exit status for main. */
static inline int test_run(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
