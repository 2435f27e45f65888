# Builders of small networks, for test programs and the benchmark.
if WITH_CHECK
check_LTLIBRARIES += tests/train/libmodels.la
check_PROGRAMS += tests/train/limits_test tests/train/network_test tests/train/steady_test
endif
tests_train_libmodels_la_SOURCES = tests/train/models.c tests/train/models.h tests/train/trainer.c tests/train/trainer.h
tests_train_libmodels_la_CPPFLAGS = $(TEST_CPPFLAGS)
tests_train_limits_test_SOURCES = tests/train/limits_test.c
tests_train_limits_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_train_limits_test_LDADD = tests/train/libmodels.la $(TEST_LDADD)
EXTRA_DIST += tests/golden/network.py tests/golden/network.json
tests_train_network_test_SOURCES = tests/train/network_test.c
tests_train_network_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_train_network_test_LDADD = tests/train/libmodels.la $(TEST_LDADD) $(JANSSON_LIBS)
# Its own malloc and strcmp stand before libc's: they must stay calls.
tests_train_steady_test_SOURCES = tests/train/steady_test.c
tests_train_steady_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_train_steady_test_CFLAGS = $(AM_CFLAGS) -fno-builtin
tests_train_steady_test_LDADD = tests/train/libmodels.la $(TEST_LDADD)
