if WITH_CHECK
check_PROGRAMS += tests/nn/trace_test
endif
tests_nn_trace_test_SOURCES = tests/nn/trace_test.c
tests_nn_trace_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_nn_trace_test_LDADD = $(TEST_LDADD)

if WITH_CHECK
check_PROGRAMS += tests/nn/init_test
endif
tests_nn_init_test_SOURCES = tests/nn/init_test.c
tests_nn_init_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_nn_init_test_LDADD = $(TEST_LDADD)
