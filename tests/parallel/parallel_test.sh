#!/bin/sh
# MMDistributedDataParallel under mpirun at 1 to 4 ranks.
program=./tests/parallel/parallel_test
. "${srcdir:-.}/tests/mpi/common.sh"
on_1_to_4_ranks
exit $failed
