if WITH_CHECK
check_PROGRAMS += tests/unit/error_test tests/unit/log_test tests/unit/mem_test tests/unit/pool_test tests/unit/rng_test tests/unit/text_test tests/unit/type_test
endif
tests_unit_error_test_SOURCES = tests/unit/error_test.c
tests_unit_error_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_error_test_LDADD = $(TEST_LDADD)
tests_unit_log_test_SOURCES = tests/unit/log_test.c
tests_unit_log_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_log_test_LDADD = $(TEST_LDADD)
tests_unit_mem_test_SOURCES = tests/unit/mem_test.c
tests_unit_mem_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_mem_test_LDADD = $(TEST_LDADD)
tests_unit_pool_test_SOURCES = tests/unit/pool_test.c
tests_unit_pool_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_pool_test_LDADD = $(TEST_LDADD)
tests_unit_rng_test_SOURCES = tests/unit/rng_test.c tests/golden/randperm.inc
tests_unit_rng_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_rng_test_LDADD = $(TEST_LDADD)
tests_unit_text_test_SOURCES = tests/unit/text_test.c
tests_unit_text_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_text_test_LDADD = $(TEST_LDADD)
tests_unit_type_test_SOURCES = tests/unit/type_test.c
tests_unit_type_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_type_test_LDADD = $(TEST_LDADD)
EXTRA_DIST += tests/golden/randperm.py

if WITH_CHECK
check_PROGRAMS += tests/unit/ir_test
endif
tests_unit_ir_test_SOURCES = tests/unit/ir_test.c
tests_unit_ir_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_ir_test_LDADD = $(TEST_LDADD)
