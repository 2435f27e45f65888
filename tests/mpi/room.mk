EXTRA_DIST += tests/mpi/common.sh tests/mpi/env.sh
RANKS = tests/mpi/ranks.c tests/mpi/ranks.h
# comm_test needs no Check: it runs by itself (one rank), and by comm_test.sh under mpirun.
check_PROGRAMS += tests/mpi/comm_test
tests_mpi_comm_test_SOURCES = tests/mpi/comm_test.c tests/mpi/comm_checks.h tests/mpi/comm_dist.c tests/mpi/comm_memory.c tests/mpi/comm_move.c \
	tests/mpi/comm_reduce.c tests/mpi/comm_threads.c tests/mpi/comm_values.c $(RANKS)
tests_mpi_comm_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_mpi_comm_test_LDADD = libmuster.la
dist_check_SCRIPTS += tests/mpi/comm_test.sh
if WITH_CHECK
check_PROGRAMS += tests/mpi/launch_test tests/mpi/watch_test
endif
tests_mpi_watch_test_SOURCES = tests/mpi/watch_test.c
tests_mpi_watch_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_mpi_watch_test_LDADD = $(TEST_LDADD)
tests_mpi_launch_test_SOURCES = tests/mpi/launch_test.c
tests_mpi_launch_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_mpi_launch_test_LDADD = $(TEST_LDADD)

# Like comm_test.
check_PROGRAMS += tests/mpi/average_test
tests_mpi_average_test_SOURCES = tests/mpi/average_test.c $(RANKS) tests/optim/shared.h tests/optim/toy.h tests/parallel/fake_device.h
tests_mpi_average_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_mpi_average_test_LDADD = libmuster.la
dist_check_SCRIPTS += tests/mpi/average_test.sh
EXTRA_PROGRAMS += tests/mpi/tensor_file_test
check_DATA += tests/mpi/tensor_file_test
CLEANFILES += tests/mpi/tensor_file_test
tests_mpi_tensor_file_test_SOURCES = tests/mpi/tensor_file_test.c
tests_mpi_tensor_file_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_mpi_tensor_file_test_LDADD = libmuster.la
dist_check_SCRIPTS += tests/mpi/tensor_file_test.sh
SLOW_TESTS += tests/mpi/tensor_file_test.sh

# Like comm_test.
check_PROGRAMS += tests/mpi/sync_bn_test
tests_mpi_sync_bn_test_SOURCES = tests/mpi/sync_bn_test.c $(RANKS) tests/golden/sync_bn.inc
tests_mpi_sync_bn_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_mpi_sync_bn_test_LDADD = libmuster.la
EXTRA_DIST += tests/golden/sync_bn.py
dist_check_SCRIPTS += tests/mpi/sync_bn_test.sh
