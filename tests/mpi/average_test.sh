#!/bin/sh
# Averages of gradients and optimizer wrappers under mpirun at 1 to 4 ranks.
program=./tests/mpi/average_test
. "${srcdir:-.}/tests/mpi/common.sh"
on_1_to_4_ranks
exit $failed
