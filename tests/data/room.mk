if WITH_CHECK
check_PROGRAMS += tests/data/sampler_test
endif
tests_data_sampler_test_SOURCES = tests/data/sampler_test.c tests/golden/sampler.inc
tests_data_sampler_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_data_sampler_test_LDADD = $(TEST_LDADD)
EXTRA_DIST += tests/golden/sampler.py
