# A test program NAME.c is a Check program (tests/test.h), linked with the library. Exit status 77 is a skip.
TEST_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests $(CHECK_CFLAGS) -DMU_TEST_SRCDIR='"$(abs_top_srcdir)/tests"'
TEST_LDADD = libmuster.la $(CHECK_LIBS)
EXTRA_DIST += tests/test.h
dist_check_SCRIPTS += tests/rules/arrows.sh
