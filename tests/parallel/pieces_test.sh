#!/bin/sh
# MMFullyShardedDataParallel under mpirun at 1 to 4 ranks.
program=./tests/parallel/pieces_test
. "${srcdir:-.}/tests/mpi/common.sh"
on_1_to_4_ranks
exit $failed
