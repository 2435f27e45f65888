#!/bin/sh
# Batch norm with the statistics of all ranks under mpirun at 1 to 4 ranks.
program=./tests/mpi/sync_bn_test
. "${srcdir:-.}/tests/mpi/common.sh"
export MUSTER_EMULATE_DEVICES=4
on_1_to_4_ranks
exit $failed
