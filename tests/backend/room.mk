# tests/backend: what is built on the interface alone, with any backend that there is.
EXTRA_DIST += tests/backend/devices.h
if WITH_CHECK
check_PROGRAMS += tests/backend/feed_test tests/backend/readback_test
endif
tests_backend_feed_test_SOURCES = tests/backend/feed_test.c
tests_backend_feed_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_backend_feed_test_LDADD = $(TEST_LDADD)
tests_backend_readback_test_SOURCES = tests/backend/readback_test.c
tests_backend_readback_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_backend_readback_test_LDADD = $(TEST_LDADD)
