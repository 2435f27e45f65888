# How ranks share a model: programs that run by themselves (one rank), and by scripts under mpirun.
if WITH_CHECK
check_PROGRAMS += tests/parallel/courier_test tests/parallel/courier_device_test tests/parallel/units_test
endif
tests_parallel_courier_test_SOURCES = tests/parallel/courier_test.c tests/parallel/fake_comm.h
tests_parallel_courier_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_parallel_courier_test_LDADD = $(TEST_LDADD)
tests_parallel_courier_device_test_SOURCES = tests/parallel/courier_device_test.c tests/parallel/fake_comm.h tests/parallel/fake_device.h
tests_parallel_courier_device_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_parallel_courier_device_test_LDADD = $(TEST_LDADD)
# It needs no Check: it runs by itself (one rank), and by parallel_test.sh under mpirun.
check_PROGRAMS += tests/parallel/parallel_test
tests_parallel_parallel_test_SOURCES = tests/parallel/parallel_test.c tests/parallel/fake_device.h $(RANKS) tests/optim/shared.h
tests_parallel_parallel_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_parallel_parallel_test_LDADD = libmuster.la
dist_check_SCRIPTS += tests/parallel/parallel_test.sh
dist_check_SCRIPTS += tests/parallel/run_test.sh
SLOW_TESTS += tests/parallel/run_test.sh
tests_parallel_units_test_SOURCES = tests/parallel/units_test.c
tests_parallel_units_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_parallel_units_test_LDADD = tests/graph/libtoys.la $(TEST_LDADD)
check_PROGRAMS += tests/parallel/pieces_test
tests_parallel_pieces_test_SOURCES = tests/parallel/pieces_test.c tests/parallel/fake_device.h $(RANKS) tests/graph/blocked.c tests/graph/blocked.h tests/optim/shared.h
tests_parallel_pieces_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_parallel_pieces_test_LDADD = libmuster.la
dist_check_SCRIPTS += tests/parallel/pieces_test.sh
