if WITH_CHECK
check_PROGRAMS += tests/unit/error_test
endif
tests_unit_error_test_SOURCES = tests/unit/error_test.c
tests_unit_error_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_error_test_LDADD = $(TEST_LDADD)
