if WITH_CHECK
check_PROGRAMS += tests/eval/eval_test
endif
tests_eval_eval_test_SOURCES = tests/eval/eval_test.c
tests_eval_eval_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_eval_eval_test_LDADD = $(TEST_LDADD)
check_PROGRAMS += tests/eval/ranks
tests_eval_ranks_SOURCES = tests/eval/ranks.c
tests_eval_ranks_CPPFLAGS = $(TEST_CPPFLAGS)
tests_eval_ranks_LDADD = libmuster.la
dist_check_SCRIPTS += tests/eval/ranks_test.sh
if WITH_CHECK
check_PROGRAMS += tests/eval/dump_test
endif
tests_eval_dump_test_SOURCES = tests/eval/dump_test.c
tests_eval_dump_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_eval_dump_test_LDADD = $(TEST_LDADD)
dist_check_SCRIPTS += tests/eval/eval_test.sh
