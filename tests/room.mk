# A test program NAME.c is a Check program (tests/test.h), linked with the library. Exit status 77 is a skip.
TEST_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests $(CHECK_CFLAGS) -DMU_TEST_SRCDIR='"$(abs_top_srcdir)/tests"'
TEST_LDADD = libmuster.la $(CHECK_LIBS)
EXTRA_DIST += tests/lsan.supp tests/test.h
# Check's 4 seconds for a test are few on a busy machine or with sanitizers; tests that may take longer say so themselves.
# Tests measure kernels, too: beside the user's choices, not among them.
# What a device has no kernel for is an error. `device: auto` is the processor, whatever the machine has.
AM_TESTS_ENVIRONMENT = CK_DEFAULT_TIMEOUT=$${CK_DEFAULT_TIMEOUT-60}; export CK_DEFAULT_TIMEOUT; \
	MUSTER_CACHE_DIR="$${MUSTER_CACHE_DIR-$(abs_builddir)/tests/cache}"; export MUSTER_CACHE_DIR; \
	MU_FALLBACK=$${MU_FALLBACK-error}; export MU_FALLBACK; \
	MUSTER_DEVICE=$${MUSTER_DEVICE-cpu}; export MUSTER_DEVICE; \
	LSAN_OPTIONS=$${LSAN_OPTIONS+$$LSAN_OPTIONS:}suppressions=$(abs_top_srcdir)/tests/lsan.supp:print_suppressions=0; export LSAN_OPTIONS;
dist_check_SCRIPTS += tests/rules/arrows.sh
