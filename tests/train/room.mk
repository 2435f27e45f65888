# Builders of small networks, for test programs and the benchmark.
if WITH_CHECK
check_LTLIBRARIES += tests/train/libmodels.la
endif
tests_train_libmodels_la_SOURCES = tests/train/models.c tests/train/models.h
tests_train_libmodels_la_CPPFLAGS = $(TEST_CPPFLAGS)
