# How ranks share a model: programs that run by themselves (one rank), and by scripts under mpirun.
if WITH_CHECK
check_PROGRAMS += tests/parallel/courier_test
endif
tests_parallel_courier_test_SOURCES = tests/parallel/courier_test.c tests/parallel/fake_comm.h
tests_parallel_courier_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_parallel_courier_test_LDADD = $(TEST_LDADD)
